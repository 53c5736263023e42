// Package recording keeps a sample of the invocations that an alias has, so that they can be sent again: through the
// alias while a release runs, or to a version, to compare what it answers.
//
// A recording is a text file with a JSON document per line: a [Header], then an [Entry] for each invocation. A file
// whose first line is no header is a list of events without times, so what people write by hand is read by the same
// code.
//
// A [Recorder] is asked about every invocation. While nothing is recorded that costs one atomic load; else invocations
// of the alias that are drawn are copied and handed to a goroutine that redacts and writes. It never waits: what cannot
// be taken at once is counted as missed.
package recording

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Version is the version of the format.
const Version = 1

// Bounds of what is read.
const (
	MaxEvent = 6 << 20  // bytes of an event, the limit of a synchronous invocation
	MaxFile  = 64 << 20 // bytes of a recording
	maxLine  = 2*MaxEvent + 64<<10
)

// Header is the first line of a recording.
type Header struct {
	Format    int       `json:"serinRecording"` // Version
	ID        string    `json:"id"`
	Function  string    `json:"function"`
	Alias     string    `json:"alias"`
	StartedAt time.Time `json:"startedAt"`
	Until     time.Time `json:"until"`  // it takes nothing later
	Sample    float64   `json:"sample"` // the share of the invocations that is drawn, above 0 and at most 1
	// Redact are the paths that are redacted in events and answers. Members whose names say that they are secret are
	// redacted besides, unless KeepSecrets.
	Redact      []string `json:"redact,omitempty"`
	KeepSecrets bool     `json:"keepSecrets,omitempty"`
	MaxBytes    int64    `json:"maxBytes"` // of the file
	By          string   `json:"by,omitempty"`
}

// Entry is one invocation.
type Entry struct {
	// At is when it began, in seconds since the recording did.
	At      float64         `json:"t"`
	Event   json.RawMessage `json:"event"`
	Version string          `json:"version,omitempty"`
	Answer  json.RawMessage `json:"answer,omitempty"`
	Error   string          `json:"error,omitempty"` // "" or "Unhandled", as in X-Amz-Function-Error
	MS      float64         `json:"ms"`              // how long the function took
}

// Tape is what a file holds.
type Tape struct {
	Header  *Header // nil for a list of events without times
	Entries []Entry // at least one
}

// Read reads a recording or a list of events. All of it must be valid, but for a last line that was cut off.
//
// Errors say the line.
func Read(r io.Reader) (*Tape, error) {
	tape := &Tape{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	total := 0
	var broken error // a line that must not be followed by another
	for n := 1; lines.Scan(); n++ {
		text := bytes.TrimSpace(lines.Bytes())
		if total += len(text) + 1; total > MaxFile {
			return nil, fmt.Errorf("line %d: more than %d bytes", n, MaxFile)
		}
		if len(text) == 0 {
			continue
		}
		if broken != nil {
			return nil, broken
		}
		err := tape.add(text)
		switch {
		case err != nil && tape.Header == nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case err != nil:
			broken = fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(tape.Entries) == 0 {
		return nil, fmt.Errorf("no events")
	}
	return tape, nil
}

func (t *Tape) add(line []byte) error {
	if !json.Valid(line) {
		return fmt.Errorf("not JSON: %.80q", line)
	}
	if t.Header == nil && len(t.Entries) == 0 && bytes.Contains(line, []byte(`"serinRecording"`)) {
		var h Header
		if err := json.Unmarshal(line, &h); err == nil && h.Format != 0 {
			if h.Format != Version {
				return fmt.Errorf("a recording in format %d; this program reads format %d", h.Format, Version)
			}
			t.Header = &h
			return nil
		}
	}
	e := Entry{Event: bytes.Clone(line)}
	if t.Header != nil {
		e = Entry{}
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("not an entry of a recording: %w", err)
		}
		if len(e.Event) == 0 {
			return fmt.Errorf("an entry without an event")
		}
		if last := len(t.Entries) - 1; e.At < 0 || last >= 0 && e.At < t.Entries[last].At {
			e.At = max(0, t.last()) // entries are written when they end
		}
	}
	if len(e.Event) > MaxEvent {
		return fmt.Errorf("an event of more than %d bytes", MaxEvent)
	}
	t.Entries = append(t.Entries, e)
	return nil
}

func (t *Tape) last() float64 {
	if len(t.Entries) == 0 {
		return 0
	}
	return t.Entries[len(t.Entries)-1].At
}

// Due returns when the nth event is due in the recorded timing, over and over again; false without one.
func (t *Tape) Due(n int) (time.Duration, bool) {
	if t.Header == nil {
		return 0, false
	}
	count := len(t.Entries)
	lap := t.last() + t.last()/float64(max(count-1, 1)) // with one mean gap before it begins again
	if lap <= 0 {
		return 0, false
	}
	return time.Duration((float64(n/count)*lap + t.Entries[n%count].At) * float64(time.Second)), true
}
