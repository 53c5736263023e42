package codedeploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"serin"
	"serin/internal/release"
	"serin/internal/store"
)

const (
	waitMost = 5 * time.Second        // how long a wait for a release may last
	pause    = 100 * time.Millisecond // between two looks at a release that nobody drives yet
	maxWhy   = 500                    // bytes of the reason of an instruction
	retry    = time.Second            // after a failure of the server

	// deploymentTime is how long a deployment may take; overtime is who ends one that takes longer.
	deploymentTime = 50 * time.Hour
	overtime       = "CodeDeploy's time limit"
)

// Run drives the deployments that have not ended, and those that are created later, until the context ends.
func (s *Service) Run(ctx context.Context) error {
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	deployments, err := all[deployment](ctx, s, kindDeployment, "")
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("read deployments: %w", err)
	}
	for _, d := range deployments {
		if d.value.End == nil {
			s.drive(d.Name)
		}
	}
	<-ctx.Done()
	s.wg.Wait()
	return nil
}

// drive starts a goroutine for a deployment, unless it has one.
func (s *Service) drive(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil || s.ctx.Err() != nil || s.driven[id] {
		return // the next Run drives it
	}
	s.driven[id] = true
	ctx := s.ctx
	s.wg.Go(func() {
		for ctx.Err() == nil {
			wait, ended, err := s.step(ctx, id)
			if err != nil && ctx.Err() == nil {
				s.Log.ErrorContext(ctx, "deployment cannot go on yet", "deployment", id, "error", err)
				wait = retry
			}
			if ended {
				break
			}
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.driven, id)
	})
}

// effect logs that a deployment is about to have an effect, and returns what logs that it has had it.
func (s *Service) effect(id, what string) (done func()) {
	s.Log.Debug("effect begins", "what", what, "deployment", id)
	return func() { s.Log.Debug("effect ends", "what", what, "deployment", id) }
}

// step looks at a deployment and its release, and does the one thing that is due.
func (s *Service) step(ctx context.Context, id string) (wait time.Duration, ended bool, err error) {
	d, r, err := s.seen(ctx, &id)
	switch {
	case err != nil:
		return 0, reasonOf(err) != "", err
	case d.value.End != nil:
		return 0, true, nil
	case r == nil && d.value.Stop != nil:
		return 0, true, s.finish(ctx, id, end{
			Status: types.DeploymentStatusStopped, At: s.now(), Code: types.ErrorCodeManualStop, Message: "stopped by " + d.value.Stop.By + " before it began",
		}, "", false)
	case r == nil:
		if why := s.veto(ctx, d.value.Alarms); why != "" {
			return 0, true, s.finish(ctx, id, end{Status: types.DeploymentStatusStopped, At: s.now(), Code: types.ErrorCodeAlarmActive, Message: why}, "", false)
		}
		return s.begin(ctx, d)
	case !r.Active():
		e, on, back := outcome(r)
		return 0, true, s.finish(ctx, id, e, on, back)
	case d.value.Stop != nil:
		err = s.instruct(ctx, id, d.value.Stop)
	case s.vetoed(ctx, d, &err):
	case !s.now().Before(d.value.Created.Add(deploymentTime)):
		err = s.instruct(ctx, id, &stop{Rollback: true, By: overtime})
	}
	if err != nil {
		return 0, false, err
	}
	bounded, cancel := context.WithTimeout(ctx, waitMost)
	defer cancel()
	later, err := s.Releases.Wait(bounded, id, r.Version)
	if err != nil || later.Version > r.Version {
		return 0, false, err
	}
	return pause, false, nil
}

// vetoed ends the release of a deployment that an alarm stops.
func (s *Service) vetoed(ctx context.Context, d *record[deployment], err *error) bool {
	why := s.veto(ctx, d.value.Alarms)
	if why != "" {
		*err = s.instruct(ctx, d.Name, &stop{Rollback: true, By: alarmed, Why: why})
	}
	return why != ""
}

// begin starts the release of a deployment. What the AppSpec file does not allow fails the deployment.
func (s *Service) begin(ctx context.Context, d *record[deployment]) (wait time.Duration, ended bool, err error) {
	v := &d.value
	fail := func(code types.ErrorCode, message string) (time.Duration, bool, error) {
		return 0, true, s.finish(ctx, d.Name, end{Status: types.DeploymentStatusFailed, At: s.now(), Code: code, Message: message}, "", false)
	}
	ref, err := s.Place.ParseRef(v.Spec.Function, "")
	if err != nil {
		return fail(types.ErrorCodeInvalidLambdaFunction, "The deployment failed because the Lambda function is not valid. "+err.Error())
	}
	current, target, why := s.checked(&v.Spec, ref.Function)
	if why != "" {
		return fail(types.ErrorCodeInvalidLambdaConfiguration, badConfiguration(why))
	}
	defer s.effect(d.Name, "start")()
	_, err = s.Releases.Start(serin.WithActor(ctx, v.Actor+" by CodeDeploy"), release.Request{
		ID: d.Name, Function: ref.Function, Alias: v.Spec.Alias, Version: target, Baseline: current, Policy: v.Policy,
		Message: fmt.Sprintf("CodeDeploy: deployment of %s, %s", v.Application, v.Group) + described(v.Description),
	})
	if e, ok := errors.AsType[*serin.Error](err); ok && e.Kind != serin.KindInternal {
		return fail(types.ErrorCodeInvalidLambdaConfiguration, badConfiguration(e.Message))
	}
	return 0, false, err
}

func described(text *string) string {
	if text == nil || *text == "" {
		return ""
	}
	return ": " + clip(*text)
}

// checked says why an alias cannot be moved as an AppSpec file says, or "".
func (s *Service) checked(spec *appSpec, function string) (current, target serin.VersionNumber, why string) {
	current, ok := serin.ParseVersion(spec.Current)
	target, also := serin.ParseVersion(spec.Target)
	if !ok || !also || current == serin.Latest || target == serin.Latest {
		return 0, 0, "CurrentVersion and TargetVersion must be the numbers of published versions."
	}
	_, alias, err := s.Alias(function, spec.Alias)
	switch {
	case err != nil:
		return 0, 0, fmt.Sprintf("There is no alias %s of a function %s.", clip(spec.Alias), clip(function))
	case current == target:
		return 0, 0, "CurrentVersion and TargetVersion are the same."
	case alias.Routing.Version != current:
		return 0, 0, "The Lambda function alias version does not match the current version in AppSpec file."
	case alias.Routing.Weighted():
		return 0, 0, "The Lambda function alias splits its traffic already; it must route everything to the current version."
	}
	return current, target, ""
}

// instruct stops the release of a deployment, if there is one that can be.
func (s *Service) instruct(ctx context.Context, id string, how *stop) error {
	in := serin.Instruction{Command: serin.CommandLeave, Reason: cmp.Or(how.Why, "the deployment was stopped")}
	in.Reason = strings.ToValidUTF8(in.Reason[:min(len(in.Reason), maxWhy)], "")
	if how.Rollback {
		in.Command = serin.CommandAbort
	}
	defer s.effect(id, "stop")()
	_, err := s.Releases.Command(serin.WithActor(ctx, how.By), id, in)
	switch serin.KindOf(err) {
	case serin.KindNotFound, serin.KindConflict: // not begun, or ending anyway
		return nil
	default:
		return err
	}
}

// finish puts the end of a deployment on record, and the rollback if one is due: the release has put the alias back
// already, and that is what the record of a rollback tells.
func (s *Service) finish(ctx context.Context, id string, e end, on types.AutoRollbackEvent, back bool) error {
	defer s.effect(id, "finish")()
	return settled(ctx, func() error {
		d, err := s.deployment(ctx, &id)
		if err != nil || d.value.End != nil {
			return err
		}
		d.value.End = &e
		records := []writable{d}
		last := d
		if due := d.value.rollsBack(on) || d.value.Stop != nil && d.value.Stop.Rollback; back && due {
			last = fresh(rollbackOf(d, s.now()), kindDeployment, newDeploymentID())
			d.value.RolledBackBy = last.Name
			records = append(records, last)
		}
		g, err := load[group](ctx, s, kindGroup, d.value.Application, d.value.Group)
		if errors.Is(err, store.ErrNotFound) {
			return s.save(ctx, records...)
		}
		if err != nil {
			return err
		}
		if g.value.Running == id {
			g.value.Running = ""
		}
		noteLast(&g.value.Info, last)
		return s.save(ctx, append(records, g)...)
	})
}

// noteLast notes a deployment that has ended in its group.
func noteLast(info *types.DeploymentGroupInfo, d *record[deployment]) {
	last := &types.LastDeploymentInfo{DeploymentId: &d.Name, Status: d.value.End.Status, CreateTime: &d.value.Created, EndTime: &d.value.End.At}
	info.LastAttemptedDeployment = last
	if d.value.End.Status == types.DeploymentStatusSucceeded {
		info.LastSuccessfulDeployment, info.TargetRevision = last, &d.value.Revision
	}
}

// rollbackOf is the record of a deployment's rollback.
func rollbackOf(d *record[deployment], now time.Time) deployment {
	spec := appSpec{Function: d.value.Spec.Function, Alias: d.value.Spec.Alias, Current: d.value.Spec.Target, Target: d.value.Spec.Current}
	text := spec.text()
	return deployment{
		Application: d.value.Application, Group: d.value.Group, Config: defaultConfig, Origin: Origin{Creator: types.DeploymentCreatorCodeDeployRollback, ExternalID: d.value.Origin.ExternalID},
		Description: aws.String("Automatic rollback of deployment " + d.Name + "."), Actor: d.value.Actor, Created: now, Spec: spec,
		Revision: types.RevisionLocation{
			RevisionType:   types.RevisionLocationTypeAppSpecContent,
			AppSpecContent: &types.AppSpecContent{Content: &text, Sha256: aws.String(digest(text))},
		},
		Previous: &d.value.Revision, AutoRollback: d.value.AutoRollback, RollbackOf: d.Name,
		End: &end{Status: types.DeploymentStatusSucceeded, At: now},
	}
}
