package cloudwatch

import (
	"context"
	"encoding/base64"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"serin/internal/timeseries"
)

const (
	listPage       = 500
	listed         = 14 * 24 * time.Hour // metrics without newer values are not listed
	recentlyActive = 3 * time.Hour
	maxFilters     = 10
)

// ListMetrics returns the metrics that have values in the last two weeks.
func (s *Service) ListMetrics(ctx context.Context, in *cloudwatch.ListMetricsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.ListMetricsOutput, error) {
	back := listed
	switch in.RecentlyActive {
	case "":
	case types.RecentlyActivePt3h:
		back = recentlyActive
	default:
		return nil, validation("1 validation error detected: Value '%s' at 'recentlyActive' failed to satisfy constraint: Member must satisfy enum value set: [PT3H]", quoted(string(in.RecentlyActive)))
	}
	if len(in.Dimensions) > maxFilters {
		return nil, invalidValue("The collection Dimensions must not have a size greater than %d.", maxFilters)
	}
	sel := timeseries.Selector{Namespace: aws.ToString(in.Namespace), Name: aws.ToString(in.MetricName)}
	for _, d := range in.Dimensions {
		if aws.ToString(d.Name) == "" {
			return nil, missing("Dimensions.member.Name")
		}
		if len(*d.Name) > maxName || len(aws.ToString(d.Value)) > maxDimension {
			return nil, invalidValue("A dimension has a name of at most %d characters and a value of at most %d.", maxName, maxDimension)
		}
		sel.Dimensions = append(sel.Dimensions, timeseries.Dimension{Name: *d.Name, Value: aws.ToString(d.Value)})
	}
	now := s.Now()
	all, err := s.Store.Metrics(ctx, sel, now.Add(-back), now.Add(timeseries.Future))
	if err != nil {
		return nil, err
	}
	// The same metric in two units is one metric here.
	all = slices.CompactFunc(all, func(a, b timeseries.Metric) bool {
		a.Unit, b.Unit = "", ""
		return a.Compare(b) == 0
	})
	if in.NextToken != nil {
		if all, err = after(all, *in.NextToken); err != nil {
			return nil, err
		}
	}
	out := &cloudwatch.ListMetricsOutput{Metrics: []types.Metric{}}
	for _, m := range all[:min(len(all), listPage)] {
		out.Metrics = append(out.Metrics, types.Metric{Namespace: &m.Namespace, MetricName: &m.Name, Dimensions: dimensionsOut(m)})
	}
	if len(all) > listPage {
		out.NextToken = aws.String(base64.RawURLEncoding.EncodeToString([]byte(listKey(all[listPage-1]))))
	}
	return out, nil
}

// listKey is what a token says of the last metric of a page.
func listKey(m timeseries.Metric) string {
	m.Unit = ""
	return m.Key()
}

// after returns the metrics that follow the one that a token names. A metric that has gone since ends the list
// before its time, which the caller is told.
func after(all []timeseries.Metric, token string) ([]timeseries.Metric, error) {
	key, err := base64.RawURLEncoding.DecodeString(token)
	at := -1
	if err == nil {
		at = slices.IndexFunc(all, func(m timeseries.Metric) bool { return listKey(m) == string(key) })
	}
	if at < 0 {
		return nil, refuse(ReasonNextToken, "The NextToken is invalid or has expired.")
	}
	return all[at+1:], nil
}

func dimensionsOut(m timeseries.Metric) []types.Dimension {
	ds := make([]types.Dimension, 0, len(m.Dimensions))
	for _, d := range m.Dimensions {
		ds = append(ds, types.Dimension{Name: &d.Name, Value: &d.Value})
	}
	return ds
}
