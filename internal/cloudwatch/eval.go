package cloudwatch

import (
	"context"
	"math"
	"slices"
	"time"

	"serin/internal/timeseries"
)

// value is what a part of an expression stands for: one number, or a list of series. A single series, as opposed to
// a list that happens to hold one, has single set.
type value struct {
	scalar bool
	number float64
	single bool
	list   []line
	text   string // of a quoted text, which only functions take
}

// line is a series in an expression.
type line struct {
	id     string // of the query that it comes from
	label  string
	metric bool // it is a metric, not computed
	period time.Duration
	points []point // ascending
}

func number(n float64) value { return value{scalar: true, number: n} }

func series(l line) value { return value{single: true, list: []line{l}} }

// evaluation computes the queries of one request, each at most once.
type evaluation struct {
	service *Service
	ctx     context.Context //nolint:containedctx // an evaluation lives as long as the call that makes it
	queries []*query
	from    time.Time
	to      time.Time
	done    map[string]value
	running map[string]bool
	points  int64 // that were read or computed, over all queries
	// sliding says that periods begin at from; fetched has the series of metrics that have been read already.
	sliding bool
	fetched func(*query) []timeseries.Series
}

// maxComputed bounds the work of one request.
const maxComputed = 20_000_000

// of returns the value of a query.
func (e *evaluation) of(q *query) (value, error) {
	if v, ok := e.done[q.id]; ok {
		return v, nil
	}
	if e.running[q.id] {
		return value{}, validation("The expression of %s refers to itself.", q.id)
	}
	e.running[q.id] = true
	defer delete(e.running, q.id)
	var v value
	var err error
	if q.expression != nil {
		v, err = e.eval(q.expression, q)
	} else {
		v, err = e.metric(q)
	}
	if err == nil {
		e.done[q.id] = v
	}
	return v, err
}

func (e *evaluation) metric(q *query) (value, error) {
	var all []found
	if e.fetched != nil {
		all = computed(e.fetched(q), q.compute)
	} else {
		var err error
		if all, err = e.service.read(e.ctx, q.metric, q.compute, q.plain(), e.over(q.period)); err != nil {
			return value{}, err
		}
	}
	l := line{id: q.id, label: q.metric.Name, metric: true, period: q.period}
	for _, f := range all { // one for each unit
		l.points = append(l.points, f.points...)
	}
	slices.SortStableFunc(l.points, func(a, b point) int { return a.at.Compare(b.at) })
	return series(l), e.spend(len(l.points))
}

func (e *evaluation) over(period time.Duration) span {
	return span{from: e.from, to: e.to, period: period, sliding: e.sliding}
}

func (e *evaluation) spend(points int) error {
	if e.points += int64(points); e.points > maxComputed {
		return validation("The request computes more than %d points. Ask for longer periods or less time.", maxComputed)
	}
	return e.ctx.Err()
}

func (e *evaluation) eval(n *node, q *query) (value, error) {
	switch n.kind {
	case nodeNumber:
		return number(n.num), nil
	case nodeText:
		return value{text: n.text, scalar: true, number: math.NaN()}, nil
	case nodeName:
		i := slices.IndexFunc(e.queries, func(o *query) bool { return o.id == n.text })
		if i < 0 {
			return value{}, validation("Error in expression '%s': Unknown identifier %s.", q.id, quoted(n.text))
		}
		return e.of(e.queries[i])
	case nodeList:
		var all value
		for _, a := range n.args {
			v, err := e.eval(a, q)
			if err != nil {
				return value{}, err
			}
			if v.scalar {
				return value{}, validation("Error in expression '%s': An array holds time series alone.", q.id)
			}
			all.list = append(all.list, v.list...)
		}
		return all, e.bounded(all, q)
	case nodeOperator:
		left, err := e.eval(n.args[0], q)
		if err != nil {
			return value{}, err
		}
		right, err := e.eval(n.args[1], q)
		if err != nil {
			return value{}, err
		}
		return e.combine(left, right, func(a, b float64) float64 { return operate(n.text, a, b) }, q)
	default:
		return e.call(n, q)
	}
}

// maxLines bounds an array: more than AWS finds in a search for each of its searches.
const maxLines = 10_000

func (e *evaluation) bounded(v value, q *query) error {
	if len(v.list) > maxLines {
		return validation("Error in expression '%s': An array has at most %d time series.", q.id, maxLines)
	}
	return e.spend(len(v.list))
}

func operate(op string, a, b float64) float64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		return a / b
	case "%":
		return math.Mod(a, b)
	case "^":
		return math.Pow(a, b)
	case "==":
		return truth(a == b)
	case "!=":
		return truth(a != b)
	case "<":
		return truth(a < b)
	case "<=":
		return truth(a <= b)
	case ">":
		return truth(a > b)
	case ">=":
		return truth(a >= b)
	case "&&":
		return truth(a != 0 && b != 0)
	default:
		return truth(a != 0 || b != 0)
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// combine applies an operator. Two series give points where both have one; a list with a number or a single series
// gives a list.
func (e *evaluation) combine(a, b value, op func(a, b float64) float64, q *query) (value, error) {
	switch {
	case a.text != "" || b.text != "":
		return value{}, validation("Error in expression '%s': A text is no operand.", q.id)
	case a.scalar && b.scalar:
		return number(op(a.number, b.number)), nil
	case a.scalar:
		return e.each(b, func(v float64) float64 { return op(a.number, v) })
	case b.scalar:
		return e.each(a, func(v float64) float64 { return op(v, b.number) })
	case a.single && b.single || !a.single && !b.single && len(a.list) != len(b.list):
		if !a.single {
			return value{}, validation("Error in expression '%s': Arrays of different size cannot be combined.", q.id)
		}
		l := join(a.list[0], b.list[0], op)
		return series(l), e.spend(len(l.points))
	}
	out := value{}
	for i := range max(len(a.list), len(b.list)) {
		x, y := a.list[min(i, len(a.list)-1)], b.list[min(i, len(b.list)-1)]
		l := join(x, y, op)
		if a.single {
			l.label = y.label
		}
		if err := e.spend(len(l.points)); err != nil {
			return value{}, err
		}
		out.list = append(out.list, l)
	}
	return out, nil
}

// join applies an operator to the points that two series have at the same time.
func join(a, b line, op func(a, b float64) float64) line {
	out := line{label: a.label, period: max(a.period, b.period)}
	j := 0
	for _, p := range a.points {
		for j < len(b.points) && b.points[j].at.Before(p.at) {
			j++
		}
		if j < len(b.points) && b.points[j].at.Equal(p.at) {
			out.add(p.at, op(p.value, b.points[j].value))
		}
	}
	return out
}

// add appends a point unless its value is none, as that of a division by zero.
func (l *line) add(at time.Time, v float64) {
	if !math.IsNaN(v) && !math.IsInf(v, 0) {
		l.points = append(l.points, point{at, v})
	}
}

// each applies a function to every point.
func (e *evaluation) each(v value, f func(float64) float64) (value, error) {
	if v.scalar {
		return number(f(v.number)), nil
	}
	return e.lines(v, func(l line) []point {
		out := line{points: make([]point, 0, len(l.points))}
		for _, p := range l.points {
			out.add(p.at, f(p.value))
		}
		return out.points
	})
}

// lines applies a function to every series.
func (e *evaluation) lines(v value, f func(line) []point) (value, error) {
	out := value{single: v.single, list: make([]line, 0, len(v.list))}
	for _, l := range v.list {
		points := f(l)
		if err := e.spend(len(points)); err != nil {
			return value{}, err
		}
		out.list = append(out.list, line{label: l.label, period: l.period, points: points})
	}
	return out, nil
}
