package resource

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
)

// aliasProperties are those of AWS::Lambda::Alias.
type aliasProperties struct {
	Description                  *string
	FunctionName                 string `cfn:"required,replace"`
	FunctionVersion              string `cfn:"required"`
	Name                         string `cfn:"required,replace"`
	ProvisionedConcurrencyConfig *provisionedConcurrency
	RoutingConfig                *aliasRouting
}

// aliasRouting is how templates write weights: as a list, not as the map of the API.
type aliasRouting struct {
	AdditionalVersionWeights []versionWeight
}

type versionWeight struct {
	FunctionVersion string  `cfn:"required"`
	FunctionWeight  float64 `cfn:"required"`
}

// aliasType handles AWS::Lambda::Alias.
type aliasType struct{ Config }

func (c Config) alias() *Type {
	a := aliasType{c}
	return define(Type{Name: "AWS::Lambda::Alias", Attributes: []string{"AliasArn"}},
		functions[aliasProperties]{create: a.create, update: a.update, delete: a.remove})
}

func (p *aliasProperties) routing() (*types.AliasRoutingConfiguration, error) {
	weights := map[string]float64{}
	if p.RoutingConfig != nil {
		for _, w := range p.RoutingConfig.AdditionalVersionWeights {
			if _, twice := weights[w.FunctionVersion]; twice {
				return nil, serin.Errorf(serin.KindInvalid, "Version %s is there twice in AdditionalVersionWeights", clip(w.FunctionVersion))
			}
			weights[w.FunctionVersion] = w.FunctionWeight
		}
	}
	return &types.AliasRoutingConfiguration{AdditionalVersionWeights: weights}, nil
}

func (a aliasType) create(ctx context.Context, c *call[aliasProperties]) (Result, error) {
	routing, err := c.new.routing()
	if err != nil {
		return Result{}, err
	}
	_, err = a.Lambda.CreateAlias(ctx, &lambda.CreateAliasInput{
		FunctionName: &c.new.FunctionName, Name: &c.new.Name, FunctionVersion: &c.new.FunctionVersion, Description: c.new.Description, RoutingConfig: routing,
	})
	if err != nil && !c.mine(err) {
		return Result{}, err
	}
	r, err := a.result(c)
	if err == nil {
		err = a.provision(ctx, c)
	}
	return r, err
}

func (a aliasType) result(c *call[aliasProperties]) (Result, error) {
	ref, err := a.Place.ParseRef(c.new.FunctionName, "")
	if err != nil {
		return Result{}, err
	}
	arn := a.Place.FunctionARN(ref.Function, c.new.Name)
	return Result{PhysicalID: arn, Attributes: map[string]any{"AliasArn": arn}}, nil
}

// provision brings the provisioned concurrency to what the properties say.
func (a aliasType) provision(ctx context.Context, c *call[aliasProperties]) error {
	name, qualifier := &c.new.FunctionName, &c.new.Name
	if p := c.new.ProvisionedConcurrencyConfig; p != nil {
		_, err := a.Lambda.PutProvisionedConcurrencyConfig(ctx, &lambda.PutProvisionedConcurrencyConfigInput{
			FunctionName: name, Qualifier: qualifier, ProvisionedConcurrentExecutions: &p.ProvisionedConcurrentExecutions,
		})
		return err
	}
	if c.old.ProvisionedConcurrencyConfig == nil {
		return nil
	}
	_, err := a.Lambda.DeleteProvisionedConcurrencyConfig(ctx, &lambda.DeleteProvisionedConcurrencyConfigInput{FunctionName: name, Qualifier: qualifier})
	return err
}

func (a aliasType) update(ctx context.Context, c *call[aliasProperties]) (Result, error) {
	routing, err := c.new.routing()
	if err != nil {
		return Result{}, err
	}
	if c.Policy["CodeDeployLambdaAliasUpdate"] != nil && !c.RollingBack && c.old.FunctionVersion != c.new.FunctionVersion {
		return Result{}, serin.Errorf(serin.KindNotImplemented, "Serin does not have the UpdatePolicy CodeDeployLambdaAliasUpdate in templates; move the alias with serin ship")
	}
	in := &lambda.UpdateAliasInput{
		FunctionName: &c.new.FunctionName, Name: &c.new.Name, FunctionVersion: &c.new.FunctionVersion, Description: new(deref(c.new.Description)), RoutingConfig: routing,
	}
	if _, err := a.Lambda.UpdateAlias(ctx, in); err != nil {
		return Result{}, err
	}
	r, err := a.result(c)
	if err == nil {
		err = a.provision(ctx, c)
	}
	return r, err
}

func (a aliasType) remove(ctx context.Context, c *call[aliasProperties]) (Result, error) {
	_, err := a.Lambda.DeleteAlias(ctx, &lambda.DeleteAliasInput{FunctionName: &c.old.FunctionName, Name: &c.old.Name})
	return Result{}, err
}
