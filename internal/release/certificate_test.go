package release_test

import (
	"encoding/json"
	"testing"
	"time"

	"serin"
	"serin/internal/release"
)

// exported is the certificate of a release after a journey through a file.
func exported(w *world, id string) *release.Certificate {
	w.t.Helper()
	cert, err := w.Certificate(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := json.Marshal(cert)
	if err != nil {
		w.t.Fatal(err)
	}
	again := &release.Certificate{}
	if err := json.Unmarshal(text, again); err != nil {
		w.t.Fatal(err)
	}
	return again
}

func differences(t *testing.T, cert *release.Certificate) []string {
	t.Helper()
	v, err := cert.Verify()
	if err != nil {
		t.Fatal(err)
	}
	return v.Differences
}

// The decision of a live release agrees with its certificate, to the last bit, also if the server was killed meanwhile.
func TestVerify(t *testing.T) {
	for name, tt := range map[string]struct {
		canary float64
		ending serin.Ending
	}{"good": {0.001, serin.EndingPromoted}, "bad": {0.02, serin.EndingRolledBack}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				t := w.t // of the bubble
				w.live(1)
				w.with(300, map[serin.VersionNumber]float64{1: 0.002, 2: tt.canary}, func() {
					id := w.start(2, nil).ID
					for range 5 {
						time.Sleep(1300 * time.Millisecond)
						w.kill()
						w.run()
					}
					if r := w.until(id, ended); r.Ending != tt.ending {
						t.Errorf("%s: %s", r.Ending, r.Reason)
					}
					cert := exported(w, id)
					v, err := cert.Verify()
					if err != nil || len(v.Differences) > 0 || v.Verdicts == 0 || v.Blocks < 5 {
						t.Fatalf("%+v, %v", v, err)
					}
					last := cert.Release.Judgements[len(cert.Release.Judgements)-1]
					if last.Verdict != cert.Release.Verdict || last.Canary.Requests == 0 {
						t.Errorf("the last judgement is %+v", last)
					}
				})
			})
		})
	}
}

// Whoever changes a certificate is found out.
func TestVerifyFindsChanges(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		w.with(200, map[serin.VersionNumber]float64{1: 0.001, 2: 0.3}, func() {
			id := w.start(2, nil).ID
			w.until(id, ended)
			if d := differences(t, exported(w, id)); len(d) > 0 {
				t.Fatal(d)
			}
			for name, change := range map[string]func(*release.Certificate){
				"one error less":      func(c *release.Certificate) { b := firstError(c); b.CanaryErrors-- },
				"one request more":    func(c *release.Certificate) { c.Pages[0].Blocks[0].BaselineRequests++ },
				"another weight":      func(c *release.Certificate) { c.Pages[0].Blocks[0].Weight = 0.06 },
				"another verdict":     func(c *release.Certificate) { c.Release.Judgements[0].Verdict = serin.VerdictNoWorse },
				"another e-value":     func(c *release.Certificate) { c.Release.Judgements[0].EValue *= 1.0000001 },
				"a page less":         func(c *release.Certificate) { c.Pages = c.Pages[1:] },
				"a step that is none": func(c *release.Certificate) { c.Release.Judgements[0].Step = 17 },
			} {
				cert := exported(w, id)
				change(cert)
				if v, err := cert.Verify(); err == nil && len(v.Differences) == 0 {
					t.Errorf("%s: still verifies", name)
				}
			}
			cert := exported(w, id)
			cert.Pages = append(cert.Pages, cert.Pages[0])
			if _, err := cert.Verify(); err == nil {
				t.Error("pages out of order: accepted")
			}
		})
	})
}

func firstError(c *release.Certificate) *release.Counted {
	for i := range c.Pages {
		for j := range c.Pages[i].Blocks {
			if c.Pages[i].Blocks[j].CanaryErrors > 0 {
				return &c.Pages[i].Blocks[j]
			}
		}
	}
	return nil
}

// Under another policy the recorded blocks lead to another end.
func TestWhatIf(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		w.with(200, map[serin.VersionNumber]float64{1: 0.001, 2: 0.03}, func() {
			id := w.start(2, nil).ID
			if r := w.until(id, ended); r.Ending != serin.EndingRolledBack {
				t.Fatalf("%s: %s", r.Ending, r.Reason)
			}
			cert := exported(w, id)
			for name, tt := range map[string]struct {
				change func(*serin.Policy)
				want   serin.Ending
				blind  bool
			}{
				"the same policy":      {func(*serin.Policy) {}, serin.EndingRolledBack, false},
				"never sure enough":    {func(p *serin.Policy) { p.Alpha = 1e-6 }, serin.EndingHeld, false},
				"impatient":            {func(p *serin.Policy) { p.MaxWait, p.OnBlind = serin.Duration(time.Second), serin.BlindPromote }, serin.EndingPromoted, true},
				"impatient and strict": {func(p *serin.Policy) { p.MaxWait, p.OnBlind = serin.Duration(time.Second), serin.BlindRollback }, serin.EndingRolledBack, false},
				"anything goes":        {func(p *serin.Policy) { p.MaxHarm = 0.3 }, serin.EndingPromoted, false},
			} {
				p := serin.DefaultPolicy()
				tt.change(&p)
				got, recorded, err := cert.WhatIf(p)
				if err != nil || !recorded || got.Ending != tt.want || got.Blind != tt.blind {
					t.Errorf("%s: %+v, %v, %v", name, got, recorded, err)
				}
			}
		})
		nothing := &release.Certificate{Release: serin.Release{Policy: serin.DefaultPolicy()}}
		if _, recorded, err := nothing.WhatIf(serin.DefaultPolicy()); recorded || err != nil {
			t.Errorf("nothing recorded: %v, %v", recorded, err)
		}
	})
}
