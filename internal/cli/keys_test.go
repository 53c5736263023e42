package cli

import (
	"testing"

	"serin"
	"serin/internal/api"
)

func TestKeys(t *testing.T) {
	safe := running(func(d *api.ReleaseDocument) { d.Verdict = serin.VerdictNoWorse })
	for name, c := range map[string]struct {
		release *api.ReleaseDocument
		keys    string
		want    action
		asks    bool // a question is open at the end
	}{
		"promote with evidence":        {safe, "p", actPromote, false},
		"promote without asks":         {running(), "p", noAction, true},
		"promote without, yes":         {running(), "py", actPromote, false},
		"promote without, no":          {running(), "pn", noAction, false},
		"promote without, other key":   {running(), "pp", noAction, false},
		"capital letters":              {safe, "P", actPromote, false},
		"hold":                         {running(), "h", actHold, false},
		"resume":                       {running(), "r", actResume, false},
		"abort":                        {running(), "a", actAbort, false},
		"detach":                       {running(), "d", actDetach, false},
		"nothing":                      {running(), "x", noAction, false},
		"interrupt asks":               {running(), "\x03", noAction, true},
		"interrupt, hold":              {running(), "\x03h", actHold, false},
		"interrupt, abort":             {running(), "\x03a", actAbort, false},
		"interrupt, detach":            {running(), "\x03d", actDetach, false},
		"interrupt twice aborts":       {running(), "\x03\x03", actAbort, false},
		"interrupt, stay, then hold":   {running(), "\x03xh", actHold, false},
		"interrupt at promote is a no": {running(), "p\x03", noAction, false},
	} {
		t.Run(name, func(t *testing.T) {
			var k keyboard
			var got action
			for _, key := range []byte(c.keys) {
				got = k.press(key, c.release)
			}
			if got != c.want || (k.question != "") != c.asks {
				t.Errorf("action %d, question %q; want %d", got, k.question, c.want)
			}
			if asks := k.prompt(c.release) == k.question; asks != c.asks {
				t.Errorf("prompt: %q", k.prompt(c.release))
			}
		})
	}
}
