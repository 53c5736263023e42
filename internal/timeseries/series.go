package timeseries

import (
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// Dimension is one name and value that tell the metrics of one name apart.
type Dimension struct{ Name, Value string }

// Metric names one series of sets. Two metrics that differ in their dimensions or unit have nothing in common.
type Metric struct {
	Namespace, Name, Unit string
	Dimensions            []Dimension // ascending by name, each name once
}

// NewMetric returns a metric with its dimensions in order.
func NewMetric(namespace, name, unit string, dimensions ...Dimension) Metric {
	slices.SortFunc(dimensions, func(a, b Dimension) int { return strings.Compare(a.Name, b.Name) })
	return Metric{namespace, name, unit, dimensions}
}

// Key returns a text that is the same for equal metrics only.
func (m Metric) Key() string {
	n := len(m.Namespace) + len(m.Name) + len(m.Unit) + 8
	for _, d := range m.Dimensions {
		n += len(d.Name) + len(d.Value) + 8
	}
	b := make([]byte, 0, n)
	part := func(s string) { b = append(append(strconv.AppendInt(b, int64(len(s)), 36), ':'), s...) }
	part(m.Namespace)
	part(m.Name)
	for _, d := range m.Dimensions {
		part(d.Name)
		part(d.Value)
	}
	part(m.Unit)
	return string(b)
}

// Compare orders metrics by namespace, name, dimensions and unit.
func (m Metric) Compare(o Metric) int {
	if c := strings.Compare(m.Namespace, o.Namespace); c != 0 {
		return c
	}
	if c := strings.Compare(m.Name, o.Name); c != 0 {
		return c
	}
	if c := slices.CompareFunc(m.Dimensions, o.Dimensions, func(a, b Dimension) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	}); c != 0 {
		return c
	}
	return strings.Compare(m.Unit, o.Unit)
}

// Labels of the series in the database. A set is a histogram, which has count, sum and distribution, and where the
// outermost buckets do not show the extremes exactly, two numbers at the same time in series of their own. The
// number of dimensions is a label, so that a lookup of exactly these dimensions is a lookup in the index.
const (
	labelName       = "__name__"
	labelNamespace  = "namespace"
	labelUnit       = "unit"
	labelArity      = "arity"
	labelPart       = "part"
	dimensionPrefix = "d:"

	partSet = "set"
	partMin = "min"
	partMax = "max"
)

func (m Metric) labels(part string) labels.Labels {
	b := labels.NewScratchBuilder(len(m.Dimensions) + 5)
	b.Add(labelName, m.Name)
	b.Add(labelNamespace, m.Namespace)
	b.Add(labelArity, strconv.Itoa(len(m.Dimensions)))
	b.Add(labelPart, part)
	if m.Unit != "" {
		b.Add(labelUnit, m.Unit)
	}
	for _, d := range m.Dimensions {
		b.Add(dimensionPrefix+d.Name, d.Value)
	}
	b.Sort()
	return b.Labels()
}

func metricOf(ls labels.Labels) Metric {
	var m Metric
	ls.Range(func(l labels.Label) {
		switch l.Name {
		case labelName:
			m.Name = l.Value
		case labelNamespace:
			m.Namespace = l.Value
		case labelUnit:
			m.Unit = l.Value
		case labelPart, labelArity:
		default:
			m.Dimensions = append(m.Dimensions, Dimension{strings.TrimPrefix(l.Name, dimensionPrefix), l.Value})
		}
	})
	return m
}

// Selector picks metrics. What is empty does not matter.
type Selector struct {
	Namespace, Name, Unit string
	// Dimensions that a metric must have. An empty value stands for any.
	Dimensions []Dimension
	// Exact asks for metrics that have no other dimensions.
	Exact bool
	// Plain asks for sets without their distributions, which are costly to read.
	Plain bool
}

func (s Selector) matchers(part string) []*labels.Matcher {
	var ms []*labels.Matcher
	add := func(kind labels.MatchType, name, value string) {
		// Only a regular expression can be refused, and there is none but the constant.
		ms = append(ms, labels.MustNewMatcher(kind, name, value))
	}
	for _, l := range [...]struct{ name, value string }{
		{labelName, s.Name}, {labelNamespace, s.Namespace}, {labelUnit, s.Unit}, {labelPart, part},
	} {
		if l.value != "" {
			add(labels.MatchEqual, l.name, l.value)
		}
	}
	for _, d := range s.Dimensions {
		if d.Value == "" {
			add(labels.MatchNotEqual, dimensionPrefix+d.Name, "")
		} else {
			add(labels.MatchEqual, dimensionPrefix+d.Name, d.Value)
		}
	}
	if s.Exact {
		add(labels.MatchEqual, labelArity, strconv.Itoa(len(s.Dimensions)))
	}
	if len(ms) == 0 {
		add(labels.MatchNotEqual, labelName, "")
	}
	return ms
}
