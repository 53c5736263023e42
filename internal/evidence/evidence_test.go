package evidence

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func newEvidence(t *testing.T, c Config) *Evidence {
	t.Helper()
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func marshal(t *testing.T, e *Evidence) string {
	t.Helper()
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestReplay adds the same blocks to evidence that lives on, to evidence that is saved and restored at every
// block, and to a replay: all states and numbers must be equal to the last bit.
func TestReplay(t *testing.T) {
	config := Config{OddsRatio: 1.3, History: 0.02}
	living, restored, replayed := newEvidence(t, config), newEvidence(t, config), newEvidence(t, config)
	random := rand.New(rand.NewPCG(7, 7))
	traffic := newTraffic(7, 0, 0.02, 0.04)
	type entry struct {
		weight float64
		block  Block
	}
	var certificate []entry
	for range 1000 {
		traffic.weight = []float64{0.01, 0.05, 0.25, 0.5, 1. / 3}[random.IntN(5)]
		certificate = append(certificate, entry{traffic.weight, traffic.block()})
	}
	certificate = append(certificate, entry{0.1, Block{10_000, 300, 90_000, 2000}}, entry{0, Block{}}, entry{1, Block{CanaryRequests: 9}})
	for _, c := range certificate {
		if err := living.Add(c.weight, c.block); err != nil {
			t.Fatal(err)
		}
		if err := restored.Add(c.weight, c.block); err != nil {
			t.Fatal(err)
		}
		saved := marshal(t, restored)
		restored = &Evidence{}
		if err := json.Unmarshal([]byte(saved), restored); err != nil {
			t.Fatalf("%v\n%s", err, saved)
		}
	}
	for _, c := range certificate {
		if err := replayed.Add(c.weight, c.block); err != nil {
			t.Fatal(err)
		}
	}
	exact := cmp.AllowUnexported(Evidence{}, Harm{}, Safety{})
	if diff := cmp.Diff(living, restored, exact); diff != "" {
		t.Errorf("saved and restored (-living +restored):\n%s", diff)
	}
	if diff := cmp.Diff(living, replayed, exact); diff != "" {
		t.Errorf("replayed (-living +replayed):\n%s", diff)
	}
	for _, other := range []*Evidence{restored, replayed} {
		if math.Float64bits(other.EValue()) != math.Float64bits(living.EValue()) ||
			other.PeakLogE() != living.PeakLogE() || other.HarmExcluded(0.05) != living.HarmExcluded(0.05) {
			t.Errorf("E = %v, want %v", other.EValue(), living.EValue())
		}
	}
	byValue, err := json.Marshal(struct{ E Evidence }{*living})
	if want := `{"E":` + marshal(t, living) + `}`; err != nil || string(byValue) != want {
		t.Errorf("as a field: %s, %v; want %s", byValue, err, want)
	}
}

// TestOrderInsideABlock shuffles the requests of every block, and counts some on a second router.
func TestOrderInsideABlock(t *testing.T) {
	type request struct{ canary, failed bool }
	random := rand.New(rand.NewPCG(8, 8))
	one, shuffled := newEvidence(t, Config{}), newEvidence(t, Config{})
	tally := func(requests []request) (b Block) {
		for _, r := range requests {
			x := 0
			if r.failed {
				x = 1
			}
			if r.canary {
				b = b.Add(Block{CanaryRequests: 1, CanaryErrors: x})
			} else {
				b = b.Add(Block{BaselineRequests: 1, BaselineErrors: x})
			}
		}
		return b
	}
	for range 200 {
		requests := make([]request, 20)
		for i := range requests {
			requests[i] = request{random.Float64() < 0.2, random.Float64() < 0.1}
		}
		if err := one.Add(0.2, tally(requests)); err != nil {
			t.Fatal(err)
		}
		random.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
		cut := random.IntN(len(requests))
		if err := shuffled.Add(0.2, tally(requests[:cut]).Add(tally(requests[cut:]))); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := marshal(t, one), marshal(t, shuffled); a != b {
		t.Errorf("different evidence:\n%s\n%s", a, b)
	}
}

func TestJudge(t *testing.T) {
	usual := Criteria{DefaultAlpha, DefaultPromoteAlpha, 0.05}
	for _, c := range []struct {
		name     string
		criteria Criteria
		block    Block
		want     Verdict
	}{
		{"no data", usual, Block{}, NotEnough},
		{"no canary", usual, Block{BaselineRequests: 20, BaselineErrors: 10}, NotEnough},
		{"too few", usual, Block{CanaryRequests: 30, BaselineRequests: 270}, NotEnough},
		{"one error", usual, Block{2, 1, 100_000, 0}, NotEnough},
		{"bad", usual, Block{6, 3, 54, 0}, Worse},
		{"good", usual, Block{100, 0, 900, 1}, NoWorse},
		{"worse by little", usual, Block{10_000, 150, 90_000, 900}, Worse},
		{"worse by little, any harm tolerated", Criteria{0, 0.05, 0.05}, Block{10_000, 150, 90_000, 900}, NoWorse},
		{"criteria forgotten", Criteria{}, Block{1000, 0, 9000, 90}, NotEnough},
		{"criteria out of range", Criteria{2, 2, 2}, Block{1000, 900, 9000, 90}, NotEnough},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEvidence(t, Config{History: 0.01})
			if err := e.Add(0.1, c.block); err != nil {
				t.Fatal(err)
			}
			if got := e.Judge(c.criteria); got != c.want {
				t.Errorf("Judge() = %v, want %v (E = %v, U = %v)", got, c.want, e.EValue(), e.HarmExcluded(0.05))
			}
		})
	}
}

// TestZeroValue checks that an Evidence that nobody configured is the strict test.
func TestZeroValue(t *testing.T) {
	zero, strict := &Evidence{}, newEvidence(t, Config{OddsRatio: 1, History: math.NaN()})
	for _, e := range []*Evidence{zero, strict} {
		if err := e.Add(0.1, Block{20, 3, 180, 2}); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := marshal(t, zero), marshal(t, strict); a != b {
		t.Errorf("zero value %s, want %s", a, b)
	}
}

// TestNoComparisonWithoutACoin sends everything to one version, but for requests that chose theirs.
func TestNoComparisonWithoutACoin(t *testing.T) {
	e := newEvidence(t, Config{})
	before := marshal(t, e)
	for _, weight := range []float64{0, 1} {
		if err := e.Add(weight, Block{20, 15, 180, 0}); err != nil {
			t.Fatal(err)
		}
		if after := marshal(t, e); after != before {
			t.Errorf("weight %v changed the evidence to %s", weight, after)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []Config{{OddsRatio: 0.5}, {OddsRatio: math.NaN()}, {OddsRatio: 1e9}, {History: 1}, {History: -1}} {
		if _, err := New(c); err == nil {
			t.Errorf("New(%+v) accepted", c)
		}
	}
}

func TestToleratedHarm(t *testing.T) {
	for weight, want := range map[float64]float64{0.001: 0.2, 0.01: 0.2, 0.02: 0.05, 0.05: 0.05, 0.1: 0.02, 0.25: 0.02, 0.5: 0.01, 1: 0.01} {
		if got := ToleratedHarm(weight); got != want {
			t.Errorf("ToleratedHarm(%v) = %v, want %v", weight, got, want)
		}
	}
}

func TestVerdictText(t *testing.T) {
	for v, want := range map[Verdict]string{NotEnough: "not enough evidence", Worse: "worse", NoWorse: "no worse"} {
		data, err := json.Marshal(v)
		if err != nil || string(data) != `"`+want+`"` || v.String() != want {
			t.Errorf("%d: %s, %v, %v", int(v), data, v, err)
		}
		var back Verdict
		if err := json.Unmarshal(data, &back); err != nil || back != v {
			t.Errorf("%s read as %v, %v", data, back, err)
		}
	}
	if _, err := json.Marshal(Verdict(7)); err == nil {
		t.Error("unknown verdict marshalled")
	}
	v := Worse
	if err := json.Unmarshal([]byte(`"better"`), &v); err == nil || v != Worse {
		t.Errorf("unknown verdict read as %v", v)
	}
	if got := Verdict(-1).String(); got != "Verdict(-1)" {
		t.Errorf("String() = %q", got)
	}
}

const fewErrors = `{"oddsRatio":1,"logWealth":[0,0,0,0,0,0,0,0,0],"peak":0,"steps":[{"w":0.1,"nc":2,"xc":1,"nb":18,"xb":0}]}`

// impossible are states that no blocks lead to.
var impossible = []string{
	``, `null`, `{}`, `[]`, `1`, `{"oddsRatio":1}`,
	strings.Replace(fewErrors, `"oddsRatio":1`, `"oddsRatio":0.5`, 1),
	strings.Replace(fewErrors, `"oddsRatio":1`, `"oddsRatio":1,"history":1`, 1),
	strings.Replace(fewErrors, `[0,`, `[`, 1),
	strings.Replace(fewErrors, `[0,`, `[0,0,`, 1),
	strings.Replace(fewErrors, `[0,`, `[1e400,`, 1),
	strings.Replace(fewErrors, `[0,`, `[0.6,`, 1),
	strings.Replace(fewErrors, `[0,`, `[-0.6,`, 1),
	strings.Replace(fewErrors, `[0,`, `[null,"0",`, 1),
	strings.Replace(fewErrors, `"peak":0`, `"peak":1`, 1),
	strings.Replace(fewErrors, `"peak":0`, `"peak":-1`, 1),
	strings.Replace(fewErrors, `"xc":1`, `"xc":3`, 1),
	strings.Replace(strings.Replace(fewErrors, `"xc":1`, `"xc":2`, 1), `[0,`, `[0.4,`, 1), // a peak below the present
	strings.Replace(fewErrors, `"xc":1`, `"xc":-1`, 1),
	strings.Replace(fewErrors, `"nb":18`, `"nb":9223372036854775807`, 1),
	strings.Replace(fewErrors, `"nb":18`, `"nb":1e30`, 1),
	strings.Replace(fewErrors, `"w":0.1`, `"w":0`, 1),
	strings.Replace(fewErrors, `"w":0.1`, `"w":1`, 1),
	strings.Replace(fewErrors, `"steps":[`, `"steps":[{"w":0.1},`, 1),
	strings.Replace(fewErrors, `"steps":[`, `"steps":[{"w":0.01,"nb":2305843009213693950},`, 1),
	strings.Replace(fewErrors, `"steps":[`, `"steps":[`+strings.Repeat(`{"w":1e-300},`, maxWeights), 1),
}

func TestUnmarshalRefusesImpossibleStates(t *testing.T) {
	var e Evidence
	if err := json.Unmarshal([]byte(fewErrors), &e); err != nil {
		t.Fatalf("a possible state: %v", err)
	}
	before := marshal(t, &e)
	for _, state := range impossible {
		if err := e.UnmarshalJSON([]byte(state)); err == nil {
			t.Errorf("accepted: %.200s", state)
		}
		if marshal(t, &e) != before {
			t.Fatalf("a refused state changed the evidence: %.200s", state)
		}
	}
}

func FuzzEvidenceJSON(f *testing.F) {
	f.Add([]byte(fewErrors))
	for _, state := range impossible {
		f.Add([]byte(state))
	}
	e := &Evidence{}
	for i, weight := range []float64{0.01, 0.25, 0.9999999999999999, 5e-324} {
		if err := e.Add(weight, Block{100_000, 500 * i, 90_000, 77}); err != nil {
			f.Fatal(err)
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
