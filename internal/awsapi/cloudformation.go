package awsapi

import (
	"errors"
	"net/http"

	"serin"
	"serin/internal/cloudformation"
)

// newCloudFormation makes the service of the operations on stacks, which speaks the query protocol alone.
func newCloudFormation(c *cloudformation.Service) *service {
	s := newPlainService("cloudformation", "2010-05-15", "http://cloudformation.amazonaws.com/doc/2010-05-15/")
	s.wireError = cloudFormationError
	plainRPC(s, "CreateStack", c.CreateStack)
	plainRPC(s, "UpdateStack", c.UpdateStack)
	plainRPC(s, "DeleteStack", c.DeleteStack)
	plainRPC(s, "CancelUpdateStack", c.CancelUpdateStack)
	plainRPC(s, "ContinueUpdateRollback", c.ContinueUpdateRollback)
	plainRPC(s, "RollbackStack", c.RollbackStack)
	plainRPC(s, "DescribeStacks", c.DescribeStacks)
	plainRPC(s, "ListStacks", c.ListStacks)
	plainRPC(s, "DescribeStackEvents", c.DescribeStackEvents)
	plainRPC(s, "DescribeEvents", c.DescribeEvents)
	plainRPC(s, "DescribeStackResource", c.DescribeStackResource)
	plainRPC(s, "DescribeStackResources", c.DescribeStackResources)
	plainRPC(s, "ListStackResources", c.ListStackResources)
	plainRPC(s, "GetTemplate", c.GetTemplate)
	plainRPC(s, "GetTemplateSummary", c.GetTemplateSummary)
	plainRPC(s, "ValidateTemplate", c.ValidateTemplate)
	plainRPC(s, "CreateChangeSet", c.CreateChangeSet)
	plainRPC(s, "DescribeChangeSet", c.DescribeChangeSet)
	plainRPC(s, "ExecuteChangeSet", c.ExecuteChangeSet)
	plainRPC(s, "DeleteChangeSet", c.DeleteChangeSet)
	plainRPC(s, "ListChangeSets", c.ListChangeSets)
	plainRPC(s, "ListExports", c.ListExports)
	plainRPC(s, "ListImports", c.ListImports)
	plainRPC(s, "SetStackPolicy", c.SetStackPolicy)
	plainRPC(s, "GetStackPolicy", c.GetStackPolicy)
	plainRPC(s, "UpdateTerminationProtection", c.UpdateTerminationProtection)
	return s
}

// cloudFormationError returns an error as callers of CloudFormation read it: most are ValidationError.
func cloudFormationError(err error, requestID string) *wireError {
	if e, ok := errors.AsType[*wireError](err); ok {
		return e
	}
	e, ok := errors.AsType[*serin.Error](err)
	if !ok {
		w := frontEndError("InternalFailure", http.StatusInternalServerError, asWireError(err, requestID).message)
		w.cause = err
		return w
	}
	switch {
	case e.Reason == cloudformation.ReasonChangeSetNotFound:
		return frontEndError(e.Reason, http.StatusNotFound, e.Message)
	case e.Kind == serin.KindNotImplemented, e.Kind == serin.KindTooLarge:
		return asWireError(err, requestID)
	case e.Kind == serin.KindInvalid && e.Reason != "":
		return frontEndError(e.Reason, http.StatusBadRequest, e.Message)
	default:
		return frontEndError("ValidationError", http.StatusBadRequest, e.Message)
	}
}
