package awsapi

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"
	"github.com/go-json-experiment/json/jsontext"

	"serin"
)

// exception is the wire form of one kind of error.
type exception struct {
	name          string
	status        int
	messageMember string // "message" or "Message"
	hasType       bool   // the body says whose fault it is: Type "User" or "Service"
	hasReason     bool
	queryCode     string // of the query protocol, if it is not the name
}

// exceptions says, kind by kind, what a caller of Lambda receives. Those that the SDK models take
// status and member names from its schemas; the others are as AWS's front end sends them.
var exceptions = map[serin.Kind]exception{
	serin.KindInvalid:        modelled("InvalidParameterValueException"),
	serin.KindContent:        modelled("InvalidRequestContentException"),
	serin.KindStorage:        modelled("CodeStorageExceededException"),
	serin.KindPolicyLength:   modelled("PolicyLengthExceededException"),
	serin.KindNotFound:       modelled("ResourceNotFoundException"),
	serin.KindNotProvisioned: modelled("ProvisionedConcurrencyConfigNotFoundException"),
	serin.KindConflict:       modelled("ResourceConflictException"),
	serin.KindPrecondition:   modelled("PreconditionFailedException"),
	serin.KindThrottled:      modelled("TooManyRequestsException"),
	serin.KindInternal:       modelled("ServiceException"),
	serin.KindValidation:     {name: "ValidationException", status: http.StatusBadRequest, messageMember: "message"},
	serin.KindDenied:         {name: "AccessDeniedException", status: http.StatusForbidden, messageMember: "Message"},
	serin.KindTooLarge:       {name: "RequestEntityTooLargeException", status: http.StatusRequestEntityTooLarge, messageMember: "message", hasType: true},
	serin.KindNotImplemented: {name: "NotImplementedException", status: http.StatusNotImplemented, messageMember: "message", hasType: true},
}

// modelled reads an exception from its schema. It panics if the SDK does not know the name.
func modelled(name string) exception {
	entry, ok := lambda.TypeRegistry.LookupEntry("com.amazonaws.lambda#" + name)
	if !ok {
		panic("awsapi: the SDK has no exception " + name)
	}
	e := exception{name: name, status: http.StatusBadRequest, messageMember: "message"}
	if t, ok := smithy.SchemaTrait[*traits.HTTPError](entry.Schema); ok {
		e.status = t.Code
	}
	if entry.Schema.Member("Message") != nil {
		e.messageMember = "Message"
	}
	e.hasType = entry.Schema.Member("Type") != nil
	e.hasReason = entry.Schema.Member("Reason") != nil
	return e
}

// frontEndError makes an error that no domain rule stands behind: authentication and routing.
func frontEndError(name string, status int, message string) *wireError {
	return &wireError{exception: exception{name: name, status: status, messageMember: "message"}, message: message}
}

// wireError is an error as its caller will read it.
type wireError struct {
	exception

	message string
	reason  string
	cause   error // what is for the log alone
}

// Error returns the exception's name and the message.
func (e *wireError) Error() string { return e.name + ": " + e.message }

// fault says who has to act: the caller or the server.
func (e *wireError) fault() string {
	if e.status >= http.StatusInternalServerError {
		return "Service"
	}
	return "User"
}

// body returns the JSON that Lambda sends for the error.
func (e *wireError) body() []byte {
	b := []byte{'{'}
	if e.hasReason && e.reason != "" && e.reason != serin.ReasonUntyped {
		b = appendMember(b, "Reason", e.reason)
	}
	if e.hasType && e.reason != serin.ReasonUntyped {
		b = appendMember(b, "Type", e.fault())
	}
	b = appendMember(b, e.messageMember, e.message)
	return append(b, '}')
}

// appendMember appends one string member to an open JSON object.
func appendMember(b []byte, name, value string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = strconv.AppendQuote(b, name)
	b = append(b, ':')
	// AppendQuote fails on invalid UTF-8 alone, which is replaced first.
	b, _ = jsontext.AppendQuote(b, strings.ToValidUTF8(value, "\uFFFD"))
	return b
}

// asWireError returns the error as its caller will read it. Only the message of a [serin.Error] or of
// this package's own errors reaches the wire: the text that wraps it, and any other error, is for the log.
func asWireError(err error, requestID string) *wireError {
	if e, ok := errors.AsType[*wireError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*serin.Error](err); ok {
		if ex, known := exceptions[e.Kind]; known {
			return &wireError{exception: ex, message: e.Message, reason: e.Reason}
		}
	}
	return &wireError{
		exception: exceptions[serin.KindInternal],
		message:   "The server could not complete the request. Its log has the cause under request id " + requestID + ".",
	}
}

// WriteError answers a request with an error in Lambda's JSON form: the answer for every [serin.Error],
// for what [Authenticator.Authenticate] returns, and a ServiceException that hides its cause for any other.
func WriteError(w http.ResponseWriter, err error) {
	writeRESTError(w, asWireError(err, w.Header().Get(headerRequestID)))
}

func writeRESTError(w http.ResponseWriter, e *wireError) {
	w.Header().Set("X-Amzn-Errortype", e.name)
	writeBody(w, e.status, "application/json", e.body())
}

// writeBody writes a whole reply. Its length is always declared, so that no reply is chunked.
func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// A caller that has gone away cannot be told so.
	_, _ = w.Write(body)
}
