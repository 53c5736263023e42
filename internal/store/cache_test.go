package store

import (
	"testing"

	"serin"
)

func TestCache(t *testing.T) {
	c := cache{entries: map[string]entry{}}
	state := func(revision int64) entry { return entry{name: "f", revision: revision, function: &serin.Function{}} }
	is := func(what string, got, want entry) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got revision %d, want %d, or another function", what, got.revision, want.revision)
		}
	}
	one, two := state(1), state(2)
	is("a first state", c.put(one), one)
	is("the same state read again", c.put(state(1)), one)
	is("a newer state", c.put(two), two)
	is("an older state", c.put(one), one)
	is("what stays after an older state", c.get("f"), two)
	c.forget(one)
	is("what stays after an older state was forgotten", c.get("f"), two)
	c.put(entry{name: "f", revision: 1})
	is("what stays after an older deletion", c.get("f"), two)
	c.put(entry{name: "f", revision: 3})
	is("a deleted function", c.get("f"), entry{})
	c.put(one)
	c.forget(one)
	is("a forgotten function", c.get("f"), entry{})
	c.forget(entry{})
}
