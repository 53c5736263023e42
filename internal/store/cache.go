package store

import (
	"sync"

	"serin"
)

// entry is one state of a function: the state with that revision of its row. A nil function was deleted.
type entry struct {
	name     string
	revision int64
	function *serin.Function
}

// cache holds the newest states of functions that are known. An entry may be out of date; whoever uses one
// compares its revision with the row's.
type cache struct {
	mu      sync.Mutex
	entries map[string]entry
}

func (c *cache) get(name string) entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries[name]
}

// put keeps a state unless a newer one is there. It returns the state to use: the one that is there already if
// it has the same revision, so that everybody gets the same pointers.
func (c *cache) put(e entry) entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	there, ok := c.entries[e.name]
	switch {
	case ok && there.revision == e.revision:
		return there
	case ok && there.revision > e.revision:
	case e.function == nil:
		delete(c.entries, e.name)
	default:
		c.entries[e.name] = e
	}
	return e
}

// forget drops a state that was found to be deleted, unless there is a newer one.
func (c *cache) forget(e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[e.name].revision == e.revision {
		delete(c.entries, e.name)
	}
}
