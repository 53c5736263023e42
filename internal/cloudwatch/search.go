package cloudwatch

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"serin/internal/timeseries"
)

// maxFound is how many series a search returns (AWS documentation).
const maxFound = 500

var searchSchema = regexp.MustCompile(`^\s*\{([^}]*)\}`)

// search evaluates SEARCH('{Namespace,Dimension} terms', 'Statistic', period).
func (e *evaluation) search(n *node, q *query) (value, error) {
	if len(n.args) < 2 || len(n.args) > 3 || n.args[0].kind != nodeText || n.args[1].kind != nodeText ||
		len(n.args) == 3 && n.args[2].kind != nodeNumber {
		return value{}, validation("Error in expression '%s': SEARCH takes a text, a statistic and a period.", q.id)
	}
	name := n.args[1].text
	compute, ok := parseStatistic(name)
	if !ok {
		return value{}, validation("Error in expression '%s': The statistic %s is not known.", q.id, quoted(name))
	}
	period := q.period
	if len(n.args) == 3 {
		var err error
		if period, err = checkPeriod(int32(min(n.args[2].num, 1<<30)), "Period"); err != nil {
			return value{}, err
		}
	}
	if period == 0 {
		period = time.Minute
	}
	found, err := e.find(n.args[0].text)
	if err != nil {
		return value{}, err
	}
	var out value
	for _, m := range found {
		part := &query{id: q.id, metric: m, stat: name, compute: compute, period: period}
		v, err := e.metric(part)
		if err != nil {
			return value{}, err
		}
		if l := v.list[0]; len(l.points) > 0 {
			l.label = searchLabel(m, found)
			out.list = append(out.list, l)
		}
	}
	return out, nil
}

// searchLabel tells a metric apart from the others that were found with it.
func searchLabel(m timeseries.Metric, all []timeseries.Metric) string {
	var parts []string
	for _, d := range m.Dimensions {
		if slices.ContainsFunc(all, func(o timeseries.Metric) bool { return !slices.Contains(o.Dimensions, d) }) {
			parts = append(parts, d.Value)
		}
	}
	if len(parts) == 0 || slices.ContainsFunc(all, func(o timeseries.Metric) bool { return o.Name != m.Name }) {
		parts = append(parts, m.Name)
	}
	return strings.Join(parts, " ")
}

// find returns the metrics that a search means, in order.
func (e *evaluation) find(text string) ([]timeseries.Metric, error) {
	var sel timeseries.Selector
	var dimensions []string
	schema := searchSchema.FindStringSubmatch(text)
	if schema != nil {
		names := strings.Split(schema[1], ",")
		for i := range names {
			names[i] = strings.Trim(strings.TrimSpace(names[i]), `"`)
		}
		sel.Namespace, dimensions = names[0], names[1:]
		for _, d := range dimensions {
			sel.Dimensions = append(sel.Dimensions, timeseries.Dimension{Name: d})
		}
		sel.Exact = true
		text = text[len(schema[0]):]
	}
	wanted, err := parseSearch(text)
	if err != nil {
		return nil, err
	}
	all, err := e.service.Store.Metrics(e.ctx, sel, e.from, e.to)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(m timeseries.Metric) bool { return !wanted(m) })
	return all[:min(len(all), maxFound)], nil
}

// condition is what a search asks of a metric.
type condition func(timeseries.Metric) bool

var searchToken = regexp.MustCompile(`^\s*(\(|\)|[^\s()="']*=?"[^"]*"|[^\s()]+)`)

// parseSearch reads the terms of a search: words and Name=value, all of which must hold unless OR stands between them,
// with NOT and parentheses.
func parseSearch(text string) (condition, error) {
	var tokens []string
	for strings.TrimSpace(text) != "" {
		m := searchToken.FindStringSubmatch(text)
		if m == nil {
			return nil, validation("The search '%s' is not understood.", quoted(text))
		}
		tokens, text = append(tokens, m[1]), text[len(m[0]):]
	}
	p := &searchParser{tokens: tokens}
	c, err := p.either(0)
	if err == nil && p.at < len(p.tokens) {
		err = validation("The search has a closing parenthesis too many.")
	}
	return c, err
}

type searchParser struct {
	tokens []string
	at     int
}

func (p *searchParser) next() string {
	if p.at == len(p.tokens) {
		return ""
	}
	return p.tokens[p.at]
}

func (p *searchParser) either(depth int) (condition, error) {
	if depth > maxDepth {
		return nil, validation("The search is nested too deeply.")
	}
	left, err := p.all(depth)
	for err == nil && p.next() == "OR" {
		p.at++
		var right condition
		first := left
		if right, err = p.all(depth); err == nil {
			left = func(m timeseries.Metric) bool { return first(m) || right(m) }
		}
	}
	return left, err
}

func (p *searchParser) all(depth int) (condition, error) {
	holds := func(timeseries.Metric) bool { return true }
	for {
		switch p.next() {
		case "", ")", "OR":
			return holds, nil
		case "AND":
			p.at++
			continue
		}
		one, err := p.one(depth)
		if err != nil {
			return nil, err
		}
		before := holds
		holds = func(m timeseries.Metric) bool { return before(m) && one(m) }
	}
}

func (p *searchParser) one(depth int) (condition, error) {
	token := p.next()
	if depth > maxDepth {
		return nil, validation("The search is nested too deeply.")
	}
	p.at++
	switch token {
	case "":
		return nil, validation("The search ends too early.")
	case "NOT":
		c, err := p.one(depth + 1)
		return func(m timeseries.Metric) bool { return !c(m) }, err
	case "(":
		c, err := p.either(depth + 1)
		if err == nil && p.next() != ")" {
			return nil, validation("The search lacks a closing parenthesis.")
		}
		p.at++
		return c, err
	default:
		return term(token), nil
	}
}

// term is a word, or a name with a value. In quotes the whole must be equal; without, its words must occur.
func term(token string) condition {
	name, text, named := strings.Cut(token, "=")
	if !named {
		name, text = "", token
	}
	matches := func(s string) bool { return contains(s, text) }
	if exact, ok := strings.CutPrefix(text, `"`); ok {
		exact = strings.TrimSuffix(exact, `"`)
		matches = func(s string) bool { return s == exact }
	}
	return func(m timeseries.Metric) bool {
		switch name {
		case "":
			return matches(m.Namespace) || matches(m.Name) ||
				slices.ContainsFunc(m.Dimensions, func(d timeseries.Dimension) bool { return matches(d.Name) || matches(d.Value) })
		case "MetricName":
			return matches(m.Name)
		case "Namespace":
			return matches(m.Namespace)
		default:
			return slices.ContainsFunc(m.Dimensions, func(d timeseries.Dimension) bool { return d.Name == name && matches(d.Value) })
		}
	}
}

var (
	wordEnd  = regexp.MustCompile(`[^A-Za-z0-9]+`)
	caseEdge = regexp.MustCompile(`([a-z0-9])([A-Z])`)
)

// wordsOf splits a name as CloudWatch's search does: at everything but letters and digits, and where case changes.
func wordsOf(s string) []string {
	return strings.Fields(strings.ToLower(wordEnd.ReplaceAllString(caseEdge.ReplaceAllString(s, "$1 $2"), " ")))
}

// contains reports whether the words of a text are among those of a name, without regard to case.
func contains(s, text string) bool {
	if strings.EqualFold(s, text) {
		return true
	}
	have := append(wordsOf(s), strings.Fields(strings.ToLower(wordEnd.ReplaceAllString(s, " ")))...)
	for _, w := range wordsOf(text) {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return true
}
