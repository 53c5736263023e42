package router_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"serin"
	"serin/internal/router"
)

var place = serin.Place{Region: "us-east-1", Account: "000000000000"}

// shop returns a function with three versions and an alias.
func shop(tb testing.TB, routing serin.Routing) *serin.Function {
	tb.Helper()
	n := 0
	c := serin.Change{At: time.Unix(0, 0), NewRevision: func() string { n++; return strconv.Itoa(n) }}
	f := serin.NewFunction(c, place, "shop", serin.Configuration{Role: "r"}, serin.Code{}, nil, 0)
	f.Settle(c, "")
	for range 3 {
		f.Changed = true
		if _, err := f.PublishVersion(c, serin.Publication{}); err != nil {
			tb.Fatal(err)
		}
	}
	f.Aliases["live"] = &serin.Alias{Name: "live", Routing: routing}
	return f
}

func TestRoute(t *testing.T) {
	table := router.New(place)
	table.Apply(1, "shop", shop(t, serin.Routing{Version: 1, Additional: 2, Weight: 0.25}))
	for _, tt := range []struct {
		function, qualifier string
		draw                float64
		want, err           string
	}{
		{"shop", "", 0, "$LATEST", ""},
		{"shop", "$LATEST", 0, "$LATEST", ""},
		{"shop", "3", 0, "3", ""},
		{"shop", "live", 0.2499, "2", ""},
		{"shop", "live", 0.25, "1", ""},
		{"shop", "live", 0, "2", ""},
		{"shop", "4", 0, "", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:shop:4"},
		{"shop", "$latest", 0, "", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:shop:$latest"},
		{"shop", "nope", 0, "", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:shop:nope"},
		{"none", "", 0, "", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:none:$LATEST"},
	} {
		r, err := table.Route(tt.function, tt.qualifier, tt.draw)
		if err != nil {
			if e, ok := errors.AsType[*serin.Error](err); !ok || e.Kind != serin.KindNotFound || e.Message != tt.err {
				t.Errorf("Route(%q, %q): error %v, want %q", tt.function, tt.qualifier, err, tt.err)
			}
			continue
		}
		if got := r.Version.Number.String(); got != tt.want {
			t.Errorf("Route(%q, %q, %v) = %s, want %s", tt.function, tt.qualifier, tt.draw, got, tt.want)
		}
	}
}

// A weight of 0 sends nothing to the additional version, a weight of 1 everything.
func TestRouteExtremes(t *testing.T) {
	table := router.New(place)
	for weight, want := range map[float64]serin.VersionNumber{0: 1, 1: 2} {
		table.Apply(1, "shop", shop(t, serin.Routing{Version: 1, Additional: 2, Weight: weight}))
		for range 1000 {
			r, err := table.Route("shop", "live", rand.Float64())
			if err != nil || r.Version.Number != want {
				t.Fatalf("weight %v: version %v, %v; want %v", weight, r.Version.Number, err, want)
			}
		}
	}
}

// Readers see an update as soon as Apply has returned, and never a mixture.
func TestApplyIsSeenByAllReaders(t *testing.T) {
	table := router.New(place)
	states := []*serin.Function{shop(t, serin.Routing{Version: 1}), shop(t, serin.Routing{Version: 2})}
	table.Apply(1, "shop", states[0])
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if r, err := table.Route("shop", "live", 0); err != nil || r.Version.Number != r.Alias.Routing.Version {
					t.Errorf("mixed state: %v, %v", r, err)
					return
				}
			}
		})
	}
	for seq := range int64(2000) {
		f := states[seq%2]
		table.Apply(seq+2, "shop", f)
		if r, _ := table.Route("shop", "live", 0); r.Function != f {
			t.Fatal("an older entry was read after Apply returned")
		}
	}
	close(stop)
	wg.Wait()
	table.Apply(9999, "shop", nil)
	if _, err := table.Route("shop", "live", 0); err == nil {
		t.Error("a deleted function still routes")
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := router.New(place)
		done := make(chan error, 1)
		go func() { done <- table.Wait(t.Context(), 2) }()
		table.Apply(1, "shop", shop(t, serin.Routing{Version: 1}))
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("Wait(2) returned %v after sequence 1", err)
		default:
		}
		table.Apply(2, "shop", nil)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		cause := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if err := table.Wait(ctx, 3); !errors.Is(err, cause) {
			t.Errorf("Wait = %v, want the cause", err)
		}
	})
}

func TestRouteDoesNotAllocate(t *testing.T) {
	table := router.New(place)
	table.Apply(1, "shop", shop(t, serin.Routing{Version: 1, Additional: 2, Weight: 0.5}))
	if n := testing.AllocsPerRun(1000, func() { _, _ = table.Route("shop", "live", rand.Float64()) }); n != 0 {
		t.Errorf("Route allocates %v times", n)
	}
}

func BenchmarkRoute(b *testing.B) {
	table := router.New(place)
	for i := range 10_000 {
		name := "shop" + strconv.Itoa(i)
		f := shop(b, serin.Routing{Version: 1, Additional: 2, Weight: 0.1})
		f.Name = name
		table.Apply(int64(i), name, f)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := table.Route("shop777", "live", rand.Float64()); err != nil {
			b.Fatal(err)
		}
	}
}

func TestClaims(t *testing.T) {
	table := router.New(place)
	f := shop(t, serin.Routing{Version: 1})
	f.Reserved = new(7)
	must := func(want int) {
		t.Helper()
		if got := table.Claims(); got != want {
			t.Errorf("functions claim %d, want %d", got, want)
		}
	}
	if err := table.Load(1, func(yield func(*serin.Function, error) bool) { yield(f, nil) }); err != nil {
		t.Fatal(err)
	}
	must(7)
	other := f.Clone()
	other.Name, other.Reserved = "other", new(5)
	table.Apply(2, "other", other)
	must(12)
	less := f.Clone()
	less.Reserved = nil
	table.Apply(3, "shop", less)
	must(5)
	table.Apply(4, "other", nil)
	must(0)
}
