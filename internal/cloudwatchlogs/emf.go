package cloudwatchlogs

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"serin/internal/logs"
)

// Limits of the embedded metric format (its specification in the AWS documentation).
const (
	maxEmbedded           = 100 // metrics of a directive, and values of a metric
	maxEmbeddedDimensions = 30  // of a set, and sets
	maxEmbeddedPoints     = 1000
)

// directive says which members of a line in the embedded metric format are metrics.
type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []struct {
		Name, Unit        string
		StorageResolution *int32
	}
}

// Written makes metrics of events that have been written. Nothing in them can keep them from being written.
func (s *Service) Written(ctx context.Context, c *logs.Chunk) {
	for e := range c.Events() {
		if bytes.Contains(e.Message, []byte(`"_aws"`)) {
			for namespace, data := range embedded(e.Message, e.ID.At) {
				s.put(ctx, namespace, data)
			}
		}
	}
	s.filterMetrics(ctx, c)
}

// embedded returns the points, by namespace, of a line in the embedded metric format, and nil of any other. at is the time of
// the event, in milliseconds since 1970, for lines without one of their own.
func embedded(line []byte, at int64) map[string][]cwtypes.MetricDatum {
	var members map[string]json.RawMessage
	var about struct {
		Timestamp         *int64
		CloudWatchMetrics []directive
	}
	if json.Unmarshal(line, &members) != nil || json.Unmarshal(members["_aws"], &about) != nil {
		return nil
	}
	if about.Timestamp != nil {
		at = *about.Timestamp
	}
	points := 0
	out := map[string][]cwtypes.MetricDatum{}
	for _, d := range about.CloudWatchMetrics {
		if len(d.Metrics) > maxEmbedded || len(d.Dimensions) > maxEmbeddedDimensions {
			continue
		}
		sets := dimensionSets(d.Dimensions, members)
		for _, m := range d.Metrics {
			values, ok := embeddedValues(members[m.Name])
			if !ok {
				continue
			}
			for _, set := range sets {
				if points++; points > maxEmbeddedPoints {
					return out
				}
				out[d.Namespace] = append(out[d.Namespace], cwtypes.MetricDatum{
					MetricName: aws.String(m.Name), Unit: cwtypes.StandardUnit(m.Unit), StorageResolution: m.StorageResolution, Dimensions: set,
					Timestamp: aws.Time(time.UnixMilli(at)), Values: values,
				})
			}
		}
	}
	return out
}

// dimensionSets returns the sets whose members are all there, as text. Without any there is the empty one.
func dimensionSets(sets [][]string, members map[string]json.RawMessage) [][]cwtypes.Dimension {
	if len(sets) == 0 {
		return [][]cwtypes.Dimension{nil}
	}
	var out [][]cwtypes.Dimension
sets:
	for _, names := range sets {
		if len(names) > maxEmbeddedDimensions {
			continue
		}
		set := make([]cwtypes.Dimension, 0, len(names))
		for _, name := range names {
			var value string
			if json.Unmarshal(members[name], &value) != nil || value == "" {
				continue sets
			}
			set = append(set, cwtypes.Dimension{Name: aws.String(name), Value: aws.String(value)})
		}
		out = append(out, set)
	}
	return out
}

// embeddedValues reads a number or a list of numbers.
func embeddedValues(raw json.RawMessage) ([]float64, bool) {
	var values []float64
	if json.Unmarshal(raw, &values) == nil {
		return values, len(values) > 0 && len(values) <= maxEmbedded
	}
	var value float64
	if raw == nil || json.Unmarshal(raw, &value) != nil {
		return nil, false
	}
	return []float64{value}, true
}
