package server_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/google/go-cmp/cmp"
)

// commandLine runs the real aws command line against a server, in a directory of its own.
type commandLine struct {
	dir string
	env []string
}

func newCommandLine(t *testing.T, r *running) commandLine {
	t.Helper()
	if testing.Short() {
		t.Skip("not in short mode: every call of the aws command line takes a second")
	}
	needs(t, "aws")
	return commandLine{t.TempDir(), []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "AWS_ENDPOINT_URL=" + r.Endpoint, "AWS_REGION=" + r.Region, "AWS_DEFAULT_REGION=" + r.Region,
		"AWS_ACCESS_KEY_ID=" + r.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + r.SecretAccessKey, "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"AWS_PAGER=", "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true",
	}}
}

// run returns what the command prints; it must succeed.
func (c commandLine) run(t *testing.T, args ...string) string {
	t.Helper()
	out, ok := c.try(t, args...)
	if !ok {
		t.Fatalf("aws %s:\n%s", strings.Join(args, " "), out)
	}
	return out
}

func (c commandLine) try(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "aws", args...)
	cmd.Dir, cmd.Env = c.dir, c.env
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func (c commandLine) write(t *testing.T, name, content string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(c.dir, name), []byte(content), 0o600))
}

// seed is the alias of the project's first idea in a full template: most of the traffic on one version, 10 % on another.
const seed = `
AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Text: {Type: String, Default: one}
Resources:
  Role: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {Version: 2012-10-17, Statement: []}}}
  Function:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.12
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Environment: {Variables: {TEXT: !Ref Text}}
      Code:
        ZipFile: |
          import os
          def handler(event, context):
              return os.environ["TEXT"] + " " + context.function_version
  Log: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: !Sub "/aws/lambda/${Function}", RetentionInDays: 7}}
  V1: {Type: AWS::Lambda::Version, Properties: {FunctionName: !Ref Function}}
  LiveAlias:
    Type: AWS::Lambda::Alias
    Properties: {Name: live, FunctionName: !Ref Function, FunctionVersion: !GetAtt V1.Version}
Outputs:
  Function: {Value: !Ref Function}
`

func seedWith(replace ...string) string { return strings.NewReplacer(replace...).Replace(seed) }

// The template of the project's first idea deploys with the real command line: 10 % of the traffic go to version 1, a
// failing update is rolled back, and nothing is left after a deletion.
func TestSeedAliasByCommandLine(t *testing.T) {
	needs(t, "python3")
	r := start(t)
	cli := newCommandLine(t, r)
	cli.write(t, "first.yaml", seed)
	second := []string{
		"  LiveAlias:", "  V2: {Type: AWS::Lambda::Version, DependsOn: V1, Properties: {FunctionName: !Ref Function}}\n  LiveAlias:",
		"!GetAtt V1.Version}", "!GetAtt V2.Version, RoutingConfig: {AdditionalVersionWeights: [{FunctionVersion: !GetAtt V1.Version, FunctionWeight: 0.1}]}}",
	}
	cli.write(t, "second.yaml", seedWith(second...))
	cli.write(t, "failing.yaml", strings.Replace(seedWith(second...), "FunctionWeight: 0.1", "FunctionWeight: 1.1", 1))
	cli.write(t, "map.yaml", seedWith("!GetAtt V1.Version}", `!GetAtt V1.Version, RoutingConfig: {AdditionalVersionWeights: {"1": 0.1}}}`))
	deploy := func(file string, more ...string) (string, bool) {
		args := []string{"cloudformation", "deploy", "--stack-name", "seed", "--capabilities", "CAPABILITY_IAM", "--no-fail-on-empty-changeset", "--template-file", file}
		return cli.try(t, append(args, more...)...)
	}
	if out, ok := deploy("first.yaml"); !ok || !strings.Contains(out, "Successfully created/updated stack - seed") {
		t.Fatal(out)
	}
	name := strings.TrimSpace(cli.run(t, "cloudformation", "describe-stacks", "--stack-name", "seed", "--query", "Stacks[0].Outputs[0].OutputValue", "--output", "text"))
	alias := func() map[string]float64 {
		out, err := r.GetAlias(t.Context(), &lambda.GetAliasInput{FunctionName: &name, Name: aws.String("live")})
		must(t, err)
		routing := map[string]float64{*out.FunctionVersion: 1}
		if out.RoutingConfig != nil {
			maps.Copy(routing, out.RoutingConfig.AdditionalVersionWeights)
		}
		return routing
	}
	groups := func() string {
		return strings.TrimSpace(cli.run(t, "logs", "describe-log-groups", "--query", "logGroups[].retentionInDays", "--output", "text"))
	}
	if days := groups(); days != "7" {
		t.Errorf("the log group keeps %q days", days)
	}
	if out, ok := deploy("first.yaml"); !ok || !strings.Contains(out, "No changes to deploy") {
		t.Error(out)
	}
	if out, ok := deploy("second.yaml", "--parameter-overrides", "Text=two"); !ok {
		t.Fatal(out)
	}
	want := map[string]float64{"2": 1, "1": 0.1}
	if diff := cmp.Diff(want, alias()); diff != "" {
		t.Errorf("after the update (-want +got):\n%s", diff)
	}
	if out, ok := deploy("failing.yaml", "--parameter-overrides", "Text=three"); ok || !strings.Contains(out, "Failed to create/update the stack") {
		t.Errorf("the failing update: %s", out)
	}
	if diff := cmp.Diff(want, alias()); diff != "" {
		t.Errorf("after the failing update (-want +got):\n%s", diff)
	}
	out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name})
	must(t, err)
	if string(out.Payload) != `"two $LATEST"` {
		t.Errorf("after the failing update the function says %s", out.Payload)
	}
	if status := cli.run(t, "cloudformation", "describe-stacks", "--query", "Stacks[0].StackStatus", "--output", "text"); !strings.Contains(status, "UPDATE_ROLLBACK_COMPLETE") {
		t.Error(status)
	}
	if out, ok := deploy("map.yaml"); ok || !strings.Contains(out, "[#/RoutingConfig/AdditionalVersionWeights: expected type: JSONArray, found: JSONObject]") {
		t.Errorf("weights as a map: %s", out)
	}
	cli.run(t, "cloudformation", "delete-stack", "--stack-name", "seed")
	cli.run(t, "cloudformation", "wait", "stack-delete-complete", "--stack-name", "seed")
	if left, err := r.ListFunctions(t.Context(), &lambda.ListFunctionsInput{}); err != nil || len(left.Functions) > 0 {
		t.Errorf("left: %+v %v", left, err)
	}
	if left := groups(); left != "" {
		t.Errorf("a log group is left that keeps %s days", left)
	}
}
