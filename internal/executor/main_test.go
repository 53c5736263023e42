package executor

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	if os.Getenv(helperVariable) != "" {
		return runHelper()
	}
	dir, err := os.MkdirTemp("", "executor-programs")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs.dir, programs.built = dir, map[string]string{}
	return m.Run()
}
