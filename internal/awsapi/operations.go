package awsapi

import (
	"context"
	"fmt"
	"net/http"

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
}

// lambdaOperations returns every operation of the Lambda model.
func (a *API) lambdaOperations() []*operation {
	l := a.lambda
	operations := []*operation{
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
		a.invokeOperation(),
	}
	for _, schema := range refusedOperations {
		operations = append(operations, notImplemented(schema))
	}
	return operations
}

// refusedOperations are the operations of the Lambda model that Serin does not have.
var refusedOperations = []*smithy.Schema{
	schemas.AddLayerVersionPermission, schemas.AddPermission, schemas.CheckpointDurableExecution,
	schemas.CreateCapacityProvider, schemas.CreateCodeSigningConfig, schemas.CreateEventSourceMapping,
	schemas.CreateFunctionUrlConfig, schemas.DeleteCapacityProvider, schemas.DeleteCodeSigningConfig,
	schemas.DeleteEventSourceMapping, schemas.DeleteFunctionCodeSigningConfig, schemas.DeleteFunctionConcurrency,
	schemas.DeleteFunctionEventInvokeConfig, schemas.DeleteFunctionUrlConfig, schemas.DeleteLayerVersion,
	schemas.DeleteProvisionedConcurrencyConfig, schemas.DeleteResourcePolicy, schemas.GetCapacityProvider,
	schemas.GetCodeSigningConfig, schemas.GetDurableExecution, schemas.GetDurableExecutionHistory,
	schemas.GetDurableExecutionState, schemas.GetEventSourceMapping, schemas.GetFunctionCodeSigningConfig,
	schemas.GetFunctionConcurrency, schemas.GetFunctionEventInvokeConfig, schemas.GetFunctionRecursionConfig,
	schemas.GetFunctionScalingConfig, schemas.GetFunctionUrlConfig, schemas.GetLayerVersion,
	schemas.GetLayerVersionByArn, schemas.GetLayerVersionPolicy, schemas.GetPolicy,
	schemas.GetProvisionedConcurrencyConfig, schemas.GetResourcePolicy, schemas.GetRuntimeManagementConfig,
	schemas.InvokeAsync, schemas.InvokeWithResponseStream, schemas.ListCapacityProviders,
	schemas.ListCodeSigningConfigs, schemas.ListDurableExecutionsByFunction, schemas.ListEventSourceMappings,
	schemas.ListFunctionEventInvokeConfigs, schemas.ListFunctionUrlConfigs, schemas.ListFunctionVersionsByCapacityProvider,
	schemas.ListFunctionsByCodeSigningConfig, schemas.ListLayerVersions, schemas.ListLayers,
	schemas.ListProvisionedConcurrencyConfigs, schemas.PublishLayerVersion, schemas.PutFunctionCodeSigningConfig,
	schemas.PutFunctionConcurrency, schemas.PutFunctionEventInvokeConfig, schemas.PutFunctionRecursionConfig,
	schemas.PutFunctionScalingConfig, schemas.PutProvisionedConcurrencyConfig, schemas.PutResourcePolicy,
	schemas.PutRuntimeManagementConfig, schemas.RemoveLayerVersionPermission, schemas.RemovePermission,
	schemas.SendDurableExecutionCallbackFailure, schemas.SendDurableExecutionCallbackHeartbeat,
	schemas.SendDurableExecutionCallbackSuccess, schemas.StopDurableExecution, schemas.UpdateCapacityProvider,
	schemas.UpdateCodeSigningConfig, schemas.UpdateEventSourceMapping, schemas.UpdateFunctionEventInvokeConfig,
	schemas.UpdateFunctionUrlConfig,
}

// Sizes of request bodies, in bytes.
const (
	maxUploadBody  = 70167211 // AWS: 50 MiB of zip in base64 with its JSON
	maxPayloadBody = 6291456  // AWS: 6 MiB
	maxOtherBody   = 1 << 20  // far above what any other operation needs
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
