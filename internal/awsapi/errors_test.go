package awsapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/encoding/cbor"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"

	"serin"
)

// wireErrors are the errors of the domain as they must look on the wire.
var wireErrors = []struct {
	err    *serin.Error
	status int
	name   string
	body   string
}{
	{serin.Errorf(serin.KindInvalid, "m"), 400, "InvalidParameterValueException", `{"Type":"User","message":"m"}`},
	{&serin.Error{Kind: serin.KindInvalid, Reason: serin.ReasonUntyped, Message: "m"}, 400, "InvalidParameterValueException", `{"message":"m"}`},
	{serin.Errorf(serin.KindValidation, "m"), 400, "ValidationException", `{"message":"m"}`},
	{serin.Errorf(serin.KindContent, "m"), 400, "InvalidRequestContentException", `{"Type":"User","message":"m"}`},
	{serin.Errorf(serin.KindStorage, "m"), 400, "CodeStorageExceededException", `{"Type":"User","message":"m"}`},
	{serin.Errorf(serin.KindPolicyLength, "m"), 400, "PolicyLengthExceededException", `{"Type":"User","message":"m"}`},
	{serin.Errorf(serin.KindDenied, "m"), 403, "AccessDeniedException", `{"Message":"m"}`},
	{serin.Errorf(serin.KindNotFound, "Function not found: F:live"), 404, "ResourceNotFoundException", `{"Type":"User","Message":"Function not found: F:live"}`},
	{serin.Errorf(serin.KindNotProvisioned, "m"), 404, "ProvisionedConcurrencyConfigNotFoundException", `{"Type":"User","message":"m"}`},
	{serin.Errorf(serin.KindConflict, "Alias already exists: F:live"), 409, "ResourceConflictException", `{"Type":"User","message":"Alias already exists: F:live"}`},
	{serin.Errorf(serin.KindPrecondition, "m"), 412, "PreconditionFailedException", `{"Type":"User","message":"m"}`},
	{serin.Errorf(serin.KindTooLarge, "m"), 413, "RequestEntityTooLargeException", `{"Type":"User","message":"m"}`},
	{
		&serin.Error{Kind: serin.KindThrottled, Reason: "ReservedFunctionConcurrentInvocationLimitExceeded", Message: "Rate Exceeded."},
		429, "TooManyRequestsException", `{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`,
	},
	{serin.Errorf(serin.KindThrottled, "Rate Exceeded."), 429, "TooManyRequestsException", `{"Type":"User","message":"Rate Exceeded."}`},
	{serin.Errorf(serin.KindInternal, "m"), 500, "ServiceException", `{"Type":"Service","Message":"m"}`},
	{serin.Errorf(serin.KindNotImplemented, "m"), 501, "NotImplementedException", `{"Type":"Service","message":"m"}`},
	{serin.Errorf(serin.KindInvalid, "quote \" back \\ line \n <é> \xff \u2028"), 400, "InvalidParameterValueException", `{"Type":"User","message":"quote \" back \\ line \n <é> � ` + "\u2028" + `"}`},
}

func TestWireFormOfErrors(t *testing.T) {
	backend := &fakeLambda{}
	a := openAPI(backend, noInvoke)
	kinds := map[serin.Kind]bool{}
	for _, c := range wireErrors {
		kinds[c.err.Kind] = true
		backend.answers(nil, fmt.Errorf("load the function from shard 7: %w", c.err))
		w := do(a, httptest.NewRequest(http.MethodGet, "/2015-03-31/functions/f", nil))
		if w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%s: %d %s\nwant %d %s", c.name, w.Code, w.Body, c.status, c.body)
		}
		want := http.Header{
			"Content-Type": {"application/json"}, "X-Amzn-Errortype": {c.name},
			"Content-Length": {fmt.Sprint(len(c.body))}, "X-Amzn-Requestid": w.Header()["X-Amzn-Requestid"],
		}
		if diff := cmp.Diff(want, w.Header()); diff != "" || len(w.Header().Get("x-amzn-RequestId")) != 36 {
			t.Errorf("%s: headers (-want +got):\n%s%v", c.name, diff, w.Header())
		}
	}
	for kind := serin.KindInvalid; kind <= serin.KindNotImplemented; kind++ {
		if !kinds[kind] {
			t.Errorf("kind %d has no test", kind)
		}
	}
	if len(exceptions) != len(kinds) {
		t.Errorf("%d kinds have an exception, %d are tested", len(exceptions), len(kinds))
	}
}

// An error that is not the domain's is for the log alone.
func TestInternalErrorsStayInside(t *testing.T) {
	var log bytes.Buffer
	backend := &fakeLambda{}
	a := New(Config{
		Auth: NewAuthenticator(AuthConfig{NoAuth: true}), Lambda: backend, Invoke: noInvoke,
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	backend.answers(nil, errors.New("secret: disk /var/x is full"))
	w := do(a, httptest.NewRequest(http.MethodGet, "/2015-03-31/functions/f", nil))
	id := w.Header().Get("x-amzn-RequestId")
	want := `{"Type":"Service","Message":"The server could not complete the request. Its log has the cause under request id ` + id + `."}`
	if w.Code != http.StatusInternalServerError || w.Body.String() != want || w.Header().Get("x-amzn-ErrorType") != "ServiceException" {
		t.Errorf("%d %s\nwant %s", w.Code, w.Body, want)
	}
	if !strings.Contains(log.String(), "disk /var/x is full") || !strings.Contains(log.String(), id) {
		t.Errorf("the log lacks the cause or the request id: %s", log.String())
	}

	// A caller that hung up is no fault of the server.
	log.Reset()
	backend.answers(nil, context.Canceled)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	do(a, httptest.NewRequest(http.MethodGet, "/2015-03-31/functions/f", nil).WithContext(ctx))
	if log.Len() != 0 {
		t.Errorf("a caller that hung up is logged: %s", log.String())
	}
}

// Every operation reports errors so that the SDK's client gives its user the typed exception.
func TestErrorsThroughTheSDK(t *testing.T) {
	backend := &fakeLambda{}
	client := sdkClient(signedServer(t, backend, func(context.Context, InvokeRequest) (InvokeResponse, error) {
		return InvokeResponse{}, serin.Errorf(serin.KindNotFound, "no such thing")
	}))
	operations := exercises()
	operations = append(operations, exercise{name: "Invoke", fail: func(ctx context.Context, c *lambda.Client) error {
		name := "f"
		_, err := c.Invoke(ctx, &lambda.InvokeInput{FunctionName: &name})
		return err
	}})
	for _, e := range operations {
		backend.answers(nil, serin.Errorf(serin.KindNotFound, "no such thing"))
		err := e.fail(t.Context(), client)
		typed, ok := errors.AsType[*types.ResourceNotFoundException](err)
		if !ok || typed.ErrorMessage() != "no such thing" || *typed.Type != "User" {
			t.Errorf("%s: %v", e.name, err)
		}
	}

	for _, c := range wireErrors {
		backend.answers(nil, c.err)
		err := operations[1].fail(t.Context(), client)
		response, ok := errors.AsType[*smithyhttp.ResponseError](err)
		if !ok || response.HTTPStatusCode() != c.status {
			t.Errorf("%s: status of %v", c.name, err)
		}
		if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != c.name || api.ErrorMessage() != strings.ToValidUTF8(c.err.Message, "\uFFFD") {
			t.Errorf("%s: %v", c.name, err)
		}
		if throttled, ok := errors.AsType[*types.TooManyRequestsException](err); ok && string(throttled.Reason) != c.err.Reason {
			t.Errorf("%s: reason %q", c.name, throttled.Reason)
		}
	}
}

// Requests of other services are refused by name in the protocol that they came in.
func TestOtherServices(t *testing.T) {
	a := openAPI(&fakeLambda{}, noInvoke)
	for _, c := range []struct {
		name    string
		target  string
		header  map[string]string
		body    string
		content string
		want    string
	}{
		{
			"json 1.1", "/",
			map[string]string{"X-Amz-Target": "CodeDeploy_20141006.CreateDeployment", "Content-Type": "application/x-amz-json-1.1"},
			"{}",
			"application/x-amz-json-1.1", `{"__type":"NotImplementedException","message":"Serin does not have the operation CreateDeployment of the service CodeDeploy_20141006."}`,
		},
		{
			"json 1.0", "/",
			map[string]string{"X-Amz-Target": "GraniteServiceVersion20100801.ListMetrics", "Content-Type": "application/x-amz-json-1.0", "X-Amzn-Query-Mode": "true"},
			"{}",
			"application/x-amz-json-1.0", `{"__type":"NotImplementedException","message":"Serin does not have the operation ListMetrics of the service GraniteServiceVersion20100801."}`,
		},
		{
			"cbor", "/service/GraniteServiceVersion20100801/operation/ListMetrics",
			map[string]string{"Smithy-Protocol": "rpc-v2-cbor", "X-Amzn-Query-Mode": "true"},
			"\xa0",
			"application/cbor", "",
		},
		{
			"query", "/",
			map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/r/sts/aws4_request, SignedHeaders=host, Signature=0"},
			"Action=GetCallerIdentity&Version=2011-06-15",
			"text/xml", `<ErrorResponse><Error><Type>Receiver</Type><Code>NotImplementedException</Code><Message>Serin does not have the operation GetCallerIdentity of the service sts.</Message></Error><RequestId>ID</RequestId></ErrorResponse>`,
		},
		{
			"query in the URL", "/?Version=2011-06-15&Action=GetCallerIdentity&X-Amz-Credential=k/20260101/r/sts/aws4_request", nil, "",
			"text/xml", `<ErrorResponse><Error><Type>Receiver</Type><Code>NotImplementedException</Code><Message>Serin does not have the operation GetCallerIdentity of the service sts.</Message></Error><RequestId>ID</RequestId></ErrorResponse>`,
		},
		{
			"names that are none", "/",
			map[string]string{"X-Amz-Target": `<b>"`},
			"{}",
			"application/x-amz-json-1.1", `{"__type":"NotImplementedException","message":"Serin does not have the operation (unnamed) of the service (unnamed)."}`,
		},
	} {
		r := httptest.NewRequest(http.MethodPost, c.target, strings.NewReader(c.body))
		for name, value := range c.header {
			r.Header.Set(name, value)
		}
		w := do(a, r)
		id := w.Header().Get("x-amzn-RequestId")
		if w.Code != http.StatusNotImplemented || w.Header().Get("Content-Type") != c.content {
			t.Errorf("%s: %d %v", c.name, w.Code, w.Header())
		}
		if got := strings.ReplaceAll(w.Body.String(), id, "ID"); c.want != "" && got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
		if c.content == "application/cbor" {
			got, err := cbor.Decode(w.Body.Bytes())
			want := cbor.Map{
				"__type":  cbor.String("NotImplementedException"),
				"message": cbor.String("Serin does not have the operation ListMetrics of the service GraniteServiceVersion20100801."),
			}
			if diff := cmp.Diff(cbor.Value(want), got); diff != "" || err != nil || w.Header().Get("Smithy-Protocol") != "rpc-v2-cbor" {
				t.Errorf("%s: %v %v\n%s", c.name, err, w.Header(), diff)
			}
		}
		if c.header["X-Amzn-Query-Mode"] != "" && w.Header().Get("x-amzn-query-error") != "NotImplementedException;Receiver" {
			t.Errorf("%s: no query error in %v", c.name, w.Header())
		}
	}
}
