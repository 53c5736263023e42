package release

import (
	"maps"
	"slices"
	"time"

	"serin"
)

// Ends says how often releases of an alias have ended in a way since the server started.
type Ends struct {
	Function, Alias string
	Ending          serin.Ending
	Count           int
	Last            time.Time
}

type endKey struct {
	function, alias string
	ending          serin.Ending
}

// noteEnd counts a release that has ended.
func (c *Controller) noteEnd(r *serin.Release) {
	if r.Active() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := endKey{r.Function, r.Alias, r.Ending}
	c.ends[key] = Ends{r.Function, r.Alias, r.Ending, c.ends[key].Count + 1, r.EndedAt}
}

// Ends returns how releases have ended since the server started, in no particular order.
func (c *Controller) Ends() []Ends {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.ends))
}

// Driven returns the active releases of this server in their latest state, in no particular order.
func (c *Controller) Driven() []*serin.Release {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*serin.Release
	for _, run := range c.runs {
		if r := run.snapshot(); r.Active() {
			all = append(all, r)
		}
	}
	return all
}
