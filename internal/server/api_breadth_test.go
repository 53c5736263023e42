package server_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin/internal/server"
)

// program returns a command with the credentials of a server and nothing of the environment's.
func (r *running) program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "AWS_ENDPOINT_URL=" + r.Endpoint, "AWS_DEFAULT_REGION=" + r.Region,
		"AWS_ACCESS_KEY_ID=" + r.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + r.SecretAccessKey, "AWS_CONFIG_FILE=/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true",
	}
	return cmd
}

// packageFile writes a package to a file.
func packageFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "code.zip")
	must(t, os.WriteFile(file, zipped(t, "bootstrap", "#!/bin/sh\n"), 0o600))
	return file
}

func needsBoto3(t *testing.T) {
	t.Helper()
	needs(t, "python3")
	if out, err := exec.CommandContext(t.Context(), "python3", "-c", "import boto3").CombinedOutput(); err != nil {
		if os.Getenv("SERIN_TEST_STRICT") != "" {
			t.Fatalf("boto3 is not installed: %s", out)
		}
		t.Skip("boto3 is not installed")
	}
}

// The real boto3, from which the aws command line is made, calls every operation on attachments and layers.
func TestBoto3(t *testing.T) {
	t.Parallel()
	needsBoto3(t)
	r := start(t)
	out, err := r.program(t, "python3", "testdata/boto3_breadth.py", r.Endpoint, r.AccessKeyID, r.SecretAccessKey, packageFile(t)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "operations") {
		t.Errorf("%v\n%s", err, out)
	}
}

// The commands of the aws command line whose arguments it turns into something else than boto3 does.
func TestAWSCommandLine(t *testing.T) {
	t.Parallel()
	needs(t, "aws")
	r := start(t)
	zip := "fileb://" + packageFile(t)
	for _, step := range []struct{ command, prints string }{
		{"create-function --function-name shop --runtime provided.al2023 --handler bootstrap --role " + role + " --zip-file " + zip + " --query State", `"Pending"`},
		{"publish-layer-version --layer-name l --zip-file " + zip + " --compatible-runtimes python3.12 --query LayerVersionArn", `:layer:l:1"`},
		{"put-function-event-invoke-config --function-name shop --maximum-retry-attempts 0 --destination-config {\"OnFailure\":{\"Destination\":\"https://example.com/\"}} --query DestinationConfig.OnFailure.Destination", `"https://example.com/"`},
		{"create-function-url-config --function-name shop --auth-type NONE --cors {\"AllowOrigins\":[\"*\"],\"MaxAge\":5} --query Cors.MaxAge", "5"},
	} {
		out, err := r.program(t, "aws", append([]string{"lambda"}, strings.Fields(step.command)...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), step.prints) {
			t.Errorf("aws lambda %s\n%v: %s\nwant %s", step.command, err, out, step.prints)
		}
	}
}

// What belongs to a function is there again after a restart.
func TestAttachmentsSurviveARestart(t *testing.T) {
	t.Parallel()
	needs(t, "python3")
	data := t.TempDir()
	on := func(c *server.Config) { c.Data = data }
	r := start(t, on)
	r.create(t, "shop", reporting, 1)
	r.attach(t)
	before := r.attached(t)
	r.stop()
	if after := start(t, on).attached(t); after != before {
		t.Errorf("after the restart:\n%s\nbefore:\n%s", after, before)
	}
}

// attach gives the function shop something of everything.
func (r *running) attach(t *testing.T) {
	t.Helper()
	ctx, shop := t.Context(), aws.String("shop")
	_, err := r.AddPermission(ctx, &lambda.AddPermissionInput{
		FunctionName: shop, Qualifier: aws.String("1"), StatementId: aws.String("s"), Action: aws.String("lambda:*"), Principal: aws.String("*"),
	})
	must(t, err)
	_, err = r.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: shop, ReservedConcurrentExecutions: aws.Int32(7)})
	must(t, err)
	_, err = r.PutFunctionEventInvokeConfig(ctx, &lambda.PutFunctionEventInvokeConfigInput{FunctionName: shop, MaximumRetryAttempts: aws.Int32(0)})
	must(t, err)
	_, err = r.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{FunctionName: shop, AuthType: types.FunctionUrlAuthTypeAwsIam})
	must(t, err)
	_, err = r.PutFunctionRecursionConfig(ctx, &lambda.PutFunctionRecursionConfigInput{FunctionName: shop, RecursiveLoop: types.RecursiveLoopAllow})
	must(t, err)
	_, err = r.PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{
		LayerName: aws.String("l"), Content: &types.LayerVersionContentInput{ZipFile: zipped(t, "a", "b")},
	})
	must(t, err)
}

// attached describes what attach has made.
func (r *running) attached(t *testing.T) string {
	t.Helper()
	ctx, shop := t.Context(), aws.String("shop")
	policy, err := r.GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: shop, Qualifier: aws.String("1")})
	must(t, err)
	function, err := r.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: shop})
	must(t, err)
	events, err := r.GetFunctionEventInvokeConfig(ctx, &lambda.GetFunctionEventInvokeConfigInput{FunctionName: shop})
	must(t, err)
	url, err := r.GetFunctionUrlConfig(ctx, &lambda.GetFunctionUrlConfigInput{FunctionName: shop})
	must(t, err)
	host, _, _ := strings.Cut(*url.FunctionUrl, ".localhost:") // the port is another one
	recursion, err := r.GetFunctionRecursionConfig(ctx, &lambda.GetFunctionRecursionConfigInput{FunctionName: shop})
	must(t, err)
	layer, err := r.GetLayerVersion(ctx, &lambda.GetLayerVersionInput{LayerName: aws.String("l"), VersionNumber: aws.Int64(1)})
	must(t, err)
	account, err := r.GetAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
	must(t, err)
	return fmt.Sprintln(*policy.Policy, *policy.RevisionId, *function.Concurrency.ReservedConcurrentExecutions, *events.MaximumRetryAttempts, events.LastModified,
		host, url.AuthType, *url.CreationTime, recursion.RecursiveLoop, *layer.Content.CodeSha256, *layer.CreatedDate,
		account.AccountUsage.TotalCodeSize, *account.AccountLimit.UnreservedConcurrentExecutions)
}
