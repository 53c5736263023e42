package functionurl

import (
	"bufio"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"serin"
	"serin/internal/router"
)

// Every request that net/http reads becomes an event that is JSON and holds the whole body, or is refused.
func FuzzEvent(f *testing.F) {
	for _, head := range []string{
		"GET / HTTP/1.1\r\nHost: " + urlID + ".lambda-url.us-east-1.localhost\r\n",
		"POST /url/" + urlID + "/%ff?a=%zz&a=1;b=2 HTTP/1.0\r\nCookie: ;;=;\xff\r\nConnection: ,cookie\r\nContent-Type: text/\xff;=\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: " + urlID + ".lambda-url.us-east-1.localhost:99999\r\nX-Forwarded-For: ,\r\nOrigin: x\r\n",
		"CONNECT " + urlID + ".lambda-url.us-east-1.localhost:1 HTTP/1.1\r\nHost: a\r\nX-Amzn-Trace-Id: \x80\r\n",
		"GET http://" + urlID + ".LAMBDA-URL.us-east-1.localhost./../x HTTP/1.1\r\nHost: a:b:c\r\n",
	} {
		f.Add(head, []byte("\x00body"))
	}
	f.Fuzz(func(t *testing.T, head string, body []byte) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n")))
		if err != nil {
			return
		}
		r.Body, r.ContentLength, r.RemoteAddr = io.NopCloser(strings.NewReader(string(body))), int64(len(body)), "192.0.2.1:1"
		w := newWorld(t)
		if !w.Serves(r) {
			return
		}
		got := httptest.NewRecorder()
		w.ServeHTTP(got, r)
		if w.invoked == nil {
			if got.Code != http.StatusForbidden {
				t.Fatalf("refused with %d", got.Code)
			}
			return
		}
		carried, _ := w.event["body"].(string)
		if w.event["isBase64Encoded"] == true {
			decoded, err := base64.StdEncoding.DecodeString(carried)
			if err != nil {
				t.Fatal(err)
			}
			carried = string(decoded)
		}
		if carried != string(body) {
			t.Fatalf("the body %q became %q", body, carried)
		}
		if path := w.event["rawPath"].(string); !strings.HasPrefix(path, "/") {
			t.Fatalf("rawPath %q", path)
		}
	})
}

// Whatever a function returns, its caller gets a response that a client can read back.
func FuzzAnswer(f *testing.F) {
	for _, payload := range []string{
		`{"statusCode":200,"headers":{"a":"b","Vary":"c","connection":"a"},"cookies":["c=d"],"body":"AA==","isBase64Encoded":true}`,
		`{"statusCode":"599","headers":{"a":1e9,"b":null}}`, `"x"`, `null`, ``, `{"statusCode":200,"headers":{"a":"\u0000"}}`,
		`{"statusCode":204,"body":"x"}`, `{"statusCode":304,"headers":{"content-length":"5"}}`, `{"statusCode":-1}`,
	} {
		f.Add([]byte(payload), true)
	}
	f.Fuzz(func(t *testing.T, payload []byte, byPath bool) {
		a, err := parseAnswer(payload)
		if err != nil {
			return
		}
		rec := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		a.write(rec, r, &exchange{byPath: byPath, URL: router.URL{FunctionURL: &serin.FunctionURL{}}})
		if rec.Code < 200 || rec.Code > 599 {
			t.Fatalf("status %d", rec.Code)
		}
		for name, values := range rec.Header() {
			for _, v := range values {
				if !isToken(name) || strings.ContainsAny(v, "\r\n\x00") {
					t.Fatalf("header %q: %q", name, v)
				}
			}
		}
		if rec.Code != 204 && rec.Code != 304 && rec.Body.String() != string(a.body) {
			t.Fatalf("body %q, want %q", rec.Body, a.body)
		}
	})
}
