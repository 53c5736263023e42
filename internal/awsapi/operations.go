package awsapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/schemas"
	"github.com/aws/smithy-go"

	"serin"
)

// Lambda is what serves the control-plane operations. Its methods are those of the SDK's client, so that a
// backend in process and a client of a remote service are the same to a caller. They get no options, the
// context names the actor ([serin.ActorFrom]), and they report what the caller did wrong as a [serin.Error].
type Lambda interface {
	CreateFunction(context.Context, *lambda.CreateFunctionInput, ...func(*lambda.Options)) (*lambda.CreateFunctionOutput, error)
	GetFunction(context.Context, *lambda.GetFunctionInput, ...func(*lambda.Options)) (*lambda.GetFunctionOutput, error)
	GetFunctionConfiguration(context.Context, *lambda.GetFunctionConfigurationInput, ...func(*lambda.Options)) (*lambda.GetFunctionConfigurationOutput, error)
	ListFunctions(context.Context, *lambda.ListFunctionsInput, ...func(*lambda.Options)) (*lambda.ListFunctionsOutput, error)
	UpdateFunctionCode(context.Context, *lambda.UpdateFunctionCodeInput, ...func(*lambda.Options)) (*lambda.UpdateFunctionCodeOutput, error)
	UpdateFunctionConfiguration(context.Context, *lambda.UpdateFunctionConfigurationInput, ...func(*lambda.Options)) (*lambda.UpdateFunctionConfigurationOutput, error)
	DeleteFunction(context.Context, *lambda.DeleteFunctionInput, ...func(*lambda.Options)) (*lambda.DeleteFunctionOutput, error)
	PublishVersion(context.Context, *lambda.PublishVersionInput, ...func(*lambda.Options)) (*lambda.PublishVersionOutput, error)
	ListVersionsByFunction(context.Context, *lambda.ListVersionsByFunctionInput, ...func(*lambda.Options)) (*lambda.ListVersionsByFunctionOutput, error)
	CreateAlias(context.Context, *lambda.CreateAliasInput, ...func(*lambda.Options)) (*lambda.CreateAliasOutput, error)
	GetAlias(context.Context, *lambda.GetAliasInput, ...func(*lambda.Options)) (*lambda.GetAliasOutput, error)
	UpdateAlias(context.Context, *lambda.UpdateAliasInput, ...func(*lambda.Options)) (*lambda.UpdateAliasOutput, error)
	DeleteAlias(context.Context, *lambda.DeleteAliasInput, ...func(*lambda.Options)) (*lambda.DeleteAliasOutput, error)
	ListAliases(context.Context, *lambda.ListAliasesInput, ...func(*lambda.Options)) (*lambda.ListAliasesOutput, error)
	TagResource(context.Context, *lambda.TagResourceInput, ...func(*lambda.Options)) (*lambda.TagResourceOutput, error)
	UntagResource(context.Context, *lambda.UntagResourceInput, ...func(*lambda.Options)) (*lambda.UntagResourceOutput, error)
	ListTags(context.Context, *lambda.ListTagsInput, ...func(*lambda.Options)) (*lambda.ListTagsOutput, error)
	GetAccountSettings(context.Context, *lambda.GetAccountSettingsInput, ...func(*lambda.Options)) (*lambda.GetAccountSettingsOutput, error)
	AddPermission(context.Context, *lambda.AddPermissionInput, ...func(*lambda.Options)) (*lambda.AddPermissionOutput, error)
	RemovePermission(context.Context, *lambda.RemovePermissionInput, ...func(*lambda.Options)) (*lambda.RemovePermissionOutput, error)
	GetPolicy(context.Context, *lambda.GetPolicyInput, ...func(*lambda.Options)) (*lambda.GetPolicyOutput, error)
	PutFunctionConcurrency(context.Context, *lambda.PutFunctionConcurrencyInput, ...func(*lambda.Options)) (*lambda.PutFunctionConcurrencyOutput, error)
	GetFunctionConcurrency(context.Context, *lambda.GetFunctionConcurrencyInput, ...func(*lambda.Options)) (*lambda.GetFunctionConcurrencyOutput, error)
	DeleteFunctionConcurrency(context.Context, *lambda.DeleteFunctionConcurrencyInput, ...func(*lambda.Options)) (*lambda.DeleteFunctionConcurrencyOutput, error)
	PutProvisionedConcurrencyConfig(context.Context, *lambda.PutProvisionedConcurrencyConfigInput, ...func(*lambda.Options)) (*lambda.PutProvisionedConcurrencyConfigOutput, error)
	GetProvisionedConcurrencyConfig(context.Context, *lambda.GetProvisionedConcurrencyConfigInput, ...func(*lambda.Options)) (*lambda.GetProvisionedConcurrencyConfigOutput, error)
	DeleteProvisionedConcurrencyConfig(context.Context, *lambda.DeleteProvisionedConcurrencyConfigInput, ...func(*lambda.Options)) (*lambda.DeleteProvisionedConcurrencyConfigOutput, error)
	ListProvisionedConcurrencyConfigs(context.Context, *lambda.ListProvisionedConcurrencyConfigsInput, ...func(*lambda.Options)) (*lambda.ListProvisionedConcurrencyConfigsOutput, error)
	PutFunctionEventInvokeConfig(context.Context, *lambda.PutFunctionEventInvokeConfigInput, ...func(*lambda.Options)) (*lambda.PutFunctionEventInvokeConfigOutput, error)
	UpdateFunctionEventInvokeConfig(context.Context, *lambda.UpdateFunctionEventInvokeConfigInput, ...func(*lambda.Options)) (*lambda.UpdateFunctionEventInvokeConfigOutput, error)
	GetFunctionEventInvokeConfig(context.Context, *lambda.GetFunctionEventInvokeConfigInput, ...func(*lambda.Options)) (*lambda.GetFunctionEventInvokeConfigOutput, error)
	DeleteFunctionEventInvokeConfig(context.Context, *lambda.DeleteFunctionEventInvokeConfigInput, ...func(*lambda.Options)) (*lambda.DeleteFunctionEventInvokeConfigOutput, error)
	ListFunctionEventInvokeConfigs(context.Context, *lambda.ListFunctionEventInvokeConfigsInput, ...func(*lambda.Options)) (*lambda.ListFunctionEventInvokeConfigsOutput, error)
	CreateFunctionUrlConfig(context.Context, *lambda.CreateFunctionUrlConfigInput, ...func(*lambda.Options)) (*lambda.CreateFunctionUrlConfigOutput, error)
	UpdateFunctionUrlConfig(context.Context, *lambda.UpdateFunctionUrlConfigInput, ...func(*lambda.Options)) (*lambda.UpdateFunctionUrlConfigOutput, error)
	GetFunctionUrlConfig(context.Context, *lambda.GetFunctionUrlConfigInput, ...func(*lambda.Options)) (*lambda.GetFunctionUrlConfigOutput, error)
	DeleteFunctionUrlConfig(context.Context, *lambda.DeleteFunctionUrlConfigInput, ...func(*lambda.Options)) (*lambda.DeleteFunctionUrlConfigOutput, error)
	ListFunctionUrlConfigs(context.Context, *lambda.ListFunctionUrlConfigsInput, ...func(*lambda.Options)) (*lambda.ListFunctionUrlConfigsOutput, error)
	PutRuntimeManagementConfig(context.Context, *lambda.PutRuntimeManagementConfigInput, ...func(*lambda.Options)) (*lambda.PutRuntimeManagementConfigOutput, error)
	GetRuntimeManagementConfig(context.Context, *lambda.GetRuntimeManagementConfigInput, ...func(*lambda.Options)) (*lambda.GetRuntimeManagementConfigOutput, error)
	PutFunctionRecursionConfig(context.Context, *lambda.PutFunctionRecursionConfigInput, ...func(*lambda.Options)) (*lambda.PutFunctionRecursionConfigOutput, error)
	GetFunctionRecursionConfig(context.Context, *lambda.GetFunctionRecursionConfigInput, ...func(*lambda.Options)) (*lambda.GetFunctionRecursionConfigOutput, error)
	GetFunctionCodeSigningConfig(context.Context, *lambda.GetFunctionCodeSigningConfigInput, ...func(*lambda.Options)) (*lambda.GetFunctionCodeSigningConfigOutput, error)
	PublishLayerVersion(context.Context, *lambda.PublishLayerVersionInput, ...func(*lambda.Options)) (*lambda.PublishLayerVersionOutput, error)
	GetLayerVersion(context.Context, *lambda.GetLayerVersionInput, ...func(*lambda.Options)) (*lambda.GetLayerVersionOutput, error)
	GetLayerVersionByArn(context.Context, *lambda.GetLayerVersionByArnInput, ...func(*lambda.Options)) (*lambda.GetLayerVersionByArnOutput, error)
	ListLayers(context.Context, *lambda.ListLayersInput, ...func(*lambda.Options)) (*lambda.ListLayersOutput, error)
	ListLayerVersions(context.Context, *lambda.ListLayerVersionsInput, ...func(*lambda.Options)) (*lambda.ListLayerVersionsOutput, error)
	DeleteLayerVersion(context.Context, *lambda.DeleteLayerVersionInput, ...func(*lambda.Options)) (*lambda.DeleteLayerVersionOutput, error)
	AddLayerVersionPermission(context.Context, *lambda.AddLayerVersionPermissionInput, ...func(*lambda.Options)) (*lambda.AddLayerVersionPermissionOutput, error)
	RemoveLayerVersionPermission(context.Context, *lambda.RemoveLayerVersionPermissionInput, ...func(*lambda.Options)) (*lambda.RemoveLayerVersionPermissionOutput, error)
	GetLayerVersionPolicy(context.Context, *lambda.GetLayerVersionPolicyInput, ...func(*lambda.Options)) (*lambda.GetLayerVersionPolicyOutput, error)
}

// lambdaOperations returns every operation of the Lambda model.
func (a *API) lambdaOperations() []*operation {
	operations := slices.Concat(a.functionOperations(), a.attachmentOperations(), a.layerOperations(), []*operation{a.invokeOperation(), a.streamOperation()})
	for _, schema := range refusedOperations {
		operations = append(operations, notImplemented(schema))
	}
	return operations
}

// functionOperations are those on functions, versions and aliases.
func (a *API) functionOperations() []*operation {
	l := a.lambda
	return []*operation{
		served(schemas.CreateFunction, schemas.CreateFunctionRequest, schemas.FunctionConfiguration, l.CreateFunction),
		served(schemas.GetFunction, schemas.GetFunctionRequest, schemas.GetFunctionResponse, l.GetFunction),
		served(schemas.GetFunctionConfiguration, schemas.GetFunctionConfigurationRequest, schemas.FunctionConfiguration, l.GetFunctionConfiguration),
		served(schemas.ListFunctions, schemas.ListFunctionsRequest, schemas.ListFunctionsResponse, l.ListFunctions),
		served(schemas.UpdateFunctionCode, schemas.UpdateFunctionCodeRequest, schemas.FunctionConfiguration, l.UpdateFunctionCode),
		served(schemas.UpdateFunctionConfiguration, schemas.UpdateFunctionConfigurationRequest, schemas.FunctionConfiguration, l.UpdateFunctionConfiguration),
		// The model says 200, the service answers 204.
		served(schemas.DeleteFunction, schemas.DeleteFunctionRequest, schemas.DeleteFunctionResponse, l.DeleteFunction).withStatus(http.StatusNoContent),
		served(schemas.PublishVersion, schemas.PublishVersionRequest, schemas.FunctionConfiguration, l.PublishVersion),
		served(schemas.ListVersionsByFunction, schemas.ListVersionsByFunctionRequest, schemas.ListVersionsByFunctionResponse, l.ListVersionsByFunction),
		served(schemas.CreateAlias, schemas.CreateAliasRequest, schemas.AliasConfiguration, l.CreateAlias),
		served(schemas.GetAlias, schemas.GetAliasRequest, schemas.AliasConfiguration, l.GetAlias),
		served(schemas.UpdateAlias, schemas.UpdateAliasRequest, schemas.AliasConfiguration, l.UpdateAlias),
		served(schemas.DeleteAlias, schemas.DeleteAliasRequest, nil, l.DeleteAlias),
		served(schemas.ListAliases, schemas.ListAliasesRequest, schemas.ListAliasesResponse, l.ListAliases),
		served(schemas.TagResource, schemas.TagResourceRequest, nil, l.TagResource),
		served(schemas.UntagResource, schemas.UntagResourceRequest, nil, l.UntagResource),
		served(schemas.ListTags, schemas.ListTagsRequest, schemas.ListTagsResponse, l.ListTags),
		served(schemas.GetAccountSettings, schemas.GetAccountSettingsRequest, schemas.GetAccountSettingsResponse, l.GetAccountSettings),
	}
}

// attachmentOperations are those on what belongs to a function, a version or an alias.
func (a *API) attachmentOperations() []*operation {
	l := a.lambda
	return []*operation{
		served(schemas.AddPermission, schemas.AddPermissionRequest, schemas.AddPermissionResponse, l.AddPermission),
		served(schemas.RemovePermission, schemas.RemovePermissionRequest, nil, l.RemovePermission),
		served(schemas.GetPolicy, schemas.GetPolicyRequest, schemas.GetPolicyResponse, l.GetPolicy),
		served(schemas.PutFunctionConcurrency, schemas.PutFunctionConcurrencyRequest, schemas.Concurrency, l.PutFunctionConcurrency),
		served(schemas.GetFunctionConcurrency, schemas.GetFunctionConcurrencyRequest, schemas.GetFunctionConcurrencyResponse, l.GetFunctionConcurrency),
		served(schemas.DeleteFunctionConcurrency, schemas.DeleteFunctionConcurrencyRequest, nil, l.DeleteFunctionConcurrency),
		served(schemas.PutProvisionedConcurrencyConfig, schemas.PutProvisionedConcurrencyConfigRequest, schemas.PutProvisionedConcurrencyConfigResponse, l.PutProvisionedConcurrencyConfig),
		served(schemas.GetProvisionedConcurrencyConfig, schemas.GetProvisionedConcurrencyConfigRequest, schemas.GetProvisionedConcurrencyConfigResponse, l.GetProvisionedConcurrencyConfig),
		served(schemas.DeleteProvisionedConcurrencyConfig, schemas.DeleteProvisionedConcurrencyConfigRequest, nil, l.DeleteProvisionedConcurrencyConfig),
		served(schemas.ListProvisionedConcurrencyConfigs, schemas.ListProvisionedConcurrencyConfigsRequest, schemas.ListProvisionedConcurrencyConfigsResponse, l.ListProvisionedConcurrencyConfigs),
		served(schemas.PutFunctionEventInvokeConfig, schemas.PutFunctionEventInvokeConfigRequest, schemas.FunctionEventInvokeConfig, l.PutFunctionEventInvokeConfig),
		served(schemas.UpdateFunctionEventInvokeConfig, schemas.UpdateFunctionEventInvokeConfigRequest, schemas.FunctionEventInvokeConfig, l.UpdateFunctionEventInvokeConfig),
		served(schemas.GetFunctionEventInvokeConfig, schemas.GetFunctionEventInvokeConfigRequest, schemas.FunctionEventInvokeConfig, l.GetFunctionEventInvokeConfig),
		served(schemas.DeleteFunctionEventInvokeConfig, schemas.DeleteFunctionEventInvokeConfigRequest, nil, l.DeleteFunctionEventInvokeConfig),
		served(schemas.ListFunctionEventInvokeConfigs, schemas.ListFunctionEventInvokeConfigsRequest, schemas.ListFunctionEventInvokeConfigsResponse, l.ListFunctionEventInvokeConfigs),
		served(schemas.CreateFunctionUrlConfig, schemas.CreateFunctionUrlConfigRequest, schemas.CreateFunctionUrlConfigResponse, l.CreateFunctionUrlConfig),
		served(schemas.UpdateFunctionUrlConfig, schemas.UpdateFunctionUrlConfigRequest, schemas.UpdateFunctionUrlConfigResponse, l.UpdateFunctionUrlConfig),
		served(schemas.GetFunctionUrlConfig, schemas.GetFunctionUrlConfigRequest, schemas.GetFunctionUrlConfigResponse, l.GetFunctionUrlConfig),
		served(schemas.DeleteFunctionUrlConfig, schemas.DeleteFunctionUrlConfigRequest, nil, l.DeleteFunctionUrlConfig),
		served(schemas.ListFunctionUrlConfigs, schemas.ListFunctionUrlConfigsRequest, schemas.ListFunctionUrlConfigsResponse, l.ListFunctionUrlConfigs),
		served(schemas.PutRuntimeManagementConfig, schemas.PutRuntimeManagementConfigRequest, schemas.PutRuntimeManagementConfigResponse, l.PutRuntimeManagementConfig),
		served(schemas.GetRuntimeManagementConfig, schemas.GetRuntimeManagementConfigRequest, schemas.GetRuntimeManagementConfigResponse, l.GetRuntimeManagementConfig),
		served(schemas.PutFunctionRecursionConfig, schemas.PutFunctionRecursionConfigRequest, schemas.PutFunctionRecursionConfigResponse, l.PutFunctionRecursionConfig),
		served(schemas.GetFunctionRecursionConfig, schemas.GetFunctionRecursionConfigRequest, schemas.GetFunctionRecursionConfigResponse, l.GetFunctionRecursionConfig),
		served(schemas.GetFunctionCodeSigningConfig, schemas.GetFunctionCodeSigningConfigRequest, schemas.GetFunctionCodeSigningConfigResponse, l.GetFunctionCodeSigningConfig),
	}
}

func (a *API) layerOperations() []*operation {
	l := a.lambda
	return []*operation{
		served(schemas.PublishLayerVersion, schemas.PublishLayerVersionRequest, schemas.PublishLayerVersionResponse, l.PublishLayerVersion),
		served(schemas.GetLayerVersion, schemas.GetLayerVersionRequest, schemas.GetLayerVersionResponse, l.GetLayerVersion),
		served(schemas.GetLayerVersionByArn, schemas.GetLayerVersionByArnRequest, schemas.GetLayerVersionResponse, l.GetLayerVersionByArn),
		served(schemas.ListLayers, schemas.ListLayersRequest, schemas.ListLayersResponse, l.ListLayers),
		served(schemas.ListLayerVersions, schemas.ListLayerVersionsRequest, schemas.ListLayerVersionsResponse, l.ListLayerVersions),
		served(schemas.DeleteLayerVersion, schemas.DeleteLayerVersionRequest, nil, l.DeleteLayerVersion),
		served(schemas.AddLayerVersionPermission, schemas.AddLayerVersionPermissionRequest, schemas.AddLayerVersionPermissionResponse, l.AddLayerVersionPermission),
		served(schemas.RemoveLayerVersionPermission, schemas.RemoveLayerVersionPermissionRequest, nil, l.RemoveLayerVersionPermission),
		served(schemas.GetLayerVersionPolicy, schemas.GetLayerVersionPolicyRequest, schemas.GetLayerVersionPolicyResponse, l.GetLayerVersionPolicy),
	}
}

// refusedOperations are the operations of the Lambda model that Serin does not have.
var refusedOperations = []*smithy.Schema{
	schemas.CheckpointDurableExecution, schemas.CreateCapacityProvider, schemas.CreateCodeSigningConfig,
	schemas.CreateEventSourceMapping, schemas.DeleteCapacityProvider, schemas.DeleteCodeSigningConfig,
	schemas.DeleteEventSourceMapping, schemas.DeleteFunctionCodeSigningConfig, schemas.DeleteResourcePolicy,
	schemas.GetCapacityProvider, schemas.GetCodeSigningConfig, schemas.GetDurableExecution,
	schemas.GetDurableExecutionHistory, schemas.GetDurableExecutionState, schemas.GetEventSourceMapping,
	schemas.GetFunctionScalingConfig, schemas.GetResourcePolicy, schemas.InvokeAsync,
	schemas.ListCapacityProviders, schemas.ListCodeSigningConfigs, schemas.ListDurableExecutionsByFunction,
	schemas.ListEventSourceMappings, schemas.ListFunctionVersionsByCapacityProvider,
	schemas.ListFunctionsByCodeSigningConfig, schemas.PutFunctionCodeSigningConfig, schemas.PutFunctionScalingConfig,
	schemas.PutResourcePolicy, schemas.SendDurableExecutionCallbackFailure,
	schemas.SendDurableExecutionCallbackHeartbeat, schemas.SendDurableExecutionCallbackSuccess,
	schemas.StopDurableExecution, schemas.UpdateCapacityProvider, schemas.UpdateCodeSigningConfig,
	schemas.UpdateEventSourceMapping,
}

// Sizes of request bodies, in bytes.
const (
	maxUploadBody   = 70167211 // AWS: 50 MiB of zip in base64 with its JSON
	maxPayloadBody  = 6291456  // AWS: 6 MiB
	maxTemplateBody = 4 << 20  // a template of the largest size, as a form
	maxOtherBody    = 1 << 20  // far above what any other operation needs
)

// bodyLimit bounds a request body.
type bodyLimit struct {
	bytes     int64
	operation string // as AWS names it in the error, or "" if the request is for none
}

// limitOf returns the bound on the body of a Lambda operation.
func limitOf(operation string) bodyLimit {
	switch operation {
	case "CreateFunction", "UpdateFunctionCode", "PublishLayerVersion":
		return bodyLimit{maxUploadBody, operation}
	case "Invoke":
		return bodyLimit{maxPayloadBody, "InvokeFunction"}
	case "InvokeAsync", "InvokeWithResponseStream":
		return bodyLimit{maxPayloadBody, operation}
	default:
		return bodyLimit{maxOtherBody, operation}
	}
}

// exceeded is the error for a body that is over the limit.
func (l bodyLimit) exceeded() error {
	text := fmt.Sprintf("Request must be smaller than %d bytes", l.bytes)
	if l.operation != "" {
		text += " for the " + l.operation + " operation"
	}
	return serin.Errorf(serin.KindTooLarge, "%s", text)
}
