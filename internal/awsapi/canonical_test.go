package awsapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// Signatures that AWS published with its test suite for signers.
func TestPublishedSignatures(t *testing.T) {
	auth := NewAuthenticator(AuthConfig{
		Region: "us-east-1", Now: clockAt(time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)),
		Credentials: func(string) (string, bool) { return "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", true },
	})
	for name, c := range map[string]struct {
		method, target string
		header         http.Header
		body, headers  string
		signature      string
	}{
		"get-vanilla":           {method: "GET", target: "/", headers: "host;x-amz-date", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		"get-vanilla-query":     {method: "GET", target: "/?Param2=value2&Param1=value1", headers: "host;x-amz-date", signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		"get-header-value-trim": {method: "GET", target: "/", header: http.Header{"My-Header1": {" value1"}, "My-Header2": {`"a   b   c"`}}, headers: "host;my-header1;my-header2;x-amz-date", signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		"post-vanilla":          {method: "POST", target: "/", headers: "host;x-amz-date", signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		"post-form":             {method: "POST", target: "/", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body: "Param1=value1", headers: "content-type;host;x-amz-date", signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
	} {
		r := httptest.NewRequest(c.method, "http://example.amazonaws.com"+c.target, strings.NewReader(c.body))
		if c.header != nil {
			r.Header = c.header
		}
		r.Header.Set("X-Amz-Date", "20150830T123600Z")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders="+c.headers+", Signature="+c.signature)
		if _, _, err := auth.Authenticate(r, 1<<20); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// naiveSign is Signature Version 4 as its description reads, for what the SDK's signer cannot sign.
func naiveSign(r *http.Request, body []byte, at time.Time, headers map[string]string) {
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)
	lines := []string{r.Method, r.URL.Path, ""}
	for _, name := range names {
		lines = append(lines, name+":"+headers[name])
	}
	lines = append(lines, "", strings.Join(names, ";"), hashOf(body))
	date := at.Format("20060102")
	scope := date + "/" + testRegion + "/lambda/aws4_request"
	key := []byte("AWS4" + testSecret)
	for _, part := range []string{date, testRegion, "lambda", "aws4_request", "AWS4-HMAC-SHA256\n" + at.Format("20060102T150405Z") + "\n" + scope + "\n" + hashOf([]byte(strings.Join(lines, "\n")))} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", testKey, scope, strings.Join(names, ";"), key))
}

// Some clients sign headers that the SDK's signer leaves out, and those that net/http takes away.
func TestHeadersThatOtherClientsSign(t *testing.T) {
	auth := testAuth(clockAt(noon))
	for name, c := range map[string]struct {
		chunked bool
		headers map[string]string
	}{
		"user agent":     {headers: map[string]string{"host": "localhost:4750", "user-agent": "aws-sdk-java/1.12 Linux", "x-amz-date": "20260101T120000Z"}},
		"trace":          {headers: map[string]string{"host": "localhost:4750", "x-amzn-trace-id": "Root=1", "x-amz-date": "20260101T120000Z"}},
		"length":         {headers: map[string]string{"content-length": "4", "host": "localhost:4750", "x-amz-date": "20260101T120000Z"}},
		"chunked":        {chunked: true, headers: map[string]string{"host": "localhost:4750", "transfer-encoding": "chunked", "x-amz-date": "20260101T120000Z"}},
		"date":           {headers: map[string]string{"date": "Thu, 01 Jan 2026 12:00:00 GMT", "host": "localhost:4750"}},
		"date, basic":    {headers: map[string]string{"date": "20260101T120000Z", "host": "localhost:4750"}},
		"absent, signed": {headers: map[string]string{"host": "localhost:4750", "x-absent": "", "x-amz-date": "20260101T120000Z"}},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost:4750/2015-03-31/functions", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		for header, value := range c.headers {
			if value != "" && header != "host" && header != "content-length" && header != "transfer-encoding" {
				r.Header.Set(header, value)
			}
		}
		if c.chunked {
			r.ContentLength = -1
		}
		naiveSign(r, []byte("body"), noon, c.headers)
		if actor, _, err := auth.Authenticate(received(t, r), 1<<20); err != nil || actor != testKey {
			t.Errorf("%s: %v", name, err)
		}
	}
}
