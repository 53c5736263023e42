package executor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
)

func TestInvokePython(t *testing.T) {
	e := newExecutor(t, Config{})
	needInterpreter(t, e, "python3.11")
	fn := func(code string) *Spec { return pythonSpec(t, code) }
	files := func(handler string, files map[string]string) *Spec {
		s := fn("")
		s.Handler, s.CodeDir = handler, writeFiles(t, files)
		return s
	}
	runtime := func(s *Spec, runtime string) *Spec { s.Runtime = runtime; return s }
	const echo = "def handler(event, context):\n    return event\n"
	runCases(t, e, []invokeCase{
		{name: "echo", spec: fn(echo), payload: `{"a": [1, 2.5, null, true], "b": "ü"}`, want: `{"a": [1, 2.5, null, true], "b": "\u00fc"}`},
		{name: "unicode", spec: runtime(fn(echo), "python3.12"), payload: `"ü\u0000"`, want: `"ü\u0000"`},
		{name: "null", spec: fn("def handler(e, c):\n    pass\n"), payload: `{}`, want: `null`},
		{
			name: "decimal", spec: fn("from decimal import Decimal\ndef handler(e, c):\n    return {'d': Decimal('1.10'), 's': '\\x00x', 'l': [Decimal('3')], 'n': Decimal('nan')}\n"),
			payload: `{}`, want: `{"d": 1.10, "s": "\u0000x", "l": [3], "n": NaN}`,
		},
		{name: "bytes", spec: fn("def handler(e, c):\n    return b'raw \\xff'\n"), payload: `{}`, want: "raw \xff"},
		{name: "large", spec: fn(echo), payload: `"` + strings.Repeat("x", 5_000_000) + `"`, want: `"` + strings.Repeat("x", 5_000_000) + `"`},
		{name: "largest response", spec: fn(fmt.Sprintf("def handler(e, c):\n    return 'x' * %d\n", maxPayload-2)), payload: `{}`, want: `"` + strings.Repeat("x", maxPayload-2) + `"`},
		{
			name: "response too large", spec: fn(fmt.Sprintf("def handler(e, c):\n    return 'x' * %d\n", maxPayload-1)), payload: `{}`,
			outcome: serin.OutcomeFunctionError, errType: "Function.ResponseSizeTooLarge",
		},
		{
			name: "not JSON", spec: fn("def handler(e, c):\n    return {1, 2}\n"), payload: `{}`, outcome: serin.OutcomeFunctionError,
			errType: "Runtime.MarshalError", message: "Unable to marshal response: Object of type set is not JSON serializable",
		},
		{
			name: "exception", spec: fn("def handler(e, c):\n    raise ValueError('bad\\nvalue')\n"), payload: `{}`, outcome: serin.OutcomeFunctionError,
			errType: "ValueError", message: "bad\nvalue",
			logs: []string{"[ERROR] ValueError: bad\nvalue\nTraceback (most recent call last):\n\u00a0\u00a0File \"", "line 2, in handler\n\u00a0\u00a0\u00a0\u00a0raise ValueError("},
		},
		{
			name: "exit", spec: fn("import sys\ndef handler(e, c):\n    sys.exit(4)\n"), payload: `{}`, outcome: serin.OutcomeCrash,
			errType: "Runtime.ExitError", message: "exit status 4",
		},
		{
			name: "exit 0", spec: fn("def handler(e, c):\n    exit()\n"), payload: `{}`, outcome: serin.OutcomeCrash,
			errType: "Runtime.ExitError", message: "Runtime exited without providing a reason",
		},
		{
			name: "abort", spec: fn("import os\ndef handler(e, c):\n    os.abort()\n"), payload: `{}`, outcome: serin.OutcomeCrash,
			errType: "Runtime.ExitError", message: "signal: aborted",
		},
		{
			name: "timeout", spec: fn("import time\ndef handler(e, c):\n    print('before', end='')\n    time.sleep(60)\n"), payload: `{}`, timeout: time.Second,
			outcome: serin.OutcomeTimeout, errType: "Sandbox.Timedout", message: "Task timed out after 1.00 seconds", logs: []string{"before\n"},
		},
		{
			name: "syntax error", spec: fn("def handler(e, c)\n    pass\n"), payload: `{}`, outcome: serin.OutcomeInitError,
			errType: "Runtime.UserCodeSyntaxError", message: "Syntax error in module 'app': expected ':' (app.py, line 1)",
			logs: []string{"[ERROR] Runtime.UserCodeSyntaxError: "},
		},
		{
			name: "import error", spec: fn("import nosuchmodule\n"), payload: `{}`, outcome: serin.OutcomeInitError,
			errType: "Runtime.ImportModuleError", message: "Unable to import module 'app': No module named 'nosuchmodule'",
			logs: []string{"INIT_REPORT Init Duration: ", " ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ImportModuleError\t\n", "\tStatus: error\tError Type: Runtime.ImportModuleError\t\n"},
		},
		{name: "init exception", spec: fn("raise RuntimeError('no start')\n"), payload: `{}`, outcome: serin.OutcomeInitError, errType: "RuntimeError", message: "no start"},
		{name: "init exit", spec: fn("import sys\nsys.exit(1)\n"), payload: `{}`, outcome: serin.OutcomeInitError, errType: "Runtime.ExitError", message: "exit status 1"},
		{
			name: "no handler", spec: fn("x = 1\n"), payload: `{}`, outcome: serin.OutcomeInitError, errType: "Runtime.HandlerNotFound",
			message: "Handler 'handler' missing on module 'app'",
		},
		{
			name: "no module", spec: files("gone.handler", nil), payload: `{}`, outcome: serin.OutcomeInitError, errType: "Runtime.ImportModuleError",
			message: "Unable to import module 'gone': No module named 'gone'",
		},
		{
			name: "bad name", spec: files("gone", nil), payload: `{}`, outcome: serin.OutcomeInitError, errType: "Runtime.MalformedHandlerName",
			message: "Bad handler 'gone': not enough values to unpack (expected 2, got 1)",
		},
		{name: "built-in", spec: files("sys.exit", nil), payload: `{}`, outcome: serin.OutcomeInitError, errType: "Runtime.BuiltInModuleConflict"},
		{
			name: "nested", spec: files("src/api/main.handler", map[string]string{"src/api/main.py": "from lib import answer\ndef handler(e, c):\n    return answer\n", "lib.py": "answer = 42\n"}),
			payload: `{}`, want: `42`,
		},
		{
			name: "modules beside", spec: files("app.handler", map[string]string{"app.py": "import json, logging\ndef handler(e, c):\n    return json.mine, logging.mine\n", "json.py": "mine = 1\n", "logging.py": "mine = 1\n", "traceback.py": "mine = 1\n"}),
			payload: `{}`, outcome: serin.OutcomeFunctionError, errType: "AttributeError", message: "module 'json' has no attribute 'mine'",
		},
	})
}

func TestExecWrapper(t *testing.T) {
	e := newExecutor(t, Config{})
	needInterpreter(t, e, "python3.11")
	s := pythonSpec(t, "import os\ndef handler(e, c):\n    return os.environ['WRAPPED']\n")
	wrapper := []byte("#!/bin/sh\nWRAPPED=yes exec \"$@\"\n")
	if err := os.WriteFile(filepath.Join(s.CodeDir, "wrapper"), wrapper, 0o755); err != nil {
		t.Fatal(err)
	}
	s.Env = map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": taskDir(e, s) + "/wrapper"}
	if r := invoke(t, e, s, `{}`); string(r.Payload) != `"yes"` {
		t.Errorf("payload %s\n%s", r.Payload, r.Tail)
	}
	missing := *s
	missing.Revision, missing.Env = "missing", map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/no/such/wrapper"}
	want := `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ` + testID + ` Error: Runtime exited with error: exit status 127"}`
	if r := invoke(t, e, &missing, `{}`); string(r.Payload) != want {
		t.Errorf("payload %s, want %s", r.Payload, want)
	}
}

func TestPythonErrorShape(t *testing.T) {
	e := newExecutor(t, Config{})
	needInterpreter(t, e, "python3.11")
	s := pythonSpec(t, "def inner():\n    raise KeyError('k')\n\ndef handler(e, c):\n    inner()\n")
	r := invoke(t, e, s, `{}`)
	file := taskDir(e, s) + "/app.py"
	want := map[string]any{
		"errorMessage": "'k'", "errorType": "KeyError", "requestId": testID,
		"stackTrace": []any{
			"  File \"" + file + "\", line 5, in handler\n    inner()\n",
			"  File \"" + file + "\", line 2, in inner\n    raise KeyError('k')\n",
		},
	}
	wantJSON(t, r.Payload, want)

	s = pythonSpec(t, "import nosuchmodule\n")
	r = invoke(t, e, s, `{}`)
	wantJSON(t, r.Payload, map[string]any{
		"errorMessage": "Unable to import module 'app': No module named 'nosuchmodule'",
		"errorType":    "Runtime.ImportModuleError", "requestId": "", "stackTrace": []any{},
	})
}

func TestPythonContext(t *testing.T) {
	e := newExecutor(t, Config{})
	needInterpreter(t, e, "python3.11")
	s := pythonSpec(t, `
import os, sys
def handler(e, c):
    return [c.function_name, c.function_version, c.memory_limit_in_mb, c.log_group_name, c.log_stream_name[-33:-32],
            c.invoked_function_arn, c.aws_request_id, 9000 < c.get_remaining_time_in_millis() <= 10000,
            c.client_context.custom, c.client_context.env, c.client_context.client.app_title, c.client_context.client.installation_id,
            c.identity.cognito_identity_id, os.environ["_X_AMZN_TRACE_ID"], os.environ["AWS_EXECUTION_ENV"], os.getcwd() == os.environ["LAMBDA_TASK_ROOT"],
            sys.path[0] == os.environ["LAMBDA_TASK_ROOT"], os.access("/tmp", os.W_OK), sys.argv[1:]]
`)
	r, err := e.Invoke(t.Context(), s, &Invocation{
		RequestID: testID, InvokedARN: "arn:x", Payload: []byte(`{}`), TraceID: "Root=1",
		ClientContext: `{"client":{"app_title":"töst"},"custom":{"a":1},"env":{"l":"de"}}`, CognitoIdentity: `{"cognitoIdentityId":"id"}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, r.Payload, []any{
		"pyfn", "1", "128", "/aws/lambda/pyfn", "]", "arn:x", testID, true,
		map[string]any{"a": 1.0},
		map[string]any{"l": "de"},
		"töst", nil,
		"id", "Root=1", "AWS_Lambda_python3.11", true, true, true,
		[]any{},
	})
	if r := invoke(t, e, s, `{}`); r.Outcome != serin.OutcomeFunctionError { // there is no client context now
		t.Errorf("payload %s", r.Payload)
	}
	r, err = e.Invoke(t.Context(), s, &Invocation{RequestID: testID, Payload: []byte(`{}`), ClientContext: `{broken`})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(r.Payload), "Runtime.LambdaContextUnmarshalError") {
		t.Errorf("payload %s", r.Payload)
	}
}

func TestPythonLogging(t *testing.T) {
	e := newExecutor(t, Config{})
	needInterpreter(t, e, "python3.11")
	s := pythonSpec(t, `
import logging
logging.basicConfig(format="not used")
logger = logging.getLogger("mine")
logger.setLevel(logging.INFO)
def handler(e, c):
    logger.info("two\nlines %d", 1)
    try:
        1 / 0
    except ZeroDivisionError:
        logger.exception("failed")
    logging.getLogger().debug("hidden")
    print("printed")
    c.log("from the context\n")
`)
	r := invoke(t, e, s, `{}`)
	id := "\t" + testID + "\t"
	for _, want := range []string{
		"[INFO]\t20", "Z" + id + "two\nlines 1\n", "[ERROR]\t20",
		"Z" + id + "failed\nTraceback (most recent call last):\n", "ZeroDivisionError: division by zero\nprinted\nfrom the context\nEND ",
	} {
		if !strings.Contains(string(r.Tail), want) {
			t.Errorf("the log misses %q:\n%s", want, r.Tail)
		}
	}
	if strings.Contains(string(r.Tail), "hidden") || strings.Contains(string(r.Tail), "not used") {
		t.Errorf("log:\n%s", r.Tail)
	}
}

// wantJSON compares a payload with a decoded value.
func wantJSON(t *testing.T, payload []byte, want any) {
	t.Helper()
	var got any
	unmarshal(t, payload, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
}

func unmarshal(t *testing.T, payload []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(payload, into); err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
}
