package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

func (r *running) codeDeploy() *codedeploy.Client {
	return codedeploy.New(codedeploy.Options{
		Region: r.Region, BaseEndpoint: &r.Endpoint, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: r.AccessKeyID, SecretAccessKey: r.SecretAccessKey}, nil
		}),
	})
}

func appSpec(function, hooks string) string {
	return fmt.Sprintf(`version: 0.0
Resources:
  - MyFn:
      Type: AWS::Lambda::Function
      Properties: {Name: %s, Alias: live, CurrentVersion: "1", TargetVersion: "2"}
%s`, function, hooks)
}

// hook is a hook that leaves it to somebody else to report.
const hook = "def handler(event, context):\n    return event\n"

// The Go SDK deploys a function, its waiter sees the end, and a hook that nobody reports for holds the traffic back until
// somebody stops the deployment.
func TestCodeDeployBySDK(t *testing.T) {
	r := start(t)
	r.create(t, "shop", reporting, 2)
	r.create(t, "hook", hook, 1)
	ctx, c := t.Context(), r.codeDeploy()
	_, err := r.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: aws.String("1")})
	must(t, err)
	_, err = c.CreateApplication(ctx, &codedeploy.CreateApplicationInput{ApplicationName: aws.String("app"), ComputePlatform: types.ComputePlatformLambda})
	must(t, err)
	_, err = c.CreateDeploymentGroup(ctx, &codedeploy.CreateDeploymentGroupInput{
		ApplicationName: aws.String("app"), DeploymentGroupName: aws.String("live"), ServiceRoleArn: aws.String(role),
		AutoRollbackConfiguration: &types.AutoRollbackConfiguration{Enabled: true, Events: []types.AutoRollbackEvent{types.AutoRollbackEventDeploymentFailure}},
	})
	must(t, err)
	deploy := func(hooks string) *string {
		out, err := c.CreateDeployment(ctx, &codedeploy.CreateDeploymentInput{
			ApplicationName: aws.String("app"), DeploymentGroupName: aws.String("live"),
			Revision: &types.RevisionLocation{RevisionType: types.RevisionLocationTypeAppSpecContent, AppSpecContent: &types.AppSpecContent{Content: aws.String(appSpec("shop", hooks))}},
		})
		must(t, err)
		return out.DeploymentId
	}

	held := deploy("Hooks:\n  - BeforeAllowTraffic: hook\n")
	event := func() types.LifecycleEvent {
		out, err := c.GetDeploymentTarget(ctx, &codedeploy.GetDeploymentTargetInput{DeploymentId: held, TargetId: aws.String("shop:live")})
		must(t, err)
		return out.DeploymentTarget.LambdaTarget.LifecycleEvents[1]
	}
	for event().Status != types.LifecycleEventStatusInProgress {
		time.Sleep(50 * time.Millisecond)
	}
	_, err = c.StopDeployment(ctx, &codedeploy.StopDeploymentInput{DeploymentId: held, AutoRollbackEnabled: aws.Bool(true)})
	must(t, err)
	wait := codedeploy.NewDeploymentSuccessfulWaiter(c, func(o *codedeploy.DeploymentSuccessfulWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
	})
	if err := wait.Wait(ctx, &codedeploy.GetDeploymentInput{DeploymentId: held}, time.Minute); err == nil {
		t.Error("a deployment that was stopped is successful")
	}
	stopped, err := c.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: held})
	must(t, err)
	if d := stopped.DeploymentInfo; d.Status != types.DeploymentStatusStopped || d.RollbackInfo == nil || d.RollbackInfo.RollbackDeploymentId == nil {
		t.Errorf("%+v", d)
	}

	done := deploy("")
	must(t, wait.Wait(ctx, &codedeploy.GetDeploymentInput{DeploymentId: done}, time.Minute))
	alias, err := r.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: aws.String("shop"), Name: aws.String("live")})
	must(t, err)
	if *alias.FunctionVersion != "2" || alias.RoutingConfig != nil {
		t.Errorf("%+v", alias)
	}
	_, err = c.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: aws.String("d-AAAAAAAAA")})
	if _, known := errors.AsType[*types.DeploymentDoesNotExistException](err); !known {
		t.Errorf("a deployment that does not exist: %v", err)
	}
}

// The real aws command line creates, deploys with a hook that reports through it, waits, and lists.
func TestCodeDeployByCommandLine(t *testing.T) {
	if testing.Short() {
		t.Skip("not in short mode: every call of the aws command line takes a second")
	}
	needs(t, "aws")
	r, host := start(t), listen(t)
	r.create(t, "shop", reporting, 2)
	r.create(t, "CodeDeployHook_pre", hook, 1)
	r.onEvents(t, "CodeDeployHook_pre", 0, host.url, host.url)
	_, err := r.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: aws.String("1")})
	must(t, err)
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "aws", append([]string{"deploy", "--endpoint-url", r.Endpoint, "--output", "json"}, args...)...)
		cmd.Env = append(cmd.Environ(), "AWS_ACCESS_KEY_ID="+r.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+r.SecretAccessKey, "AWS_DEFAULT_REGION="+r.Region, "AWS_PAGER=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("aws deploy %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("create-application", "--application-name", "app", "--compute-platform", "Lambda")
	run("create-deployment-config", "--deployment-config-name", "quick", "--compute-platform", "Lambda", "--traffic-routing-config", `type=AllAtOnce`)
	run("create-deployment-group", "--application-name", "app", "--deployment-group-name", "live", "--service-role-arn", role, "--deployment-config-name", "quick",
		"--deployment-style", "deploymentType=BLUE_GREEN,deploymentOption=WITH_TRAFFIC_CONTROL", "--auto-rollback-configuration", "enabled=true,events=DEPLOYMENT_FAILURE", "--tags", "Key=team,Value=shop")
	if out := run("list-tags-for-resource", "--resource-arn", "arn:aws:codedeploy:us-east-1:000000000000:deploymentgroup:app/live"); !strings.Contains(out, `"Key": "team"`) {
		t.Errorf("tags: %s", out)
	}
	revision, err := json.Marshal(map[string]any{
		"revisionType": "AppSpecContent", "appSpecContent": map[string]any{"content": appSpec("shop", "Hooks:\n  - BeforeAllowTraffic: CodeDeployHook_pre\n")},
	})
	must(t, err)
	var created struct{ DeploymentID string }
	must(t, json.Unmarshal([]byte(run("create-deployment", "--application-name", "app", "--deployment-group-name", "live", "--revision", string(revision))), &created))
	id := created.DeploymentID
	var event struct{ DeploymentId, LifecycleEventHookExecutionId string } //nolint:revive // as AWS spells it
	must(t, json.Unmarshal(host.next(t).RequestPayload, &event))
	if event.DeploymentId != id {
		t.Errorf("the hook was told of deployment %s", event.DeploymentId)
	}
	run("put-lifecycle-event-hook-execution-status", "--deployment-id", id, "--status", "Succeeded",
		"--lifecycle-event-hook-execution-id", event.LifecycleEventHookExecutionId)
	run("wait", "deployment-successful", "--deployment-id", id)
	if out := run("list-deployment-targets", "--deployment-id", id); !strings.Contains(out, "shop:live") {
		t.Errorf("targets: %s", out)
	}
	out := run("batch-get-deployment-targets", "--deployment-id", id, "--target-ids", "shop:live")
	for _, want := range []string{`"targetVersionWeight": 100`, `"lifecycleEventName": "BeforeAllowTraffic"`, `"scriptName": "CodeDeployHook_pre"`, `"status": "Succeeded"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	if out := run("list-deployments", "--application-name", "app", "--deployment-group-name", "live", "--include-only-statuses", "Succeeded"); !strings.Contains(out, id) {
		t.Errorf("deployments: %s", out)
	}
	if out := run("get-deployment", "--deployment-id", id); !strings.Contains(out, `"computePlatform": "Lambda"`) || !strings.Contains(out, `"Succeeded": 1`) {
		t.Errorf("deployment: %s", out)
	}
}
