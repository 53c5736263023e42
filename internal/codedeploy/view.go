package codedeploy

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"serin"
)

// Lifecycle events of a deployment, in their order.
const (
	eventStart  = "Start"
	eventBefore = "BeforeAllowTraffic"
	eventAllow  = "AllowTraffic"
	eventAfter  = "AfterAllowTraffic"
	eventEnd    = "End"
)

// statusOf is the status of a deployment whose release, if it has one, is r.
func statusOf(d *record[deployment], r *serin.Release) types.DeploymentStatus {
	switch {
	case d.value.End != nil:
		return d.value.End.Status
	case r == nil:
		return types.DeploymentStatusCreated
	default: // also if the release has ended: that is not on record yet
		return types.DeploymentStatusInProgress
	}
}

// viewOf is a deployment as callers read it.
func viewOf(d *record[deployment], r *serin.Release) *types.DeploymentInfo {
	v := &d.value
	info := &types.DeploymentInfo{
		ApplicationName: &v.Application, DeploymentGroupName: &v.Group, DeploymentConfigName: &v.Config, DeploymentId: &d.Name,
		PreviousRevision: v.Previous, Revision: &v.Revision, Status: statusOf(d, r), CreateTime: &v.Created, Description: v.Description,
		Creator: v.Origin.Creator, AutoRollbackConfiguration: v.AutoRollback, DeploymentStyle: lambdaStyle(),
		ComputePlatform: types.ComputePlatformLambda, OverrideAlarmConfiguration: v.Override, DeploymentOverview: &types.DeploymentOverview{},
	}
	if v.Origin.ExternalID != "" {
		info.ExternalId = &v.Origin.ExternalID
	}
	if r != nil {
		info.StartTime = &r.StartedAt
	} else if v.RollbackOf != "" {
		info.StartTime = &v.Created
	}
	if v.End != nil {
		info.CompleteTime = &v.End.At
		if v.End.Code != "" {
			info.ErrorInformation = &types.ErrorInformation{Code: v.End.Code, Message: &v.End.Message}
		}
	}
	switch {
	case v.RollbackOf != "":
		info.RollbackInfo = &types.RollbackInfo{RollbackTriggeringDeploymentId: &v.RollbackOf, RollbackMessage: v.Description}
	case v.RolledBackBy != "":
		info.RollbackInfo = &types.RollbackInfo{
			RollbackDeploymentId: &v.RolledBackBy, RollbackMessage: aws.String("Deployment " + d.Name + " was rolled back by deployment " + v.RolledBackBy + "."),
		}
	}
	count(info.DeploymentOverview, targetStatus(d, r))
	return info
}

func count(o *types.DeploymentOverview, status types.TargetStatus) {
	switch status {
	case types.TargetStatusSucceeded:
		o.Succeeded = 1
	case types.TargetStatusFailed:
		o.Failed = 1
	case types.TargetStatusSkipped:
		o.Skipped = 1
	case types.TargetStatusInProgress:
		o.InProgress = 1
	default:
		o.Pending = 1
	}
}

func targetStatus(d *record[deployment], r *serin.Release) types.TargetStatus {
	switch statusOf(d, r) {
	case types.DeploymentStatusSucceeded:
		return types.TargetStatusSucceeded
	case types.DeploymentStatusFailed:
		return types.TargetStatusFailed
	case types.DeploymentStatusStopped:
		return types.TargetStatusSkipped
	case types.DeploymentStatusInProgress:
		return types.TargetStatusInProgress
	default:
		return types.TargetStatusPending
	}
}

func targetID(d *deployment) string { return d.Spec.Function + ":" + d.Spec.Alias }

// targetOf is the one target of a deployment.
func targetOf(place serin.Place, d *record[deployment], r *serin.Release) types.DeploymentTarget {
	v, weight, updated := &d.value, 0.0, d.value.Created
	if r != nil {
		weight = 100 * r.Applied.Share(r.Canary)
		if n := len(r.Log); n > 0 {
			updated = r.Log[n-1].At
		}
	}
	if v.End != nil {
		updated = v.End.At
		if v.RollbackOf != "" {
			weight = 100
		}
	}
	function := v.Spec.Function
	if ref, err := place.ParseRef(function, ""); err == nil {
		function = ref.Function
	}
	return types.DeploymentTarget{
		DeploymentTargetType: types.DeploymentTargetTypeLambdaTarget,
		LambdaTarget: &types.LambdaTarget{
			DeploymentId: &d.Name, TargetId: aws.String(targetID(v)), TargetArn: aws.String(place.FunctionARN(function, v.Spec.Alias)),
			Status: targetStatus(d, r), LastUpdatedAt: &updated, LifecycleEvents: lifecycle(d, r),
			LambdaFunctionInfo: &types.LambdaFunctionInfo{
				FunctionName: &v.Spec.Function, FunctionAlias: &v.Spec.Alias, CurrentVersion: &v.Spec.Current,
				TargetVersion: &v.Spec.Target, TargetVersionWeight: weight,
			},
		},
	}
}

// lifecycle returns the events of a deployment.
func lifecycle(d *record[deployment], r *serin.Release) []types.LifecycleEvent {
	v := &d.value
	if r == nil {
		return unreleased(v)
	}
	start := event(eventStart, types.LifecycleEventStatusSucceeded, r.StartedAt, r.StartedAt)
	began := r.StartedAt
	before := hookEvent(eventBefore, r.CheckRuns(serin.BeforeTraffic), v.Spec.Before, r.Phase != serin.PhaseChecking, began)
	if before.EndTime != nil {
		began = *before.EndTime
	}
	allow := allowTraffic(r, began)
	passed := allow.Status == types.LifecycleEventStatusSucceeded
	ended := began
	if allow.EndTime != nil {
		ended = *allow.EndTime
	}
	after := hookEvent(eventAfter, r.CheckRuns(serin.AfterTraffic), v.Spec.After, passed && !r.Active(), ended)
	last := types.LifecycleEvent{LifecycleEventName: aws.String(eventEnd), Status: types.LifecycleEventStatusPending}
	if v.End != nil {
		last = event(eventEnd, types.LifecycleEventStatusSucceeded, v.End.At, v.End.At)
		if v.End.Status != types.DeploymentStatusSucceeded {
			last.Status = types.LifecycleEventStatusSkipped
		}
	}
	events := []types.LifecycleEvent{start, before, allow, after, last}
	if v.End != nil {
		for i := range events { // what has not begun by now will not
			if events[i].Status == types.LifecycleEventStatusPending {
				events[i].Status = types.LifecycleEventStatusSkipped
			}
		}
	}
	return events
}

// unreleased returns the events of a deployment without a release: one that has not begun, that could not begin, or the
// record of a rollback.
func unreleased(d *deployment) []types.LifecycleEvent {
	status := types.LifecycleEventStatusPending
	switch {
	case d.End != nil && d.End.Status == types.DeploymentStatusSucceeded:
		status = types.LifecycleEventStatusSucceeded
	case d.End != nil:
		status = types.LifecycleEventStatusSkipped
	}
	var events []types.LifecycleEvent
	for _, name := range []string{eventStart, eventBefore, eventAllow, eventAfter, eventEnd} {
		e := types.LifecycleEvent{LifecycleEventName: &name, Status: status}
		if status == types.LifecycleEventStatusSucceeded {
			e = event(name, status, d.Created, d.End.At)
		}
		events = append(events, e)
	}
	if d.End != nil && d.End.Status == types.DeploymentStatusFailed {
		events[0] = event(eventStart, types.LifecycleEventStatusFailed, d.Created, d.End.At)
		events[0].Diagnostics = &types.Diagnostics{ErrorCode: types.LifecycleErrorCodeUnknownError, Message: &d.End.Message}
	}
	return events
}

func event(name string, status types.LifecycleEventStatus, from, to time.Time) types.LifecycleEvent {
	return types.LifecycleEvent{LifecycleEventName: &name, Status: status, StartTime: &from, EndTime: &to}
}

// hookEvent is the event of a hook. Without a hook it has succeeded when its time has passed.
func hookEvent(name string, runs []serin.CheckRun, function string, passed bool, at time.Time) types.LifecycleEvent {
	switch {
	case function == "" && passed:
		return event(name, types.LifecycleEventStatusSucceeded, at, at)
	case len(runs) == 0:
		return types.LifecycleEvent{LifecycleEventName: &name, Status: types.LifecycleEventStatusPending}
	}
	run := runs[0]
	e := types.LifecycleEvent{LifecycleEventName: &name, Status: types.LifecycleEventStatusInProgress, StartTime: &run.StartedAt}
	if run.EndedAt.IsZero() {
		return e
	}
	e.Status, e.EndTime = types.LifecycleEventStatusSucceeded, &run.EndedAt
	e.Diagnostics = &types.Diagnostics{ErrorCode: types.LifecycleErrorCodeSuccess, ScriptName: &function, Message: aws.String("")}
	if run.Failed() {
		e.Status, e.Diagnostics.Message, e.Diagnostics.ErrorCode = types.LifecycleEventStatusFailed, &run.Detail, types.LifecycleErrorCodeScriptFailed
		if late(run) {
			e.Diagnostics.ErrorCode = types.LifecycleErrorCodeScriptTimedOut
		}
	}
	return e
}

// late reports whether a hook did not report in time.
func late(run serin.CheckRun) bool { return run.Failed() && run.EndedAt.Sub(run.StartedAt) >= hookTime }

// allowTraffic is the event of the traffic's moving.
func allowTraffic(r *serin.Release, began time.Time) types.LifecycleEvent {
	name := eventAllow
	e := types.LifecycleEvent{LifecycleEventName: &name, Status: types.LifecycleEventStatusInProgress, StartTime: &began}
	promoted := slices.IndexFunc(r.Log, func(e serin.ReleaseEvent) bool { return e.Type == serin.ReleasePromoted })
	switch {
	case promoted >= 0:
		e.Status, e.EndTime = types.LifecycleEventStatusSucceeded, &r.Log[promoted].At
	case r.Phase == serin.PhaseChecking, r.Ending == serin.EndingRefused, !r.Active() && len(r.Steps) == 0:
		return types.LifecycleEvent{LifecycleEventName: &name, Status: types.LifecycleEventStatusPending}
	case !r.Active():
		e.Status, e.EndTime = types.LifecycleEventStatusFailed, &r.EndedAt
		e.Diagnostics = &types.Diagnostics{ErrorCode: types.LifecycleErrorCodeUnknownError, Message: &r.Reason}
	}
	return e
}

// outcome says how a deployment ends whose release has, on which event it may be rolled back, and whether the alias is
// where it was before.
func outcome(r *serin.Release) (e end, on types.AutoRollbackEvent, back bool) {
	e, on = end{Status: types.DeploymentStatusFailed, At: r.EndedAt, Message: r.Reason}, types.AutoRollbackEventDeploymentFailure
	failed := slices.IndexFunc(r.Checks, serin.CheckRun.Failed)
	switch r.Ending {
	case serin.EndingPromoted:
		return end{Status: types.DeploymentStatusSucceeded, At: r.EndedAt}, "", false
	case serin.EndingAborted, serin.EndingLeft:
		e.Status, e.Code, on, back = types.DeploymentStatusStopped, types.ErrorCodeManualStop, types.AutoRollbackEventDeploymentStopOnRequest, r.Ending == serin.EndingAborted
		switch r.EndedBy {
		case overtime:
			e.Status, e.Code, on = types.DeploymentStatusFailed, types.ErrorCodeTimeout, types.AutoRollbackEventDeploymentFailure
		case alarmed:
			e.Code, on = types.ErrorCodeAlarmActive, types.AutoRollbackEventDeploymentStopOnAlarm
		}
	case serin.EndingRefused, serin.EndingRolledBack:
		e.Code, back = types.ErrorCodeHealthConstraints, true
		if failed >= 0 {
			e.Code = types.ErrorCodeHookExecutionFailure
			if late(r.Checks[failed]) {
				e.Code = types.ErrorCodeTimeout
			}
		}
	case serin.EndingConflict:
		e.Code, e.Message = types.ErrorCodeInvalidLambdaConfiguration, badConfiguration("While the deployment ran, "+r.Reason+".")
	default:
		e.Code = types.ErrorCodeInternalError
	}
	e.Message = cmp.Or(e.Message, string(e.Code))
	return e, on, back
}

// badConfiguration is AWS's text for a deployment that its AppSpec file does not allow.
func badConfiguration(why string) string {
	return fmt.Sprintf("The deployment failed because the AppSpec file that specifies the AWS Lambda deployment configuration is missing or has an invalid configuration. %s", why)
}
