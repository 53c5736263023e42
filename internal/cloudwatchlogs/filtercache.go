package cloudwatchlogs

import "sync"

// maxKnown bounds the groups whose filters are kept ready.
const maxKnown = 10_000

// filterCache keeps the metric filters of groups ready. Its zero value is empty.
type filterCache struct {
	mu     sync.Mutex
	known  map[string][]filter
	change int
}

func (c *filterCache) of(group string) ([]filter, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.known[group]
	return known, ok
}

// age says how often the filters have changed.
func (c *filterCache) age() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.change
}

// keep keeps what was read at an age, unless the filters have changed since.
func (c *filterCache) keep(group string, filters []filter, age int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age != c.change {
		return
	}
	if c.known == nil || len(c.known) >= maxKnown {
		c.known = map[string][]filter{}
	}
	c.known[group] = filters
}

func (c *filterCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = nil
	c.change++
}
