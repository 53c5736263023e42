package cloudwatch

import (
	"math"
	"slices"
	"time"
)

func pointwise(f func(float64) float64) function {
	return function{1, 1, func(e *evaluation, args []value, _ *query) (value, error) { return e.each(args[0], f) }}
}

// calendar makes a function of the time of each point.
func calendar(f func(time.Time) int) function {
	return function{1, 1, func(e *evaluation, args []value, _ *query) (value, error) {
		return e.lines(args[0], func(l line) []point {
			out := slices.Clone(l.points)
			for i := range out {
				out[i].value = float64(f(out[i].at))
			}
			return out
		})
	}}
}

// running makes a function of each point and the one before it, which the first point does not have.
func running(f func(before, now point) float64) function {
	return function{1, 1, func(e *evaluation, args []value, _ *query) (value, error) {
		return e.lines(args[0], func(l line) []point {
			out := line{}
			for i := 1; i < len(l.points); i++ {
				out.add(l.points[i].at, f(l.points[i-1], l.points[i]))
			}
			return out.points
		})
	}}
}

// aggregate makes a function that turns one series into a number and several into one series, point by point.
func aggregate(f func([]float64) float64) function {
	return function{1, 1, func(e *evaluation, args []value, _ *query) (value, error) {
		v := args[0]
		if v.scalar {
			return number(f([]float64{v.number})), nil
		}
		if v.single {
			return number(f(valuesOf(v.list[0].points))), nil
		}
		at := map[int64][]float64{}
		out := line{}
		for _, l := range v.list {
			out.period = max(out.period, l.period)
			for _, p := range l.points {
				at[p.at.UnixMilli()] = append(at[p.at.UnixMilli()], p.value)
			}
		}
		for t, values := range at {
			out.add(time.UnixMilli(t).UTC(), f(values))
		}
		slices.SortFunc(out.points, func(a, b point) int { return a.at.Compare(b.at) })
		return series(out), e.spend(len(out.points))
	}}
}

func valuesOf(points []point) []float64 {
	values := make([]float64, 0, len(points))
	for _, p := range points {
		values = append(values, p.value)
	}
	return values
}

func sum(values []float64) (total float64) {
	for _, v := range values {
		total += v
	}
	return total
}

func mean(values []float64) float64 { return sum(values) / float64(len(values)) }

func deviation(values []float64) float64 {
	m, squares := mean(values), 0.0
	for _, v := range values {
		squares += (v - m) * (v - m)
	}
	return math.Sqrt(squares / float64(len(values)))
}

// extreme makes an aggregate that is not a number for no values.
func extreme(f func([]float64) float64) func([]float64) float64 {
	return func(values []float64) float64 {
		if len(values) == 0 {
			return math.NaN()
		}
		return f(values)
	}
}

func seconds(a, b point) float64 { return b.at.Sub(a.at).Seconds() }
