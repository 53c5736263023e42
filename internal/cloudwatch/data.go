package cloudwatch

import (
	"context"
	"encoding/base64"
	"fmt"
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

// plain reports whether the query needs no distribution.
func (q *query) plain() bool { return standardStatistics[q.stat] != nil }

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
	from, err := positionIn(in.NextToken, len(queries))
	if err != nil {
		return nil, err
	}
	e := &evaluation{
		service: s, ctx: ctx, queries: queries, from: *in.StartTime, to: *in.EndTime, done: map[string]value{}, running: map[string]bool{},
	}
	for _, q := range queries { // also those that are hidden must be valid
		if q.expression != nil {
			if _, err := e.of(q); err != nil {
				return nil, err
			}
		}
	}
	out := &cloudwatch.GetMetricDataOutput{Messages: []types.MessageData{}, MetricDataResults: []types.MetricDataResult{}}
	return out, e.page(out, from, most, in.ScanBy == types.ScanByTimestampAscending)
}

// result is a series of the reply.
type result struct {
	id, label string
	points    []point
}

// results returns the series of a query.
func (e *evaluation) results(q *query, label string) ([]result, error) {
	v, err := e.of(q)
	if err != nil {
		return nil, err
	}
	if v.scalar {
		return nil, validation("Error in expression '%s': The result is not a time series. Use TIME_SERIES to make it one.", q.id)
	}
	all := make([]result, 0, len(v.list))
	for _, l := range v.list {
		r := result{id: q.id, label: label, points: l.points}
		if q.expression != nil && !v.single {
			r.label = l.label
		}
		if q.label != "" {
			r.label = expandLabel(q, r.label, l.points)
		}
		all = append(all, r)
	}
	return all, nil
}

// position is where a page begins: so many points into the results of a query.
type position struct{ query, points int }

// page fills in the points of a reply from a position on, and where the next one begins. Queries before the position are
// not computed again.
func (e *evaluation) page(out *cloudwatch.GetMetricDataOutput, from position, left int, ascending bool) error {
	labels := defaultLabels(e.queries)
	for at := from; at.query < len(e.queries); at = (position{at.query + 1, 0}) {
		q := e.queries[at.query]
		if q.hidden {
			continue
		}
		results, err := e.results(q, labels[q.id])
		if err != nil {
			return err
		}
		skip := at.points
		for _, r := range results {
			if skip > 0 && skip >= len(r.points) {
				skip -= len(r.points)
				continue
			}
			rest := len(r.points) - skip
			taken := min(rest, left)
			if taken > 0 || rest == 0 {
				out.MetricDataResults = append(out.MetricDataResults, r.shown(skip, taken, ascending))
			}
			left -= taken
			at.points += taken
			if skip = 0; taken < rest {
				out.NextToken = aws.String(at.token())
				return nil
			}
		}
	}
	return nil
}

// shown is a part of a result as it is answered.
func (r *result) shown(skip, n int, ascending bool) types.MetricDataResult {
	out := types.MetricDataResult{
		Id: &r.id, Label: &r.label, StatusCode: types.StatusCodeComplete, Timestamps: make([]time.Time, 0, n), Values: make([]float64, 0, n),
	}
	if skip+n < len(r.points) {
		out.StatusCode = types.StatusCodePartialData
	}
	for i := skip; i < skip+n; i++ {
		p := r.points[i]
		if !ascending {
			p = r.points[len(r.points)-1-i]
		}
		out.Timestamps = append(out.Timestamps, p.at)
		out.Values = append(out.Values, p.value)
	}
	return out
}

const positionForm = "query %d points %d"

func (p position) token() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, positionForm, p.query, p.points))
}

func positionIn(token *string, queries int) (position, error) {
	var p position
	if token == nil {
		return p, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(*token)
	if err == nil {
		_, err = fmt.Sscanf(string(text), positionForm, &p.query, &p.points)
	}
	if err != nil || p.query < 0 || p.query >= queries || p.points < 0 || p.token() != *token {
		return p, refuse(ReasonNextToken, "The NextToken is invalid or has expired.")
	}
	return p, nil
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
