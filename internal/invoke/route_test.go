package invoke

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/router"
)

// releasing is an invoker with a function of two versions, whose alias live routes as given.
func releasing(tb testing.TB, weight float64, settings serin.RouteSettings) *Invoker {
	tb.Helper()
	n := 0
	c := serin.Change{At: time.Unix(0, 0), NewRevision: func() string { n++; return strconv.Itoa(n) }}
	f := serin.NewFunction(c, place, "shop", serin.Configuration{}, serin.Code{}, nil, 0)
	f.Settle(c, "")
	for range 3 {
		f.Changed = true
		if _, err := f.PublishVersion(c, serin.Publication{}); err != nil {
			tb.Fatal(err)
		}
	}
	f.Aliases["live"] = &serin.Alias{Name: "live", Routing: serin.Routing{Version: 1, Additional: 2, Weight: weight}}
	if _, err := f.UpdateRouteSettings(c, "live", serin.RouteSettingsUpdate{Key: &settings.Key, Pins: &settings.Pins}); err != nil {
		tb.Fatal(err)
	}
	table := router.New(place)
	table.Apply(1, "shop", f)
	return New(Config{Place: place, Table: table})
}

var toLive = serin.Ref{Function: "shop", Qualifier: "live"}

func header(values ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(values); i += 2 {
		h.Add(values[i], values[i+1])
	}
	return h
}

// Requests with the same key get the same version, whatever part of the request carries it.
func TestRouteByKey(t *testing.T) {
	for key, request := range map[string]func(user string) *Request{
		"header:x-user": func(user string) *Request { return &Request{Header: header("X-User", user)} },
		"cookie:user": func(user string) *Request {
			return &Request{Header: header("Cookie", "a=b; user="+user+"; user=other")}
		},
		"event:detail.users[1].id": func(user string) *Request {
			return &Request{Payload: fmt.Appendf(nil, `{"x":[{"detail":1}],"detail":{"id":"no","users":[{"id":"no"},{"n":{"id":1},"id":%q}]}}`, user)}
		},
		"event:user": func(user string) *Request { return &Request{Key: serin.HashKey(user)} }, // an event's
	} {
		k, err := serin.ParseRoutingKey(key)
		if err != nil {
			t.Fatal(err)
		}
		i := releasing(t, 0.3, serin.RouteSettings{Key: k})
		var versions [3]int
		for n := range 200 {
			user := "user-" + strconv.Itoa(n)
			var first serin.VersionNumber
			for try := range 5 {
				r, err := i.route(request(user), toLive)
				if err != nil || r.Key != serin.HashKey(user) {
					t.Fatalf("%s: key %x, %v", key, r.Key, err)
				}
				if try == 0 {
					first = r.Version.Number
				}
				if r.Version.Number != first {
					t.Errorf("%s: %s is on %s and on %s", key, user, first, r.Version.Number)
				}
			}
			versions[first]++
		}
		if versions[1] == 0 || versions[2] == 0 {
			t.Errorf("%s: versions got %v keys", key, versions)
		}
	}
}

// Without a key it is chance.
func TestRouteWithoutKey(t *testing.T) {
	for key, in := range map[string]*Request{
		"none":               {Header: header("X-User", "7")},
		"header:x-user":      {Header: header("X-Other", "7")},
		"header:x-nobody":    {Header: header("X-Nobody", "")},
		"cookie:user":        {Header: header("Cookie", "user; other=7", "X", "user=7")},
		"event:user":         {Payload: []byte(`{"user":null}`)},
		"event:user.id":      {Payload: []byte(`{"user":"7"}`)},
		"event:user[1]":      {Payload: []byte(`{"user":["7"]}`)},
		"event:nothing":      {Payload: []byte(`{"user":7,`)},
		"event:a":            {},
		"event:behind.it[0]": {Payload: []byte(`{"large":"` + strings.Repeat("x", maxKeySearch) + `","behind":{"it":["7"]}}`)},
	} {
		k, err := serin.ParseRoutingKey(key)
		if err != nil {
			t.Fatal(err)
		}
		i := releasing(t, 0.5, serin.RouteSettings{Key: k})
		var versions [3]int
		for range 100 {
			r, err := i.route(in, toLive)
			if err != nil || r.Key != 0 {
				t.Fatalf("%s: key %x, %v", key, r.Key, err)
			}
			versions[r.Version.Number]++
		}
		if versions[1] == 0 || versions[2] == 0 {
			t.Errorf("%s: versions got %v requests", key, versions)
		}
	}
}

func TestPins(t *testing.T) {
	for name, tt := range map[string]struct {
		pins      serin.PinPolicy
		anonymous bool
		qualifier string
		kind      Type
		version   string
		want      string // a version, or the text of an error after the header's name
		err       serin.Kind
	}{
		"at weight 0":       {"", false, "live", "", "2", "2", 0},
		"not routed at all": {"", false, "live", "", "3", "3", 0},
		"$LATEST":           {"", false, "live", "", "$LATEST", "$LATEST", 0},
		"of the function":   {"", false, "", "", "3", "3", 0},
		"what it is anyway": {"", false, "3", "", "3", "3", 0},
		"anybody":           {serin.PinsAnyone, true, "live", "", "2", "2", 0},
		"DryRun":            {"", false, "live", DryRun, "2", "2", 0},
		"off": {
			serin.PinsOff, false, "live", "", "2",
			"shop:live does not let this caller pin requests to a version. Its owner allows it by: serin routing --pins.", serin.KindDenied,
		},
		"unsigned": {
			"", true, "live", "", "2",
			"shop:live does not let this caller pin requests to a version. Its owner allows it by: serin routing --pins.", serin.KindDenied,
		},
		"unsigned tells nothing of versions": {
			"", true, "live", "", "9",
			"shop:live does not let this caller pin requests to a version. Its owner allows it by: serin routing --pins.", serin.KindDenied,
		},
		"no number":       {"", false, "live", "", "v2", `"v2" is not the number of a version.`, serin.KindInvalid},
		"no version":      {"", false, "live", "", "9", "function shop has no version 9.", serin.KindInvalid},
		"another version": {"", false, "3", "", "2", "the request is for shop:3, so it cannot be pinned to version 2.", serin.KindInvalid},
		"Event": {
			"", false, "live", Event, "2",
			"the version of an asynchronous invocation is picked when it runs. Invoke the version itself: shop:2.", serin.KindInvalid,
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := releasing(t, 0, serin.RouteSettings{Pins: tt.pins})
			in := &Request{Type: tt.kind, Anonymous: tt.anonymous, Header: header(serin.PinHeader, tt.version)}
			r, err := i.route(in, serin.Ref{Function: "shop", Qualifier: tt.qualifier})
			if tt.err != 0 {
				e, ok := errors.AsType[*serin.Error](err)
				if !ok || e.Kind != tt.err || e.Message != serin.PinHeader+": "+tt.want {
					t.Errorf("%v, want %s", err, tt.want)
				}
				return
			}
			if err != nil || r.Version.Number.String() != tt.want || r.Alias != nil || r.Key != 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// An event keeps its key until it runs, and no headers.
func TestEventsKeepTheirKey(t *testing.T) {
	inBubble(t, func(w *world) {
		key := serin.RoutingKey{Source: serin.KeyFromCookie, Name: "user"}
		failures := 1
		w.function("f", func(f *serin.Function) {
			c := serin.Change{NewRevision: func() string { return "r" }}
			f.Aliases["live"] = &serin.Alias{Name: "live"}
			if _, err := f.UpdateRouteSettings(c, "live", serin.RouteSettingsUpdate{Key: &key}); err != nil {
				t.Fatal(err)
			}
		}, func(ctx context.Context, in *Request) (*Response, error) {
			if failures--; failures == 0 {
				return fails(ctx, in)
			}
			return answers("null")(ctx, in)
		})
		_, err := w.invoker.Invoke(context.Background(), &Request{
			FunctionName: "f", Qualifier: "live", Type: Event, Header: header("Cookie", "user=ana"), Payload: []byte("{}"),
		})
		if err != nil {
			t.Fatal(err)
		}
		w.wait(2 * minute)
		var got []string
		for _, c := range w.calls {
			got = append(got, fmt.Sprintf("%v %x %d", c.At, uint64(c.Key), len(c.Header)))
		}
		want := fmt.Sprintf("%x 0", uint64(serin.HashKey("ana")))
		if d := cmp.Diff([]string{"0s " + want, "1m0s " + want}, got); d != "" {
			t.Error(d)
		}
		w.empty()
	})
}

func FuzzEventValue(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"a":{"b":["x"]}}`, "a.b[0]"}, {`{"a":1.5e3}`, "a"}, {`[true]`, "[0]"}, {`{"a`, "a"}, {`{"a":"\ud800"}`, "a"}, {"{\"\xff\":1}", "\xff"}, {`"x"`, "$"},
	} {
		f.Add([]byte(seed[0]), seed[1])
	}
	f.Fuzz(func(t *testing.T, payload []byte, path string) {
		got := eventValue(payload, path)
		if got != "" && len(got) > 3*len(payload) { // one byte that is not UTF-8 becomes three
			t.Errorf("%q in %q: %q", path, payload, got)
		}
		if again := eventValue(payload, path); again != got {
			t.Errorf("%q in %q: %q, then %q", path, payload, got, again)
		}
	})
}

// BenchmarkRoute compares what picking a version costs with and without a routing key; table is the table alone with
// a random draw. The ratio to it is what keys cost those who have none.
func BenchmarkRoute(b *testing.B) {
	headers := header("Authorization", strings.Repeat("x", 200), "Content-Type", "application/json", "X-User", "user-4711",
		"Cookie", "a=1; b=2; user=user-4711", "X-Amz-Date", "now", "Host", "here", "Accept", "*/*", "User-Agent", "bench")
	event := []byte(`{"version":"2.0","headers":{"accept":"*/*","x-user":"user-4711"},"body":"` + strings.Repeat("x", 1000) + `"}`)
	large := []byte(`{"body":"` + strings.Repeat("x", 6<<20) + `","user":"4711"}`)
	b.Run("table", func(b *testing.B) {
		i := releasing(b, 0.1, serin.RouteSettings{})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := i.Table.Route("shop", "live", rand.Float64()); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, c := range []struct {
		name, key string
		in        *Request
	}{
		{"none", "none", &Request{Header: headers}},
		{"header", "header:X-User", &Request{Header: headers}},
		{"cookie", "cookie:user", &Request{Header: headers}},
		{"event", "event:headers.x-user", &Request{Header: headers, Payload: event}},
		{"event-6MB", "event:user", &Request{Header: headers, Payload: large}},
	} {
		b.Run(c.name, func(b *testing.B) {
			k, err := serin.ParseRoutingKey(c.key)
			if err != nil {
				b.Fatal(err)
			}
			i := releasing(b, 0.1, serin.RouteSettings{Key: k})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := i.route(c.in, toLive); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestRouteDoesNotAllocate(t *testing.T) {
	for _, key := range []serin.RoutingKey{{}, {Source: serin.KeyFromHeader, Name: "X-User"}, {Source: serin.KeyFromCookie, Name: "user"}} {
		i := releasing(t, 0.1, serin.RouteSettings{Key: key})
		in := &Request{Header: header("X-User", "user-4711", "Cookie", "a=b; user=user-4711")}
		if n := testing.AllocsPerRun(1000, func() { _, _ = i.route(in, toLive) }); n != 0 {
			t.Errorf("%s: %v allocations", key, n)
		}
	}
}
