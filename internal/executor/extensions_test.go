package executor

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"serin"
)

// extendedSpec is a Go function with extensions that do what mode says.
func extendedSpec(tb testing.TB, mode string, names ...string) *Spec {
	tb.Helper()
	program, err := os.ReadFile(filepath.Join(buildProgram(tb, "extension"), "bootstrap"))
	if err != nil {
		tb.Fatal(err)
	}
	files := map[string]string{}
	for _, name := range names {
		files["extensions/"+name] = string(program)
	}
	s := goSpec(tb)
	s.LayersDir = writeFiles(tb, files)
	s.Revision = s.LayersDir
	s.Env = map[string]string{"EXTENSION": mode}
	return s
}

// withEnv sets environment variables of a function.
func withEnv(s *Spec, env map[string]string) *Spec {
	maps.Copy(s.Env, env)
	return s
}

func TestExtension(t *testing.T) {
	var logs logRecorder
	e := newExecutor(t, Config{Logs: logs.sink})
	s := extendedSpec(t, "", "one", "two")
	r := invoke(t, e, s, `{"do":"echo","echo":1}`)
	if string(r.Payload) != "1" {
		t.Fatalf("result %s", r.Payload)
	}
	again := invoke(t, e, s, `{"do":"echo","echo":2}`)
	if string(again.Payload) != "2" || again.Cold {
		t.Fatalf("result %s, cold %t", again.Payload, again.Cold)
	}
	e.Retire(func(Key) bool { return false })
	for _, name := range []string{"one", "two"} {
		eventually(t, name+" has been told to end", func() bool {
			return strings.Contains(strings.Join(logs.lines(r.EnvironmentID), "\n"), name+": SHUTDOWN spindown")
		})
		wantLines(t, logs.lines(r.EnvironmentID),
			name+`: register 200 {"functionName":"gofn","functionVersion":"1","handler":"bootstrap"}`,
			`^EXTENSION\tName: `+name+`\tState: Ready\tEvents: \[INVOKE, SHUTDOWN\]$`,
			name+": INVOKE .+ true", name+": INVOKE .+ true", name+": SHUTDOWN spindown  true")
	}
}

func TestExtensionFails(t *testing.T) {
	for mode, want := range map[string]struct{ errorType, message string }{
		"crash":           {"Extension.Crash", "exit status 3"},
		"crash on invoke": {"Extension.Crash", "exit status 4"},
		"init error":      {"Extension.InitError", "there is no configuration"},
	} {
		t.Run(mode, func(t *testing.T) {
			e := newExecutor(t, Config{})
			s := extendedSpec(t, mode, "ext")
			r := invoke(t, e, s, `{"do":"sleep","n":5000}`)
			if r.ErrorType != want.errorType || !strings.Contains(string(r.Payload), want.message) || r.Duration > 4*time.Second {
				t.Errorf("error %s, payload %s after %s", r.ErrorType, r.Payload, r.Duration)
			}
			eventually(t, "the environment is gone", func() bool { return len(e.Environments()) == 0 })
		})
	}
}

func TestExtensionDoesNotStart(t *testing.T) {
	e := newExecutor(t, Config{})
	s := extendedSpec(t, "", "ext")
	if err := os.WriteFile(filepath.Join(s.LayersDir, "extensions", "ext"), []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := invoke(t, e, s, `{}`)
	if r.ErrorType != "Extension.LaunchError" || !strings.Contains(string(r.Payload), "exec format error") {
		t.Errorf("error %s, payload %s", r.ErrorType, r.Payload)
	}
	s = extendedSpec(t, "", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")
	if r = invoke(t, e, s, `{}`); r.ErrorType != "Extension.LaunchError" {
		t.Errorf("11 extensions: error %s, payload %s", r.ErrorType, r.Payload)
	}
}

func TestExtensionNeverRegisters(t *testing.T) {
	e := newExecutor(t, Config{InitTimeout: 200 * time.Millisecond})
	s := extendedSpec(t, "unregistered", "ext")
	s.Timeout = 300 * time.Millisecond
	if r := invoke(t, e, s, `{}`); r.Outcome != serin.OutcomeTimeout {
		t.Errorf("outcome %s, payload %s", r.Outcome, r.Payload)
	}
}

// TestExtensionIsSlow: the caller does not wait for an extension, the next invocation does.
func TestExtensionIsSlow(t *testing.T) {
	var logs logRecorder
	e := newExecutor(t, Config{Logs: logs.sink, FreezeAfter: 10 * time.Millisecond})
	s := extendedSpec(t, "slow", "ext")
	first := invoke(t, e, s, `{"do":"echo","echo":1}`)
	if lines := strings.Join(logs.lines(first.EnvironmentID), "\n"); strings.Contains(lines, "ext: done") {
		t.Errorf("the caller has waited for the extension:\n%s", lines)
	}
	second := invoke(t, e, s, `{"do":"echo","echo":2}`)
	if second.EnvironmentID != first.EnvironmentID {
		t.Error("the second invocation got another environment")
	}
	eventually(t, "the extension has seen both", func() bool {
		return strings.Count(strings.Join(logs.lines(first.EnvironmentID), "\n"), "ext: done") == 2
	})
}

// TestExtensionShutdown: what an environment does when it ends, and how long.
func TestExtensionShutdown(t *testing.T) {
	for name, c := range map[string]struct {
		mode, event string
		least, most time.Duration
		log         string
	}{
		"spindown":    {"", `{"do":"echo","echo":1}`, 0, externalEndTime, "ext: SHUTDOWN spindown  true"},
		"crash":       {"", `{"do":"exit","n":1}`, 0, externalEndTime, "ext: SHUTDOWN failure  true"},
		"timeout":     {"", `{"do":"sleep","n":60000}`, 0, externalEndTime, "ext: SHUTDOWN timeout  true"},
		"deaf":        {"deaf", `{"do":"echo","echo":1}`, externalEndTime, externalEndTime + 5*time.Second, "ext: SHUTDOWN spindown  true"},
		"busy":        {"slow", `{"do":"exit","n":1}`, externalEndTime, externalEndTime + 5*time.Second, "ext: SHUTDOWN failure  true"},
		"not wanting": {"invoke only", `{"do":"echo","echo":1}`, 0, externalEndTime, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logs logRecorder
			e := newExecutor(t, Config{Logs: logs.sink})
			s := extendedSpec(t, c.mode, "ext")
			if c.log == "" {
				withEnv(s, map[string]string{"EXTENSION_EVENTS": `"INVOKE"`})
			}
			s.Timeout = time.Second
			r := invoke(t, e, s, c.event)
			start := time.Now()
			if err := e.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took < c.least-500*time.Millisecond || took > c.most {
				t.Errorf("it took %s, want %s to %s", took, c.least, c.most)
			}
			if c.log != "" {
				wantLines(t, logs.lines(r.EnvironmentID), c.log)
			}
		})
	}
}

// TestExtensionFrozen: an environment that is frozen hears of its end.
func TestExtensionFrozen(t *testing.T) {
	var logs logRecorder
	e := newExecutor(t, Config{Logs: logs.sink, FreezeAfter: 5 * time.Millisecond})
	r := invoke(t, e, extendedSpec(t, "", "ext"), `{"do":"echo","echo":1}`)
	eventually(t, "the environment is frozen", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		for env := range e.envs {
			return env.ice.frozen
		}
		return false
	})
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantLines(t, logs.lines(r.EnvironmentID), "ext: SHUTDOWN spindown  true")
}

// TestInternalExtension: lambda.WithEnableSIGTERM registers one.
func TestInternalExtension(t *testing.T) {
	var logs logRecorder
	e := newExecutor(t, Config{Logs: logs.sink})
	s := goSpec(t)
	s.Env = map[string]string{"SIGTERM": "yes"}
	r := invoke(t, e, s, `{"do":"echo","echo":1}`)
	if again := invoke(t, e, s, `{"do":"echo","echo":2}`); again.EnvironmentID != r.EnvironmentID || string(again.Payload) != "2" {
		t.Errorf("payload %s of %s", again.Payload, again.EnvironmentID)
	}
	start := time.Now()
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > internalEndTime+2*time.Second {
		t.Errorf("the end took %s", took)
	}
	wantLines(t, logs.lines(r.EnvironmentID), `^EXTENSION\tName: GoLangEnableSIGTERM\tState: Ready\tEvents: \[\]$`, "^SIGTERM$")
}

// extensionRequest is a request of the Extensions API, with headers in pairs of lines.
func extensionRequest(method, path, headers, body string) string {
	return fmt.Sprintf("%s /2020-01-01/extension/%s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", method, path, headers, len(body), body)
}

func TestExtensionRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSession(t)
		p := connect(t, s)
		for _, c := range []struct{ method, path, headers, body, want string }{
			{"POST", "register", "", `{"events":[]}`, "403"},
			{"POST", "register", "Lambda-Extension-Name: a\r\n", `{`, "400"},
			{"POST", "register", "Lambda-Extension-Name: a\r\n", `{"events":["SHUTDOWN"]}`, "403"},
			{"POST", "register", "Lambda-Extension-Name: a\r\n", `{"events":["PARTY"]}`, "403"},
			{"POST", "register", "Lambda-Extension-Name: a\r\n", `{"events":["INVOKE","INVOKE"]}`, "403"},
			{"POST", "register", "Lambda-Extension-Name: a\r\n", `{"events":["INVOKE"]}`, "200"},
			{"POST", "register", "Lambda-Extension-Name: a\r\n", `{"events":["INVOKE"]}`, "403"},
			{"POST", "register", "Lambda-Extension-Name: b\r\n", strings.Repeat("x", maxExtensionBody+1), "413"},
			{"GET", "event/next", "", "", "403"},
			{"GET", "event/next", "Lambda-Extension-Identifier: x\r\n", "", "403"},
			{"POST", "init/error", "Lambda-Extension-Identifier: x\r\n", "", "403"},
			{"POST", "event/next", "", "", "404"},
			{"GET", "../x", "", "", "404"},
		} {
			p.send("%s", extensionRequest(c.method, c.path, c.headers, c.body))
			if got := p.replies(); got != c.want {
				t.Errorf("%s %s %q: %s, want %s", c.method, c.path, c.headers, got, c.want)
			}
		}
		for n := range maxExtensions {
			p.send("%s", extensionRequest("POST", "register", fmt.Sprintf("Lambda-Extension-Name: n%d\r\n", n), "{}"))
		}
		p.want(strings.Repeat("200 ", maxExtensions-1) + "403")
	})
}

// TestExtensionOnRuntimeConnection: a process may use one connection for both APIs.
func TestExtensionOnRuntimeConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSession(t)
		p, other := connect(t, s), connect(t, s)
		p.send("%s", extensionRequest("POST", "register", "Lambda-Extension-Name: in\r\n", `{"events":["INVOKE"]}`))
		p.want("200")
		next := extensionRequest("GET", "event/next", "Lambda-Extension-Identifier: "+s.extensions.list[0].id+"\r\n", "")
		p.next()
		wantReady(t, s)
		if err := s.extensions.awaitSettled(time.Now().Add(time.Second)); !errors.Is(err, errTime) {
			t.Errorf("the extension has not asked: %v", err)
		}
		other.send("%s", next)
		if err := s.extensions.awaitSettled(time.Now().Add(time.Second)); err != nil {
			t.Errorf("the extension has asked: %v", err)
		}
		s.extensions.close()
		until := deliverTo(t, s, "1", "x")
		s.tellInvocation(&delivery{Invocation: &Invocation{RequestID: "1"}, deadline: until})
		other.want("200")
		p.want("200[1 x]")
		p.write("%s%s", response("1", "one"), next) // the owner reads the second request of them too
		wantAnswer(t, s, until, "one")
		s.acknowledge()
		p.want("202")
		other.next()
		wantReady(t, s)
		if err := s.extensions.awaitSettled(time.Now().Add(time.Second)); err != nil {
			t.Errorf("the extension has asked: %v", err)
		}
		until = deliverTo(t, s, "2", "y")
		s.tellInvocation(&delivery{Invocation: &Invocation{RequestID: "2"}, deadline: until})
		p.want("200")
		other.want("200[2 y]")
		other.respond("2", "two")
		wantAnswer(t, s, until, "two")
	})
}
