package awsapi

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func clockAt(t time.Time) func() time.Time { return func() time.Time { return t } }

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// received sends a client's request over the wire format and returns what a server's handler gets.
func received(tb testing.TB, r *http.Request) *http.Request {
	tb.Helper()
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		tb.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

// signedRequest is a request of the SDK's signer as a server's handler gets it, changed before it is signed
// and after.
func signedRequest(tb testing.TB, body string, before, after func(*http.Request)) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPut, "http://localhost:4750/2015-03-31/functions/f%3A%24LATEST/code?b=2&a=1%202", strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if before != nil {
		before(r)
	}
	signWithSDK(tb, r, []byte(body), noon)
	if after != nil {
		after(r)
	}
	return received(tb, r)
}

func set(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// edit changes the Authorization header after signing.
func edit(old, replacement string) func(*http.Request) {
	return func(r *http.Request) {
		was := r.Header.Get("Authorization")
		r.Header.Set("Authorization", strings.Replace(was, old, replacement, 1))
		if r.Header.Get("Authorization") == was {
			panic("edit changed nothing: " + was)
		}
	}
}

func TestAcceptedSignatures(t *testing.T) {
	for name, c := range map[string]struct {
		at            time.Time
		before, after func(*http.Request)
	}{
		"plain":            {at: noon},
		"oldest":           {at: noon.Add(5 * time.Minute)},
		"newest":           {at: noon.Add(-5 * time.Minute)},
		"unsigned headers": {at: noon, after: func(r *http.Request) { set("X-Later", "1")(r); set("User-Agent", "x")(r) }},
		"declared hash":    {at: noon, before: set("X-Amz-Content-Sha256", hashOf([]byte("body")))},
		"blanks":           {at: noon, before: func(r *http.Request) { r.Header["X-Amz-Two"] = []string{"  a   b ", "c"} }},
		"session token":    {at: noon, before: set("X-Amz-Security-Token", "ignored")},
		"no blanks": {at: noon, after: func(r *http.Request) {
			edit(", SignedHeaders", ",SignedHeaders")(r)
			edit(", Signature", ",Signature")(r)
		}},
	} {
		r := signedRequest(t, "body", c.before, c.after)
		actor, body, err := testAuth(clockAt(c.at)).Authenticate(r, 1<<20)
		if err != nil || actor != testKey || string(body) != "body" {
			t.Errorf("%s: %q %q %v", name, actor, body, err)
		}
	}
}

const mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

func TestRefusedSignatures(t *testing.T) {
	for _, c := range []struct {
		what          string
		at            time.Time
		before, after func(*http.Request)
		name          string
		status        int
		message       string
	}{
		{"no header", noon, nil, func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAuthenticationTokenException", 403, "Missing Authentication Token"},
		{"unknown key", noon, nil, edit(testKey, "AKIDOTHER"), "UnrecognizedClientException", 403, "The security token included in the request is invalid."},
		{"empty key", noon, nil, edit(testKey, ""), "UnrecognizedClientException", 403, "The security token included in the request is invalid."},
		{"other signature", noon, nil, edit("Signature=", "Signature=0"), "InvalidSignatureException", 403, mismatch},
		{"changed body", noon, nil, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("Body")) }, "InvalidSignatureException", 403, mismatch},
		{"changed method", noon, nil, func(r *http.Request) { r.Method = http.MethodPost }, "InvalidSignatureException", 403, mismatch},
		{"changed path", noon, nil, func(r *http.Request) { r.URL.RawPath = ""; r.URL.Path = "/2015-03-31/functions/g/code" }, "InvalidSignatureException", 403, mismatch},
		{"changed query", noon, nil, func(r *http.Request) { r.URL.RawQuery += "&c=3" }, "InvalidSignatureException", 403, mismatch},
		{"changed host", noon, nil, func(r *http.Request) { r.Host = "localhost:4751" }, "InvalidSignatureException", 403, mismatch},
		{"changed header", noon, nil, set("Content-Type", "text/plain"), "InvalidSignatureException", 403, mismatch},
		{"removed header", noon, nil, func(r *http.Request) { r.Header.Del("Content-Type") }, "InvalidSignatureException", 403, mismatch},
		{"changed date", noon, nil, set("X-Amz-Date", "20260101T120001Z"), "InvalidSignatureException", 403, mismatch},
		{"fewer headers", noon, nil, edit("content-type;", ""), "InvalidSignatureException", 403, mismatch},
		{"other service", noon, nil, edit("/lambda/", "/s3/"), "InvalidSignatureException", 403, mismatch},
		{"host not signed", noon, nil, edit("host;", ""), "InvalidSignatureException", 403, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{"other region", noon, nil, edit(testRegion, "us-east-1"), "InvalidSignatureException", 403, "Credential should be scoped to a valid region."},
		{"other terminator", noon, nil, edit("aws4_request", "aws5_request"), "InvalidSignatureException", 403, "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."},
		{"other date in scope", noon, nil, edit("20260101", "20251231"), "InvalidSignatureException", 403, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20251231' != '20260101', from '20260101T120000Z'."},
		{"too old", noon.Add(15 * time.Minute), nil, nil, "InvalidSignatureException", 403, "Signature expired: 20260101T120000Z is now earlier than 20260101T121000Z (20260101T121500Z - 5 min.)"},
		{"from the future", noon.Add(-15 * time.Minute), nil, nil, "InvalidSignatureException", 403, "Signature not yet current: 20260101T120000Z is still later than 20260101T115000Z (20260101T114500Z + 5 min.)"},
		{"unsigned payload", noon, set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), nil, "InvalidSignatureException", 403, "X-Amz-Content-Sha256 must be the SHA-256 of the body: a payload that is not signed is not accepted."},
		{"hash of another body", noon, set("X-Amz-Content-Sha256", hashOf([]byte("other"))), nil, "InvalidSignatureException", 403, mismatch},
		{"hash of another body, signed so", noon, set("X-Amz-Content-Sha256", hashOf([]byte("body"))), func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("Body")) }, "InvalidSignatureException", 403, mismatch},
		{"other scheme", noon, nil, set("Authorization", "Bearer abc"), "IncompleteSignatureException", 400, "Unsupported AWS 'algorithm': 'Bearer'."},
		{"asymmetric", noon, nil, edit("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), "IncompleteSignatureException", 400, "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'."},
		{"no fields", noon, nil, set("Authorization", "AWS4-HMAC-SHA256 Credential"), "IncompleteSignatureException", 400, "'Credential' not a valid key=value pair (missing equal-sign) in Authorization header."},
		{"no signature, no date", noon, nil, func(r *http.Request) { edit("Signature=", "S=")(r); r.Header.Del("X-Amz-Date") }, "IncompleteSignatureException", 400, "Authorization header requires 'Signature' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."},
		{"short credential", noon, nil, edit("/aws4_request", ""), "IncompleteSignatureException", 400, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'AKIDSERINTEST/20260101/eu-central-1/lambda'"},
		{"other form of date", noon, nil, set("X-Amz-Date", "2026-01-01T12:00:00Z"), "IncompleteSignatureException", 400, "Date must be in ISO-8601 'basic format'. Got '2026-01-01T12:00:00Z'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"date with a fraction", noon, nil, set("X-Amz-Date", "20260101T120000.1Z"), "IncompleteSignatureException", 400, "Date must be in ISO-8601 'basic format'. Got '20260101T120000.1Z'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"header names that are none", noon, nil, edit("host;", "Host;"), "IncompleteSignatureException", 400, "SignedHeaders must be names in lower case, separated by semicolons. Got 'content-length;content-type;Host;x-amz-date'"},
	} {
		r := signedRequest(t, "body", c.before, nil)
		if c.after != nil {
			c.after(r)
		}
		a := New(Config{Auth: testAuth(clockAt(c.at)), Lambda: &fakeLambda{err: errors.New("reached the backend")}})
		w := do(a, r)
		want := `{"message":"` + c.message + `"}`
		if w.Code != c.status || w.Header().Get("x-amzn-ErrorType") != c.name || w.Body.String() != want {
			t.Errorf("%s: %d %s %s\nwant %d %s %s", c.what, w.Code, w.Header().Get("x-amzn-ErrorType"), w.Body, c.status, c.name, want)
		}
	}
}

func TestPresigned(t *testing.T) {
	presign := func(expires string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost:4750/2015-03-31/functions/f%3Alive?Qualifier=live"+expires, nil)
		if err != nil {
			t.Fatal(err)
		}
		credentials := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
		uri, _, err := v4.NewSigner().PresignHTTP(t.Context(), credentials, r, hashOf(nil), "lambda", testRegion, noon)
		if err != nil {
			t.Fatal(err)
		}
		return httptest.NewRequest(http.MethodGet, uri, nil)
	}
	for _, c := range []struct {
		expires string
		at      time.Time
		change  func(string) string
		want    string
	}{
		{"", noon.Add(5 * time.Minute), nil, ""},
		{"", noon.Add(6 * time.Minute), nil, "Signature expired: 20260101T120000Z is now earlier than 20260101T120100Z (20260101T120600Z - 5 min.)"},
		{"&X-Amz-Expires=90", noon.Add(90 * time.Second), nil, ""},
		{"&X-Amz-Expires=90", noon.Add(91 * time.Second), nil, "Signature expired: 20260101T120000Z is now earlier than 20260101T120001Z (20260101T120131Z - 90 sec.)"},
		{"&X-Amz-Expires=604800", noon.Add(7 * 24 * time.Hour), nil, ""},
		{"&X-Amz-Expires=604801", noon, nil, "X-Amz-Expires must be a number of seconds between 1 and 604800."},
		{"&X-Amz-Expires=-1", noon, nil, "X-Amz-Expires must be a number of seconds between 1 and 604800."},
		{"&X-Amz-Expires=soon", noon, nil, "X-Amz-Expires must be a number of seconds between 1 and 604800."},
		{"&X-Amz-Expires=604800", noon.Add(-6 * time.Minute), nil, "Signature not yet current: 20260101T120000Z is still later than 20260101T115900Z (20260101T115400Z + 5 min.)"},
		{"", noon, func(q string) string { return strings.Replace(q, "Qualifier=live", "Qualifier=2", 1) }, mismatch},
		{"", noon, func(q string) string { return q + "&x=" }, mismatch},
		{"", noon, func(q string) string { return strings.Replace(q, "X-Amz-Signature=", "X-Amz-Signature=0", 1) }, mismatch},
		{"", noon, func(q string) string { return strings.Replace(q, "X-Amz-Signature=", "Y=", 1) }, "AWS query-string parameters must include 'X-Amz-Signature'. Re-examine the query-string parameters."},
		{"", noon, func(q string) string { return strings.Replace(q, "X-Amz-Algorithm=AWS4", "X-Amz-Algorithm=AWS5", 1) }, "Unsupported AWS 'algorithm': 'AWS5-HMAC-SHA256'."},
		{"", noon, func(q string) string { return strings.Replace(q, testKey, "AKIDOTHER", 1) }, "The security token included in the request is invalid."},
	} {
		r := presign(c.expires)
		if c.change != nil {
			r.URL.RawQuery = c.change(r.URL.RawQuery)
		}
		actor, _, err := testAuth(clockAt(c.at)).Authenticate(r, 1<<20)
		if c.want == "" && (err != nil || actor != testKey) {
			t.Errorf("%q at %v: %q %v", c.expires, c.at, actor, err)
		}
		if e, ok := errors.AsType[*wireError](err); c.want != "" && (!ok || e.message != c.want) {
			t.Errorf("%s: %v, want %s", r.URL, err, c.want)
		}
	}
}
