package control

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"serin"
)

// A release moves its alias with the revision that its decision was based on, and the move is in the history with
// who made it and why.
func TestMoveAlias(t *testing.T) {
	c := start(t)
	c.create(t, "shop", 2)
	to1 := serin.Routing{Version: 1}
	canary := serin.Routing{Version: 1, Additional: 2, Weight: 0.05}
	must(t, c.MoveAlias(t.Context(), serin.AliasMove{Function: "shop", Alias: "live", To: to1, Actor: "ana", Cause: serin.CauseManual, Reason: "first"}))
	_, a, err := c.Alias("shop", "live")
	must(t, err)

	must(t, c.MoveAlias(t.Context(), serin.AliasMove{
		Function: "shop", Alias: "live", To: canary, RevisionID: a.RevisionID, Actor: "release", Cause: serin.CauseStep, Reason: "step 1", Release: "r1",
	}))
	err = c.MoveAlias(t.Context(), serin.AliasMove{Function: "shop", Alias: "live", To: to1, RevisionID: a.RevisionID, Cause: serin.CauseStep})
	refused(t, "a move based on an old revision", err, serin.KindPrecondition)
	err = c.MoveAlias(t.Context(), serin.AliasMove{Function: "shop", Alias: "next", To: to1, RevisionID: a.RevisionID, Cause: serin.CauseStep})
	refused(t, "a move of an alias that was deleted", err, serin.KindNotFound)
	err = c.MoveAlias(t.Context(), serin.AliasMove{Function: "shop", Alias: "live", To: serin.Routing{Version: 3}, Cause: serin.CauseManual})
	refused(t, "a move to a missing version", err, serin.KindNotFound)

	if _, a, err = c.Alias("shop", "live"); err != nil || a.Routing != canary {
		t.Errorf("the alias routes to %+v (%v), want %+v", a, err, canary)
	}
	moves, err := c.History(t.Context(), "shop", "live", 10)
	must(t, err)
	want := []serin.Move{
		{Function: "shop", Alias: "live", To: &to1, Actor: "ana", Cause: serin.CauseManual, Reason: "first"},
		{Function: "shop", Alias: "live", From: &to1, To: &canary, Actor: "release", Cause: serin.CauseStep, Reason: "step 1", Release: "r1"},
	}
	if d := cmp.Diff(want, moves, cmpopts.IgnoreFields(serin.Move{}, "At", "Seq")); d != "" {
		t.Errorf("history (-want +got):\n%s", d)
	}
}

// A rollback goes to the last version that held everything and ended healthy, not to the number before, and never to
// one that was deleted.
func TestLastGood(t *testing.T) {
	c := start(t)
	c.create(t, "shop", 4)
	if _, err := c.LastGood(t.Context(), "shop", "live"); !isKind(err, serin.KindNotFound) {
		t.Errorf("without an alias: %v", err)
	}
	for _, version := range []serin.VersionNumber{3, 1, 4} {
		must(t, c.MoveAlias(t.Context(), serin.AliasMove{Function: "shop", Alias: "live", To: serin.Routing{Version: version}, Cause: serin.CauseManual}))
	}
	if n, err := c.LastGood(t.Context(), "shop", "live"); err != nil || n != 1 {
		t.Errorf("LastGood = %v, %v; want 1", n, err)
	}
	must(t, c.delete(t, "shop", "1"))
	if n, err := c.LastGood(t.Context(), "shop", "live"); err != nil || n != 3 {
		t.Errorf("LastGood = %v, %v; want 3", n, err)
	}
	must(t, c.delete(t, "shop", "3"))
	_, err := c.LastGood(t.Context(), "shop", "live")
	refused(t, "when none is left", err, serin.KindNotFound)
}

// Deleting a function ends the routes of its aliases in the history.
func TestDeleteFunctionEndsTheHistoryOfItsAliases(t *testing.T) {
	c := start(t)
	c.create(t, "shop", 1)
	must(t, c.MoveAlias(t.Context(), serin.AliasMove{Function: "shop", Alias: "live", To: serin.Routing{Version: 1}, Cause: serin.CauseManual}))
	must(t, c.delete(t, "shop", ""))
	moves, err := c.History(t.Context(), "shop", "live", 10)
	must(t, err)
	if len(moves) != 2 || moves[1].To != nil || *moves[1].From != (serin.Routing{Version: 1}) {
		t.Errorf("history: %+v", moves)
	}
}
