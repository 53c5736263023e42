package alarm

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

const (
	initialReason = "Unchecked: Initial alarm creation"
	// reasonTime is how reasons write times, reasonDataTime how their data and events do.
	reasonTime     = "02/01/06 15:04:05"
	reasonDataTime = "2006-01-02T15:04:05.000-0700"

	maxShown  = 10 // points in a reason
	maxReason = 1023
)

// reason puts a verdict into the words of CloudWatch.
func (r Rule) reason(v Verdict, before types.StateValue, explicit bool) string {
	if v.State == types.StateValueInsufficientData {
		return "Insufficient Data: " + count(v.Filled, "datapoint") + " " + were(v.Filled) + " unknown."
	}
	crossed, not := r.breaching(v.Considered), ""
	if v.State != types.StateValueAlarm {
		not = "not "
		crossed = slices.DeleteFunc(slices.Clone(v.Considered), func(p Point) bool { return r.breaches(p.Value) })
	}
	filled := v.Filled > 0 && (r.Treatment == TreatBreaching || r.Treatment == TreatNotBreaching)
	treated := fmt.Sprintf(" and %s missing %s %s treated as [%s]", strconv.Itoa(v.Filled), plural(v.Filled, "datapoint"), were(v.Filled), treatedAs(r.Treatment))
	var b strings.Builder
	b.WriteString("Threshold Crossed: ")
	if len(v.Considered) == 0 && filled {
		b.WriteString("no datapoints were received for " + count(v.Filled, "period") + treated + ".")
		return b.String()
	}
	if explicit {
		fmt.Fprintf(&b, "%d out of the last %d datapoints", len(crossed), r.Periods)
	} else {
		b.WriteString(count(len(crossed), "datapoint"))
	}
	recent := crossed[max(0, len(crossed)-maxShown):]
	if len(recent) == len(crossed) {
		b.WriteString(" " + listed(recent))
	}
	fmt.Fprintf(&b, " %s %s%s the threshold (%s)", were(len(crossed)), not, relation(r.Comparison), number(r.Threshold))
	if filled {
		b.WriteString(treated)
	}
	if explicit {
		least := r.Datapoints
		if not != "" {
			least = r.Periods - r.Datapoints + 1
		}
		fmt.Fprintf(&b, " (minimum %s for %s -> %s transition)", count(least, "datapoint"), before, v.State)
	}
	b.WriteString(".")
	if len(recent) < len(crossed) {
		b.WriteString(" The most recent datapoints which crossed the threshold: " + listed(recent) + ".")
	}
	return b.String()
}

func treatedAs(treatment string) string {
	if treatment == TreatBreaching {
		return "Breaching"
	}
	return "NonBreaching"
}

func listed(points []Point) string {
	parts := make([]string, 0, len(points))
	for _, p := range points {
		parts = append(parts, number(p.Value)+" ("+p.At.UTC().Format(reasonTime)+")")
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func relation(c types.ComparisonOperator) string {
	switch c {
	case types.ComparisonOperatorGreaterThanOrEqualToThreshold:
		return "greater than or equal to"
	case types.ComparisonOperatorGreaterThanThreshold:
		return "greater than"
	case types.ComparisonOperatorLessThanThreshold:
		return "less than"
	default:
		return "less than or equal to"
	}
}

// number writes a value as Java does, which has always a fraction.
func number(v float64) string {
	if a := math.Abs(v); a != 0 && (a >= 1e7 || a < 1e-3) {
		s := strconv.FormatFloat(v, 'E', -1, 64)
		mantissa, exponent, _ := strings.Cut(s, "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		n, _ := strconv.Atoi(exponent)
		return mantissa + "E" + strconv.Itoa(n)
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func count(n int, what string) string { return strconv.Itoa(n) + " " + plural(n, what) }

func plural(n int, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}

func were(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// reasonData is the machine's form of a reason (recorded from AWS).
type reasonData struct {
	Version             string           `json:"version"`
	QueryDate           string           `json:"queryDate"`
	StartDate           string           `json:"startDate,omitempty"`
	Unit                string           `json:"unit,omitempty"`
	Statistic           string           `json:"statistic,omitempty"`
	Period              int              `json:"period"`
	RecentDatapoints    []float64        `json:"recentDatapoints"`
	Threshold           float64          `json:"threshold"`
	EvaluatedDatapoints []evaluatedPoint `json:"evaluatedDatapoints"`
}

type evaluatedPoint struct {
	Timestamp   string   `json:"timestamp"`
	SampleCount *float64 `json:"sampleCount,omitempty"`
	Value       *float64 `json:"value,omitempty"`
}

// data returns the machine's form of a verdict at a time: the newest point first among those that were evaluated.
func (r Rule) data(v Verdict, unit, statistic string, now time.Time) string {
	d := reasonData{
		Version: "1.0", QueryDate: now.UTC().Format(reasonDataTime), Unit: unit, Statistic: statistic, Period: int(r.Period.Seconds()),
		RecentDatapoints: []float64{}, Threshold: r.Threshold, EvaluatedDatapoints: []evaluatedPoint{},
	}
	if len(v.Considered) > 0 {
		d.StartDate = v.Considered[0].At.UTC().Format(reasonDataTime)
	}
	for _, p := range v.Considered[max(0, len(v.Considered)-maxShown):] {
		d.RecentDatapoints = append(d.RecentDatapoints, p.Value)
		e := evaluatedPoint{Timestamp: p.At.UTC().Format(reasonDataTime), Value: &p.Value}
		if p.Count > 0 {
			e.SampleCount = &p.Count
		}
		d.EvaluatedDatapoints = append([]evaluatedPoint{e}, d.EvaluatedDatapoints...)
	}
	return jsonText(d)
}

// jsonText returns a document of plain values, which always has a form in JSON.
func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	return string(b)
}
