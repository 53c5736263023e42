package awsapi

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"
)

// commandLine runs the real aws command line against a server of its own.
type commandLine struct {
	program  string
	dir      string
	endpoint string
}

// newCommandLine starts a server. It skips the test where there is no aws command line.
func newCommandLine(t *testing.T, backend *fakeLambda, invoke invoker) commandLine {
	t.Helper()
	if testing.Short() {
		t.Skip("not in short mode: every call of the aws command line takes a second")
	}
	program, err := exec.LookPath("aws")
	if err != nil {
		if os.Getenv("SERIN_TEST_STRICT") != "" {
			t.Fatal(err)
		}
		t.Skip("the aws command line is not installed: its signatures are not tested here")
	}
	return commandLine{program: program, dir: t.TempDir(), endpoint: signedServer(t, backend, invoke).URL}
}

// run returns what the command prints and whether it exits with 0.
func (c commandLine) run(t *testing.T, secret string, args ...string) (output string, ok bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.program, args...)
	cmd.Dir = c.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "AWS_ENDPOINT_URL=" + c.endpoint,
		"AWS_REGION=" + testRegion, "AWS_DEFAULT_REGION=" + testRegion,
		"AWS_ACCESS_KEY_ID=" + testKey, "AWS_SECRET_ACCESS_KEY=" + secret,
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"AWS_PAGER=", "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true",
	}
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return string(out), err == nil
}

func (c commandLine) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

const cliARN = "arn:aws:lambda:eu-central-1:000000000000:function:f"

// The signatures of the real aws command line are accepted, its spelling of paths and its bodies understood.
func TestCommandLineControlPlane(t *testing.T) {
	t.Parallel()
	backend := &fakeLambda{}
	cli := newCommandLine(t, backend, noInvoke)
	archive := storedZip(t, 100_000)
	cli.write(t, "code.zip", archive)
	for _, c := range []struct {
		what   string
		out    any
		args   string
		want   any
		prints string
	}{
		{
			"an ARN in the path and $LATEST in the query", &lambda.GetFunctionOutput{Configuration: &types.FunctionConfiguration{CodeSize: 5}},
			"lambda get-function --function-name " + cliARN + ":$LATEST --qualifier $LATEST --query Configuration.CodeSize",
			&lambda.GetFunctionInput{FunctionName: aws.String(cliARN + ":$LATEST"), Qualifier: aws.String("$LATEST")}, "5",
		},
		{
			"a body with a large blob", &lambda.CreateFunctionOutput{Version: aws.String("1")},
			"lambda create-function --function-name f --role r --runtime provided.al2023 --handler h --publish --zip-file fileb://code.zip --environment Variables={A=b} --query Version --output text",
			&lambda.CreateFunctionInput{
				FunctionName: aws.String("f"), Role: aws.String("r"), Runtime: "provided.al2023", Handler: aws.String("h"), Publish: true,
				Code: &types.FunctionCode{ZipFile: []byte(archive)}, Environment: &types.Environment{Variables: map[string]string{"A": "b"}},
			}, "1",
		},
		{
			"a list in the query", nil, "lambda untag-resource --resource " + cliARN + " --tag-keys a/b c+d é",
			&lambda.UntagResourceInput{Resource: aws.String(cliARN), TagKeys: []string{"a/b", "c+d", "é"}}, "",
		},
		{
			"no content", &lambda.DeleteFunctionOutput{StatusCode: 204}, "lambda delete-function --function-name f --qualifier 2",
			&lambda.DeleteFunctionInput{FunctionName: aws.String("f"), Qualifier: aws.String("2")}, "",
		},
	} {
		backend.answers(c.out, nil)
		if out, ok := cli.run(t, testSecret, strings.Fields(c.args)...); !ok || !strings.Contains(out, c.prints) {
			t.Errorf("%s:\n%s", c.what, out)
		}
		in, _ := backend.seen()
		if diff := cmp.Diff(c.want, in, sdkTypes); diff != "" {
			t.Errorf("%s: input (-want +got):\n%s", c.what, diff)
		}
	}
}

func TestCommandLineInvoke(t *testing.T) {
	t.Parallel()
	requests := make(chan InvokeRequest, 1)
	cli := newCommandLine(t, &fakeLambda{}, func(_ context.Context, req InvokeRequest) (InvokeResponse, error) {
		requests <- req
		return InvokeResponse{ExecutedVersion: "3", LogResult: []byte("START"), Payload: []byte(`{"ok":true}`)}, nil
	})
	payload := strings.Repeat("é", 100)
	cli.write(t, "payload", payload)
	clientContext := base64.StdEncoding.EncodeToString([]byte(`{"custom":{}}`))
	out, ok := cli.run(t, testSecret, "lambda", "invoke", "--function-name", cliARN, "--qualifier", "live", "--log-type", "Tail",
		"--client-context", clientContext, "--payload", "fileb://payload", "answer")
	if !ok || !strings.Contains(out, `"ExecutedVersion": "3"`) || !strings.Contains(out, `"LogResult": "U1RBUlQ="`) {
		t.Fatal(out)
	}
	if answer, err := os.ReadFile(filepath.Join(cli.dir, "answer")); err != nil || string(answer) != `{"ok":true}` {
		t.Errorf("the answer is %q %v", answer, err)
	}
	got := <-requests
	want := InvokeRequest{
		FunctionName: cliARN, Qualifier: "live", InvocationType: requestResponse, LogType: "Tail",
		ClientContext: `{"custom":{}}`, Payload: []byte(payload), RequestID: got.RequestID, Header: got.Header,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

// The aws command line understands what is refused, in each protocol.
func TestCommandLineRefusals(t *testing.T) {
	t.Parallel()
	cli := newCommandLine(t, &fakeLambda{}, noInvoke)
	cli.write(t, "code.zip", storedZip(t, 1000))
	for args, want := range map[string]string{
		"lambda list-capacity-providers": "(NotImplementedException) when calling the ListCapacityProviders operation: Serin does not have the operation ListCapacityProviders of AWS Lambda.",
		"sts get-caller-identity":        "(NotImplementedException) when calling the GetCallerIdentity operation: Serin does not have the operation GetCallerIdentity of the service sts.",
		"cloudwatch list-metrics":        "(NotImplementedException) when calling the ListMetrics operation",
		"deploy list-applications":       "(NotImplementedException) when calling the ListApplications operation: Serin does not have the operation ListApplications of the service CodeDeploy_20141006.",
	} {
		if out, ok := cli.run(t, testSecret, strings.Fields(args)...); ok || !strings.Contains(out, want) {
			t.Errorf("%s:\n%s", args, out)
		}
	}
	out, ok := cli.run(t, "wrong", "lambda", "create-function", "--function-name", "f", "--role", "r", "--zip-file", "fileb://code.zip")
	if ok || !strings.Contains(out, "(InvalidSignatureException) when calling the CreateFunction operation: "+mismatch) {
		t.Errorf("a wrong secret:\n%s", out)
	}
}

// storedZip is a zip file with one entry of n bytes that are not compressed.
func storedZip(t *testing.T, n int) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateHeader(&zip.FileHeader{Name: "bootstrap", Method: zip.Store})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.Repeat([]byte{0, 0x7f, 0xff, '"'}, n/4)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
