package cloudwatch

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"serin/internal/timeseries"
)

// defaultLabels names the queries of a request that have no label: a metric by its name, with statistic and period
// where the queries differ in them (recorded from AWS), an expression by its Id.
func defaultLabels(queries []*query) map[string]string {
	stats, periods := map[string]bool{}, map[time.Duration]bool{}
	for _, q := range queries {
		if q.expression == nil && !q.hidden {
			stats[q.stat], periods[q.period] = true, true
		}
	}
	labels := map[string]string{}
	for _, q := range queries {
		if q.expression != nil {
			labels[q.id] = q.id
			continue
		}
		parts := []string{q.metric.Name}
		if len(stats) > 1 {
			parts = append(parts, q.stat)
		}
		if len(periods) > 1 {
			parts = append(parts, strconv.Itoa(int(q.period.Seconds())))
		}
		labels[q.id] = strings.Join(parts, " ")
	}
	return labels
}

var labelPart = regexp.MustCompile(`\$\{[^}]{1,300}\}`)

// expandLabel fills in the dynamic parts of a label, such as ${MAX} or ${PROP('Dim.FunctionName')}. What is not known
// stays as it is.
func expandLabel(q *query, plain string, points []point) string {
	return labelPart.ReplaceAllStringFunc(q.label, func(part string) string {
		name := strings.TrimSpace(part[2 : len(part)-1])
		if property, ok := strings.CutPrefix(name, "PROP('"); ok {
			return propertyOf(q, strings.TrimSuffix(property, "')"), part)
		}
		values := valuesOf(points)
		if name == "LABEL" {
			return plain
		}
		if len(values) == 0 {
			return "--"
		}
		switch name {
		case "MIN":
			return figure(slices.Min(values))
		case "MAX":
			return figure(slices.Max(values))
		case "AVG":
			return figure(mean(values))
		case "SUM":
			return figure(sum(values))
		case "FIRST":
			return figure(values[0])
		case "LAST":
			return figure(values[len(values)-1])
		default:
			return part
		}
	})
}

func figure(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// propertyOf returns a property of a query's metric, or the part of the label that asks for it.
func propertyOf(q *query, name, part string) string {
	switch name {
	case "MetricName":
		return q.metric.Name
	case "Namespace":
		return q.metric.Namespace
	case "Stat":
		return q.stat
	case "Period":
		return strconv.Itoa(int(q.period.Seconds()))
	}
	if dimension, ok := strings.CutPrefix(name, "Dim."); ok {
		if i := slices.IndexFunc(q.metric.Dimensions, func(d timeseries.Dimension) bool { return d.Name == dimension }); i >= 0 {
			return q.metric.Dimensions[i].Value
		}
	}
	return part
}
