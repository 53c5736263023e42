package cli

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestHTTPCheck(t *testing.T) {
	for text, want := range map[string]struct {
		method, path, query string
		status              int
	}{
		"/health":            {"GET", "/health", "", 200},
		"get /a%20b?x=1&x=2": {"GET", "/a%20b", "x=1&x=2", 200},
		"POST /orders 201":   {"POST", "/orders", "", 201},
		"":                   {}, "GET": {}, "GET health": {}, "GET /x ok": {}, "GET /x 200 more": {}, "GET http://a/b": {}, "G@T /x": {},
	} {
		c, err := httpCheck(text)
		if want.method == "" {
			if exitCode(err) != exitUsage {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		var event struct {
			RawPath, RawQueryString string
			RequestContext          struct{ HTTP struct{ Method string } }
		}
		if err != nil || json.Unmarshal(c.Event, &event) != nil || event.RawPath != want.path || event.RawQueryString != want.query ||
			event.RequestContext.HTTP.Method != want.method || c.Status != want.status {
			t.Errorf("%q: %s %d, %v", text, c.Event, c.Status, err)
		}
	}
}

func FuzzHTTPCheck(f *testing.F) {
	for _, s := range []string{"GET /", "/x?y", "POST /a 302", "\x00 / 1", "GET //evil 200", strings.Repeat("A", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := httpCheck(text); err == nil && !json.Valid(c.Event) {
			t.Errorf("%q: %s", text, c.Event)
		}
	})
}
