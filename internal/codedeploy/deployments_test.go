package codedeploy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/metrics"
)

func is(err error, exception string) bool {
	e, ok := errors.AsType[*serin.Error](err)
	return ok && e.Reason == exception
}

// lifecycle is what the events of a deployment say, in short.
func lifecycle(target *types.LambdaTarget) string {
	var all []string
	for _, e := range target.LifecycleEvents {
		all = append(all, *e.LifecycleEventName+" "+string(e.Status))
	}
	return strings.Join(all, ", ")
}

// The traffic moves as the configuration says, and the events and weights tell so.
func TestTraffic(t *testing.T) {
	for config, want := range map[string]struct {
		moves []string
		took  time.Duration
	}{
		"CodeDeployDefault.LambdaAllAtOnce":                   {[]string{"2"}, 0},
		"CodeDeployDefault.LambdaCanary10Percent15Minutes":    {[]string{"1+2@0.1", "2"}, 15 * time.Minute},
		"CodeDeployDefault.LambdaLinear10PercentEvery1Minute": {[]string{"1+2@0.1", "1+2@0.2", "1+2@0.3", "1+2@0.4", "1+2@0.5", "1+2@0.6", "1+2@0.7", "1+2@0.8", "1+2@0.9", "2"}, 9 * time.Minute},
		"mine": {[]string{"1+2@0.3", "1+2@0.6", "1+2@0.9", "2"}, 21 * time.Minute},
	} {
		t.Run(config, func(t *testing.T) {
			inBubble(t, func(w *world) {
				t := w.t // of the bubble
				_, err := w.CreateDeploymentConfig(w.ctx, &sdk.CreateDeploymentConfigInput{
					DeploymentConfigName: aws.String("mine"), ComputePlatform: types.ComputePlatformLambda,
					TrafficRoutingConfig: &types.TrafficRoutingConfig{
						Type: types.TrafficRoutingTypeTimeBasedLinear, TimeBasedLinear: &types.TimeBasedLinear{LinearPercentage: 30, LinearInterval: 7},
					},
				})
				must(t, 0, err)
				w.group(config, nil)
				id := w.deploy(spec("1", "2"))
				if want.took > 0 {
					w.eventually("the first step", func() bool { return w.routing() == want.moves[0] })
					time.Sleep(time.Second)
					target := w.target(id)
					if weight := target.LambdaFunctionInfo.TargetVersionWeight; fmt.Sprintf("1+2@%v", weight/100) != want.moves[0] {
						t.Errorf("weight %v at %s", weight, want.moves[0])
					}
					if got := lifecycle(target); got != "Start Succeeded, BeforeAllowTraffic Succeeded, AllowTraffic InProgress, AfterAllowTraffic Pending, End Pending" {
						t.Error(got)
					}
					if info := w.get(id); info.Status != types.DeploymentStatusInProgress || info.DeploymentOverview.InProgress != 1 {
						t.Errorf("%+v", info)
					}
				}
				info := w.ended(id)
				if info.Status != types.DeploymentStatusSucceeded || info.Creator != types.DeploymentCreatorUser || info.ErrorInformation != nil || *info.Description != "spring" {
					t.Errorf("%+v", info)
				}
				if took := info.CompleteTime.Sub(*info.StartTime); took < want.took || took > want.took+30*time.Second {
					t.Errorf("took %s, want %s", took, want.took)
				}
				if d := cmp.Diff(append([]string{"1"}, want.moves...), w.aliases.moves); d != "" {
					t.Error(d)
				}
				target := w.target(id)
				if got := lifecycle(target); got != "Start Succeeded, BeforeAllowTraffic Succeeded, AllowTraffic Succeeded, AfterAllowTraffic Succeeded, End Succeeded" {
					t.Error(got)
				}
				if target.Status != types.TargetStatusSucceeded || target.LambdaFunctionInfo.TargetVersionWeight != 100 ||
					*target.TargetArn != "arn:aws:lambda:us-east-1:000000000000:function:shop:live" {
					t.Errorf("%+v", target)
				}
				r, err := w.releases.Get(w.ctx, id)
				if err != nil || r.Actor != "ana by CodeDeploy" || r.Message != "CodeDeploy: deployment of app, group: spring" {
					t.Errorf("the release does not say where it comes from: %+v, %v", r, err)
				}
				g, err := w.GetDeploymentGroup(w.ctx, &sdk.GetDeploymentGroupInput{ApplicationName: aws.String("app"), DeploymentGroupName: aws.String("group")})
				must(t, 0, err)
				if last := g.DeploymentGroupInfo.LastSuccessfulDeployment; last == nil || *last.DeploymentId != id {
					t.Errorf("last successful deployment %+v", last)
				}
			})
		})
	}
}

// Hooks get AWS's event, and the traffic waits for what they report: no report within an hour, and a failure, fail the
// deployment. The alias is where it was, and the rollback is on record.
func TestHooks(t *testing.T) {
	const (
		none   = ""
		failed = "HOOK_EXECUTION_FAILURE"
	)
	for name, c := range map[string]struct {
		hooks  []string
		report map[string]types.LifecycleEventStatus
		code   string
		events string
		moves  []string
	}{
		"both succeed": {
			[]string{"pre", "post"},
			map[string]types.LifecycleEventStatus{"pre": "Succeeded", "post": "Succeeded"},
			none,
			"Start Succeeded, BeforeAllowTraffic Succeeded, AllowTraffic Succeeded, AfterAllowTraffic Succeeded, End Succeeded",
			[]string{"1", "1+2@1", "2"},
		},
		"the first fails": {
			[]string{"arn:aws:lambda:us-east-1:000000000000:function:pre", "post"},
			map[string]types.LifecycleEventStatus{"pre": "Failed"},
			failed,
			"Start Succeeded, BeforeAllowTraffic Failed, AllowTraffic Skipped, AfterAllowTraffic Skipped, End Skipped",
			[]string{"1"},
		},
		"the second fails": {
			[]string{"", "post"},
			map[string]types.LifecycleEventStatus{"post": "Failed"},
			failed,
			"Start Succeeded, BeforeAllowTraffic Succeeded, AllowTraffic Succeeded, AfterAllowTraffic Failed, End Skipped",
			[]string{"1", "1+2@1", "1"},
		},
		"the first says nothing": {
			[]string{"pre"},
			nil, "TIMEOUT",
			"Start Succeeded, BeforeAllowTraffic Failed, AllowTraffic Skipped, AfterAllowTraffic Skipped, End Skipped",
			[]string{"1"},
		},
		"the first is not there": {
			[]string{"missing"},
			nil, failed,
			"Start Succeeded, BeforeAllowTraffic Failed, AllowTraffic Skipped, AfterAllowTraffic Skipped, End Skipped",
			[]string{"1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				t := w.t // of the bubble
				if c.report != nil {
					w.report = func(e hookEvent) types.LifecycleEventStatus { return c.report[e.function] }
				}
				w.group("CodeDeployDefault.LambdaAllAtOnce", allRollbacks)
				id := w.deploy(spec("1", "2", c.hooks...))
				info := w.ended(id)
				code := none
				if info.ErrorInformation != nil {
					code = string(info.ErrorInformation.Code)
				}
				if code != c.code || (info.Status == types.DeploymentStatusSucceeded) != (c.code == none) {
					t.Errorf("%s %s: %+v", info.Status, code, info.ErrorInformation)
				}
				if got := lifecycle(w.target(id)); got != c.events {
					t.Error(got)
				}
				if d := cmp.Diff(c.moves, w.aliases.moves); d != "" {
					t.Error(d)
				}
				for _, e := range w.received() {
					if e.DeploymentID != id || e.ExecutionID == "" {
						t.Errorf("event %+v", e)
					}
					if _, err := w.put(e, types.LifecycleEventStatusSucceeded); !is(err, "LifecycleEventAlreadyCompletedException") {
						t.Errorf("a late report: %v", err)
					}
				}
				if c.code == none {
					return
				}
				if took := info.CompleteTime.Sub(*info.StartTime); c.code == "TIMEOUT" && (took < time.Hour || took > time.Hour+time.Minute) {
					t.Errorf("waited %s", took)
				}
				checkRollback(w, info)
			})
		})
	}
}

func checkRollback(w *world, info *types.DeploymentInfo) {
	w.t.Helper()
	if info.RollbackInfo == nil || info.RollbackInfo.RollbackDeploymentId == nil {
		w.t.Fatalf("no rollback: %+v", info)
	}
	back := w.get(*info.RollbackInfo.RollbackDeploymentId)
	if back.Creator != types.DeploymentCreatorCodeDeployRollback || *back.RollbackInfo.RollbackTriggeringDeploymentId != *info.DeploymentId ||
		back.Status != types.DeploymentStatusSucceeded {
		w.t.Errorf("%+v", back)
	}
	f := w.target(*back.DeploymentId).LambdaFunctionInfo
	if *f.CurrentVersion != "2" || *f.TargetVersion != "1" || f.TargetVersionWeight != 100 || w.routing() != "1" {
		w.t.Errorf("%+v; alias %s", f, w.routing())
	}
}

// A stop with a rollback puts the alias back; without one it stays split, and the next deployment fails until somebody
// clears it.
func TestStop(t *testing.T) {
	for name, c := range map[string]struct {
		group    *types.AutoRollbackConfiguration
		rollback *bool
		want     string
	}{
		"with rollback":                    {nil, aws.Bool(true), "1"},
		"without":                          {nil, nil, "1+2@0.1"},
		"as the group says":                {allRollbacks, nil, "1"},
		"not as the group says":            {allRollbacks, aws.Bool(false), "1+2@0.1"},
		"the group says it for other ends": {&types.AutoRollbackConfiguration{Enabled: true, Events: []types.AutoRollbackEvent{"DEPLOYMENT_FAILURE"}}, nil, "1+2@0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				t := w.t // of the bubble
				w.group("CodeDeployDefault.LambdaCanary10Percent5Minutes", c.group)
				id := w.deploy(spec("1", "2"))
				w.eventually("the first step", func() bool { return w.routing() == "1+2@0.1" })
				if _, err := w.CreateDeployment(w.ctx, &sdk.CreateDeploymentInput{
					ApplicationName: aws.String("app"), DeploymentGroupName: aws.String("group"), Revision: spec("1", "3"),
				}); !is(err, "DeploymentLimitExceededException") || !strings.Contains(err.Error(), id) {
					t.Errorf("a second deployment: %v", err)
				}
				out, err := w.StopDeployment(w.ctx, &sdk.StopDeploymentInput{DeploymentId: &id, AutoRollbackEnabled: c.rollback})
				if err != nil || out.Status != types.StopStatusPending {
					t.Fatalf("%+v, %v", out, err)
				}
				info := w.ended(id)
				if info.Status != types.DeploymentStatusStopped || info.ErrorInformation.Code != types.ErrorCodeManualStop || w.routing() != c.want {
					t.Errorf("%s %+v; alias %s, want %s", info.Status, info.ErrorInformation, w.routing(), c.want)
				}
				if _, err := w.StopDeployment(w.ctx, &sdk.StopDeploymentInput{DeploymentId: &id}); !is(err, "DeploymentAlreadyCompletedException") {
					t.Errorf("a second stop: %v", err)
				}
				if c.want == "1" {
					checkRollback(w, info)
					return
				}
				next := w.ended(w.deploy(spec("1", "3")))
				if next.Status != types.DeploymentStatusFailed || next.ErrorInformation.Code != types.ErrorCodeInvalidLambdaConfiguration {
					t.Errorf("the next deployment: %s %+v", next.Status, next.ErrorInformation)
				}
				w.live(serin.Routing{Version: 1})
				if next := w.ended(w.deploy(spec("1", "3"))); next.Status != types.DeploymentStatusSucceeded {
					t.Errorf("after it was cleared: %s %+v", next.Status, next.ErrorInformation)
				}
			})
		})
	}
}

// What an AppSpec file says is compared with the alias; a deployment that does not fit fails, and changes nothing.
func TestUnfitAppSpec(t *testing.T) {
	mismatch := "The Lambda function alias version does not match the current version in AppSpec file."
	for name, c := range map[string]struct {
		current, target string
		want            string
	}{
		"another current version": {"2", "3", mismatch},
		"the same version":        {"1", "1", "the same"},
		"no such version":         {"1", "9", "Function not found"},
		"$LATEST":                 {"1", "$LATEST", "numbers of published versions"},
		"an alias":                {"1", "live", "numbers of published versions"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				t := w.t // of the bubble
				w.group("CodeDeployDefault.LambdaAllAtOnce", allRollbacks)
				id := w.deploy(spec(c.current, c.target))
				info := w.ended(id)
				e := info.ErrorInformation
				if info.Status != types.DeploymentStatusFailed || e.Code != types.ErrorCodeInvalidLambdaConfiguration ||
					!strings.HasPrefix(*e.Message, "The deployment failed because the AppSpec file") || !strings.Contains(*e.Message, c.want) {
					t.Errorf("%s %s %s", info.Status, e.Code, *e.Message)
				}
				if w.routing() != "1" || info.RollbackInfo != nil {
					t.Errorf("alias %s, rollback %+v", w.routing(), info.RollbackInfo)
				}
				if got := lifecycle(w.target(id)); !strings.HasPrefix(got, "Start Failed, BeforeAllowTraffic Skipped") {
					t.Error(got)
				}
			})
		})
	}
}

// A version that fails more than the one it replaces is rolled back long before the configuration's time is over.
func TestWorseVersionIsRolledBack(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.group("CodeDeployDefault.LambdaCanary10Percent30Minutes", allRollbacks)
		ctx, stop := context.WithCancel(w.ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; ctx.Err() == nil; i++ {
				time.Sleep(10 * time.Millisecond)
				_, a, _ := w.aliases.Alias("shop", "live")
				v, o := a.Routing.Version, serin.OutcomeOK
				if a.Routing.Weighted() && i%10 == 0 {
					v, o = a.Routing.Additional, serin.OutcomeFunctionError
				}
				w.recorder.Record(metrics.Sample{Function: "shop", Alias: "live", Routing: a.Routing, Version: v, Outcome: o, Duration: time.Millisecond})
			}
		}()
		info := w.ended(w.deploy(spec("1", "2")))
		stop()
		<-done
		if info.Status != types.DeploymentStatusFailed || info.ErrorInformation.Code != types.ErrorCodeHealthConstraints ||
			!strings.Contains(*info.ErrorInformation.Message, "version 2 fails more than version 1") {
			t.Errorf("%s %+v", info.Status, info.ErrorInformation)
		}
		if took := info.CompleteTime.Sub(*info.StartTime); took > time.Minute {
			t.Errorf("took %s", took)
		}
		checkRollback(w, info)
	})
}

// Somebody else changes the alias: the deployment fails, and touches nothing more.
func TestForeignChange(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.group("CodeDeployDefault.LambdaCanary10Percent5Minutes", allRollbacks)
		id := w.deploy(spec("1", "2"))
		w.eventually("the first step", func() bool { return w.routing() == "1+2@0.1" })
		w.live(serin.Routing{Version: 3})
		info := w.ended(id)
		if info.Status != types.DeploymentStatusFailed || info.ErrorInformation.Code != types.ErrorCodeInvalidLambdaConfiguration ||
			info.RollbackInfo != nil || w.routing() != "3" {
			t.Errorf("%s %+v, alias %s", info.Status, info.ErrorInformation, w.routing())
		}
	})
}

// Lists are paged, the newest first, and filtered.
func TestListDeployments(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.group("CodeDeployDefault.LambdaAllAtOnce", nil)
		var want []string
		for i := range 230 {
			from, to := "1", "2"
			if i%2 == 1 {
				from, to = "2", "1"
			}
			id := w.deploy(spec(from, to))
			w.ended(id)
			want = append([]string{id}, want...)
			time.Sleep(time.Second)
		}
		in := &sdk.ListDeploymentsInput{ApplicationName: aws.String("app"), DeploymentGroupName: aws.String("group")}
		var got []string
		for {
			out, err := w.ListDeployments(w.ctx, in)
			must(t, 0, err)
			got = append(got, out.Deployments...)
			if in.NextToken = out.NextToken; in.NextToken == nil {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d deployments, want %d in their order", len(got), len(want))
		}
		for status, n := range map[types.DeploymentStatus]int{types.DeploymentStatusFailed: 0, types.DeploymentStatusSucceeded: 100} {
			out, err := w.ListDeployments(w.ctx, &sdk.ListDeploymentsInput{IncludeOnlyStatuses: []types.DeploymentStatus{status}})
			if err != nil || len(out.Deployments) != n {
				t.Errorf("%s: %d, %v", status, len(out.Deployments), err)
			}
		}
	})
}
