package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"serin/internal/api"
	"serin/internal/server"
)

// built is the real binary and a data directory.
type built struct {
	tb     testing.TB
	binary string
	dir    string
	kill   func() // ends the server as a power cut would end its process
	server.Ready
}

// build makes the binary as the README says.
func build(tb testing.TB) *built {
	tb.Helper()
	b := &built{tb: tb, dir: tb.TempDir()}
	b.binary = filepath.Join(b.dir, "serin")
	cmd := exec.CommandContext(tb.Context(), "go", "build", "-o", b.binary, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v\n%s", err, out)
	}
	return b
}

// serve starts the server and waits until it serves.
func (b *built) serve() {
	b.tb.Helper()
	ready := filepath.Join(b.dir, "ready.json")
	_ = os.Remove(ready)
	var log bytes.Buffer // to be read when the server has exited
	cmd := exec.Command(b.binary, "serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(b.dir, "data"), "--ready-file", ready)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		b.tb.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { defer close(exited); _ = cmd.Wait() }()
	b.kill = func() { _ = cmd.Process.Kill(); <-exited }
	b.tb.Cleanup(b.kill)
	deadline := time.After(20 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		text, err := os.ReadFile(ready)
		if err == nil && json.Unmarshal(text, &b.Ready) == nil && b.PID == cmd.Process.Pid {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-exited:
			b.tb.Fatalf("the server ended:\n%s", log.String())
		case <-deadline:
			b.kill()
			b.tb.Fatalf("the server does not serve:\n%s", log.String())
		}
	}
}

func (b *built) lambda() *lambda.Client {
	return lambda.New(lambda.Options{
		Region: b.Region, BaseEndpoint: &b.Endpoint, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: b.AccessKeyID, SecretAccessKey: b.SecretAccessKey}, nil
		}),
		HTTPClient: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
	})
}

func (b *built) api() *api.Client {
	return api.NewClient(b.Endpoint, b.Region, b.AccessKeyID, b.SecretAccessKey)
}

// aws runs the real command line of AWS and decodes what it prints.
func (b *built) aws(args ...string) map[string]any {
	b.tb.Helper()
	cmd := exec.CommandContext(b.tb.Context(), "aws", append([]string{"--output", "json"}, args...)...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(),
		"AWS_ENDPOINT_URL="+b.Endpoint, "AWS_ACCESS_KEY_ID="+b.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+b.SecretAccessKey,
		"AWS_REGION="+b.Region, "AWS_DEFAULT_REGION="+b.Region, "AWS_PAGER=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		b.tb.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	answer := map[string]any{}
	if len(bytes.TrimSpace(out)) > 0 {
		if err := json.Unmarshal(out, &answer); err != nil {
			b.tb.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return answer
}

func needs(tb testing.TB, programs ...string) {
	tb.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("SERIN_TEST_STRICT") != "" {
				tb.Fatalf("%s is not installed", p)
			}
			tb.Skipf("%s is not installed", p)
		}
	}
}
