package awsapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

func (f *fakeLambda) AddPermission(ctx context.Context, in *lambda.AddPermissionInput, _ ...options) (*lambda.AddPermissionOutput, error) {
	return answer[lambda.AddPermissionOutput](ctx, f, in)
}

func (f *fakeLambda) RemovePermission(ctx context.Context, in *lambda.RemovePermissionInput, _ ...options) (*lambda.RemovePermissionOutput, error) {
	return answer[lambda.RemovePermissionOutput](ctx, f, in)
}

func (f *fakeLambda) GetPolicy(ctx context.Context, in *lambda.GetPolicyInput, _ ...options) (*lambda.GetPolicyOutput, error) {
	return answer[lambda.GetPolicyOutput](ctx, f, in)
}

func (f *fakeLambda) PutFunctionConcurrency(ctx context.Context, in *lambda.PutFunctionConcurrencyInput, _ ...options) (*lambda.PutFunctionConcurrencyOutput, error) {
	return answer[lambda.PutFunctionConcurrencyOutput](ctx, f, in)
}

func (f *fakeLambda) GetFunctionConcurrency(ctx context.Context, in *lambda.GetFunctionConcurrencyInput, _ ...options) (*lambda.GetFunctionConcurrencyOutput, error) {
	return answer[lambda.GetFunctionConcurrencyOutput](ctx, f, in)
}

func (f *fakeLambda) DeleteFunctionConcurrency(ctx context.Context, in *lambda.DeleteFunctionConcurrencyInput, _ ...options) (*lambda.DeleteFunctionConcurrencyOutput, error) {
	return answer[lambda.DeleteFunctionConcurrencyOutput](ctx, f, in)
}

func (f *fakeLambda) PutProvisionedConcurrencyConfig(ctx context.Context, in *lambda.PutProvisionedConcurrencyConfigInput, _ ...options) (*lambda.PutProvisionedConcurrencyConfigOutput, error) {
	return answer[lambda.PutProvisionedConcurrencyConfigOutput](ctx, f, in)
}

func (f *fakeLambda) GetProvisionedConcurrencyConfig(ctx context.Context, in *lambda.GetProvisionedConcurrencyConfigInput, _ ...options) (*lambda.GetProvisionedConcurrencyConfigOutput, error) {
	return answer[lambda.GetProvisionedConcurrencyConfigOutput](ctx, f, in)
}

func (f *fakeLambda) DeleteProvisionedConcurrencyConfig(ctx context.Context, in *lambda.DeleteProvisionedConcurrencyConfigInput, _ ...options) (*lambda.DeleteProvisionedConcurrencyConfigOutput, error) {
	return answer[lambda.DeleteProvisionedConcurrencyConfigOutput](ctx, f, in)
}

func (f *fakeLambda) ListProvisionedConcurrencyConfigs(ctx context.Context, in *lambda.ListProvisionedConcurrencyConfigsInput, _ ...options) (*lambda.ListProvisionedConcurrencyConfigsOutput, error) {
	return answer[lambda.ListProvisionedConcurrencyConfigsOutput](ctx, f, in)
}

func (f *fakeLambda) PutFunctionEventInvokeConfig(ctx context.Context, in *lambda.PutFunctionEventInvokeConfigInput, _ ...options) (*lambda.PutFunctionEventInvokeConfigOutput, error) {
	return answer[lambda.PutFunctionEventInvokeConfigOutput](ctx, f, in)
}

func (f *fakeLambda) UpdateFunctionEventInvokeConfig(ctx context.Context, in *lambda.UpdateFunctionEventInvokeConfigInput, _ ...options) (*lambda.UpdateFunctionEventInvokeConfigOutput, error) {
	return answer[lambda.UpdateFunctionEventInvokeConfigOutput](ctx, f, in)
}

func (f *fakeLambda) GetFunctionEventInvokeConfig(ctx context.Context, in *lambda.GetFunctionEventInvokeConfigInput, _ ...options) (*lambda.GetFunctionEventInvokeConfigOutput, error) {
	return answer[lambda.GetFunctionEventInvokeConfigOutput](ctx, f, in)
}

func (f *fakeLambda) DeleteFunctionEventInvokeConfig(ctx context.Context, in *lambda.DeleteFunctionEventInvokeConfigInput, _ ...options) (*lambda.DeleteFunctionEventInvokeConfigOutput, error) {
	return answer[lambda.DeleteFunctionEventInvokeConfigOutput](ctx, f, in)
}

func (f *fakeLambda) ListFunctionEventInvokeConfigs(ctx context.Context, in *lambda.ListFunctionEventInvokeConfigsInput, _ ...options) (*lambda.ListFunctionEventInvokeConfigsOutput, error) {
	return answer[lambda.ListFunctionEventInvokeConfigsOutput](ctx, f, in)
}

func (f *fakeLambda) CreateFunctionUrlConfig(ctx context.Context, in *lambda.CreateFunctionUrlConfigInput, _ ...options) (*lambda.CreateFunctionUrlConfigOutput, error) { //nolint:revive // named as in the SDK
	return answer[lambda.CreateFunctionUrlConfigOutput](ctx, f, in)
}

func (f *fakeLambda) UpdateFunctionUrlConfig(ctx context.Context, in *lambda.UpdateFunctionUrlConfigInput, _ ...options) (*lambda.UpdateFunctionUrlConfigOutput, error) { //nolint:revive // named as in the SDK
	return answer[lambda.UpdateFunctionUrlConfigOutput](ctx, f, in)
}

func (f *fakeLambda) GetFunctionUrlConfig(ctx context.Context, in *lambda.GetFunctionUrlConfigInput, _ ...options) (*lambda.GetFunctionUrlConfigOutput, error) { //nolint:revive // named as in the SDK
	return answer[lambda.GetFunctionUrlConfigOutput](ctx, f, in)
}

func (f *fakeLambda) DeleteFunctionUrlConfig(ctx context.Context, in *lambda.DeleteFunctionUrlConfigInput, _ ...options) (*lambda.DeleteFunctionUrlConfigOutput, error) { //nolint:revive // named as in the SDK
	return answer[lambda.DeleteFunctionUrlConfigOutput](ctx, f, in)
}

func (f *fakeLambda) ListFunctionUrlConfigs(ctx context.Context, in *lambda.ListFunctionUrlConfigsInput, _ ...options) (*lambda.ListFunctionUrlConfigsOutput, error) { //nolint:revive // named as in the SDK
	return answer[lambda.ListFunctionUrlConfigsOutput](ctx, f, in)
}

func (f *fakeLambda) PutRuntimeManagementConfig(ctx context.Context, in *lambda.PutRuntimeManagementConfigInput, _ ...options) (*lambda.PutRuntimeManagementConfigOutput, error) {
	return answer[lambda.PutRuntimeManagementConfigOutput](ctx, f, in)
}

func (f *fakeLambda) GetRuntimeManagementConfig(ctx context.Context, in *lambda.GetRuntimeManagementConfigInput, _ ...options) (*lambda.GetRuntimeManagementConfigOutput, error) {
	return answer[lambda.GetRuntimeManagementConfigOutput](ctx, f, in)
}

func (f *fakeLambda) PutFunctionRecursionConfig(ctx context.Context, in *lambda.PutFunctionRecursionConfigInput, _ ...options) (*lambda.PutFunctionRecursionConfigOutput, error) {
	return answer[lambda.PutFunctionRecursionConfigOutput](ctx, f, in)
}

func (f *fakeLambda) GetFunctionRecursionConfig(ctx context.Context, in *lambda.GetFunctionRecursionConfigInput, _ ...options) (*lambda.GetFunctionRecursionConfigOutput, error) {
	return answer[lambda.GetFunctionRecursionConfigOutput](ctx, f, in)
}

func (f *fakeLambda) GetFunctionCodeSigningConfig(ctx context.Context, in *lambda.GetFunctionCodeSigningConfigInput, _ ...options) (*lambda.GetFunctionCodeSigningConfigOutput, error) {
	return answer[lambda.GetFunctionCodeSigningConfigOutput](ctx, f, in)
}

func (f *fakeLambda) PublishLayerVersion(ctx context.Context, in *lambda.PublishLayerVersionInput, _ ...options) (*lambda.PublishLayerVersionOutput, error) {
	return answer[lambda.PublishLayerVersionOutput](ctx, f, in)
}

func (f *fakeLambda) GetLayerVersion(ctx context.Context, in *lambda.GetLayerVersionInput, _ ...options) (*lambda.GetLayerVersionOutput, error) {
	return answer[lambda.GetLayerVersionOutput](ctx, f, in)
}

func (f *fakeLambda) GetLayerVersionByArn(ctx context.Context, in *lambda.GetLayerVersionByArnInput, _ ...options) (*lambda.GetLayerVersionByArnOutput, error) {
	return answer[lambda.GetLayerVersionByArnOutput](ctx, f, in)
}

func (f *fakeLambda) ListLayers(ctx context.Context, in *lambda.ListLayersInput, _ ...options) (*lambda.ListLayersOutput, error) {
	return answer[lambda.ListLayersOutput](ctx, f, in)
}

func (f *fakeLambda) ListLayerVersions(ctx context.Context, in *lambda.ListLayerVersionsInput, _ ...options) (*lambda.ListLayerVersionsOutput, error) {
	return answer[lambda.ListLayerVersionsOutput](ctx, f, in)
}

func (f *fakeLambda) DeleteLayerVersion(ctx context.Context, in *lambda.DeleteLayerVersionInput, _ ...options) (*lambda.DeleteLayerVersionOutput, error) {
	return answer[lambda.DeleteLayerVersionOutput](ctx, f, in)
}

func (f *fakeLambda) AddLayerVersionPermission(ctx context.Context, in *lambda.AddLayerVersionPermissionInput, _ ...options) (*lambda.AddLayerVersionPermissionOutput, error) {
	return answer[lambda.AddLayerVersionPermissionOutput](ctx, f, in)
}

func (f *fakeLambda) RemoveLayerVersionPermission(ctx context.Context, in *lambda.RemoveLayerVersionPermissionInput, _ ...options) (*lambda.RemoveLayerVersionPermissionOutput, error) {
	return answer[lambda.RemoveLayerVersionPermissionOutput](ctx, f, in)
}

func (f *fakeLambda) GetLayerVersionPolicy(ctx context.Context, in *lambda.GetLayerVersionPolicyInput, _ ...options) (*lambda.GetLayerVersionPolicyOutput, error) {
	return answer[lambda.GetLayerVersionPolicyOutput](ctx, f, in)
}
