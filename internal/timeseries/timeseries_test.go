package timeseries_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"serin/internal/timeseries"
)

// clock is a time that a test sets.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)} }

func open(tb testing.TB, dir string, c *clock) *timeseries.Store {
	tb.Helper()
	s, err := timeseries.Open(context.Background(), timeseries.Config{
		Dir: dir, Now: func() time.Time { return c.now }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func flush(tb testing.TB, s *timeseries.Store, c *clock) {
	tb.Helper()
	c.now = c.now.Add(time.Second)
	if err := s.Flush(context.Background()); err != nil {
		tb.Fatal(err)
	}
}

func query(tb testing.TB, s *timeseries.Store, m timeseries.Metric, from, to time.Time, period time.Duration) []timeseries.Interval {
	tb.Helper()
	all, err := s.Query(context.Background(), timeseries.Selector{
		Namespace: m.Namespace, Name: m.Name, Unit: m.Unit, Dimensions: m.Dimensions, Exact: true,
	}, from, to, period)
	if err != nil {
		tb.Fatal(err)
	}
	if len(all) == 0 {
		return nil
	}
	if len(all) != 1 {
		tb.Fatalf("%d series for exact dimensions", len(all))
	}
	return all[0].Buckets
}

// The naive reference keeps every value.
type observation struct {
	at           time.Time
	value, count float64
}

func reference(values []observation, from, to time.Time, period time.Duration) []timeseries.Interval {
	sums := map[time.Time]*timeseries.Set{}
	for _, o := range values {
		if o.at.Before(from) || !o.at.Before(to) {
			continue
		}
		start := o.at.Truncate(period)
		s, ok := sums[start]
		if !ok {
			s = &timeseries.Set{Min: math.Inf(1), Max: math.Inf(-1)}
			sums[start] = s
		}
		s.Count += o.count
		s.Sum += o.value * o.count
		s.Min, s.Max = min(s.Min, o.value), max(s.Max, o.value)
	}
	var all []timeseries.Interval
	for start, s := range sums {
		all = append(all, timeseries.Interval{Start: start, Set: *s})
	}
	slices.SortFunc(all, func(a, b timeseries.Interval) int { return a.Start.Compare(b.Start) })
	return all
}

// TestQueryEqualsNaiveReference adds random values with random times, late, early and long ago, restarts in
// between, and compares every statistic with the values themselves.
func TestQueryEqualsNaiveReference(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			c, dir := newClock(), t.TempDir()
			start := c.now
			s := open(t, dir, c)
			metrics := []timeseries.Metric{
				timeseries.NewMetric("N", "m", "Count"),
				timeseries.NewMetric("N", "m", "Count", timeseries.Dimension{Name: "F", Value: "a"}),
				timeseries.NewMetric("N", "m", "None", timeseries.Dimension{Name: "F", Value: "a"}),
				timeseries.NewMetric("N", "m", "Count", timeseries.Dimension{Name: "F", Value: "a"}, timeseries.Dimension{Name: "R", Value: "x"}),
			}
			values := make([][]observation, len(metrics))
			for range 400 {
				for range random.IntN(4) {
					i := random.IntN(len(metrics))
					o := observation{at: c.now.Add(-time.Duration(random.ExpFloat64() * float64(5*time.Second))), count: 1}
					switch random.IntN(12) {
					case 0:
						o.at = c.now.Add(-time.Duration(random.IntN(14*24*3600-3600)) * time.Second)
					case 1:
						o.at = c.now.Add(time.Duration(random.IntN(7200)) * time.Second)
					case 2:
						o.at = c.now.Add(-time.Duration(random.IntN(1200)) * time.Second)
					}
					switch random.IntN(5) {
					case 0:
						o.value = float64(random.IntN(2))
					case 1:
						o.value = -random.ExpFloat64()
					case 2:
						o.count = 0.5
						fallthrough
					default:
						o.value = math.Exp(random.NormFloat64() * 3)
					}
					values[i] = append(values[i], o)
					if err := s.Add(timeseries.Value{Metric: metrics[i], At: o.at, Set: timeseries.Of(o.value, o.count)}); err != nil {
						t.Fatal(err)
					}
				}
				c.now = c.now.Add(time.Duration(random.IntN(20)) * time.Second)
				flush(t, s, c)
				if random.IntN(100) == 0 {
					if err := s.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
					c.now = c.now.Add(time.Duration(1+random.IntN(200)) * time.Second)
					s = open(t, dir, c)
				}
			}
			defer func() {
				if err := s.Close(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			for i, m := range metrics {
				for _, period := range []time.Duration{time.Minute, 5 * time.Minute, time.Hour, 24 * time.Hour} {
					from, to := start.Add(-15*24*time.Hour), c.now.Add(3*time.Hour)
					got, want := query(t, s, m, from, to, period), reference(values[i], from, to, period)
					if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(timeseries.Set{}, "Zero", "Positive", "Negative"),
						cmpopts.EquateApprox(1e-9, 1e-9)); diff != "" {
						t.Fatalf("%+v by %v: -want +got\n%s", m, period, diff)
					}
					for _, interval := range got {
						if !interval.Set.Spread() {
							t.Fatalf("%+v: the distribution is incomplete: %+v", m, interval)
						}
					}
				}
			}
		})
	}
}

func TestPercentilesAreWithinTheirBound(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var s timeseries.Set
	var values []float64
	for range 20000 {
		v := math.Exp(random.NormFloat64())
		values = append(values, v)
		s.Add(v, 1)
	}
	slices.Sort(values)
	for _, p := range []float64{0, 1, 10, 50, 90, 95, 99, 99.9, 100} {
		want := values[min(int(p/100*float64(len(values))), len(values)-1)]
		if got := s.Percentile(p); math.Abs(got-want) > 0.022*want {
			t.Errorf("p%v = %v, want %v within 2.2 %%", p, got, want)
		}
	}
	var sum float64
	for _, v := range values[2000:18000] {
		sum += v
	}
	if count, got := s.Trimmed(10, 90); math.Abs(count-16000) > 1e-6 || math.Abs(got-sum) > 0.01*sum {
		t.Errorf("trimmed: %v values with sum %v, want 16000 with %v", count, got, sum)
	}
	if count, _ := s.Between(1, math.Inf(1)); math.Abs(count-10000) > 200 {
		t.Errorf("%v values above the median", count)
	}
}

func TestSecondsForTheLastHours(t *testing.T) {
	c := newClock()
	s := open(t, t.TempDir(), c)
	defer s.Close(context.Background())
	m := timeseries.NewMetric("N", "m", "")
	start := c.now
	for range 10 {
		if err := s.Add(timeseries.Value{Metric: m, At: c.now, Set: timeseries.Of(2, 1)}); err != nil {
			t.Fatal(err)
		}
		flush(t, s, c)
	}
	if got := query(t, s, m, start, c.now, time.Second); len(got) != 10 || got[3].Set.Sum != 2 || !got[3].Start.Equal(start.Add(3*time.Second)) {
		t.Errorf("by second: %+v", got)
	}
	if got := query(t, s, m, start.Add(-time.Minute), c.now, 10*time.Second); len(got) != 2 {
		t.Errorf("by ten seconds: %+v", got)
	}
}

func TestSelectors(t *testing.T) {
	c := newClock()
	s := open(t, t.TempDir(), c)
	defer s.Close(context.Background())
	for _, d := range [][]timeseries.Dimension{nil, {{Name: "A", Value: "1"}}, {{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}, {{Name: "A", Value: "2"}}} {
		if err := s.Add(timeseries.Value{Metric: timeseries.NewMetric("N", "m", "", d...), At: c.now, Set: timeseries.Of(1, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, s, c)
	for _, tt := range []struct {
		sel  timeseries.Selector
		want int
	}{
		{timeseries.Selector{}, 4},
		{timeseries.Selector{Namespace: "N", Exact: true}, 1},
		{timeseries.Selector{Dimensions: []timeseries.Dimension{{Name: "A"}}}, 3},
		{timeseries.Selector{Dimensions: []timeseries.Dimension{{Name: "A", Value: "1"}}}, 2},
		{timeseries.Selector{Dimensions: []timeseries.Dimension{{Name: "A", Value: "1"}}, Exact: true}, 1},
		{timeseries.Selector{Name: "other"}, 0},
	} {
		got, err := s.Metrics(t.Context(), tt.sel, c.now.Add(-time.Hour), c.now)
		if err != nil || len(got) != tt.want {
			t.Errorf("%+v: %d metrics, %v; want %d", tt.sel, len(got), err, tt.want)
		}
	}
}

// TestKillLosesTheLastSecondAtMost kills a process that adds one value per flush and says so after each.
func TestKillLosesTheLastSecondAtMost(t *testing.T) {
	m := timeseries.NewMetric("N", "m", "", timeseries.Dimension{Name: "F", Value: "a"})
	if dir := os.Getenv("SERIN_TIMESERIES_CHILD"); dir != "" {
		c := newClock()
		s := open(t, dir, c)
		for n := 1; ; n++ {
			if err := s.Add(timeseries.Value{Metric: m, At: c.now, Set: timeseries.Of(1, 1)}); err != nil {
				t.Fatal(err)
			}
			flush(t, s, c)
			fmt.Println(n)
		}
	}
	dir := filepath.Join(t.TempDir(), "metrics")
	for _, after := range []int{1, 70, 400} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillLosesTheLastSecondAtMost$")
		child.Env = append(os.Environ(), "SERIN_TIMESERIES_CHILD="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		said := 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if said, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatal(err)
			}
			if said == after {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := child.Wait(); err == nil {
			t.Fatal("the child was not killed")
		}
		c := newClock()
		start := c.now
		c.now = c.now.Add(time.Duration(said)*time.Second + 3*time.Minute)
		s := open(t, dir, c)
		var sum float64
		for _, interval := range query(t, s, m, start.Add(-time.Minute), c.now, time.Minute) {
			sum += interval.Set.Sum
		}
		if sum != float64(said) && sum != float64(said+1) {
			t.Errorf("killed after flush %d, found %v values", said, sum)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A plain query gives the same counts, sums and extremes, and no distributions.
func TestPlainQueriesAgree(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	s, err := timeseries.Open(t.Context(), timeseries.Config{Dir: t.TempDir(), Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	began := now
	for range 200 {
		var set timeseries.Set
		for range 1 + random.IntN(4) {
			set.Add([]float64{0, 1, 2, 0.3, -1, 100 * random.Float64(), -random.Float64()}[random.IntN(7)], float64(1+random.IntN(3)))
		}
		if random.IntN(5) == 0 {
			set = timeseries.Summary(3, 6, 1, 4)
		}
		if err := s.Add(timeseries.Value{Metric: timeseries.NewMetric("n", "m", "Count"), At: now, Set: set}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	read := func(plain bool) []timeseries.Interval {
		all, err := s.Query(t.Context(), timeseries.Selector{Namespace: "n", Plain: plain}, began, now, time.Second)
		if err != nil || len(all) != 1 {
			t.Fatal(len(all), err)
		}
		return all[0].Buckets
	}
	full, plain := read(false), read(true)
	for i := range full {
		full[i].Set.Zero, full[i].Set.Positive, full[i].Set.Negative = 0, nil, nil
	}
	if diff := cmp.Diff(full, plain); diff != "" || len(full) < 190 {
		t.Error(len(full), diff)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
