package evidence

import "math"

// fisher is the support and the shape of Fisher's noncentral hypergeometric distribution: how many of the
// errors of a block fell on the canary, given all the margins of the block.
type fisher struct {
	canary, baseline, errors float64 // requests, requests, errors of both
	low, high                float64 // least and greatest possible number of canary errors
}

func newFisher(b Block) fisher {
	errors := b.CanaryErrors + b.BaselineErrors
	return fisher{
		canary:   float64(b.CanaryRequests),
		baseline: float64(b.BaselineRequests),
		errors:   float64(errors),
		low:      float64(max(0, errors-b.BaselineRequests)),
		high:     float64(min(errors, b.CanaryRequests)),
	}
}

// largestSum is where Z(r) is no longer computed as it stands, far enough from overflow that quotients
// of two sums keep their precision.
const largestSum = 1e300

// logRatios adds ln(Z(r0)/Z(rho)) + (x - low) ln(rho/r0) for canary errors x to the sum of each alternative
// rho = r0 * ratio, where Z(r) = sum over u of C(canary,u) C(baseline,errors-u) r^(u-low). This is the
// likelihood ratio of rho against r0.
//
// A short sum is a polynomial in r whose coefficients serve all alternatives. A long one, or one that
// overflows, is computed in log space. The conversions to float64 keep compilers from fusing a
// multiplication with an addition, which would change the last bit.
func (f *fisher) logRatios(x, r0 float64, effects []effect, sums []float64) {
	p, short := f.polynomial()
	short = short && p.at(r0*effects[len(effects)-1].ratio) < largestSum
	var null float64
	if short {
		null = p.at(r0)
	} else {
		null = f.logPartition(r0)
	}
	for k, alternative := range effects {
		rho := r0 * alternative.ratio
		if short {
			sums[k] += float64((x-f.low)*alternative.log) + math.Log(null/p.at(rho))
		} else {
			sums[k] += float64((x-f.low)*alternative.log) + (null - f.logPartition(rho))
		}
	}
}

// polynomial holds the coefficients of Z(r) relative to the lowest, in descending order.
type polynomial struct {
	coefficients [32]float64
	first        int
}

// polynomial returns Z(r) divided by its lowest coefficient, and false if it has too many terms.
func (f *fisher) polynomial() (p polynomial, ok bool) {
	terms := f.high - f.low + 1
	if terms > float64(len(p.coefficients)) {
		return p, false
	}
	p.first = len(p.coefficients) - int(terms)
	c := 1.0
	for i, u := len(p.coefficients)-1, f.low; i >= p.first; i-- {
		p.coefficients[i] = c
		c *= f.step(u)
		u++
	}
	return p, true
}

func (p *polynomial) at(r float64) float64 {
	value := 0.0
	for _, c := range p.coefficients[p.first:] {
		value = float64(value*r) + c
	}
	return value
}

// step returns the ratio of the coefficients of u+1 and u.
func (f *fisher) step(u float64) float64 {
	return ((f.canary - u) * (f.errors - u)) / ((u + 1) * (f.baseline - f.errors + u + 1))
}

// logPartition returns ln Z(r). The terms are log-concave in u, so the sum starts at the largest one and
// walks to both sides until the terms no longer count: nothing overflows, and a block of n requests costs
// O(sqrt(n)).
func (f *fisher) logPartition(r float64) float64 {
	const negligible = 1e-18
	mode := f.mode(r)
	sum, term := 1.0, 1.0
	for u := mode; u < f.high && term > negligible*sum; u++ {
		term *= r * f.step(u)
		sum += term
	}
	term = 1
	for u := mode; u > f.low && term > negligible*sum; u-- {
		term /= r * f.step(u-1)
		sum += term
	}
	largest := float64((mode-f.low)*math.Log(r)) + logChoose(f.canary, mode) + logChoose(f.baseline, f.errors-mode)
	return math.Log(sum) + largest
}

// mode returns the most probable number of canary errors under odds ratio r: the integer part of the
// smaller root of the quadratic at which consecutive terms are equal, in the form without cancellation.
func (f *fisher) mode(r float64) float64 {
	a := r - 1
	b := float64((f.canary+f.errors+2)*r) + (f.baseline - f.errors)
	c := r * (f.canary + 1) * (f.errors + 1)
	root := 2 * c / (b + math.Sqrt(float64(b*b)-float64(4*a*c)))
	return min(max(math.Floor(root), f.low), f.high)
}

// logChoose returns ln C(n, k) for whole numbers 0 <= k <= n.
func logChoose(n, k float64) float64 {
	all, _ := math.Lgamma(n + 1)
	chosen, _ := math.Lgamma(k + 1)
	left, _ := math.Lgamma(n - k + 1)
	return all - chosen - left
}
