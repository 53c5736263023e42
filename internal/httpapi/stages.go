package httpapi

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"time"

	apigw "github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"

	"serin"
)

var stageForm = regexp.MustCompile(`^(\$default|[A-Za-z0-9_-]{1,128})$`)

// CreateStage makes a stage of an API.
func (s *Service) CreateStage(ctx context.Context, in *apigw.CreateStageInput, _ ...func(*apigw.Options)) (*apigw.CreateStageOutput, error) {
	name := deref(in.StageName)
	if !stageForm.MatchString(name) {
		return nil, bad("Stage name only allows a-zA-Z0-9_-, or $default")
	}
	now := s.Now().UTC().Truncate(time.Second)
	st := &stage{
		AutoDeploy: deref(in.AutoDeploy), Deployment: deref(in.DeploymentId), Description: deref(in.Description), Variables: in.StageVariables, Tags: in.Tags, Created: now, Updated: now,
	}
	err := s.change(ctx, in.ApiId, func(a *api) error {
		if a.Stages[name] != nil {
			return fault(serin.KindConflict, "ConflictException", "Stage already exists")
		}
		if _, ok := a.Deployments[st.Deployment]; st.Deployment != "" && !ok {
			return missing("Deployment", st.Deployment)
		}
		if a.Stages[name] = st; len(a.Stages) > maxStages {
			return fault(serin.KindConflict, "TooManyRequestsException", "An API has at most %d stages.", maxStages)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	shown := st.shown(name)
	return &apigw.CreateStageOutput{
		StageName: shown.StageName, AutoDeploy: shown.AutoDeploy, CreatedDate: shown.CreatedDate, LastUpdatedDate: shown.LastUpdatedDate, DeploymentId: shown.DeploymentId,
		Description: shown.Description, StageVariables: shown.StageVariables, Tags: shown.Tags, RouteSettings: shown.RouteSettings, DefaultRouteSettings: shown.DefaultRouteSettings,
	}, nil
}

func (st *stage) shown(name string) types.Stage {
	out := types.Stage{
		StageName: &name, AutoDeploy: &st.AutoDeploy, CreatedDate: &st.Created, LastUpdatedDate: &st.Updated, StageVariables: st.Variables, Tags: st.Tags,
		RouteSettings: map[string]types.RouteSettings{}, DefaultRouteSettings: &types.RouteSettings{DetailedMetricsEnabled: new(false)},
	}
	if out.StageVariables == nil {
		out.StageVariables = map[string]string{}
	}
	if out.Tags == nil {
		out.Tags = map[string]string{}
	}
	if st.Deployment != "" {
		out.DeploymentId = &st.Deployment
	}
	if st.Description != "" {
		out.Description = &st.Description
	}
	return out
}

// GetStage returns a stage.
func (s *Service) GetStage(ctx context.Context, in *apigw.GetStageInput, _ ...func(*apigw.Options)) (*apigw.GetStageOutput, error) {
	a, err := s.load(ctx, in.ApiId)
	if err != nil {
		return nil, err
	}
	st := a.Stages[deref(in.StageName)]
	if st == nil {
		return nil, missing("stage", deref(in.StageName))
	}
	shown := st.shown(*in.StageName)
	return &apigw.GetStageOutput{
		StageName: shown.StageName, AutoDeploy: shown.AutoDeploy, CreatedDate: shown.CreatedDate, LastUpdatedDate: shown.LastUpdatedDate, DeploymentId: shown.DeploymentId,
		Description: shown.Description, StageVariables: shown.StageVariables, Tags: shown.Tags, RouteSettings: shown.RouteSettings, DefaultRouteSettings: shown.DefaultRouteSettings,
	}, nil
}

// GetStages returns the stages of an API.
func (s *Service) GetStages(ctx context.Context, in *apigw.GetStagesInput, _ ...func(*apigw.Options)) (*apigw.GetStagesOutput, error) {
	a, err := s.load(ctx, in.ApiId)
	if err != nil {
		return nil, err
	}
	out := &apigw.GetStagesOutput{Items: []types.Stage{}}
	for _, name := range slices.Sorted(maps.Keys(a.Stages)) {
		out.Items = append(out.Items, a.Stages[name].shown(name))
	}
	return out, nil
}

// DeleteStage deletes a stage.
func (s *Service) DeleteStage(ctx context.Context, in *apigw.DeleteStageInput, _ ...func(*apigw.Options)) (*apigw.DeleteStageOutput, error) {
	err := s.change(ctx, in.ApiId, func(a *api) error {
		if a.Stages[deref(in.StageName)] == nil {
			return missing("stage", deref(in.StageName))
		}
		delete(a.Stages, *in.StageName)
		return nil
	})
	return &apigw.DeleteStageOutput{}, err
}

// CreateDeployment keeps the routes as they are for the stages that name the deployment, and for the one in the request at once.
func (s *Service) CreateDeployment(ctx context.Context, in *apigw.CreateDeploymentInput, _ ...func(*apigw.Options)) (*apigw.CreateDeploymentOutput, error) {
	now := s.Now().UTC().Truncate(time.Second)
	id := newID()
	err := s.change(ctx, in.ApiId, func(a *api) error {
		a.Deployments[id] = deployment{
			Description: deref(in.Description), Created: now, Routing: Routing{Routes: maps.Clone(a.Routes), Integrations: maps.Clone(a.Integrations)},
		}
		if len(a.Deployments) > maxDeployments {
			return fault(serin.KindConflict, "TooManyRequestsException", "An API has at most %d deployments.", maxDeployments)
		}
		if in.StageName == nil {
			return nil
		}
		st := a.Stages[*in.StageName]
		if st == nil {
			return missing("stage", *in.StageName)
		}
		st.Deployment, st.Updated = id, now
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &apigw.CreateDeploymentOutput{
		DeploymentId: &id, AutoDeployed: new(false), CreatedDate: &now, DeploymentStatus: types.DeploymentStatusDeployed, Description: in.Description,
	}, nil
}
