package recording

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxDifferences bounds how many differences of two answers are told apart.
const maxDifferences = 20

// Compare returns the places, like $.user.email, where two answers differ, in their order; none if they are equal as
// JSON, whatever the order of members and the spelling of numbers. Places that a path of ignore names do not count.
// What is not JSON is compared as bytes.
func Compare(a, b []byte, ignore []Path) []string {
	if bytes.Equal(a, b) {
		return nil
	}
	x, errA := decoded(a)
	y, errB := decoded(b)
	if errA != nil || errB != nil {
		return []string{"$"}
	}
	c := comparison{ignore: ignore}
	c.compare(nil, x, y)
	return c.places
}

func decoded(document []byte) (any, error) {
	if len(bytes.TrimSpace(document)) == 0 {
		return nil, nil
	}
	var v any
	err := json.Unmarshal(document, &v)
	return v, err
}

type comparison struct {
	ignore []Path
	places []string
}

func (c *comparison) compare(place []string, a, b any) {
	if len(c.places) >= maxDifferences || anyMatches(c.ignore, place) {
		return
	}
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			c.members(place, x, y)
			return
		}
	case []any:
		if y, ok := b.([]any); ok {
			for i := range max(len(x), len(y)) {
				at := append(slices.Clip(place), strconv.Itoa(i))
				if i >= len(x) || i >= len(y) {
					c.differ(at)
					continue
				}
				c.compare(at, x[i], y[i])
			}
			return
		}
	default:
		switch b.(type) {
		case map[string]any, []any:
		default:
			if a == b {
				return
			}
		}
	}
	c.differ(place)
}

func (c *comparison) members(place []string, x, y map[string]any) {
	names := maps.Clone(x)
	maps.Copy(names, y)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		at := append(slices.Clip(place), name)
		p, inX := x[name]
		q, inY := y[name]
		if inX != inY {
			c.differ(at)
			continue
		}
		c.compare(at, p, q)
	}
}

func (c *comparison) differ(place []string) {
	if len(c.places) < maxDifferences && !anyMatches(c.ignore, place) {
		c.places = append(c.places, strings.Join(append([]string{"$"}, place...), "."))
	}
}
