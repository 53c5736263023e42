package awsapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/schemas"

	"serin"
)

// logsOptions are the options of the methods of [Logs].
type logsOptions = func(*cloudwatchlogs.Options)

// Logs is what serves the operations of CloudWatch Logs. As with [Lambda], its methods are those of the SDK's client.
type Logs interface {
	CreateLogGroup(context.Context, *cloudwatchlogs.CreateLogGroupInput, ...logsOptions) (*cloudwatchlogs.CreateLogGroupOutput, error)
	DeleteLogGroup(context.Context, *cloudwatchlogs.DeleteLogGroupInput, ...logsOptions) (*cloudwatchlogs.DeleteLogGroupOutput, error)
	DescribeLogGroups(context.Context, *cloudwatchlogs.DescribeLogGroupsInput, ...logsOptions) (*cloudwatchlogs.DescribeLogGroupsOutput, error)
	PutRetentionPolicy(context.Context, *cloudwatchlogs.PutRetentionPolicyInput, ...logsOptions) (*cloudwatchlogs.PutRetentionPolicyOutput, error)
	DeleteRetentionPolicy(context.Context, *cloudwatchlogs.DeleteRetentionPolicyInput, ...logsOptions) (*cloudwatchlogs.DeleteRetentionPolicyOutput, error)
	TagResource(context.Context, *cloudwatchlogs.TagResourceInput, ...logsOptions) (*cloudwatchlogs.TagResourceOutput, error)
	UntagResource(context.Context, *cloudwatchlogs.UntagResourceInput, ...logsOptions) (*cloudwatchlogs.UntagResourceOutput, error)
	ListTagsForResource(context.Context, *cloudwatchlogs.ListTagsForResourceInput, ...logsOptions) (*cloudwatchlogs.ListTagsForResourceOutput, error)
	CreateLogStream(context.Context, *cloudwatchlogs.CreateLogStreamInput, ...logsOptions) (*cloudwatchlogs.CreateLogStreamOutput, error)
	DeleteLogStream(context.Context, *cloudwatchlogs.DeleteLogStreamInput, ...logsOptions) (*cloudwatchlogs.DeleteLogStreamOutput, error)
	DescribeLogStreams(context.Context, *cloudwatchlogs.DescribeLogStreamsInput, ...logsOptions) (*cloudwatchlogs.DescribeLogStreamsOutput, error)
	PutLogEvents(context.Context, *cloudwatchlogs.PutLogEventsInput, ...logsOptions) (*cloudwatchlogs.PutLogEventsOutput, error)
	GetLogEvents(context.Context, *cloudwatchlogs.GetLogEventsInput, ...logsOptions) (*cloudwatchlogs.GetLogEventsOutput, error)
	FilterLogEvents(context.Context, *cloudwatchlogs.FilterLogEventsInput, ...logsOptions) (*cloudwatchlogs.FilterLogEventsOutput, error)
	PutMetricFilter(context.Context, *cloudwatchlogs.PutMetricFilterInput, ...logsOptions) (*cloudwatchlogs.PutMetricFilterOutput, error)
	DeleteMetricFilter(context.Context, *cloudwatchlogs.DeleteMetricFilterInput, ...logsOptions) (*cloudwatchlogs.DeleteMetricFilterOutput, error)
	DescribeMetricFilters(context.Context, *cloudwatchlogs.DescribeMetricFiltersInput, ...logsOptions) (*cloudwatchlogs.DescribeMetricFiltersOutput, error)
	TestMetricFilter(context.Context, *cloudwatchlogs.TestMetricFilterInput, ...logsOptions) (*cloudwatchlogs.TestMetricFilterOutput, error)
}

func newLogs(l Logs) *service {
	s := newService(schemas.Logs_20140328, "logs", "2014-03-28", "http://logs.amazonaws.com/doc/2014-03-28/")
	s.json, s.wireError = "application/x-amz-json-1.1", logsError
	rpc(s, schemas.CreateLogGroup, nil, l.CreateLogGroup)
	rpc(s, schemas.DeleteLogGroup, nil, l.DeleteLogGroup)
	rpc(s, schemas.DescribeLogGroups, schemas.DescribeLogGroupsResponse, l.DescribeLogGroups)
	rpc(s, schemas.PutRetentionPolicy, nil, l.PutRetentionPolicy)
	rpc(s, schemas.DeleteRetentionPolicy, nil, l.DeleteRetentionPolicy)
	rpc(s, schemas.TagResource, nil, l.TagResource)
	rpc(s, schemas.UntagResource, nil, l.UntagResource)
	rpc(s, schemas.ListTagsForResource, schemas.ListTagsForResourceResponse, l.ListTagsForResource)
	rpc(s, schemas.CreateLogStream, nil, l.CreateLogStream)
	rpc(s, schemas.DeleteLogStream, nil, l.DeleteLogStream)
	rpc(s, schemas.DescribeLogStreams, schemas.DescribeLogStreamsResponse, l.DescribeLogStreams)
	rpc(s, schemas.PutLogEvents, schemas.PutLogEventsResponse, l.PutLogEvents)
	rpc(s, schemas.GetLogEvents, schemas.GetLogEventsResponse, l.GetLogEvents)
	rpc(s, schemas.FilterLogEvents, schemas.FilterLogEventsResponse, l.FilterLogEvents)
	rpc(s, schemas.PutMetricFilter, nil, l.PutMetricFilter)
	rpc(s, schemas.DeleteMetricFilter, nil, l.DeleteMetricFilter)
	rpc(s, schemas.DescribeMetricFilters, schemas.DescribeMetricFiltersResponse, l.DescribeMetricFilters)
	rpc(s, schemas.TestMetricFilter, schemas.TestMetricFilterResponse, l.TestMetricFilter)
	return s
}

// logsError returns an error as callers of CloudWatch Logs read it: the reason of a [serin.Error] is the name of the
// exception.
func logsError(err error, requestID string) *wireError {
	if e, ok := errors.AsType[*wireError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*serin.Error](err); ok {
		switch {
		case e.Kind == serin.KindTooLarge, e.Kind == serin.KindNotImplemented:
			return asWireError(err, requestID)
		case e.Reason != "":
			return frontEndError(e.Reason, http.StatusBadRequest, e.Message)
		case e.Kind == serin.KindThrottled:
			return frontEndError("ThrottlingException", http.StatusBadRequest, e.Message)
		case e.Kind == serin.KindInvalid, e.Kind == serin.KindValidation:
			return frontEndError("InvalidParameterException", http.StatusBadRequest, e.Message)
		}
	}
	e := frontEndError("ServiceUnavailableException", http.StatusInternalServerError, asWireError(err, requestID).message)
	e.cause = err
	return e
}
