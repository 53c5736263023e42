package router_test

import (
	"maps"
	"sync"
	"testing"

	"serin"
	"serin/internal/router"
)

// with returns a function with URLs by qualifier.
func with(tb testing.TB, name string, ids map[string]string) *serin.Function {
	tb.Helper()
	f := shop(tb, serin.Routing{Version: 1})
	f.Name = name
	f.Attached = map[string]*serin.Attachments{}
	for q, id := range ids {
		f.Attached[q] = &serin.Attachments{URL: &serin.FunctionURL{ID: id}}
	}
	return f
}

func TestURL(t *testing.T) {
	table := router.New(place)
	check := func(when string, want map[string]serin.Ref) {
		t.Helper()
		for _, id := range []string{"a", "b", "c", "d"} {
			u, ok := table.URL(id)
			ref, wanted := want[id]
			switch {
			case ok != wanted:
				t.Errorf("%s: URL(%s) is there: %v, want %v", when, id, ok, wanted)
			case ok && (u.ID != id || u.Function.Name != ref.Function || u.Qualifier != ref.Qualifier):
				t.Errorf("%s: URL(%s) = %s of %s:%s, want %v", when, id, u.ID, u.Function.Name, u.Qualifier, ref)
			}
		}
	}
	shopA, shopLiveB, cartC := serin.Ref{Function: "shop"}, serin.Ref{Function: "shop", Qualifier: "live"}, serin.Ref{Function: "cart"}

	f := with(t, "shop", map[string]string{"$LATEST": "a", "live": "b"})
	if err := table.Load(1, maps.All(map[*serin.Function]error{f: nil})); err != nil {
		t.Fatal(err)
	}
	check("loaded", map[string]serin.Ref{"a": shopA, "b": shopLiveB})
	table.Apply(2, "cart", with(t, "cart", map[string]string{"$LATEST": "c"}))
	check("another function", map[string]serin.Ref{"a": shopA, "b": shopLiveB, "c": cartC})
	table.Apply(3, "shop", with(t, "shop", map[string]string{"live": "b"}))
	check("deleted", map[string]serin.Ref{"b": shopLiveB, "c": cartC})
	table.Apply(4, "shop", with(t, "shop", map[string]string{"live": "d"}))
	check("deleted and made again", map[string]serin.Ref{"d": shopLiveB, "c": cartC})
	table.Apply(5, "shop", nil)
	check("function deleted", map[string]serin.Ref{"c": cartC})
	table.Apply(6, "shop", with(t, "shop", nil))
	check("function made again", map[string]serin.Ref{"c": cartC})
}

// Readers never see an id lead to something that does not have it.
func TestURLWhileItChanges(t *testing.T) {
	table := router.New(place)
	states := []*serin.Function{with(t, "shop", map[string]string{"live": "a"}), with(t, "shop", map[string]string{"live": "b"}), nil}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if u, ok := table.URL("a"); ok && (u.ID != "a" || u.Function != states[0]) {
					t.Errorf("URL(a) = %s", u.ID)
					return
				}
			}
		})
	}
	for seq := range int64(1500) {
		table.Apply(seq, "shop", states[seq%3])
		if _, ok := table.URL("a"); ok != (seq%3 == 0) {
			t.Fatalf("after change %d URL(a) is there: %v", seq, ok)
		}
	}
	close(stop)
	wg.Wait()
}

func TestURLDoesNotAllocate(t *testing.T) {
	table := router.New(place)
	table.Apply(1, "shop", with(t, "shop", map[string]string{"live": "a"}))
	if n := testing.AllocsPerRun(1000, func() { _, _ = table.URL("a") }); n != 0 {
		t.Errorf("URL allocates %v times", n)
	}
}
