package awsapi

import (
	"errors"
	"net/http"

	ecrschemas "github.com/aws/aws-sdk-go-v2/service/ecr/schemas"
	ssmschemas "github.com/aws/aws-sdk-go-v2/service/ssm/schemas"

	"serin"
	"serin/internal/identity"
	"serin/internal/parameter"
	"serin/internal/repository"
)

// statuses are those of named errors that are not 400.
var statuses = map[string]int{
	"NoSuchEntity": http.StatusNotFound, "EntityAlreadyExists": http.StatusConflict, "DeleteConflict": http.StatusConflict,
	"NotFoundException": http.StatusNotFound, "ConflictException": http.StatusConflict, "TooManyRequestsException": http.StatusTooManyRequests,
	"LimitExceeded": http.StatusConflict, "AccessDenied": http.StatusForbidden,
}

// namedError returns an error as callers of the services below read it: the reason of a [serin.Error] is its name.
func namedError(err error, requestID string) *wireError {
	if e, ok := errors.AsType[*serin.Error](err); ok && e.Reason != "" {
		status := http.StatusBadRequest
		if s, ok := statuses[e.Reason]; ok {
			status = s
		}
		return frontEndError(e.Reason, status, e.Message)
	}
	return asWireError(err, requestID)
}

func newSSM(p *parameter.Service) *service {
	s := newService(ssmschemas.AmazonSSM, "ssm", "2014-11-06", "")
	s.wireError = namedError
	rpc(s, ssmschemas.PutParameter, ssmschemas.PutParameterResult, p.PutParameter)
	rpc(s, ssmschemas.GetParameter, ssmschemas.GetParameterResult, p.GetParameter)
	rpc(s, ssmschemas.GetParameters, ssmschemas.GetParametersResult, p.GetParameters)
	rpc(s, ssmschemas.GetParametersByPath, ssmschemas.GetParametersByPathResult, p.GetParametersByPath)
	rpc(s, ssmschemas.GetParameterHistory, ssmschemas.GetParameterHistoryResult, p.GetParameterHistory)
	rpc(s, ssmschemas.DescribeParameters, ssmschemas.DescribeParametersResult, p.DescribeParameters)
	rpc(s, ssmschemas.DeleteParameter, ssmschemas.DeleteParameterResult, p.DeleteParameter)
	rpc(s, ssmschemas.DeleteParameters, ssmschemas.DeleteParametersResult, p.DeleteParameters)
	rpc(s, ssmschemas.LabelParameterVersion, ssmschemas.LabelParameterVersionResult, p.LabelParameterVersion)
	rpc(s, ssmschemas.AddTagsToResource, ssmschemas.AddTagsToResourceResult, p.AddTagsToResource)
	rpc(s, ssmschemas.RemoveTagsFromResource, ssmschemas.RemoveTagsFromResourceResult, p.RemoveTagsFromResource)
	rpc(s, ssmschemas.ListTagsForResource, ssmschemas.ListTagsForResourceResult, p.ListTagsForResource)
	return s
}

func newECR(r *repository.Service) *service {
	s := newService(ecrschemas.AmazonEC2ContainerRegistry_V20150921, "ecr", "2015-09-21", "")
	s.wireError = namedError
	rpc(s, ecrschemas.CreateRepository, ecrschemas.CreateRepositoryResponse, r.CreateRepository)
	rpc(s, ecrschemas.DescribeRepositories, ecrschemas.DescribeRepositoriesResponse, r.DescribeRepositories)
	rpc(s, ecrschemas.DeleteRepository, ecrschemas.DeleteRepositoryResponse, r.DeleteRepository)
	rpc(s, ecrschemas.DescribeImages, ecrschemas.DescribeImagesResponse, r.DescribeImages)
	rpc(s, ecrschemas.SetRepositoryPolicy, ecrschemas.SetRepositoryPolicyResponse, r.SetRepositoryPolicy)
	rpc(s, ecrschemas.GetRepositoryPolicy, ecrschemas.GetRepositoryPolicyResponse, r.GetRepositoryPolicy)
	rpc(s, ecrschemas.PutLifecyclePolicy, ecrschemas.PutLifecyclePolicyResponse, r.PutLifecyclePolicy)
	rpc(s, ecrschemas.GetLifecyclePolicy, ecrschemas.GetLifecyclePolicyResponse, r.GetLifecyclePolicy)
	rpc(s, ecrschemas.ListTagsForResource, ecrschemas.ListTagsForResourceResponse, r.ListTagsForResource)
	return s
}

func newSTS(i *identity.Service) *service {
	s := newPlainService("sts", "2011-06-15", "https://sts.amazonaws.com/doc/2011-06-15/")
	s.wireError = namedError
	plainRPC(s, "GetCallerIdentity", i.GetCallerIdentity)
	plainRPC(s, "AssumeRole", i.AssumeRole)
	plainRPC(s, "GetSessionToken", i.GetSessionToken)
	return s
}

func newIAM(i *identity.Service) *service {
	s := newPlainService("iam", "2010-05-08", "https://iam.amazonaws.com/doc/2010-05-08/")
	s.wireError = namedError
	plainRPC(s, "CreateRole", i.CreateRole)
	plainRPC(s, "GetRole", i.GetRole)
	plainRPC(s, "ListRoles", i.ListRoles)
	plainRPC(s, "UpdateRole", i.UpdateRole)
	plainRPC(s, "UpdateAssumeRolePolicy", i.UpdateAssumeRolePolicy)
	plainRPC(s, "DeleteRole", i.DeleteRole)
	plainRPC(s, "PutRolePolicy", i.PutRolePolicy)
	plainRPC(s, "GetRolePolicy", i.GetRolePolicy)
	plainRPC(s, "DeleteRolePolicy", i.DeleteRolePolicy)
	plainRPC(s, "ListRolePolicies", i.ListRolePolicies)
	plainRPC(s, "AttachRolePolicy", i.AttachRolePolicy)
	plainRPC(s, "DetachRolePolicy", i.DetachRolePolicy)
	plainRPC(s, "ListAttachedRolePolicies", i.ListAttachedRolePolicies)
	plainRPC(s, "ListInstanceProfilesForRole", i.ListInstanceProfilesForRole)
	plainRPC(s, "TagRole", i.TagRole)
	plainRPC(s, "UntagRole", i.UntagRole)
	plainRPC(s, "ListRoleTags", i.ListRoleTags)
	plainRPC(s, "CreatePolicy", i.CreatePolicy)
	plainRPC(s, "GetPolicy", i.GetPolicy)
	plainRPC(s, "GetPolicyVersion", i.GetPolicyVersion)
	plainRPC(s, "ListPolicyVersions", i.ListPolicyVersions)
	plainRPC(s, "DeletePolicy", i.DeletePolicy)
	return s
}
