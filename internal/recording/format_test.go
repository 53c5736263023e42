package recording

import (
	"strings"
	"testing"
	"time"
)

const taped = `{"serinRecording":1,"id":"r1","function":"shop","alias":"live","sample":0.5}
{"t":0.5,"event":{"n":1},"version":"3","answer":"ok","ms":4.5}
{"t":2.5,"event":[2],"version":"3","error":"Unhandled","ms":1}
`

func TestReadRecording(t *testing.T) {
	tape, err := Read(strings.NewReader(taped))
	if err != nil || tape.Header.Function != "shop" || len(tape.Entries) != 2 || string(tape.Entries[1].Event) != "[2]" || tape.Entries[0].MS != 4.5 {
		t.Fatalf("%+v, %v", tape, err)
	}
	for n, want := range map[int]time.Duration{0: 500 * time.Millisecond, 1: 2500 * time.Millisecond, 2: 5500 * time.Millisecond, 3: 7500 * time.Millisecond} {
		if due, timed := tape.Due(n); !timed || due != want {
			t.Errorf("event %d is due at %s, want %s", n, due, want)
		}
	}
	// A server that was killed has cut its last line off.
	if tape, err := Read(strings.NewReader(taped + `{"t":3,"eve`)); err != nil || len(tape.Entries) != 2 {
		t.Errorf("cut off: %v", err)
	}
}

func TestReadEvents(t *testing.T) {
	tape, err := Read(strings.NewReader("{\"n\":1}\r\n\n  [2] \n\"three\""))
	if err != nil || tape.Header != nil || len(tape.Entries) != 3 || string(tape.Entries[1].Event) != "[2]" || string(tape.Entries[2].Event) != `"three"` {
		t.Errorf("%+v, %v", tape, err)
	}
	if _, timed := tape.Due(0); timed {
		t.Error("a list of events has times")
	}
	for text, part := range map[string]string{
		"":                             "no events",
		"\n\n":                         "no events",
		"{}\n{oops}\n":                 `line 2: not JSON: "{oops}"`,
		strings.Repeat("1", maxLine+2): "too long",
		`"` + strings.Repeat("1", MaxEvent) + `"`: "an event of more than",
		`{"serinRecording":2}`:                    "format 2",
		`{"serinRecording":1}`:                    "no events",
		taped + "{oops}\n" + `{"t":1,"event":1}`:  "line 4: not JSON",
		taped + `{"t":1}` + "\n" + `{"t":1}`:      "without an event",
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%.20q: %v, want %q", text, err, part)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("{}\n[1]\n")
	f.Add("\x00")
	f.Add(taped)
	f.Add(taped + `{"t":-1e300,"event":1}`)
	f.Fuzz(func(t *testing.T, text string) {
		tape, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		if len(tape.Entries) == 0 {
			t.Fatal("neither events nor an error")
		}
		before := time.Duration(0)
		for n := range 2 * len(tape.Entries) {
			due, timed := tape.Due(n)
			if timed && tape.last() < 1e6 && due < before {
				t.Fatalf("event %d is due before the one before it", n)
			}
			before = due
		}
	})
}
