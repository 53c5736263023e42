package cloudwatch

import (
	"context"
	"encoding/base64"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"serin/internal/timeseries"
)

// Limits of GetMetricData (AWS documentation).
const (
	maxQueries = 500
	maxPage    = 100_800 // points in one reply
)

var queryID = regexp.MustCompile(`^[a-z][a-zA-Z0-9_]{0,254}$`)

// query is one MetricDataQuery, checked: a metric with a statistic, or an expression.
type query struct {
	id         string
	label      string // "" for the default
	hidden     bool
	metric     timeseries.Metric
	stat       string
	compute    statistic
	period     time.Duration
	expression *node
}

// GetMetricData returns points of metrics and of expressions on them.
func (s *Service) GetMetricData(ctx context.Context, in *cloudwatch.GetMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	if err := checkTimes(in.StartTime, in.EndTime); err != nil {
		return nil, err
	}
	queries, err := queriesIn(in.MetricDataQueries)
	if err != nil {
		return nil, err
	}
	most := maxPage
	if in.MaxDatapoints != nil {
		if most = int(*in.MaxDatapoints); most < 1 || most > maxPage {
			return nil, invalidValue("The parameter MaxDatapoints must be between 1 and %d.", maxPage)
		}
	}
	if in.ScanBy != "" && !slices.Contains(in.ScanBy.Values(), in.ScanBy) {
		return nil, invalidValue("The value %s for parameter ScanBy is invalid.", quoted(string(in.ScanBy)))
	}
	skip, err := offsetIn(in.NextToken)
	if err != nil {
		return nil, err
	}
	e := &evaluation{
		service: s, ctx: ctx, queries: queries, from: *in.StartTime, to: *in.EndTime, done: map[string]value{}, running: map[string]bool{},
	}
	results, err := e.results()
	if err != nil {
		return nil, err
	}
	if in.ScanBy != types.ScanByTimestampAscending {
		for _, r := range results {
			slices.Reverse(r.points)
		}
	}
	out := &cloudwatch.GetMetricDataOutput{Messages: []types.MessageData{}, MetricDataResults: []types.MetricDataResult{}}
	page(out, results, skip, most)
	return out, nil
}

// result is a series of the reply.
type result struct {
	id, label string
	points    []point
}

func (e *evaluation) results() ([]result, error) {
	labels := defaultLabels(e.queries)
	var all []result
	for _, q := range e.queries {
		v, err := e.of(q)
		if err != nil {
			return nil, err
		}
		if q.hidden {
			continue
		}
		if v.scalar {
			return nil, validation("Error in expression '%s': The result is not a time series. Use TIME_SERIES to make it one.", q.id)
		}
		for _, l := range v.list {
			r := result{id: q.id, label: labels[q.id], points: slices.Clone(l.points)}
			if q.expression != nil && !v.single {
				r.label = l.label
			}
			if q.label != "" {
				r.label = expandLabel(q, r.label, l.points)
			}
			all = append(all, r)
		}
	}
	return all, nil
}

// page fills in the points of a reply: those from an offset in all results, one after the other.
func page(out *cloudwatch.GetMetricDataOutput, results []result, skip, most int) {
	left := most
	for i, r := range results {
		if skip > 0 && skip >= len(r.points) {
			skip -= len(r.points)
			continue
		}
		r.points = r.points[skip:]
		shown := types.MetricDataResult{
			Id: aws.String(r.id), Label: aws.String(r.label), StatusCode: types.StatusCodeComplete,
			Timestamps: []time.Time{}, Values: []float64{},
		}
		for _, p := range r.points[:min(len(r.points), left)] {
			shown.Timestamps = append(shown.Timestamps, p.at)
			shown.Values = append(shown.Values, p.value)
		}
		left -= len(shown.Values)
		partial := len(shown.Values) < len(r.points)
		if partial {
			shown.StatusCode = types.StatusCodePartialData
		}
		if partial && len(shown.Values) > 0 || !partial {
			out.MetricDataResults = append(out.MetricDataResults, shown)
		}
		skip = 0
		if partial || left == 0 && slices.ContainsFunc(results[i+1:], func(r result) bool { return len(r.points) > 0 }) {
			before := 0
			for _, earlier := range results[:i] {
				before += len(earlier.points)
			}
			offset := before + len(results[i].points) - len(r.points) + len(shown.Values)
			out.NextToken = aws.String(base64.RawURLEncoding.EncodeToString(strconv.AppendInt([]byte("points:"), int64(offset), 10)))
			return
		}
	}
}

func offsetIn(token *string) (int, error) {
	if token == nil {
		return 0, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(*token)
	if err == nil && len(text) > len("points:") && string(text[:len("points:")]) == "points:" {
		if n, err := strconv.Atoi(string(text[len("points:"):])); err == nil && n > 0 {
			return n, nil
		}
	}
	return 0, refuse(ReasonNextToken, "The NextToken is invalid or has expired.")
}

func queriesIn(in []types.MetricDataQuery) ([]*query, error) {
	if len(in) == 0 {
		return nil, missing("MetricDataQueries")
	}
	if len(in) > maxQueries {
		return nil, validation("The collection MetricDataQueries must not have a size greater than %d.", maxQueries)
	}
	queries := make([]*query, 0, len(in))
	seen := map[string]bool{}
	for i := range in {
		q, err := queryIn(&in[i], i+1)
		if err != nil {
			return nil, err
		}
		if seen[q.id] {
			return nil, validation("The values for parameter id in MetricDataQueries are not unique: %s.", q.id)
		}
		seen[q.id] = true
		queries = append(queries, q)
	}
	return queries, nil
}

func queryIn(in *types.MetricDataQuery, n int) (*query, error) {
	q := &query{id: aws.ToString(in.Id), label: aws.ToString(in.Label), hidden: in.ReturnData != nil && !*in.ReturnData}
	if !queryID.MatchString(q.id) {
		return nil, validation("The value %s for parameter MetricDataQueries.member.%d.Id does not match the regular expression ^[a-z][a-zA-Z0-9_]*$.", quoted(q.id), n)
	}
	var err error
	switch {
	case (in.Expression == nil) == (in.MetricStat == nil):
		return nil, validation("The parameter MetricDataQueries.member.%d must have either Expression or MetricStat.", n)
	case in.Expression != nil:
		if in.Period != nil {
			if q.period, err = checkPeriod(*in.Period, "MetricDataQueries.member."+strconv.Itoa(n)+".Period"); err != nil {
				return nil, err
			}
		}
		q.expression, err = parseExpression(*in.Expression)
		return q, err
	}
	m := in.MetricStat
	if m.Metric == nil {
		return nil, missing("MetricDataQueries.member." + strconv.Itoa(n) + ".MetricStat.Metric")
	}
	if m.Period == nil {
		return nil, missing("MetricDataQueries.member." + strconv.Itoa(n) + ".MetricStat.Period")
	}
	if q.period, err = checkPeriod(*m.Period, "MetricDataQueries.member."+strconv.Itoa(n)+".MetricStat.Period"); err != nil {
		return nil, err
	}
	q.stat = aws.ToString(m.Stat)
	var known bool
	if q.compute, known = parseStatistic(q.stat); !known {
		return nil, validation("The value %s for parameter MetricDataQueries.member.%d.MetricStat.Stat is not supported.", quoted(q.stat), n)
	}
	q.metric, err = metricIn(m.Metric.Namespace, m.Metric.MetricName, m.Unit, m.Metric.Dimensions)
	return q, err
}
