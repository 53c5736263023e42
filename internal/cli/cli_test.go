package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"serin"
)

// run runs a command as the shell does, without a terminal, in an empty world.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return runIn(t, map[string]string{"HOME": t.TempDir()}, "", args...)
}

func runIn(t *testing.T, env map[string]string, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, text strings.Builder
	code = Main(t.Context(), args, System{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &text,
		Getenv: func(name string) string { return env[name] },
	})
	return code, out.String(), text.String()
}

func TestUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	for line, part := range map[string]string{
		"shp":                                "there is no command \"shp\"; did you mean ship or skip?",
		"ship --nope":                        "unknown flag: --nope",
		"ship a b":                           "usage: serin ship [DIR|ZIP|BINARY]",
		"ship":                               "which function?",
		"ship nosuchdir -f hello":            "nosuchdir",
		"ship -f hello --steps 5,x":          "is not a list of percentages",
		"ship -f hello --steps 5,25":         "the last step must be 100",
		"ship -f hello --steps 50,5,100":     "must ascend",
		"ship -f hello --max-wait 5":         "is not a duration like 30m",
		"ship -f hello --max-wait 1ms":       "is not between 1s and 168h",
		"ship -f hello --on-blind guess":     "is not hold, promote or rollback",
		"ship -f hello --alpha 2":            "alpha",
		"ship -f hello --env A":              "is not KEY=VALUE",
		"ship -f hello --memory -1":          "must not be negative",
		"ship -f hello --version=":           "name a version that exists",
		"ship -f hello --json --events":      "choose one",
		"ship -f hello --traffic nosuchfile": "traffic",
		"status x":                           "usage",
		"promote":                            "which function?",
		"rollback -f hello --to=":            "name a version",
		"history -f hello -n 0":              "not at least 1",
		"invoke hello -p {":                  "payload: not JSON",
		"invoke hello -p @nosuchfile":        "payload",
		"init --runtime cobol":               "is not python, node or go",
		"init no/good/nam:e":                 "is no name for a function",
		"completion":                         "",
	} {
		code, stdout, stderr := run(t, strings.Fields(line)...)
		if part == "" {
			if code != exitDone {
				t.Errorf("%s: exit code %d", line, code)
			}
			continue
		}
		if code != exitUsage || !strings.Contains(stderr, part) || stdout != "" && !strings.Contains(line, "--json") {
			t.Errorf("%s: exit code %d, %s, want %q", line, code, stderr, part)
		}
	}
}

// Without a server every command says what to do, as a document if one was asked for.
func TestNoServer(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, line := range []string{"status", "history -f hello", "versions -f hello", "rollback -f hello", "abort -f hello", "invoke hello", "env", "ship -f hello"} {
		code, stdout, stderr := run(t, strings.Fields(line)...)
		if code != exitInternal || stdout != "" || !strings.Contains(stderr, "start one: serin serve") {
			t.Errorf("%s: exit code %d, %s", line, code, stderr)
		}
	}
	elsewhere := map[string]string{"HOME": t.TempDir(), "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
	for _, line := range []string{"status --json", "invoke hello --json"} {
		code, stdout, stderr := runIn(t, elsewhere, "", strings.Fields(line)...)
		var reply errorReply
		if err := json.Unmarshal([]byte(stdout), &reply); err != nil {
			t.Fatalf("%s: %v in %q", line, err, stdout)
		}
		if code != exitInternal || reply.ExitCode != code || reply.Error.Kind != "internal" ||
			!strings.Contains(stderr, "no server answers at 127.0.0.1:1 (connect: connection refused); start one: serin serve") {
			t.Errorf("%s: exit code %d, %+v, %s", line, code, reply, stderr)
		}
	}
	code, stdout, _ := runIn(t, elsewhere, "", "ship", "-f", "hello", "--events")
	var e event
	if err := json.Unmarshal([]byte(stdout), &e); err != nil {
		t.Fatalf("%v in %q", err, stdout)
	}
	if code != exitInternal || e.Type != eventDone || *e.ExitCode != code || e.Error == nil {
		t.Errorf("ship --events: exit code %d, %+v", code, e)
	}
	delete(elsewhere, "AWS_SECRET_ACCESS_KEY")
	if code, _, stderr := runIn(t, elsewhere, "", "status"); code != exitDenied || !strings.Contains(stderr, "serin env") {
		t.Errorf("without a secret: exit code %d, %s", code, stderr)
	}
}

func TestExitCodes(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code int
	}{
		"none":         {nil, 0},
		"anything":     {errors.New("x"), 1},
		"internal":     {serin.Errorf(serin.KindInternal, "x"), 1},
		"throttled":    {serin.Errorf(serin.KindThrottled, "x"), 1},
		"invalid":      {serin.Errorf(serin.KindInvalid, "x"), 2},
		"too large":    {serin.Errorf(serin.KindTooLarge, "x"), 2},
		"not found":    {fmt.Errorf("wrapped: %w", serin.Errorf(serin.KindNotFound, "x")), 3},
		"denied":       {serin.Errorf(serin.KindDenied, "x"), 4},
		"conflict":     {serin.Errorf(serin.KindConflict, "x"), 13},
		"precondition": {serin.Errorf(serin.KindPrecondition, "x"), 13},
		"preflight":    {&serin.Error{Kind: serin.KindInvalid, Reason: "preflight"}, 14},
		"outcome":      {outcome(exitWorse), 10},
		"done":         {outcome(exitDone), 0},
		"rollback":     {exitf(exitRollbackFailed, "x"), 20},
	} {
		if got := exitCode(c.err); got != c.code {
			t.Errorf("%s: %d, want %d", name, got, c.code)
		}
	}
}

func TestInit(t *testing.T) {
	t.Chdir(t.TempDir())
	for runtime, files := range map[string][]string{
		"python":     {"handler.py", "serin.yaml"},
		"node":       {"index.mjs", "serin.yaml"},
		"go":         {".gitignore", "go.mod", "go.sum", "main.go", "serin.yaml"},
		"python3.12": {"handler.py", "serin.yaml"},
	} {
		name := "my-" + strings.ReplaceAll(runtime, ".", "_")
		code, stdout, stderr := run(t, "init", name, "--runtime", runtime)
		if code != exitDone || stdout != "" || !strings.Contains(stderr, "  cd "+name+"\n  serin serve &\n  serin ship") {
			t.Errorf("%s: exit code %d, %s", runtime, code, stderr)
		}
		entries, err := os.ReadDir(name)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if diff := cmp.Diff(files, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", runtime, diff)
		}
		settings, err := readProject(name)
		if named, _ := find(settings, "function"); err != nil || named.values[0] != name {
			t.Errorf("%s: %+v, %v", runtime, settings, err)
		}
		if strings.HasPrefix(runtime, "python3") {
			if s, _ := find(settings, "runtime"); s.values[0] != runtime {
				t.Errorf("runtime %v", s.values)
			}
		}
	}
	handler := filepath.Join("my-python", "handler.py")
	if err := os.WriteFile(handler, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join("my-python", projectFile)); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, "init", "my-python"); code != exitUsage || !strings.Contains(stderr, "handler.py is there already; --force") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if text, _ := os.ReadFile(handler); string(text) != "mine" {
		t.Errorf("overwritten: %s", text)
	}
	if _, err := os.Stat(filepath.Join("my-python", projectFile)); err == nil {
		t.Error("half of the project was written")
	}
	if code, _, _ := run(t, "init", "my-python", "--force"); code != exitDone {
		t.Errorf("--force: exit code %d", code)
	}
	if text, _ := os.ReadFile(handler); !strings.HasPrefix(string(text), "def handler") {
		t.Errorf("not overwritten: %s", text)
	}
}

// Init names the runtime that the machine has, unless it is one that Lambda never had.
func TestInitPicksTheRuntime(t *testing.T) {
	for name, tt := range map[string]struct{ runtime, answer, want string }{
		"of the machine":      {"python", "echo python3.12", "python3.12"},
		"named":               {"python3.9", "echo python3.12", "python3.9"},
		"not one of Lambda's": {"node", "echo nodejs21.x", "nodejs22.x"},
		"broken":              {"node", "echo nodejs20.x; exit 1", "nodejs22.x"},
		"talkative":           {"python", "echo hello; echo python3.12", "python3.13"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			bin := t.TempDir()
			for _, interpreter := range []string{"python3", "node"} {
				if err := os.WriteFile(filepath.Join(bin, interpreter), []byte("#!/bin/sh\n"+tt.answer+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", bin)
			if code, _, stderr := run(t, "init", "hello", "--runtime", tt.runtime); code != exitDone {
				t.Fatalf("exit code %d, %s", code, stderr)
			}
			settings, err := readProject("hello")
			if s, _ := find(settings, "runtime"); err != nil || s.values[0] != tt.want {
				t.Errorf("%v, %v; want %s", s.values, err, tt.want)
			}
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	if code, stdout, _ := run(t, "version", "--json"); code != exitDone || !strings.Contains(stdout, `"go": "go1`) {
		t.Errorf("exit code %d, %s", code, stdout)
	}
	if code, stdout, _ := run(t, "version"); code != exitDone || !strings.HasPrefix(stdout, "serin ") {
		t.Errorf("exit code %d, %s", code, stdout)
	}
	root := (&app{}).root()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" || cmd.Name() == "completion" {
			continue
		}
		if cmd.Short == "" || cmd.Example == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: %q, %q", cmd.Name(), cmd.Short, cmd.Example)
		}
		if code, stdout, _ := run(t, cmd.Name(), "--help"); code != exitDone || !strings.Contains(stdout, strings.TrimSpace(cmd.Example)) {
			t.Errorf("%s --help: exit code %d", cmd.Name(), code)
		}
	}
	if code, stdout, _ := run(t, "completion", "bash"); code != exitDone || !strings.Contains(stdout, "serin") {
		t.Errorf("completion: exit code %d", code)
	}
}

func TestShellQuoted(t *testing.T) {
	for value, want := range map[string]string{"a b": "'a b'", "it's $X": `'it'\''s $X'`, "": "''"} {
		if got := shellQuoted(value); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestInvoked(t *testing.T) {
	t.Chdir(t.TempDir())
	for arg, want := range map[string][2]string{
		"hello":      {"hello", ""},
		"hello:live": {"hello", "live"},
		"arn:aws:lambda:us-east-1:000000000000:function:hello:live": {"arn:aws:lambda:us-east-1:000000000000:function:hello:live", ""},
	} {
		if name, qualifier, err := invoked([]string{arg}); err != nil || name != want[0] || qualifier != want[1] {
			t.Errorf("%s: %s %s, %v", arg, name, qualifier, err)
		}
	}
	if err := os.WriteFile(projectFile, []byte("function: shop\nalias: beta\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if name, qualifier, err := invoked(nil); err != nil || name != "shop" || qualifier != "beta" {
		t.Errorf("%s %s, %v", name, qualifier, err)
	}
}

// A command that is interrupted while it waits for an answer says so.
func TestInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	d := &desk{asked: make(chan struct{}, 1)}
	interrupt()
	code, _, stderr := d.run(ctx, t, "", nil, "versions", "-f", "hello")
	if code != exitAborted || !strings.Contains(stderr, "interrupted: ") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
