package executor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"serin"
)

func TestInitialisationIsRepeated(t *testing.T) {
	var events logRecorder
	e := newExecutor(t, Config{InitTimeout: 2 * time.Second, Logs: events.sink})
	// The directory for temporary files is kept between the two.
	const once = "import os, sys, time\nmark = '/tmp/mark'\nif not os.path.exists(mark):\n    open(mark, 'w').close()\n    %s\ndef handler(e, c):\n    return e\n"
	for name, c := range map[string]struct{ statement, report string }{
		"exception": {"raise ValueError('first')", `^INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init\tStatus: error\tError Type: Runtime.Unknown\t$`},
		"exit":      {"sys.exit(3)", `^INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError\t$`},
		"timeout":   {"time.sleep(60)", `^INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init\tStatus: timeout\t$`},
	} {
		t.Run(name, func(t *testing.T) {
			s := pythonSpec(t, fmt.Sprintf(once, c.statement))
			needInterpreter(t, e, s.Runtime)
			r := invoke(t, e, s, `1`)
			if r.Outcome != serin.OutcomeOK || string(r.Payload) != "1" || !r.Cold || r.InitDuration != 0 {
				t.Errorf("result %+v", r)
			}
			lines := events.lines(r.EnvironmentID)
			wantLines(t, lines, `^INIT_START Runtime Version: python:3\.\d+\.\d+\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}$`, c.report,
				`^START RequestId: `+testID+` Version: 1$`, `^END RequestId: `+testID+`$`, `^REPORT `)
			if r := invoke(t, e, s, `2`); r.Cold || string(r.Payload) != "2" {
				t.Errorf("result %+v", r)
			}
		})
	}
	t.Run("timeout twice", func(t *testing.T) {
		s := pythonSpec(t, "import time\ntime.sleep(60)\n")
		needInterpreter(t, e, s.Runtime)
		s.Timeout = 300 * time.Millisecond
		r := invoke(t, e, s, `1`)
		if want := `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ` + testID + ` Error: Task timed out after 0.30 seconds"}`; r.Outcome != serin.OutcomeTimeout || string(r.Payload) != want {
			t.Errorf("result %+v, payload %s", r, r.Payload)
		}
	})
}

func TestCodeIsNotWrittenTo(t *testing.T) {
	e := newExecutor(t, Config{})
	s := pythonSpec(t, "import lib\ndef handler(e, c):\n    return lib.x\n")
	needInterpreter(t, e, s.Runtime)
	if err := os.WriteFile(filepath.Join(s.CodeDir, "lib.py"), []byte("x = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := invoke(t, e, s, `{}`); string(r.Payload) != "1" {
		t.Fatalf("payload %s", r.Payload)
	}
	left, err := os.ReadDir(s.CodeDir)
	if err != nil || len(left) != 2 {
		t.Errorf("the package has become %v, %v", left, err)
	}
}

func TestResolve(t *testing.T) {
	e := newExecutor(t, Config{Interpreters: map[string]string{"python": "no-such-python"}})
	for _, runtime := range []string{"", "ruby3.3", "provided", "nodejs", "python2.7", "nodejs20.x ", "java21", "python3", "nodejs20.x.x"} {
		_, err := e.Resolve(t.Context(), runtime)
		wantError(t, err, serin.KindInvalid, "")
	}
	_, err := e.Resolve(t.Context(), "python3.12")
	wantError(t, err, serin.KindInvalid, "")
	if want := "Runtime python3.12 needs python3 on the machine that runs it: no-such-python was not found."; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	_, err = e.Invoke(t.Context(), pythonSpec(t, ""), &Invocation{RequestID: testID, Payload: []byte(`{}`)})
	wantError(t, err, serin.KindInvalid, "")
	if n := len(e.Environments()); n != 0 {
		t.Errorf("%d environments are left", n)
	}
	in, err := e.Resolve(t.Context(), "provided.al2")
	if err != nil || in.Path != "" || in.Warning != "" {
		t.Errorf("provided.al2: %+v, %v", in, err)
	}
	needInterpreter(t, e, "nodejs20.x")
	in, err = e.Resolve(t.Context(), "nodejs99.x")
	if err != nil || !filepath.IsAbs(in.Path) || !strings.Contains(in.Warning, "Runtime nodejs99.x runs on node "+in.Version) {
		t.Errorf("nodejs99.x: %+v, %v", in, err)
	}
	major, _, _ := strings.Cut(in.Version, ".")
	if in, err = e.Resolve(t.Context(), "nodejs"+major+".x"); err != nil || in.Warning != "" {
		t.Errorf("nodejs%s.x: %+v, %v", major, in, err)
	}
}
