package executor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"serin"
)

const testID = "2f0a0d0e-1111-4222-8333-444455556666"

// invoke invokes with the test's request id.
func invoke(tb testing.TB, e *Executor, s *Spec, payload string) *Result {
	tb.Helper()
	r, err := e.Invoke(tb.Context(), s, &Invocation{
		RequestID: testID, InvokedARN: "arn:aws:lambda:us-east-1:000000000000:function:" + s.Function,
		Payload: []byte(payload), Tail: true,
	})
	if err != nil {
		tb.Fatalf("Invoke(%.100s): %v", payload, err)
	}
	return r
}

// invokeCase is an invocation of a function and what becomes of it.
type invokeCase struct {
	name    string
	spec    *Spec
	payload string
	timeout time.Duration // of the function, if not the default

	outcome serin.Outcome
	want    string   // the payload, if not empty
	errType string   // errorType in the payload
	message string   // part of errorMessage in the payload
	logs    []string // parts of the log
}

func runCases(t *testing.T, e *Executor, cases []invokeCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, e) })
	}
}

func (c *invokeCase) run(t *testing.T, e *Executor) {
	t.Helper()
	s := *c.spec
	s.Revision = t.Name() // an environment of its own
	if c.timeout != 0 {
		s.Timeout = c.timeout
	}
	r := invoke(t, e, &s, c.payload)
	if r.Outcome != c.outcome || (r.FunctionError == "Unhandled") != c.outcome.Failed() {
		t.Errorf("outcome %v, FunctionError %q, want %v", r.Outcome, r.FunctionError, c.outcome)
	}
	if c.want != "" && string(r.Payload) != c.want {
		t.Errorf("payload %.300s, want %.300s", r.Payload, c.want)
	}
	var reported struct{ ErrorType, ErrorMessage string }
	if c.outcome.Failed() {
		if err := json.Unmarshal(r.Payload, &reported); err != nil {
			t.Errorf("payload %s: %v", r.Payload, err)
		}
	}
	if reported.ErrorType != c.errType || !strings.Contains(reported.ErrorMessage, c.message) {
		t.Errorf("error %s, want type %q and in the message %q", r.Payload, c.errType, c.message)
	}
	for _, part := range c.logs {
		if !strings.Contains(string(r.Tail), part) {
			t.Errorf("the log misses %q", part)
		}
	}
	kept := slices.ContainsFunc(e.Environments(), func(i EnvironmentInfo) bool { return i.ID == r.EnvironmentID })
	if lost := c.outcome != serin.OutcomeOK && c.outcome != serin.OutcomeFunctionError; lost && kept {
		t.Errorf("the environment is kept after %v", c.outcome)
	}
	if t.Failed() {
		t.Logf("log:\n%s", r.Tail)
	}
}

func TestInvokeGo(t *testing.T) {
	e := newExecutor(t, Config{})
	s, roomy := goSpec(t), goSpec(t)
	roomy.Version, roomy.MemoryMB = "roomy", 1024
	// A program cannot break off a response for good: aws-lambda-go says so in a trailer.
	runCases(t, e, []invokeCase{
		{name: "echo", spec: s, payload: `{"do":"echo","echo":{"a":[1,"ü"]}}`, want: `{"a":[1,"ü"]}`},
		{name: "nothing", spec: s, payload: `{}`, want: `null`},
		{
			name: "error", spec: s, payload: `{"do":"error"}`, outcome: serin.OutcomeFunctionError,
			want: `{"errorMessage":"went wrong","errorType":"errorString"}`, errType: "errorString", message: "went wrong",
		},
		{name: "panic", spec: s, payload: `{"do":"panic"}`, outcome: serin.OutcomeFunctionError, errType: "string", message: "lost it"},
		{
			name: "exit code", spec: s, payload: `{"do":"exit","n":3}`, outcome: serin.OutcomeCrash, errType: "Runtime.ExitError",
			want:    `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ` + testID + ` Error: Runtime exited with error: exit status 3"}`,
			message: "exit status 3", logs: []string{
				"RequestId: " + testID + " Error: Runtime exited with error: exit status 3\nRuntime.ExitError\n",
				"\tStatus: error\tError Type: Runtime.ExitError\t\n",
			},
		},
		{
			name: "exit 0", spec: s, payload: `{"do":"exit"}`, outcome: serin.OutcomeCrash, errType: "Runtime.ExitError",
			message: "Error: Runtime exited without providing a reason",
		},
		{
			name: "killed", spec: s, payload: `{"do":"kill","n":9}`, outcome: serin.OutcomeCrash, errType: "Runtime.ExitError",
			message: "Error: Runtime exited with error: signal: killed",
		},
		{
			name: "terminated", spec: s, payload: `{"do":"kill","n":15}`, outcome: serin.OutcomeCrash, errType: "Runtime.ExitError",
			message: "signal: terminated",
		},
		{
			name: "timeout", spec: s, payload: `{"do":"sleep","n":60000}`, timeout: time.Second, outcome: serin.OutcomeTimeout,
			errType: "Sandbox.Timedout", want: `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ` + testID + ` Error: Task timed out after 1.00 seconds"}`,
			message: "timed out", logs: []string{
				"Z " + testID + " Task timed out after 1.00 seconds\nEND RequestId: ", "REPORT RequestId: " + testID + "\tDuration: 1000.00 ms\t", "\tStatus: timeout\t\n",
			},
		},
		{name: "broken off", spec: s, payload: `{"do":"breakoff"}`, outcome: serin.OutcomeFunctionError, errType: "errorString", message: "broke off"},
		{name: "largest response", spec: s, payload: fmt.Sprintf(`{"do":"big","n":%d}`, maxPayload-2), want: `"` + strings.Repeat("x", maxPayload-2) + `"`},
		{
			name: "response too large", spec: s, payload: fmt.Sprintf(`{"do":"big","n":%d}`, maxPayload-1), outcome: serin.OutcomeFunctionError,
			errType: "Function.ResponseSizeTooLarge", message: "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
		},
		{
			name: "response far too large", spec: roomy, payload: `{"do":"big","n":100000000}`, outcome: serin.OutcomeFunctionError,
			errType: "Function.ResponseSizeTooLarge",
		},
		{name: "output", spec: s, payload: `{"do":"print","n":20000}`, want: `null`, logs: []string{"ppp\nno newline\nEND RequestId: " + testID}},
	})
}

func TestInvokeEntrypoint(t *testing.T) {
	e := newExecutor(t, Config{})
	spec := func(files map[string]string) *Spec {
		s := *goSpec(t)
		s.CodeDir = writeFiles(t, files)
		return &s
	}
	const head = "RequestId: " + testID + " Error: "
	runCases(t, e, []invokeCase{
		{
			name: "missing", spec: spec(nil), payload: `{}`, outcome: serin.OutcomeInitError, errType: "Runtime.InvalidEntrypoint",
			want:    `{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"` + head + `Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"}`,
			message: "bootstrap", logs: []string{"\tStatus: error\tError Type: Runtime.InvalidEntrypoint\t\n"},
		},
		{
			name: "a directory", spec: spec(map[string]string{"bootstrap/x": ""}), payload: `{}`, outcome: serin.OutcomeInitError,
			errType: "Runtime.InvalidEntrypoint", message: "fork/exec /var/task/bootstrap: permission denied",
		},
		{
			name: "another machine's", spec: spec(map[string]string{"bootstrap": "\x7fELF no such format"}), payload: `{}`, outcome: serin.OutcomeInitError,
			errType: "Runtime.InvalidEntrypoint", message: "fork/exec /var/task/bootstrap: exec format error",
		},
		{
			name: "missing interpreter", spec: spec(map[string]string{"bootstrap": "#!/no/such/shell\n"}), payload: `{}`, outcome: serin.OutcomeInitError,
			errType: "Runtime.InvalidEntrypoint", message: "fork/exec /var/task/bootstrap: no such file or directory",
		},
	})
}

func TestInvokeShell(t *testing.T) {
	e := newExecutor(t, Config{})
	// Every call of curl is a connection of its own; large bodies are announced with "Expect: 100-continue".
	const loop = `
while true; do
  headers=$(mktemp)
  event=$(curl -sS -D "$headers" "$api/invocation/next")
  id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$headers" | tr -d '[:space:]' | cut -d: -f2)
  answer
done`
	runCases(t, e, []invokeCase{
		{
			name: "echo", spec: shellSpec(t, `answer() { curl -sS -o /dev/null "$api/invocation/$id/response" -d "$event"; }`+loop),
			payload: `{"shell":true}`, want: `{"shell":true}`,
		},
		{name: "HTTP/1.0", spec: shellSpec(t, `
curl() { command curl -0 "$@"; }
answer() { curl -sS -o /dev/null "$api/invocation/$id/response" -d "$event"; }`+loop), payload: `{"old":1}`, want: `{"old":1}`},
		{name: "expect", spec: shellSpec(t, `
answer() { printf '"%0*d"' 5000000 7 > body; curl -sS -o /dev/null -H 'Expect: 100-continue' "$api/invocation/$id/response" --data-binary @body; }
cd /tmp`+loop), payload: `{}`, want: `"` + strings.Repeat("0", 4999999) + `7"`},
		{
			name: "error", spec: shellSpec(t, `
answer() { curl -sS -o /dev/null -H 'Lambda-Runtime-Function-Error-Type: Function.Shell' "$api/invocation/$id/error" -d '{"errorType":"Shell","errorMessage":"no"}'; }`+loop),
			payload: `{}`, outcome: serin.OutcomeFunctionError, errType: "Shell", message: "no",
		},
		{
			name: "error with a cause", spec: shellSpec(t, `
answer() { curl -sS -o /dev/null -H 'Content-Type: application/vnd.aws.lambda.error.cause+json' "$api/invocation/$id/error" \
  -d '{"errorType":"Shell","errorMessage":"no","errorCause":{"secret":1}}'; }`+loop),
			payload: `{}`, outcome: serin.OutcomeFunctionError, errType: "Shell", message: "no", want: `{"errorMessage":"no","errorType":"Shell"}`,
		},
		{
			name: "mode", spec: shellSpec(t, `
answer() { curl -sS -o /dev/null -H 'Lambda-Runtime-Function-Response-Mode: sideways' "$api/invocation/$id/response" -d '1'; }`+loop),
			payload: `{}`, outcome: serin.OutcomeFunctionError, errType: "Runtime.InvalidResponseModeHeader",
		},
		{
			name: "streamed", spec: shellSpec(t, `
answer() { printf '"a b"' | curl -sS -o /dev/null -H 'Lambda-Runtime-Function-Response-Mode: streaming' -H 'Transfer-Encoding: chunked' "$api/invocation/$id/response" --data-binary @-; }`+loop),
			payload: `{}`, want: `"a b"`,
		},
		{
			name: "not JSON", spec: shellSpec(t, `answer() { curl -sS -o /dev/null "$api/invocation/$id/response" -d "plain text"; }`+loop),
			payload: `{}`, want: `plain text`,
		},
		{
			name: "init error", spec: shellSpec(t, `
echo starting
curl -sS "$api/init/error" -d '{"errorType":"Function.Start","errorMessage":"no start"}'; exit 1`),
			payload: `{}`, outcome: serin.OutcomeInitError, errType: "Function.Start", message: "no start", logs: []string{"starting\n"},
		},
		{
			name: "exit in init", spec: shellSpec(t, `exit 7`), payload: `{}`, outcome: serin.OutcomeInitError,
			errType: "Runtime.ExitError", message: "Error: Runtime exited with error: exit status 7",
		},
		{
			name: "exit 0 in init", spec: shellSpec(t, `exit 0`), payload: `{}`, outcome: serin.OutcomeInitError,
			errType: "Runtime.ExitError", message: "Error: Runtime exited without providing a reason",
		},
		{
			name: "killed in init", spec: shellSpec(t, `kill -9 $$`), payload: `{}`, outcome: serin.OutcomeInitError,
			errType: "Runtime.ExitError", message: "signal: killed",
		},
	})
}

func TestInvokeOutOfOrder(t *testing.T) {
	e := newExecutor(t, Config{})
	// The bootstrap does what it should not do, and answers with the replies that it got.
	s := shellSpec(t, `
say() { printf '%s ' "$(curl -sS -o /dev/null -w '%{http_code}' "$@")"; }
try() { curl -sS "$@" | sed 's/"errorMessage":"\([^"]*\)".*/\1/' | tr -d '{}"'; printf '; '; }
before=$(say "$api/invocation/none/response" -d 1; say "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/ping"; say "http://$AWS_LAMBDA_RUNTIME_API/other"; say -X PUT "$api/invocation/next")
while true; do
  headers=$(mktemp)
  curl -sS -D "$headers" "$api/invocation/next" > /dev/null
  id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$headers" | tr -d '[:space:]' | cut -d: -f2)
  if [ -z "${during-}" ]; then
    during=$(say "$api/invocation/wrong/response" -d 1; say "$api/init/error" -d 1; try "$api/init/error" -d 1; say "$api/invocation/next")
    curl -sS -o /dev/null "$api/invocation/$id/response" -d 1
    after=$(say "$api/invocation/$id/response" -d 2; try "$api/invocation/$id/error" -d 2; say "$api/invocation/wrong/error" -d 2)
  else
    curl -sS -o /dev/null "$api/invocation/$id/response" -d "$before| $during| $after"
  fi
done`)
	if r := invoke(t, e, s, `{}`); string(r.Payload) != "1" {
		t.Fatalf("first payload %s\n%s", r.Payload, r.Tail)
	}
	want := "400 200 404 404 | 400 403 State transition from Running to InitError failed for runtime. Error: State transition is not allowed; 200 | " +
		"403 State transition from RuntimeResponseSentState to InvocationErrorResponse failed for runtime. Error: State transition is not allowed; 400 "
	if r := invoke(t, e, s, `{}`); string(r.Payload) != want {
		t.Errorf("replies\n%s\nwant\n%s", r.Payload, want)
	}
}

func TestInvokeContext(t *testing.T) {
	e := newExecutor(t, Config{Credentials: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA"}})
	inheritable(t)
	s := goSpec(t)
	s.Env = map[string]string{"MINE": "yes", "TZ": "Europe/Berlin", "AWS_REGION": "not mine", "_HANDLER": "not mine", "AWS_ACCESS_KEY_ID": "not mine"}
	r, err := e.Invoke(t.Context(), s, &Invocation{
		RequestID: testID, InvokedARN: "arn:aws:lambda:us-east-1:000000000000:function:gofn:live", Payload: []byte(`{"do":"context"}`),
		ClientContext: `{"custom":{"k":"v\n"},` + "\r\n" + `"env":{"a":"ü"}}`, CognitoIdentity: `{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}`,
		TraceID: "Root=1-5759e988-bd862e3fe1be46a994272793",
	})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		RequestID, Arn, Trace string
		Remaining             int64
		Pid                   int
		Files                 []string
		Env                   []string
		Client                struct {
			Custom map[string]string `json:"custom"`
			Env    map[string]string `json:"env"`
		}
		Identity struct{ CognitoIdentityID, CognitoIdentityPoolID string }
	}
	if err := json.Unmarshal(r.Payload, &got); err != nil {
		t.Fatalf("%s: %v", r.Payload, err)
	}
	if got.RequestID != testID || !strings.HasSuffix(got.Arn, ":live") || got.Trace != "Root=1-5759e988-bd862e3fe1be46a994272793" ||
		got.Client.Custom["k"] != "v\n" || got.Client.Env["a"] != "ü" || got.Identity.CognitoIdentityID != "i" ||
		got.Remaining <= 9000 || got.Remaining > 10000 {
		t.Errorf("context %s", r.Payload)
	}
	if e.Isolates() && got.Pid != 3 {
		t.Errorf("pid %d, want 3: the runtime is not alone in its sandbox", got.Pid)
	}
	if len(got.Files) < 3 {
		t.Errorf("the runtime has only %q open", got.Files)
	}
	for _, name := range got.Files {
		if strings.HasSuffix(name, "/inherited") && e.Isolates() {
			t.Errorf("the runtime has inherited %s", name)
		}
	}
	want := []string{
		"AWS_ACCESS_KEY_ID=AKIA", "AWS_DEFAULT_REGION=us-east-1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "AWS_LAMBDA_FUNCTION_NAME=gofn",
		"AWS_LAMBDA_FUNCTION_VERSION=1", "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand", "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/gofn",
		"AWS_REGION=us-east-1", "AWS_XRAY_CONTEXT_MISSING=LOG_ERROR", "LAMBDA_TASK_ROOT=" + taskDir(e, s), "LANG=en_US.UTF-8",
		"MINE=yes", "TZ=Europe/Berlin", "_HANDLER=bootstrap",
	}
	for _, w := range want {
		if !slices.Contains(got.Env, w) {
			t.Errorf("the environment misses %s", w)
		}
	}
	stream := regexp.MustCompile(`^AWS_LAMBDA_LOG_STREAM_NAME=\d{4}/\d\d/\d\d/\[1\][0-9a-f]{32}$`)
	if !slices.ContainsFunc(got.Env, stream.MatchString) {
		t.Errorf("no log stream in %v", got.Env)
	}
	for _, v := range got.Env {
		name, _, _ := strings.Cut(v, "=")
		if name == "AWS_EXECUTION_ENV" || name == "HOME" || name == "USER" {
			t.Errorf("the environment has %s", v)
		}
	}
}

func TestReport(t *testing.T) {
	e := newExecutor(t, Config{})
	s := goSpec(t)
	cold := invoke(t, e, s, `{"do":"sleep","n":20}`)
	warm := invoke(t, e, s, `{"do":"sleep","n":20}`)
	for _, c := range []struct {
		r    *Result
		want string
	}{
		{cold, `^START RequestId: ID Version: 1\nEND RequestId: ID\nREPORT RequestId: ID\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t\n$`},
		{warm, `^START RequestId: ID Version: 1\nEND RequestId: ID\nREPORT RequestId: ID\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB\t\n$`},
	} {
		want := regexp.MustCompile(strings.ReplaceAll(c.want, "ID", testID))
		if !want.Match(c.r.Tail) {
			t.Errorf("log %q", c.r.Tail)
		}
		if c.r.Duration < 20*time.Millisecond || c.r.BilledMillis != billed(c.r.Duration+c.r.InitDuration) || c.r.MaxMemoryMB < 2 || c.r.MaxMemoryMB > 100 {
			t.Errorf("result %+v", c.r)
		}
	}
	if !cold.Cold || cold.InitDuration <= 0 || warm.Cold || warm.InitDuration != 0 || cold.EnvironmentID != warm.EnvironmentID {
		t.Errorf("cold %+v, warm %+v", cold, warm)
	}
}

// inheritable gives the test a descriptor as a server may have it from what started it.
func inheritable(t *testing.T) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "inherited"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
}
