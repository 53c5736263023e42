package cloudwatch

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"serin/internal/timeseries"
)

// statistic computes one figure of a set. It is NaN where the set does not show it.
type statistic func(*timeseries.Set) float64

// standardStatistics are those that every set shows.
var standardStatistics = map[string]statistic{
	"SampleCount": func(s *timeseries.Set) float64 { return s.Count },
	"Sum":         func(s *timeseries.Set) float64 { return s.Sum },
	"Average":     func(s *timeseries.Set) float64 { return s.Sum / s.Count },
	"Minimum":     func(s *timeseries.Set) float64 { return s.Min },
	"Maximum":     func(s *timeseries.Set) float64 { return s.Max },
}

var (
	shortStatistic = regexp.MustCompile(`^(p|tm|wm|tc|ts|P|TM|WM|TC|TS)(\d{1,3}(?:\.\d{1,10})?)$`)
	rangeStatistic = regexp.MustCompile(`^(TM|WM|PR|TC|TS)\((\d*\.?\d*)(%?):(\d*\.?\d*)(%?)\)$`)
)

// parseStatistic returns the statistic of a name such as Sum, p99.9, tm90, TM(10%:90%) or PR(:300). ok is false for
// names that are none.
func parseStatistic(name string) (compute statistic, ok bool) {
	if s, ok := standardStatistics[name]; ok {
		return s, true
	}
	if strings.EqualFold(name, "IQM") {
		return between("tm", percentiles(25, 75)), true
	}
	if m := shortStatistic.FindStringSubmatch(name); m != nil {
		p, err := strconv.ParseFloat(m[2], 64)
		if err != nil || p > 100 {
			return nil, false
		}
		kind := strings.ToLower(m[1])
		if kind == "p" {
			return func(s *timeseries.Set) float64 { return s.Percentile(p) }, true
		}
		return between(kind, percentiles(0, p)), true
	}
	if m := rangeStatistic.FindStringSubmatch(name); m != nil {
		return parseRange(strings.ToLower(m[1]), m[2], m[3], m[4], m[5])
	}
	return nil, false
}

// parseRange reads the bounds of a statistic of a part of the values. Both are percentiles or both are values, and
// either may be missing.
func parseRange(kind, low, lowPercent, high, highPercent string) (statistic, bool) {
	number := func(s string, missing float64) (float64, bool) {
		if s == "" {
			return missing, true
		}
		n, err := strconv.ParseFloat(s, 64)
		return n, err == nil
	}
	if low == "" && high == "" || low == "" && lowPercent != "" || high == "" && highPercent != "" {
		return nil, false
	}
	percent := lowPercent != "" || highPercent != ""
	if percent && (low != "" && lowPercent == "" || high != "" && highPercent == "") || percent && kind == "pr" {
		return nil, false
	}
	most := math.Inf(1)
	least := math.Inf(-1)
	if percent {
		least, most = 0, 100
	}
	from, ok1 := number(low, least)
	to, ok2 := number(high, most)
	if !ok1 || !ok2 || from > to || percent && to > 100 {
		return nil, false
	}
	if percent {
		return between(kind, percentiles(from, to)), true
	}
	return between(kind, func(s *timeseries.Set) part {
		count, sum := s.Between(from, to)
		return part{count, sum, max(from, s.Min), min(to, s.Max)}
	}), true
}

// part is what lies between two bounds of a set.
type part struct{ count, sum, low, high float64 }

func percentiles(from, to float64) func(*timeseries.Set) part {
	return func(s *timeseries.Set) part {
		count, sum := s.Trimmed(from, to)
		return part{count, sum, s.Percentile(from), s.Percentile(to)}
	}
}

// between returns the statistic of a kind on a part of a set: tm trimmed mean, ts its sum, tc its count, wm
// winsorized mean, whose values beyond the bounds count as the bounds, pr the percentage of values in the part.
func between(kind string, of func(*timeseries.Set) part) statistic {
	return func(s *timeseries.Set) float64 {
		p := of(s)
		switch kind {
		case "tc":
			return p.count
		case "ts":
			return p.sum
		case "pr":
			return 100 * p.count / s.Count
		case "wm":
			outside := s.Count - p.count
			below, _ := s.Between(math.Inf(-1), p.low)
			below = min(below, outside)
			return (p.sum + below*p.low + (outside-below)*p.high) / s.Count
		default:
			return p.sum / p.count
		}
	}
}
