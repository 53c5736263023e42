package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	_ "github.com/aws/aws-lambda-go/events" // testdata/gofn needs it, where go mod tidy does not look
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin/internal/bundle"
)

const npmDir = "testdata/npm"

// packedNPM packs testdata/npm once for all tests.
var packedNPM = sync.OnceValues(func() ([]byte, error) {
	var zip bytes.Buffer
	_, err := bundle.Pack(&zip, npmDir, bundle.Options{})
	return zip.Bytes(), err
})

// npmPackage is the package of testdata/npm with all that npm has installed there.
func npmPackage(tb testing.TB) []byte {
	tb.Helper()
	needs(tb, "node")
	// npm writes this file when everything is there.
	if _, err := os.Stat(filepath.Join(npmDir, "node_modules", ".package-lock.json")); err != nil {
		lacking(tb, "the npm packages of internal/server/"+npmDir+" are not installed: run npm ci there")
	}
	zip, err := packedNPM()
	must(tb, err)
	return zip
}

// packedGo builds and packs testdata/gofn once for all tests.
var packedGo = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "gofn")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", filepath.Join(dir, "bootstrap"), "./testdata/gofn")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build gofn: %w\n%s", err, out)
	}
	var zip bytes.Buffer
	_, err = bundle.Pack(&zip, dir, bundle.Options{})
	return zip.Bytes(), err
})

// goPackage is the package of testdata/gofn.
func goPackage(tb testing.TB) []byte {
	tb.Helper()
	zip, err := packedGo()
	must(tb, err)
	return zip
}

// deploy makes a function of a package.
func (r *running) deploy(tb testing.TB, name string, runtime types.Runtime, handler string, zip []byte, change ...func(*lambda.CreateFunctionInput)) {
	tb.Helper()
	in := &lambda.CreateFunctionInput{
		FunctionName: &name, Runtime: runtime, Handler: &handler, Role: aws.String(role), Timeout: aws.Int32(20), MemorySize: aws.Int32(256),
		Code: &types.FunctionCode{ZipFile: zip},
	}
	for _, c := range change {
		c(in)
	}
	_, err := r.CreateFunction(tb.Context(), in)
	must(tb, err)
}

// public gives a function a URL that everybody may call.
func (r *running) public(tb testing.TB, name string) string {
	tb.Helper()
	url := r.url(tb, &lambda.CreateFunctionUrlConfigInput{FunctionName: &name, AuthType: types.FunctionUrlAuthTypeNone})
	r.open(tb, name, nil)
	return url
}

// Express applications behind function URLs and Invoke, through both of the packages that people put in between.
func TestExpress(t *testing.T) {
	zip := npmPackage(t)
	r := start(t)
	c := browser(r)
	for _, adapter := range []string{"vendia", "http"} {
		r.deploy(t, adapter, types.RuntimeNodejs20x, "index."+adapter, zip)
		url := r.public(t, adapter)
		for _, tt := range []struct {
			method, path, body, kind string
			status                   int
			want                     string // within the body
			header, value            string
		}{
			{"GET", "hello/you?a=1&b=%20x", "", "", 200, `"hello":"you","query":{"a":"1","b":" x"},"cookie":"k=v`, "X-Version", "$LATEST"},
			{"GET", "hello/%C3%BC", "", "", 200, `"hello":"ü"`, "Set-Cookie", "first=1; Path=/"},
			{"POST", "sum", `{"numbers":[1,2,3.5]}`, "application/json", 201, `{"sum":6.5}`, "Content-Type", "application/json; charset=utf-8"},
			{"POST", "sum", `{"numbers":`, "application/json", 400, "", "", ""},
			{"POST", "form", "name=a+b", "application/x-www-form-urlencoded", 200, "form: a b", "", ""},
			{"GET", "image", "", "", 200, "\x89PNG\x00\xff", "Content-Type", "image/png"},
			{"GET", "moved", "", "", 302, "", "Location", "/hello/there"},
			{"GET", "fail", "", "", 500, "", "", ""},
			{"GET", "nowhere", "", "", 404, "nothing at /nowhere", "", ""},
		} {
			p := fetchOnce(t, c, r, tt.method, url+tt.path, tt.body, "Content-Type", tt.kind, "Cookie", "k=v; l=w")
			if p.status != tt.status || !strings.Contains(p.body, tt.want) || tt.header != "" && p.header.Get(tt.header) != tt.value {
				t.Errorf("%s: %s %s: %d %v\n%s", adapter, tt.method, tt.path, p.status, p.header, p.body)
			}
		}
		p := fetchOnce(t, c, r, "GET", url+"hello/x", "")
		if got := p.header["Set-Cookie"]; !slices.Equal(got, []string{"first=1; Path=/", "second=2; Path=/"}) {
			t.Errorf("%s: cookies %q", adapter, got)
		}
		// The event of another front end, by Invoke.
		out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &adapter, Payload: []byte(`{"httpMethod":"GET","path":"/hello/rest","resource":"/{proxy+}",
			"headers":{"Host":"h"},"multiValueHeaders":{"Host":["h"]},"queryStringParameters":null,"multiValueQueryStringParameters":null,"requestContext":{"requestId":"1"},"body":null,"isBase64Encoded":false}`)})
		must(t, err)
		if out.FunctionError != nil || !strings.Contains(string(out.Payload), `\"hello\":\"rest\"`) {
			t.Errorf("%s: an event of API Gateway: %s", adapter, out.Payload)
		}
	}
	if counted, errors := r.counted(t, "http", ""); errors != 1 || counted["$LATEST"] != 11 {
		t.Errorf("counted %v requests and %d errors, want 11 and the 500", counted, errors)
	}
}

// fetchOnce is fetch without a signature and without following redirects.
func fetchOnce(tb testing.TB, c *http.Client, r *running, method, url, body string, header ...string) page {
	tb.Helper()
	once := *c
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return fetch(tb, &once, r.Ready, "", method, url, body, header...)
}

// Powertools find what they look for: the context, cold starts, the trace, and an environment that stays.
func TestPowertools(t *testing.T) {
	zip := npmPackage(t)
	r := start(t)
	r.deploy(t, "shop", types.RuntimeNodejs20x, "index.powertools", zip)
	const trace = "1-5759e988-bd862e3fe1be46a994272793"
	for i, want := range []string{
		`{"order":"a","payment":1,"traceId":"` + trace + `"}`, // cold
		`{"order":"a","payment":1,"traceId":"` + trace + `"}`, // the same order is paid once
		`{"order":"b","payment":2,"traceId":"` + trace + `"}`,
	} {
		var event struct{ Order string }
		must(t, json.Unmarshal([]byte(want), &event))
		out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop"), LogType: types.LogTypeTail, Payload: []byte(`{"id":"` + event.Order + `"}`)},
			with("X-Amzn-Trace-Id", "Root="+trace+";Parent=53995c3f42cd8ad8;Sampled=1"))
		must(t, err)
		log, err := base64.StdEncoding.DecodeString(*out.LogResult)
		must(t, err)
		if string(out.Payload) != want {
			t.Errorf("%d: %s, want %s\n%s", i, out.Payload, want, log)
		}
		lines := map[string]map[string]any{}
		for line := range strings.Lines(string(log)) {
			var fields map[string]any
			if json.Unmarshal([]byte(line), &fields) != nil {
				continue
			}
			switch {
			case fields["message"] == "paying":
				lines["log"] = fields
			case fields["paid"] != nil:
				lines["metric"] = fields
			case fields["ColdStart"] != nil:
				lines["cold"] = fields
			}
		}
		said := lines["log"]
		if said == nil || said["cold_start"] != (i == 0) || said["function_name"] != "shop" || said["function_memory_size"] != "256" ||
			said["xray_trace_id"] != trace || said["function_request_id"] == "" || said["order"] != event.Order {
			t.Errorf("%d: the logger says %v\n%s", i, said, log)
		}
		if lines["metric"] == nil || lines["metric"]["paid"] != 1.0 || (lines["cold"] != nil) != (i == 0) {
			t.Errorf("%d: the metrics are %v and %v", i, lines["metric"], lines["cold"])
		}
	}
}

func TestLambdaGo(t *testing.T) {
	zip := goPackage(t)
	r := start(t)
	r.deploy(t, "shop", types.RuntimeProvidedal2023, "bootstrap", zip)
	c, url := browser(r), r.public(t, "shop")
	p := fetch(t, c, r.Ready, "", "PUT", url+"a/b?q=1", "text", "Content-Type", "text/plain", "Cookie", "k=v; l=w")
	const want = `{"body":"text","cookies":["k=v","l=w"],"method":"PUT","path":"/a/b","query":{"q":"1"}}`
	if p.status != 201 || p.body != want || p.header.Get("X-Version") != "$LATEST" || !slices.Equal(p.header["Set-Cookie"], []string{"first=1", "second=2"}) {
		t.Errorf("function URL: %d %v %s", p.status, p.header, p.body)
	}
	for payload, want := range map[string]string{
		`{"article":"pen"}`:   `"article":"pen","inTime":true,"memory":256,`,
		`{"article":"gone"}`:  `{"errorMessage":"gone is out of stock","errorType":"outOfStock"}`,
		`{"article":"panic"}`: `{"errorMessage":"dropped it","errorType":"string","stackTrace":[`,
		`{"article":7}`:       `"errorType":"wrapError"`,
	} {
		out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop"), Payload: []byte(payload)})
		must(t, err)
		if !strings.Contains(string(out.Payload), want) || (out.FunctionError != nil) != strings.Contains(want, "error") {
			t.Errorf("%s: %s %s", payload, aws.ToString(out.FunctionError), out.Payload)
		}
	}
}
