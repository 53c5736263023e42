package server_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// mischief is something that functions and callers do wrong.
type mischief struct {
	name    string
	timeout int32             // seconds; 0 for 20
	files   map[string]string // by language: what the function is made of; languages that cannot do it are left out
	handler string            // "" for the usual one
	want    map[string]string // by language, "" for all: a regular expression for the payload of the answer
	sound   bool              // the function is not to blame: there is no FunctionError
}

// The three families of runtimes.
const (
	python   = "python"
	node     = "node"
	provided = "provided"
)

// mischiefs is what functions do wrong, and Lambda's own answers, recorded on AWS or in its runtimes.
// For provided the file is a value of MISCHIEF, see testdata/gofn, or begins with an exclamation mark for what is done
// to the package.
var mischiefs = []mischief{
	{
		name: "response over 6 MB",
		files: map[string]string{
			python:   "def handler(e, c): return 'x' * ((6 << 20) + 99)",
			node:     "exports.handler = async () => 'x'.repeat((6 << 20) + 99);",
			provided: "large",
		},
		want: map[string]string{"": `^\{"errorType":"Function\.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size \(6291556 bytes\)\."\}$`},
	},
	{
		name: "response that is not JSON",
		files: map[string]string{
			python: "def handler(e, c): return {1, 2}",
			node:   "exports.handler = async () => { const a = {}; a.a = a; return a; };",
		},
		want: map[string]string{
			python: `"errorMessage": "Unable to marshal response: Object of type set is not JSON serializable", "errorType": "Runtime\.MarshalError"`,
			node:   `"errorType":"Runtime\.BodyStringifyError"`,
		},
	},
	{
		name: "response of raw text", sound: true, // Lambda passes on what a runtime sends
		files: map[string]string{provided: "text"},
		want:  map[string]string{"": `^plain text$`},
	},
	{
		name: "handler missing",
		files: map[string]string{
			python:   "x = 1",
			node:     "exports.other = 1;",
			provided: "!no bootstrap",
		},
		want: map[string]string{
			python:   `"errorMessage": "Handler 'handler' missing on module 'app'", "errorType": "Runtime\.HandlerNotFound"`,
			node:     `"errorType":"Runtime\.HandlerNotFound","errorMessage":"app\.handler is undefined or not exported"`,
			provided: `"errorType":"Runtime\.InvalidEntrypoint","errorMessage":"RequestId: [-0-9a-f]{36} Error: Couldn't find valid bootstrap\(s\): \[/var/task/bootstrap /opt/bootstrap\]"`,
		},
	},
	{
		name: "module missing", handler: "gone.handler",
		files: map[string]string{python: "x = 1", node: "exports.handler = 1;"},
		want: map[string]string{
			python: `"errorMessage": "Unable to import module 'gone': No module named 'gone'", "errorType": "Runtime\.ImportModuleError"`,
			node:   `"errorType":"Runtime\.ImportModuleError","errorMessage":"Error: Cannot find module 'gone'`,
		},
	},
	{
		name: "dependency missing",
		files: map[string]string{
			python: "import nosuchmodule",
			node:   "require('nosuchmodule');",
		},
		want: map[string]string{
			python: `"errorMessage": "Unable to import module 'app': No module named 'nosuchmodule'", "errorType": "Runtime\.ImportModuleError"`,
			node:   `"errorType":"Runtime\.ImportModuleError","errorMessage":"Error: Cannot find module 'nosuchmodule'`,
		},
	},
	{
		name: "syntax error",
		files: map[string]string{
			python: "def handler(e, c)\n    pass",
			node:   "exports.handler = async () => {",
		},
		want: map[string]string{
			python: `"errorMessage": "Syntax error in module 'app': .*\(app\.py, line 1\)", "errorType": "Runtime\.UserCodeSyntaxError"`,
			node:   `"errorType":"Runtime\.UserCodeSyntaxError","errorMessage":"SyntaxError: Unexpected end of input"`,
		},
	},
	{
		name: "endless init", timeout: 1,
		files: map[string]string{
			python:   "import time\ntime.sleep(3600)",
			node:     "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3600000);",
			provided: "init",
		},
		want: map[string]string{"": `^\{"errorType":"Sandbox\.Timedout","errorMessage":"RequestId: [-0-9a-f]{36} Error: Task timed out after 1\.00 seconds"\}$`},
	},
	{
		name: "ignores SIGTERM", timeout: 1,
		files: map[string]string{
			python:   "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef handler(e, c): time.sleep(3600)",
			node:     "process.on('SIGTERM', () => {});\nexports.handler = () => new Promise(() => setInterval(() => {}, 1000));",
			provided: "sigterm",
		},
		want: map[string]string{"": `^\{"errorType":"Sandbox\.Timedout","errorMessage":"RequestId: [-0-9a-f]{36} Error: Task timed out after 1\.00 seconds"\}$`},
	},
	{
		name:  "binary of another architecture",
		files: map[string]string{provided: "!other machine"},
		want:  map[string]string{"": `"errorType":"Runtime\.InvalidEntrypoint","errorMessage":"RequestId: [-0-9a-f]{36} Error: fork/exec /var/task/bootstrap: exec format error"`},
	},
	{
		name: "prints 64 MB", timeout: 120, sound: true,
		files: map[string]string{
			python:   "import os\ndef handler(e, c):\n    chunk = (b'p' * 65535 + b'\\n') * 16\n    for _ in range(64):\n        n = 0\n        while n < len(chunk): n += os.write(1, chunk[n:])\n    return 'printed'",
			node:     "const fs = require('fs');\nexports.handler = async () => {\n  const chunk = Buffer.from(('p'.repeat(65535) + '\\n').repeat(16));\n  for (let i = 0; i < 64; i++) for (let n = 0; n < chunk.length;) n += fs.writeSync(1, chunk, n);\n  return 'printed';\n};",
			provided: "print",
		},
		want: map[string]string{"": `^"printed"$`},
	},
}

// packageOf makes the package of a function that does what it says in a language.
func (m *mischief) packageOf(tb testing.TB, language string) []byte {
	tb.Helper()
	switch text := m.files[language]; {
	case language == python:
		return zipped(tb, "app.py", text)
	case language == node:
		return zipped(tb, "app.js", text)
	case text == "!no bootstrap":
		return zipped(tb, "readme", "nothing to run")
	case text == "!other machine":
		return zipped(tb, "bootstrap", otherMachine(tb))
	default:
		return goPackage(tb)
	}
}

// otherMachine is a program of this machine that says it is one of another.
func otherMachine(tb testing.TB) string {
	tb.Helper()
	name, err := os.Executable()
	must(tb, err)
	program, err := os.ReadFile(name)
	must(tb, err)
	head := bytes.Clone(program[:4096])
	binary.LittleEndian.PutUint16(head[18:], uint16(elf.EM_S390))
	return string(head)
}

func (m *mischief) run(t *testing.T, r *running, language string) {
	t.Helper()
	name := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(m.name+"-"+language), "-")
	handler := m.handler
	if handler == "" {
		handler = "app.handler"
	}
	family := map[string]types.Runtime{python: types.RuntimePython312, node: types.RuntimeNodejs20x, provided: types.RuntimeProvidedal2023}[language]
	r.deploy(t, name, family, handler, m.packageOf(t, language), func(in *lambda.CreateFunctionInput) {
		if m.timeout != 0 {
			in.Timeout = &m.timeout
		}
		if language == provided {
			in.Environment = &types.Environment{Variables: map[string]string{"MISCHIEF": m.files[language]}}
		}
	})
	out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, LogType: types.LogTypeTail, Payload: []byte("{}")})
	must(t, err)
	want, ok := m.want[language]
	if !ok {
		want = m.want[""]
	}
	failed := aws.ToString(out.FunctionError) == "Unhandled"
	if out.StatusCode != http.StatusOK || failed == m.sound || !regexp.MustCompile(want).Match(out.Payload) {
		t.Errorf("%d %s %.1000s, want %s", out.StatusCode, aws.ToString(out.FunctionError), out.Payload, want)
	}
	if out.LogResult == nil || len(*out.LogResult) > 6<<10 {
		t.Errorf("a log of %d bytes in base64", len(aws.ToString(out.LogResult)))
	}
}

// Whatever functions do, their callers get Lambda's own errors, and nobody else notices.
func TestBadFunctions(t *testing.T) {
	needs(t, "node")
	r := start(t)
	r.create(t, "healthy", reporting, 0)
	for i := range mischiefs {
		m := &mischiefs[i]
		t.Run(m.name, func(t *testing.T) {
			resetPeak(t)
			before := peak(t)
			t.Run("all", func(t *testing.T) {
				for language := range m.files {
					t.Run(language, func(t *testing.T) {
						t.Parallel()
						m.run(t, r, language)
					})
				}
			})
			if grown := peak(t) - before; grown > 256<<10 {
				t.Errorf("the memory of the server grew by %d KB", grown)
			}
			r.isHealthy(t)
		})
	}
}

// isHealthy checks that the server serves, also functions.
func (r *running) isHealthy(tb testing.TB) {
	tb.Helper()
	resp, err := http.Get(r.Endpoint + "/healthz")
	must(tb, err)
	body, err := io.ReadAll(resp.Body)
	must(tb, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || string(body) != "ok\n" {
		tb.Errorf("health: %s %s", resp.Status, body)
	}
	out, err := r.Invoke(tb.Context(), &lambda.InvokeInput{FunctionName: aws.String("healthy")})
	if err != nil || out.FunctionError != nil {
		tb.Errorf("another function: %v, %v", out, err)
	}
}

// resetPeak makes peak begin anew.
func resetPeak(tb testing.TB) {
	tb.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	must(tb, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0))
}

// peak is the most memory that this process, and so the server, has used since resetPeak, in KB; 0 where the system does
// not say so.
func peak(tb testing.TB) int {
	tb.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	status, err := os.ReadFile("/proc/self/status")
	must(tb, err)
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		tb.Fatalf("no VmHWM in %s", status)
	}
	n, err := strconv.Atoi(string(found[1]))
	must(tb, err)
	return n
}

// What callers send wrong never reaches a function.
func TestBadRequests(t *testing.T) {
	r := start(t)
	r.create(t, "healthy", reporting, 0)
	url := r.public(t, "healthy")
	c := browser(r)
	for _, tt := range []struct {
		name, path, payload string
		status              int
		kind, message       string
	}{
		{"payload over 6 MB", "healthy/invocations", `"` + strings.Repeat("x", 6<<20) + `"`, 413, "RequestEntityTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeFunction operation"},
		{"payload that is not JSON", "healthy/invocations", "{", 400, "InvalidRequestContentException", "Could not parse request body into json: "},
		{"payload that is not UTF-8", "healthy/invocations", "\xff", 400, "InvalidRequestContentException", "Could not parse request body into json: "},
		{"no such function", "nobody/invocations", "{}", 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody"},
		{"no such qualifier", "healthy:nope/invocations", "{}", 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:healthy:nope"},
		{"a qualifier that is none", "healthy/invocations?Qualifier=a%20b", "{}", 400, "ValidationException", "1 validation error detected: Value 'a b' at 'qualifier' failed to satisfy constraint: "},
		{"a name that is none", "no%20body/invocations", "{}", 400, "ValidationException", "1 validation error detected: Value 'no body' at 'functionName' failed to satisfy constraint: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := fetch(t, http.DefaultClient, r.Ready, r.SecretAccessKey, "POST", r.Endpoint+"/2015-03-31/functions/"+tt.path, tt.payload)
			var body struct {
				Message string `json:"message"`
			}
			if err := json.Unmarshal([]byte(p.body), &body); err != nil {
				t.Errorf("%s: %v", p.body, err)
			}
			if p.status != tt.status || p.header.Get("X-Amzn-Errortype") != tt.kind || !strings.HasPrefix(body.Message, tt.message) {
				t.Errorf("%d %v %s", p.status, p.header, p.body)
			}
			r.isHealthy(t)
		})
	}
	if p := fetch(t, c, r.Ready, "", "POST", url, strings.Repeat("x", 6<<20+1), "Content-Type", "text/plain"); p.status != 413 || p.body != `{"Message":"Request Entity Too Large"}` {
		t.Errorf("function URL: %d %s", p.status, p.body)
	}
	counted, errors := r.counted(t, "healthy", "")
	if errors != 0 || counted["$LATEST"] != 7 {
		t.Errorf("the function saw %v requests and failed %d, want those of isHealthy", counted, errors)
	}
}
