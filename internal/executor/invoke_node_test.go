package executor

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"serin"
)

func TestInvokeNode(t *testing.T) {
	e := newExecutor(t, Config{})
	needInterpreter(t, e, "nodejs20.x")
	fn := func(code string) *Spec { return nodeSpec(t, code) }
	files := func(handler string, files map[string]string) *Spec {
		s := fn("")
		s.Handler, s.CodeDir = handler, writeFiles(t, files)
		return s
	}
	runtime := func(s *Spec, runtime string) *Spec { s.Runtime = runtime; return s }
	const echo = "exports.handler = async (event) => event;"
	runCases(t, e, []invokeCase{
		{name: "echo", spec: fn(echo), payload: `{"a":[1,2.5,null,true],"b":"ü"}`, want: `{"a":[1,2.5,null,true],"b":"ü"}`},
		{name: "undefined", spec: fn("exports.handler = async () => {};"), payload: `{}`, want: `null`},
		{name: "function", spec: fn("exports.handler = async () => () => {};"), payload: `{}`, want: `null`},
		{name: "callback", spec: fn("exports.handler = (e, c, cb) => { setTimeout(() => cb(null, 'late'), 20); };"), payload: `{}`, want: `"late"`},
		{name: "callback waits", spec: fn("exports.handler = (e, c, cb) => { const r = {n: 1}; cb(null, r); setTimeout(() => { r.n = 2; }, 20); };"), payload: `{}`, want: `{"n":2}`},
		{
			name: "callback does not wait", spec: fn("exports.handler = (e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; const r = {n: 1}; cb(null, r); setTimeout(() => { r.n = 2; }, 20); };"),
			payload: `{}`, want: `{"n":1}`,
		},
		{name: "callback error", spec: fn("exports.handler = (e, c, cb) => cb(new TypeError('no'));"), payload: `{}`, outcome: serin.OutcomeFunctionError, errType: "TypeError", message: "no"},
		{name: "callback string", spec: fn("exports.handler = (e, c, cb) => cb('text');"), payload: `{}`, outcome: serin.OutcomeFunctionError, errType: "string", message: "text"},
		{name: "succeed", spec: fn("exports.handler = (e, c) => { c.succeed(1); c.succeed(2); };"), payload: `{}`, want: `1`},
		{name: "fail", spec: fn("exports.handler = (e, c) => { c.fail(new Error('f')); };"), payload: `{}`, outcome: serin.OutcomeFunctionError, errType: "Error", message: "f"},
		{name: "done", spec: fn("exports.handler = (e, c) => { c.done(null, 'd'); };"), payload: `{}`, want: `"d"`},
		{name: "returns without promise", spec: fn("exports.handler = () => 5;"), payload: `{}`, want: `null`},
		{name: "never settles", spec: fn("exports.handler = async () => { await new Promise(() => {}); };"), payload: `{}`, want: `null`},
		{
			name: "never settles in 24", spec: runtime(fn("exports.handler = async () => { await new Promise(() => {}); };"), "nodejs24.x"), payload: `{}`,
			outcome: serin.OutcomeFunctionError, errType: "Runtime.NodeJsExit",
		},
		{
			name: "callback in 24", spec: runtime(fn("exports.handler = (e, c, cb) => cb();"), "nodejs24.x"), payload: `{}`,
			outcome: serin.OutcomeInitError, errType: "Runtime.CallbackHandlerDeprecated",
		},
		{name: "thenable", spec: fn("exports.handler = () => ({ then: (ok) => ok('thenable') });"), payload: `{}`, want: `"thenable"`},
		{name: "large", spec: fn(echo), payload: `"` + strings.Repeat("x", 5_000_000) + `"`, want: `"` + strings.Repeat("x", 5_000_000) + `"`},
		{name: "largest response", spec: fn(fmt.Sprintf("exports.handler = async () => 'x'.repeat(%d);", maxPayload-2)), payload: `{}`, want: `"` + strings.Repeat("x", maxPayload-2) + `"`},
		{
			name: "response too large", spec: fn(fmt.Sprintf("exports.handler = async () => 'x'.repeat(%d);", maxPayload-1)), payload: `{}`,
			outcome: serin.OutcomeFunctionError, errType: "Function.ResponseSizeTooLarge",
		},
		{
			name: "not JSON", spec: fn("exports.handler = async () => { const a = {}; a.a = a; return a; };"), payload: `{}`, outcome: serin.OutcomeFunctionError,
			errType: "Runtime.BodyStringifyError", message: "Unable to stringify response body",
		},
		{
			name: "exception", spec: fn("exports.handler = async () => { throw new RangeError('out\\nof range'); };"), payload: `{}`, outcome: serin.OutcomeFunctionError,
			errType: "RangeError", message: "out\nof range", logs: []string{"\t" + testID + "\tERROR\tInvoke Error \t{\"errorType\":\"RangeError\",\"errorMessage\":\"out\\nof range\",\"stack\":["},
		},
		{name: "thrown at once", spec: fn("exports.handler = () => { throw new Error('now'); };"), payload: `{}`, outcome: serin.OutcomeFunctionError, errType: "Error", message: "now"},
		{name: "thrown value", spec: fn("exports.handler = async () => { throw 'text'; };"), payload: `{}`, outcome: serin.OutcomeFunctionError, errType: "string", message: "text"},
		{
			name: "uncaught", spec: fn("exports.handler = () => new Promise(() => { setTimeout(() => { throw new Error('later'); }, 1); });"), payload: `{}`,
			outcome: serin.OutcomeFunctionError, errType: "Error", message: "later", logs: []string{"\tERROR\tUncaught Exception \t{"},
		},
		{
			name: "unhandled", spec: fn("exports.handler = () => new Promise(() => { Promise.reject(new Error('lost')); });"), payload: `{}`,
			outcome: serin.OutcomeFunctionError, errType: "Runtime.UnhandledPromiseRejection", message: "Error: lost", logs: []string{"\tERROR\tUnhandled Promise Rejection \t{"},
		},
		{name: "exit", spec: fn("exports.handler = async () => process.exit(4);"), payload: `{}`, outcome: serin.OutcomeCrash, errType: "Runtime.ExitError", message: "exit status 4"},
		{name: "exit 0", spec: fn("exports.handler = async () => process.exit();"), payload: `{}`, outcome: serin.OutcomeCrash, errType: "Runtime.ExitError", message: "without providing a reason"},
		{
			name: "killed", spec: fn("exports.handler = async () => { process.kill(process.pid, 'SIGKILL'); await new Promise((r) => setTimeout(r, 9000)); };"), payload: `{}`,
			outcome: serin.OutcomeCrash, errType: "Runtime.ExitError", message: "signal: killed",
		},
		{
			name: "timeout", spec: fn("exports.handler = async () => { console.log('before'); await new Promise((r) => setTimeout(r, 60000)); };"), payload: `{}`, timeout: time.Second,
			outcome: serin.OutcomeTimeout, errType: "Sandbox.Timedout", message: "Task timed out after 1.00 seconds", logs: []string{"\tINFO\tbefore\n"},
		},
		{
			name: "syntax error", spec: fn("exports.handler = async () => {"), payload: `{}`, outcome: serin.OutcomeInitError,
			errType: "Runtime.UserCodeSyntaxError", message: "SyntaxError: Unexpected end of input", logs: []string{"\tERROR\tUncaught Exception \t{\"errorType\":\"Runtime.UserCodeSyntaxError\""},
		},
		{name: "import error", spec: fn("require('nosuchmodule');"), payload: `{}`, outcome: serin.OutcomeInitError, errType: "Runtime.ImportModuleError", message: "Error: Cannot find module 'nosuchmodule'"},
		{name: "init exception", spec: fn("throw new Error('no start');"), payload: `{}`, outcome: serin.OutcomeInitError, errType: "Error", message: "no start"},
		{name: "init exit", spec: fn("process.exit(2);"), payload: `{}`, outcome: serin.OutcomeInitError, errType: "Runtime.ExitError", message: "exit status 2"},
		{name: "no handler", spec: fn("exports.other = 1;"), payload: `{}`, outcome: serin.OutcomeInitError, errType: "Runtime.HandlerNotFound", message: "index.handler is undefined or not exported"},
		{name: "no function", spec: fn("exports.handler = 1;"), payload: `{}`, outcome: serin.OutcomeInitError, errType: "Runtime.HandlerNotFound", message: "index.handler is not a function"},
		{name: "no module", spec: files("gone.handler", nil), payload: `{}`, outcome: serin.OutcomeInitError, errType: "Runtime.ImportModuleError", message: "Error: Cannot find module 'gone'"},
		{name: "bad name", spec: files("gone", nil), payload: `{}`, outcome: serin.OutcomeInitError, errType: "Runtime.MalformedHandlerName", message: "Bad handler"},
		{name: "outside", spec: files("../x.handler", nil), payload: `{}`, outcome: serin.OutcomeInitError, errType: "Runtime.MalformedHandlerName", message: "'../x.handler' is not a valid handler name."},
		{name: "nested", spec: files("src/api.v1.handler", map[string]string{"src/api.js": "exports.v1 = { handler: async () => 'nested' };"}), payload: `{}`, want: `"nested"`},
		{name: "mjs", spec: files("app.handler", map[string]string{"app.mjs": "const v = await Promise.resolve('mjs'); export const handler = async () => v;"}), payload: `{}`, want: `"mjs"`},
		{name: "module", spec: files("app.handler", map[string]string{"package.json": `{"type":"module"}`, "app.js": "export const handler = async () => import.meta.url.slice(-6);"}), payload: `{}`, want: `"app.js"`},
		{name: "default export", spec: files("app.handler", map[string]string{"app.mjs": "export default { handler: async () => 'default' };"}), payload: `{}`, want: `"default"`},
		{name: "cjs", spec: files("app.handler", map[string]string{"package.json": `{"type":"module"}`, "app.cjs": "exports.handler = async () => 'cjs';"}), payload: `{}`, want: `"cjs"`},
		{name: "folder", spec: files("app.handler", map[string]string{"app/index.js": "exports.handler = async () => 'folder';"}), payload: `{}`, want: `"folder"`},
		{name: "node_modules", spec: files("dep.handler", map[string]string{"node_modules/dep/index.js": "exports.handler = async () => 'dep';"}), payload: `{}`, want: `"dep"`},
		{
			name: "missing in module", spec: files("app.handler", map[string]string{"app.mjs": "import 'nosuchmodule'; export const handler = 1;"}), payload: `{}`,
			outcome: serin.OutcomeInitError, errType: "Runtime.ImportModuleError", message: "Cannot find package 'nosuchmodule'",
		},
	})
}

func TestNodeContext(t *testing.T) {
	e := newExecutor(t, Config{})
	needInterpreter(t, e, "nodejs20.x")
	s := nodeSpec(t, `
exports.handler = async (e, c) => {
  const left = c.getRemainingTimeInMillis();
  return [c.functionName, c.functionVersion, c.memoryLimitInMB, c.logGroupName, c.logStreamName.at(-33), c.invokedFunctionArn, c.awsRequestId,
    left > 9000 && left <= 10000, c.clientContext, c.identity, process.env._X_AMZN_TRACE_ID ?? null, process.env.AWS_EXECUTION_ENV,
    process.cwd() === process.env.LAMBDA_TASK_ROOT, c.callbackWaitsForEmptyEventLoop];
};`)
	r, err := e.Invoke(t.Context(), s, &Invocation{
		RequestID: testID, InvokedARN: "arn:x", Payload: []byte(`{}`), TraceID: "Root=1",
		ClientContext: `{"custom":{"a":"ü"}}`, CognitoIdentity: `{"cognitoIdentityId":"id"}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, r.Payload, []any{
		"jsfn", "1", "128", "/aws/lambda/jsfn", "]", "arn:x", testID, true,
		map[string]any{"custom": map[string]any{"a": "ü"}},
		map[string]any{"cognitoIdentityId": "id"},
		"Root=1", "AWS_Lambda_nodejs20.x", true, true,
	})
	r = invoke(t, e, s, `{}`)
	wantJSON(t, r.Payload, []any{
		"jsfn", "1", "128", "/aws/lambda/jsfn", "]", "arn:aws:lambda:us-east-1:000000000000:function:jsfn", testID, true, nil, nil, nil, "AWS_Lambda_nodejs20.x", true, true,
	})
}

func TestNodeConsole(t *testing.T) {
	e := newExecutor(t, Config{})
	needInterpreter(t, e, "nodejs20.x")
	s := nodeSpec(t, `
console.log('at start');
exports.handler = async () => {
  console.log('two\nlines %d', 7, { a: 1 });
  for (const level of ['trace', 'debug', 'info', 'warn', 'error']) console[level](level);
  process.stdout.write('raw ');
  process.stderr.write('output\n');
  console.log('x'.repeat(3000));
};`)
	r := invoke(t, e, s, `{}`)
	id := "Z\t" + testID + "\t"
	for _, want := range []string{
		id + "INFO\ttwo\nlines 7 { a: 1 }\n", id + "TRACE\ttrace\n", id + "DEBUG\tdebug\n", id + "INFO\tinfo\n", id + "WARN\twarn\n", id + "ERROR\terror\n",
		"\nraw output\n", id + "INFO\t" + strings.Repeat("x", 3000) + "\nEND ",
	} {
		if !strings.Contains(string(r.Tail), want) {
			t.Errorf("the log misses %q:\n%s", want, r.Tail)
		}
	}
	s.Env = map[string]string{"AWS_LAMBDA_LOG_LEVEL": "WARN"}
	s.Revision = "quiet"
	if r := invoke(t, e, s, `{}`); strings.Contains(string(r.Tail), "\tINFO\t") || !strings.Contains(string(r.Tail), id+"WARN\twarn\n") {
		t.Errorf("log:\n%s", r.Tail)
	}
}

func TestNodeErrorShape(t *testing.T) {
	e := newExecutor(t, Config{})
	needInterpreter(t, e, "nodejs20.x")
	s := nodeSpec(t, "exports.handler = async function name() { const e = new Error('no'); e.name = 'Mine'; throw e; };")
	r := invoke(t, e, s, `{}`)
	var got struct {
		ErrorType, ErrorMessage string
		Trace                   []string
	}
	unmarshal(t, r.Payload, &got)
	if got.ErrorType != "Mine" || got.ErrorMessage != "no" || len(got.Trace) < 2 || got.Trace[0] != "Mine: no" ||
		!strings.Contains(got.Trace[1], taskDir(e, s)+"/index.js:1:") {
		t.Errorf("payload %s", r.Payload)
	}
	s = nodeSpec(t, "require('nosuchmodule');")
	r = invoke(t, e, s, `{}`)
	unmarshal(t, r.Payload, &got)
	if got.Trace[0] != "Runtime.ImportModuleError: Error: Cannot find module 'nosuchmodule'" {
		t.Errorf("payload %s", r.Payload)
	}
}

// TestNodeLeavesWork invokes functions that leave the event loop something to do, which the wait for the next invocation
// must not hinder, and must not be hindered by.
func TestNodeLeavesWork(t *testing.T) {
	e := newExecutor(t, Config{FreezeAfter: -1})
	needInterpreter(t, e, "nodejs20.x")
	for name, code := range map[string]string{
		"nothing": "",
		"a timer": "setInterval(() => { count += 1; }, 1);",
		"a server": `const server = require('net').createServer((c) => c.end()).listen(0, '127.0.0.1');
			const call = () => { const c = require('net').connect(server.address()?.port ?? 0, '127.0.0.1'); c.on('error', () => {}); c.on('close', () => { count += 1; setTimeout(call, 1); }); };
			server.on('listening', call);`,
		"a signal": "process.on('SIGTERM', () => {}); setInterval(() => { count += 1; }, 1).unref();",
	} {
		t.Run(name, func(t *testing.T) {
			s := nodeSpec(t, "let count = 0;\n"+code+"\nexports.handler = async (event) => ({ event, count });\n")
			s.Revision = name
			var got struct{ Event, Count int }
			for n := range 200 {
				unmarshal(t, invoke(t, e, s, strconv.Itoa(n)).Payload, &got)
				if got.Event != n {
					t.Fatalf("invocation %d was answered with %d", n, got.Event)
				}
			}
			for deadline := time.Now().Add(10 * time.Second); name != "nothing" && got.Count == 0; {
				if time.Now().After(deadline) {
					t.Fatal("nothing was done between invocations")
				}
				unmarshal(t, invoke(t, e, s, "0").Payload, &got)
			}
		})
	}
}
