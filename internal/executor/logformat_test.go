package executor

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// jsonLogs returns a spec with the log format JSON.
func jsonLogs(s *Spec, application, system string) *Spec {
	s.JSONLogs, s.ApplicationLogLevel, s.SystemLogLevel = true, application, system
	return s
}

// normalLines replaces what differs from run to run in lines in JSON format.
func normalLines(t *testing.T, lines []string) string {
	t.Helper()
	for _, line := range lines {
		if strings.HasPrefix(line, "{") && !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	text := strings.Join(lines, "\n")
	for _, r := range []struct{ expression, by string }{
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z`, "TIME"},
		{`("(?:durationMs|producedBytes|billedDurationMs|maxMemoryUsedMB|initDurationMs)"):[0-9.]+`, "$1:N"},
		{`"runtimeVersion":"[^"]*","runtimeVersionArn":"[^"]*"`, `"runtimeVersion":"V"`},
		{`\\"/[^ ]*app.py\\"`, `\"APP\"`},
		{`\(/[^ )]*\)(?:\\n    at [^"\\]*)*`, "(STACK)"},
		{`"stackTrace":\[[^]]*\]`, `"stackTrace":[]`},
		{`"location": "[^:]*`, `"location": "APP`},
	} {
		text = regexp.MustCompile(r.expression).ReplaceAllString(text, r.by)
	}
	return text
}

func runJSON(t *testing.T, s *Spec, payload, want string) {
	t.Helper()
	var events logRecorder
	e := newExecutor(t, Config{Logs: events.sink})
	needInterpreter(t, e, s.Runtime)
	in := &Invocation{RequestID: "r", Payload: []byte(payload), TraceID: "Root=1-2-3;Parent=45;Sampled=1"}
	r, err := e.Invoke(t.Context(), s, in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(want), normalLines(t, events.lines(r.EnvironmentID))); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestJSONLogsNode(t *testing.T) {
	s := jsonLogs(nodeSpec(t, `console.log('at start');
exports.handler = async (event) => {
  console.debug('hidden');
  console.warn({ a: 1 });
  console.error('text %d', 7, new TypeError('bad'));
  console.info(new RangeError('alone'));
  console.log('{"level":"DEBUG"}');
  process.stdout.write('plain\n{"level":"debug","m":1}\n{"level":"error","m":2}\n');
  return 1;
};
`), "INFO", "DEBUG")
	runJSON(t, s, `1`, `
{"time":"TIME","type":"platform.initStart","record":{"initializationType":"on-demand","phase":"init","runtimeVersion":"V","functionName":"jsfn","functionVersion":"1"}}
{"timestamp":"TIME","level":"INFO","message":"at start"}
{"time":"TIME","type":"platform.initRuntimeDone","record":{"initializationType":"on-demand","phase":"init","status":"success"}}
{"time":"TIME","type":"platform.initReport","record":{"initializationType":"on-demand","phase":"init","status":"success","metrics":{"durationMs":N}}}
{"time":"TIME","type":"platform.start","record":{"requestId":"r","version":"1","tracing":{"spanId":"45","type":"X-Amzn-Trace-Id","value":"Root=1-2-3;Parent=45;Sampled=1"}}}
{"timestamp":"TIME","level":"WARN","requestId":"r","message":{"a":1}}
{"timestamp":"TIME","level":"ERROR","requestId":"r","message":"text 7 TypeError: bad\n    at exports.handler (STACK)","errorType":"TypeError","errorMessage":"bad","stackTrace":[]}
{"timestamp":"TIME","level":"INFO","requestId":"r","message":{"errorType":"RangeError","errorMessage":"alone","stackTrace":[]}}
{"timestamp":"TIME","level":"INFO","requestId":"r","message":"{\"level\":\"DEBUG\"}"}
plain
{"level":"error","m":2}
{"time":"TIME","type":"platform.runtimeDone","record":{"requestId":"r","status":"success","tracing":{"spanId":"45","type":"X-Amzn-Trace-Id","value":"Root=1-2-3;Parent=45;Sampled=1"},"metrics":{"durationMs":N,"producedBytes":N}}}
{"time":"TIME","type":"platform.report","record":{"requestId":"r","status":"success","metrics":{"durationMs":N,"billedDurationMs":N,"memorySizeMB":128,"maxMemoryUsedMB":N,"initDurationMs":N},"tracing":{"spanId":"45","type":"X-Amzn-Trace-Id","value":"Root=1-2-3;Parent=45;Sampled=1"}}}`)
}

func TestJSONLogsPython(t *testing.T) {
	s := jsonLogs(pythonSpec(t, `import logging
log = logging.getLogger("app")
def handler(event, context):
    log.debug("hidden")
    log.warning("careful %s", event, extra={"order": 7})
    try:
        raise KeyError("k")
    except KeyError:
        log.exception("caught")
    print("plain")
    raise ValueError("bad")
`), "WARN", "WARN")
	runJSON(t, s, `1`, `
{"timestamp": "TIME", "level": "WARNING", "message": "careful 1", "logger": "app", "requestId": "r", "order": 7}
{"timestamp": "TIME", "level": "ERROR", "message": "caught", "logger": "app", "requestId": "r", "stackTrace": ["  File \"APP\", line 7, in handler\n    raise KeyError(\"k\")\n"], "errorType": "KeyError", "errorMessage": "'k'", "location": "APP:handler:9"}
plain
{"timestamp": "TIME", "log_level": "ERROR", "errorMessage": "bad", "errorType": "ValueError", "requestId": "r", "stackTrace": ["  File \"APP\", line 11, in handler\n    raise ValueError(\"bad\")\n"]}
{"time":"TIME","type":"platform.runtimeDone","record":{"requestId":"r","status":"error","tracing":{"spanId":"45","type":"X-Amzn-Trace-Id","value":"Root=1-2-3;Parent=45;Sampled=1"},"metrics":{"durationMs":N,"producedBytes":N}}}
{"time":"TIME","type":"platform.report","record":{"requestId":"r","status":"error","metrics":{"durationMs":N,"billedDurationMs":N,"memorySizeMB":128,"maxMemoryUsedMB":N,"initDurationMs":N},"tracing":{"spanId":"45","type":"X-Amzn-Trace-Id","value":"Root=1-2-3;Parent=45;Sampled=1"}}}`)
}

// TestJSONLogsTimeout hides what is not a warning. What the platform has to say about a failure is one.
func TestJSONLogsTimeout(t *testing.T) {
	s := jsonLogs(goSpec(t), "ERROR", "WARN")
	s.Timeout = 1e9
	runJSON(t, s, `{"do":"sleep","n":5000}`, `
{"time":"TIME","type":"platform.runtimeDone","record":{"requestId":"r","status":"timeout","tracing":{"spanId":"45","type":"X-Amzn-Trace-Id","value":"Root=1-2-3;Parent=45;Sampled=1"},"metrics":{"durationMs":N,"producedBytes":N}}}
{"time":"TIME","type":"platform.report","record":{"requestId":"r","status":"timeout","metrics":{"durationMs":N,"billedDurationMs":N,"memorySizeMB":128,"maxMemoryUsedMB":N,"initDurationMs":N},"tracing":{"spanId":"45","type":"X-Amzn-Trace-Id","value":"Root=1-2-3;Parent=45;Sampled=1"}}}`)
}

func TestReportHasTrace(t *testing.T) {
	for _, test := range []struct{ header, want string }{
		{"Root=1-2-3;Parent=45;Sampled=1", "\nXRAY TraceId: 1-2-3\tSegmentId: 45\tSampled: true\t"},
		{"Root=1-2-3;Sampled=1", "\nXRAY TraceId: 1-2-3\tSampled: true\t"},
		{"Root=1-2-3;Parent=45;Sampled=0", ""},
		{"", ""},
		{";;=;Root", ""},
	} {
		if got := string(xrayFields(nil, test.header)); got != test.want {
			t.Errorf("%q: %q, want %q", test.header, got, test.want)
		}
	}
}

func TestLogEnvironment(t *testing.T) {
	e := newExecutor(t, Config{})
	for _, test := range []struct {
		spec *Spec
		want string
	}{
		{goSpec(t), "AWS_LAMBDA_LOG_FORMAT=Text"},
		{jsonLogs(goSpec(t), "", ""), "AWS_LAMBDA_LOG_FORMAT=JSON AWS_LAMBDA_LOG_LEVEL=INFO"},
		{jsonLogs(goSpec(t), "FATAL", ""), "AWS_LAMBDA_LOG_FORMAT=JSON AWS_LAMBDA_LOG_LEVEL=FATAL"},
	} {
		env := e.newEnvironment(&pool{}, test.spec)
		var got []string
		for _, v := range env.variables("", &env.paths) {
			if strings.HasPrefix(v, "AWS_LAMBDA_LOG_FORMAT") || strings.HasPrefix(v, "AWS_LAMBDA_LOG_LEVEL") {
				got = append(got, v)
			}
		}
		if s := strings.Join(got, " "); s != test.want {
			t.Errorf("%s, want %s", s, test.want)
		}
	}
}

// FuzzLineLevel checks that whatever a function writes has a level or none.
func FuzzLineLevel(f *testing.F) {
	for _, line := range []string{`{"level":"debug"}`, `{"level":3}`, `{"log_level":"ERROR"}`, `{`, `[]`, ``, `text`, ` {"Level":"x"} `} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		level, ok := lineLevel(line)
		if level < levelTrace || level > levelFatal || ok != isObject(line) {
			t.Errorf("level %d, %v of %q", level, ok, line)
		}
	})
}
