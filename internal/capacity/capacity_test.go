package capacity

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/executor"
)

// shop is a function with four versions and an alias live, which routes to version 1.
func shop(t *testing.T) (*serin.Function, serin.Change) {
	t.Helper()
	c := serin.Change{At: time.Now(), NewRevision: func() string { return "r" }}
	f := serin.NewFunction(c, serin.Place{Region: "us-east-1", Account: "000000000000"}, "shop", serin.Configuration{}, serin.Code{}, nil, 0)
	for range 4 {
		f.Changed = true
		f.Settle(c, "")
		_, err := f.PublishVersion(c, serin.Publication{})
		must(t, err)
	}
	f.Settle(c, "")
	_, err := f.CreateAlias(c, "live", serin.AliasUpdate{Version: new(serin.VersionNumber(1))})
	must(t, err)
	return f, c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestShares(t *testing.T) {
	f, c := shop(t)
	wants := func(want map[string]int) {
		t.Helper()
		got := map[string]int{}
		for key, n := range shares(f) {
			if key != (executor.Key{Function: "shop", Version: key.Version, Revision: "r"}) {
				t.Errorf("key %v", key)
			}
			got[key.Version] = n
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	route := func(to serin.VersionNumber, weights map[serin.VersionNumber]float64) {
		t.Helper()
		_, err := f.UpdateAlias(c, "live", serin.AliasUpdate{Version: &to, Weights: &weights})
		must(t, err)
	}
	wants(map[string]int{})
	for qualifier, n := range map[string]int{"3": 2, "live": 10} {
		_, err := f.ProvisionConcurrency(c, qualifier, n, 1000)
		must(t, err)
	}
	wants(map[string]int{"3": 2, "1": 10})
	route(1, map[serin.VersionNumber]float64{2: 0.07}) // a release: neither version does without
	wants(map[string]int{"3": 2, "1": 10, "2": 1})
	route(1, map[serin.VersionNumber]float64{2: 0.3})
	wants(map[string]int{"3": 2, "1": 7, "2": 3})
	route(1, map[serin.VersionNumber]float64{2: 0})
	wants(map[string]int{"3": 2, "1": 10})
	route(2, nil) // the alias moves
	wants(map[string]int{"3": 2, "2": 10})
	route(3, nil) // onto a version that has its own
	wants(map[string]int{"3": 12})
	f.DeleteAlias(c, "live")
	wants(map[string]int{"3": 2})
	must(t, f.DeleteVersion(3))
	wants(map[string]int{})

	_, err := f.ProvisionConcurrency(c, "4", 5, 1000)
	must(t, err)
	f.Versions[len(f.Versions)-1].State = serin.StatePending // it cannot run yet
	wants(map[string]int{})
}

// A share is what a person would say it is, whatever the next binary fraction is.
func TestPortion(t *testing.T) {
	for _, c := range []struct {
		n     int
		share float64
		want  int
	}{{100, 0.07, 7}, {100, 0.29, 29}, {10, 0.05, 1}, {1, 0.01, 1}, {0, 0.5, 0}, {3, 1, 3}, {900, 0.001, 1}} {
		if got := portion(c.n, c.share); got != c.want {
			t.Errorf("%v of %d is %d, want %d", c.share, c.n, got, c.want)
		}
	}
}

func TestReasons(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{&executor.InitError{}, "FUNCTION_ERROR_INIT_FAILURE"},
		{serin.Errorf(serin.KindThrottled, "Rate Exceeded."), ""},
		{serin.Errorf(serin.KindInternal, "no python3"), "no python3"},
		{errors.New("disk full"), "The server could not start an execution environment."},
	} {
		if got := reasonOf(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
