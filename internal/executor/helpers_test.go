package executor

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/aws/aws-lambda-go/lambda" // testdata/awsgo needs it, where go mod tidy does not look
)

// programs are the functions of testdata, built once for all tests.
var programs struct {
	sync.Mutex
	dir   string
	built map[string]string
}

// buildProgram builds a program of testdata and returns a directory with it as the executable bootstrap.
func buildProgram(tb testing.TB, name string) string {
	tb.Helper()
	programs.Lock()
	defer programs.Unlock()
	dir := filepath.Join(programs.dir, name)
	if programs.built[name] == "" {
		cmd := exec.CommandContext(tb.Context(), "go", "build", "-o", filepath.Join(dir, "bootstrap"), "./testdata/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Fatalf("build %s: %v\n%s", name, err, out)
		}
		programs.built[name] = dir
	}
	return dir
}

// writeFiles writes a package and returns its directory.
func writeFiles(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// newExecutor returns an executor that is closed, with everything that it runs, when the test ends.
func newExecutor(tb testing.TB, cfg Config) *Executor {
	tb.Helper()
	cfg.Dir = tb.TempDir()
	cfg.Region = "us-east-1"
	e, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	// An invocation of a test waits for the environment that it means, however busy the machine is.
	e.settleTime = 10 * time.Second
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return e
}

// taskDir is where a function finds its code.
func taskDir(e *Executor, s *Spec) string {
	if e.Isolates() {
		return "/var/task"
	}
	return s.CodeDir
}

// lacking ends a test that needs what the machine does not have: it is skipped, or fails where nothing may be missing.
func lacking(tb testing.TB, err error) {
	tb.Helper()
	if os.Getenv("SERIN_TEST_STRICT") != "" {
		tb.Fatal(err)
	}
	tb.Skipf("skipped: %v", err)
}

// needInterpreter skips the test if the machine cannot run the runtime.
func needInterpreter(tb testing.TB, e *Executor, runtime string) {
	tb.Helper()
	if _, err := e.Resolve(tb.Context(), runtime); err != nil {
		lacking(tb, err)
	}
}

func goSpec(tb testing.TB) *Spec {
	tb.Helper()
	return &Spec{
		Function: "gofn", Version: "1", Runtime: "provided.al2023", Handler: "bootstrap", CodeDir: buildProgram(tb, "awsgo"),
		MemoryMB: 128, TmpMB: 512, Timeout: 10 * time.Second, LogGroup: "/aws/lambda/gofn",
	}
}

func pythonSpec(tb testing.TB, code string) *Spec {
	tb.Helper()
	dir := writeFiles(tb, map[string]string{"app.py": code})
	return &Spec{
		Function: "pyfn", Version: "1", Revision: dir, Runtime: "python3.11", Handler: "app.handler", CodeDir: dir,
		MemoryMB: 128, TmpMB: 512, Timeout: 10 * time.Second, LogGroup: "/aws/lambda/pyfn",
	}
}

func nodeSpec(tb testing.TB, code string) *Spec {
	tb.Helper()
	dir := writeFiles(tb, map[string]string{"index.js": code})
	return &Spec{
		Function: "jsfn", Version: "1", Revision: dir, Runtime: "nodejs20.x", Handler: "index.handler", CodeDir: dir,
		MemoryMB: 128, TmpMB: 512, Timeout: 10 * time.Second, LogGroup: "/aws/lambda/jsfn",
	}
}

// shellSpec is a function whose bootstrap is a bash script with the given start of the Runtime API's addresses
// in $api.
func shellSpec(tb testing.TB, script string) *Spec {
	tb.Helper()
	for _, program := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			lacking(tb, err)
		}
	}
	head := "#!/usr/bin/env bash\nset -u\napi=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime\n"
	dir := writeFiles(tb, map[string]string{"bootstrap": head + strings.TrimSpace(script) + "\n"})
	return &Spec{
		Function: "shfn", Version: "1", Revision: dir, Runtime: "provided.al2023", Handler: "x", CodeDir: dir,
		MemoryMB: 128, TmpMB: 512, Timeout: 10 * time.Second, LogGroup: "/aws/lambda/shfn",
	}
}
