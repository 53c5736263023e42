package evidence

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

// TestBoundTable checks the bounds for alpha = beta = 1 % against values from 30-digit arithmetic, to the
// digits shown: canary requests with a known baseline and at the weights 1, 5, 10, 25 and 50 %, then seconds
// at 100 requests per second and the weights 1, 10 and 50 %.
func TestBoundTable(t *testing.T) {
	for _, row := range []struct {
		p0, p1 float64
		cells  string
	}{
		{0.0001, 0.001, "3210 3302 3675 4156 5843 10532 3302 416 211"},
		{0.0001, 0.01, "124 139 181 225 357 697 139 22 14"},
		{0.001, 0.002, "11642 11794 12434 13310 16620 26466 11794 1331 529"},
		{0.001, 0.01, "320 329 366 414 582 1049 329 41 21"},
		{0.001, 0.05, "30.5 33 40 49 76 145 33 4.9 2.9"},
		{0.001, 0.5, "1.6 2.1 2.9 3.6 5.7 11 2.1 0.4 0.2"},
		{0.01, 0.02, "1151 1166 1229 1315 1641 2612 1166 132 52"},
		{0.01, 0.05, "109 111 120 132 176 301 111 13 6"},
		{0.01, 0.5, "2.8 3.0 3.6 4.3 6.4 12 3.0 0.4 0.2"},
	} {
		bound := func(w float64) float64 { return Bound(row.p0, row.p1, w, 0.01, 0.01) }
		seconds := func(w float64) float64 { return bound(w) / (w * 100) }
		values := []float64{
			BoundKnown(row.p0, row.p1, 0.01, 0.01), bound(0.01), bound(0.05), bound(0.1), bound(0.25), bound(0.5),
			seconds(0.01), seconds(0.1), seconds(0.5),
		}
		for i, cell := range strings.Fields(row.cells) {
			_, decimals, _ := strings.Cut(cell, ".")
			if got := strconv.FormatFloat(values[i], 'f', len(decimals), 64); got != cell {
				t.Errorf("%v -> %v, column %d: %s (%v), want %s", row.p0, row.p1, i, got, values[i], cell)
			}
		}
	}
	if got := KL(0.99, 0.01); math.Abs(got-4.503) > 0.0005 {
		t.Errorf("kl(0.99||0.01) = %v, want 4.503", got)
	}
}

func TestBoundLimits(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"KL of equals", KL(0.3, 0.3), 0},
		{"KL of certain", KL(0, 0.5), math.Ln2},
		{"KL of impossible", KL(0.5, 0), inf},
		{"KL of impossible success", KL(0.5, 1), inf},
		{"KL of zero", KL(0, 0), 0},
		{"KL of one", KL(1, 1), 0},
		{"no harm", Bound(0.1, 0.1, 0.5, 0.01, 0.01), inf},
		{"less than no harm, known", BoundKnown(0.2, 0.1, 0.01, 0.01), inf},
		{"one error proves it", BoundKnown(0, 0.1, 0.01, 0.01), 0},
		{"no tolerance", NeededCanaryRequests(0.01, 0.1, 0, 0.05, 0.05), inf},
		{"flawless", NeededCanaryRequests(0, 0.1, 0.01, 0.05, 0.05), KL(0.95, 0.05) / -math.Log(0.99)},
	} {
		if c.got != c.want && !(math.Abs(c.got-c.want) < 1e-12*c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
	if known, far := BoundKnown(0.001, 0.01, 0.01, 0.01), Bound(0.001, 0.01, 1e-9, 0.01, 0.01); math.Abs(far/known-1) > 1e-4 {
		t.Errorf("bound at no weight %v, with a known baseline %v", far, known)
	}
}
