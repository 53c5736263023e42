package awsapi

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"serin"
)

// protocol is one of the ways in which AWS clients put operations into HTTP requests.
type protocol int

const (
	restJSON  protocol = iota // Lambda: method and path name the operation
	awsJSON10                 // POST / with X-Amz-Target
	awsJSON11
	awsQuery // a form, in the body or the query, with Action
	rpcCBOR  // POST /service/{service}/operation/{operation}
)

// protocolOf tells the protocol of a request by its headers and path.
func protocolOf(r *http.Request) protocol {
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-amz-json-1.0") {
			return awsJSON10
		}
		return awsJSON11
	case strings.HasPrefix(r.URL.Path, "/service/") && strings.Contains(r.URL.Path, "/operation/"):
		return rpcCBOR
	case r.URL.Path != "/" && r.URL.Path != "":
		return restJSON
	case strings.HasPrefix(r.URL.RawQuery, "Action=") || strings.Contains(r.URL.RawQuery, "&Action="),
		strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		return awsQuery
	default:
		return restJSON
	}
}

// notImplemented names the service and the operation that a request of another service asks for.
func (p protocol) notImplemented(r *http.Request, query url.Values, body []byte) error {
	var service, operation string
	switch p {
	case awsJSON10, awsJSON11:
		service, operation, _ = strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	case rpcCBOR:
		path := strings.TrimPrefix(r.URL.Path, "/service/")
		service, operation, _ = strings.Cut(path, "/operation/")
	case awsQuery:
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return serin.Errorf(serin.KindValidation, "The form in the body of the request is malformed.")
		}
		service = signedService(r, query)
		operation = orDefault(form.Get("Action"), query.Get("Action"))
	case restJSON:
	}
	return serin.Errorf(serin.KindNotImplemented, "Serin does not have the operation %s of the service %s.",
		orDefault(word(operation), "(unnamed)"), orDefault(word(service), "(unnamed)"))
}

// word returns s if it could be the name of a service or an operation, and "" otherwise.
func word(s string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."
	if len(s) > 128 || strings.Trim(s, letters) != "" {
		return ""
	}
	return s
}

// writeError answers a request of the protocol with an error.
func (p protocol) writeError(w http.ResponseWriter, r *http.Request, e *wireError, requestID string) {
	if r.Header.Get("X-Amzn-Query-Mode") == "true" {
		w.Header().Set("X-Amzn-Query-Error", e.code()+";"+queryFault(e))
	}
	switch p {
	case awsJSON10, awsJSON11:
		contentType := "application/x-amz-json-1.1"
		if p == awsJSON10 {
			contentType = "application/x-amz-json-1.0"
		}
		body := appendMember([]byte{'{'}, "__type", e.name)
		writeBody(w, e.status, contentType, append(appendMember(body, "message", e.message), '}'))
	case rpcCBOR:
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
		writeBody(w, e.status, "application/cbor", cborError(e))
	case awsQuery:
		writeBody(w, e.status, "text/xml", queryError(e, requestID))
	case restJSON:
		writeRESTError(w, e)
	}
}

func cborError(e *wireError) []byte {
	// Strings can always be encoded.
	b, _ := cbor.Marshal(struct {
		Type    string `cbor:"__type"`
		Message string `cbor:"message"`
	}{e.name, strings.ToValidUTF8(e.message, "\uFFFD")})
	return b
}

func queryFault(e *wireError) string {
	if e.status >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

// code is the name of an error in the query protocol.
func (e *wireError) code() string { return orDefault(e.queryCode, e.name) }

// queryError returns the XML of an error of the query protocol.
func queryError(e *wireError, requestID string) []byte {
	// Services of the query protocol have older names for the errors of authentication.
	code := e.code()
	switch code {
	case "MissingAuthenticationTokenException":
		code = "MissingAuthenticationToken"
	case "UnrecognizedClientException":
		code = "InvalidClientTokenId"
	case "InvalidSignatureException":
		code = "SignatureDoesNotMatch"
	case "ExpiredTokenException":
		code = "ExpiredToken"
	case "IncompleteSignatureException":
		code = "IncompleteSignature"
	default:
	}
	var b bytes.Buffer
	b.WriteString("<ErrorResponse><Error><Type>" + queryFault(e) + "</Type><Code>" + code + "</Code><Message>")
	// A bytes.Buffer takes every write.
	_ = xml.EscapeText(&b, []byte(e.message))
	b.WriteString("</Message></Error><RequestId>" + requestID + "</RequestId></ErrorResponse>")
	return b.Bytes()
}
