package awsapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"serin"
	"serin/internal/alarm"
	"serin/internal/cloudwatch"
	"serin/internal/store"
	"serin/internal/timeseries"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata/cloudwatch by what the API says")

// metricsAPI is an API with a store of metrics and a clock that stands still.
type metricsAPI struct {
	*API

	store *timeseries.Store
	now   time.Time
}

func newMetricsAPI(tb testing.TB) *metricsAPI {
	tb.Helper()
	m := &metricsAPI{now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	clock := func() time.Time { return m.now }
	log := slog.New(slog.DiscardHandler)
	var err error
	m.store, err = timeseries.Open(context.Background(), timeseries.Config{Dir: tb.TempDir(), Now: clock, Log: log})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := m.store.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	documents, err := store.Open(context.Background(), store.Config{Dir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := documents.Close(); err != nil {
			tb.Error(err)
		}
	})
	metrics := cloudwatch.New(cloudwatch.Config{Store: m.store, Now: clock, Log: log})
	m.API = New(Config{
		Auth: NewAuthenticator(AuthConfig{NoAuth: true}), Lambda: &fakeLambda{}, Invoke: noInvoke, Log: log, CloudWatch: metrics,
		Alarms: alarm.New(alarm.Config{
			Place: serin.Place{Region: "us-east-1", Account: "000000000000"}, Store: documents, Metrics: metrics, Now: clock, Log: log,
		}),
	})
	return m
}

// flush makes what was put readable.
func (m *metricsAPI) flush(tb testing.TB) {
	tb.Helper()
	m.now = m.now.Add(time.Second)
	if err := m.store.Flush(context.Background()); err != nil {
		tb.Fatal(err)
	}
}

// TestCloudWatchWire holds the API to the golden files in testdata/cloudwatch. A part is named after an operation and
// holds its input in JSON. It is sent in all three protocols, which answer in the parts that follow: JSON as it is, CBOR
// in diagnostic notation, the query protocol in XML, each after its status and its headers.
func TestCloudWatchWire(t *testing.T) {
	files, err := filepath.Glob("testdata/cloudwatch/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { goldenCloudWatch(t, file) })
	}
}

func goldenCloudWatch(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	api, golden := newMetricsAPI(t), txtar.Parse(text)
	out := &txtar.Archive{Comment: golden.Comment}
	answers := map[string]string{}
	step := ""
	for _, part := range golden.Files {
		if kind, ok := strings.CutPrefix(part.Name, "answer "); ok {
			answers[step+" "+kind] = string(part.Data)
			continue
		}
		step = part.Name
	}
	for _, part := range golden.Files {
		if strings.HasPrefix(part.Name, "answer ") {
			continue
		}
		out.Files = append(out.Files, part)
		operation, _, _ := strings.Cut(part.Name, " ")
		for _, p := range []protocol{awsJSON10, rpcCBOR, awsQuery} {
			name := map[protocol]string{awsJSON10: "json", rpcCBOR: "cbor", awsQuery: "query"}[p]
			got := shown(t, p, do(api, requestOf(t, p, operation, part.Data)))
			out.Files = append(out.Files, txtar.File{Name: "answer " + name, Data: []byte(got)})
			if want := answers[part.Name+" "+name]; !*update && got != want {
				t.Errorf("%s by %s, -want +got:\n%s", part.Name, name, cmp.Diff(want, got))
			}
		}
		if operation == "PutMetricData" {
			api.flush(t)
		}
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// requestOf puts an input into a request of a protocol, as its clients do.
func requestOf(tb testing.TB, p protocol, operation string, input []byte) *http.Request {
	tb.Helper()
	var document any
	if err := json.Unmarshal(input, &document); err != nil {
		tb.Fatal(err)
	}
	switch p {
	case rpcCBOR:
		body, err := cbor.Marshal(withTimes(document, func(seconds float64) any { return cbor.Tag{Number: 1, Content: seconds} }))
		if err != nil {
			tb.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/service/GraniteServiceVersion20100801/operation/"+operation, bytes.NewReader(body))
		r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
		r.Header.Set("X-Amzn-Query-Mode", "true")
		return r
	case awsQuery:
		form := url.Values{"Action": {operation}, "Version": {"2010-08-01"}}
		flatten(form, "", withTimes(document, func(seconds float64) any { return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339) }))
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		return r
	default:
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(input))
		r.Header.Set("Content-Type", "application/x-amz-json-1.0")
		r.Header.Set("X-Amz-Target", "GraniteServiceVersion20100801."+operation)
		r.Header.Set("X-Amzn-Query-Mode", "true")
		return r
	}
}

// withTimes replaces the members that are times.
func withTimes(document any, as func(seconds float64) any) any {
	switch d := document.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, member := range d {
			if seconds, ok := member.(float64); ok && (name == "Timestamp" || strings.HasSuffix(name, "Time")) {
				out[name] = as(seconds)
				continue
			}
			out[name] = withTimes(member, as)
		}
		return out
	case []any:
		out := make([]any, len(d))
		for i := range d {
			out[i] = withTimes(d[i], as)
		}
		return out
	default:
		return document
	}
}

func flatten(form url.Values, name string, document any) {
	under := func(part string) string { return strings.TrimPrefix(name+"."+part, ".") }
	switch d := document.(type) {
	case map[string]any:
		for member, value := range d {
			flatten(form, under(member), value)
		}
	case []any:
		if len(d) == 0 {
			form.Set(name, "")
		}
		for i, element := range d {
			flatten(form, under(fmt.Sprintf("member.%d", i+1)), element)
		}
	default:
		form.Set(name, fmt.Sprint(d))
	}
}

var requestID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

func shown(tb testing.TB, p protocol, w *httptest.ResponseRecorder) string {
	tb.Helper()
	body := w.Body.String()
	if p == rpcCBOR {
		var err error
		if body, err = cbor.Diagnose(w.Body.Bytes()); err != nil {
			tb.Fatalf("not CBOR: %x", w.Body.Bytes())
		}
	}
	lines := []string{fmt.Sprint(w.Code)}
	for _, name := range []string{"Content-Type", "Smithy-Protocol", "X-Amzn-Query-Error"} {
		if v := w.Header().Get(name); v != "" {
			lines = append(lines, name+": "+v)
		}
	}
	return requestID.ReplaceAllString(strings.Join(append(lines, "", body), "\n"), "ID") + "\n"
}

// TestCloudWatchRecordedCBOR is a request as aws-sdk-go-v2 sends it: maps and lists without a length, times with tag 1.
func TestCloudWatchRecordedCBOR(t *testing.T) {
	api := newMetricsAPI(t)
	body := "\xbf\x69Namespace\x61N\x6aMetricData\x9f\xbf\x6aMetricName\x61m\x65Value\x01\x69Timestamp\xc1\xfb\x41\xda\x69\xef\xd7\xc0\x00\x00\xff\xff\xff"
	r := httptest.NewRequest(http.MethodPost, "/service/GraniteServiceVersion20100801/operation/PutMetricData", strings.NewReader(body))
	r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
	if w := do(api, r); w.Code != http.StatusOK || w.Body.String() != "\xa0" || w.Header().Get("Smithy-Protocol") != "rpc-v2-cbor" {
		t.Fatalf("%d %q", w.Code, w.Body)
	}
	api.flush(t)
	w := do(api, requestOf(t, awsJSON10, "ListMetrics", []byte("{}")))
	if want := `{"Metrics":[{"Dimensions":[],"MetricName":"m","Namespace":"N"}]}`; w.Body.String() != want {
		t.Errorf("got %s, want %s", w.Body, want)
	}
}

func TestCloudWatchGzip(t *testing.T) {
	api := newMetricsAPI(t)
	for _, tt := range []struct {
		name string
		body []byte
		want int
	}{
		{"fits", []byte(`{"Namespace":"N","MetricData":[{"MetricName":"m","Value":1}]}`), http.StatusOK},
		{"bomb", bytes.Repeat([]byte(" "), 64<<20), http.StatusRequestEntityTooLarge},
	} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(tt.body); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		for _, cut := range []bool{false, true} {
			packed, want := b.Bytes(), tt.want
			if cut && tt.want == http.StatusOK {
				packed, want = packed[:len(packed)-9], http.StatusBadRequest
			}
			r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(packed))
			r.Header.Set("Content-Type", "application/x-amz-json-1.0")
			r.Header.Set("X-Amz-Target", "GraniteServiceVersion20100801.PutMetricData")
			r.Header.Set("Content-Encoding", "gzip")
			if w := do(api, r); w.Code != want {
				t.Errorf("%s, cut %v: %d %s, want %d", tt.name, cut, w.Code, w.Body, want)
			}
		}
	}
}

// TestCloudWatchBadBodies sends what is no request in each protocol.
func TestCloudWatchBadBodies(t *testing.T) {
	api := newMetricsAPI(t)
	deep := strings.Repeat("[", 5000)
	for _, p := range []protocol{awsJSON10, rpcCBOR, awsQuery} {
		for _, body := range []string{
			"\xff", "{", deep, strings.Repeat("\x81", 5000), "\xbf", "\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "%zz",
			"MetricData=1&MetricData.member.1=2&Action=PutMetricData&Version=2010-08-01", "\xa2\x61a\x01\x61a\x02",
			`{"MetricData":{"x":1}}`, `{"MetricData":[[]]}`, `{"Namespace":1}`, `{"MetricData":[{"Value":"one"}]}`, `{"MetricData":[{"Timestamp":1e300}]}`,
			"Action=PutMetricData&Version=2010-08-01&MetricData.member.x.Value=1", "Action=PutMetricData&Version=2010-08-01&MetricData.member.1.Value=one",
			"Action=PutMetricData&Version=2010-08-01&" + strings.Repeat("a.", 1000) + "=1",
		} {
			r := requestOf(t, p, "PutMetricData", []byte("{}"))
			again := httptest.NewRequest(http.MethodPost, r.URL.String(), strings.NewReader(body))
			again.Header = r.Header
			w := do(api, again)
			if w.Code/100 != 4 && w.Code != http.StatusNotImplemented || w.Body.Len() > 1000 {
				t.Errorf("%v %.40q: %d %.100s", p, body, w.Code, w.Body)
			}
		}
	}
}

func FuzzCloudWatch(f *testing.F) {
	api := newMetricsAPI(f)
	operations := []string{"PutMetricData", "GetMetricData", "GetMetricStatistics", "ListMetrics", "PutMetricAlarm", "PutCompositeAlarm", "DescribeAlarms", "SetAlarmState"}
	for i := range operations {
		f.Add(uint8(i), uint8(0), []byte(`{"Namespace":"N","MetricName":"m","StartTime":0,"EndTime":60,"Period":60,"Statistics":["Sum"],"MetricDataQueries":[{"Id":"e","Expression":"SUM(METRICS())"}]}`))
		f.Add(uint8(i), uint8(1), []byte("\xbf\x69Namespace\x61N\x6aMetricData\x9f\xbf\x6aMetricName\x61m\x65Value\x01\xff\xff\xff"))
		f.Add(uint8(i), uint8(2), []byte("Version=2010-08-01&Action=PutMetricData&Namespace=N&MetricData.member.1.MetricName=m&MetricData.member.1.Value=1"))
	}
	f.Fuzz(func(t *testing.T, operation, kind uint8, body []byte) {
		p := []protocol{awsJSON10, rpcCBOR, awsQuery}[kind%3]
		r := requestOf(t, p, operations[int(operation)%len(operations)], []byte("{}"))
		again := httptest.NewRequest(http.MethodPost, r.URL.String(), bytes.NewReader(body))
		again.Header = r.Header
		if w := do(api, again); !slices.Contains([]int{200, 400, 404, 413, 501}, w.Code) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
