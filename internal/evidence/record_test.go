package evidence

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func marshal(t *testing.T, e *Evidence) string {
	t.Helper()
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// randomSlice draws a slice about all signals.
func randomSlice(random *rand.Rand, weight, bad float64) Slice {
	s := Slice{Weight: weight}
	for range 1 + random.IntN(SliceRequests) {
		side := &s.Baseline
		if random.Float64() < weight {
			side = &s.Canary
		}
		side.Requests++
		if random.Float64() < bad {
			side.Fail(Signal(random.IntN(failureCount)))
		}
		if random.IntN(9) == 0 {
			side.Measure(ColdStart, random.IntN(Levels+1))
		} else {
			side.Measure(Latency, random.IntN(Levels+1))
		}
		if random.IntN(2) == 0 {
			side.Measure(Custom, random.IntN(Levels+1))
		}
	}
	first := Block{CanaryRequests: s.Canary.Requests, BaselineRequests: s.Baseline.Requests}
	s.Units = first
	return s
}

var configs = map[string]Config{
	"strict":      {},
	"history":     {History: 0.02, Alpha: 0.001},
	"coin":        {Coin: true, History: 0.02},
	"ratio":       {OddsRatio: 1.3},
	"margin":      {Coin: true, Margin: 0.01},
	"both":        {Coin: true, OddsRatio: 2, Margin: 0.01, History: 0.01},
	"sticky":      {Sticky: true},
	"errors only": {Shares: OnlyErrors},
}

// TestReplay observes the same slices with evidence that lives on and with evidence that is saved and restored
// at every slice: all states, numbers and verdicts must be equal to the last bit, and the certificate must
// lead to the same verdict.
func TestReplay(t *testing.T) {
	criteria := Criteria{PromoteAlpha: DefaultPromoteAlpha, Tolerated: 0.2, NoSlower: true}
	verdicts := map[Verdict]int{}
	for name, config := range configs {
		for seed := range uint64(4) {
			random := rand.New(rand.NewPCG(seed, 7))
			living, restored := newEvidence(t, config), newEvidence(t, config)
			bad := []float64{0.002, 0.02, 0.1, 0.1}[seed]
			for i := range 120 {
				weight := []float64{0.05, 0.25, 0.5, 0, 1, 1. / 3}[i/20]
				s := randomSlice(random, weight, bad)
				if seed == 3 {
					for ; s.Canary.Failures[Errors] < s.Canary.Requests && weight < 1; s.Canary.Fail(Crashes) {
					}
				}
				for _, e := range []*Evidence{living, restored} {
					if err := e.Observe(&s); err != nil {
						t.Fatal(name, err)
					}
				}
				saved := marshal(t, restored)
				restored = &Evidence{}
				if err := json.Unmarshal([]byte(saved), restored); err != nil {
					t.Fatalf("%s: %v\n%s", name, err, saved)
				}
				if i%5 != 0 && !living.worse {
					continue
				}
				a, b := living.Judgement(criteria), restored.Judgement(criteria)
				if !reflect.DeepEqual(a, b) {
					t.Fatalf("%s, slice %d: living %+v\nrestored %+v", name, i, a, b)
				}
				certificate, err := json.Marshal(a.Record)
				if err != nil {
					t.Fatal(err)
				}
				var record Record
				if err := json.Unmarshal(certificate, &record); err != nil {
					t.Fatal(err)
				}
				if v, err := Replay(record); err != nil || v != a.Verdict {
					t.Fatalf("%s, slice %d: Replay() = %v, %v; the verdict was %v\n%s", name, i, v, err, a.Verdict, certificate)
				}
				verdicts[a.Verdict]++
				if living.worse {
					break
				}
			}
		}
	}
	for _, v := range []Verdict{NotEnough, Worse, NoWorse} {
		if verdicts[v] == 0 {
			t.Errorf("no certificate of %q: the test shows little (%v)", v, verdicts)
		}
	}
}

// TestLongCertificate checks that a certificate stays short.
func TestLongCertificate(t *testing.T) {
	e := newEvidence(t, Config{})
	random := rand.New(rand.NewPCG(3, 3))
	s := randomSlice(random, 0.3, 0.2)
	for range 200_000 {
		if err := e.Observe(&s); err != nil {
			t.Fatal(err)
		}
	}
	for i := range e.series {
		if n := len(e.series[i].chunks); n > 900 {
			t.Errorf("%s: %d chunks", Signal(i), n)
		}
	}
	coin := newEvidence(t, Config{Coin: true})
	for range 200_000 {
		if err := coin.Add(0.1, Block{1, 0, 9, 1}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(coin.series[Errors].chunks); n > 900 {
		t.Errorf("errors: %d chunks", n)
	}
}

const fewErrors = `{"config":{"alpha":0.01,"oddsRatio":1},"signals":[{"signal":"errors","chunks":[[0.1,2,18,1,0],[0.1,2,18,0,0]],"open":true}]}`

func changed(old, new string) string { return strings.Replace(fewErrors, old, new, 1) }

// impossible are records that no traffic leads to.
var impossible = []string{
	``, `[]`, `1`,
	changed(`"alpha":0.01`, `"alpha":2`), changed(`"oddsRatio":1`, `"oddsRatio":0.5`),
	changed(`"errors"`, `"mood"`), changed(`"errors"`, `"latency"`),
	changed(`[{"signal"`, `[{"signal":"errors","chunks":[]},{"signal"`),
	changed(`[0.1,2,18,1,0]`, `[0.1,2,18,3,0]`), changed(`[0.1,2,18,1,0]`, `[0.1,2,18,-1,0]`),
	changed(`[0.1,2,18,1,0]`, `[0.1,2,18,0.5,0]`), changed(`[0.1,2,18,1,0]`, `[0.1,2,18,1]`),
	changed(`[0.1,2,18,1,0]`, `[0,2,18,1,0]`), changed(`[0.1,2,18,1,0]`, `[1,2,18,1,0]`),
	changed(`[0.1,2,18,1,0]`, `[0.1,2,1e30,1,0]`), changed(`[0.1,2,18,1,0]`, `[0.1,2,1e400,1,0]`),
	changed(`[0.1,2,18,0,0]`, `[0.1,2,18,0,1]`), // a full chunk that is open
	changed(`"signals"`, `"units":[{"w":0.1,"nc":1}],"signals"`),
	changed(`"signal":"errors"`, `"signal":"latency"`),
	`{"config":{},"signals":[{"signal":"latency","chunks":[[0.1,2,18,1,0,2,0,0,0,0,0,0,0]]}]}`,
}

func TestUnmarshalRefusesImpossibleRecords(t *testing.T) {
	e := newEvidence(t, Config{})
	if err := json.Unmarshal([]byte(fewErrors), e); err != nil {
		t.Fatalf("a possible record: %v", err)
	}
	before := marshal(t, e)
	for _, record := range impossible {
		if err := e.UnmarshalJSON([]byte(record)); err == nil {
			t.Errorf("accepted: %.200s", record)
		}
		if marshal(t, e) != before {
			t.Fatalf("a refused record changed the evidence: %.200s", record)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(fewErrors))
	for _, record := range impossible {
		f.Add([]byte(record))
	}
	for name, config := range configs {
		e, err := New(config)
		if err != nil {
			f.Fatal(err)
		}
		random := rand.New(rand.NewPCG(uint64(len(name)), 1))
		for range 5 {
			s := randomSlice(random, 0.3, 0.2)
			if err := e.Observe(&s); err != nil {
				f.Fatal(err)
			}
		}
		data, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var e, again Evidence
		if json.Unmarshal(data, &e) != nil {
			return
		}
		mustBeSane(t, &e)
		saved := marshal(t, &e)
		if err := json.Unmarshal([]byte(saved), &again); err != nil {
			t.Fatalf("%v: %s", err, saved)
		}
		if second := marshal(t, &again); second != saved {
			t.Errorf("saved %s, then %s", saved, second)
		}
		if err := again.Add(0.1, Block{20, 5, 180, 2}); err == nil {
			mustBeSane(t, &again)
		}
	})
}
