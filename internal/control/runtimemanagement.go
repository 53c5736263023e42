package control

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
)

const (
	runtimeVersionPattern = `arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso(b?)))?-[a-z]+-\d{1}::runtime:.+`
	unqualifiedPattern    = `(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)`
)

var (
	runtimeVersionExpression = whole(runtimeVersionPattern)
	unqualifiedExpression    = whole(unqualifiedPattern)
)

// PutRuntimeManagementConfig says when the runtime of a version may change.
func (c *Control) PutRuntimeManagementConfig(ctx context.Context, in *lambda.PutRuntimeManagementConfigInput, _ ...func(*lambda.Options)) (*lambda.PutRuntimeManagementConfigOutput, error) {
	var v violations
	v.namespacedName(in.FunctionName)
	v.qualifier(in.Qualifier)
	if in.UpdateRuntimeOn == "" {
		v.missing("updateRuntimeOn")
	}
	v.oneOf("updateRuntimeOn", string(in.UpdateRuntimeOn), "Auto", "Manual", "FunctionUpdate")
	v.text("runtimeVersionArn", in.RuntimeVersionArn, maxARN, runtimeVersionExpression, runtimeVersionPattern)
	ref, err := v.refWith(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	m := serin.RuntimeManagement{UpdateOn: string(in.UpdateRuntimeOn), RuntimeVersionARN: deref(in.RuntimeVersionArn)}
	f, err := c.update(ctx, ref.Function, ref.Qualifier, func(f *serin.Function) error {
		version, _, err := f.Resolve(ref.Qualifier)
		if err != nil {
			return err
		}
		return f.PutRuntimeManagement(ref.Qualifier, m, c.runtimeVersion(version.Config.Runtime))
	})
	if err != nil {
		return nil, err
	}
	out := runtimeManagementOutput(f, ref.Qualifier, m)
	return &lambda.PutRuntimeManagementConfigOutput{
		FunctionArn: out.FunctionArn, RuntimeVersionArn: out.RuntimeVersionArn, UpdateRuntimeOn: out.UpdateRuntimeOn,
	}, nil
}

// GetRuntimeManagementConfig returns when the runtime of a version may change.
func (c *Control) GetRuntimeManagementConfig(_ context.Context, in *lambda.GetRuntimeManagementConfigInput, _ ...func(*lambda.Options)) (*lambda.GetRuntimeManagementConfigOutput, error) {
	var v violations
	v.namespacedName(in.FunctionName)
	v.qualifier(in.Qualifier)
	ref, err := v.refWith(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	f, err := c.function(ref.Function, ref.Qualifier)
	if err != nil {
		return nil, err
	}
	m, err := f.RuntimeManagementAt(ref.Qualifier)
	if err != nil {
		return nil, err
	}
	return runtimeManagementOutput(f, ref.Qualifier, m), nil
}

func runtimeManagementOutput(f *serin.Function, qualifier string, m serin.RuntimeManagement) *lambda.GetRuntimeManagementConfigOutput {
	out := &lambda.GetRuntimeManagementConfigOutput{UpdateRuntimeOn: types.UpdateRuntimeOn(m.UpdateOn), FunctionArn: new(f.ARN)}
	if qualifier != "" {
		out.FunctionArn = new(f.QualifiedARN(qualifier))
	}
	if m.RuntimeVersionARN != "" {
		out.RuntimeVersionArn = &m.RuntimeVersionARN
	}
	return out
}

// runtimeVersion returns the ARN of the runtime version that runs a runtime, or "" for one that packages bring.
func (c *Control) runtimeVersion(runtime string) string {
	if !managed(runtime) {
		return ""
	}
	return "arn:aws:lambda:" + c.Place.Region + "::runtime:" + runtime
}

// PutFunctionRecursionConfig says what to do with a function that calls itself.
func (c *Control) PutFunctionRecursionConfig(ctx context.Context, in *lambda.PutFunctionRecursionConfigInput, _ ...func(*lambda.Options)) (*lambda.PutFunctionRecursionConfigOutput, error) {
	var v violations
	if in.RecursiveLoop == "" {
		v.missing("recursiveLoop")
	}
	v.oneOf("recursiveLoop", string(in.RecursiveLoop), serin.RecursiveLoopAllow, serin.RecursiveLoopTerminate)
	ref, err := v.unqualifiedRef(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	_, err = c.update(ctx, ref.Function, "", func(f *serin.Function) error {
		f.RecursiveLoop = string(in.RecursiveLoop)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &lambda.PutFunctionRecursionConfigOutput{RecursiveLoop: in.RecursiveLoop}, nil
}

// GetFunctionRecursionConfig returns what to do with a function that calls itself.
func (c *Control) GetFunctionRecursionConfig(_ context.Context, in *lambda.GetFunctionRecursionConfigInput, _ ...func(*lambda.Options)) (*lambda.GetFunctionRecursionConfigOutput, error) {
	var v violations
	ref, err := v.unqualifiedRef(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	f, err := c.function(ref.Function, "")
	if err != nil {
		return nil, err
	}
	return &lambda.GetFunctionRecursionConfigOutput{RecursiveLoop: types.RecursiveLoop(f.RecursiveLoopSetting())}, nil
}

// GetFunctionCodeSigningConfig says that no signature is asked for: the answer of AWS for a function without a
// code signing configuration, which Serin does not have. Terraform asks for every function.
func (c *Control) GetFunctionCodeSigningConfig(_ context.Context, in *lambda.GetFunctionCodeSigningConfigInput, _ ...func(*lambda.Options)) (*lambda.GetFunctionCodeSigningConfigOutput, error) {
	var v violations
	v.namespacedName(in.FunctionName)
	ref, err := v.refOr(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if _, err := c.function(ref.Function, ""); err != nil {
		return nil, err
	}
	return &lambda.GetFunctionCodeSigningConfigOutput{}, nil
}

// unqualifiedRef is for operations whose model allows no qualifier in the name.
func (v *violations) unqualifiedRef(c *Control, name *string) (serin.Ref, error) {
	v.required("functionName", name)
	v.text("functionName", name, 140, unqualifiedExpression, unqualifiedPattern)
	return v.refOr(c, name)
}
