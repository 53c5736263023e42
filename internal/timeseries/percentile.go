package timeseries

import (
	"math"
	"slices"
)

// slice is a part of a distribution whose values are taken to lie evenly between two bounds.
type slice struct{ from, to, count float64 }

// slices returns the distribution in ascending order of values, within Min and Max.
func (s *Set) slices() []slice {
	all := make([]slice, 0, len(s.Negative)+len(s.Positive)+1)
	for _, b := range slices.Backward(s.Negative) {
		all = append(all, slice{-edge(b.Index), -edge(b.Index - 1), b.Count})
	}
	if s.Zero > 0 {
		all = append(all, slice{0, 0, s.Zero})
	}
	for _, b := range s.Positive {
		all = append(all, slice{edge(b.Index - 1), edge(b.Index), b.Count})
	}
	for i := range all {
		all[i].from = min(max(all[i].from, s.Min), s.Max)
		all[i].to = min(max(all[i].to, s.Min), s.Max)
	}
	return all
}

// Percentile returns the value below which p percent (0 to 100) of the values lie, within 2.2 %. It is NaN for a
// set without a distribution.
func (s *Set) Percentile(p float64) float64 {
	if s.Count == 0 || !s.Spread() {
		return math.NaN()
	}
	rank := p / 100 * s.Count
	for _, b := range s.slices() {
		if rank <= b.count {
			return b.from + (b.to-b.from)*rank/b.count
		}
		rank -= b.count
	}
	return s.Max
}

// Between returns how many values lie above one value and not above another, and their sum.
func (s *Set) Between(from, to float64) (count, sum float64) {
	if s.Count == 0 || !s.Spread() {
		return math.NaN(), math.NaN()
	}
	if from < s.Min && to >= s.Max {
		return s.Count, s.Sum
	}
	for _, b := range s.slices() {
		lo, hi := max(b.from, from), min(b.to, to)
		switch {
		case b.from == b.to && b.to > from && b.to <= to:
			count, sum = count+b.count, sum+b.count*b.to
		case hi > lo:
			part := b.count * (hi - lo) / (b.to - b.from)
			count, sum = count+part, sum+part*(lo+hi)/2
		}
	}
	return count, sum
}

// Trimmed returns the number and the sum of the values between two percentiles, 0 to 100.
func (s *Set) Trimmed(low, high float64) (count, sum float64) {
	if s.Count == 0 || !s.Spread() {
		return math.NaN(), math.NaN()
	}
	if low <= 0 && high >= 100 {
		return s.Count, s.Sum
	}
	skip, keep := low/100*s.Count, (high-low)/100*s.Count
	for _, b := range s.slices() {
		dropped := min(skip, b.count)
		skip -= dropped
		taken := min(keep, b.count-dropped)
		if taken <= 0 {
			continue
		}
		keep -= taken
		count += taken
		sum += taken * (b.from + (b.to-b.from)*(dropped+taken/2)/b.count)
	}
	return count, sum
}
