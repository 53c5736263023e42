package evidence

import (
	"math"
	"testing"
)

func TestBlockValidate(t *testing.T) {
	for _, c := range []struct {
		name  string
		block Block
		valid bool
	}{
		{"empty", Block{}, true},
		{"usual", Block{CanaryRequests: 2, CanaryErrors: 1, BaselineRequests: 18, BaselineErrors: 18}, true},
		{"largest", Block{CanaryRequests: MaxBlockRequests, BaselineRequests: MaxBlockRequests}, true},
		{"too large", Block{CanaryRequests: MaxBlockRequests + 1}, false},
		{"huge", Block{BaselineRequests: math.MaxInt, BaselineErrors: math.MaxInt}, false},
		{"negative requests", Block{CanaryRequests: -1}, false},
		{"negative errors", Block{CanaryRequests: 1, CanaryErrors: -1}, false},
		{"more errors than requests", Block{BaselineRequests: 3, BaselineErrors: 4}, false},
		{"errors without requests", Block{CanaryErrors: 1}, false},
		{"least", Block{CanaryRequests: math.MinInt, CanaryErrors: math.MinInt}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.block.Validate(); (err == nil) != c.valid {
				t.Errorf("Validate() = %v, want valid = %v", err, c.valid)
			}
			e := newEvidence(t, Config{})
			if err := e.Add(0.1, c.block); (err == nil) != c.valid {
				t.Errorf("Evidence.Add() = %v, want valid = %v", err, c.valid)
			}
			if !c.valid && e.Total() != (Block{}) {
				t.Errorf("a refused block changed the evidence: %+v", e.Total())
			}
		})
	}
}

func FuzzBlock(f *testing.F) {
	f.Add(2, 1, 18, 0, 0.1)
	f.Add(MaxBlockRequests, MaxBlockRequests/2, MaxBlockRequests, MaxBlockRequests, 0.5)
	f.Add(MaxBlockRequests, 1, 1, 1, math.Nextafter(1, 0))
	f.Add(1, 1, MaxBlockRequests, 40, math.SmallestNonzeroFloat64)
	f.Add(math.MaxInt, math.MaxInt, math.MinInt, -1, math.NaN())
	f.Add(100_000, 50_000, 100_000, 100, math.Inf(1))
	f.Fuzz(func(t *testing.T, nc, xc, nb, xb int, weight float64) {
		e, err := New(Config{OddsRatio: maxOddsRatio, History: 0.01})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Add(weight, Block{nc, xc, nb, xb}); err != nil {
			if e.Total() != (Block{}) {
				t.Errorf("refused (%v) but counted: %+v", err, e.Total())
			}
			return
		}
		mustBeSane(t, e)
	})
}

// mustBeSane checks what holds for all evidence whatsoever.
func mustBeSane(t *testing.T, e *Evidence) {
	t.Helper()
	if v := e.EValue(); !(v >= 0 && v <= math.MaxFloat64) {
		t.Errorf("E-value %v", v)
	}
	if u := e.HarmExcluded(DefaultPromoteAlpha); !(u > 0 && u <= 1) {
		t.Errorf("HarmExcluded = %v", u)
	}
	if d, ok := e.Difference(); ok && !(d.Low >= -1-1e-9 && d.Low <= d.Estimate && d.Estimate <= d.High && d.High <= 1+1e-9) {
		t.Errorf("Difference = %+v", d)
	}
	total := e.Total()
	switch e.Judge(Criteria{PromoteAlpha: DefaultPromoteAlpha, Tolerated: 0.05}) {
	case Worse:
		if total.CanaryErrors < 2 {
			t.Errorf("worse after %+v", total)
		}
	case NoWorse:
		if total.CanaryRequests < 59 { // ln 0.05 / ln 0.95 = 58.4
			t.Errorf("no worse after %+v", total)
		}
	case NotEnough:
	}
}
