package serin_test

import (
	"testing"

	"serin"
)

// history writes moves tersely: each move goes to version to, with a share for canary if it is not 0.
type hop struct {
	cause      serin.Cause
	to, canary serin.VersionNumber
}

func history(hops ...hop) []serin.Move {
	var moves []serin.Move
	var now *serin.Routing
	for _, h := range hops {
		to := &serin.Routing{Version: h.to}
		if h.canary != 0 {
			to.Additional, to.Weight = h.canary, 0.1
		}
		moves = append(moves, serin.Move{Cause: h.cause, From: now, To: to})
		now = to
	}
	return moves
}

func TestLastGood(t *testing.T) {
	const (
		manual   = serin.CauseManual
		step     = serin.CauseStep
		promote  = serin.CausePromote
		rollback = serin.CauseRollback
		abort    = serin.CauseAbort
	)
	all := func(serin.VersionNumber) bool { return true }
	for name, tt := range map[string]struct {
		moves  []serin.Move
		exists func(serin.VersionNumber) bool
		want   serin.VersionNumber // 0: nothing to go back to
	}{
		"no history":       {nil, all, 0},
		"only one version": {history(hop{manual, 1, 0}), all, 0},
		"the one before":   {history(hop{manual, 1, 0}, hop{manual, 2, 0}), all, 1},
		"not N-1: versions that were never live do not count": {history(hop{manual, 3, 0}, hop{manual, 7, 0}), all, 3},
		"during a canary: the baseline":                       {history(hop{manual, 1, 0}, hop{step, 1, 2}), all, 1},
		"after a promotion":                                   {history(hop{manual, 1, 0}, hop{step, 1, 2}, hop{promote, 2, 0}), all, 1},
		"a canary that was rolled back never held the alias":  {history(hop{manual, 1, 0}, hop{promote, 2, 0}, hop{step, 2, 3}, hop{rollback, 2, 0}), all, 1},
		"a version that was rolled away from is not good":     {history(hop{manual, 1, 0}, hop{manual, 2, 0}, hop{manual, 3, 0}, hop{rollback, 2, 0}), all, 1},
		"nor one that was rolled away from in mid-canary":     {history(hop{manual, 1, 0}, hop{manual, 2, 0}, hop{step, 2, 3}, hop{rollback, 1, 0}), all, 0},
		"aborting counts like rolling back":                   {history(hop{manual, 1, 0}, hop{manual, 2, 0}, hop{abort, 1, 0}), all, 0},
		"rehabilitated by a later healthy tenure":             {history(hop{manual, 1, 0}, hop{manual, 2, 0}, hop{rollback, 1, 0}, hop{promote, 2, 0}, hop{promote, 3, 0}), all, 2},
		"the latest tenure decides":                           {history(hop{manual, 1, 0}, hop{manual, 2, 0}, hop{manual, 1, 0}, hop{manual, 2, 0}, hop{rollback, 1, 0}), all, 0},
		"a deleted version cannot be gone back to":            {history(hop{manual, 1, 0}, hop{manual, 2, 0}, hop{manual, 3, 0}), func(v serin.VersionNumber) bool { return v != 2 }, 1},
		"$LATEST is never a target":                           {history(hop{manual, 0, 0}, hop{manual, 2, 0}), all, 0},
		"settings move nothing":                               {history(hop{manual, 1, 0}, hop{manual, 2, 0}, hop{serin.CauseSettings, 2, 0}, hop{rollback, 1, 0}, hop{promote, 3, 0}), all, 1},
		"alias deleted and made again":                        {append(history(hop{manual, 1, 0}), append([]serin.Move{{Cause: manual}}, history(hop{manual, 2, 0})...)...), all, 1},
	} {
		got, ok := serin.LastGood(tt.moves, tt.exists)
		if got != tt.want || ok != (tt.want != 0) {
			t.Errorf("%s: LastGood = %v, %v; want %v", name, got, ok, tt.want)
		}
	}
}
