package cloudwatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"serin"
	subject "serin/internal/cloudwatch"
	"serin/internal/timeseries"
)

// service is a Service with a clock that a test sets.
type service struct {
	*subject.Service

	store *timeseries.Store
	now   time.Time
}

func newService(tb testing.TB) *service {
	tb.Helper()
	s := &service{now: time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return s.now }
	var err error
	s.store, err = timeseries.Open(context.Background(), timeseries.Config{Dir: tb.TempDir(), Now: clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.store.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	s.Service = subject.New(subject.Config{Store: s.store, Now: clock, Log: slog.New(slog.DiscardHandler)})
	return s
}

// put puts one value per minute, beginning at a minute after five o'clock. NaN stands for none.
func (s *service) put(tb testing.TB, name string, from int, values ...float64) {
	tb.Helper()
	in := &cloudwatch.PutMetricDataInput{Namespace: aws.String("N")}
	for i, v := range values {
		if !math.IsNaN(v) {
			in.MetricData = append(in.MetricData, types.MetricDatum{
				MetricName: &name, Value: &v, Timestamp: aws.Time(s.now.Add(time.Duration(from+i) * time.Minute)),
			})
		}
	}
	if _, err := s.PutMetricData(tb.Context(), in); err != nil {
		tb.Fatal(err)
	}
}

func (s *service) flush(tb testing.TB) {
	tb.Helper()
	s.now = s.now.Add(time.Second)
	if err := s.store.Flush(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

var five = time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)

func metric(id, name string) types.MetricDataQuery {
	return types.MetricDataQuery{Id: &id, ReturnData: aws.Bool(false), MetricStat: &types.MetricStat{
		Metric: &types.Metric{Namespace: aws.String("N"), MetricName: &name}, Period: aws.Int32(60), Stat: aws.String("Sum"),
	}}
}

// TestMetricMath shows each result as the values of the six minutes from five o'clock, "-" where there is none.
func TestMetricMath(t *testing.T) {
	s := newService(t)
	none := math.NaN()
	s.put(t, "a", 0, 1, 2, 3, none, 5)
	s.put(t, "b", 0, 10, 0, 30, 40)
	s.put(t, "empty", -30, 1)
	s.flush(t)
	for _, tt := range []struct{ expression, want string }{
		{"m1", "1 2 3 - 5 -"},
		{"m1+m2", "11 2 33 - - -"},
		{"m1 * 2 - 1", "1 3 5 - 9 -"},
		{"2 ^ m1", "2 4 8 - 32 -"},
		{"-m1 % 2", "-1 -0 -1 - -1 -"},
		{"1 / m2", "0.1 - 0.03333333333333333 0.025 - -"},
		{"100 - 100*m1/m2", "90 - 90 - - -"},
		{"m1 >= 2 AND m2 > 5", "0 0 1 - - -"},
		{"m1 == 1 || m2 == 0", "1 1 0 - - -"},
		{"m1 != 2 && 1", "1 0 1 - 1 -"},
		{"FILL(m1, 0)", "1 2 3 0 5 0"},
		{"FILL(m1, REPEAT)", "1 2 3 3 5 5"},
		{"FILL(m1, LINEAR)", "1 2 3 4 5 -"},
		{"FILL(empty, 7)", "7 7 7 7 7 7"},
		{"IF(m1 > 1, m1, 0)", "0 2 3 - 5 -"},
		{"IF(m1 > 1, m2)", "- 0 30 - - -"},
		{"IF(m1 > 2, m1, m2)", "10 0 3 - 5 -"},
		{"SUM(METRICS())", "11 2 33 40 5 -"},
		{"AVG([m1, m2])", "5.5 1 16.5 40 5 -"},
		{"MAX(METRICS(\"m\"))", "10 2 30 40 5 -"},
		{"MIN([m1,m2])", "1 0 3 40 5 -"},
		{"STDDEV([m1,m2])", "4.5 1 13.5 0 0 -"},
		{"m1 / SUM(m1) * 11", "1 2 3 - 5 -"},
		{"m1 - MIN(m1)", "0 1 2 - 4 -"},
		{"m1*0 + AVG(m1)", "2.75 2.75 2.75 - 2.75 -"},
		{"TIME_SERIES(MAX(m2))", "40 40 40 40 40 40"},
		{"DIFF(m1)", "- 1 1 - 2 -"},
		{"DIFF_TIME(m1)", "- 60 60 - 120 -"},
		{"RATE(m1) * 60", "- 1 1 - 1 -"},
		{"RUNNING_SUM(m1)", "1 3 6 - 11 -"},
		{"ABS(1-m1)", "0 1 2 - 4 -"},
		{"CEIL(m1/2)", "1 1 2 - 3 -"},
		{"FLOOR(m1/2)", "0 1 1 - 2 -"},
		{"FLOOR(LOG10(m2) * 1000)", "1000 - 1477 1602 - -"},
		{"LOG(m1*0+1)", "0 0 0 - 0 -"},
		{"MINUTE(m1)", "0 1 2 - 4 -"},
		{"HOUR(m1)+DAY(m1)*100+DATE(m1)", "309 309 309 - 309 -"},
		{"MONTH(m1) + YEAR(m1)", "2029 2029 2029 - 2029 -"},
		{"EPOCH(m1) - EPOCH(FIRST([m1]))", "0 0 0 - 0 -"},
		{"FIRST(SORT([m1,m2], MAX, DESC))", "10 0 30 40 - -"},
		{"LAST(SORT([m1,m2], SUM, DESC))", "1 2 3 - 5 -"},
		{"SUM(SLICE([m1,m2], 1))", "10 0 30 40 - -"},
		{"m1 * 0 + METRIC_COUNT(REMOVE_EMPTY([m1,empty]))", "1 1 1 - 1 -"},
		{"m1 * 0 + PERIOD(m1)", "60 60 60 - 60 -"},
		{"SUM(SEARCH('{N} MetricName=\"b\"', 'Sum', 60))", "10 0 30 40 - -"},
		{"SUM(SEARCH('{N} a OR b', 'Sum', 60))", "11 2 33 40 5 -"},
		{"SUM(SEARCH('{N} NOT (b OR empty)', 'Maximum', 60))", "1 2 3 - 5 -"},
		{"(m1", "error: Syntax error at position 4: ) is missing"},
		{"m1 m2", "error: an operator is missing"},
		{"f(m1)", "error: The function F is not known"},
		{"FILL(m1)", "error: FILL takes 2 to 2 arguments"},
		{"AVG(m1)", "error: The result is not a time series"},
		{"e", "error: refers to itself"},
		{"SEARCH('{N} (a', 'Sum', 60)", "error: lacks a closing parenthesis"},
		{"SEARCH('{N} a', 'Most', 60)", "error: The statistic Most is not known"},
		{"[m1,m2]+[m1,m2,m1]", "error: Arrays of different size"},
		{"SUM([1])", "error: An array holds time series alone"},
		{"'x' + m1", "error: A text is no operand"},
		{strings.Repeat("(", 1000) + "m1" + strings.Repeat(")", 1000), "error: nested too deeply"},
		{strings.Repeat("-", 1500) + "m1", "error: nested too deeply"},
		{strings.Repeat("m1+", 1000) + "m1", "error: at most 2048 characters"},
	} {
		t.Run(tt.expression[:min(len(tt.expression), 50)], func(t *testing.T) {
			out, err := s.GetMetricData(t.Context(), &cloudwatch.GetMetricDataInput{
				StartTime: &five, EndTime: aws.Time(five.Add(6 * time.Minute)), ScanBy: types.ScanByTimestampAscending,
				MetricDataQueries: []types.MetricDataQuery{
					metric("m1", "a"), metric("m2", "b"), metric("empty", "empty"), {Id: aws.String("e"), Expression: &tt.expression},
				},
			})
			got := ""
			if err != nil {
				got = "error: " + err.Error()
			} else {
				got = minutes(t, out.MetricDataResults)
			}
			if part, failing := strings.CutPrefix(tt.want, "error: "); failing && !strings.Contains(got, part) || !failing && got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func minutes(t *testing.T, results []types.MetricDataResult) string {
	t.Helper()
	if len(results) != 1 {
		t.Fatalf("%d results", len(results))
	}
	values := map[time.Time]float64{}
	for i, at := range results[0].Timestamps {
		values[at] = results[0].Values[i]
	}
	var out []string
	for i := range 6 {
		v, ok := values[five.Add(time.Duration(i)*time.Minute)]
		if !ok {
			out = append(out, "-")
			continue
		}
		out = append(out, fmt.Sprint(v))
	}
	return strings.Join(out, " ")
}

func TestStatistics(t *testing.T) {
	s := newService(t)
	in := &cloudwatch.PutMetricDataInput{Namespace: aws.String("N"), MetricData: []types.MetricDatum{{MetricName: aws.String("m")}}}
	for v := range 100 {
		in.MetricData[0].Values = append(in.MetricData[0].Values, float64(v+1))
	}
	if _, err := s.PutMetricData(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	s.flush(t)
	for stat, want := range map[string]float64{
		"p0": 1, "p10": 10.5, "p50": 50.5, "p99.5": 99.9, "p100": 100, "tm90": 45.5, "TM(10%:90%)": 50.5, "TM(:50)": 25.5, "TM(90:)": 95.5,
		"wm80": 48, "WM(10%:90%)": 50.5, "tc50": 50, "TC(10:20)": 10, "ts50": 1275, "TS(:10.5)": 55, "PR(:30)": 30, "PR(30:70)": 40, "IQM": 50.5,
	} {
		out, err := s.GetMetricStatistics(t.Context(), &cloudwatch.GetMetricStatisticsInput{
			Namespace: aws.String("N"), MetricName: aws.String("m"), StartTime: &five, EndTime: aws.Time(five.Add(time.Hour)), Period: aws.Int32(3600),
			ExtendedStatistics: []string{stat},
		})
		if err != nil || len(out.Datapoints) != 1 {
			t.Errorf("%s: %v, %v", stat, out, err)
			continue
		}
		if got := out.Datapoints[0].ExtendedStatistics[stat]; math.Abs(got-want) > 0.05*want+0.1 {
			t.Errorf("%s = %v, want about %v", stat, got, want)
		}
	}
	for _, stat := range []string{"", "p", "p-1", "p1000", "p100.1", "TM()", "TM(:)", "TM(90%:10%)", "TM(10%:90)", "PR(10%:)", "tm(1:2", "Median", "TM(1:2:3)", "p1e1"} {
		_, err := s.GetMetricStatistics(t.Context(), &cloudwatch.GetMetricStatisticsInput{
			Namespace: aws.String("N"), MetricName: aws.String("m"), StartTime: &five, EndTime: aws.Time(five.Add(time.Hour)), Period: aws.Int32(3600),
			ExtendedStatistics: []string{stat},
		})
		if serin.KindOf(err) != serin.KindInvalid {
			t.Errorf("%q: %v", stat, err)
		}
	}
}

func TestPutMetricDataRefuses(t *testing.T) {
	s := newService(t)
	datum := func(change func(*types.MetricDatum)) []types.MetricDatum {
		d := types.MetricDatum{MetricName: aws.String("m"), Value: aws.Float64(1)}
		change(&d)
		return []types.MetricDatum{d}
	}
	dimension := func(name, value string) types.Dimension { return types.Dimension{Name: &name, Value: &value} }
	for name, data := range map[string][]types.MetricDatum{
		"1,001 data":           make([]types.MetricDatum, 1001),
		"151 values":           datum(func(d *types.MetricDatum) { d.Value, d.Values = nil, make([]float64, 151) }),
		"counts of other size": datum(func(d *types.MetricDatum) { d.Value, d.Values, d.Counts = nil, []float64{1}, []float64{1, 2} }),
		"negative count":       datum(func(d *types.MetricDatum) { d.Value, d.Values, d.Counts = nil, []float64{1}, []float64{-1} }),
		"counts of nothing":    datum(func(d *types.MetricDatum) { d.Value, d.Values, d.Counts = nil, []float64{1}, []float64{0} }),
		"infinite":             datum(func(d *types.MetricDatum) { d.Value = aws.Float64(math.Inf(1)) }),
		"too large":            datum(func(d *types.MetricDatum) { d.Value = aws.Float64(1e200) }),
		"NaN in a set": datum(func(d *types.MetricDatum) {
			d.Value, d.StatisticValues = nil, &types.StatisticSet{SampleCount: aws.Float64(1), Sum: aws.Float64(math.NaN()), Minimum: aws.Float64(1), Maximum: aws.Float64(1)}
		}),
		"half a set": datum(func(d *types.MetricDatum) {
			d.Value, d.StatisticValues = nil, &types.StatisticSet{SampleCount: aws.Float64(1)}
		}),
		"future":             datum(func(d *types.MetricDatum) { d.Timestamp = aws.Time(s.now.Add(2*time.Hour + time.Second)) }),
		"past":               datum(func(d *types.MetricDatum) { d.Timestamp = aws.Time(s.now.Add(-14*24*time.Hour - time.Second)) }),
		"year 1":             datum(func(d *types.MetricDatum) { d.Timestamp = &time.Time{} }),
		"resolution":         datum(func(d *types.MetricDatum) { d.StorageResolution = aws.Int32(5) }),
		"no name":            datum(func(d *types.MetricDatum) { d.MetricName = nil }),
		"control characters": datum(func(d *types.MetricDatum) { d.MetricName = aws.String("a\nb") }),
		"31 dimensions":      datum(func(d *types.MetricDatum) { d.Dimensions = make([]types.Dimension, 31) }),
		"twice":              datum(func(d *types.MetricDatum) { d.Dimensions = []types.Dimension{dimension("a", "1"), dimension("a", "2")} }),
		"no value":           datum(func(d *types.MetricDatum) { d.Dimensions = []types.Dimension{dimension("a", " ")} }),
		"colon":              datum(func(d *types.MetricDatum) { d.Dimensions = []types.Dimension{dimension(":a", "1")} }),
		"40 KB": datum(func(d *types.MetricDatum) {
			d.Dimensions = []types.Dimension{dimension("a", strings.Repeat("x", 40<<10))}
		}),
	} {
		if _, err := s.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("N"), MetricData: data}); serin.KindOf(err) != serin.KindInvalid {
			t.Errorf("%s: %v", name, err)
		} else if len(err.Error()) > 500 {
			t.Errorf("%s: an error text of %d bytes", name, len(err.Error()))
		}
	}
	out, err := s.ListMetrics(t.Context(), &cloudwatch.ListMetricsInput{})
	if err != nil || len(out.Metrics) != 0 {
		t.Errorf("something was stored: %v, %v", out, err)
	}
}

func TestListMetricsPages(t *testing.T) {
	s := newService(t)
	const metrics = 1203
	for from := 0; from < metrics; from += 1000 {
		in := &cloudwatch.PutMetricDataInput{Namespace: aws.String("N")}
		for i := from; i < min(from+1000, metrics); i++ {
			in.MetricData = append(in.MetricData, types.MetricDatum{MetricName: aws.String(fmt.Sprintf("m%04d", i)), Value: aws.Float64(1)})
		}
		if _, err := s.PutMetricData(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	s.flush(t)
	var pages []int
	seen := 0
	for in := (&cloudwatch.ListMetricsInput{Namespace: aws.String("N")}); ; {
		out, err := s.ListMetrics(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range out.Metrics {
			if want := fmt.Sprintf("m%04d", seen); *m.MetricName != want {
				t.Fatalf("metric %s, want %s", *m.MetricName, want)
			}
			seen++
		}
		pages = append(pages, len(out.Metrics))
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if diff := cmp.Diff([]int{500, 500, 203}, pages); diff != "" {
		t.Error(diff)
	}
}

// TestGetMetricDataPages reads the same points in pages of every size.
func TestGetMetricDataPages(t *testing.T) {
	s := newService(t)
	s.put(t, "a", 0, 1, 2, 3, 4, 5)
	s.put(t, "b", 0, 6, 7, 8)
	s.flush(t)
	first, second, none := metric("a", "a"), metric("b", "b"), metric("c", "c")
	first.ReturnData, second.ReturnData, none.ReturnData = nil, nil, nil
	for size := int32(1); size < 10; size++ {
		got := map[string][]float64{}
		in := &cloudwatch.GetMetricDataInput{
			StartTime: &five, EndTime: aws.Time(five.Add(time.Hour)), MaxDatapoints: &size, MetricDataQueries: []types.MetricDataQuery{first, none, second},
		}
		for {
			out, err := s.GetMetricData(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range out.MetricDataResults {
				got[*r.Id] = append(got[*r.Id], r.Values...)
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				break
			}
		}
		if diff := cmp.Diff(map[string][]float64{"a": {5, 4, 3, 2, 1}, "b": {8, 7, 6}, "c": nil}, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("pages of %d: %s", size, diff)
		}
	}
}

func TestLabels(t *testing.T) {
	s := newService(t)
	s.put(t, "a", 0, 1, 4)
	s.flush(t)
	for label, want := range map[string]string{
		"plain": "plain", "${MAX} of ${PROP('MetricName')}": "4 of a", "${MIN}/${AVG}/${SUM}/${FIRST}/${LAST}": "1/2.5/5/1/4", "[${LABEL}]": "[a]",
		"${PROP('Dim.x')} ${WHAT": "${PROP('Dim.x')} ${WHAT", "${PROP('Period')} ${PROP('Stat')} ${PROP('Namespace')}": "60 Sum N",
	} {
		q := metric("m", "a")
		q.ReturnData, q.Label = nil, &label
		out, err := s.GetMetricData(t.Context(), &cloudwatch.GetMetricDataInput{
			StartTime: &five, EndTime: aws.Time(five.Add(time.Hour)), MetricDataQueries: []types.MetricDataQuery{q},
		})
		if err != nil || *out.MetricDataResults[0].Label != want {
			t.Errorf("%s: %v, %v; want %s", label, out, err, want)
		}
	}
}

func FuzzExpression(f *testing.F) {
	s := newService(f)
	s.put(f, "a", 0, 1, 2, 3)
	s.flush(f)
	for _, seed := range []string{"m1", "m1+m1*2^-1", "FILL(m1,REPEAT)", "SEARCH('{N} a', 'p99', 60)", "IF(m1>1,m1)", "[m1,m1]/[m1,m1]", "SORT([m1],AVG,ASC,1)", "((", "SLICE([m1],0,1)", "'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		out, err := s.GetMetricData(t.Context(), &cloudwatch.GetMetricDataInput{
			StartTime: &five, EndTime: aws.Time(five.Add(6 * time.Minute)),
			MetricDataQueries: []types.MetricDataQuery{metric("m1", "a"), {Id: aws.String("e"), Expression: &expression}},
		})
		if err != nil {
			if k := serin.KindOf(err); k != serin.KindValidation && k != serin.KindInvalid {
				t.Errorf("%q: %v", expression, err)
			}
			return
		}
		for _, r := range out.MetricDataResults {
			for _, v := range r.Values {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					t.Errorf("%q has the value %v", expression, v)
				}
			}
		}
	})
}
