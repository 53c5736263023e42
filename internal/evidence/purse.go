package evidence

import "math"

// purse is the wealth of a mixture of bets on which version the failures of a block fell.
//
// The bet on a single failure is not the mixture's as it stands. A wealth above the target 1/alpha is worth no
// more than the target, so nothing is put on it: a bet that would overshoot aims at the target, and what that
// saves softens the loss when the failure is the baseline's (Fischer and Ramdas, Improving the SPRT by avoiding
// overshoot, 2024). A bet that needs several failures aims so that a whole number of them hits the target. Both
// keep the mean factor under the null hypothesis at 1, and save about a tenth of the requests.
type purse struct {
	logs   []float64 // ln of each alternative's share of the mixture, with its prior, unbounded by the target
	wealth float64   // ln E
	target float64   // ln of the wealth that is enough
}

// bet returns ln of the factor of a failure that is the canary's with probability chance under the null
// hypothesis, and ratio(k) times as probably under the alternative k. It does not change the purse.
func (p *purse) bet(canary bool, chance float64, ratio func(k int) float64) float64 {
	largest := math.Inf(-1)
	for _, log := range p.logs {
		largest = max(largest, log)
	}
	sum, mean := 0.0, 0.0
	for k, log := range p.logs {
		share := math.Exp(log - largest)
		sum += share
		mean += float64(share * ratio(k))
	}
	gain := p.aim(max(0, math.Log(mean/sum)), chance)
	if canary {
		return gain
	}
	return math.Log1p(-chance*math.Exp(gain)) - math.Log1p(-chance)
}

// aim returns the bet, ln of the factor of a canary failure. It reaches the target with a whole number of canary
// failures: of the two bets next to the mixture's own, the bolder one, which saves a failure, unless the
// mixture expects its wealth to grow much slower with it. If the bolder one would stake everything, the bet
// is the mixture's own.
func (p *purse) aim(gain, chance float64) float64 {
	const most, muchSlower = 0.999, 0.6
	room := p.target - p.wealth
	if room <= 0 || gain <= 0 {
		return 0
	}
	if math.IsInf(room, 1) {
		return gain
	}
	share := chance * math.Exp(gain) // of the failures that the mixture expects on the canary
	failures := math.Ceil(room / gain)
	aimed := room / failures
	if failures == 1 {
		return aimed
	}
	bold := room / (failures - 1)
	switch {
	case chance*math.Exp(bold) >= most:
		return gain
	case growth(bold, share, chance) > muchSlower*growth(aimed, share, chance):
		return bold
	default:
		return aimed
	}
}

// growth is the expected ln of the factor of a failure of which the canary has the share.
func growth(bet, share, chance float64) float64 {
	rest := -chance * math.Expm1(bet) / (1 - chance)
	return float64(share*bet) + float64((1-share)*math.Log1p(rest))
}
