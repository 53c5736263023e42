package router

import (
	"iter"
	"maps"

	"serin"
)

// URL is a function URL and what it belongs to.
type URL struct {
	*serin.FunctionURL

	Function  *serin.Function
	Qualifier string // "" or the name of an alias
}

// URL returns the function URL of an id, or false. It takes three atomic loads and no lock. The caller must
// change nothing.
func (t *Table) URL(id string) (URL, bool) {
	ref, ok := (*t.urls.Load())[id]
	if !ok {
		return URL{}, false
	}
	f, ok := t.Function(ref.Function)
	if !ok {
		return URL{}, false
	}
	// The function may be newer than the index.
	u := f.At(ref.Qualifier).URL
	if u == nil || u.ID != id {
		return URL{}, false
	}
	return URL{FunctionURL: u, Function: f, Qualifier: ref.Qualifier}, true
}

// index makes the ids of next, and no longer those of old, lead to the function. Both may be nil.
func (t *Table) index(old, next *serin.Function) {
	before, after := maps.Collect(urlsOf(old)), maps.Collect(urlsOf(next))
	if maps.Equal(before, after) {
		return
	}
	urls := maps.Clone(*t.urls.Load())
	for id := range before {
		delete(urls, id)
	}
	maps.Copy(urls, after)
	t.urls.Store(&urls)
}

// urlsOf returns the function's URLs by their ids.
func urlsOf(f *serin.Function) iter.Seq2[string, serin.Ref] {
	return func(yield func(string, serin.Ref) bool) {
		if f == nil {
			return
		}
		for q, a := range f.Attached {
			if q == serin.Latest.String() {
				q = ""
			}
			if a.URL != nil && !yield(a.URL.ID, serin.Ref{Function: f.Name, Qualifier: q}) {
				return
			}
		}
	}
}
