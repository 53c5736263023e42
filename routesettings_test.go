package serin_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"serin"
)

func TestParseRoutingKey(t *testing.T) {
	for text, want := range map[string]serin.RoutingKey{
		"":                        {},
		"none":                    {},
		"header:x-user-id":        {Source: serin.KeyFromHeader, Name: "X-User-Id"},
		"cookie:session":          {Source: serin.KeyFromCookie, Name: "session"},
		"event:detail.user.id":    {Source: serin.KeyFromEvent, Name: "detail.user.id"},
		`event:$.h["x:y"]`:        {Source: serin.KeyFromEvent, Name: `$.h["x:y"]`},
		"event:Records[0].userId": {Source: serin.KeyFromEvent, Name: "Records[0].userId"},
	} {
		got, err := serin.ParseRoutingKey(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if again, err := serin.ParseRoutingKey(got.String()); err != nil || again != got {
			t.Errorf("%q: its text %q is read as %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{
		"x", "header", "header:", "header:a b", "header:a\r\nb", "cookie:a=b", "cookie:é", "event:", "query:x", "Header:x",
		"header:" + strings.Repeat("x", 257), "event:" + strings.Repeat("a.", 200),
	} {
		if got, err := serin.ParseRoutingKey(text); serin.KindOf(err) != serin.KindInvalid {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestParsePath(t *testing.T) {
	name := func(s string) serin.PathStep { return serin.PathStep{Name: s, Index: -1} }
	for text, want := range map[string][]serin.PathStep{
		"a":                 {name("a")},
		"$.a":               {name("a")},
		"a.b-c.d e":         {name("a"), name("b-c"), name("d e")},
		"a[0].b":            {name("a"), {Index: 0}, name("b")},
		"[12][3]":           {{Index: 12}, {Index: 3}},
		`$["a.b"]["[c]"]`:   {name("a.b"), name("[c]")},
		`headers["x.user"]`: {name("headers"), name("x.user")},
	} {
		got, err := serin.ParsePath(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
	for _, text := range []string{
		"", "$", ".", "a.", ".a", "a..b", "a[", "a[]", "a[-1]", "a[01]", "a[+1]", "a[10000]", "a[99999999999999999999]", "a[x]", "a]",
		`a["`, `a[""]`, `a["b]`, `a["b\"]`, "a[*]", "a.*", "$$", "a$", strings.Repeat("a.", 16) + "a",
	} {
		if got, err := serin.ParsePath(text); serin.KindOf(err) != serin.KindInvalid {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func FuzzParseRoutingKey(f *testing.F) {
	for _, text := range []string{"header:X-A", "cookie:a", "event:a.b[0]", `event:$["a.b"]`, "event:a[", "none", ":"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := serin.ParseRoutingKey(text)
		if err != nil {
			if serin.KindOf(err) != serin.KindInvalid {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if again, err := serin.ParseRoutingKey(k.String()); err != nil || again != k {
			t.Errorf("%q: %q is read as %+v, %v", text, k, again, err)
		}
		if k.Source != serin.KeyFromEvent {
			return
		}
		steps, err := serin.ParsePath(k.Name)
		if err != nil || len(steps) == 0 || len(steps) > 16 {
			t.Errorf("%q: %d steps, %v", text, len(steps), err)
		}
		var b strings.Builder
		b.WriteByte('$')
		for _, s := range steps {
			if s.Index >= 0 {
				fmt.Fprintf(&b, "[%d]", s.Index)
			} else {
				fmt.Fprintf(&b, "[%q]", s.Name)
			}
		}
		// A long path may be too long in this spelling, and %q escapes.
		if spelt := b.String(); len(spelt) <= 256 && !strings.Contains(spelt, `\`) {
			if again, err := serin.ParsePath(spelt); err != nil || !cmp.Equal(again, steps) {
				t.Errorf("%q: as %q it is %v, %v", text, spelt, again, err)
			}
		}
	})
}

// live is an alias of the function shop on the way from one version to another.
func live(from, to serin.VersionNumber) (*serin.Function, *serin.Alias) {
	f := &serin.Function{Name: "shop", ARN: "arn:aws:lambda:us-east-1:000000000000:function:shop"}
	return f, &serin.Alias{Name: "live", Routing: serin.Routing{Version: from, Additional: to}}
}

func user(i int) serin.KeyHash { return serin.HashKey(fmt.Sprintf("user-%d", i)) }

// Whatever the weight does, a key that was on the canary is there again at every weight that is not smaller.
func TestDrawIsMonotone(t *testing.T) {
	f, a := live(1, 2)
	least := map[serin.KeyHash]float64{} // the least weight at which a key was on the canary
	most := map[serin.KeyHash]float64{}  // the largest at which it was not
	for _, weight := range []float64{0, 0.01, 0.05, 0.25, 0.1, 0.05, 0, 0.5, 0.01, 0.9, 0.3, 1, 0.05, 1} {
		a.Routing.Weight = weight
		for i := range 5000 {
			k := user(i)
			on := f.Draw(a, k) < weight
			bound, seen := least[k]
			if seen && weight >= bound && !on {
				t.Fatalf("user %d was on the canary at %v, and is not at %v", i, bound, weight)
			}
			if bound, seen := most[k]; seen && weight <= bound && on {
				t.Fatalf("user %d was not on the canary at %v, and is at %v", i, bound, weight)
			}
			switch {
			case on && (!seen || weight < bound):
				least[k] = weight
			case !on:
				most[k] = max(most[k], weight)
			}
		}
	}
	if len(least) != 5000 {
		t.Errorf("%d of 5000 users were ever on the canary, which got everything", len(least))
	}
}

// The canary gets the share of keys that its weight says: exact binomial bounds, each missed by a uniform draw with a
// probability of at most 1e-6. Sequential numbers are the hardest keys for a weak hash.
func TestDrawIsBalanced(t *testing.T) {
	const keys = 20_000
	for _, weight := range []float64{0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.99} {
		for _, pair := range [][2]serin.VersionNumber{{1, 2}, {2, 3}, {41, 42}} {
			f, a := live(pair[0], pair[1])
			n := 0
			for i := range keys {
				if f.Draw(a, user(i)) < weight {
					n++
				}
			}
			if p := tail(n, keys, weight); p < 5e-7 {
				t.Errorf("weight %v of %v: %d of %d keys on the canary; a fair draw is that far off with a probability of %.2g", weight, pair, n, keys, 2*p)
			}
		}
	}
}

// tail is the smaller of P(X <= n) and P(X >= n) for a binomial X.
func tail(n, trials int, p float64) float64 {
	lgamma := func(v int) float64 { l, _ := math.Lgamma(float64(v) + 1); return l }
	var below, above float64
	for k := range trials + 1 {
		mass := math.Exp(lgamma(trials) - lgamma(k) - lgamma(trials-k) + float64(k)*math.Log(p) + float64(trials-k)*math.Log1p(-p))
		if k <= n {
			below += mass
		}
		if k >= n {
			above += mass
		}
	}
	return min(below, above)
}

// Draws of one key in two releases, and of two aliases, say nothing about each other.
func TestDrawIsFreshInEveryRelease(t *testing.T) {
	const keys, weight = 20_000, 0.1
	f, first := live(1, 2)
	_, next := live(2, 3)
	_, elsewhere := live(1, 2)
	elsewhere.Name = "beta"
	for what, other := range map[string]*serin.Alias{"the next release": next, "another alias": elsewhere} {
		both := 0
		for i := range keys {
			if f.Draw(first, user(i)) < weight && f.Draw(other, user(i)) < weight {
				both++
			}
		}
		if p := tail(both, keys, weight*weight); p < 5e-7 {
			t.Errorf("%s: %d of %d keys are first in both, want about %v", what, both, keys, keys*weight*weight)
		}
	}
}

// Hashes are kept with events and draws decide on every server, so neither ever changes.
func TestDrawIsStable(t *testing.T) {
	f, a := live(1, 2)
	if serin.HashKey("") != 0 {
		t.Error("no value has a hash")
	}
	got := fmt.Sprintf("%x %.12f", uint64(serin.HashKey("user-1")), f.Draw(a, serin.HashKey("user-1")))
	if want := "c6c289e49e9c05b2 0.501127972813"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	before := f.Draw(a, 7)
	a.Routing.Weight, a.RevisionID, a.Description = 0.7, "new", "new"
	if f.Draw(a, 7) != before {
		t.Error("a draw depends on more than the key, the alias and its versions")
	}
}

func TestDrawDoesNotAllocate(t *testing.T) {
	f, a := live(1, 2)
	value := strings.Repeat("x", 500)
	if n := testing.AllocsPerRun(100, func() { f.Draw(a, serin.HashKey(value)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestUpdateRouteSettings(t *testing.T) {
	c := stamper()
	f := shop(t, c, 2).Clone()
	alias(t, f, c, "live", serin.Routing{Version: 2})
	f = f.Clone()
	key := serin.RoutingKey{Source: serin.KeyFromHeader, Name: "X-User"}
	for _, tt := range []struct {
		qualifier string
		up        serin.RouteSettingsUpdate
		want      serin.RouteSettings
		kind      serin.Kind
	}{
		{"live", serin.RouteSettingsUpdate{Key: &key}, serin.RouteSettings{Key: key}, 0},
		{"live", serin.RouteSettingsUpdate{}, serin.RouteSettings{Key: key}, 0},
		{"live", serin.RouteSettingsUpdate{Pins: new(serin.PinsOff)}, serin.RouteSettings{Key: key, Pins: serin.PinsOff}, 0},
		{"", serin.RouteSettingsUpdate{Pins: new(serin.PinsAnyone)}, serin.RouteSettings{Pins: serin.PinsAnyone}, 0},
		{"", serin.RouteSettingsUpdate{Key: &key}, serin.RouteSettings{}, serin.KindInvalid},
		{"$LATEST", serin.RouteSettingsUpdate{Key: &serin.RoutingKey{}}, serin.RouteSettings{Pins: serin.PinsAnyone}, 0},
		{"1", serin.RouteSettingsUpdate{Pins: new(serin.PinsOff)}, serin.RouteSettings{}, serin.KindInvalid},
		{"nope", serin.RouteSettingsUpdate{Key: &key}, serin.RouteSettings{}, serin.KindNotFound},
	} {
		got, err := f.UpdateRouteSettings(c, tt.qualifier, tt.up)
		if got != tt.want || serin.KindOf(err) != tt.kind {
			t.Errorf("%s %+v: %+v, %v", tt.qualifier, tt.up, got, err)
		}
	}
	var history []string
	for _, m := range f.Moves() {
		history = append(history, fmt.Sprintf("%s %s %v %s %s", m.Cause, m.Alias, *m.From == *m.To, m.Settings.Key, m.Settings.Pins))
	}
	want := []string{"settings live true header:X-User ", "settings live true header:X-User off", "settings $LATEST true none anyone"}
	if d := cmp.Diff(want, history); d != "" {
		t.Error(d)
	}
	text, err := json.Marshal(f.Attached["live"].Route)
	if err != nil || string(text) != `{"key":"header:X-User","pins":"off"}` {
		t.Errorf("%s, %v", text, err)
	}
	_, err = f.UpdateRouteSettings(c, "live", serin.RouteSettingsUpdate{Key: &serin.RoutingKey{}, Pins: new(serin.PinPolicy(""))})
	if f.At("live") != (serin.Attachments{}) || err != nil {
		t.Errorf("settings that say nothing are kept: %v", err)
	}
}

func TestPinPolicy(t *testing.T) {
	for p, want := range map[serin.PinPolicy][2]bool{ // signed, anonymous
		"": {true, false}, serin.PinsSigned: {true, false}, serin.PinsOff: {false, false}, serin.PinsAnyone: {true, true},
	} {
		if got := [2]bool{p.Allows(false), p.Allows(true)}; got != want {
			t.Errorf("%q allows %v, want %v", p, got, want)
		}
	}
	if _, err := serin.ParsePinPolicy("everybody"); serin.KindOf(err) != serin.KindInvalid {
		t.Error(err)
	}
}
