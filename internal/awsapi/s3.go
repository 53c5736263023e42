package awsapi

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"serin"
)

// signingS3 is S3 in the scope of signatures.
const signingS3 = "s3"

const (
	headerContentSHA256 = "X-Amz-Content-Sha256"
	headerDecodedLength = "X-Amz-Decoded-Content-Length"
	headerTrailer       = "X-Amz-Trailer"

	unsignedPayload = "UNSIGNED-PAYLOAD"
)

// s3Target reports whether a request is for S3, and for which bucket if its host names one. Hosts are bucket.s3.REGION.localhost,
// bucket.s3.localhost, the same without a bucket and, if the signature is for S3, bucket.localhost and every other one.
func (a *API) s3Target(r *http.Request) (bucket string, ok bool) {
	host, _, _ := strings.Cut(strings.ToLower(r.Host), ":")
	below, local := strings.CutSuffix(host, ".localhost")
	if local {
		service := strings.TrimSuffix(below, "."+a.auth.cfg.Region)
		if service == signingS3 {
			return "", true
		}
		if bucket, ok = strings.CutSuffix(service, "."+signingS3); ok {
			return bucket, true
		}
	}
	// A look at the text spares the invocations of functions the parsing.
	const inScope = "/" + signingS3 + "/" + terminator
	if !strings.Contains(r.Header.Get("Authorization"), inScope) && !strings.Contains(r.URL.RawQuery, url.QueryEscape(inScope)) && !signedByV2(r.URL.RawQuery) {
		return "", false
	}
	if local {
		return below, true
	}
	return "", true
}

// serveS3 authenticates a request and passes it on in path style, with a body without its coding.
func (a *API) serveS3(w http.ResponseWriter, r *http.Request, bucket, requestID string) {
	w.Header().Set("X-Amz-Request-Id", requestID)
	query, err := queryOf(r.URL)
	var actor string
	if err == nil {
		actor, err = a.auth.authenticateS3(r, query, bucket)
	}
	if err != nil {
		drain(r, bodyLimit{bytes: maxOtherBody})
		writeS3Error(w, r, asWireError(err, requestID), requestID)
		return
	}
	ctx := serin.WithActor(r.Context(), a.auth.nameOf(r, actor))
	if ctx, err = decodeS3Body(ctx, r); err != nil {
		drain(r, bodyLimit{bytes: maxOtherBody})
		writeS3Error(w, r, asWireError(err, requestID), requestID)
		return
	}
	r = r.WithContext(ctx)
	if bucket != "" {
		u := *r.URL
		u.Path, u.RawPath = "/"+bucket+u.Path, ""
		r.URL = &u
	}
	a.s3.ServeHTTP(w, r)
}

// authenticateS3 returns who signed the headers of a request. The body is replaced by one that ends in an error if it is not the
// one that was signed.
func (a *Authenticator) authenticateS3(r *http.Request, query url.Values, bucket string) (actor string, err error) {
	declared := r.Header.Get(headerContentSHA256)
	if a.cfg.NoAuth {
		if err := RefuseForeignPages(r); err != nil {
			return "", err
		}
		r.Body = newS3Body(r, declared, nil)
		return Anonymous, nil
	}
	if signedByV2(r.URL.RawQuery) && r.Header.Get("Authorization") == "" {
		r.Body = newS3Body(r, unsignedPayload, nil)
		return a.authenticateV2(r, query, bucket)
	}
	c, err := a.claimOf(r, query)
	if err != nil {
		return "", err
	}
	if c.scope.service != signingS3 {
		return "", invalidSignature("Credential should be scoped to correct service: '%s'.", signingS3)
	}
	if c.presigned && declared == "" {
		declared = unsignedPayload
	}
	if declared == "" {
		return "", frontEndError("InvalidRequest", http.StatusBadRequest, "Missing required header for this request: x-amz-content-sha256")
	}
	if !a.signed(r, query, c, declared) {
		return "", errSignature
	}
	key, _ := a.keys.get(c)
	r.Body = newS3Body(r, declared, &chunkSigner{
		key: key, date: c.date, previous: c.signature,
		scope: strings.Join([]string{c.scope.date, c.scope.region, c.scope.service, terminator}, "/"),
	})
	return c.accessKeyID, nil
}

// s3Codes are the names that S3 has for the errors of the front end.
var s3Codes = map[string]string{
	"MissingAuthenticationTokenException": "AccessDenied",
	"UnrecognizedClientException":         "InvalidAccessKeyId",
	"InvalidSignatureException":           "SignatureDoesNotMatch",
	"IncompleteSignatureException":        "AuthorizationHeaderMalformed",
	"AccessDeniedException":               "AccessDenied",
	"ValidationException":                 "InvalidArgument",
	"ServiceException":                    "InternalError",
	"ExpiredTokenException":               "ExpiredToken",
}

func writeS3Error(w http.ResponseWriter, r *http.Request, e *wireError, requestID string) {
	var b bytes.Buffer
	b.WriteString(xml.Header + "<Error><Code>" + orDefault(s3Codes[e.name], e.name) + "</Code><Message>")
	// A bytes.Buffer takes every write.
	_ = xml.EscapeText(&b, []byte(e.message))
	b.WriteString("</Message><RequestId>" + requestID + "</RequestId></Error>")
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
		w.WriteHeader(e.status)
		return
	}
	writeBody(w, e.status, "application/xml", b.Bytes())
}
