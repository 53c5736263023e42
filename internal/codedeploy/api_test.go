package codedeploy_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
)

// What is refused is refused with the exception that AWS has for it.
func TestExceptions(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.group("CodeDeployDefault.LambdaAllAtOnce", nil)
		done := w.deploy(spec("1", "2"))
		w.ended(done)
		app, name, role := aws.String("app"), aws.String("group"), aws.String("arn:aws:iam::000000000000:role/r")
		long := aws.String(strings.Repeat("x", 101))
		refused(w, w.CreateApplication, "ApplicationAlreadyExists", sdk.CreateApplicationInput{ApplicationName: app})
		refused(w, w.CreateApplication, "ApplicationNameRequired", sdk.CreateApplicationInput{})
		refused(w, w.CreateApplication, "InvalidApplicationName", sdk.CreateApplicationInput{ApplicationName: long})
		refused(w, w.CreateApplication, "InvalidApplicationName", sdk.CreateApplicationInput{ApplicationName: aws.String("a\x1fb")})
		refused(w, w.CreateApplication, "InvalidComputePlatform", sdk.CreateApplicationInput{ApplicationName: aws.String("b"), ComputePlatform: "Server"})
		refused(w, w.GetApplication, "ApplicationDoesNotExist", sdk.GetApplicationInput{ApplicationName: aws.String("b")})

		base := sdk.CreateDeploymentGroupInput{ApplicationName: app, DeploymentGroupName: aws.String("g2"), ServiceRoleArn: role}
		refused(w, w.CreateDeploymentGroup, "DeploymentGroupAlreadyExists", sdk.CreateDeploymentGroupInput{ApplicationName: app, DeploymentGroupName: name, ServiceRoleArn: role})
		for exception, change := range map[string]func(*sdk.CreateDeploymentGroupInput){
			"RoleRequired":                 func(in *sdk.CreateDeploymentGroupInput) { in.ServiceRoleArn = nil },
			"InvalidRole":                  func(in *sdk.CreateDeploymentGroupInput) { in.ServiceRoleArn = aws.String("me") },
			"DeploymentConfigDoesNotExist": func(in *sdk.CreateDeploymentGroupInput) { in.DeploymentConfigName = aws.String("none") },
			"InvalidDeploymentStyle": func(in *sdk.CreateDeploymentGroupInput) {
				in.DeploymentStyle = &types.DeploymentStyle{DeploymentType: types.DeploymentTypeInPlace}
			},
			"InvalidAlarmConfig": func(in *sdk.CreateDeploymentGroupInput) {
				in.AlarmConfiguration = &types.AlarmConfiguration{Enabled: true}
			},
			"AlarmsLimitExceeded": func(in *sdk.CreateDeploymentGroupInput) {
				in.AlarmConfiguration = &types.AlarmConfiguration{Alarms: make([]types.Alarm, 11)}
			},
			"InvalidAutoRollbackConfig": func(in *sdk.CreateDeploymentGroupInput) {
				in.AutoRollbackConfiguration = &types.AutoRollbackConfiguration{Enabled: true, Events: []types.AutoRollbackEvent{"NEVER"}}
			},
			"InvalidTriggerConfig":        func(in *sdk.CreateDeploymentGroupInput) { in.TriggerConfigurations = []types.TriggerConfig{{}} },
			"ApplicationDoesNotExist":     func(in *sdk.CreateDeploymentGroupInput) { in.ApplicationName = aws.String("none") },
			"DeploymentGroupNameRequired": func(in *sdk.CreateDeploymentGroupInput) { in.DeploymentGroupName = nil },
		} {
			in := base
			change(&in)
			refused(w, w.CreateDeploymentGroup, exception, in)
		}

		config := func(name string, canary, interval int32) sdk.CreateDeploymentConfigInput {
			return sdk.CreateDeploymentConfigInput{DeploymentConfigName: &name, TrafficRoutingConfig: &types.TrafficRoutingConfig{
				Type: types.TrafficRoutingTypeTimeBasedCanary, TimeBasedCanary: &types.TimeBasedCanary{CanaryPercentage: canary, CanaryInterval: interval},
			}}
		}
		refused(w, w.CreateDeploymentConfig, "InvalidDeploymentConfigName", config("CodeDeployDefault.Mine", 10, 1))
		refused(w, w.CreateDeploymentConfig, "InvalidDeploymentConfigName", config("Serin.Mine", 10, 1))
		refused(w, w.CreateDeploymentConfig, "InvalidTrafficRoutingConfiguration", config("c", 100, 1))
		refused(w, w.CreateDeploymentConfig, "InvalidTrafficRoutingConfiguration", config("c", 10, 2881))
		refused(w, w.CreateDeploymentConfig, "InvalidTrafficRoutingConfiguration", sdk.CreateDeploymentConfigInput{DeploymentConfigName: aws.String("c")})
		refused(w, w.DeleteDeploymentConfig, "InvalidOperation", sdk.DeleteDeploymentConfigInput{DeploymentConfigName: aws.String("CodeDeployDefault.LambdaAllAtOnce")})
		in := config("c", 10, 2880)
		_, err := w.CreateDeploymentConfig(w.ctx, &in)
		must(t, 0, err)
		refused(w, w.CreateDeploymentConfig, "DeploymentConfigAlreadyExists", in)
		_, err = w.UpdateDeploymentGroup(w.ctx, &sdk.UpdateDeploymentGroupInput{ApplicationName: app, CurrentDeploymentGroupName: name, DeploymentConfigName: aws.String("c")})
		must(t, 0, err)
		refused(w, w.DeleteDeploymentConfig, "DeploymentConfigInUse", sdk.DeleteDeploymentConfigInput{DeploymentConfigName: aws.String("c")})

		refused(w, w.CreateDeployment, "RevisionRequired", sdk.CreateDeploymentInput{ApplicationName: app, DeploymentGroupName: name})
		refused(w, w.CreateDeployment, "DeploymentGroupNameRequired", sdk.CreateDeploymentInput{ApplicationName: app, Revision: spec("2", "3")})
		refused(w, w.CreateDeployment, "DeploymentGroupDoesNotExist", sdk.CreateDeploymentInput{ApplicationName: app, DeploymentGroupName: aws.String("none"), Revision: spec("2", "3")})
		refused(w, w.CreateDeployment, "DescriptionTooLong", sdk.CreateDeploymentInput{ApplicationName: app, DeploymentGroupName: name, Revision: spec("2", "3"), Description: aws.String(strings.Repeat("x", 1001))})
		wrong := spec("2", "3")
		wrong.AppSpecContent.Sha256 = aws.String(strings.Repeat("0", 64))
		for _, revision := range []*types.RevisionLocation{
			wrong, {RevisionType: types.RevisionLocationTypeGitHub}, {RevisionType: "Tape"}, {RevisionType: types.RevisionLocationTypeString, String_: &types.RawString{Content: aws.String("{")}},
		} {
			refused(w, w.CreateDeployment, "InvalidRevision", sdk.CreateDeploymentInput{ApplicationName: app, DeploymentGroupName: name, Revision: revision})
		}

		refused(w, w.GetDeployment, "DeploymentIdRequired", sdk.GetDeploymentInput{})
		refused(w, w.GetDeployment, "InvalidDeploymentId", sdk.GetDeploymentInput{DeploymentId: aws.String("d-1")})
		refused(w, w.GetDeployment, "DeploymentDoesNotExist", sdk.GetDeploymentInput{DeploymentId: aws.String("d-AAAAAAAAA")})
		refused(w, w.GetDeploymentTarget, "DeploymentTargetDoesNotExist", sdk.GetDeploymentTargetInput{DeploymentId: &done, TargetId: aws.String("shop:test")})
		refused(w, w.GetDeploymentTarget, "DeploymentTargetIdRequired", sdk.GetDeploymentTargetInput{DeploymentId: &done})
		refused(w, w.ContinueDeployment, "UnsupportedActionForDeploymentType", sdk.ContinueDeploymentInput{DeploymentId: &done})
		refused(w, w.ListDeployments, "DeploymentGroupNameRequired", sdk.ListDeploymentsInput{ApplicationName: app})
		refused(w, w.ListDeployments, "ApplicationNameRequired", sdk.ListDeploymentsInput{DeploymentGroupName: name})
		refused(w, w.ListDeployments, "InvalidDeploymentStatus", sdk.ListDeploymentsInput{IncludeOnlyStatuses: []types.DeploymentStatus{"Fine"}})
		refused(w, w.ListDeployments, "InvalidNextToken", sdk.ListDeploymentsInput{NextToken: aws.String("")})
		refused(w, w.BatchGetDeployments, "BatchLimitExceeded", sdk.BatchGetDeploymentsInput{DeploymentIds: make([]string, 101)})
		put := sdk.PutLifecycleEventHookExecutionStatusInput{DeploymentId: &done, LifecycleEventHookExecutionId: aws.String("x"), Status: types.LifecycleEventStatusSucceeded}
		refused(w, w.PutLifecycleEventHookExecutionStatus, "InvalidLifecycleEventHookExecutionId", put)
		put.Status = types.LifecycleEventStatusPending
		refused(w, w.PutLifecycleEventHookExecutionStatus, "InvalidLifecycleEventHookExecutionStatus", put)
		refused(w, w.ListTagsForResource, "InvalidArn", sdk.ListTagsForResourceInput{ResourceArn: aws.String("arn:aws:s3:::b")})
		refused(w, w.ListTagsForResource, "ArnNotSupported", sdk.ListTagsForResourceInput{ResourceArn: aws.String("arn:aws:codedeploy:us-east-1:000000000000:instance:i")})
	})
}

func refused[In, Out any](w *world, method func(context.Context, *In, ...func(*sdk.Options)) (*Out, error), exception string, in In) {
	w.t.Helper()
	if _, err := method(w.ctx, &in); !is(err, exception+"Exception") {
		w.t.Errorf("%s: %v, want %s", strings.TrimPrefix(reflect.TypeFor[In]().Name(), "codedeploy."), err, exception)
	}
}

// Renaming and deleting leave nothing behind and lose no deployment.
func TestRename(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.group("CodeDeployDefault.LambdaCanary10Percent5Minutes", nil)
		id := w.deploy(spec("1", "2"))
		w.eventually("the first step", func() bool { return w.routing() == "1+2@0.1" })
		_, err := w.UpdateApplication(w.ctx, &sdk.UpdateApplicationInput{ApplicationName: aws.String("app"), NewApplicationName: aws.String("shop")})
		must(t, 0, err)
		_, err = w.UpdateDeploymentGroup(w.ctx, &sdk.UpdateDeploymentGroupInput{
			ApplicationName: aws.String("shop"), CurrentDeploymentGroupName: aws.String("group"), NewDeploymentGroupName: aws.String("live"),
		})
		must(t, 0, err)
		info := w.ended(id)
		if *info.ApplicationName != "shop" || *info.DeploymentGroupName != "live" || info.Status != types.DeploymentStatusSucceeded {
			t.Errorf("%+v", info)
		}
		groups, err := w.ListDeploymentGroups(w.ctx, &sdk.ListDeploymentGroupsInput{ApplicationName: aws.String("shop")})
		if must(t, groups, err); !slices.Equal(groups.DeploymentGroups, []string{"live"}) {
			t.Errorf("groups %v", groups.DeploymentGroups)
		}
		revisions, err := w.ListApplicationRevisions(w.ctx, &sdk.ListApplicationRevisionsInput{ApplicationName: aws.String("shop")})
		if must(t, revisions, err); len(revisions.Revisions) != 1 {
			t.Errorf("%d revisions", len(revisions.Revisions))
		}
		found, err := w.GetApplicationRevision(w.ctx, &sdk.GetApplicationRevisionInput{ApplicationName: aws.String("shop"), Revision: spec("1", "2")})
		if must(t, found, err); !slices.Equal(found.RevisionInfo.DeploymentGroups, []string{"group"}) {
			t.Errorf("revision %+v", found.RevisionInfo)
		}
		for range 2 { // the second time nothing is there
			_, err = w.DeleteApplication(w.ctx, &sdk.DeleteApplicationInput{ApplicationName: aws.String("shop")})
			must(t, 0, err)
		}
		apps, err := w.ListApplications(w.ctx, &sdk.ListApplicationsInput{})
		if must(t, apps, err); len(apps.Applications) != 0 {
			t.Errorf("applications %v", apps.Applications)
		}
		if got := w.get(id).Status; got != types.DeploymentStatusSucceeded {
			t.Errorf("the deployment is %s", got)
		}
	})
}

func TestTags(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.group("CodeDeployDefault.LambdaAllAtOnce", nil)
		for _, arn := range []string{"arn:aws:codedeploy:us-east-1:000000000000:application:app", "arn:aws:codedeploy:us-east-1:000000000000:deploymentgroup:app/group"} {
			_, err := w.TagResource(w.ctx, &sdk.TagResourceInput{ResourceArn: &arn, Tags: []types.Tag{{Key: aws.String("b"), Value: aws.String("2")}, {Key: aws.String("a")}}})
			must(t, 0, err)
			_, err = w.UntagResource(w.ctx, &sdk.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"a"}})
			must(t, 0, err)
			out, err := w.ListTagsForResource(w.ctx, &sdk.ListTagsForResourceInput{ResourceArn: &arn})
			if must(t, out, err); len(out.Tags) != 1 || *out.Tags[0].Key != "b" || *out.Tags[0].Value != "2" {
				t.Errorf("%s: %+v", arn, out.Tags)
			}
		}
	})
}

// Predefined configurations are those of AWS for functions, and two whose pace is evidence.
func TestPredefinedConfigs(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		out, err := w.ListDeploymentConfigs(w.ctx, &sdk.ListDeploymentConfigsInput{})
		must(t, out, err)
		for _, name := range []string{"CodeDeployDefault.LambdaAllAtOnce", "CodeDeployDefault.LambdaLinear10PercentEvery1Minute", "CodeDeployDefault.LambdaCanary10Percent30Minutes", "Serin.Evidence", "Serin.EvidenceOrRollback"} {
			if !slices.Contains(out.DeploymentConfigsList, name) {
				t.Errorf("no %s in %v", name, out.DeploymentConfigsList)
			}
		}
		info, err := w.GetDeploymentConfig(w.ctx, &sdk.GetDeploymentConfigInput{DeploymentConfigName: aws.String("CodeDeployDefault.LambdaLinear10PercentEvery3Minutes")})
		must(t, info, err)
		if r := info.DeploymentConfigInfo.TrafficRoutingConfig; r.Type != types.TrafficRoutingTypeTimeBasedLinear || *r.TimeBasedLinear != (types.TimeBasedLinear{LinearInterval: 3, LinearPercentage: 10}) {
			t.Errorf("%+v", r)
		}
		// Without traffic there is no evidence: one waits, the other goes back.
		w.group("Serin.EvidenceOrRollback", allRollbacks)
		ended := w.ended(w.deploy(spec("1", "2")))
		if ended.Status != types.DeploymentStatusFailed || ended.ErrorInformation.Code != types.ErrorCodeHealthConstraints || w.routing() != "1" {
			t.Errorf("%s %+v", ended.Status, ended.ErrorInformation)
		}
	})
}
