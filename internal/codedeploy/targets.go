package codedeploy

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
)

// A deployment of a function has one target, which is named function:alias.

// GetDeploymentTarget returns the target of a deployment.
func (s *Service) GetDeploymentTarget(ctx context.Context, in *codedeploy.GetDeploymentTargetInput, _ ...func(*options)) (*codedeploy.GetDeploymentTargetOutput, error) {
	if in.DeploymentId == nil {
		return nil, refuse("DeploymentIdRequiredException", "The deployment ID must be specified.")
	}
	if in.TargetId == nil || *in.TargetId == "" {
		return nil, refuse("DeploymentTargetIdRequiredException", "The target ID must be specified.")
	}
	out, err := s.BatchGetDeploymentTargets(ctx, &codedeploy.BatchGetDeploymentTargetsInput{DeploymentId: in.DeploymentId, TargetIds: []string{*in.TargetId}})
	if err != nil {
		return nil, err
	}
	return &codedeploy.GetDeploymentTargetOutput{DeploymentTarget: &out.DeploymentTargets[0]}, nil
}

// BatchGetDeploymentTargets returns targets of a deployment.
func (s *Service) BatchGetDeploymentTargets(ctx context.Context, in *codedeploy.BatchGetDeploymentTargetsInput, _ ...func(*options)) (*codedeploy.BatchGetDeploymentTargetsOutput, error) {
	d, r, err := s.seen(ctx, in.DeploymentId)
	if err != nil {
		return nil, err
	}
	if len(in.TargetIds) == 0 {
		return nil, refuse("DeploymentTargetIdRequiredException", "A target ID must be specified.")
	}
	if len(in.TargetIds) > 25 {
		return nil, refuse("DeploymentTargetListSizeExceededException", "At most 25 target IDs may be specified.")
	}
	id := targetID(&d.value)
	out := &codedeploy.BatchGetDeploymentTargetsOutput{DeploymentTargets: []types.DeploymentTarget{}}
	for _, given := range in.TargetIds {
		if given != id {
			return nil, refuse("DeploymentTargetDoesNotExistException", "The deployment %s has the target %s, not %s.", d.Name, id, clip(given))
		}
		out.DeploymentTargets = append(out.DeploymentTargets, targetOf(s.Place, d, r))
	}
	return out, nil
}

// ListDeploymentTargets lists the one target of a deployment, unless the filters leave it out.
func (s *Service) ListDeploymentTargets(ctx context.Context, in *codedeploy.ListDeploymentTargetsInput, _ ...func(*options)) (*codedeploy.ListDeploymentTargetsOutput, error) {
	d, r, err := s.seen(ctx, in.DeploymentId)
	if err != nil {
		return nil, err
	}
	if in.NextToken != nil {
		return nil, refuse("InvalidNextTokenException", "The next token is not valid.")
	}
	out := &codedeploy.ListDeploymentTargetsOutput{TargetIds: []string{targetID(&d.value)}}
	for name, values := range in.TargetFilters {
		if name != string(types.TargetFilterNameTargetStatus) {
			return nil, refuse("InvalidTargetFilterNameException", "Targets of functions are filtered by TargetStatus, not by %s.", clip(name))
		}
		if !slices.Contains(values, string(targetStatus(d, r))) {
			out.TargetIds = []string{}
		}
	}
	return out, nil
}
