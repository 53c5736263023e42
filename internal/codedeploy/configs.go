package codedeploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"serin"
	"serin/internal/store"
)

// Prefixes of the names of predefined configurations, and the one that deployments get who name none.
const (
	awsPrefix     = "CodeDeployDefault."
	serinPrefix   = "Serin."
	defaultConfig = awsPrefix + "LambdaAllAtOnce"
)

const (
	maxConfigs     = 200
	maxShiftTime   = 2880 // minutes from the first shift of the traffic to the last
	maxShiftWeight = 99   // percent of one shift
)

// evidenceConfigs are the configurations whose pace is the engine's evidence.
func evidenceConfigs() map[string]serin.Policy {
	hold, back := serin.DefaultPolicy(), serin.DefaultPolicy()
	back.OnBlind = serin.BlindRollback
	return map[string]serin.Policy{serinPrefix + "Evidence": hold, serinPrefix + "EvidenceOrRollback": back}
}

// predefined returns the configurations that are always there, by name.
func predefined() map[string]*types.DeploymentConfigInfo {
	infos := map[string]*types.DeploymentConfigInfo{}
	add := func(name string, routing *types.TrafficRoutingConfig) {
		infos[name] = &types.DeploymentConfigInfo{
			DeploymentConfigName: &name, ComputePlatform: types.ComputePlatformLambda, TrafficRoutingConfig: routing,
			DeploymentConfigId: aws.String(fmt.Sprintf("00000000-0000-0000-0000-%012d", len(infos)+1)),
		}
	}
	for _, p := range serin.Presets() {
		routing := &types.TrafficRoutingConfig{Type: types.TrafficRoutingTypeAllAtOnce}
		minutes := int32(time.Duration(p.Bake).Minutes())
		switch {
		case strings.HasPrefix(p.Name, "Canary"):
			routing = canary(int32(p.Steps[0]), minutes)
		case strings.HasPrefix(p.Name, "Linear"):
			routing = linear(int32(p.Steps[0]), minutes)
		default:
		}
		add(awsPrefix+"Lambda"+p.Name, routing)
	}
	evidence := evidenceConfigs()
	for _, name := range []string{serinPrefix + "Evidence", serinPrefix + "EvidenceOrRollback"} {
		p := evidence[name] // CodeDeploy has no words for it: the first step, and how long it may wait for evidence
		add(name, canary(int32(p.Steps[0]), int32(time.Duration(p.MaxWait).Minutes())))
	}
	return infos
}

func canary(percent, minutes int32) *types.TrafficRoutingConfig {
	return &types.TrafficRoutingConfig{
		Type: types.TrafficRoutingTypeTimeBasedCanary, TimeBasedCanary: &types.TimeBasedCanary{CanaryPercentage: percent, CanaryInterval: minutes},
	}
}

func linear(percent, minutes int32) *types.TrafficRoutingConfig {
	return &types.TrafficRoutingConfig{
		Type: types.TrafficRoutingTypeTimeBasedLinear, TimeBasedLinear: &types.TimeBasedLinear{LinearPercentage: percent, LinearInterval: minutes},
	}
}

// policyOf returns the pace of a configuration as a policy.
func policyOf(info *types.DeploymentConfigInfo) serin.Policy {
	if p, ok := evidenceConfigs()[*info.DeploymentConfigName]; ok {
		return p
	}
	p := serin.DefaultPolicy()
	p.Steps, p.Pace = []float64{100}, serin.PaceTime
	if name, ok := strings.CutPrefix(*info.DeploymentConfigName, awsPrefix+"Lambda"); ok {
		p.Preset = name
	}
	minutes := int32(0)
	switch t := info.TrafficRoutingConfig; t.Type {
	case types.TrafficRoutingTypeTimeBasedCanary:
		p.Steps, minutes = []float64{float64(t.TimeBasedCanary.CanaryPercentage), 100}, t.TimeBasedCanary.CanaryInterval
	case types.TrafficRoutingTypeTimeBasedLinear:
		p.Steps = nil
		for step := t.TimeBasedLinear.LinearPercentage; step < 100; step += t.TimeBasedLinear.LinearPercentage {
			p.Steps = append(p.Steps, float64(step))
		}
		p.Steps, minutes = append(p.Steps, 100), t.TimeBasedLinear.LinearInterval
	case types.TrafficRoutingTypeAllAtOnce:
	}
	p.Bake = serin.Duration(time.Duration(minutes) * time.Minute)
	return p
}

func configName(name *string) (string, error) {
	return checkName(name, "deployment configuration name", "DeploymentConfigNameRequiredException", "InvalidDeploymentConfigNameException")
}

// config returns a configuration that must exist.
func (s *Service) config(ctx context.Context, given *string) (*types.DeploymentConfigInfo, error) {
	name, err := configName(given)
	if err != nil {
		return nil, err
	}
	if info, ok := predefined()[name]; ok {
		return info, nil
	}
	c, err := load[types.DeploymentConfigInfo](ctx, s, kindConfig, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse("DeploymentConfigDoesNotExistException", "No deployment configuration found for name: %s", name)
	}
	if err != nil {
		return nil, err
	}
	return &c.value, nil
}

// CreateDeploymentConfig makes a configuration, which never changes.
func (s *Service) CreateDeploymentConfig(ctx context.Context, in *codedeploy.CreateDeploymentConfigInput, _ ...func(*options)) (*codedeploy.CreateDeploymentConfigOutput, error) {
	name, err := configName(in.DeploymentConfigName)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(name, awsPrefix) || strings.HasPrefix(name, serinPrefix) {
		return nil, refuse("InvalidDeploymentConfigNameException", "Names that begin with %s or %s are reserved for predefined deployment configurations.", awsPrefix, serinPrefix)
	}
	if err := checkPlatform(in.ComputePlatform); err != nil {
		return nil, err
	}
	if in.MinimumHealthyHosts != nil || in.ZonalConfig != nil {
		return nil, refuse("InvalidMinimumHealthyHostValueException", "Functions have no hosts: minimumHealthyHosts and zonalConfig are for the compute platform Server.")
	}
	if err := checkRouting(in.TrafficRoutingConfig); err != nil {
		return nil, err
	}
	kept, err := all[types.DeploymentConfigInfo](ctx, s, kindConfig, "")
	if err != nil {
		return nil, err
	}
	if len(kept) >= maxConfigs {
		return nil, refuse("DeploymentConfigLimitExceededException", "There are %d deployment configurations already; at most %d.", len(kept), maxConfigs)
	}
	c := fresh(types.DeploymentConfigInfo{
		DeploymentConfigId: new(s.NewID()), DeploymentConfigName: &name, ComputePlatform: types.ComputePlatformLambda,
		CreateTime: new(s.now()), TrafficRoutingConfig: in.TrafficRoutingConfig,
	}, kindConfig, name)
	err = s.save(ctx, c)
	if errors.Is(err, store.ErrExists) {
		return nil, refuse("DeploymentConfigAlreadyExistsException", "A deployment configuration with the name %s already exists.", name)
	}
	if err != nil {
		return nil, err
	}
	return &codedeploy.CreateDeploymentConfigOutput{DeploymentConfigId: c.value.DeploymentConfigId}, nil
}

func checkRouting(t *types.TrafficRoutingConfig) error {
	const invalid = "InvalidTrafficRoutingConfigurationException"
	if t == nil {
		return refuse(invalid, "The trafficRoutingConfig must be specified.")
	}
	var percent, minutes, shifts int32
	switch t.Type {
	case types.TrafficRoutingTypeAllAtOnce:
		if t.TimeBasedCanary != nil || t.TimeBasedLinear != nil {
			return refuse(invalid, "AllAtOnce takes neither timeBasedCanary nor timeBasedLinear.")
		}
		return nil
	case types.TrafficRoutingTypeTimeBasedCanary:
		if t.TimeBasedCanary == nil || t.TimeBasedLinear != nil {
			return refuse(invalid, "TimeBasedCanary takes timeBasedCanary and nothing else.")
		}
		percent, minutes, shifts = t.TimeBasedCanary.CanaryPercentage, t.TimeBasedCanary.CanaryInterval, 1
	case types.TrafficRoutingTypeTimeBasedLinear:
		if t.TimeBasedLinear == nil || t.TimeBasedCanary != nil {
			return refuse(invalid, "TimeBasedLinear takes timeBasedLinear and nothing else.")
		}
		percent, minutes = t.TimeBasedLinear.LinearPercentage, t.TimeBasedLinear.LinearInterval
		shifts = (100 + max(percent, 1) - 1) / max(percent, 1)
		shifts--
	default:
		return refuse(invalid, "The type of the trafficRoutingConfig must be TimeBasedCanary, TimeBasedLinear or AllAtOnce, not %s.", cmp.Or(clip(string(t.Type)), "nothing"))
	}
	switch {
	case percent < 1 || percent > maxShiftWeight:
		return refuse(invalid, "The percentage must be between 1 and %d, not %d.", maxShiftWeight, percent)
	case minutes < 1 || int64(minutes)*int64(shifts) > maxShiftTime:
		return refuse(invalid, "The interval must be at least a minute, and the last of the traffic must be shifted at most %d minutes after the first.", maxShiftTime)
	}
	return nil
}

// GetDeploymentConfig returns a configuration.
func (s *Service) GetDeploymentConfig(ctx context.Context, in *codedeploy.GetDeploymentConfigInput, _ ...func(*options)) (*codedeploy.GetDeploymentConfigOutput, error) {
	info, err := s.config(ctx, in.DeploymentConfigName)
	if err != nil {
		return nil, err
	}
	return &codedeploy.GetDeploymentConfigOutput{DeploymentConfigInfo: info}, nil
}

// ListDeploymentConfigs lists the names of all configurations.
func (s *Service) ListDeploymentConfigs(ctx context.Context, in *codedeploy.ListDeploymentConfigsInput, _ ...func(*options)) (*codedeploy.ListDeploymentConfigsOutput, error) {
	kept, err := all[types.DeploymentConfigInfo](ctx, s, kindConfig, "")
	if err != nil {
		return nil, err
	}
	names := namesOf(kept)
	for name := range predefined() {
		names = append(names, name)
	}
	slices.Sort(names)
	out := &codedeploy.ListDeploymentConfigsOutput{}
	out.DeploymentConfigsList, out.NextToken, err = page(names, in.NextToken, byName)
	return out, err
}

// DeleteDeploymentConfig deletes a configuration that no group has and that is not predefined. One that is not there is no
// error.
func (s *Service) DeleteDeploymentConfig(ctx context.Context, in *codedeploy.DeleteDeploymentConfigInput, _ ...func(*options)) (*codedeploy.DeleteDeploymentConfigOutput, error) {
	name, err := configName(in.DeploymentConfigName)
	if err != nil {
		return nil, err
	}
	if _, ok := predefined()[name]; ok {
		return nil, refuse("InvalidOperationException", "%s is predefined and cannot be deleted.", name)
	}
	return &codedeploy.DeleteDeploymentConfigOutput{}, settled(ctx, func() error {
		c, err := load[types.DeploymentConfigInfo](ctx, s, kindConfig, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		groups, err := all[group](ctx, s, kindGroup, "")
		if err != nil {
			return err
		}
		for _, g := range groups {
			if aws.ToString(g.value.Info.DeploymentConfigName) == name {
				return refuse("DeploymentConfigInUseException", "The deployment configuration %s is in use by the deployment group %s.", name, aws.ToString(g.value.Info.DeploymentGroupName))
			}
		}
		return s.Store.SaveDocuments(ctx, c.deleted())
	})
}
