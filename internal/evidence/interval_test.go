package evidence

import (
	"math"
	"testing"
)

// TestDifference checks the examples (a) to (c) of Newcombe's paper, table II, method 10.
func TestDifference(t *testing.T) {
	for _, c := range []struct {
		block     Block
		low, high float64
	}{
		{Block{70, 56, 80, 48}, 0.0524, 0.3339},
		{Block{10, 9, 10, 3}, 0.1705, 0.8090},
		{Block{7, 6, 7, 2}, 0.0582, 0.8062},
	} {
		got, ok := safetyOf(t, step{0.5, c.block}).Difference()
		if !ok || math.Abs(got.Low-c.low) > 5e-5 || math.Abs(got.High-c.high) > 5e-5 {
			t.Errorf("%+v: %+v, want %v to %v", c.block, got, c.low, c.high)
		}
	}
}

// TestDifferenceIsStratified raises everybody's error rate and the weight together: pooled, the canary would
// look worse by 7 points.
func TestDifferenceIsStratified(t *testing.T) {
	s := safetyOf(t, step{0.1, Block{1000, 10, 9000, 90}}, step{0.9, Block{9000, 900, 1000, 100}})
	got, ok := s.Difference()
	if !ok || math.Abs(got.Estimate) > 1e-12 || got.Low > 0 || got.High < 0 {
		t.Errorf("Difference() = %+v", got)
	}
	// Mantel-Haenszel weights 100*900/1000 = 90 and 1000*1000/2000 = 500; differences 0.1 and 0.02.
	s = safetyOf(t, step{0.1, Block{100, 10, 900, 0}}, step{0.5, Block{1000, 20, 1000, 0}})
	want := (90*0.1 + 500*0.02) / 590
	if got, ok := s.Difference(); !ok || math.Abs(got.Estimate-want) > 1e-12 {
		t.Errorf("Difference() = %+v, want %v", got, want)
	}
}

func TestDifferenceNeedsBoth(t *testing.T) {
	for _, s := range []*Safety{
		safetyOf(t),
		safetyOf(t, step{0.1, Block{CanaryRequests: 5}}, step{0.5, Block{BaselineRequests: 5}}),
	} {
		if got, ok := s.Difference(); ok {
			t.Errorf("Difference() = %+v of %+v", got, s.steps)
		}
	}
	got, ok := safetyOf(t, step{0.5, Block{CanaryRequests: 1, BaselineRequests: 1, BaselineErrors: 1}}).Difference()
	if !ok || got.Low < -1 || got.High > 1 || got.Estimate != -1 {
		t.Errorf("Difference() = %+v", got)
	}
}
