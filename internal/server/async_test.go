package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"serin/internal/server"
)

// told is what a server was sent about the end of an event.
type told struct {
	Version        string
	Timestamp      time.Time
	RequestContext struct {
		RequestID, FunctionArn, Condition string
		ApproximateInvokeCount            int
	}
	RequestPayload  json.RawMessage
	ResponseContext struct {
		StatusCode                     int
		ExecutedVersion, FunctionError string
	}
	ResponsePayload json.RawMessage

	header http.Header
	body   string
}

// listener is a host that takes records.
type listener struct {
	url  string
	told chan told
}

func listen(tb testing.TB) *listener {
	tb.Helper()
	l := &listener{told: make(chan told, 10_000)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		got := told{header: r.Header, body: string(body)}
		if err != nil || json.Unmarshal(body, &got) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		l.told <- got
	}))
	tb.Cleanup(s.Close)
	l.url = s.URL
	return l
}

// next returns what is told next.
func (l *listener) next(tb testing.TB) told {
	tb.Helper()
	select {
	case got := <-l.told:
		return got
	case <-time.After(30 * time.Second):
		tb.Fatal("nothing was told for 30 s")
		return told{}
	}
}

// onEvents sets the handling of events of a function.
func (r *running) onEvents(tb testing.TB, name string, retries int32, success, failure string) {
	tb.Helper()
	in := &lambda.PutFunctionEventInvokeConfigInput{FunctionName: &name, MaximumRetryAttempts: &retries, DestinationConfig: &types.DestinationConfig{}}
	if success != "" {
		in.DestinationConfig.OnSuccess = &types.OnSuccess{Destination: &success}
	}
	if failure != "" {
		in.DestinationConfig.OnFailure = &types.OnFailure{Destination: &failure}
	}
	_, err := r.PutFunctionEventInvokeConfig(tb.Context(), in)
	must(tb, err)
}

func (r *running) send(tb testing.TB, name, payload string) {
	tb.Helper()
	out, err := r.Invoke(tb.Context(), &lambda.InvokeInput{FunctionName: &name, InvocationType: types.InvocationTypeEvent, Payload: []byte(payload)})
	must(tb, err)
	if out.StatusCode != http.StatusAccepted || out.ExecutedVersion != nil || out.FunctionError != nil || len(out.Payload) > 0 {
		tb.Errorf("the answer to an event is %+v", out)
	}
}

func functionARN(name string) string { return "arn:aws:lambda:us-east-1:000000000000:function:" + name }

// An event runs its function; the record goes to another function, and the record of that to a host.
func TestEventSucceeds(t *testing.T) {
	r, host := start(t), listen(t)
	r.create(t, "shop", reporting, 1)
	r.create(t, "done", "def handler(event, context):\n    return [event, context.aws_request_id]\n", 0)
	_, err := r.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: aws.String("1")})
	must(t, err)
	r.onEvents(t, "shop:live", 0, functionARN("done"), "")
	r.onEvents(t, "done", 0, host.url+"/hook", host.url+"/hook")
	began := time.Now()
	r.send(t, "shop:live", `{"n":1}`)

	got := host.next(t)
	if got.Version != "1.0" || got.RequestContext.Condition != "Success" || got.RequestContext.FunctionArn != functionARN("done:$LATEST") ||
		got.ResponseContext.ExecutedVersion != "$LATEST" {
		t.Fatalf("the record of the destination: %s", got.body)
	}
	var record told
	must(t, json.Unmarshal(got.RequestPayload, &record))
	if record.RequestContext.FunctionArn != functionARN("shop:live") || record.RequestContext.Condition != "Success" ||
		record.RequestContext.ApproximateInvokeCount != 1 || record.RequestContext.RequestID == got.RequestContext.RequestID ||
		record.ResponseContext.StatusCode != http.StatusOK || record.ResponseContext.ExecutedVersion != "1" ||
		record.Timestamp.Before(began.Add(-time.Second)) || record.Timestamp.After(time.Now().Add(time.Second)) {
		t.Errorf("the record of the function: %s", got.RequestPayload)
	}
	if diff := cmp.Diff(`{"n":1}`, string(record.RequestPayload)); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(string(record.ResponsePayload), functionARN("shop:live")) {
		t.Errorf("the function was invoked as %s", record.ResponsePayload)
	}
	if got.header.Get("Serin-Request-Id") != got.RequestContext.RequestID {
		t.Errorf("headers %v", got.header)
	}
}

// An event that fails goes to the destination and to the dead-letter target.
func TestEventFails(t *testing.T) {
	r, failed, dead := start(t), listen(t), listen(t)
	r.create(t, "shop", "def handler(event, context):\n    raise ValueError('no ' + event['n'])\n", 0)
	r.create(t, "grave", "def handler(event, context):\n    return context.client_context.custom\n", 0)
	r.onEvents(t, "shop", 0, failed.url+"/never", failed.url)
	r.onEvents(t, "grave", 0, dead.url, "")
	_, err := r.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("shop"), DeadLetterConfig: &types.DeadLetterConfig{TargetArn: aws.String(functionARN("grave"))},
	})
	must(t, err)
	r.send(t, "shop", `{"n":"one"}`)

	got := failed.next(t)
	if got.RequestContext.Condition != "RetriesExhausted" || got.RequestContext.ApproximateInvokeCount != 1 ||
		got.ResponseContext.FunctionError != "Unhandled" || got.ResponseContext.StatusCode != http.StatusOK ||
		!strings.Contains(string(got.ResponsePayload), `"errorMessage":"no one"`) && !strings.Contains(string(got.ResponsePayload), `"errorMessage": "no one"`) {
		t.Errorf("the record: %s", got.body)
	}
	letter := dead.next(t)
	var attributes map[string]string
	must(t, json.Unmarshal(letter.ResponsePayload, &attributes))
	want := map[string]string{"RequestID": got.RequestContext.RequestID, "ErrorCode": "200", "ErrorMessage": "no one"}
	if diff := cmp.Diff(want, attributes); diff != "" || string(letter.RequestPayload) != `{"n":"one"}` {
		t.Errorf("the dead letter is %s: %s", letter.RequestPayload, diff)
	}
}

// A function with a reserved concurrency of 0 accepts events and runs none of them.
func TestEventOfStoppedFunction(t *testing.T) {
	r, host := start(t), listen(t)
	r.create(t, "shop", reporting, 0)
	r.onEvents(t, "shop", 2, host.url, host.url)
	_, err := r.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("shop"), ReservedConcurrentExecutions: aws.Int32(0)})
	must(t, err)
	r.send(t, "shop", `{}`)
	if got := host.next(t); got.RequestContext.Condition != "ZeroReservedConcurrency" || got.RequestContext.ApproximateInvokeCount != 0 || strings.Contains(got.body, "response") {
		t.Errorf("the record: %s", got.body)
	}
}

func inDirectory(data string) func(*server.Config) {
	return func(c *server.Config) { c.Data = data }
}

// What is accepted before a shutdown runs after it, and what runs is finished.
func TestEventsOutlastShutdown(t *testing.T) {
	data, host := t.TempDir(), listen(t)
	r := start(t, inDirectory(data))
	r.create(t, "slow", "import time\ndef handler(event, context):\n    time.sleep(0.2)\n    return event\n", 0)
	_, err := r.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("slow"), ReservedConcurrentExecutions: aws.Int32(1)})
	must(t, err)
	r.onEvents(t, "slow", 0, host.url, host.url)
	for range 5 {
		r.send(t, "slow", `{}`)
	}
	first := host.next(t)
	r.stop()
	start(t, inDirectory(data))
	seen := map[string]bool{first.RequestContext.RequestID: true}
	for len(seen) < 5 {
		got := host.next(t)
		if seen[got.RequestContext.RequestID] || got.RequestContext.Condition != "Success" {
			t.Errorf("told twice, or of a failure: %s", got.body)
		}
		seen[got.RequestContext.RequestID] = true
	}
}
