package timeseries

import (
	"iter"
	"math"
	"slices"
)

// slice is a bucket of a distribution, of values of one sign. Its values are taken to lie evenly between its bounds.
type slice struct {
	sign  int // -1, 0 or 1
	index int32
	count float64
}

// slices returns the distribution in ascending order of values.
func (s *Set) slices() iter.Seq[slice] {
	return func(yield func(slice) bool) {
		for _, b := range slices.Backward(s.Negative) {
			if !yield(slice{-1, b.Index, b.Count}) {
				return
			}
		}
		if s.Zero > 0 && !yield(slice{0, 0, s.Zero}) {
			return
		}
		for _, b := range s.Positive {
			if !yield(slice{1, b.Index, b.Count}) {
				return
			}
		}
	}
}

// bounds returns the least and the largest value that a slice of the set may hold.
func (b slice) bounds(s *Set) (from, to float64) {
	switch b.sign {
	case 1:
		from, to = edge(b.index-1), edge(b.index)
	case -1:
		from, to = -edge(b.index), -edge(b.index-1)
	}
	return min(max(from, s.Min), s.Max), min(max(to, s.Min), s.Max)
}

// Percentile returns the value below which p percent (0 to 100) of the values lie, within 2.2 %. It is NaN for a
// set without a distribution.
func (s *Set) Percentile(p float64) float64 {
	if s.Count == 0 || !s.Spread() {
		return math.NaN()
	}
	rank := p / 100 * s.Count
	for b := range s.slices() {
		if rank <= b.count {
			low, high := b.bounds(s)
			return low + (high-low)*rank/b.count
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
	for b := range s.slices() {
		low, high := b.bounds(s)
		lo, hi := max(low, from), min(high, to)
		switch {
		case low == high && high > from && high <= to:
			count, sum = count+b.count, sum+b.count*high
		case hi > lo:
			part := b.count * (hi - lo) / (high - low)
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
	for b := range s.slices() {
		dropped := min(skip, b.count)
		skip -= dropped
		taken := min(keep, b.count-dropped)
		if taken <= 0 {
			continue
		}
		keep -= taken
		count += taken
		from, to := b.bounds(s)
		sum += taken * (from + (to-from)*(dropped+taken/2)/b.count)
	}
	return count, sum
}
