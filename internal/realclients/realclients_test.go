// Package realclients_test drives a whole server with the programs that people deploy with.
package realclients_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"serin/internal/server"
)

// running is a server in this process.
type running struct {
	server.Ready
}

// start runs a server on a free port until the test ends.
func start(t *testing.T) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan server.Ready, 1), make(chan error, 1)
	cfg := server.Config{
		Listen: "127.0.0.1:0", Data: t.TempDir(), Region: "us-east-1", Account: "000000000000", Auth: server.AuthSigV4,
		Log: slog.New(slog.DiscardHandler),
	}
	go func() { done <- server.Run(ctx, cfg, func(r server.Ready) { ready <- r }) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("server: %v", err)
		}
	})
	r := &running{}
	select {
	case r.Ready = <-ready:
	case err := <-done:
		cancel()
		t.Fatalf("server did not start: %v", err)
	}
	t.Cleanup(stop)
	return r
}

// run runs a program in a directory as its users do, and returns what it printed.
func (r *running) run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	out, err := r.command(t, dir, program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (r *running) command(t *testing.T, dir, program string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		lacking(t, program+" is not installed")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"AWS_ENDPOINT_URL="+r.Endpoint, "AWS_ACCESS_KEY_ID="+r.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+r.SecretAccessKey,
		"AWS_REGION="+r.Region, "AWS_DEFAULT_REGION="+r.Region, "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "PYTHONWARNINGS=ignore")
	return cmd
}

// lacking ends a test that needs what the machine does not have: it is skipped, or fails where nothing may be missing.
func lacking(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("SERIN_TEST_STRICT") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// script runs a script of boto3.
func (r *running) script(t *testing.T, dir, name string) {
	t.Helper()
	script, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := r.command(t, dir, "python3", "-c", "import boto3").CombinedOutput(); err != nil {
		lacking(t, "boto3 is not installed: "+string(out))
	}
	if out := r.run(t, dir, "python3", script); !strings.HasSuffix(out, "done\n") {
		t.Errorf("%s: %s", name, out)
	}
}

// TestSupportingServices is boto3 against SSM, STS, IAM and ECR.
func TestSupportingServices(t *testing.T) {
	start(t).script(t, t.TempDir(), "supporting.py")
}

// TestHTTPAPIs is boto3 and plain HTTP against HTTP APIs.
func TestHTTPAPIs(t *testing.T) {
	start(t).script(t, t.TempDir(), "httpapi.py")
}

// write writes a file of a test.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const function = `
def handler(event, context):
    return {"version": context.function_version}
`

// TestS3 is boto3 and the aws command line against the buckets.
func TestS3(t *testing.T) {
	r := start(t)
	dir := t.TempDir()
	r.script(t, dir, "s3.py")
	write(t, dir, "src/app.py", function)
	write(t, dir, "template.yaml", `
Resources:
  Fn:
    Type: AWS::Lambda::Function
    Properties: {Code: src, Handler: app.handler, Runtime: python3.12, Role: arn:aws:iam::000000000000:role/r}
`)
	out := r.run(t, dir, "aws", "cloudformation", "package", "--template-file", "template.yaml", "--s3-bucket", "artifacts", "--use-json")
	var packaged struct {
		Resources struct {
			Fn struct {
				Properties struct {
					Code struct{ S3Bucket, S3Key string }
				}
			}
		}
	}
	from := strings.Index(out, "\n{")
	if from < 0 {
		t.Fatal(out)
	}
	if err := json.NewDecoder(strings.NewReader(out[from:])).Decode(&packaged); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	code := packaged.Resources.Fn.Properties.Code
	r.run(t, dir, "aws", "lambda", "create-function", "--function-name", "packaged", "--runtime", "python3.12", "--handler", "app.handler",
		"--role", "arn:aws:iam::000000000000:role/r", "--code", "S3Bucket="+code.S3Bucket+",S3Key="+code.S3Key)
	r.run(t, dir, "aws", "lambda", "invoke", "--function-name", "packaged", "answer.json")
	if answer, err := os.ReadFile(filepath.Join(dir, "answer.json")); err != nil || string(answer) != `{"version": "$LATEST"}` {
		t.Errorf("%s %v", answer, err)
	}
}
