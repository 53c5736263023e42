package awsapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The example of the S3 documentation ("Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks").
const (
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

func exampleAPI(next http.HandlerFunc) *API {
	auth := NewAuthenticator(AuthConfig{
		Credentials: func(id string) (string, bool) { return exampleSecret, id == exampleKey },
		Region:      "us-east-1", Now: clockAt(time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)),
	})
	return New(Config{Auth: auth, Lambda: &fakeLambda{}, S3: next})
}

// exampleChunks is the body of the example: 66560 times the letter a.
func exampleChunks() string {
	chunk := func(n int, signature string) string {
		return fmt.Sprintf("%x;chunk-signature=%s\r\n%s\r\n", n, signature, strings.Repeat("a", n))
	}
	return chunk(65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648") +
		chunk(1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497") +
		chunk(0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9")
}

func exampleRequest(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPut, "/examplebucket/chunkObject.txt", strings.NewReader(body))
	r.Host = "s3.amazonaws.com"
	for name, value := range map[string]string{
		"X-Amz-Date": "20130524T000000Z", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY", "Content-Encoding": "aws-chunked",
		"X-Amz-Content-Sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "X-Amz-Decoded-Content-Length": "66560", "Content-Length": "66824",
		"Authorization": "AWS4-HMAC-SHA256 Credential=" + exampleKey + "/20130524/us-east-1/s3/aws4_request," +
			"SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class," +
			"Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
	} {
		r.Header.Set(name, value)
	}
	return r
}

func TestChunksOfTheDocumentation(t *testing.T) {
	for name, c := range map[string]struct {
		change func(string) string
		want   string // of the error
	}{
		"as it is":        {func(s string) string { return s }, ""},
		"another byte":    {func(s string) string { return strings.Replace(s, "aaaa", "aaab", 1) }, "signature"},
		"a chunk removed": {func(s string) string { return s[:65536+100] }, "EOF"},
		"no last chunk":   {func(s string) string { return s[:strings.LastIndex(s, "0;chunk")] }, "EOF"},
	} {
		var body []byte
		var err error
		a := exampleAPI(func(_ http.ResponseWriter, r *http.Request) {
			// As gofakes3 reads: never past the length.
			body, err = io.ReadAll(io.LimitReader(r.Body, r.ContentLength))
		})
		w := do(a, exampleRequest(c.change(exampleChunks())))
		switch {
		case w.Code != http.StatusOK:
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		case c.want == "" && (err != nil || string(body) != strings.Repeat("a", 66560)):
			t.Errorf("%s: %d bytes, %v", name, len(body), err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTrailers(t *testing.T) {
	const crc = "x-amz-checksum-crc32:NhCmhg==\r\n" // of hello
	for name, c := range map[string]struct {
		body, want string
	}{
		"checksum":          {"5\r\nhello\r\n0\r\n" + crc + "\r\n", ""},
		"in two chunks":     {"2\r\nhe\r\n3\r\nllo\r\n0\r\n" + crc + "\r\n", ""},
		"no empty line":     {"5\r\nhello\r\n0\r\n" + crc, ""},
		"wrong checksum":    {"5\r\nhellO\r\n0\r\n" + crc + "\r\n", "CRC32"},
		"no checksum":       {"5\r\nhello\r\n0\r\n\r\n", "CRC32"},
		"too short":         {"4\r\nhell\r\n0\r\n" + crc + "\r\n", "EOF"},
		"too long":          {"6\r\nhelloo\r\n0\r\n" + crc + "\r\n", "longer"},
		"more chunks":       {"5\r\nhello\r\n1\r\nx\r\n0\r\n" + crc + "\r\n", "longer"},
		"no chunks":         {"hello", "EOF"},
		"negative":          {"-5\r\nhello\r\n0\r\n", "hexadecimal"},
		"long line":         {strings.Repeat("5", 100000) + "\r\n", "too long"},
		"too many trailers": {"5\r\nhello\r\n0\r\n" + strings.Repeat("a:b\r\n", 100), "too many"},
	} {
		r := httptest.NewRequest(http.MethodPut, "/b/k", strings.NewReader(c.body))
		r.Header.Set(headerTrailer, "x-amz-checksum-crc32")
		r.Header.Set(headerDecodedLength, "5")
		r.Body = newS3Body(r, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", nil)
		_, err := decodeS3Body(t.Context(), r)
		var body []byte
		if err == nil {
			body, err = io.ReadAll(io.LimitReader(r.Body, r.ContentLength))
		}
		switch {
		case c.want == "" && (err != nil || string(body) != "hello"):
			t.Errorf("%s: %q, %v", name, body, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

// Whatever the bytes are, a body ends, is never longer than it says, and what ends well was coded well.
func FuzzS3Body(f *testing.F) {
	for _, seed := range []string{"5\r\nhello\r\n0\r\n\r\n", "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", exampleChunks()[:100], "hello", ""} {
		f.Add(seed, "5", true)
		f.Add(seed, "", false)
	}
	f.Fuzz(func(t *testing.T, text, length string, chunked bool) {
		r := httptest.NewRequest(http.MethodPut, "/b/k?partNumber=1", strings.NewReader(text))
		r.Header.Set(headerTrailer, "x-amz-checksum-crc32")
		r.Header.Set(headerDecodedLength, length)
		declared := "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
		if !chunked {
			declared = unsignedPayload
		}
		r.Body = newS3Body(r, declared, nil)
		if _, err := decodeS3Body(t.Context(), r); err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if len(body) > len(text) {
			t.Fatalf("%d bytes of %d", len(body), len(text))
		}
		if r.ContentLength >= 0 && int64(len(body)) > r.ContentLength {
			t.Fatalf("%d bytes, %d announced", len(body), r.ContentLength)
		}
		if _, again := r.Body.Read(make([]byte, 1)); err == nil && !errors.Is(again, io.EOF) {
			t.Fatalf("after the end: %v", again)
		}
	})
}

func TestS3Targets(t *testing.T) {
	a := exampleAPI(nil)
	for target, want := range map[string]string{
		"http://s3.localhost/b/k":                                     "s3:",
		"http://b.s3.us-east-1.localhost/k":                           "s3:b",
		"http://a.b.s3.localhost:4750/k":                              "s3:a.b",
		"http://b.localhost/k?" + presignedS3:                         "s3:b",
		"http://127.0.0.1/b/k?" + presignedS3:                         "s3:",
		"http://b.localhost/k":                                        "",
		"http://127.0.0.1/2015-03-31/functions":                       "",
		"http://127.0.0.1/b/k?AWSAccessKeyId=a&Signature=b&Expires=1": "s3:",
	} {
		bucket, ok := a.s3Target(httptest.NewRequest(http.MethodGet, target, nil))
		got := ""
		if ok {
			got = "s3:" + bucket
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
}

const presignedS3 = "X-Amz-Credential=" + exampleKey + "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"

// Nobody without a key reads or writes an object.
func TestS3NeedsCredentials(t *testing.T) {
	a := exampleAPI(func(http.ResponseWriter, *http.Request) { t.Error("reached the objects") })
	forged := exampleRequest(exampleChunks())
	forged.Header.Set("Authorization", strings.Replace(forged.Header.Get("Authorization"), "Signature=4", "Signature=5", 1))
	stranger := exampleRequest("")
	stranger.Header.Set("Authorization", strings.ReplaceAll(stranger.Header.Get("Authorization"), exampleKey, "AKIDOTHER"))
	unhashed := exampleRequest("")
	unhashed.Header.Del("X-Amz-Content-Sha256")
	for name, c := range map[string]struct {
		r    *http.Request
		want string
	}{
		"no signature":    {httptest.NewRequest(http.MethodGet, "http://b.s3.localhost/k", nil), "<Code>AccessDenied</Code>"},
		"forged":          {forged, "<Code>SignatureDoesNotMatch</Code>"},
		"stranger":        {stranger, "<Code>InvalidAccessKeyId</Code>"},
		"no hash":         {unhashed, "<Code>InvalidRequest</Code>"},
		"old, forged":     {httptest.NewRequest(http.MethodGet, "http://localhost/b/k?AWSAccessKeyId="+exampleKey+"&Signature=AAAA&Expires=2000000000", nil), "<Code>SignatureDoesNotMatch</Code>"},
		"old, expired":    {httptest.NewRequest(http.MethodGet, "http://localhost/b/k?AWSAccessKeyId="+exampleKey+"&Signature=AAAA&Expires=1", nil), "expired"},
		"old, no expiry":  {httptest.NewRequest(http.MethodGet, "http://localhost/b/k?AWSAccessKeyId="+exampleKey+"&Signature=AAAA", nil), "<Code>AccessDenied</Code>"},
		"another service": {httptest.NewRequest(http.MethodGet, "http://b.s3.localhost/k?"+strings.Replace(presignedS3, "%2Fs3%2F", "%2Flambda%2F", 1)+"&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20130524T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=0", nil), "<Code>SignatureDoesNotMatch</Code>"},
	} {
		if w := do(a, c.r); w.Code < 400 || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
