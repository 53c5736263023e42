package codedeploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"serin"
	"serin/internal/store"
)

// hook is one execution of a hook.
type hook struct {
	Deployment string                     `json:"deployment"`
	Invoked    bool                       `json:"invoked"`
	Status     types.LifecycleEventStatus `json:"status,omitempty"` // as reported
}

// lookEvery is how long a report to another server that shares the database may stay unseen.
const lookEvery = 5 * time.Second

// Await carries out a hook of a deployment for the release engine: the function gets CodeDeploy's event, and reports with
// PutLifecycleEventHookExecutionStatus. Killed before that was noted, a server hands it the event again, with the same id.
func (s *Service) Await(ctx context.Context, r *serin.Release, run serin.CheckRun, function string) error {
	if _, err := s.deployment(ctx, &r.ID); err != nil {
		return fmt.Errorf("the release is no deployment: %w", err)
	}
	h, err := load[hook](ctx, s, kindHook, run.ID)
	if errors.Is(err, store.ErrNotFound) {
		h = fresh(hook{Deployment: r.ID}, kindHook, run.ID)
		err = s.save(ctx, h)
	}
	if err != nil {
		return err
	}
	if !h.value.Invoked {
		if err := s.invoke(ctx, r.ID, run.ID, function); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		s.mu.Lock()
		reported := s.reported
		s.mu.Unlock()
		h, err := load[hook](ctx, s, kindHook, run.ID)
		switch {
		case err != nil:
			return err
		case h.value.Status == types.LifecycleEventStatusSucceeded:
			return nil
		case h.value.Status != "":
			return fmt.Errorf("the hook %s has reported %s", function, h.value.Status)
		}
		timer := time.NewTimer(lookEvery)
		select {
		case <-reported:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return context.Cause(ctx)
}

// invoke hands a hook its event, and notes that.
func (s *Service) invoke(ctx context.Context, deployment, execution, function string) error {
	defer s.effect(deployment, "hook")()
	ref, err := s.Place.ParseRef(function, "")
	if err != nil {
		return err
	}
	event, err := json.Marshal(struct{ DeploymentId, LifecycleEventHookExecutionId string }{deployment, execution}) //nolint:revive // as AWS spells it
	if err != nil {
		return err
	}
	if err := s.InvokeEvent(ctx, ref.Function, ref.Qualifier, event); err != nil {
		return fmt.Errorf("the hook %s cannot be invoked: %w", function, err)
	}
	return settled(ctx, func() error {
		h, err := load[hook](ctx, s, kindHook, execution)
		if err != nil {
			return err
		}
		h.value.Invoked = true
		return s.save(ctx, h)
	})
}

// PutLifecycleEventHookExecutionStatus is how a hook reports. The first report counts, if it comes in time.
func (s *Service) PutLifecycleEventHookExecutionStatus(ctx context.Context, in *codedeploy.PutLifecycleEventHookExecutionStatusInput, _ ...func(*options)) (*codedeploy.PutLifecycleEventHookExecutionStatusOutput, error) {
	d, r, err := s.seen(ctx, in.DeploymentId)
	if err != nil {
		return nil, err
	}
	if in.Status != types.LifecycleEventStatusSucceeded && in.Status != types.LifecycleEventStatusFailed {
		return nil, refuse("InvalidLifecycleEventHookExecutionStatusException", "The status must be Succeeded or Failed, not %s.", clip(string(in.Status)))
	}
	id := aws.ToString(in.LifecycleEventHookExecutionId)
	err = settled(ctx, func() error {
		h, err := load[hook](ctx, s, kindHook, id)
		if errors.Is(err, store.ErrNotFound) || err == nil && h.value.Deployment != d.Name {
			return refuse("InvalidLifecycleEventHookExecutionIdException", "The deployment %s has no hook execution %s.", d.Name, clip(id))
		}
		if err != nil {
			return err
		}
		ended := r != nil && slices.ContainsFunc(r.Checks, func(run serin.CheckRun) bool { return run.ID == id && !run.EndedAt.IsZero() })
		if h.value.Status != "" || d.value.End != nil || ended {
			return refuse("LifecycleEventAlreadyCompletedException", "The lifecycle event of the hook execution %s has already completed.", id)
		}
		h.value.Status = in.Status
		return s.save(ctx, h)
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.reported)
	s.reported = make(chan struct{})
	return &codedeploy.PutLifecycleEventHookExecutionStatusOutput{LifecycleEventHookExecutionId: in.LifecycleEventHookExecutionId}, nil
}
