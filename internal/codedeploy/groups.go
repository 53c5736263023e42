package codedeploy

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"serin/internal/store"
)

// group is a deployment group as it is kept. Info has no application: the document's name has.
type group struct {
	Info    types.DeploymentGroupInfo `json:"info"`
	Tags    map[string]string         `json:"tags,omitempty"`
	Running string                    `json:"running,omitempty"` // the deployment that has not ended
}

const (
	maxAlarms   = 10
	maxTriggers = 10
	maxText     = 2000 // bytes of an ARN
)

func groupName(name *string) (string, error) {
	return checkName(name, "deployment group name", "DeploymentGroupNameRequiredException", "InvalidDeploymentGroupNameException")
}

// group reads a group that must exist, of an application that must.
func (s *Service) group(ctx context.Context, ofApplication, given *string) (*record[group], error) {
	app, err := s.application(ctx, ofApplication)
	if err != nil {
		return nil, err
	}
	name, err := groupName(given)
	if err != nil {
		return nil, err
	}
	g, err := load[group](ctx, s, kindGroup, app.Name, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse("DeploymentGroupDoesNotExistException", "No Deployment Group found for name: %s", name)
	}
	return g, err
}

func groupInfo(g *record[group]) *types.DeploymentGroupInfo {
	info := g.value.Info
	application, _, _ := strings.Cut(g.Name, separator)
	info.ApplicationName, info.ComputePlatform = &application, types.ComputePlatformLambda
	return &info
}

// CreateDeploymentGroup creates a group.
func (s *Service) CreateDeploymentGroup(ctx context.Context, in *codedeploy.CreateDeploymentGroupInput, _ ...func(*options)) (*codedeploy.CreateDeploymentGroupOutput, error) {
	app, err := s.application(ctx, in.ApplicationName)
	if err != nil {
		return nil, err
	}
	name, err := groupName(in.DeploymentGroupName)
	if err != nil {
		return nil, err
	}
	if in.ServiceRoleArn == nil {
		return nil, refuse("RoleRequiredException", "The service role ARN must be specified.")
	}
	tags, err := addTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	g := fresh(group{Tags: tags, Info: types.DeploymentGroupInfo{
		DeploymentGroupId: new(s.NewID()), DeploymentGroupName: &name, DeploymentConfigName: aws.String(defaultConfig),
		DeploymentStyle: lambdaStyle(),
	}}, kindGroup, app.Name, name)
	update := codedeploy.UpdateDeploymentGroupInput{
		ServiceRoleArn: in.ServiceRoleArn, DeploymentConfigName: in.DeploymentConfigName, AlarmConfiguration: in.AlarmConfiguration,
		AutoRollbackConfiguration: in.AutoRollbackConfiguration, DeploymentStyle: in.DeploymentStyle, TriggerConfigurations: in.TriggerConfigurations,
	}
	hosts := len(in.AutoScalingGroups)+len(in.Ec2TagFilters)+len(in.EcsServices)+len(in.OnPremisesInstanceTagFilters) > 0 ||
		in.Ec2TagSet != nil || in.OnPremisesTagSet != nil || in.LoadBalancerInfo != nil
	if hosts {
		return nil, errHosts()
	}
	if err := s.change(ctx, &g.value.Info, &update); err != nil {
		return nil, err
	}
	err = s.save(ctx, g)
	if errors.Is(err, store.ErrExists) {
		return nil, refuse("DeploymentGroupAlreadyExistsException", "A deployment group with the name %s already exists in the application %s.", name, app.Name)
	}
	if err != nil {
		return nil, err
	}
	return &codedeploy.CreateDeploymentGroupOutput{DeploymentGroupId: g.value.Info.DeploymentGroupId}, nil
}

func errHosts() error {
	return refuse("InvalidInputException", "Functions have no hosts: instances, tags of instances, services and load balancers are for other compute platforms.")
}

func lambdaStyle() *types.DeploymentStyle {
	return &types.DeploymentStyle{DeploymentType: types.DeploymentTypeBlueGreen, DeploymentOption: types.DeploymentOptionWithTrafficControl}
}

// change applies what a request says of a group.
func (s *Service) change(ctx context.Context, info *types.DeploymentGroupInfo, in *codedeploy.UpdateDeploymentGroupInput) error {
	if in.ServiceRoleArn != nil {
		if !strings.HasPrefix(*in.ServiceRoleArn, "arn:") || len(*in.ServiceRoleArn) > maxText {
			return refuse("InvalidRoleException", "%s is not the ARN of a role.", clip(*in.ServiceRoleArn))
		}
		info.ServiceRoleArn = in.ServiceRoleArn
	}
	if in.DeploymentConfigName != nil {
		if _, err := s.config(ctx, in.DeploymentConfigName); err != nil {
			return err
		}
		info.DeploymentConfigName = in.DeploymentConfigName
	}
	if in.DeploymentStyle != nil && *in.DeploymentStyle != *lambdaStyle() {
		return refuse("InvalidDeploymentStyleException", "For Lambda the deployment type must be BLUE_GREEN and the deployment option WITH_TRAFFIC_CONTROL.")
	}
	if in.AlarmConfiguration != nil {
		if err := checkAlarms(in.AlarmConfiguration); err != nil {
			return err
		}
		info.AlarmConfiguration = in.AlarmConfiguration
	}
	if in.AutoRollbackConfiguration != nil {
		if err := checkAutoRollback(in.AutoRollbackConfiguration); err != nil {
			return err
		}
		info.AutoRollbackConfiguration = in.AutoRollbackConfiguration
	}
	if in.TriggerConfigurations != nil {
		if err := checkTriggers(in.TriggerConfigurations); err != nil {
			return err
		}
		info.TriggerConfigurations = in.TriggerConfigurations
	}
	return nil
}

func checkAlarms(c *types.AlarmConfiguration) error {
	const invalid = "InvalidAlarmConfigException"
	if len(c.Alarms) > maxAlarms {
		return refuse("AlarmsLimitExceededException", "A deployment group has at most %d alarms.", maxAlarms)
	}
	if c.Enabled && len(c.Alarms) == 0 {
		return refuse(invalid, "An enabled alarm configuration needs an alarm.")
	}
	seen := map[string]bool{}
	for _, a := range c.Alarms {
		name := aws.ToString(a.Name)
		if name == "" || len(name) > 255 || seen[name] {
			return refuse(invalid, "Each alarm needs a name of its own of at most 255 characters; %q has none.", clip(name))
		}
		seen[name] = true
	}
	return nil
}

func checkAutoRollback(c *types.AutoRollbackConfiguration) error {
	const invalid = "InvalidAutoRollbackConfigException"
	if c.Enabled && len(c.Events) == 0 {
		return refuse(invalid, "An enabled automatic rollback needs an event.")
	}
	for _, e := range c.Events {
		if !slices.Contains(e.Values(), e) {
			return refuse(invalid, "%s is not an event of automatic rollbacks.", clip(string(e)))
		}
	}
	return nil
}

func checkTriggers(triggers []types.TriggerConfig) error {
	if len(triggers) > maxTriggers {
		return refuse("TriggerTargetsLimitExceededException", "A deployment group has at most %d triggers.", maxTriggers)
	}
	for _, t := range triggers {
		arn := aws.ToString(t.TriggerTargetArn)
		if aws.ToString(t.TriggerName) == "" || len(*t.TriggerName) > maxName || !strings.HasPrefix(arn, "arn:") || len(arn) > maxText || len(t.TriggerEvents) == 0 {
			return refuse("InvalidTriggerConfigException", "A trigger needs a name, the ARN of a target and an event.")
		}
	}
	return nil
}

// GetDeploymentGroup returns a group.
func (s *Service) GetDeploymentGroup(ctx context.Context, in *codedeploy.GetDeploymentGroupInput, _ ...func(*options)) (*codedeploy.GetDeploymentGroupOutput, error) {
	g, err := s.group(ctx, in.ApplicationName, in.DeploymentGroupName)
	if err != nil {
		return nil, err
	}
	return &codedeploy.GetDeploymentGroupOutput{DeploymentGroupInfo: groupInfo(g)}, nil
}

// BatchGetDeploymentGroups returns groups of an application. Those that do not exist are named in the error message.
func (s *Service) BatchGetDeploymentGroups(ctx context.Context, in *codedeploy.BatchGetDeploymentGroupsInput, _ ...func(*options)) (*codedeploy.BatchGetDeploymentGroupsOutput, error) {
	if err := batch(in.DeploymentGroupNames, maxBatch, "deployment group names"); err != nil {
		return nil, err
	}
	out := &codedeploy.BatchGetDeploymentGroupsOutput{DeploymentGroupsInfo: []types.DeploymentGroupInfo{}}
	for _, name := range in.DeploymentGroupNames {
		g, err := s.group(ctx, in.ApplicationName, &name)
		if reasonOf(err) == "DeploymentGroupDoesNotExistException" {
			out.ErrorMessage = aws.String(strings.TrimSpace(aws.ToString(out.ErrorMessage) + " " + err.Error()))
			continue
		}
		if err != nil {
			return nil, err
		}
		out.DeploymentGroupsInfo = append(out.DeploymentGroupsInfo, *groupInfo(g))
	}
	return out, nil
}

// ListDeploymentGroups lists the names of an application's groups.
func (s *Service) ListDeploymentGroups(ctx context.Context, in *codedeploy.ListDeploymentGroupsInput, _ ...func(*options)) (*codedeploy.ListDeploymentGroupsOutput, error) {
	app, err := s.application(ctx, in.ApplicationName)
	if err != nil {
		return nil, err
	}
	groups, err := all[group](ctx, s, kindGroup, app.Name+separator)
	if err != nil {
		return nil, err
	}
	out := &codedeploy.ListDeploymentGroupsOutput{ApplicationName: &app.Name}
	out.DeploymentGroups, out.NextToken, err = page(namesOf(groups), in.NextToken, byName)
	return out, err
}

// UpdateDeploymentGroup changes a group; deployments that run keep to what it was.
func (s *Service) UpdateDeploymentGroup(ctx context.Context, in *codedeploy.UpdateDeploymentGroupInput, _ ...func(*options)) (*codedeploy.UpdateDeploymentGroupOutput, error) {
	hosts := len(in.AutoScalingGroups)+len(in.Ec2TagFilters)+len(in.EcsServices)+len(in.OnPremisesInstanceTagFilters) > 0 ||
		in.Ec2TagSet != nil || in.OnPremisesTagSet != nil || in.LoadBalancerInfo != nil
	if hosts {
		return nil, errHosts()
	}
	return &codedeploy.UpdateDeploymentGroupOutput{}, settled(ctx, func() error {
		g, err := s.group(ctx, in.ApplicationName, in.CurrentDeploymentGroupName)
		if err != nil {
			return err
		}
		if err := s.change(ctx, &g.value.Info, in); err != nil {
			return err
		}
		to := cmp.Or(aws.ToString(in.NewDeploymentGroupName), aws.ToString(in.CurrentDeploymentGroupName))
		if to == aws.ToString(in.CurrentDeploymentGroupName) {
			return s.save(ctx, g)
		}
		return s.renameGroup(ctx, g, to)
	})
}

func (s *Service) renameGroup(ctx context.Context, g *record[group], to string) error {
	if _, err := groupName(&to); err != nil {
		return err
	}
	application, from, _ := strings.Cut(g.Name, separator)
	if _, err := load[group](ctx, s, kindGroup, application, to); err == nil {
		return refuse("DeploymentGroupAlreadyExistsException", "A deployment group with the name %s already exists in the application %s.", to, application)
	}
	g.value.Info.DeploymentGroupName = &to
	moved, err := fresh(g.value, kindGroup, application, to).written()
	if err != nil {
		return err
	}
	documents := []store.Document{g.deleted(), moved}
	deployments, err := all[deployment](ctx, s, kindDeployment, "")
	if err != nil {
		return err
	}
	for _, d := range deployments {
		if d.value.Application != application || d.value.Group != from {
			continue
		}
		d.value.Group = to
		document, err := d.written()
		if err != nil {
			return err
		}
		documents = append(documents, document)
	}
	return s.Store.SaveDocuments(ctx, documents...)
}

// DeleteDeploymentGroup deletes a group. Its deployments go on, and stay on record. One that is not there is no error.
func (s *Service) DeleteDeploymentGroup(ctx context.Context, in *codedeploy.DeleteDeploymentGroupInput, _ ...func(*options)) (*codedeploy.DeleteDeploymentGroupOutput, error) {
	return &codedeploy.DeleteDeploymentGroupOutput{HooksNotCleanedUp: []types.AutoScalingGroup{}}, settled(ctx, func() error {
		g, err := s.group(ctx, in.ApplicationName, in.DeploymentGroupName)
		switch reasonOf(err) {
		case "DeploymentGroupDoesNotExistException", "ApplicationDoesNotExistException":
			return nil
		default:
		}
		if err != nil {
			return err
		}
		return s.Store.SaveDocuments(ctx, g.deleted())
	})
}
