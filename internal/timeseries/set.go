package timeseries

import (
	"cmp"
	"math"
	"slices"
)

// bucketsPerOctave is the resolution of distributions: a bucket reaches from one edge to 2^(1/32) times that,
// so a percentile is off by at most 2.2 % of its value. It is schema 5 of Prometheus' native histograms.
const (
	bucketSchema     = 5
	bucketsPerOctave = 1 << bucketSchema
)

// Set is a statistic set: what is known of the values of a metric in some stretch of time. Count, Sum, Min and
// Max are exact. The zero Set holds no values.
type Set struct {
	Count, Sum, Min, Max float64
	// The distribution, by sign of the values. It is missing in part if Spread reports false.
	Zero               float64
	Positive, Negative []Bucket // ascending by Index
}

// Bucket counts values whose magnitude lies above 2^((Index-1)/32) and not above 2^(Index/32).
type Bucket struct {
	Index int32
	Count float64
}

// Of returns the set of one value that occurred count times.
func Of(value, count float64) Set {
	var s Set
	s.Add(value, count)
	return s
}

// Summary returns the set of values of which nothing but the four figures is known. If they show what the values
// were, because all are the same, so does the set's distribution.
func Summary(count, sum, least, most float64) Set {
	if least == most && count > 0 {
		s := Of(least, count)
		s.Sum = sum
		return s
	}
	return Set{Count: count, Sum: sum, Min: least, Max: most}
}

// Add adds a value that occurred count times.
func (s *Set) Add(value, count float64) {
	s.bounds(value, value)
	s.Count += count
	s.Sum += value * count
	switch magnitude := math.Abs(value); {
	case magnitude < math.SmallestNonzeroFloat32:
		s.Zero += count
	case value > 0:
		s.Positive = addBucket(s.Positive, indexOf(magnitude), count)
	default:
		s.Negative = addBucket(s.Negative, indexOf(magnitude), count)
	}
}

// Merge adds all values of another set.
func (s *Set) Merge(o *Set) {
	if o.Count == 0 {
		return
	}
	s.bounds(o.Min, o.Max)
	s.Count += o.Count
	s.Sum += o.Sum
	s.Zero += o.Zero
	s.Positive = mergeBuckets(s.Positive, o.Positive)
	s.Negative = mergeBuckets(s.Negative, o.Negative)
}

// bounds widens Min and Max before values are added.
func (s *Set) bounds(least, most float64) {
	if s.Count == 0 {
		s.Min, s.Max = least, most
		return
	}
	s.Min, s.Max = min(s.Min, least), max(s.Max, most)
}

// Spread reports whether the distribution covers all values, so that percentiles mean something.
func (s *Set) Spread() bool {
	return math.Abs(s.inBuckets()-s.Count) <= 1e-9*s.Count
}

func (s *Set) inBuckets() float64 {
	n := s.Zero
	for _, b := range s.Positive {
		n += b.Count
	}
	for _, b := range s.Negative {
		n += b.Count
	}
	return n
}

func indexOf(magnitude float64) int32 {
	return int32(math.Ceil(math.Log2(magnitude) * bucketsPerOctave))
}

// edge is the largest magnitude in a bucket.
func edge(index int32) float64 { return math.Exp2(float64(index) / bucketsPerOctave) }

func compareBuckets(b Bucket, index int32) int { return cmp.Compare(b.Index, index) }

func addBucket(buckets []Bucket, index int32, count float64) []Bucket {
	at, ok := slices.BinarySearchFunc(buckets, index, compareBuckets)
	if ok {
		buckets[at].Count += count
		return buckets
	}
	return slices.Insert(buckets, at, Bucket{index, count})
}

// mergeBuckets adds the second list to the first, which it may change.
func mergeBuckets(to, from []Bucket) []Bucket {
	if len(to) == 0 {
		return append(to, from...)
	}
	fresh, at := 0, 0
	for _, b := range from {
		for at < len(to) && to[at].Index < b.Index {
			at++
		}
		if at < len(to) && to[at].Index == b.Index {
			to[at].Count += b.Count
		} else {
			fresh++
		}
	}
	if fresh == 0 {
		return to
	}
	return merged(to, from, fresh)
}

// merged returns the union of two lists whose common buckets are already added up in the first.
func merged(to, from []Bucket, fresh int) []Bucket {
	all := make([]Bucket, 0, len(to)+fresh)
	at := 0
	for _, b := range from {
		for at < len(to) && to[at].Index < b.Index {
			all = append(all, to[at])
			at++
		}
		if at == len(to) || to[at].Index != b.Index {
			all = append(all, b)
		}
	}
	return append(all, to[at:]...)
}
