package invoke

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"serin"
	"serin/internal/metrics"
	"serin/internal/router"
)

// shop is a function whose alias live routes as given.
func shop(tb testing.TB, routing serin.Routing) *router.Table {
	tb.Helper()
	c := serin.Change{At: time.Now(), NewRevision: func() string { return "r" }}
	f := serin.NewFunction(c, place, "shop", serin.Configuration{}, serin.Code{}, nil, 0)
	f.Settle(c, "")
	for range 2 {
		f.Changed = true
		f.Settle(c, "")
		if _, err := f.PublishVersion(c, serin.Publication{}); err != nil {
			tb.Fatal(err)
		}
	}
	up := serin.AliasUpdate{Version: &routing.Version, Weights: &map[serin.VersionNumber]float64{}}
	if routing.Weighted() {
		(*up.Weights)[routing.Additional] = routing.Weight
	}
	if _, err := f.CreateAlias(c, "live", up); err != nil {
		tb.Fatal(err)
	}
	table := router.New(place)
	table.Apply(1, "shop", f)
	return table
}

func routed(tb testing.TB, i *Invoker, draw float64) router.Route {
	tb.Helper()
	route, err := i.Table.Route("shop", "live", draw)
	if err != nil {
		tb.Fatal(err)
	}
	return route
}

// A canary that hangs gets no more than its seats; everybody else gets the baseline, and none of that is evidence.
func TestSeatsOfACanaryThatHangs(t *testing.T) {
	canary := serin.Routing{Version: 1, Additional: 2, Weight: 0.5}
	i := New(Config{Place: place, Table: shop(t, canary), Recorder: metrics.New(time.Now)})
	route := routed(t, i, 0)
	if s := i.seat(&route); s.tap != nil || s.taken || route.Version.Number != 2 {
		t.Errorf("without a release: %+v", s)
	}
	tap := i.Recorder.Watch("shop", "live")
	var seats []seat
	for n := range 10 {
		route := routed(t, i, 0) // always the canary's draw
		s := i.seat(&route)
		if hangs := n < 4; s.taken != hangs || s.undrawn == hangs || (route.Version.Number == 2) != hangs {
			t.Errorf("request %d: %+v, version %s", n, s, route.Version.Number)
		}
		seats = append(seats, s)
		baseline := routed(t, i, 0.9)
		if b := i.seat(&baseline); b.taken || b.undrawn != (n >= 3) || baseline.Version.Number != 1 {
			t.Errorf("baseline %d: %+v", n, b)
		}
	}
	for _, s := range seats {
		s.judge(&metrics.Sample{Outcome: serin.OutcomeTimeout}, nil, nil, false)
		s.leave()
	}
	route = routed(t, i, 0)
	if s := i.seat(&route); !s.taken || tap.Seats() != 4 {
		t.Errorf("after the time-outs: %+v, %d seats", s, tap.Seats())
	}
}

func TestFailure(t *testing.T) {
	for answer, want := range map[string]string{
		`{"errorType":"KeyError","errorMessage":"'tenant'"}`:                                                       "KeyError 'tenant'",
		`{"errorType":"Error","errorMessage":"no order 4711 for 7f3b2c1d-aaaa-bbbb-cccc-0123456789ab\nat line 3"}`: "Error no order # for # at line #",
		`{"errorMessage":"2026-11-23T18:00:00.000Z Task timed out after 3.00 seconds"}`:                            "#-#-#T#:#:#.#Z Task timed out after #.# seconds",
		`not json`: "", `{}`: "", `[]`: "", ``: "",
	} {
		if got := failure(serin.OutcomeFunctionError, []byte(answer)); got != want {
			t.Errorf("%s: %q, want %q", answer, got, want)
		}
	}
	if got := failure(serin.OutcomeServerError, []byte(`{"statusCode":502}`)); got != "HTTP 502" {
		t.Errorf("%q", got)
	}
}

func FuzzFailure(f *testing.F) {
	for _, s := range []string{`{"errorType":"E","errorMessage":"m 1"}`, `{"errorMessage":"` + strings.Repeat("é", 200) + `"}`, `{"errorType":"\u0000\ud800"}`, "{"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		for _, o := range []serin.Outcome{serin.OutcomeFunctionError, serin.OutcomeServerError} {
			got := failure(o, answer)
			if len(got) > maxFailure || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\x1b\x00") {
				t.Errorf("%q: %q", answer, got)
			}
		}
	})
}

// BenchmarkSeat is what the exposure window costs an invocation.
func BenchmarkSeat(b *testing.B) {
	for name, tt := range map[string]struct {
		routing serin.Routing
		release bool
	}{
		"no release":  {serin.Routing{Version: 1}, false},
		"own weights": {serin.Routing{Version: 1, Additional: 2, Weight: 0.1}, false},
		"release":     {serin.Routing{Version: 1, Additional: 2, Weight: 0.1}, true},
	} {
		b.Run(name, func(b *testing.B) {
			i := New(Config{Place: place, Table: shop(b, tt.routing), Recorder: metrics.New(time.Now)})
			if tt.release {
				i.Recorder.Watch("shop", "live")
			}
			route := routed(b, i, 0.05)
			b.ReportAllocs()
			for b.Loop() {
				s := i.seat(&route)
				s.leave()
			}
		})
	}
}
