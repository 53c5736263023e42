package awsapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"serin"
)

// A caller that is not who it claims to be learns nothing, not even which paths exist.
func TestNothingIsAnsweredUnsigned(t *testing.T) {
	a := New(Config{Auth: testAuth(clockAt(noon)), Lambda: &fakeLambda{err: errors.New("reached the backend")}})
	for _, target := range []string{"/", "/nothing", "/2015-03-31/functions", "/2015-03-31/functions/f/invocations", "/2018-10-31/layers", "/service/x/operation/y", "/?Action=X"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			w := do(a, httptest.NewRequest(method, target, nil))
			if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "Missing") {
				t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
			}
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/?Action=X&Version=1", nil)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=k/20260101/r/s/aws4_request, SignedHeaders=host, Signature=0")
	r.Header.Set("X-Amz-Date", "20260101T120000Z")
	if w := do(a, r); !strings.Contains(w.Body.String(), "<Type>Sender</Type><Code>InvalidClientTokenId</Code>") {
		t.Errorf("query protocol: %s", w.Body)
	}
}

// The body of a request whose headers name no known key is never held, and one that waits for leave
// to send is not read at all.
func TestStrangersAreNotRead(t *testing.T) {
	auth := testAuth(clockAt(noon))
	body := &countingReader{r: io.LimitReader(zeros{}, 1<<30)}
	r := httptest.NewRequest(http.MethodPost, "/", body)
	r.Header.Set("Expect", "100-continue")
	if _, held, err := auth.Authenticate(r, 1<<20); !errors.Is(err, errMissingToken) || held != nil || body.n != 0 {
		t.Errorf("%v, %d bytes held, %d read", err, len(held), body.n)
	}
	r.Header.Del("Expect")
	if _, held, err := auth.Authenticate(r, 1<<20); !errors.Is(err, errMissingToken) || held != nil || body.n > 2<<20 {
		t.Errorf("%v, %d bytes held, %d read", err, len(held), body.n)
	}
}

// A refusal reaches a client that sends all of a large body before it reads anything, as most do.
func TestRefusalOfLargeBodies(t *testing.T) {
	srv := signedServer(t, &fakeLambda{}, noInvoke)
	for name, c := range map[string]struct {
		path  string
		key   string
		bytes int
		want  int
	}{
		"unknown key":    {"/2015-03-31/functions", "AKIDOTHER", 32 << 20, http.StatusForbidden},
		"over the limit": {"/2015-03-31/functions/f/invocations", testKey, 2 * maxPayloadBody, http.StatusRequestEntityTooLarge},
	} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		now := time.Now().UTC()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nX-Amz-Date: %s\r\n"+
			"Authorization: AWS4-HMAC-SHA256 Credential=%s/%s/%s/lambda/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n",
			c.path, c.bytes, now.Format(basicISO), c.key, now.Format("20060102"), testRegion)
		if _, err := conn.Write(make([]byte, c.bytes)); err != nil {
			t.Errorf("%s: the body cannot be sent: %v", name, err)
			continue
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: no answer: %v", name, err)
			continue
		}
		if response.Body.Close(); response.StatusCode != c.want {
			t.Errorf("%s: %s, want %d", name, response.Status, c.want)
		}
	}
}

// A secret that changes counts at once, although the keys derived from it are remembered.
func TestChangedSecret(t *testing.T) {
	secret := testSecret
	auth := NewAuthenticator(AuthConfig{
		Region: testRegion, Now: clockAt(noon),
		Credentials: func(string) (string, bool) { return secret, true },
	})
	for range 2 {
		if _, _, err := auth.Authenticate(signedRequest(t, "body", nil, nil), 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if len(auth.keys.keys) != 1 {
		t.Errorf("%d keys are remembered", len(auth.keys.keys))
	}
	secret = "another"
	if _, _, err := auth.Authenticate(signedRequest(t, "body", nil, nil), 1<<20); !errors.Is(err, errSignature) {
		t.Errorf("the old secret still signs: %v", err)
	}
	secret = testSecret
	if _, _, err := auth.Authenticate(signedRequest(t, "body", nil, nil), 1<<20); err != nil {
		t.Errorf("the secret that is back: %v", err)
	}
}

// Neither strangers nor a caller that signs for many services make the remembered keys grow without bound.
func TestSigningKeysAreBounded(t *testing.T) {
	var keys signingKeys
	for i := range 3 * maxSigningKeys {
		keys.put(claim{accessKeyID: "k", scope: scope{service: fmt.Sprint(i)}}, nil)
	}
	if len(keys.keys) > maxSigningKeys {
		t.Errorf("%d keys are remembered", len(keys.keys))
	}
	auth := testAuth(clockAt(noon))
	r := signedRequest(t, "body", nil, edit("Signature=", "Signature=0"))
	if _, _, err := auth.Authenticate(r, 1<<20); err == nil || len(auth.keys.keys) != 0 {
		t.Errorf("%v, %d keys are remembered", err, len(auth.keys.keys))
	}
}

func TestWrap(t *testing.T) {
	h := testAuth(clockAt(noon)).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s sent %s", serin.ActorFrom(r.Context()), body)
	}), 4)
	if w := do(h, signedRequest(t, "body", nil, nil)); w.Code != http.StatusOK || w.Body.String() != testKey+" sent body" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w := do(h, signedRequest(t, "body.", nil, nil))
	if w.Code != http.StatusRequestEntityTooLarge || w.Body.String() != `{"Type":"User","message":"Request must be smaller than 4 bytes"}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = do(h, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusForbidden || w.Body.String() != `{"message":"Missing Authentication Token"}` || w.Header().Get("x-amzn-RequestId") == "" {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
}

// Without authentication a server is still no prey for web pages.
func TestNoAuthRefusesWebPages(t *testing.T) {
	auth := NewAuthenticator(AuthConfig{NoAuth: true})
	for _, c := range []struct {
		host   string
		header http.Header
		ok     bool
	}{
		{"localhost:4750", nil, true},
		{"localhost", nil, true},
		{"x.lambda-url.us-east-1.localhost:4750", nil, true},
		{"evillocalhost", nil, false},
		{"127.0.0.1:4750", nil, true},
		{"127.9.9.9", nil, true},
		{"[::1]:4750", nil, true},
		{"[::1]", nil, true},
		{"127.0.0.1:4750", http.Header{"Origin": {"http://127.0.0.1:4750"}}, true},
		{"127.0.0.1:4750", http.Header{"Origin": {"https://evil.example"}}, false},
		{"127.0.0.1:4750", http.Header{"Sec-Fetch-Site": {"cross-site"}}, false},
		{"evil.example:4750", http.Header{"Origin": {"http://evil.example:4750"}}, false},
		{"evil.example:4750", nil, false},
		{"localhost.evil.example", nil, false},
		{"10.0.0.1:4750", nil, false},
		{"", nil, false},
	} {
		r := httptest.NewRequest(http.MethodPost, "/2015-03-31/functions", strings.NewReader("{}"))
		r.Host = c.host
		if c.header != nil {
			r.Header = c.header
		}
		actor, _, err := auth.Authenticate(r, 1<<20)
		if c.ok && (err != nil || actor != Anonymous) {
			t.Errorf("%s %v: %v", c.host, c.header, err)
		}
		if e, ok := errors.AsType[*serin.Error](err); !c.ok && (!ok || e.Kind != serin.KindDenied) {
			t.Errorf("%s %v: let in: %v", c.host, c.header, err)
		}
	}
}
