package functionurl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/invoke"
	"serin/internal/router"
)

const urlID = "abcdefghijklmnopqrstuvwxyz234567"

// world is one function URL in front of a function that answers as told.
type world struct {
	*Handler
	url      *serin.FunctionURL
	function *serin.Function

	answer  *invoke.Response
	err     error
	invoked *invoke.Request // the last one
	event   map[string]any  // that it carried
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{
		url:    &serin.FunctionURL{ID: urlID, AuthType: serin.AuthTypeNone},
		answer: &invoke.Response{Payload: []byte(`"hello"`)},
	}
	w.function = &serin.Function{Name: "shop", Attached: map[string]*serin.Attachments{"live": {
		URL:    w.url,
		Policy: &serin.ResourcePolicy{Statements: []serin.Statement{{Principal: "*", Action: "lambda:*"}}},
	}}}
	w.Handler = New(Config{
		Place: serin.Place{Region: "us-east-1", Account: "000000000000"},
		Find: func(id string) (router.URL, bool) {
			return router.URL{FunctionURL: w.url, Function: w.function, Qualifier: "live"}, id == urlID
		},
		Invoke: func(_ context.Context, r *invoke.Request) (*invoke.Response, error) {
			w.invoked, w.event = r, nil
			if err := json.Unmarshal(r.Payload, &w.event); err != nil {
				tb.Errorf("the event: %v", err)
			}
			if w.err == nil && w.answer.FunctionError == "" {
				_ = r.Judge(w.answer) // what it says is counted, not returned
			}
			r.Judge = nil
			return w.answer, w.err
		},
		Authenticate: func(r *http.Request, _ int64) (string, []byte, error) {
			if r.Header.Get("Authorization") != "good" {
				return "", nil, errors.New("who?")
			}
			body, err := io.ReadAll(r.Body)
			return "AKIA", body, err
		},
		Unauthenticated: func(rw http.ResponseWriter, err error) { http.Error(rw, err.Error(), http.StatusTeapot) },
		Anonymous:       "anonymous",
		Now:             func() time.Time { return time.UnixMilli(1_659_687_279_885) },
		NewID:           func() string { return "id" },
		Log:             slog.New(slog.DiscardHandler),
	})
	return w
}

// ask sends a request to the URL by its host name.
func (w *world) ask(method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = urlID + ".lambda-url.us-east-1.localhost:4750"
	return w.send(r, header...)
}

func (w *world) send(r *http.Request, header ...string) *httptest.ResponseRecorder {
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.invoked = nil
	w.ServeHTTP(rec, r)
	return rec
}

func TestServes(t *testing.T) {
	h := newWorld(t).Handler
	for _, tt := range []struct {
		host, target string
		id, path     string
	}{
		{"a.lambda-url.us-east-1.localhost:4750", "/", "a", "/"},
		{"a.lambda-url.us-east-1.localhost", "/x%2Fy//z?q=1", "a", "/x%2Fy//z"},
		{"A.Lambda-URL.us-east-1.LOCALHOST.:1", "/url/b/", "a", "/url/b/"},
		{".lambda-url.us-east-1.localhost", "/", "", "/"},
		{"127.0.0.1:4750", "/url/a/", "a", "/"},
		{"127.0.0.1:4750", "/url/a", "a", "/"},
		{"[::1]:4750", "/url/a/b/c", "a", "/b/c"},
		{"127.0.0.1:4750", "/url/", "", "/"},
	} {
		r := httptest.NewRequest(http.MethodGet, tt.target, nil)
		r.Host = tt.host
		id, path, _, ok := h.target(r)
		if !ok || id != tt.id || path != tt.path || !h.Serves(r) {
			t.Errorf("%s%s: %q, %q, %v; want %q, %q", tt.host, tt.target, id, path, ok, tt.id, tt.path)
		}
	}
	for _, tt := range [][2]string{
		{"127.0.0.1:4750", "/"},
		{"localhost", "/2015-03-31/functions"},
		{"localhost", "/urls"},
		{"a.lambda-url.eu-west-1.localhost", "/"},
		{"a.lambda-url.us-east-1.localhost.evil.example", "/"},
		{"", "/x"},
	} {
		r := httptest.NewRequest(http.MethodGet, tt[1], nil)
		r.Host = tt[0]
		if h.Serves(r) {
			t.Errorf("%s%s is for a function URL", tt[0], tt[1])
		}
	}
}

func TestEvent(t *testing.T) {
	w := newWorld(t)
	got := w.ask("POST", "/a%20b/c?p=1&p=2&q=%C3%A4", `{"x":1}`,
		"Cookie", "a=1; b=2", "Cookie", "c=3", "X-Two", "1", "X-Two", "2", "Content-Type", "application/json",
		"User-Agent", "agent", "Connection", "close, X-Hop", "X-Hop", "1", "Upgrade", "h2c", "X-Forwarded-For", "9.9.9.9",
		"X-Amzn-Trace-Id", "Root=1-0-0")
	if got.Code != http.StatusOK {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	host := urlID + ".lambda-url.us-east-1.localhost"
	want := map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": "/a%20b/c", "rawQueryString": "p=1&p=2&q=%C3%A4",
		"cookies": []any{"a=1", "b=2", "c=3"},
		"headers": map[string]any{
			"content-type": "application/json", "host": host + ":4750", "user-agent": "agent", "x-two": "1,2",
			"x-amzn-trace-id": "Root=1-0-0", "x-forwarded-for": "9.9.9.9, 192.0.2.1", "x-forwarded-port": "4750", "x-forwarded-proto": "http",
		},
		"queryStringParameters": map[string]any{"p": "1,2", "q": "ä"},
		"requestContext": map[string]any{
			"accountId": "anonymous", "apiId": urlID, "domainName": host, "domainPrefix": urlID,
			"http":      map[string]any{"method": "POST", "path": "/a%20b/c", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "agent"},
			"requestId": "id", "routeKey": "$default", "stage": "$default", "time": "05/Aug/2022:08:14:39 +0000", "timeEpoch": 1659687279885.0,
		},
		"body": `{"x":1}`, "isBase64Encoded": false,
	}
	if diff := cmp.Diff(want, w.event); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if w.invoked.Header.Get("Content-Type") == "" {
		t.Errorf("the request carries the headers %v", w.invoked.Header)
	}
	w.invoked.Payload, w.invoked.Header = nil, nil
	wanted := &invoke.Request{FunctionName: "shop", Qualifier: "live", Type: invoke.RequestResponse, TraceID: "Root=1-0-0", RequestID: "id", Anonymous: true}
	if diff := cmp.Diff(wanted, w.invoked); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if got.Header().Get("X-Amzn-Requestid") != "id" || got.Header().Get("X-Amzn-Trace-Id") != "Root=1-0-0" {
		t.Errorf("headers of the answer: %v", got.Header())
	}

	w.ask("GET", "/", "")
	for _, absent := range []string{"body", "cookies", "queryStringParameters"} {
		if v, ok := w.event[absent]; ok {
			t.Errorf("a bare request has %s: %v", absent, v)
		}
	}
	if trace := w.invoked.TraceID; !strings.HasPrefix(trace, "Root=1-62ecd16f-") || len(trace) != 40 {
		t.Errorf("trace begun: %s", trace)
	}
}

func TestBodies(t *testing.T) {
	for _, tt := range []struct {
		kind, encoding, body string
		want                 any
		base64               bool
	}{
		{"text/plain; charset=utf-8", "", "<ä>", "<ä>", false},
		{"application/json", "", "{}", "{}", false},
		{"APPLICATION/XML", "", "<a/>", "<a/>", false},
		{"application/problem+json", "", "{}", "{}", false},
		{"image/svg+xml", "identity", "<svg/>", "<svg/>", false},
		{"application/x-www-form-urlencoded", "", "a=b", "YT1i", true},
		{"application/octet-stream", "", "\x00", "AA==", true},
		{"", "", "a", "YQ==", true},
		{"text/plain", "gzip", "a", "YQ==", true},
		{"text/plain", "", "\xff", "/w==", true},
		{"image/png", "", "", nil, false},
		{";;;", "", "a", "YQ==", true},
	} {
		w := newWorld(t)
		w.ask("POST", "/", tt.body, "Content-Type", tt.kind, "Content-Encoding", tt.encoding)
		if w.event["body"] != tt.want || w.event["isBase64Encoded"] != tt.base64 {
			t.Errorf("%s %s: body %v, base64 %v; want %v, %v", tt.kind, tt.encoding, w.event["body"], w.event["isBase64Encoded"], tt.want, tt.base64)
		}
	}
}

func TestSize(t *testing.T) {
	for _, tt := range []struct {
		bytes, want int
		kind        string
		chunked     bool
	}{
		{5 << 20, 200, "text/plain", false},
		{6<<20 + 1, 413, "text/plain", false},
		{6<<20 + 1, 413, "text/plain", true},
		{6 << 20, 413, "text/plain", false}, // with the rest of the event
		{5 << 20, 413, "image/png", false},  // in base64
		{4 << 20, 200, "image/png", true},
	} {
		w := newWorld(t)
		r := httptest.NewRequest(http.MethodPost, "/url/"+urlID+"/", strings.NewReader(strings.Repeat("x", tt.bytes)))
		r.Header.Set("Content-Type", tt.kind)
		if tt.chunked {
			r.ContentLength = -1
		}
		if got := w.send(r); got.Code != tt.want || (w.invoked != nil) != (tt.want == 200) {
			t.Errorf("%d bytes of %s: %d, want %d", tt.bytes, tt.kind, got.Code, tt.want)
		}
	}
}

const forbiddenText = `{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}`

func TestAdmission(t *testing.T) {
	check := func(name string, w *world, got *httptest.ResponseRecorder, status int) {
		t.Helper()
		if got.Code != status || (w.invoked != nil) != (status == 200) {
			t.Errorf("%s: %d, invoked: %v; want %d", name, got.Code, w.invoked != nil, status)
		}
		if status == 403 && (got.Body.String() != forbiddenText || got.Header().Get("X-Amzn-Errortype") != "AccessDeniedException") {
			t.Errorf("%s: %v %s", name, got.Header(), got.Body)
		}
	}
	w := newWorld(t)
	check("unknown id", w, w.send(httptest.NewRequest(http.MethodGet, "/url/nope/", nil)), 403)
	check("open", w, w.ask("GET", "/", ""), 200)
	w.function.Attached["live"].Policy = nil
	check("no policy", w, w.ask("GET", "/", ""), 403)

	w = newWorld(t)
	w.url.AuthType = serin.AuthTypeIAM
	check("unsigned", w, w.ask("GET", "/", ""), 403)
	check("badly signed", w, w.ask("GET", "/", "", "Authorization", "bad"), 418)
	check("badly presigned", w, w.ask("GET", "/?X-Amz-Signature=1", ""), 418)
	check("signed", w, w.ask("POST", "/", "x", "Authorization", "good", "X-Amz-Security-Token", "t", "Content-Type", "text/plain"), 200)
	headers := w.event["headers"].(map[string]any)
	if headers["authorization"] != nil || headers["x-amz-security-token"] != nil || w.event["body"] != "x" {
		t.Errorf("the function sees %v", w.event)
	}
	want := map[string]any{"iam": map[string]any{
		"accessKey": "AKIA", "accountId": "000000000000", "callerId": "000000000000", "cognitoIdentity": nil,
		"principalOrgId": nil, "userArn": "arn:aws:iam::000000000000:root", "userId": "000000000000",
	}}
	context := w.event["requestContext"].(map[string]any)
	if diff := cmp.Diff(want, context["authorizer"]); diff != "" || context["accountId"] != "000000000000" {
		t.Errorf("account %v, authorizer (-want +got):\n%s", context["accountId"], diff)
	}
}

func TestAnswers(t *testing.T) {
	const bad = `{"Message":"Internal Server Error"}`
	for name, tt := range map[string]struct {
		payload string
		status  int
		header  string // all but those of every answer, in the order of names
		body    string
	}{
		"text":                {`"hello"`, 200, "Content-Type: application/json", `"hello"`},
		"object":              {`{"message": "<>"}`, 200, "Content-Type: application/json", `{"message": "<>"}`},
		"null":                {`null`, 200, "Content-Type: application/json", `null`},
		"array":               {` [1]`, 200, "Content-Type: application/json", ` [1]`},
		"another case":        {`{"statuscode":404}`, 200, "Content-Type: application/json", `{"statuscode":404}`},
		"status alone":        {`{"statusCode":404}`, 404, "Content-Type: application/json", ``},
		"status as text":      {`{"statusCode":"201","body":"b"}`, 201, "Content-Type: application/json", `b`},
		"nulls":               {`{"statusCode":200,"headers":null,"cookies":null,"body":null,"isBase64Encoded":null}`, 200, "Content-Type: application/json", ``},
		"headers":             {`{"statusCode":200,"headers":{"x-a":"1","X-Number":2,"x-true":true,"x-null":null,"content-type":"text/html"},"body":"<p>"}`, 200, "Content-Type: text/html|X-A: 1|X-Number: 2|X-True: true", `<p>`},
		"cookies":             {`{"statusCode":200,"cookies":["a=1; Secure","b=2"]}`, 200, "Content-Type: application/json|Set-Cookie: a=1; Secure|Set-Cookie: b=2", ``},
		"base64":              {`{"statusCode":200,"headers":{"Content-Type":"image/png"},"body":"AP8=","isBase64Encoded":true}`, 200, "Content-Type: image/png", "\x00\xff"},
		"for the connection":  {`{"statusCode":200,"headers":{"Connection":"close, x-gone","X-Gone":"1","Transfer-Encoding":"chunked","Content-Length":"99","Upgrade":"x"},"body":"b"}`, 200, "Content-Type: application/json", `b`},
		"of the platform":     {`{"statusCode":200,"headers":{"x-amzn-requestid":"mine","X-Amzn-Trace-Id":"mine"}}`, 200, "Content-Type: application/json", ``},
		"no content":          {`{"statusCode":204,"body":"x"}`, 204, "Content-Type: application/json", ``},
		"redirection":         {`{"statusCode":302,"headers":{"Location":"/x"}}`, 302, "Content-Type: application/json|Location: /x", ``},
		"empty":               {``, 502, "", bad},
		"no JSON":             {`{"statusCode":200`, 502, "", bad},
		"two values":          {`{} {}`, 502, "", bad},
		"informational":       {`{"statusCode":101}`, 502, "", bad},
		"status out of range": {`{"statusCode":1000}`, 502, "", bad},
		"status null":         {`{"statusCode":null}`, 502, "", bad},
		"status of an object": {`{"statusCode":{}}`, 502, "", bad},
		"status with a point": {`{"statusCode":200.5}`, 502, "", bad},
		"headers of a list":   {`{"statusCode":200,"headers":[]}`, 502, "", bad},
		"header of a list":    {`{"statusCode":200,"headers":{"a":["b"]}}`, 502, "", bad},
		"header injection":    {`{"statusCode":200,"headers":{"a":"b\r\nSet-Cookie: c"}}`, 502, "", bad},
		"name injection":      {`{"statusCode":200,"headers":{"a: b\r\nc":"d"}}`, 502, "", bad},
		"name empty":          {`{"statusCode":200,"headers":{"":"d"}}`, 502, "", bad},
		"cookie injection":    {`{"statusCode":200,"cookies":["a\nb"]}`, 502, "", bad},
		"cookies of text":     {`{"statusCode":200,"cookies":"a=1"}`, 502, "", bad},
		"body of an object":   {`{"statusCode":200,"body":{}}`, 502, "", bad},
		"bad base64":          {`{"statusCode":200,"body":"%","isBase64Encoded":true}`, 502, "", bad},
		"base64 as text":      {`{"statusCode":200,"isBase64Encoded":"true"}`, 502, "", bad},
		"too many headers":    {`{"statusCode":200,"headers":{"a":"` + strings.Repeat("x", 65<<10) + `"}}`, 502, "", bad},
		"too many cookies":    {`{"statusCode":200,"cookies":["` + strings.Repeat("x", 65<<10) + `"]}`, 502, "", bad},
	} {
		w := newWorld(t)
		w.answer.Payload = []byte(tt.payload)
		got := w.ask("GET", "/", "")
		if tt.status == 502 {
			tt.header = "Content-Type: application/json"
		}
		if got.Code != tt.status || got.Body.String() != tt.body || shown(t, got) != tt.header {
			t.Errorf("%s: %d %s\n%s\nwant %d %s\n%s", name, got.Code, shown(t, got), got.Body, tt.status, tt.header, tt.body)
		}
	}
}

// shown returns the headers of an answer but those that every answer has, which it checks.
func shown(t *testing.T, got *httptest.ResponseRecorder) string {
	t.Helper()
	h := got.Header().Clone()
	if h.Get("X-Amzn-Requestid") != "id" || !strings.HasPrefix(h.Get("X-Amzn-Trace-Id"), "Root=1-") {
		t.Errorf("headers %v", h)
	}
	if want := fmt.Sprint(got.Body.Len()); got.Code != 204 && h.Get("Content-Length") != want {
		t.Errorf("Content-Length %s, want %s", h.Get("Content-Length"), want)
	}
	for _, name := range []string{"X-Amzn-Requestid", "X-Amzn-Trace-Id", "Content-Length"} {
		h.Del(name)
	}
	var b strings.Builder
	if err := h.Write(&b); err != nil {
		t.Error(err)
	}
	return strings.ReplaceAll(strings.TrimSuffix(b.String(), "\r\n"), "\r\n", "|")
}

func TestFailures(t *testing.T) {
	for name, tt := range map[string]struct {
		answer *invoke.Response
		err    error
		status int
		body   string
	}{
		"function error": {&invoke.Response{FunctionError: "Unhandled", Payload: []byte(`{"statusCode":200}`)}, nil, 502, `{"Message":"Internal Server Error"}`},
		"throttled":      {nil, serin.Errorf(serin.KindThrottled, "Rate Exceeded."), 429, `{"Message":"Rate Exceeded."}`},
		"deleted":        {nil, fmt.Errorf("route: %w", serin.Errorf(serin.KindNotFound, "gone")), 403, forbiddenText},
		"not active":     {nil, serin.Errorf(serin.KindConflict, "pending"), 502, `{"Message":"Internal Server Error"}`},
		"pin denied":     {nil, &serin.Error{Kind: serin.KindDenied, Reason: serin.ReasonPin, Message: "no"}, 403, `{"Message":"no"}`},
		"no such pin":    {nil, &serin.Error{Kind: serin.KindInvalid, Reason: serin.ReasonPin, Message: "no"}, 400, `{"Message":"no"}`},
		"no interpreter": {nil, serin.Errorf(serin.KindInvalid, "secret path"), 502, `{"Message":"Internal Server Error"}`},
		"a fault":        {nil, errors.New("secret cause"), 502, `{"Message":"Internal Server Error"}`},
	} {
		w := newWorld(t)
		w.answer, w.err = tt.answer, tt.err
		if got := w.ask("GET", "/", ""); got.Code != tt.status || got.Body.String() != tt.body {
			t.Errorf("%s: %d %s; want %d %s", name, got.Code, got.Body, tt.status, tt.body)
		}
	}
}

// A page that is served by path is kept from the origin of the server, one with a host of its own is not.
func TestPagesByPathAreSandboxed(t *testing.T) {
	w := newWorld(t)
	w.answer.Payload = []byte(`{"statusCode":200,"headers":{"Content-Security-Policy":"default-src 'self'"},"body":"x"}`)
	byPath := w.send(httptest.NewRequest(http.MethodGet, "/url/"+urlID+"/", nil)).Header()["Content-Security-Policy"]
	if diff := cmp.Diff([]string{"default-src 'self'", sandbox}, byPath); diff != "" || strings.Contains(sandbox, "allow-same-origin") {
		t.Errorf("by path (-want +got):\n%s", diff)
	}
	if got := w.ask("GET", "/", "").Header()["Content-Security-Policy"]; len(got) != 1 {
		t.Errorf("by host: %q", got)
	}
}
