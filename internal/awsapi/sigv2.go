package awsapi

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // as the signature is defined; HMAC does not need a hash without collisions
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// signedByV2 reports whether a URL of S3 is presigned by the older signature, which the first version of the aws command line still
// makes for us-east-1.
func signedByV2(rawQuery string) bool {
	return strings.Contains(rawQuery, "AWSAccessKeyId=") && strings.Contains(rawQuery, "Signature=")
}

// resourceParameters are the parameters of a query that take part in the older signature.
var resourceParameters = []string{
	"acl", "cors", "delete", "lifecycle", "location", "logging", "notification", "partNumber", "policy", "requestPayment",
	"response-cache-control", "response-content-disposition", "response-content-encoding", "response-content-language",
	"response-content-type", "response-expires", "restore", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning",
	"versions", "website",
}

// authenticateV2 verifies a URL that is presigned by the older signature. bucket is the one that the host names, or "".
func (a *Authenticator) authenticateV2(r *http.Request, query url.Values, bucket string) (actor string, err error) {
	key := query.Get("AWSAccessKeyId")
	secret, err := a.secretOf(r, key)
	if err != nil {
		return "", err
	}
	expires, err := strconv.ParseInt(query.Get("Expires"), 10, 64)
	if err != nil {
		return "", frontEndError("AccessDenied", http.StatusForbidden, "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
	}
	if a.cfg.Now().After(time.Unix(expires, 0)) {
		return "", frontEndError("AccessDenied", http.StatusForbidden, "Request has expired")
	}
	mac := hmac.New(sha1.New, []byte(secret))
	_, _ = mac.Write([]byte(stringToSignV2(r, query, bucket))) // a hash takes every write
	given, err := base64.StdEncoding.DecodeString(query.Get("Signature"))
	if err != nil || !hmac.Equal(given, mac.Sum(nil)) {
		return "", errSignature
	}
	return key, nil
}

func stringToSignV2(r *http.Request, query url.Values, bucket string) string {
	var b strings.Builder
	for _, part := range []string{r.Method, r.Header.Get("Content-Md5"), r.Header.Get("Content-Type"), query.Get("Expires")} {
		b.WriteString(part + "\n")
	}
	var headers []string
	for name, values := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			headers = append(headers, name+":"+strings.Join(values, ",")+"\n")
		}
	}
	if token := query.Get("x-amz-security-token"); token != "" {
		headers = append(headers, "x-amz-security-token:"+token+"\n")
	}
	slices.Sort(headers)
	b.WriteString(strings.Join(headers, ""))
	if bucket != "" {
		b.WriteString("/" + bucket)
	}
	b.WriteString(r.URL.EscapedPath())
	separator := "?"
	for _, name := range resourceParameters {
		if query.Has(name) {
			b.WriteString(separator + name)
			if v := query.Get(name); v != "" {
				b.WriteString("=" + v)
			}
			separator = "&"
		}
	}
	return b.String()
}
