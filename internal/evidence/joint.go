package evidence

import (
	"cmp"
	"slices"
)

// Joint reports whether the functions of one release are worse together: the mean of their e-values, an
// e-value whatever the functions have in common, reaches 1/alpha. Each of the n functions is judged with
// [Config.Alpha] alpha/n, so that one alone can carry the verdict.
func Joint(eValues []float64, alpha float64) bool {
	if len(eValues) == 0 || !(alpha > 0 && alpha < 1) {
		return false
	}
	sum := 0.0
	for _, e := range eValues {
		sum += e / float64(len(eValues))
	}
	return sum >= 1/alpha
}

// Guilty returns the indexes, ascending, of the functions to blame for a [Joint] verdict: of those named, the
// expected share of innocent ones is at most alpha under any dependence (e-BH; Wang and Ramdas, JRSS B 2022).
func Guilty(eValues []float64, alpha float64) []int {
	order := make([]int, len(eValues))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(eValues[b], eValues[a]) })
	named := 0
	for i, f := range order {
		if float64(i+1)*eValues[f]*alpha >= float64(len(eValues)) {
			named = i + 1
		}
	}
	guilty := order[:named]
	slices.Sort(guilty)
	return guilty
}
