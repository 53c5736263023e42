package alarm_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"serin/internal/alarm"
)

var end = time.Date(2026, 3, 4, 5, 6, 0, 0, time.UTC)

// drawn turns a picture such as "0 - X" into points: 0 does not breach, X does, - is missing; the newest is rightmost.
func drawn(picture string, period time.Duration) []alarm.Point {
	var points []alarm.Point
	marks := strings.Fields(picture)
	for i, mark := range marks {
		at := end.Add(-time.Duration(len(marks)-i) * period)
		switch mark {
		case "0":
			points = append(points, alarm.Point{At: at, Value: 0, Count: 1})
		case "X":
			points = append(points, alarm.Point{At: at, Value: 2, Count: 1})
		}
	}
	return points
}

// The tables of the AWS documentation, "Configuring how CloudWatch alarms treat missing data".
func TestTruthTables(t *testing.T) {
	const keep = types.StateValue("keep")
	const ok, alarmed, insufficient = types.StateValueOk, types.StateValueAlarm, types.StateValueInsufficientData
	treatments := []string{alarm.TreatMissing, alarm.TreatIgnore, alarm.TreatBreaching, alarm.TreatNotBreaching}
	for _, row := range []struct {
		picture string
		m       int
		want    [4]types.StateValue
	}{
		{"0 - X - X", 3, [4]types.StateValue{ok, ok, ok, ok}},
		{"0 - - - -", 3, [4]types.StateValue{ok, ok, ok, ok}},
		{"- - - - -", 3, [4]types.StateValue{insufficient, keep, alarmed, ok}},
		{"0 X X - X", 3, [4]types.StateValue{alarmed, alarmed, alarmed, alarmed}},
		{"- - X - -", 3, [4]types.StateValue{alarmed, keep, alarmed, ok}},
		{"0 - X - X", 2, [4]types.StateValue{alarmed, alarmed, alarmed, alarmed}},
		{"0 0 X 0 X", 2, [4]types.StateValue{alarmed, alarmed, alarmed, alarmed}},
		{"0 - X - -", 2, [4]types.StateValue{ok, ok, alarmed, ok}},
		{"- - - - 0", 2, [4]types.StateValue{ok, ok, alarmed, ok}},
		{"- - - X -", 2, [4]types.StateValue{alarmed, keep, alarmed, ok}},
		// A single new breach after silence is too new to be an alarm by itself.
		{"- - - - X", 3, [4]types.StateValue{ok, keep, alarmed, ok}},
		{"X - - - -", 3, [4]types.StateValue{alarmed, keep, alarmed, ok}},
	} {
		for i, treatment := range treatments {
			for _, before := range []types.StateValue{ok, alarmed, insufficient} {
				for _, period := range []time.Duration{10 * time.Second, time.Minute, time.Hour} {
					rule := alarm.Rule{
						Comparison: types.ComparisonOperatorGreaterThanThreshold, Threshold: 1, Periods: 3, Datapoints: row.m,
						Treatment: treatment, Period: period,
					}
					want := row.want[i]
					if want == keep {
						want = before
					}
					if got := rule.Decide(before, drawn(row.picture, period), end).State; got != want {
						t.Errorf("%s, %d of 3, %s, after %s: %s, want %s", row.picture, row.m, treatment, before, got, want)
					}
				}
			}
		}
	}
}

func TestComparisons(t *testing.T) {
	for comparison, want := range map[types.ComparisonOperator]string{
		types.ComparisonOperatorGreaterThanThreshold:          "--X",
		types.ComparisonOperatorGreaterThanOrEqualToThreshold: "-XX",
		types.ComparisonOperatorLessThanThreshold:             "X--",
		types.ComparisonOperatorLessThanOrEqualToThreshold:    "XX-",
	} {
		got := ""
		for _, value := range []float64{1, 2, 3} {
			rule := alarm.Rule{Comparison: comparison, Threshold: 2, Periods: 1, Datapoints: 1, Period: time.Minute, Treatment: alarm.TreatMissing}
			v := rule.Decide(types.StateValueOk, []alarm.Point{{At: end.Add(-time.Minute), Value: value}}, end)
			got += map[types.StateValue]string{types.StateValueAlarm: "X", types.StateValueOk: "-"}[v.State]
		}
		if got != want {
			t.Errorf("%s: %s, want %s", comparison, got, want)
		}
	}
}

// With no period missing, an alarm is M breaching points among the last N, whatever the treatment and the order.
func TestAlarmIsMOutOfN(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		n := 1 + random.IntN(8)
		m := 1 + random.IntN(n)
		rule := alarm.Rule{Comparison: types.ComparisonOperatorGreaterThanThreshold, Threshold: 1, Periods: n, Datapoints: m, Period: time.Minute}
		rule.Treatment = []string{alarm.TreatMissing, alarm.TreatIgnore, alarm.TreatBreaching, alarm.TreatNotBreaching}[random.IntN(4)]
		marks := make([]string, rule.Range())
		breaching := 0
		for i := range marks {
			marks[i] = []string{"0", "X"}[random.IntN(2)]
			if i >= len(marks)-n && marks[i] == "X" {
				breaching++
			}
		}
		want := types.StateValueOk
		if breaching >= m {
			want = types.StateValueAlarm
		}
		points := drawn(strings.Join(marks, " "), time.Minute)
		if got := rule.Decide(types.StateValueInsufficientData, points, end); got.State != want || got.Filled != 0 || len(got.Considered) != n {
			t.Fatalf("%v, %d of %d: %+v, want %s", marks, m, n, got, want)
		}
	}
}

// What lies before the range or after its end does not count.
func TestRangeOfEvaluation(t *testing.T) {
	rule := alarm.Rule{Comparison: types.ComparisonOperatorGreaterThanThreshold, Threshold: 1, Periods: 1, Datapoints: 1, Period: time.Minute, Treatment: alarm.TreatMissing}
	outside := []alarm.Point{{At: end.Add(-4 * time.Minute), Value: 2}, {At: end, Value: 2}}
	if v := rule.Decide(types.StateValueOk, outside, end); v.State != types.StateValueInsufficientData {
		t.Errorf("points outside of the range: %+v", v)
	}
	late := slices.Insert(outside, 1, alarm.Point{At: end.Add(-3 * time.Minute), Value: 2})
	if v := rule.Decide(types.StateValueOk, late, end); v.State != types.StateValueAlarm {
		t.Errorf("a late point: %+v", v)
	}
}

// A percentile of few measurements keeps the state if the alarm says so.
func TestLowSampleCount(t *testing.T) {
	rule := alarm.Rule{
		Comparison: types.ComparisonOperatorGreaterThanThreshold, Threshold: 1, Periods: 2, Datapoints: 1, Period: time.Minute,
		Treatment: alarm.TreatMissing, LeastSamples: 10,
	}
	points := drawn("X X", time.Minute)
	if v := rule.Decide(types.StateValueOk, points, end); v.State != types.StateValueOk {
		t.Errorf("two measurements: %+v", v)
	}
	points[1].Count = 9
	if v := rule.Decide(types.StateValueOk, points, end); v.State != types.StateValueAlarm {
		t.Errorf("ten measurements: %+v", v)
	}
}
