package awsapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"

	"serin"
)

// CloudWatch is what serves the operations on metrics. As with [Lambda], its methods are those of the SDK's client.
type CloudWatch interface {
	PutMetricData(context.Context, *cloudwatch.PutMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.PutMetricDataOutput, error)
	GetMetricData(context.Context, *cloudwatch.GetMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error)
	GetMetricStatistics(context.Context, *cloudwatch.GetMetricStatisticsInput, ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricStatisticsOutput, error)
	ListMetrics(context.Context, *cloudwatch.ListMetricsInput, ...func(*cloudwatch.Options)) (*cloudwatch.ListMetricsOutput, error)
}

// Alarms is what serves the operations on alarms, which belong to the same service.
type Alarms interface {
	PutMetricAlarm(context.Context, *cloudwatch.PutMetricAlarmInput, ...func(*cloudwatch.Options)) (*cloudwatch.PutMetricAlarmOutput, error)
	PutCompositeAlarm(context.Context, *cloudwatch.PutCompositeAlarmInput, ...func(*cloudwatch.Options)) (*cloudwatch.PutCompositeAlarmOutput, error)
	DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error)
	DescribeAlarmsForMetric(context.Context, *cloudwatch.DescribeAlarmsForMetricInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsForMetricOutput, error)
	DescribeAlarmHistory(context.Context, *cloudwatch.DescribeAlarmHistoryInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmHistoryOutput, error)
	SetAlarmState(context.Context, *cloudwatch.SetAlarmStateInput, ...func(*cloudwatch.Options)) (*cloudwatch.SetAlarmStateOutput, error)
	EnableAlarmActions(context.Context, *cloudwatch.EnableAlarmActionsInput, ...func(*cloudwatch.Options)) (*cloudwatch.EnableAlarmActionsOutput, error)
	DisableAlarmActions(context.Context, *cloudwatch.DisableAlarmActionsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DisableAlarmActionsOutput, error)
	DeleteAlarms(context.Context, *cloudwatch.DeleteAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DeleteAlarmsOutput, error)
	TagResource(context.Context, *cloudwatch.TagResourceInput, ...func(*cloudwatch.Options)) (*cloudwatch.TagResourceOutput, error)
	UntagResource(context.Context, *cloudwatch.UntagResourceInput, ...func(*cloudwatch.Options)) (*cloudwatch.UntagResourceOutput, error)
	ListTagsForResource(context.Context, *cloudwatch.ListTagsForResourceInput, ...func(*cloudwatch.Options)) (*cloudwatch.ListTagsForResourceOutput, error)
}

func newCloudWatch(c CloudWatch, a Alarms) *service {
	s := newService(schemas.GraniteServiceVersion20100801, "monitoring", "2010-08-01", "http://monitoring.amazonaws.com/doc/2010-08-01/")
	s.wireError = cloudWatchError
	rpc(s, schemas.PutMetricData, nil, c.PutMetricData)
	rpc(s, schemas.GetMetricData, schemas.GetMetricDataOutput, c.GetMetricData)
	rpc(s, schemas.GetMetricStatistics, schemas.GetMetricStatisticsOutput, c.GetMetricStatistics)
	rpc(s, schemas.ListMetrics, schemas.ListMetricsOutput, c.ListMetrics)
	if a != nil {
		addAlarms(s, a)
	}
	return s
}

func addAlarms(s *service, a Alarms) {
	rpc(s, schemas.PutMetricAlarm, nil, a.PutMetricAlarm)
	rpc(s, schemas.PutCompositeAlarm, nil, a.PutCompositeAlarm)
	rpc(s, schemas.DescribeAlarms, schemas.DescribeAlarmsOutput, a.DescribeAlarms)
	rpc(s, schemas.DescribeAlarmsForMetric, schemas.DescribeAlarmsForMetricOutput, a.DescribeAlarmsForMetric)
	rpc(s, schemas.DescribeAlarmHistory, schemas.DescribeAlarmHistoryOutput, a.DescribeAlarmHistory)
	rpc(s, schemas.SetAlarmState, nil, a.SetAlarmState)
	rpc(s, schemas.EnableAlarmActions, nil, a.EnableAlarmActions)
	rpc(s, schemas.DisableAlarmActions, nil, a.DisableAlarmActions)
	rpc(s, schemas.DeleteAlarms, nil, a.DeleteAlarms)
	rpc(s, schemas.TagResource, schemas.TagResourceOutput, a.TagResource)
	rpc(s, schemas.UntagResource, schemas.UntagResourceOutput, a.UntagResource)
	rpc(s, schemas.ListTagsForResource, schemas.ListTagsForResourceOutput, a.ListTagsForResource)
}

// cloudWatchError returns an error as callers of CloudWatch read it. Where the reason of a [serin.Error] is an exception
// of the SDK, its schema has the code of the query protocol and the status.
func cloudWatchError(err error, requestID string) *wireError {
	if e, ok := errors.AsType[*wireError](err); ok {
		return e
	}
	e, ok := errors.AsType[*serin.Error](err)
	if !ok {
		e = &serin.Error{Kind: serin.KindInternal}
	}
	switch e.Kind {
	case serin.KindInvalid:
		return modelledQuery(e.Reason, e.Message)
	case serin.KindNotFound:
		return modelledQuery("ResourceNotFound", e.Message)
	case serin.KindValidation:
		w := frontEndError("com.amazon.coral.validate#ValidationException", http.StatusBadRequest, e.Message)
		w.queryCode = "ValidationError"
		return w
	case serin.KindThrottled:
		w := frontEndError("ThrottlingException", http.StatusBadRequest, e.Message)
		w.queryCode = "Throttling"
		return w
	case serin.KindTooLarge, serin.KindNotImplemented:
		return asWireError(err, requestID)
	default:
		w := modelledQuery("InternalServiceFault", asWireError(err, requestID).message)
		w.cause = err
		return w
	}
}

// modelledQuery reads an exception of CloudWatch from its schema. It panics if the SDK does not know the name: names
// come from this program alone.
func modelledQuery(name, message string) *wireError {
	entry, ok := cloudwatch.TypeRegistry.LookupEntry("com.amazonaws.cloudwatch#" + name)
	if !ok {
		panic("awsapi: the SDK has no exception " + name)
	}
	e := frontEndError("com.amazonaws.cloudwatch.v2010_08_01#"+name, http.StatusBadRequest, message)
	if t, ok := smithy.SchemaTrait[*traits.AWSQueryError](entry.Schema); ok {
		e.status, e.queryCode = t.StatusCode, t.ErrorCode
	}
	return e
}
