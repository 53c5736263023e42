package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"serin"
	"serin/internal/sandbox"
)

// helperVariable makes the test binary a server that invokes one function and then waits: see runHelper. It is
// the directory of the executor.
const helperVariable = "EXECUTOR_TEST_HELPER"

// detaching returns a function that leaves a process behind which has left the process group, with the mark as an
// argument.
func detaching(tb testing.TB, mark string) *Spec {
	tb.Helper()
	if _, err := exec.LookPath("setsid"); err != nil {
		lacking(tb, err)
	}
	return shellSpec(tb, `
setsid bash -c 'sleep 1000; true `+mark+`' &
while true; do
  headers=$(mktemp)
  event=$(curl -sS -D "$headers" "$api/invocation/next")
  id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$headers" | tr -d '[:space:]' | cut -d: -f2)
  if [ "$event" = 1 ]; then sleep 1000; fi
  curl -sS -o /dev/null "$api/invocation/$id/response" -d "$event"
done`)
}

// marked counts the processes that have the mark in their command line.
func marked(mark string) int {
	n := 0
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if line, err := os.ReadFile(f); err == nil && strings.Contains(string(line), mark) {
			n++
		}
	}
	return n
}

func newMark() string { return fmt.Sprintf("mark-%d-%d", os.Getpid(), time.Now().UnixNano()) }

func needNamespaces(tb testing.TB, e *Executor) {
	tb.Helper()
	if !e.Isolates() {
		lacking(tb, errors.New("the kernel grants no pid namespaces"))
	}
}

func TestNothingIsLeftOfAnEnvironment(t *testing.T) {
	e := newExecutor(t, Config{})
	needNamespaces(t, e)
	mark := newMark()
	s := detaching(t, mark)
	s.Timeout = 2 * time.Second
	first := invoke(t, e, s, `0`)
	if string(first.Payload) != "0" {
		t.Fatalf("payload %s", first.Payload)
	}
	if marked(mark) == 0 {
		t.Fatal("the function has started no process")
	}
	start := time.Now()
	r := invoke(t, e, s, `1`)
	late := time.Since(start) - s.Timeout
	// Another environment would have a detached process of its own.
	if r.EnvironmentID != first.EnvironmentID || r.Outcome != serin.OutcomeTimeout {
		t.Fatalf("the invocation ended with %+v on %s, the process was started on %s", r, r.EnvironmentID, first.EnvironmentID)
	}
	eventually(t, "all processes are gone after a timeout", func() bool { return marked(mark) == 0 })
	if late > time.Second {
		t.Errorf("the timeout took %v longer", late)
	}
}

// TestServerIsKilled kills a server that runs a function.
func TestServerIsKilled(t *testing.T) {
	needNamespaces(t, newExecutor(t, Config{}))
	testKilledServer(t, nil)
}

// TestUnprivilegedServer does the same to a server that is not root.
func TestUnprivilegedServer(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: only root can become another user; the other tests have run without privileges")
	}
	if data, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err != nil || strings.TrimSpace(string(data)) == "0" {
		t.Skip("skipped: the kernel grants no user namespaces")
	}
	testKilledServer(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
}

func testKilledServer(t *testing.T, attr *syscall.SysProcAttr) {
	t.Helper()
	mark := newMark()
	s := detaching(t, mark)
	dir := t.TempDir()
	binary := filepath.Join(dir, "helper")
	copyFile(t, os.Args[0], binary)
	// The user of the server may not look into the directories of the test otherwise.
	for _, d := range []string{dir, filepath.Dir(dir), s.CodeDir, filepath.Dir(s.CodeDir)} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = append(os.Environ(), helperVariable+"="+filepath.Join(dir, "executor"), "HELPER_CODE="+s.CodeDir, "HOME="+dir)
	cmd.Stderr, cmd.SysProcAttr = os.Stderr, attr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len(helperReady))
	if _, err := io.ReadFull(out, line); err != nil || string(line) != helperReady {
		t.Fatalf("the server said %q, %v", line, err)
	}
	if marked(mark) == 0 {
		t.Fatal("the function has started no process")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_ = cmd.Wait() // it was killed
	eventually(t, "all processes are gone after the server was killed", func() bool { return marked(mark) == 0 && marked(s.CodeDir) == 0 })
	if took := time.Since(start); took > time.Second {
		t.Errorf("the processes outlived the server by %v", took)
	}
}

const helperReady = "ready and contained\n"

// runHelper is a server: it invokes a function once and waits to be killed.
func runHelper() int {
	e, err := New(Config{Dir: os.Getenv(helperVariable)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s := &Spec{
		Function: "f", Version: "1", Runtime: "provided.al2", CodeDir: os.Getenv("HELPER_CODE"), MemoryMB: 128, Timeout: time.Minute,
	}
	r, err := e.Invoke(context.Background(), s, &Invocation{RequestID: testID, Payload: []byte(`0`), Tail: true})
	if err != nil || string(r.Payload) != "0" {
		fmt.Fprintf(os.Stderr, "%+v %v\n%s", r, err, r.Tail)
		return 1
	}
	if e.Isolates() {
		fmt.Print(helperReady)
	}
	select {}
}

func copyFile(tb testing.TB, from, to string) {
	tb.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		tb.Fatal(err)
	}
}

// TestWithoutNamespaces runs functions as on a kernel that grants none.
func TestWithoutNamespaces(t *testing.T) {
	e := newExecutor(t, Config{Isolation: sandbox.IsolationNone})
	s := goSpec(t)
	if r := invoke(t, e, s, `{"do":"echo","echo":7}`); string(r.Payload) != "7" || r.MaxMemoryMB < 2 {
		t.Errorf("result %+v", r)
	}
	for payload, want := range map[string]string{
		`{"do":"exit","n":3}`: "exit status 3", `{"do":"kill","n":9}`: "signal: killed", `{"do":"exit"}`: "without providing a reason",
	} {
		if r := invoke(t, e, s, payload); !strings.Contains(string(r.Payload), want) {
			t.Errorf("payload %s, want %s", r.Payload, want)
		}
	}
	missing := *s
	missing.CodeDir, missing.Revision = t.TempDir(), "missing"
	if r := invoke(t, e, &missing, `{}`); !strings.Contains(string(r.Payload), "Couldn't find valid bootstrap(s)") {
		t.Errorf("payload %s", r.Payload)
	}
	mark := newMark()
	slow := shellSpec(t, "bash -c 'sleep 1000; true "+mark+"' & wait")
	slow.Timeout = 300 * time.Millisecond
	e.cfg.InitTimeout = 300 * time.Millisecond
	if r := invoke(t, e, slow, `{}`); !strings.Contains(string(r.Payload), "Sandbox.Timedout") {
		t.Errorf("payload %s", r.Payload)
	}
	eventually(t, "the process group is gone", func() bool { return marked(mark) == 0 })
}
