package serin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestPolicyRefusesChecks(t *testing.T) {
	for name, c := range map[string]Check{
		"nothing":             {},
		"two things":          {Function: "f", URL: "https://a.example"},
		"no http":             {URL: "file:///etc/passwd"},
		"no host":             {URL: "https://"},
		"no URL":              {URL: "https://a b"},
		"no JSON":             {Event: json.RawMessage(`{`)},
		"too large an event":  {Event: json.RawMessage(`"` + strings.Repeat("x", 33<<10) + `"`)},
		"a status of a hook":  {Function: "f", Status: 200},
		"a status that is no": {Event: json.RawMessage(`{}`), Status: 42},
		"too long":            {Function: "f", Timeout: Duration(2 * time.Hour)},
		"negative":            {Function: "f", Timeout: -1},
		"too long a name":     {Function: strings.Repeat("f", 3000)},
	} {
		p := DefaultPolicy()
		p.After = []Check{c}
		if KindOf(p.Check()) != KindInvalid {
			t.Errorf("%s: accepted", name)
		}
	}
	p := DefaultPolicy()
	for range 11 {
		p.Before = append(p.Before, Check{Function: "f"})
	}
	if KindOf(p.Check()) != KindInvalid {
		t.Error("eleven checks: accepted")
	}
}

// The name of a hook does not give its URL away.
func TestCheckNames(t *testing.T) {
	for want, c := range map[string]Check{
		"function probe": {Function: "probe"}, "hook at ci.example:8443": {URL: "https://ci.example:8443/x?token=1"},
		"event": {Event: json.RawMessage(`{}`)}, "GET /health": {Event: json.RawMessage(`{}`), Name: "GET /health"},
	} {
		if c.String() != want {
			t.Errorf("%q, want %q", c.String(), want)
		}
	}
}
