package awsapi

import (
	"cmp"
	"slices"

	"github.com/aws/smithy-go"
)

// mapEntry is an entry of a map that waits until the map ends. The SDK passes entries in Go's random order; callers get
// them sorted, so that the same state always gives the same bytes.
type mapEntry struct {
	schema *smithy.Schema
	key    string
	value  func() // nil until it is known
}

// WriteKey implements [smithy.ShapeSerializer].
func (s *outputSerializer) WriteKey(schema *smithy.Schema, key string) {
	s.entries = append(s.entries, mapEntry{schema: schema, key: key})
}

// WriteString implements [smithy.ShapeSerializer].
func (s *outputSerializer) WriteString(schema *smithy.Schema, v string) {
	s.scalar(func() { s.ShapeSerializer.WriteString(schema, v) })
}

// WriteFloat64 implements [smithy.ShapeSerializer].
func (s *outputSerializer) WriteFloat64(schema *smithy.Schema, v float64) {
	s.scalar(func() { s.ShapeSerializer.WriteFloat64(schema, v) })
}

// CloseMap implements [smithy.ShapeSerializer].
func (s *outputSerializer) CloseMap() {
	slices.SortFunc(s.entries, func(a, b mapEntry) int { return cmp.Compare(a.key, b.key) })
	s.flush()
	s.ShapeSerializer.CloseMap()
}

// scalar writes a value, or keeps it if it belongs to an entry.
func (s *outputSerializer) scalar(write func()) {
	if last := len(s.entries) - 1; last >= 0 && s.entries[last].value == nil {
		s.entries[last].value = write
		return
	}
	write()
}

// flush writes the entries that wait. Before a value that is not a scalar it keeps their order.
func (s *outputSerializer) flush() {
	for _, e := range s.entries {
		s.ShapeSerializer.WriteKey(e.schema, e.key)
		if e.value != nil {
			e.value()
		}
	}
	s.entries = nil
}
