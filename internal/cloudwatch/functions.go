package cloudwatch

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// function is one function of metric math: how many arguments it takes, and what it does with their values.
type function struct {
	least, most int
	apply       func(e *evaluation, args []value, q *query) (value, error)
}

// functionOf returns a function by its name in capitals.
func functionOf(name string) (f function, ok bool) {
	switch name {
	case "ABS":
		return pointwise(math.Abs), true
	case "CEIL":
		return pointwise(math.Ceil), true
	case "FLOOR":
		return pointwise(math.Floor), true
	case "LOG":
		return pointwise(math.Log), true
	case "LOG10":
		return pointwise(math.Log10), true
	case "AVG":
		return aggregate(mean), true
	case "SUM":
		return aggregate(sum), true
	case "STDDEV":
		return aggregate(deviation), true
	case "MIN":
		return aggregate(extreme(slices.Min[[]float64])), true
	case "MAX":
		return aggregate(extreme(slices.Max[[]float64])), true
	case "DIFF":
		return running(func(a, b point) float64 { return b.value - a.value }), true
	case "DIFF_TIME":
		return running(seconds), true
	case "RATE":
		return running(func(a, b point) float64 { return (b.value - a.value) / seconds(a, b) }), true
	case "MINUTE":
		return calendar(time.Time.Minute), true
	case "HOUR":
		return calendar(time.Time.Hour), true
	case "DAY":
		return calendar(func(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }), true // Monday is 1
	case "DATE":
		return calendar(time.Time.Day), true
	case "MONTH":
		return calendar(func(t time.Time) int { return int(t.Month()) }), true
	case "YEAR":
		return calendar(time.Time.Year), true
	case "EPOCH":
		return calendar(func(t time.Time) int { return int(t.Unix()) }), true
	default:
		f, ok = listFunctions[name]
		return f, ok
	}
}

// listFunctions are the functions on series as a whole.
var listFunctions = map[string]function{
	"FIRST": {1, 1, edgeOf(func(l []line) line { return l[0] })},
	"LAST":  {1, 1, edgeOf(func(l []line) line { return l[len(l)-1] })},
	"METRIC_COUNT": {1, 1, func(_ *evaluation, args []value, _ *query) (value, error) {
		return number(float64(len(args[0].list))), nil
	}},
	"PERIOD":       {1, 1, periodOf},
	"REMOVE_EMPTY": {1, 1, removeEmpty},
	"RUNNING_SUM":  {1, 1, runningSum},
	"TIME_SERIES":  {1, 1, timeSeries},
	"FILL":         {2, 2, fill},
	"IF":           {2, 3, choose},
	"SLICE":        {2, 3, sliceOf},
	"SORT":         {3, 4, sortLines},
}

// call evaluates a function. Those that take words or look at the request are apart.
func (e *evaluation) call(n *node, q *query) (value, error) {
	switch n.text {
	case "METRICS":
		return e.metrics(n, q)
	case "SEARCH":
		return e.search(n, q)
	}
	f, ok := functionOf(n.text)
	if !ok {
		return value{}, validation("Error in expression '%s': The function %s is not known.", q.id, quoted(n.text))
	}
	if len(n.args) < f.least || len(n.args) > f.most {
		return value{}, validation("Error in expression '%s': The function %s takes %d to %d arguments.", q.id, n.text, f.least, f.most)
	}
	args := make([]value, len(n.args))
	for i, a := range n.args {
		if a.kind == nodeName && words[strings.ToUpper(a.text)] && i > 0 {
			args[i] = value{scalar: true, text: strings.ToUpper(a.text)}
			continue
		}
		var err error
		if args[i], err = e.eval(a, q); err != nil {
			return value{}, err
		}
	}
	if args[0].scalar && f.least == 1 && needsSeries[n.text] {
		return value{}, validation("Error in expression '%s': The function %s takes a time series.", q.id, n.text)
	}
	return f.apply(e, args, q)
}

// words are arguments that are no Ids.
var words = map[string]bool{"REPEAT": true, "LINEAR": true, "SUM": true, "AVG": true, "MIN": true, "MAX": true, "ASC": true, "DESC": true}

var needsSeries = map[string]bool{
	"FIRST": true, "LAST": true, "METRIC_COUNT": true, "PERIOD": true, "REMOVE_EMPTY": true, "RUNNING_SUM": true,
	"DIFF": true, "DIFF_TIME": true, "RATE": true, "MINUTE": true, "HOUR": true, "DAY": true, "DATE": true, "MONTH": true,
	"YEAR": true, "EPOCH": true,
}

// metrics returns the metrics of the request whose Id contains a text.
func (e *evaluation) metrics(n *node, q *query) (value, error) {
	part := ""
	if len(n.args) > 1 || len(n.args) == 1 && n.args[0].kind != nodeText {
		return value{}, validation("Error in expression '%s': METRICS takes no argument or a text.", q.id)
	}
	if len(n.args) == 1 {
		part = n.args[0].text
	}
	var all value
	for _, o := range e.queries {
		if o.expression != nil || !strings.Contains(o.id, part) {
			continue
		}
		v, err := e.of(o)
		if err != nil {
			return value{}, err
		}
		all.list = append(all.list, v.list...)
	}
	return all, nil
}

func edgeOf(pick func([]line) line) func(*evaluation, []value, *query) (value, error) {
	return func(_ *evaluation, args []value, q *query) (value, error) {
		if len(args[0].list) == 0 {
			return value{}, validation("Error in expression '%s': There is no time series to take one of.", q.id)
		}
		return series(pick(args[0].list)), nil
	}
}

func periodOf(_ *evaluation, args []value, q *query) (value, error) {
	if !args[0].single {
		return value{}, validation("Error in expression '%s': PERIOD takes a single metric.", q.id)
	}
	return number(args[0].list[0].period.Seconds()), nil
}

func removeEmpty(_ *evaluation, args []value, _ *query) (value, error) {
	out := value{}
	for _, l := range args[0].list {
		if len(l.points) > 0 {
			out.list = append(out.list, l)
		}
	}
	return out, nil
}

func runningSum(e *evaluation, args []value, _ *query) (value, error) {
	return e.lines(args[0], func(l line) []point {
		out, total := slices.Clone(l.points), 0.0
		for i := range out {
			total += out[i].value
			out[i].value = total
		}
		return out
	})
}

// grid calls each with the start of every period that is asked for, at most as many as may be computed.
func (e *evaluation) grid(period time.Duration, each func(time.Time)) error {
	if period <= 0 {
		period = time.Minute
	}
	over := e.over(period).aligned()
	if n := over.points(); n > maxComputed {
		return e.spend(maxComputed + 1)
	}
	for at := over.from; at.Before(over.to); at = at.Add(period) {
		each(at)
	}
	return nil
}

func timeSeries(e *evaluation, args []value, q *query) (value, error) {
	if !args[0].scalar || args[0].text != "" {
		return value{}, validation("Error in expression '%s': TIME_SERIES takes a number.", q.id)
	}
	out := line{period: q.period}
	err := e.grid(q.period, func(at time.Time) { out.add(at, args[0].number) })
	return series(out), cmp.Or(err, e.spend(len(out.points)))
}

func fill(e *evaluation, args []value, q *query) (value, error) {
	with := args[1]
	if !with.scalar || with.text != "" && with.text != "REPEAT" && with.text != "LINEAR" || args[0].scalar {
		return value{}, validation("Error in expression '%s': FILL takes a time series and a number, REPEAT or LINEAR.", q.id)
	}
	var failed error
	out, err := e.lines(args[0], func(l line) []point {
		var filled line
		next := 0
		failed = cmp.Or(failed, e.grid(cmp.Or(l.period, q.period), func(at time.Time) {
			for next < len(l.points) && l.points[next].at.Before(at) {
				next++
			}
			if next < len(l.points) && l.points[next].at.Equal(at) {
				filled.add(at, l.points[next].value)
				return
			}
			filled.add(at, with.between(l.points, next, at))
		}))
		return filled.points
	})
	return out, cmp.Or(failed, err)
}

// between returns what FILL puts at a time before the next point.
func (v value) between(points []point, next int, at time.Time) float64 {
	switch {
	case v.text == "":
		return v.number
	case next == 0:
		return math.NaN()
	case v.text == "REPEAT":
		return points[next-1].value
	case next == len(points):
		return math.NaN()
	default:
		a, b := points[next-1], points[next]
		return a.value + (b.value-a.value)*seconds(a, point{at: at})/seconds(a, b)
	}
}

// choose is IF: the second argument where the first is not 0, the third elsewhere.
func choose(e *evaluation, args []value, q *query) (value, error) {
	if len(args) == 2 {
		args = append(args, number(math.NaN()))
	}
	for _, a := range args {
		if a.text != "" || !a.scalar && !a.single {
			return value{}, validation("Error in expression '%s': IF takes single time series and numbers.", q.id)
		}
	}
	if args[0].scalar {
		if args[0].number != 0 {
			return args[1], nil
		}
		return args[2], nil
	}
	pick := [2]map[int64]float64{}
	for i := range pick {
		if a := args[2-i]; !a.scalar {
			pick[i] = map[int64]float64{}
			for _, p := range a.list[0].points {
				pick[i][p.at.UnixMilli()] = p.value
			}
		}
	}
	return e.lines(args[0], func(l line) []point {
		out := line{}
		for _, p := range l.points {
			branch := int(truth(p.value != 0))
			v := args[2-branch].number
			if pick[branch] != nil {
				var ok bool
				if v, ok = pick[branch][p.at.UnixMilli()]; !ok {
					continue
				}
			}
			out.add(p.at, v)
		}
		return out.points
	})
}

func sliceOf(_ *evaluation, args []value, q *query) (value, error) {
	for _, a := range args[1:] {
		if !a.scalar || a.text != "" || a.number < 0 || a.number != math.Trunc(a.number) {
			return value{}, validation("Error in expression '%s': SLICE takes whole numbers from 0.", q.id)
		}
	}
	n := float64(len(args[0].list))
	from, to := int(min(args[1].number, n)), len(args[0].list)
	if len(args) == 3 {
		to = max(from, int(min(args[2].number, n)))
	}
	return value{list: args[0].list[from:to]}, nil
}

// sortLines is SORT(list, AVG|MIN|MAX|SUM, ASC|DESC, first n).
func sortLines(_ *evaluation, args []value, q *query) (value, error) {
	by, known := map[string]func([]float64) float64{
		"AVG": mean, "SUM": sum, "MIN": extreme(slices.Min[[]float64]), "MAX": extreme(slices.Max[[]float64]),
	}[args[1].text]
	if order := args[2].text; !known || order != "ASC" && order != "DESC" || args[0].scalar {
		return value{}, validation("Error in expression '%s': SORT takes an array, AVG, MIN, MAX or SUM, and ASC or DESC.", q.id)
	}
	list := slices.Clone(args[0].list)
	slices.SortStableFunc(list, func(a, b line) int {
		c := cmp.Compare(by(valuesOf(a.points)), by(valuesOf(b.points)))
		if args[2].text == "DESC" {
			return -c
		}
		return c
	})
	if len(args) == 4 {
		if !args[3].scalar || args[3].number < 0 {
			return value{}, validation("Error in expression '%s': The number of time series is invalid.", q.id)
		}
		list = list[:int(min(args[3].number, float64(len(list))))]
	}
	return value{list: list}, nil
}
