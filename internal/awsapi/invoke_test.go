package awsapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"

	"serin"
)

// recorder is a data plane that keeps what it is asked.
type recorder struct {
	request InvokeRequest
	actor   string
	answer  InvokeResponse
}

func (i *recorder) Invoke(ctx context.Context, req InvokeRequest) (InvokeResponse, error) {
	i.request, i.actor = req, serin.ActorFrom(ctx)
	return i.answer, nil
}

func TestInvokeThroughTheSDK(t *testing.T) {
	fake := &recorder{answer: InvokeResponse{
		StatusCode: 200, ExecutedVersion: "7", FunctionError: "Unhandled",
		LogResult: []byte("START\nEND\n\xff"), Payload: []byte(`{"errorMessage":"é"}`),
	}}
	client := sdkClient(signedServer(t, &fakeLambda{}, fake.Invoke))
	out, err := client.Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName:   aws.String(awkward),
		Qualifier:      aws.String("$LATEST"),
		InvocationType: "RequestResponse",
		LogType:        "Tail",
		ClientContext:  aws.String(base64.StdEncoding.EncodeToString([]byte(` {"client":{"x":1}} `))),
		Payload:        []byte("not json \x00"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := InvokeRequest{
		FunctionName: awkward, Qualifier: "$LATEST", InvocationType: "RequestResponse", LogType: "Tail",
		ClientContext: ` {"client":{"x":1}} `, Payload: []byte("not json \x00"), RequestID: fake.request.RequestID,
		Header: fake.request.Header,
	}
	if diff := cmp.Diff(want, fake.request); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if fake.actor != testKey || len(fake.request.RequestID) != 36 {
		t.Errorf("actor %q, request id %q", fake.actor, fake.request.RequestID)
	}
	wantOut := &lambda.InvokeOutput{
		StatusCode: 200, ExecutedVersion: aws.String("7"), FunctionError: aws.String("Unhandled"),
		LogResult: aws.String(base64.StdEncoding.EncodeToString([]byte("START\nEND\n\xff"))), Payload: []byte(`{"errorMessage":"é"}`),
	}
	if diff := cmp.Diff(wantOut, out, sdkTypes); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestInvokeOnTheWire(t *testing.T) {
	fake := &recorder{}
	a := openAPI(&fakeLambda{}, fake.Invoke)
	for _, c := range []struct {
		invocationType string
		answer         InvokeResponse
		status         int
		header         http.Header
		body           string
	}{
		{"", InvokeResponse{ExecutedVersion: "$LATEST", Payload: []byte("null")}, 200, http.Header{"X-Amz-Executed-Version": {"$LATEST"}, "Content-Type": {"application/json"}, "Content-Length": {"4"}}, "null"},
		{"RequestResponse", InvokeResponse{LogResult: []byte{}}, 200, http.Header{"X-Amz-Log-Result": {""}, "Content-Type": {"application/json"}, "Content-Length": {"0"}}, ""},
		{"Event", InvokeResponse{}, 202, http.Header{"Content-Length": {"0"}}, ""},
		{"DryRun", InvokeResponse{}, 204, http.Header{}, ""},
		{"DryRun", InvokeResponse{StatusCode: 204, Payload: []byte("none")}, 204, http.Header{}, ""},
	} {
		fake.answer = c.answer
		r := httptest.NewRequest(http.MethodPost, "/2015-03-31/functions/f/invocations", nil)
		r.Header.Set("X-Amz-Invocation-Type", c.invocationType)
		r.Header.Set("X-Amzn-Trace-Id", "Root=1")
		w := do(a, r)
		if fake.request.RequestID != w.Header().Get("x-amzn-RequestId") || fake.request.TraceID != "Root=1" {
			t.Errorf("request %+v, headers %v", fake.request, w.Header())
		}
		w.Header().Del("x-amzn-RequestId")
		if diff := cmp.Diff(c.header, w.Header()); w.Code != c.status || w.Body.String() != c.body || diff != "" {
			t.Errorf("%q: %d %q, headers (-want +got):\n%s", c.invocationType, w.Code, w.Body, diff)
		}
	}
}

func TestInvokeRefusals(t *testing.T) {
	fake := &recorder{}
	a := openAPI(&fakeLambda{}, fake.Invoke)
	long := base64.StdEncoding.EncodeToString([]byte(`{"x":"` + strings.Repeat("x", maxClientContext) + `"}`))
	const badContext = `{"Type":"User","message":"Client context must be a valid Base64-encoded JSON object of at most 3583 bytes."}`
	for _, c := range []struct {
		header map[string]string
		status int
		body   string
	}{
		{map[string]string{"X-Amz-Invocation-Type": "Sync"}, 400, `{"message":"1 validation error detected: Value 'Sync' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun]"}`},
		{map[string]string{"X-Amz-Log-Type": "Full"}, 400, `{"message":"1 validation error detected: Value 'Full' at 'logType' failed to satisfy constraint: Member must satisfy enum value set: [None, Tail]"}`},
		{map[string]string{"X-Amz-Log-Type": "x", "X-Amz-Invocation-Type": "y"}, 400, `{"message":"2 validation errors detected: Value 'y' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun]; Value 'x' at 'logType' failed to satisfy constraint: Member must satisfy enum value set: [None, Tail]"}`},
		{map[string]string{"X-Amz-Client-Context": "*"}, 400, badContext},
		{map[string]string{"X-Amz-Client-Context": base64.StdEncoding.EncodeToString([]byte("[]"))}, 400, badContext},
		{map[string]string{"X-Amz-Client-Context": base64.StdEncoding.EncodeToString([]byte("{"))}, 400, badContext},
		{map[string]string{"X-Amz-Client-Context": long}, 400, badContext},
		{map[string]string{"X-Amz-Tenant-Id": "t"}, 501, `{"Type":"Service","message":"Serin does not have what the header X-Amz-Tenant-Id of the operation Invoke asks for."}`},
		{map[string]string{"X-Amz-Durable-Execution-Name": "d"}, 501, `{"Type":"Service","message":"Serin does not have what the header X-Amz-Durable-Execution-Name of the operation Invoke asks for."}`},
	} {
		r := httptest.NewRequest(http.MethodPost, "/2015-03-31/functions/f/invocations", strings.NewReader("{}"))
		for name, value := range c.header {
			r.Header.Set(name, value)
		}
		if w := do(a, r); w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%v: %d %s\nwant %d %s", c.header, w.Code, w.Body, c.status, c.body)
		}
	}
	if fake.request.FunctionName != "" {
		t.Errorf("a refused request reached the data plane: %+v", fake.request)
	}
}

// A body over the limit is refused in words that reach a client which first sends all of it, and a body
// of exactly the limit is not.
func TestBodyLimits(t *testing.T) {
	backend := &fakeLambda{}
	fake := &recorder{}
	srv := signedServer(t, backend, fake.Invoke)
	client := sdkClient(srv)
	name := aws.String("f")

	if _, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: name, Payload: make([]byte, maxPayloadBody)}); err != nil {
		t.Errorf("a payload of the limit: %v", err)
	}
	if len(fake.request.Payload) != maxPayloadBody {
		t.Errorf("the payload has %d bytes", len(fake.request.Payload))
	}
	fake.request = InvokeRequest{}
	_, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: name, Payload: make([]byte, maxPayloadBody+1)})
	refusedAsTooLarge(t, err, "Request must be smaller than 6291456 bytes for the InvokeFunction operation")
	_, err = client.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: name, Description: aws.String(strings.Repeat("x", maxOtherBody)),
	})
	refusedAsTooLarge(t, err, "Request must be smaller than 1048576 bytes for the UpdateFunctionConfiguration operation")
	if fake.request.FunctionName != "" {
		t.Error("a request that is too large reached the data plane")
	}

	// Without a length nothing but the body itself tells.
	a := openAPI(backend, fake.Invoke)
	for operation, c := range map[string]struct {
		method, path string
		size         int64
	}{
		"InvokeFunction":     {http.MethodPost, "/2015-03-31/functions/f/invocations", maxPayloadBody},
		"UpdateFunctionCode": {http.MethodPut, "/2015-03-31/functions/f/code", maxUploadBody},
		"CreateFunction":     {http.MethodPost, "/2015-03-31/functions", maxUploadBody},
	} {
		body := &countingReader{r: io.LimitReader(zeros{}, 4*maxUploadBody)}
		w := do(a, httptest.NewRequest(c.method, c.path, body))
		if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), " bytes for the "+operation+" operation") {
			t.Errorf("%s: %d %s", operation, w.Code, w.Body)
		}
		if body.n > 3*c.size+1 {
			t.Errorf("%s: %d bytes were read", operation, body.n)
		}
	}
}

func refusedAsTooLarge(t *testing.T, err error, message string) {
	t.Helper()
	response, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || response.HTTPStatusCode() != http.StatusRequestEntityTooLarge || !strings.Contains(err.Error(), "RequestEntityTooLargeException: "+message) {
		t.Errorf("got %v, want %s", err, message)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func TestBodyThatEndsEarly(t *testing.T) {
	a := openAPI(&fakeLambda{}, noInvoke)
	r := httptest.NewRequest(http.MethodPost, "/2015-03-31/functions", io.MultiReader(strings.NewReader("{"), errReader{}))
	w := do(a, r)
	if w.Code != http.StatusBadRequest || w.Header().Get("x-amzn-ErrorType") != "SerializationException" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// discard is the cheapest possible http.ResponseWriter.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// benchmarkInvoke measures the front end's part of an Invoke with a body of 1 KiB.
func benchmarkInvoke(b *testing.B, auth *Authenticator, sign func(*http.Request, []byte)) {
	b.Helper()
	payload := bytes.Repeat([]byte("x"), 1024)
	reply := InvokeResponse{StatusCode: 200, ExecutedVersion: "1", Payload: payload}
	a := New(Config{Auth: auth, Lambda: &fakeLambda{}, Invoke: func(context.Context, InvokeRequest) (InvokeResponse, error) {
		return reply, nil
	}})
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:4750/2015-03-31/functions/checkout/invocations?Qualifier=live", nil)
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("X-Amz-Invocation-Type", "RequestResponse")
	r.ContentLength = int64(len(payload))
	sign(r, payload)
	body := bytes.NewReader(payload)
	r.Body = io.NopCloser(body)
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(payload)
		clear(w.header)
		a.ServeHTTP(w, r)
		if w.header.Get("X-Amz-Executed-Version") != "1" {
			b.Fatal(w.header)
		}
	}
}

func BenchmarkInvokeHandler(b *testing.B) {
	b.Run("open", func(b *testing.B) {
		benchmarkInvoke(b, NewAuthenticator(AuthConfig{NoAuth: true}), func(*http.Request, []byte) {})
	})
	b.Run("signed", func(b *testing.B) {
		now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
		benchmarkInvoke(b, testAuth(func() time.Time { return now }), func(r *http.Request, body []byte) { signWithSDK(b, r, body, now) })
	})
}

// signWithSDK signs a request as the SDK's clients do.
func signWithSDK(tb testing.TB, r *http.Request, body []byte, at time.Time) {
	tb.Helper()
	err := v4.NewSigner().SignHTTP(tb.Context(), aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}, r, hashOf(body), "lambda", testRegion, at)
	if err != nil {
		tb.Fatal(err)
	}
}
