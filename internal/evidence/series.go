package evidence

import (
	"fmt"
	"math"
)

// A chunk is what a signal's e-process takes in at once: slices at one weight, added up. With a coin it is
// full at each failure, without one at each [SliceRequests] requests or twice as many measurements, and once there is more, when it holds
// a 64th of what was counted before. So a decision waits for 1.6 % of the evidence at most, and a certificate
// has some hundred chunks however long a release lasts. The cuts depend on counts of both versions together
// only, so chunks are label-blind, and they do not depend on how slices were cut in between.
const (
	chunkShare = 64
	maxChunks  = 1 << 14

	// A block of n requests shows 1-1/n of what its requests could.
	leastRequests = 10
	leastMeasured = 40
)

type chunk struct {
	weight float64
	count
}

// series is what was counted about one signal, and the bets on it.
type series struct {
	signal Signal
	chunks []chunk
	open   chunk
	total  count // with the open chunk

	coin   *coin                // nil if the signal's share of the canary is not the router's weight
	ratios [Levels]*conditional // by level
	strict bool                 // the coin alone is enough

	// What the full chunks say, as e-values that count only if the guard lets them: trusted with the coin,
	// distrusted without.
	trusted, distrusted float64
}

func newSeries(signal Signal, c *Config, b *bets) series {
	s := series{signal: signal}
	if signal.Measured() {
		for level := range Levels {
			s.ratios[level] = newConditional(1, measurementEffects, c.target(signal)+math.Log(Levels))
		}
		return s
	}
	s.ratios[0] = newConditional(c.OddsRatio, failureEffects, c.target(signal))
	if (c.Coin || c.Sticky) && (c.OddsRatio == 1 || c.Margin > 0) {
		s.coin = newCoin(b, c.target(signal))
	}
	s.strict = c.OddsRatio == 1
	return s
}

// check returns an error if the counts are impossible or too many.
func (s *series) check(n *count) error {
	if err := n.validate(s.signal, maxTotalRequests); err != nil {
		return err
	}
	if max(s.total.canary+n.canary, s.total.baseline+n.baseline) > maxTotalRequests || len(s.chunks) >= maxChunks {
		return fmt.Errorf("evidence: %s: more than one release can take", s.signal)
	}
	return nil
}

// add counts requests, which [series.check] has accepted.
func (s *series) add(weight float64, n *count) {
	if n.canary+n.baseline == 0 {
		return
	}
	if s.open.weight != weight && s.open.canary+s.open.baseline > 0 {
		s.close()
	}
	s.open.weight = weight
	levels := s.signal.levels()
	s.open.add(n, levels)
	s.total.add(n, levels)
	if s.due() {
		s.close()
	}
}

func (s *series) due() bool {
	requests, bad := s.open.canary+s.open.baseline, s.open.canaryBad[0]+s.open.baselineBad[0]
	if s.signal.Measured() {
		before := s.total.canary + s.total.baseline - requests
		return requests >= max(leastMeasured, before/chunkShare)
	}
	before := s.total.canaryBad[0] + s.total.baselineBad[0] - bad
	return bad >= max(1, before/chunkShare) && (s.coin != nil || requests >= leastRequests)
}

func (s *series) close() {
	s.chunks = append(s.chunks, s.open)
	s.bet(&s.open)
	s.open = chunk{}
	if !s.guarded() {
		s.trusted, s.distrusted = math.Exp(s.logE(false)), math.Exp(s.logE(true))
	}
}

func (s *series) bet(full *chunk) {
	if s.signal.Measured() {
		for level, ratio := range s.ratios {
			ratio.add(full.block(level))
		}
		return
	}
	if s.coin != nil {
		s.coin.add(full.weight, full.block(0))
	}
	s.ratios[0].add(full.block(0))
}

// logE returns ln of the evidence that the canary is worse in the full chunks. The ratios alone count if the
// coin is not to be trusted.
func (s *series) logE(mismatch bool) float64 {
	if s.signal.Measured() {
		var logs [Levels]float64
		for level, ratio := range s.ratios {
			logs[level] = ratio.wealth - math.Log(Levels)
		}
		return logSumExp(logs[:])
	}
	switch {
	case s.coin == nil || mismatch:
		return s.ratios[0].wealth
	case s.strict:
		return s.coin.wealth
	default:
		return min(s.coin.wealth, s.ratios[0].wealth)
	}
}

// guarded reports that too little of the canary was bad to roll back, whatever the bets won.
func (s *series) guarded() bool {
	const leastBad = 2
	return s.total.canaryBad[0]-s.open.canaryBad[0] < leastBad
}

// live reports that the signal has shown something of both versions.
func (s *series) live() bool { return s.total.canary > 0 && s.total.baseline > 0 }

// noSlower reports that at each threshold up to the p95 it is excluded at level alpha that the canary has
// twice the odds of exceeding it: the second alternative of the mixture, with null and alternative exchanged.
func (s *series) noSlower(alpha float64) bool {
	for level := range Levels - 1 {
		if -s.ratios[level].lead(double) < -math.Log(alpha) {
			return false
		}
	}
	return true
}

// decisive returns the level with the strongest evidence.
func (s *series) decisive() int {
	best := 0
	for level := 1; level < s.signal.levels(); level++ {
		if s.ratios[level].wealth > s.ratios[best].wealth {
			best = level
		}
	}
	return best
}
