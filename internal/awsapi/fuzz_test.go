package awsapi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Whatever stands in the headers and the query, nobody gets in and nothing panics.
func FuzzAuthorizationHeader(f *testing.F) {
	const valid = "AWS4-HMAC-SHA256 Credential=AKIDSERINTEST/20260101/eu-central-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature="
	f.Add(valid+strings.Repeat("0", 64), "20260101T120000Z", "", "")
	f.Add(valid, "20260101T120000.5Z", "", strings.Repeat("0", 64))
	f.Add("", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDSERINTEST/20260101/eu-central-1/lambda/aws4_request&X-Amz-Date=20260101T120000Z&X-Amz-Expires=9&X-Amz-SignedHeaders=host%0Ax&X-Amz-Signature=0", "")
	f.Add("AWS4-HMAC-SHA256 ,,=,Credential=////,SignedHeaders=;;;,Signature==", "Thu, 01 Jan 2026 12:00:00 GMT", "%", "UNSIGNED-PAYLOAD")
	f.Add("AWS4-HMAC-SHA256", "", "X-Amz-Signature", "")
	auth := testAuth(clockAt(noon))
	f.Fuzz(func(t *testing.T, authorization, date, query, hash string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
		r.URL.RawQuery = query
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		r.Header.Set("X-Amz-Content-Sha256", hash)
		actor, body, err := auth.Authenticate(r, 1<<10)
		if err == nil || actor != "" || body != nil {
			t.Fatalf("%q was let in", actor)
		}
		if e := asWireError(err, ""); e.status >= http.StatusInternalServerError {
			t.Errorf("%d %v", e.status, err)
		}
	})
}

// Every request that the SDK's signer can sign is accepted as it arrives at a server, and is not once a
// byte of what was signed has changed.
func FuzzSignaturesOfTheSDK(f *testing.F) {
	f.Add("/2015-03-31/functions/f:$LATEST/x", "Qualifier=1", "a  b", "{}", false)
	f.Add("/2017-03-31/tags/arn%3Aaws%3Alambda%2Fx", "tagKeys=a&tagKeys=A&tagKeys=%2F&tagKeys=-&x", "", "", false)
	f.Add("//a/../b/", "a=%20+&b==&%3D=%26", "q\"  x", "\x00", true)
	f.Add("", "", "é", "", true)
	auth := testAuth(clockAt(noon))
	credentials := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
	f.Fuzz(func(t *testing.T, path, query, header, body string, presigned bool) {
		u, err := url.Parse("http://localhost:4750" + path)
		if err != nil || u.Host != "localhost:4750" || u.RawQuery != "" || u.Fragment != "" || u.RawFragment != "" {
			t.Skip("not a path")
		}
		if _, err := url.ParseQuery(query); err != nil || strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }) {
			t.Skip("not a query")
		}
		if strings.Contains(query, "X-Amz-") || strings.ContainsFunc(header, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Skip("not a header")
		}
		u.RawQuery = query
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u.String(), strings.NewReader(body))
		if err != nil {
			t.Skip("not a request")
		}
		r.Header.Set("X-Amz-Meta-Fuzz", header)
		if presigned {
			signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), credentials, r, hashOf([]byte(body)), "lambda", testRegion, noon)
			if err != nil {
				t.Skip(err)
			}
			if r.URL, err = url.Parse(signed); err != nil {
				t.Skip(err)
			}
		} else if err := v4.NewSigner().SignHTTP(t.Context(), credentials, r, hashOf([]byte(body)), "lambda", testRegion, noon); err != nil {
			t.Skip(err)
		}
		arrived := received(t, r)
		actor, got, err := auth.Authenticate(arrived, 1<<20)
		if err != nil || actor != testKey || string(got) != body {
			t.Fatalf("%s: %q %q %v", r.URL, actor, got, err)
		}
		forged := received(t, reader(r, body+"x"))
		if _, _, err := auth.Authenticate(forged, 1<<20); !errors.Is(err, errSignature) {
			t.Fatalf("%s: another body: %v", r.URL, err)
		}
		forged = received(t, reader(r, body))
		forged.URL.Path += "x"
		forged.URL.RawPath = ""
		if _, _, err := auth.Authenticate(forged, 1<<20); !errors.Is(err, errSignature) {
			t.Fatalf("%s: another path: %v", r.URL, err)
		}
	})
}

// reader is the request with another body.
func reader(r *http.Request, body string) *http.Request {
	c := r.Clone(r.Context())
	c.Body = http.NoBody
	c.ContentLength = int64(len(body))
	if body != "" {
		c.Body = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)).Body
	}
	return c
}

// BenchmarkVerifySigV4 measures a signature over a body of 1 KiB: verified here, and, for comparison, made again
// by the SDK's signer on a copy of the request.
func BenchmarkVerifySigV4(b *testing.B) {
	auth := testAuth(clockAt(noon))
	r := signedRequest(b, strings.Repeat("x", 1024), nil, nil)
	hash := hashOf([]byte(strings.Repeat("x", 1024)))
	b.Run("serin", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			query, err := queryOf(r.URL)
			if err != nil {
				b.Fatal(err)
			}
			c, err := auth.claimOf(r, query)
			if err != nil || !auth.signed(r, query, c, hash) {
				b.Fatal(err)
			}
		}
	})
	b.Run("sdk", func(b *testing.B) {
		b.ReportAllocs()
		signer := v4.NewSigner()
		credentials := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
		want := r.Header.Get("Authorization")
		for b.Loop() {
			again := r.Clone(b.Context())
			again.Header.Del("Authorization")
			if err := signer.SignHTTP(b.Context(), credentials, again, hash, "lambda", testRegion, noon); err != nil || again.Header.Get("Authorization") != want {
				b.Fatal(err, again.Header, want)
			}
		}
	})
}
