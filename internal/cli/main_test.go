package cli

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/api"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	time.Local = time.UTC // text for people is in the zone of the machine
	os.Exit(m.Run())
}

// golden compares lines with a file.
func golden(t *testing.T, name string, lines []string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

var began = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// running is the document of a release at its first step, changed by the functions.
func running(change ...func(*api.ReleaseDocument)) *api.ReleaseDocument {
	d := &api.ReleaseDocument{
		ReleaseID: "5f3c0f52-9a40-4d3a-8f37-000000000000", Target: "serin", Function: "hello", Alias: "live",
		From: api.VersionRef{Version: 1, CodeSHA256: "b64one="}, To: api.VersionRef{Version: 2, CodeSHA256: "b64two="},
		Changed: []string{}, Verdict: serin.VerdictNotEnough, Phase: serin.PhaseRunning, StartedAt: began,
		Policy:     serin.DefaultPolicy(),
		TrafficNow: map[serin.VersionNumber]float64{1: 95, 2: 5},
		Evidence:   api.Evidence{EValue: 1, Alpha: 0.01, NeededRequests: 57.2, Tolerated: 0.05},
		Steps:      []serin.Step{{Weight: 5, StartedAt: began}},
		Saved:      1,
	}
	for _, c := range change {
		c(d)
	}
	return d
}

func counts(baseline, canary serin.Counts) func(*api.ReleaseDocument) {
	return func(d *api.ReleaseDocument) {
		last := &d.Steps[len(d.Steps)-1]
		last.Baseline, last.Canary = baseline, canary
		d.Evidence.CanaryRequests = canary.Requests
		d.Saved++
	}
}

// ended ends the release.
func endedAs(ending serin.Ending, verdict serin.Verdict, why string) func(*api.ReleaseDocument) {
	return func(d *api.ReleaseDocument) {
		d.Phase, d.Outcome, d.Verdict, d.Reason.Text = serin.PhaseEnded, ending, verdict, why
		d.TrafficNow = map[serin.VersionNumber]float64{1: 100}
		if ending == serin.EndingPromoted {
			d.TrafficNow = map[serin.VersionNumber]float64{2: 100}
		}
		last := &d.Steps[len(d.Steps)-1]
		last.EndedAt, last.Reason = last.StartedAt.Add(4*time.Second), why
		d.DurationSeconds = 4
		d.Saved += 2
	}
}

func phase(p serin.Phase, why string) func(*api.ReleaseDocument) {
	return func(d *api.ReleaseDocument) {
		d.Phase, d.Reason.Text = p, why
		d.Saved++
		if p == serin.PhaseHeld {
			d.Outcome = serin.EndingHeld
			d.HeldBy, _ = strings.CutPrefix(why, "held by ")
			if d.HeldBy == why {
				d.HeldBy = ""
			}
		}
	}
}

func secondStep(d *api.ReleaseDocument) {
	d.Steps[0].EndedAt, d.Steps[0].Reason = began.Add(9*time.Second), "harm above +5 pp is excluded"
	d.Steps = append(d.Steps, serin.Step{Weight: 25, StartedAt: began.Add(9 * time.Second)})
	d.Step = 1
	d.TrafficNow = map[serin.VersionNumber]float64{1: 75, 2: 25}
	d.Evidence.Tolerated, d.Evidence.NeededRequests = 0.02, 145
	d.Saved++
}
