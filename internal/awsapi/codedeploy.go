package awsapi

import (
	"context"
	"errors"
	"net/http"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/smithy-go"

	"serin"
)

// CodeDeploy is what serves deployments of functions. As with [Lambda], its methods are those of the SDK's client.
type CodeDeploy interface {
	codeDeployApplications
	codeDeployDeployments
}

type codeDeployOptions = codedeploy.Options

type codeDeployApplications interface {
	CreateApplication(context.Context, *codedeploy.CreateApplicationInput, ...func(*codeDeployOptions)) (*codedeploy.CreateApplicationOutput, error)
	GetApplication(context.Context, *codedeploy.GetApplicationInput, ...func(*codeDeployOptions)) (*codedeploy.GetApplicationOutput, error)
	BatchGetApplications(context.Context, *codedeploy.BatchGetApplicationsInput, ...func(*codeDeployOptions)) (*codedeploy.BatchGetApplicationsOutput, error)
	ListApplications(context.Context, *codedeploy.ListApplicationsInput, ...func(*codeDeployOptions)) (*codedeploy.ListApplicationsOutput, error)
	UpdateApplication(context.Context, *codedeploy.UpdateApplicationInput, ...func(*codeDeployOptions)) (*codedeploy.UpdateApplicationOutput, error)
	DeleteApplication(context.Context, *codedeploy.DeleteApplicationInput, ...func(*codeDeployOptions)) (*codedeploy.DeleteApplicationOutput, error)
	RegisterApplicationRevision(context.Context, *codedeploy.RegisterApplicationRevisionInput, ...func(*codeDeployOptions)) (*codedeploy.RegisterApplicationRevisionOutput, error)
	GetApplicationRevision(context.Context, *codedeploy.GetApplicationRevisionInput, ...func(*codeDeployOptions)) (*codedeploy.GetApplicationRevisionOutput, error)
	BatchGetApplicationRevisions(context.Context, *codedeploy.BatchGetApplicationRevisionsInput, ...func(*codeDeployOptions)) (*codedeploy.BatchGetApplicationRevisionsOutput, error)
	ListApplicationRevisions(context.Context, *codedeploy.ListApplicationRevisionsInput, ...func(*codeDeployOptions)) (*codedeploy.ListApplicationRevisionsOutput, error)
	CreateDeploymentConfig(context.Context, *codedeploy.CreateDeploymentConfigInput, ...func(*codeDeployOptions)) (*codedeploy.CreateDeploymentConfigOutput, error)
	GetDeploymentConfig(context.Context, *codedeploy.GetDeploymentConfigInput, ...func(*codeDeployOptions)) (*codedeploy.GetDeploymentConfigOutput, error)
	ListDeploymentConfigs(context.Context, *codedeploy.ListDeploymentConfigsInput, ...func(*codeDeployOptions)) (*codedeploy.ListDeploymentConfigsOutput, error)
	DeleteDeploymentConfig(context.Context, *codedeploy.DeleteDeploymentConfigInput, ...func(*codeDeployOptions)) (*codedeploy.DeleteDeploymentConfigOutput, error)
	TagResource(context.Context, *codedeploy.TagResourceInput, ...func(*codeDeployOptions)) (*codedeploy.TagResourceOutput, error)
	UntagResource(context.Context, *codedeploy.UntagResourceInput, ...func(*codeDeployOptions)) (*codedeploy.UntagResourceOutput, error)
	ListTagsForResource(context.Context, *codedeploy.ListTagsForResourceInput, ...func(*codeDeployOptions)) (*codedeploy.ListTagsForResourceOutput, error)
}

type codeDeployDeployments interface {
	CreateDeploymentGroup(context.Context, *codedeploy.CreateDeploymentGroupInput, ...func(*codeDeployOptions)) (*codedeploy.CreateDeploymentGroupOutput, error)
	GetDeploymentGroup(context.Context, *codedeploy.GetDeploymentGroupInput, ...func(*codeDeployOptions)) (*codedeploy.GetDeploymentGroupOutput, error)
	BatchGetDeploymentGroups(context.Context, *codedeploy.BatchGetDeploymentGroupsInput, ...func(*codeDeployOptions)) (*codedeploy.BatchGetDeploymentGroupsOutput, error)
	ListDeploymentGroups(context.Context, *codedeploy.ListDeploymentGroupsInput, ...func(*codeDeployOptions)) (*codedeploy.ListDeploymentGroupsOutput, error)
	UpdateDeploymentGroup(context.Context, *codedeploy.UpdateDeploymentGroupInput, ...func(*codeDeployOptions)) (*codedeploy.UpdateDeploymentGroupOutput, error)
	DeleteDeploymentGroup(context.Context, *codedeploy.DeleteDeploymentGroupInput, ...func(*codeDeployOptions)) (*codedeploy.DeleteDeploymentGroupOutput, error)
	CreateDeployment(context.Context, *codedeploy.CreateDeploymentInput, ...func(*codeDeployOptions)) (*codedeploy.CreateDeploymentOutput, error)
	GetDeployment(context.Context, *codedeploy.GetDeploymentInput, ...func(*codeDeployOptions)) (*codedeploy.GetDeploymentOutput, error)
	BatchGetDeployments(context.Context, *codedeploy.BatchGetDeploymentsInput, ...func(*codeDeployOptions)) (*codedeploy.BatchGetDeploymentsOutput, error)
	ListDeployments(context.Context, *codedeploy.ListDeploymentsInput, ...func(*codeDeployOptions)) (*codedeploy.ListDeploymentsOutput, error)
	StopDeployment(context.Context, *codedeploy.StopDeploymentInput, ...func(*codeDeployOptions)) (*codedeploy.StopDeploymentOutput, error)
	ContinueDeployment(context.Context, *codedeploy.ContinueDeploymentInput, ...func(*codeDeployOptions)) (*codedeploy.ContinueDeploymentOutput, error)
	GetDeploymentTarget(context.Context, *codedeploy.GetDeploymentTargetInput, ...func(*codeDeployOptions)) (*codedeploy.GetDeploymentTargetOutput, error)
	BatchGetDeploymentTargets(context.Context, *codedeploy.BatchGetDeploymentTargetsInput, ...func(*codeDeployOptions)) (*codedeploy.BatchGetDeploymentTargetsOutput, error)
	ListDeploymentTargets(context.Context, *codedeploy.ListDeploymentTargetsInput, ...func(*codeDeployOptions)) (*codedeploy.ListDeploymentTargetsOutput, error)
	PutLifecycleEventHookExecutionStatus(context.Context, *codedeploy.PutLifecycleEventHookExecutionStatusInput, ...func(*codeDeployOptions)) (*codedeploy.PutLifecycleEventHookExecutionStatusOutput, error)
}

// newCodeDeploy makes the service. The SDK has no schema of it yet; its names are those of its types, most with a small
// first letter.
func newCodeDeploy(c CodeDeploy) *service {
	large := plainJSONEncoder{
		reflect.TypeFor[types.DeploymentOverview](), reflect.TypeFor[types.Tag](), reflect.TypeFor[types.TagFilter](),
		reflect.TypeFor[types.EC2TagFilter](), reflect.TypeFor[codedeploy.ListTagsForResourceOutput](),
	}
	s := &service{
		shape: "CodeDeploy_20141006", signing: "codedeploy", version: "2014-10-06", wireError: codeDeployError, operations: map[string]*rpcOperation{},
		encoders: map[protocol]func(context.Context, *rpcOperation, smithy.Serializable) ([]byte, error){awsJSON10: large.encode},
	}
	plainRPC(s, "CreateApplication", c.CreateApplication)
	plainRPC(s, "GetApplication", c.GetApplication)
	plainRPC(s, "BatchGetApplications", c.BatchGetApplications)
	plainRPC(s, "ListApplications", c.ListApplications)
	plainRPC(s, "UpdateApplication", c.UpdateApplication)
	plainRPC(s, "DeleteApplication", c.DeleteApplication)
	plainRPC(s, "RegisterApplicationRevision", c.RegisterApplicationRevision)
	plainRPC(s, "GetApplicationRevision", c.GetApplicationRevision)
	plainRPC(s, "BatchGetApplicationRevisions", c.BatchGetApplicationRevisions)
	plainRPC(s, "ListApplicationRevisions", c.ListApplicationRevisions)
	plainRPC(s, "CreateDeploymentConfig", c.CreateDeploymentConfig)
	plainRPC(s, "GetDeploymentConfig", c.GetDeploymentConfig)
	plainRPC(s, "ListDeploymentConfigs", c.ListDeploymentConfigs)
	plainRPC(s, "DeleteDeploymentConfig", c.DeleteDeploymentConfig)
	plainRPC(s, "TagResource", c.TagResource)
	plainRPC(s, "UntagResource", c.UntagResource)
	plainRPC(s, "ListTagsForResource", c.ListTagsForResource)
	plainRPC(s, "CreateDeploymentGroup", c.CreateDeploymentGroup)
	plainRPC(s, "GetDeploymentGroup", c.GetDeploymentGroup)
	plainRPC(s, "BatchGetDeploymentGroups", c.BatchGetDeploymentGroups)
	plainRPC(s, "ListDeploymentGroups", c.ListDeploymentGroups)
	plainRPC(s, "UpdateDeploymentGroup", c.UpdateDeploymentGroup)
	plainRPC(s, "DeleteDeploymentGroup", c.DeleteDeploymentGroup)
	plainRPC(s, "CreateDeployment", c.CreateDeployment)
	plainRPC(s, "GetDeployment", c.GetDeployment)
	plainRPC(s, "BatchGetDeployments", c.BatchGetDeployments)
	plainRPC(s, "ListDeployments", c.ListDeployments)
	plainRPC(s, "StopDeployment", c.StopDeployment)
	plainRPC(s, "ContinueDeployment", c.ContinueDeployment)
	plainRPC(s, "GetDeploymentTarget", c.GetDeploymentTarget)
	plainRPC(s, "BatchGetDeploymentTargets", c.BatchGetDeploymentTargets)
	plainRPC(s, "ListDeploymentTargets", c.ListDeploymentTargets)
	plainRPC(s, "PutLifecycleEventHookExecutionStatus", c.PutLifecycleEventHookExecutionStatus)
	return s
}

// codeDeployError returns an error as callers of CodeDeploy read it: the reason of a [serin.Error] is the exception, and
// all exceptions have the status 400.
func codeDeployError(err error, requestID string) *wireError {
	if e, ok := errors.AsType[*wireError](err); ok {
		return e
	}
	e, ok := errors.AsType[*serin.Error](err)
	switch {
	case ok && e.Kind == serin.KindInvalid && e.Reason != "":
		return frontEndError(e.Reason, http.StatusBadRequest, e.Message)
	case ok && (e.Kind == serin.KindInvalid || e.Kind == serin.KindValidation):
		return frontEndError("ValidationException", http.StatusBadRequest, e.Message)
	case ok && e.Kind == serin.KindThrottled:
		return frontEndError("ThrottlingException", http.StatusBadRequest, e.Message)
	case ok && (e.Kind == serin.KindTooLarge || e.Kind == serin.KindNotImplemented):
		return asWireError(err, requestID)
	}
	w := asWireError(&serin.Error{Kind: serin.KindInternal}, requestID)
	w.name, w.cause = "InternalFailure", err
	return w
}
