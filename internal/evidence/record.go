package evidence

import (
	"encoding/json"
	"fmt"
)

// Record is the certificate of a verdict: the configuration, the criteria and the counts that led to it,
// from which [Replay] computes everything again, to the last bit on the same build. It also is how evidence
// is saved: restoring is replaying, so there is no other state that could disagree with the counts.
type Record struct {
	Config   Config   `json:"config"`
	Criteria Criteria `json:"criteria,omitzero"`
	// Signals hold the chunks of the signals that have seen requests.
	Signals []SignalRecord `json:"signals,omitempty"`
	// Units are the totals by weight that promotion rests on, if keys choose the version. Otherwise they are
	// the sums of the chunks of [Errors].
	Units []step `json:"units,omitempty"`
}

// SignalRecord holds what one signal's bets took in, oldest first. Of a chunk there are the canary's weight,
// the requests of the canary and of the baseline, and for each level the bad ones of the canary and of the
// baseline. The last chunk is open if Open is true: it was not yet bet on.
type SignalRecord struct {
	Signal Signal      `json:"signal"`
	Chunks [][]float64 `json:"chunks"`
	Open   bool        `json:"open,omitzero"`
}

// Record returns the certificate of what [Evidence.Judge] says under the criteria.
func (e *Evidence) Record(c Criteria) Record {
	r := Record{Config: e.config, Criteria: c}
	for i := range e.series {
		if s := &e.series[i]; s.total.canary+s.total.baseline > 0 {
			r.Signals = append(r.Signals, s.record())
		}
	}
	if e.config.Sticky {
		r.Units = e.safety.steps
	}
	return r
}

func (s *series) record() SignalRecord {
	r := SignalRecord{Signal: s.signal, Chunks: make([][]float64, 0, len(s.chunks)+1)}
	for i := range s.chunks {
		r.Chunks = append(r.Chunks, s.chunks[i].row(s.signal))
	}
	if s.open.canary+s.open.baseline > 0 {
		r.Chunks, r.Open = append(r.Chunks, s.open.row(s.signal)), true
	}
	return r
}

func (c *chunk) row(signal Signal) []float64 {
	row := []float64{c.weight, float64(c.canary), float64(c.baseline)}
	for level := range signal.levels() {
		row = append(row, float64(c.canaryBad[level]), float64(c.baselineBad[level]))
	}
	return row
}

// Replay returns the verdict that follows from a record. It returns an error if no traffic leads to the record.
func Replay(r Record) (Verdict, error) {
	e, err := r.Evidence()
	if err != nil {
		return NotEnough, err
	}
	return e.Judge(r.Criteria), nil
}

// Evidence returns the evidence that the record is of. It returns an error if no traffic leads to it.
func (r *Record) Evidence() (*Evidence, error) {
	e, err := New(r.Config)
	if err != nil {
		return nil, err
	}
	last := Signal(-1)
	for _, signal := range r.Signals {
		if signal.Signal <= last || signal.Signal >= signalCount {
			return nil, fmt.Errorf("evidence: signals not in order at %s", signal.Signal)
		}
		last = signal.Signal
		if err := e.replay(&signal); err != nil {
			return nil, err
		}
	}
	for _, step := range r.Units {
		if !e.config.Sticky || !(step.Weight > 0 && step.Weight < 1) {
			return nil, fmt.Errorf("evidence: units at weight %v of evidence without keys", step.Weight)
		}
		if err := e.safety.Add(step.Weight, step.Block); err != nil {
			return nil, err
		}
	}
	e.worse = e.crossed()
	return e, nil
}

func (e *Evidence) replay(r *SignalRecord) error {
	s := &e.series[r.Signal]
	for i, row := range r.Chunks {
		c, err := parseChunk(r.Signal, row)
		if err != nil {
			return err
		}
		if err := s.check(&c.count); err != nil {
			return err
		}
		if r.Signal == Errors && !e.config.Sticky {
			if err := e.safety.Add(c.weight, c.block(0)); err != nil {
				return err
			}
		}
		s.open = c
		s.total.add(&c.count, r.Signal.levels())
		full, last := s.due(), i == len(r.Chunks)-1
		if last && r.Open {
			if full {
				return fmt.Errorf("evidence: %s: the open chunk is full", r.Signal)
			}
			return nil
		}
		s.close()
	}
	return nil
}

func parseChunk(signal Signal, row []float64) (c chunk, err error) {
	if len(row) != 3+2*signal.levels() {
		return c, fmt.Errorf("evidence: %s: chunk of %d numbers", signal, len(row))
	}
	c.weight = row[0]
	if !(c.weight > 0 && c.weight < 1) {
		return c, fmt.Errorf("evidence: %s: weight %v outside (0, 1)", signal, c.weight)
	}
	whole := make([]int, len(row))
	for i, v := range row[1:] {
		if !(v >= 0 && v <= maxChunkRequests) || v != float64(int(v)) {
			return c, fmt.Errorf("evidence: %s: count %v", signal, v)
		}
		whole[i+1] = int(v)
	}
	c.canary, c.baseline = whole[1], whole[2]
	for level := range signal.levels() {
		c.canaryBad[level], c.baselineBad[level] = whole[3+2*level], whole[4+2*level]
	}
	return c, nil
}

// maxChunkRequests is what float64 counts exactly.
const maxChunkRequests = 1 << 53

// MarshalJSON returns the record of the evidence. Numbers have as many digits as it takes to read them back
// exactly.
func (e Evidence) MarshalJSON() ([]byte, error) { return json.Marshal(e.Record(Criteria{})) }

// UnmarshalJSON restores evidence. It returns an error and changes nothing if no traffic leads to it.
func (e *Evidence) UnmarshalJSON(data []byte) error {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	restored, err := r.Evidence()
	if err != nil {
		return err
	}
	*e = *restored
	return nil
}
