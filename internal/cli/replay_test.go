package cli

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin/internal/recording"
)

func TestReplayCompare(t *testing.T) {
	ignore, err := recording.ParsePaths([]string{"$.id"})
	if err != nil {
		t.Fatal(err)
	}
	ok := func(text string) answered { return answered{payload: []byte(text), took: time.Millisecond} }
	failed := answered{payload: []byte(`{"errorType":"KeyError"}`), failed: true, took: 3 * time.Millisecond}
	r := &replayReport{Function: "shop", Version: "2", Against: "1", Events: 6}
	r.compare([][2]answered{
		{ok(`{"id":1,"n":1}`), ok(`{"n":1,"id":2}`)},
		{ok(`{"n":1}`), ok(`{"n":2}`)},
		{failed, ok(`{}`)},
		{ok(`{}`), failed},
		{failed, failed},
		{answered{err: errors.New("429")}, ok(`{}`)},
	}, ignore)
	want := []string{
		"shop: v2 against 1: 1 equal, 1 different, of 6 events",
		"  errors: 1 only of v2, 1 only of 1, 1 of both",
		"  latency: p50 1.0 ms against 1.0 ms, p95 3.0 ms against 3.0 ms",
		"  1 event not answered by the server",
		"  event 2 differs at [$.n]",
		`  event 3 fails: {"errorType":"KeyError"}`,
		"  event 4 fails with 1 only",
	}
	if diff := cmp.Diff(want, r.lines()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if exitCode(r.outcome(false)) != exitPreflight {
		t.Errorf("%v", r.outcome(false))
	}
	same := &replayReport{Events: 1, Equal: 1}
	if err := same.outcome(true); err != nil {
		t.Error(err)
	}
	other := &replayReport{Events: 1, Different: 1}
	if other.outcome(false) != nil || exitCode(other.outcome(true)) != exitPreflight {
		t.Errorf("%v, %v", other.outcome(false), other.outcome(true))
	}
}
