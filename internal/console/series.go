package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"serin"
	"serin/internal/evidence"
)

// stretch is how far back charts show, and how fine.
type stretch struct {
	Name   string
	Over   time.Duration
	Period time.Duration
}

var stretches = []stretch{
	{"15m", 15 * time.Minute, 10 * time.Second},
	{"1h", time.Hour, 30 * time.Second},
	{"6h", 6 * time.Hour, 5 * time.Minute},
	{"24h", 24 * time.Hour, 15 * time.Minute},
	{"7d", 7 * 24 * time.Hour, 2 * time.Hour},
}

const (
	maxCharted  = 4 // versions in one chart
	seriesFresh = 4 * time.Second
	maxSeries   = 500
)

// chartData is what the charts of a function or an alias show. Every list is as long as Times; null is unknown.
type chartData struct {
	Times    []int64        `json:"times"`  // seconds since 1970
	Period   int            `json:"period"` // seconds
	Versions []versionChart `json:"versions"`
	Marks    []chartMark    `json:"marks"`
}

type versionChart struct {
	Name     string     `json:"name"`
	Canary   bool       `json:"canary"`
	Total    int        `json:"total"` // requests over all times
	Errors   int        `json:"errors"`
	Set      float64    `json:"set"` // percent of the traffic that the alias gives it now
	Requests []*float64 `json:"requests"`
	Rate     []*float64 `json:"rate"` // of errors, with its 95 % interval
	Low      []*float64 `json:"low"`
	High     []*float64 `json:"high"`
	P95      []*float64 `json:"p95"` // milliseconds
}

// chartMark is something that happened to the alias.
type chartMark struct {
	At   int64  `json:"at"`
	Text string `json:"text"`
	Tone string `json:"tone"`
}

// seriesCache keeps what was last sent to the charts of a page, because all who look at a page ask for the same.
type seriesCache struct {
	mu sync.Mutex
	by map[string]cachedSeries
}

type cachedSeries struct {
	at   time.Time
	text []byte
}

func (c *Console) serveSeries(w http.ResponseWriter, v *visit) error {
	name, alias := v.PathValue("function"), v.URL.Query().Get("alias")
	i := max(0, slices.IndexFunc(stretches, func(s stretch) bool { return s.Name == v.URL.Query().Get("over") }))
	text, err := c.cachedSeries(v.Context(), name, alias, stretches[i])
	if err != nil {
		return err
	}
	send(w, v.Request, http.StatusOK, "application/json", text)
	return nil
}

func (c *Console) cachedSeries(ctx context.Context, function, alias string, over stretch) ([]byte, error) {
	key := function + ":" + alias + ":" + over.Name
	c.series.mu.Lock()
	defer c.series.mu.Unlock() // who asks for the same waits and gets the same
	if known, ok := c.series.by[key]; ok && c.Now().Sub(known.at) < seriesFresh {
		return known.text, nil
	}
	data, err := c.chartData(ctx, function, alias, over)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	if c.series.by == nil || len(c.series.by) >= maxSeries {
		c.series.by = map[string]cachedSeries{}
	}
	c.series.by[key] = cachedSeries{c.Now(), text}
	return text, nil
}

// chartData reads the metrics of the versions that an alias routes to or has just routed to, or of the function.
func (c *Console) chartData(ctx context.Context, function, alias string, over stretch) (*chartData, error) {
	end := c.Now().Truncate(over.Period).Add(over.Period)
	start := end.Add(-over.Over)
	d := &chartData{Period: int(over.Period.Seconds()), Versions: []versionChart{}, Marks: []chartMark{}}
	for at := start; at.Before(end); at = at.Add(over.Period) {
		d.Times = append(d.Times, at.Unix())
	}
	f, ok := c.Overview.Control.Table.Function(function)
	if !ok {
		return nil, serin.Errorf(serin.KindNotFound, "Function not found: %s", function)
	}
	if alias == "" {
		chart, err := c.versionChart(ctx, d, start, end, dimensions("FunctionName", function))
		chart.Name = "all callers"
		d.Versions = append(d.Versions, chart)
		return d, err
	}
	a := f.Aliases[alias]
	if a == nil {
		return nil, serin.Errorf(serin.KindNotFound, "Cannot find alias arn: %s", f.QualifiedARN(alias))
	}
	moves, err := c.Overview.Control.History(ctx, function, alias, historyShown)
	if err != nil {
		return nil, err
	}
	for _, m := range moves {
		if m.At.After(start) && m.Cause != serin.CauseSettings {
			d.Marks = append(d.Marks, markOf(m))
		}
	}
	for _, s := range charted(a.Routing, moves, start) {
		chart, err := c.versionChart(ctx, d, start, end,
			dimensions("FunctionName", function, "Resource", function+":"+alias, "ExecutedVersion", s.Version.String()))
		if err != nil {
			return nil, err
		}
		chart.Name, chart.Canary, chart.Set = versionText(s.Version), s.Canary, s.Percent
		d.Versions = append(d.Versions, chart)
	}
	return d, nil
}

// charted returns the versions that an alias routes to, and those that it has routed to since.
func charted(now serin.Routing, moves []serin.Move, since time.Time) []share {
	all := shares(now)
	add := func(r *serin.Routing) {
		if r == nil {
			return
		}
		for _, s := range shares(*r) {
			if !slices.ContainsFunc(all, func(known share) bool { return known.Version == s.Version }) && len(all) < maxCharted {
				all = append(all, share{Version: s.Version, Canary: s.Canary})
			}
		}
	}
	for _, m := range slices.Backward(moves) {
		if m.At.Before(since) {
			add(m.To)
			break
		}
		add(m.From)
	}
	return all
}

func markOf(m serin.Move) chartMark {
	mark := chartMark{At: m.At.Unix(), Text: string(m.Cause)}
	row := moveRow(m)
	mark.Tone = row.Tone
	for i, s := range row.To {
		if i > 0 || len(row.To) == 1 {
			mark.Text += " " + versionText(s.Version) + " " + percent(s.Percent)
		}
	}
	return mark
}

func dimensions(pairs ...string) []types.Dimension {
	var all []types.Dimension
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, types.Dimension{Name: &pairs[i], Value: &pairs[i+1]})
	}
	return all
}

func query(id, metric, stat string, period int, dims []types.Dimension) types.MetricDataQuery {
	return types.MetricDataQuery{Id: &id, MetricStat: &types.MetricStat{
		Metric: &types.Metric{Namespace: aws.String("AWS/Lambda"), MetricName: &metric, Dimensions: dims},
		Period: aws.Int32(int32(period)), Stat: &stat,
	}}
}

// versionChart reads the series of one set of dimensions.
func (c *Console) versionChart(ctx context.Context, d *chartData, start, end time.Time, dims []types.Dimension) (versionChart, error) {
	var v versionChart
	got, err := c.Metrics.GetMetricData(ctx, &cloudwatch.GetMetricDataInput{
		StartTime: &start, EndTime: &end, ScanBy: types.ScanByTimestampAscending,
		MetricDataQueries: []types.MetricDataQuery{
			query("requests", "Invocations", "Sum", d.Period, dims), query("errors", "Errors", "Sum", d.Period, dims), query("p95", "Duration", "p95", d.Period, dims),
		},
	})
	if err != nil {
		return v, fmt.Errorf("metrics: %w", err)
	}
	by := map[string]map[int64]float64{}
	for _, r := range got.MetricDataResults {
		points := map[int64]float64{}
		for i, at := range r.Timestamps {
			points[at.Unix()] = r.Values[i]
		}
		by[*r.Id] = points
	}
	for _, at := range d.Times {
		requests, known := by["requests"][at]
		if !known {
			for _, list := range []*[]*float64{&v.Requests, &v.Rate, &v.Low, &v.High, &v.P95} {
				*list = append(*list, nil)
			}
			continue
		}
		errors := by["errors"][at]
		v.Total += int(requests)
		v.Errors += int(errors)
		low, high := evidence.Wilson(int(requests), int(errors))
		v.Requests = append(v.Requests, &requests)
		v.Rate, v.Low, v.High = append(v.Rate, new(errors/requests)), append(v.Low, &low), append(v.High, &high)
		var p95 *float64
		if value, ok := by["p95"][at]; ok {
			p95 = &value
		}
		v.P95 = append(v.P95, p95)
	}
	return v, nil
}

// healthOf says what functions did of late, in one query.
func (c *Console) healthOf(ctx context.Context, functions []*serin.Function) map[string]health {
	if len(functions) == 0 {
		return nil
	}
	end := c.Now()
	in := &cloudwatch.GetMetricDataInput{StartTime: aws.Time(end.Add(-healthOver)), EndTime: &end}
	for i, f := range functions {
		dims, n := dimensions("FunctionName", f.Name), strconv.Itoa(i)
		period := int(time.Minute.Seconds())
		in.MetricDataQueries = append(in.MetricDataQueries, query("r"+n, "Invocations", "Sum", period, dims), query("e"+n, "Errors", "Sum", period, dims))
	}
	all := make(map[string]health, len(functions))
	got, err := c.Metrics.GetMetricData(ctx, in)
	if err != nil {
		if ctx.Err() == nil {
			c.Log.ErrorContext(ctx, "console: no health of functions", "error", err)
		}
		return all
	}
	for _, r := range got.MetricDataResults {
		i, err := strconv.Atoi((*r.Id)[1:])
		if err != nil || i >= len(functions) {
			continue
		}
		h := all[functions[i].Name]
		h.Known = true
		for _, value := range r.Values {
			if (*r.Id)[0] == 'r' {
				h.Requests += int(value)
			} else {
				h.Errors += int(value)
			}
		}
		all[functions[i].Name] = h
	}
	return all
}
