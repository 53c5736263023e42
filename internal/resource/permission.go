package resource

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
)

// permissionProperties are those of AWS::Lambda::Permission.
type permissionProperties struct {
	Action                string `cfn:"required"`
	EventSourceToken      *string
	FunctionName          string                    `cfn:"required"`
	FunctionUrlAuthType   types.FunctionUrlAuthType //nolint:revive // named as in templates
	InvokedViaFunctionUrl *bool                     //nolint:revive // named as in templates
	Principal             string                    `cfn:"required"`
	PrincipalOrgID        *string
	SourceAccount         *string
	SourceArn             *string
}

// permissionType handles AWS::Lambda::Permission.
type permissionType struct{ Config }

func (c Config) permission() *Type {
	p := permissionType{c}
	return define(Type{Name: "AWS::Lambda::Permission", MaxName: 100, Attributes: []string{"Id"}},
		functions[permissionProperties]{create: p.create, delete: p.remove})
}

func (p permissionType) create(ctx context.Context, c *call[permissionProperties]) (Result, error) {
	in := &lambda.AddPermissionInput{}
	copyFields(in, &c.new)
	in.FunctionName, in.Action, in.Principal, in.StatementId = &c.new.FunctionName, &c.new.Action, &c.new.Principal, &c.PhysicalID
	if _, err := p.Lambda.AddPermission(ctx, in); err != nil && !c.mine(err) {
		return Result{}, err
	}
	return Result{PhysicalID: c.PhysicalID, Attributes: map[string]any{"Id": c.PhysicalID}}, nil
}

func (p permissionType) remove(ctx context.Context, c *call[permissionProperties]) (Result, error) {
	_, err := p.Lambda.RemovePermission(ctx, &lambda.RemovePermissionInput{FunctionName: &c.old.FunctionName, StatementId: &c.PhysicalID})
	return Result{}, err
}

// urlProperties are those of AWS::Lambda::Url.
type urlProperties struct {
	AuthType          types.FunctionUrlAuthType `cfn:"required"`
	Cors              *types.Cors
	InvokeMode        types.InvokeMode
	Qualifier         *string `cfn:"replace"`
	TargetFunctionArn string  `cfn:"required,replace"`
}

// urlType handles AWS::Lambda::Url.
type urlType struct{ Config }

func (c Config) url() *Type {
	u := urlType{c}
	return define(Type{Name: "AWS::Lambda::Url", Attributes: []string{"FunctionUrl", "FunctionArn"}},
		functions[urlProperties]{create: u.create, update: u.update, delete: u.remove})
}

func (u urlType) create(ctx context.Context, c *call[urlProperties]) (Result, error) {
	_, err := u.Lambda.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{
		FunctionName: &c.new.TargetFunctionArn, Qualifier: c.new.Qualifier, AuthType: c.new.AuthType, Cors: c.new.Cors, InvokeMode: c.new.InvokeMode,
	})
	if err != nil && !c.mine(err) {
		return Result{}, err
	}
	return u.result(ctx, &c.new)
}

func (u urlType) result(ctx context.Context, p *urlProperties) (Result, error) {
	out, err := u.Lambda.GetFunctionUrlConfig(ctx, &lambda.GetFunctionUrlConfigInput{FunctionName: &p.TargetFunctionArn, Qualifier: p.Qualifier})
	if err != nil {
		return Result{}, err
	}
	return Result{PhysicalID: deref(out.FunctionArn), Attributes: map[string]any{"FunctionUrl": deref(out.FunctionUrl), "FunctionArn": deref(out.FunctionArn)}}, nil
}

func (u urlType) update(ctx context.Context, c *call[urlProperties]) (Result, error) {
	in := &lambda.UpdateFunctionUrlConfigInput{
		FunctionName: &c.new.TargetFunctionArn, Qualifier: c.new.Qualifier, AuthType: c.new.AuthType, Cors: c.new.Cors, InvokeMode: c.new.InvokeMode,
	}
	if in.Cors == nil {
		in.Cors = &types.Cors{}
	}
	if in.InvokeMode == "" {
		in.InvokeMode = types.InvokeModeBuffered
	}
	if _, err := u.Lambda.UpdateFunctionUrlConfig(ctx, in); err != nil {
		return Result{}, err
	}
	return u.result(ctx, &c.new)
}

func (u urlType) remove(ctx context.Context, c *call[urlProperties]) (Result, error) {
	_, err := u.Lambda.DeleteFunctionUrlConfig(ctx, &lambda.DeleteFunctionUrlConfigInput{FunctionName: &c.old.TargetFunctionArn, Qualifier: c.old.Qualifier})
	return Result{}, err
}

// eventInvokeProperties are those of AWS::Lambda::EventInvokeConfig.
type eventInvokeProperties struct {
	DestinationConfig        *types.DestinationConfig
	FunctionName             string `cfn:"required,replace"`
	MaximumEventAgeInSeconds *int32
	MaximumRetryAttempts     *int32
	Qualifier                string `cfn:"required,replace"`
}

// eventInvokeType handles AWS::Lambda::EventInvokeConfig.
type eventInvokeType struct{ Config }

func (c Config) eventInvoke() *Type {
	e := eventInvokeType{c}
	return define(Type{Name: "AWS::Lambda::EventInvokeConfig"}, functions[eventInvokeProperties]{create: e.put, update: e.put, delete: e.remove})
}

func (e eventInvokeType) put(ctx context.Context, c *call[eventInvokeProperties]) (Result, error) {
	_, err := e.Lambda.PutFunctionEventInvokeConfig(ctx, &lambda.PutFunctionEventInvokeConfigInput{
		FunctionName: &c.new.FunctionName, Qualifier: &c.new.Qualifier, DestinationConfig: c.new.DestinationConfig,
		MaximumEventAgeInSeconds: c.new.MaximumEventAgeInSeconds, MaximumRetryAttempts: c.new.MaximumRetryAttempts,
	})
	if err != nil {
		return Result{}, err
	}
	return Result{PhysicalID: c.new.FunctionName + "|" + c.new.Qualifier}, nil
}

func (e eventInvokeType) remove(ctx context.Context, c *call[eventInvokeProperties]) (Result, error) {
	_, err := e.Lambda.DeleteFunctionEventInvokeConfig(ctx, &lambda.DeleteFunctionEventInvokeConfigInput{FunctionName: &c.old.FunctionName, Qualifier: &c.old.Qualifier})
	return Result{}, err
}

// eventSourceProperties are of AWS::Lambda::EventSourceMapping, which fails: nothing here would read the source.
type eventSourceProperties map[string]any

func (c Config) eventSource() *Type {
	refuse := func(context.Context, *call[eventSourceProperties]) (Result, error) {
		return Result{}, serin.Errorf(serin.KindNotImplemented, "Serin does not have event source mappings (AWS::Lambda::EventSourceMapping): nothing here reads queues and streams")
	}
	gone := func(context.Context, *call[eventSourceProperties]) (Result, error) { return Result{}, nil }
	return define(Type{Name: "AWS::Lambda::EventSourceMapping"}, functions[eventSourceProperties]{create: refuse, update: refuse, delete: gone})
}
