package codedeploy

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"serin"
	"serin/internal/store"
)

// deployment is what was asked for, and how it ended. The release of the same id says what happened in between; the
// record of a rollback has none.
type deployment struct {
	Application  string                           `json:"application"`
	Group        string                           `json:"group"`
	Config       string                           `json:"config"`
	Description  *string                          `json:"description,omitempty"`
	Origin       Origin                           `json:"origin"`
	Actor        string                           `json:"actor"`
	Created      time.Time                        `json:"created"`
	Revision     types.RevisionLocation           `json:"revision"`
	Previous     *types.RevisionLocation          `json:"previous,omitempty"`
	Spec         appSpec                          `json:"spec"`
	Policy       serin.Policy                     `json:"policy"`
	AutoRollback *types.AutoRollbackConfiguration `json:"autoRollback,omitempty"`
	Alarms       *types.AlarmConfiguration        `json:"alarms,omitempty"`
	Override     *types.AlarmConfiguration        `json:"override,omitempty"` // of the group's alarms
	Stop         *stop                            `json:"stop,omitempty"`
	End          *end                             `json:"end,omitempty"`
	RollbackOf   string                           `json:"rollbackOf,omitempty"` // the deployment that this one is the rollback of
	RolledBackBy string                           `json:"rolledBackBy,omitempty"`
}

// Origin says what has created a deployment.
type Origin struct {
	Creator    types.DeploymentCreator `json:"creator"`
	ExternalID string                  `json:"externalId,omitempty"` // a stack's id
}

// stop is that somebody wants a deployment to stop.
type stop struct {
	Rollback bool   `json:"rollback"`
	By       string `json:"by"`
	Why      string `json:"why,omitempty"`
}

// end is how a deployment ended.
type end struct {
	Status  types.DeploymentStatus `json:"status"`
	At      time.Time              `json:"at"`
	Code    types.ErrorCode        `json:"code,omitempty"`
	Message string                 `json:"message,omitempty"`
}

// hookTime is how long a hook may take to report.
const hookTime = time.Hour

var deploymentID = regexp.MustCompile(`^d-[0-9A-Z]{9}$`)

func newDeploymentID() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	random := make([]byte, 9)
	_, _ = rand.Read(random) // which never fails
	for i, b := range random {
		random[i] = letters[int(b)%len(letters)]
	}
	return "d-" + string(random)
}

// CreateDeployment begins to move an alias as an AppSpec file says. It returns as soon as that is on record.
func (s *Service) CreateDeployment(ctx context.Context, in *codedeploy.CreateDeploymentInput, _ ...func(*options)) (*codedeploy.CreateDeploymentOutput, error) {
	return s.Deploy(ctx, in, Origin{Creator: types.DeploymentCreatorUser})
}

// Deploy is CreateDeployment for parts of the server that deploy on behalf of somebody.
func (s *Service) Deploy(ctx context.Context, in *codedeploy.CreateDeploymentInput, origin Origin) (*codedeploy.CreateDeploymentOutput, error) {
	if in.TargetInstances != nil {
		return nil, errHosts()
	}
	if err := checkDescription(in.Description); err != nil {
		return nil, err
	}
	id := newDeploymentID()
	err := settled(ctx, func() error {
		g, err := s.group(ctx, in.ApplicationName, in.DeploymentGroupName)
		if err != nil {
			return err
		}
		d, err := s.planned(ctx, in, g)
		if err != nil {
			return err
		}
		if g.value.Running != "" {
			return refuse("DeploymentLimitExceededException", "The Deployment Group '%s' already has an active Deployment '%s'", d.Group, g.value.Running)
		}
		d.Origin, d.Actor = origin, cmp.Or(serin.ActorFrom(ctx), "somebody")
		known, err := s.used(ctx, d.Application, d.Group, in.Revision, d.Created)
		if err != nil {
			return err
		}
		g.value.Running = id
		return s.save(ctx, fresh(*d, kindDeployment, id), g, known)
	})
	if err != nil {
		return nil, err
	}
	s.drive(id)
	return &codedeploy.CreateDeploymentOutput{DeploymentId: &id}, nil
}

// planned is the deployment that a request asks for.
func (s *Service) planned(ctx context.Context, in *codedeploy.CreateDeploymentInput, g *record[group]) (*deployment, error) {
	info := groupInfo(g)
	spec, err := s.readRevision(ctx, in.Revision)
	if err != nil {
		return nil, err
	}
	d := &deployment{
		Application: *info.ApplicationName, Group: *info.DeploymentGroupName, Description: in.Description, Created: s.now(),
		Revision: *in.Revision, Previous: info.TargetRevision, Spec: *spec,
		Config:       cmp.Or(aws.ToString(in.DeploymentConfigName), aws.ToString(info.DeploymentConfigName), defaultConfig),
		AutoRollback: cmp.Or(in.AutoRollbackConfiguration, info.AutoRollbackConfiguration), Override: in.OverrideAlarmConfiguration,
		Alarms: cmp.Or(in.OverrideAlarmConfiguration, info.AlarmConfiguration),
	}
	if in.AutoRollbackConfiguration != nil {
		if err := checkAutoRollback(in.AutoRollbackConfiguration); err != nil {
			return nil, err
		}
	}
	if d.Override != nil {
		if err := checkAlarms(d.Override); err != nil {
			return nil, err
		}
	}
	config, err := s.config(ctx, &d.Config)
	if err != nil {
		return nil, err
	}
	d.Policy = policyOf(config)
	d.Policy.Before, d.Policy.After = hookCheck(eventBefore, spec.Before), hookCheck(eventAfter, spec.After)
	return d, d.Policy.Check()
}

func hookCheck(event, function string) []serin.Check {
	if function == "" {
		return nil
	}
	return []serin.Check{{Name: event, Function: function, Reports: true, Timeout: serin.Duration(hookTime)}}
}

// deployment reads a deployment that must exist.
func (s *Service) deployment(ctx context.Context, id *string) (*record[deployment], error) {
	if id == nil || *id == "" {
		return nil, refuse("DeploymentIdRequiredException", "The deployment ID must be specified.")
	}
	if !deploymentID.MatchString(*id) {
		return nil, refuse("InvalidDeploymentIdException", "The deployment ID %s is not valid: it is like d-A1B2C3D4E.", clip(*id))
	}
	d, err := load[deployment](ctx, s, kindDeployment, *id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse("DeploymentDoesNotExistException", "The deployment %s could not be found", *id)
	}
	return d, err
}

// seen reads a deployment and its release, which is nil if there is none.
func (s *Service) seen(ctx context.Context, id *string) (*record[deployment], *serin.Release, error) {
	d, err := s.deployment(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	r, err := s.release(ctx, d)
	return d, r, err
}

func (s *Service) release(ctx context.Context, d *record[deployment]) (*serin.Release, error) {
	r, err := s.Releases.Get(ctx, d.Name)
	if serin.KindOf(err) == serin.KindNotFound {
		return nil, nil
	}
	return r, err
}

// GetDeployment returns a deployment.
func (s *Service) GetDeployment(ctx context.Context, in *codedeploy.GetDeploymentInput, _ ...func(*options)) (*codedeploy.GetDeploymentOutput, error) {
	d, r, err := s.seen(ctx, in.DeploymentId)
	if err != nil {
		return nil, err
	}
	return &codedeploy.GetDeploymentOutput{DeploymentInfo: viewOf(d, r)}, nil
}

// BatchGetDeployments returns deployments.
func (s *Service) BatchGetDeployments(ctx context.Context, in *codedeploy.BatchGetDeploymentsInput, _ ...func(*options)) (*codedeploy.BatchGetDeploymentsOutput, error) {
	if err := batch(in.DeploymentIds, maxBatch, "deployment IDs"); err != nil {
		return nil, err
	}
	out := &codedeploy.BatchGetDeploymentsOutput{DeploymentsInfo: []types.DeploymentInfo{}}
	for _, id := range in.DeploymentIds {
		d, r, err := s.seen(ctx, &id)
		if err != nil {
			return nil, err
		}
		out.DeploymentsInfo = append(out.DeploymentsInfo, *viewOf(d, r))
	}
	return out, nil
}

// ListDeployments lists the ids of deployments, the newest first.
func (s *Service) ListDeployments(ctx context.Context, in *codedeploy.ListDeploymentsInput, _ ...func(*options)) (*codedeploy.ListDeploymentsOutput, error) {
	switch {
	case in.ApplicationName != nil && in.DeploymentGroupName == nil:
		return nil, refuse("DeploymentGroupNameRequiredException", "If applicationName is specified, then deploymentGroupName must be too.")
	case in.ApplicationName == nil && in.DeploymentGroupName != nil:
		return nil, refuse("ApplicationNameRequiredException", "If deploymentGroupName is specified, then applicationName must be too.")
	case in.ApplicationName != nil:
		if _, err := s.group(ctx, in.ApplicationName, in.DeploymentGroupName); err != nil {
			return nil, err
		}
	default:
	}
	for _, status := range in.IncludeOnlyStatuses {
		if !slices.Contains(status.Values(), status) {
			return nil, refuse("InvalidDeploymentStatusException", "%s is not a status of a deployment.", clip(string(status)))
		}
	}
	if t := in.CreateTimeRange; t != nil && t.Start != nil && t.End != nil && t.Start.After(*t.End) {
		return nil, refuse("InvalidTimeRangeException", "The time range ends before it starts.")
	}
	deployments, err := all[deployment](ctx, s, kindDeployment, "")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(deployments, func(a, b *record[deployment]) int {
		return cmp.Or(b.value.Created.Compare(a.value.Created), strings.Compare(a.Name, b.Name))
	})
	ids := []string{}
	for _, d := range deployments {
		ok, err := s.matches(ctx, d, in)
		if err != nil {
			return nil, err
		}
		if ok || in.NextToken != nil && d.Name == *in.NextToken { // which says where to go on, whatever has become of it
			ids = append(ids, d.Name)
		}
	}
	out, passed := &codedeploy.ListDeploymentsOutput{}, false
	out.Deployments, out.NextToken, err = page(ids, in.NextToken, func(element, token string) bool {
		after := passed
		passed = passed || element == token
		return after
	})
	return out, err
}

func (s *Service) matches(ctx context.Context, d *record[deployment], in *codedeploy.ListDeploymentsInput) (bool, error) {
	t := in.CreateTimeRange
	switch {
	case in.ApplicationName != nil && (d.value.Application != *in.ApplicationName || d.value.Group != *in.DeploymentGroupName),
		in.ExternalId != nil && d.value.Origin.ExternalID != *in.ExternalId,
		t != nil && t.Start != nil && d.value.Created.Before(*t.Start),
		t != nil && t.End != nil && d.value.Created.After(*t.End):
		return false, nil
	case len(in.IncludeOnlyStatuses) == 0:
		return true, nil
	}
	var r *serin.Release
	if d.value.End == nil {
		var err error
		if r, err = s.release(ctx, d); err != nil {
			return false, err
		}
	}
	return slices.Contains(in.IncludeOnlyStatuses, statusOf(d, r)), nil
}

// StopDeployment stops a deployment. With a rollback, which the group says if the request does not, the alias goes back at
// once; without one it stays as it is, split or not.
func (s *Service) StopDeployment(ctx context.Context, in *codedeploy.StopDeploymentInput, _ ...func(*options)) (*codedeploy.StopDeploymentOutput, error) {
	var d *record[deployment]
	err := settled(ctx, func() (err error) {
		if d, err = s.deployment(ctx, in.DeploymentId); err != nil {
			return err
		}
		if d.value.End != nil {
			return refuse("DeploymentAlreadyCompletedException", "The deployment %s has already completed.", d.Name)
		}
		if d.value.Stop != nil { // what was asked for first counts
			return nil
		}
		rollback := d.value.rollsBack(types.AutoRollbackEventDeploymentStopOnRequest)
		if in.AutoRollbackEnabled != nil {
			rollback = *in.AutoRollbackEnabled
		}
		d.value.Stop = &stop{Rollback: rollback, By: cmp.Or(serin.ActorFrom(ctx), "somebody")}
		return s.save(ctx, d)
	})
	if err != nil {
		return nil, err
	}
	if err := s.instruct(ctx, d.Name, d.value.Stop); err != nil {
		return nil, err
	}
	s.drive(d.Name)
	message := "The deployment is being stopped; the alias stays as it is."
	if d.value.Stop.Rollback {
		message = "The deployment is being stopped; the alias goes back to the current version."
	}
	return &codedeploy.StopDeploymentOutput{Status: types.StopStatusPending, StatusMessage: &message}, nil
}

// ContinueDeployment is for platforms whose deployments wait to be continued.
func (s *Service) ContinueDeployment(ctx context.Context, in *codedeploy.ContinueDeploymentInput, _ ...func(*options)) (*codedeploy.ContinueDeploymentOutput, error) {
	if _, err := s.deployment(ctx, in.DeploymentId); err != nil {
		return nil, err
	}
	return nil, refuse("UnsupportedActionForDeploymentTypeException", "Deployments of functions do not wait to be continued. A release that holds goes on with serin resume or serin promote.")
}

// rollsBack reports whether the deployment is to be rolled back on an event.
func (d *deployment) rollsBack(e types.AutoRollbackEvent) bool {
	return d.AutoRollback != nil && d.AutoRollback.Enabled && slices.Contains(d.AutoRollback.Events, e)
}
