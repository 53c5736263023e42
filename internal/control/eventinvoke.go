package control

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
)

// PutFunctionEventInvokeConfig replaces how a function, a version or an alias handles asynchronous invocations.
func (c *Control) PutFunctionEventInvokeConfig(ctx context.Context, in *lambda.PutFunctionEventInvokeConfigInput, _ ...func(*lambda.Options)) (*lambda.PutFunctionEventInvokeConfigOutput, error) {
	f, e, q, err := c.setEventInvoke(ctx, (*lambda.UpdateFunctionEventInvokeConfigInput)(in), (*serin.Function).PutEventInvoke)
	if err != nil {
		return nil, err
	}
	out := lambda.PutFunctionEventInvokeConfigOutput(eventInvokeOutput(f, e, q))
	return &out, nil
}

// UpdateFunctionEventInvokeConfig changes how a function, a version or an alias handles asynchronous invocations.
func (c *Control) UpdateFunctionEventInvokeConfig(ctx context.Context, in *lambda.UpdateFunctionEventInvokeConfigInput, _ ...func(*lambda.Options)) (*lambda.UpdateFunctionEventInvokeConfigOutput, error) {
	f, e, q, err := c.setEventInvoke(ctx, in, (*serin.Function).UpdateEventInvoke)
	if err != nil {
		return nil, err
	}
	out := eventInvokeOutput(f, e, q)
	return &out, nil
}

type eventInvokeRule func(*serin.Function, serin.Change, string, serin.EventInvokeChange) (*serin.EventInvoke, error)

func (c *Control) setEventInvoke(ctx context.Context, in *lambda.UpdateFunctionEventInvokeConfigInput, rule eventInvokeRule) (*serin.Function, *serin.EventInvoke, string, error) {
	var v violations
	v.namespacedName(in.FunctionName)
	v.qualifier(in.Qualifier)
	v.between("maximumRetryAttempts", in.MaximumRetryAttempts, 0, 2)
	v.between("maximumEventAgeInSeconds", in.MaximumEventAgeInSeconds, 60, 21_600)
	ch := serin.EventInvokeChange{Retries: ints(in.MaximumRetryAttempts), EventAge: ints(in.MaximumEventAgeInSeconds)}
	if in.DestinationConfig != nil {
		ch.Destinations = destinations(&v, in.DestinationConfig)
	}
	ref, err := v.refWith(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, nil, "", err
	}
	var e *serin.EventInvoke
	missing := serin.Errorf(serin.KindNotFound, "The function doesn't exist.")
	if ch == (serin.EventInvokeChange{}) { // what the rule says as well, but AWS says it first
		missing = serin.Errorf(serin.KindInvalid, "You must specify at least one of error handling or destination setting.")
	}
	f, err := c.updateOr(ctx, ref.Function, missing, func(f *serin.Function) (err error) {
		if e, err = rule(f, c.change(ctx, serin.CauseManual), ref.Qualifier, ch); err != nil || ch.Destinations == nil {
			return err
		}
		for _, target := range []string{e.OnFailure, e.OnSuccess} {
			if err := c.checkDestination(f.Name, target); err != nil {
				return err
			}
		}
		return nil
	})
	return f, e, ref.Qualifier, err
}

func destinations(v *violations, in *types.DestinationConfig) *serin.Destinations {
	var d serin.Destinations
	if in.OnSuccess != nil {
		v.destination("destinationConfig.onSuccess.destination", in.OnSuccess.Destination)
		d.OnSuccess = deref(in.OnSuccess.Destination)
	}
	if in.OnFailure != nil {
		v.destination("destinationConfig.onFailure.destination", in.OnFailure.Destination)
		d.OnFailure = deref(in.OnFailure.Destination)
	}
	return &d
}

// GetFunctionEventInvokeConfig returns how a function, a version or an alias handles asynchronous invocations.
func (c *Control) GetFunctionEventInvokeConfig(_ context.Context, in *lambda.GetFunctionEventInvokeConfigInput, _ ...func(*lambda.Options)) (*lambda.GetFunctionEventInvokeConfigOutput, error) {
	var v violations
	v.namespacedName(in.FunctionName)
	v.qualifier(in.Qualifier)
	ref, err := v.refWith(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	f, err := c.functionOr(ref.Function, c.noEventInvoke(ref))
	if err != nil {
		return nil, err
	}
	e, err := f.EventInvokeAt(ref.Qualifier)
	if err != nil {
		return nil, err
	}
	out := lambda.GetFunctionEventInvokeConfigOutput(eventInvokeOutput(f, e, ref.Qualifier))
	return &out, nil
}

// DeleteFunctionEventInvokeConfig puts the handling of asynchronous invocations back to the defaults.
func (c *Control) DeleteFunctionEventInvokeConfig(ctx context.Context, in *lambda.DeleteFunctionEventInvokeConfigInput, _ ...func(*lambda.Options)) (*lambda.DeleteFunctionEventInvokeConfigOutput, error) {
	var v violations
	v.namespacedName(in.FunctionName)
	v.qualifier(in.Qualifier)
	ref, err := v.refWith(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	_, err = c.updateOr(ctx, ref.Function, c.noEventInvoke(ref), func(f *serin.Function) error { return f.DeleteEventInvoke(ref.Qualifier) })
	if err != nil {
		return nil, err
	}
	return &lambda.DeleteFunctionEventInvokeConfigOutput{}, nil
}

// ListFunctionEventInvokeConfigs returns how all qualifiers of a function handle asynchronous invocations.
func (c *Control) ListFunctionEventInvokeConfigs(_ context.Context, in *lambda.ListFunctionEventInvokeConfigsInput, _ ...func(*lambda.Options)) (*lambda.ListFunctionEventInvokeConfigsOutput, error) {
	var v violations
	v.namespacedName(in.FunctionName)
	v.maxAttached(in.MaxItems)
	ref, err := v.refOr(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	f, err := c.functionOr(ref.Function, serin.Errorf(serin.KindNotFound, "The function doesn't exist."))
	if err != nil {
		return nil, err
	}
	page, next, err := attachedPage(f, func(a serin.Attachments) bool { return a.EventInvoke != nil }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListFunctionEventInvokeConfigsOutput{NextMarker: next}
	for _, q := range page {
		o := eventInvokeOutput(f, f.At(q).EventInvoke, q)
		out.FunctionEventInvokeConfigs = append(out.FunctionEventInvokeConfigs, types.FunctionEventInvokeConfig{
			DestinationConfig: o.DestinationConfig, FunctionArn: o.FunctionArn, LastModified: o.LastModified,
			MaximumEventAgeInSeconds: o.MaximumEventAgeInSeconds, MaximumRetryAttempts: o.MaximumRetryAttempts,
		})
	}
	return out, nil
}

func (c *Control) noEventInvoke(ref serin.Ref) error {
	return serin.NoEventInvoke(c.Place.FunctionARN(ref.Function, ""), ref.Qualifier)
}

// eventInvokeOutput is the shape of the handling of asynchronous invocations. The ARN is always qualified, and
// destinations are always there, if need be empty.
func eventInvokeOutput(f *serin.Function, e *serin.EventInvoke, qualifier string) lambda.UpdateFunctionEventInvokeConfigOutput {
	if qualifier == "" {
		qualifier = serin.Latest.String()
	}
	out := lambda.UpdateFunctionEventInvokeConfigOutput{
		FunctionArn: new(f.QualifiedARN(qualifier)), LastModified: &e.LastModified,
		MaximumEventAgeInSeconds: int32s(e.EventAge), MaximumRetryAttempts: int32s(e.Retries),
		DestinationConfig: &types.DestinationConfig{OnSuccess: &types.OnSuccess{}, OnFailure: &types.OnFailure{}},
	}
	if e.OnSuccess != "" {
		out.DestinationConfig.OnSuccess.Destination = &e.OnSuccess
	}
	if e.OnFailure != "" {
		out.DestinationConfig.OnFailure.Destination = &e.OnFailure
	}
	return out
}
