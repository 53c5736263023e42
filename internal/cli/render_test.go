package cli

import (
	"strings"
	"testing"
	"time"

	"serin"
	"serin/internal/api"
	"serin/internal/bundle"
	"serin/internal/evidence"
)

func ms(p50, p95 float64) api.Milliseconds { return api.Milliseconds{Count: 1, P50: p50, P95: p95} }

// helloStatus is the status of a function during a release.
func helloStatus() *api.StatusDocument {
	return &api.StatusDocument{
		Function: "hello", ARN: "arn:aws:lambda:us-east-1:000000000000:function:hello", Runtime: "python3.13",
		State: serin.StateActive, CodeBytes: 4_100_000,
		Aliases: []api.AliasStatus{
			{Name: "beta", Set: map[serin.VersionNumber]float64{2: 100}},
			{
				Name: "live", Set: map[serin.VersionNumber]float64{1: 75, 2: 25},
				Observed: map[serin.VersionNumber]float64{1: 74.2, 2: 25.8}, Requests: 1312,
				LastMove:       &serin.Move{At: began, Cause: serin.CauseStep, Reason: "harm above +5 pp is excluded"},
				RollbackTarget: new(serin.VersionNumber(1)),
				Release:        running(counts(serin.Counts{Requests: 2811, Errors: 3}, serin.Counts{Requests: 312}), secondStep, seen(api.Observed{Requests: 312, Duration: ms(30, 43)})),
			},
		},
		Versions: []api.VersionStatus{
			{Version: serin.Latest, CodeSHA256: "b64two=", CodeBytes: 1_300_000, LastModified: began, State: serin.StateActive, Metrics: []api.VersionMetrics{}},
			{
				Version: 2, Description: "warmer\x1b[31m", PublishedBy: "ci",
				PublishedAt: began, Provenance: &serin.Provenance{Commit: "77ab0120000", Dirty: true, Author: "Ana <a@b>", Message: "warmer\x1b[31m\nby far", RunURL: "https://ci.example/7"},
				CodeSHA256: "b64two=", CodeBytes: 1_300_000, LastModified: began, State: serin.StateActive,
				Metrics: []api.VersionMetrics{{Alias: "live", Requests: 312, ByKind: map[string]int{}, Duration: ms(30, 43), Init: ms(120, 130)}},
			},
			{
				Version: 1, Description: "first", CodeSHA256: "9c1e00aa55=", CodeBytes: 1500, LastModified: began.Add(-time.Hour), State: serin.StateActive,
				Metrics: []api.VersionMetrics{
					{Alias: "", Requests: 5},
					{Alias: "live", Requests: 2811, Errors: 3, ByKind: map[string]int{"5xx": 2, "timeout": 1}, Duration: ms(31, 1041), Init: ms(110, 130)},
				},
			},
		},
	}
}

// seen is what both versions have shown, the canary with an error of its own.
func seen(canary api.Observed, fresh ...serin.Failure) func(*api.ReleaseDocument) {
	return func(d *api.ReleaseDocument) {
		d.Signals = api.SignalsDocument{
			Baseline: api.Observed{Requests: 2811, Errors: 3, ByKind: map[string]int{"5xx": 2, "timeout": 1}, Duration: ms(31, 1041)},
			Canary:   canary, New: fresh,
			States: []serin.SignalState{{Signal: "function error", Live: true}, {Signal: "init error", Why: "the canary had no cold start"}},
		}
	}
}

func TestGoldenView(t *testing.T) {
	low, high := 0.049, 0.168
	worse := running(counts(serin.Counts{Requests: 2811, Errors: 3}, serin.Counts{Requests: 96, Errors: 9}),
		phase(serin.PhaseRollingBack, "worse"), func(d *api.ReleaseDocument) {
			d.Verdict, d.Evidence.EValue, d.Evidence.Low, d.Evidence.High = serin.VerdictWorse, 51234, &low, &high
			d.Evidence.RatioMismatch = true
		}, seen(api.Observed{Requests: 96, Errors: 9, Duration: ms(30, 43)},
			serin.Failure{Text: "KeyError 'tenant'\x1b[31m", Canary: 7}, serin.Failure{Text: "HTTP 502", Canary: 2}))
	second := helloStatus().Aliases[1].Release
	slow := running(func(d *api.ReleaseDocument) {
		d.Evidence.EValue = 7.5
		d.Evidence.Signals = []evidence.SignalJudgement{
			{Signal: evidence.Errors, Live: true, EValue: 1, Counts: evidence.Block{CanaryRequests: 210, BaselineRequests: 1890}},
			{Signal: evidence.Timeouts, Live: true, EValue: 2.25, Counts: evidence.Block{CanaryRequests: 210, CanaryErrors: 1, BaselineRequests: 1890}},
			{Signal: evidence.Latency, Live: true, EValue: 41, Quantile: 0.9, Counts: evidence.Block{CanaryRequests: 210, CanaryErrors: 65, BaselineRequests: 1890, BaselineErrors: 189}},
			{Signal: evidence.ColdStart, EValue: 1, Quantile: 0.5},
		}
	})
	for name, v := range map[string]view{
		"view-begins":        {release: running(), now: began},
		"view-second-step":   {release: second, status: helloStatus(), pace: 4, now: began.Add(83 * time.Second), prompt: "[p]romote  [s]kip the step  [h]old  [a]bort  [d]etach"},
		"view-worse":         {release: worse, status: helloStatus(), now: began.Add(400 * time.Second)},
		"view-slow":          {release: slow, now: began.Add(20 * time.Second)},
		"view-held":          {release: running(phase(serin.PhaseHeld, "held by ana")), now: began.Add(2 * time.Hour), prompt: "[p]romote  [s]kip the step  [r]esume  [a]bort  [d]etach"},
		"view-needs-unknown": {release: running(func(d *api.ReleaseDocument) { d.Evidence.NeededRequests = 1.7e308 }), now: began},
	} {
		t.Run(name, func(t *testing.T) {
			var lines []string
			for _, l := range v.lines() {
				lines = append(lines, strings.TrimRight(l.text, " "))
			}
			golden(t, name, lines)
		})
	}
}

// The lines that a program without a terminal prints, from the published version to the end.
func TestGoldenLines(t *testing.T) {
	at := began
	few := counts(serin.Counts{Requests: 90}, serin.Counts{Requests: 10, Errors: 1})
	many := counts(serin.Counts{Requests: 2811, Errors: 3}, serin.Counts{Requests: 96, Errors: 9})
	story := func(documents ...*api.ReleaseDocument) []string {
		var out strings.Builder
		sink := &lineSink{to: &out}
		version := documents[0].To
		sink.emit(event{Type: eventPublished, Version: &version, Changed: []string{"code 9c1e00…→b64two…", "env TABLE added"}})
		sink.emit(event{Type: eventSmoke, Smoke: &smokeResult{Command: "./check", DurationSeconds: 0.31}})
		var before *api.ReleaseDocument
		for _, d := range documents {
			at = at.Add(4 * time.Second)
			for _, e := range eventsBetween(before, d, at) {
				sink.emit(e)
			}
			before = d
		}
		sink.emit(event{Type: eventDone, Release: before, document: before})
		return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	}
	promoted := endedAs(serin.EndingPromoted, serin.VerdictNoWorse, "harm above +1 pp is excluded")
	first := running(promoted, func(d *api.ReleaseDocument) {
		d.From.Version, d.To.Version, d.Verdict, d.Steps = serin.Latest, 1, serin.VerdictNone, nil
		d.Reason.Text = "the alias is new, so there was nothing to compare with"
	})
	for name, documents := range map[string][]*api.ReleaseDocument{
		"lines-first":    {first},
		"lines-promoted": {running(), running(few), running(few, few), running(many, secondStep), running(many, secondStep, promoted)},
		"lines-worse":    {running(), running(few), running(many, endedAs(serin.EndingRolledBack, serin.VerdictWorse, "version 2 fails more than version 1\x1b[2J"))},
		"lines-held":     {running(), running(few, phase(serin.PhaseHeld, "not enough evidence after 30m0s: 10 requests of the canary"))},
		"lines-aborted":  {running(), running(few, endedAs(serin.EndingAborted, serin.VerdictNotEnough, "aborted by ana"))},
		"lines-conflict": {running(), running(few, endedAs(serin.EndingAborted, serin.VerdictNotEnough, "the alias was changed by somebody else to version 9"), func(d *api.ReleaseDocument) { d.Conflict = true })},
		"lines-person":   {running(), running(phase(serin.PhaseHeld, "held by ana")), running(), running(promoted)},
		"lines-nothing":  {running(promoted, func(d *api.ReleaseDocument) { d.From, d.Steps = d.To, nil })},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, story(documents...)) })
	}
}

func TestGoldenTables(t *testing.T) {
	status := helloStatus()
	first := running(endedAs(serin.EndingPromoted, serin.VerdictNone, "the alias is new"), func(d *api.ReleaseDocument) { d.From.Version = serin.Latest })
	history := &api.HistoryDocument{
		Function: "hello",
		Releases: []api.ReleaseDocument{
			*running(counts(serin.Counts{Requests: 900}, serin.Counts{Requests: 10, Errors: 3}), endedAs(serin.EndingRolledBack, serin.VerdictWorse, "version 2 fails more")),
			*running(),
			*first,
		},
		Moves: []serin.Move{
			{Alias: "live", At: began, Cause: serin.CauseStep, Actor: "AKIA", From: &serin.Routing{Version: 1}, To: &serin.Routing{Version: 1, Additional: 2, Weight: 0.05}},
			{Alias: "live", At: began, Cause: serin.CausePromote, To: &serin.Routing{Version: 1}, Reason: "the alias is new"},
		},
	}
	failed := helloStatus()
	failed.State, failed.Reason, failed.Aliases = serin.StateFailed, "python3 is not on this machine", nil
	failed.Events = &api.EventMetrics{Received: 1312, Age: api.Milliseconds{Count: 1400, P95: 61_000}, Dropped: 2, Lost: 1, DestinationFailures: 1}
	status.Aliases[1].RoutingKey = serin.RoutingKey{Source: serin.KeyFromCookie, Name: "session"}
	history.Moves = append(history.Moves, serin.Move{
		Alias: "live", At: began, Cause: serin.CauseSettings, From: &serin.Routing{Version: 1}, To: &serin.Routing{Version: 1},
		Settings: &serin.RouteSettings{Key: status.Aliases[1].RoutingKey, Pins: serin.PinsOff},
	})
	plan := &api.RollbackDocument{
		Function: "hello", Alias: "live", From: map[serin.VersionNumber]float64{1: 75, 2: 25},
		To: api.VersionRef{Version: 1}, ReleaseID: "5f3c0f52",
	}
	for name, lines := range map[string][]string{
		"status":          statusLines(status),
		"status-failed":   statusLines(failed),
		"versions":        versionLines(status),
		"history":         historyLines(history),
		"history-empty":   historyLines(&api.HistoryDocument{}),
		"rollback":        rollbackLines(plan, status),
		"functions-empty": functionLines(nil),
		"functions": functionLines([]api.FunctionSummary{
			{Function: "hello", Runtime: "python3.13", Versions: 12, Aliases: map[string]map[serin.VersionNumber]float64{"live": {1: 90, 2: 10}, "beta": {2: 100}}},
			{Function: "a", Runtime: "nodejs22.x", Aliases: map[string]map[serin.VersionNumber]float64{}},
		}),
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, lines) })
	}
}

func TestGoldenPlan(t *testing.T) {
	live := subject{"hello", "live"}
	policy := serin.DefaultPolicy()
	status := helloStatus()
	status.Aliases[1].Set = map[serin.VersionNumber]float64{1: 100}
	change := &comparison{
		exists: true, newest: 2, digests: [2]string{"a", "b"}, fields: snapshot{memory: 128, env: map[string]string{"T": "a", "KEY": "x"}}.
			changes(snapshot{memory: 256, env: map[string]string{"T": "b", "KEY": "y"}}),
		files: []bundle.FileChange{{Name: "app.py", Change: bundle.FileChanged, Before: 1100, After: 1300}, {Name: "old.py", Change: bundle.FileRemoved, Before: 20}},
	}
	for name, p := range map[string]plan{
		"plan-new":      newPlan(live, policy, &comparison{first: "new function", fields: snapshot{}.changes(snapshot{code: "b64one="})}, 0, nil),
		"plan-change":   newPlan(live, policy, change, 0, status),
		"plan-again":    newPlan(live, policy, &comparison{exists: true, newest: 2}, 0, status),
		"plan-nothing":  newPlan(live, policy, &comparison{exists: true, newest: 1}, 0, status),
		"plan-existing": newPlan(subject{"hello", "other"}, policy, nil, 2, status),
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, p.lines()) })
	}
}

func TestScreen(t *testing.T) {
	var out strings.Builder
	s := &screen{to: &out, width: func() int { return 10 }, color: true}
	s.paint([]line{{"one", plain}, {"two is too long", bad}})
	s.print([]string{"said"})
	s.paint([]line{{"three\x1b[2J", good}})
	s.paint(nil)
	want := "one\r\n\x1b[1;31mtwo is to…\x1b[0m\r\n" +
		"\x1b[2A\r\x1b[Jsaid\r\n" +
		"\x1b[32mthree [2J\x1b[0m\r\n" +
		"\x1b[1A\r\x1b[J"
	if out.String() != want {
		t.Errorf("wrote %q, want %q", out.String(), want)
	}
	out.Reset()
	s.color = false
	s.paint([]line{{"four", bad}})
	if out.String() != "four\r\n" {
		t.Errorf("without colours: %q", out.String())
	}
}

func TestNumbers(t *testing.T) {
	for got, want := range map[string]string{
		count(0): "0", count(999): "999", count(1000): "1,000", count(1234567): "1,234,567", count(-1234): "-1,234", count(-123): "-123",
		rate(0): "0.0 %", rate(0.094): "9.4 %", rate(0.0001): "0.01 %", rate(1): "100.0 %",
		milliseconds(0.42): "0.4 ms", milliseconds(41.4): "41 ms", milliseconds(1234): "1.2 s",
		seconds(0.2): "0.2 s", seconds(74): "74 s", seconds(680): "11m20s", seconds(7200): "2h",
		shortDuration(30 * time.Minute): "30m", shortDuration(90 * time.Minute): "1h30m", shortDuration(time.Second): "1s", shortDuration(0): "0s",
		bytesText(12): "12 B", bytesText(1500): "1.5 kB", bytesText(4_100_000): "4.1 MB", bytesText(61e9): "61.0 GB",
		eValue(0.97): "1.0", eValue(312.4): "312", eValue(1.7e308): "over 1,000,000",
		number(12.5): "12.5", number(100): "100", number(33.3333): "33.33",
		clip("short", 10): "short", clip("▮▮▮▮", 3): "▮▮…", clip("x", 0): "x",
		clean("a\x1b[31m\nb\u009bc"): "a [31m b c",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
