package cloudwatchlogs

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"serin"
	"serin/internal/logpattern"
	"serin/internal/logs"
)

// Limits of metric filters (AWS documentation).
const (
	maxMetricFilters    = 100 // of a group
	maxFilterDimensions = 3
	maxTested           = 50 // messages of TestMetricFilter
)

// PutMetricFilter makes or replaces a filter of a group. It counts for events that are written from then on.
func (s *Service) PutMetricFilter(ctx context.Context, in *cloudwatchlogs.PutMetricFilterInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.PutMetricFilterOutput, error) {
	name := aws.ToString(in.FilterName)
	if err := checkName(name, "filterName", streamPattern, `[^:*]*`); err != nil {
		return nil, err
	}
	pattern, err := patternOf(in.FilterPattern)
	if err != nil {
		return nil, err
	}
	if len(in.MetricTransformations) != 1 {
		return nil, constraint(strconv.Itoa(len(in.MetricTransformations))+" transformations", "metricTransformations", "Member must have length equal to 1")
	}
	if in.ApplyOnTransformedLogs || len(in.EmitSystemFieldDimensions) > 0 || in.FieldSelectionCriteria != nil {
		return nil, invalid("Serin has no log transformers and no system fields of metric filters.")
	}
	t, err := transformationOf(&in.MetricTransformations[0])
	if err != nil {
		return nil, err
	}
	filter := logs.MetricFilter{Name: name, Pattern: pattern.String(), Created: s.Now().UnixMilli(), Transformations: []logs.Transformation{t}}
	err = s.update(ctx, in.LogGroupName, func(g *logs.Settings) error {
		g.MetricFilters = slices.DeleteFunc(slices.Clone(g.MetricFilters), func(f logs.MetricFilter) bool { return f.Name == name })
		if len(g.MetricFilters) >= maxMetricFilters {
			return refuse(serin.KindInvalid, ReasonLimit, "A log group has at most %d metric filters.", maxMetricFilters)
		}
		g.MetricFilters = append(g.MetricFilters, filter)
		slices.SortFunc(g.MetricFilters, func(a, b logs.MetricFilter) int { return strings.Compare(a.Name, b.Name) })
		return nil
	})
	s.filters.forget()
	return &cloudwatchlogs.PutMetricFilterOutput{}, err
}

func transformationOf(m *types.MetricTransformation) (logs.Transformation, error) {
	t := logs.Transformation{
		Namespace: aws.ToString(m.MetricNamespace), Metric: aws.ToString(m.MetricName), Value: aws.ToString(m.MetricValue), Default: m.DefaultValue,
		Unit: string(m.Unit), Dimensions: m.Dimensions,
	}
	switch {
	case t.Namespace == "" || len(t.Namespace) > 255 || strings.ContainsAny(t.Namespace, ":*$") || strings.HasPrefix(t.Namespace, "AWS/"):
		return t, constraint(t.Namespace, "metricTransformations.1.member.metricNamespace", "Member must satisfy regular expression pattern: [^:*$]*, and not begin with AWS/")
	case t.Metric == "" || len(t.Metric) > 255 || strings.ContainsAny(t.Metric, ":*$"):
		return t, constraint(t.Metric, "metricTransformations.1.member.metricName", "Member must satisfy regular expression pattern: [^:*$]*")
	case t.Unit != "" && !slices.Contains(types.StandardUnit("").Values(), m.Unit):
		return t, constraint(t.Unit, "metricTransformations.1.member.unit", "Member must satisfy enum value set: %v", types.StandardUnit("").Values())
	case len(t.Dimensions) > maxFilterDimensions:
		return t, invalid("A metric filter has at most %d dimensions.", maxFilterDimensions)
	case len(t.Dimensions) > 0 && t.Default != nil:
		return t, invalid("Invalid metric transformation: dimensions and default value are mutually exclusive properties.")
	}
	if _, ok := number(t.Value); !ok && !strings.HasPrefix(t.Value, "$") {
		return t, invalid("Invalid metric transformation: the metric value %s is neither a number nor a selector that begins with $.", t.Value)
	}
	return t, nil
}

// number reads a finite number.
func number(text string) (float64, bool) {
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
}

// DeleteMetricFilter deletes a filter of a group.
func (s *Service) DeleteMetricFilter(ctx context.Context, in *cloudwatchlogs.DeleteMetricFilterInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.DeleteMetricFilterOutput, error) {
	err := s.update(ctx, in.LogGroupName, func(g *logs.Settings) error {
		without := slices.DeleteFunc(slices.Clone(g.MetricFilters), func(f logs.MetricFilter) bool { return f.Name == aws.ToString(in.FilterName) })
		if len(without) == len(g.MetricFilters) {
			return refuse(serin.KindNotFound, ReasonNotFound, "The specified metric filter does not exist.")
		}
		g.MetricFilters = without
		return nil
	})
	s.filters.forget()
	return &cloudwatchlogs.DeleteMetricFilterOutput{}, err
}

// DescribeMetricFilters lists filters, of one group or of all, by the names of groups and filters.
func (s *Service) DescribeMetricFilters(ctx context.Context, in *cloudwatchlogs.DescribeMetricFiltersInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.DescribeMetricFiltersOutput, error) {
	limit, err := limitOf(in.Limit, maxDescribed)
	if err != nil {
		return nil, err
	}
	var after place
	if err := after.read(in.NextToken); err != nil {
		return nil, err
	}
	var groups []logs.Group
	if in.LogGroupName != nil {
		g, err := s.Store.Group(ctx, *in.LogGroupName)
		if err != nil {
			return nil, told(err, "log group")
		}
		groups = []logs.Group{g}
	} else if groups, err = s.Store.Groups(ctx, "", "", "", math.MaxInt32); err != nil {
		return nil, err
	}
	out := &cloudwatchlogs.DescribeMetricFiltersOutput{MetricFilters: []types.MetricFilter{}}
	last := ""
	for _, g := range groups {
		for _, f := range g.MetricFilters {
			key, t := g.Name+":"+f.Name, f.Transformations[0]
			if key <= after.Name || !strings.HasPrefix(f.Name, aws.ToString(in.FilterNamePrefix)) ||
				in.MetricName != nil && (t.Metric != *in.MetricName || t.Namespace != aws.ToString(in.MetricNamespace)) {
				continue
			}
			if len(out.MetricFilters) == limit {
				out.NextToken = (&place{Name: last}).token()
				return out, nil
			}
			last = key
			out.MetricFilters = append(out.MetricFilters, types.MetricFilter{
				FilterName: aws.String(f.Name), FilterPattern: aws.String(f.Pattern), LogGroupName: aws.String(g.Name), CreationTime: aws.Int64(f.Created),
				MetricTransformations: []types.MetricTransformation{{
					MetricName: &t.Metric, MetricNamespace: &t.Namespace, MetricValue: &t.Value, DefaultValue: t.Default, Dimensions: t.Dimensions, Unit: types.StandardUnit(t.Unit),
				}},
			})
		}
	}
	return out, nil
}

// TestMetricFilter says which messages a pattern matches, and what its selectors are in them.
func (s *Service) TestMetricFilter(_ context.Context, in *cloudwatchlogs.TestMetricFilterInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.TestMetricFilterOutput, error) {
	pattern, err := patternOf(in.FilterPattern)
	if err != nil {
		return nil, err
	}
	if n := len(in.LogEventMessages); n < 1 || n > maxTested {
		return nil, constraint(strconv.Itoa(n)+" messages", "logEventMessages", "Member must have length between 1 and %d", maxTested)
	}
	out := &cloudwatchlogs.TestMetricFilterOutput{Matches: []types.MetricFilterMatchRecord{}}
	for i, message := range in.LogEventMessages {
		if pattern.Match([]byte(message)) {
			out.Matches = append(out.Matches, types.MetricFilterMatchRecord{
				EventNumber: int64(i + 1), EventMessage: aws.String(message), ExtractedValues: pattern.Extract([]byte(message)),
			})
		}
	}
	return out, nil
}

// filter is a metric filter that is ready to be used.
type filter struct {
	pattern *logpattern.Pattern
	to      logs.Transformation
}

// filtersOf returns the filters of a group.
func (s *Service) filtersOf(ctx context.Context, group string) []filter {
	if known, ok := s.filters.of(group); ok {
		return known
	}
	age := s.filters.age()
	g, err := s.Store.Group(ctx, group)
	if err != nil {
		return nil // it has been deleted since
	}
	var ready []filter
	for _, f := range g.MetricFilters {
		// What has been put has been checked.
		if pattern, err := logpattern.Parse(f.Pattern); err == nil {
			ready = append(ready, filter{pattern, f.Transformations[0]})
		}
	}
	s.filters.keep(group, ready, age)
	return ready
}

// counted is how often a value of a metric was seen in a second.
type counted struct {
	filter     int
	dimensions string
	second     int64
	value      float64
}

// maxCounted bounds what the filters make of one chunk.
const maxCounted = 10_000

// filterMetrics puts the points that the filters of a group make of a chunk.
func (s *Service) filterMetrics(ctx context.Context, c *logs.Chunk) {
	filters := s.filtersOf(ctx, c.Group)
	if len(filters) == 0 {
		return
	}
	counts := map[counted]float64{}
	dimensions := map[string][]cwtypes.Dimension{"": nil}
	for e := range c.Events() {
		for i := range filters {
			point, ds, ok := filters[i].point(e.Message)
			if !ok || len(counts) >= maxCounted {
				continue
			}
			point.filter, point.second = i, e.ID.At/1000
			counts[point]++
			dimensions[point.dimensions] = ds
		}
	}
	byNamespace := map[string][]cwtypes.MetricDatum{}
	for point, n := range counts {
		to := &filters[point.filter].to
		byNamespace[to.Namespace] = append(byNamespace[to.Namespace], cwtypes.MetricDatum{
			MetricName: &to.Metric, Unit: cwtypes.StandardUnit(to.Unit), Dimensions: dimensions[point.dimensions],
			Timestamp: aws.Time(time.Unix(point.second, 0)), Values: []float64{point.value}, Counts: []float64{n},
		})
	}
	for namespace, data := range byNamespace {
		s.put(ctx, namespace, data)
	}
}

// point returns what a filter makes of a message.
func (f *filter) point(message []byte) (counted, []cwtypes.Dimension, bool) {
	if !f.pattern.Match(message) {
		return counted{value: aws.ToFloat64(f.to.Default)}, nil, f.to.Default != nil
	}
	value, ok := number(f.to.Value)
	if !ok {
		text, found := f.pattern.Value(message, f.to.Value)
		if value, ok = number(text); !found || !ok {
			return counted{}, nil, false
		}
	}
	var ds []cwtypes.Dimension
	var key strings.Builder
	for name, selector := range f.to.Dimensions {
		text, found := f.pattern.Value(message, selector)
		if !found || text == "" {
			return counted{}, nil, false // as on AWS: no point without all dimensions
		}
		ds = append(ds, cwtypes.Dimension{Name: aws.String(name), Value: aws.String(text)})
	}
	slices.SortFunc(ds, func(a, b cwtypes.Dimension) int { return cmp.Compare(*a.Name, *b.Name) })
	for _, d := range ds {
		key.WriteString(*d.Name + "\x00" + *d.Value + "\x00")
	}
	return counted{dimensions: key.String(), value: value}, ds, true
}

// maxPut is how many points PutMetricData takes.
const maxPut = 1000

// put writes points. What cannot be written is no reason to lose a line of a log.
func (s *Service) put(ctx context.Context, namespace string, data []cwtypes.MetricDatum) {
	for part := range slices.Chunk(data, maxPut) {
		if _, err := s.PutMetricData(ctx, &cloudwatch.PutMetricDataInput{Namespace: &namespace, MetricData: part}); err != nil {
			s.Log.DebugContext(ctx, "metrics of log events are refused", "namespace", namespace, "error", err)
		}
	}
}
