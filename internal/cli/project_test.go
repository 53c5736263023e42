package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseProject(t *testing.T) {
	for text, want := range map[string][]setting{
		"":                  nil,
		"# only a comment":  nil,
		"function: hello\n": {{"function", 1, []string{"hello"}}},
		"memory: 256\nmaxWait: 1h30m\nalpha: 0.01": {{"memory", 1, []string{"256"}}, {"maxWait", 2, []string{"1h30m"}}, {"alpha", 3, []string{"0.01"}}},
		"steps: [5, 25.5, 100]":                    {{"steps", 1, []string{"5,25.5,100"}}},
		"steps: 5,100":                             {{"steps", 1, []string{"5,100"}}},
		"env:\n  A: 1\n  B: \"x=y\"\n  C: yes":     {{"env", 1, []string{"A=1", "B=x=y", "C=yes"}}},
		"env: {}":                                  {{"env", 1, []string{}}},
	} {
		got, err := parseProject([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(setting{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	for text, part := range map[string]string{
		"memroy: 256":                      `line 1: "memroy" is not a setting; there are afterTraffic, alarms, alias`,
		"version: 3":                       "not a setting", // a flag, but not a setting
		"function: a\nfunction: b":         "line 2",
		"- a":                              "line 1: want lines like function: hello",
		"function:":                        "function: want one value",
		"function: [a]":                    "function: want one value",
		"env: [A=1]":                       "env: want a map",
		"env: {A: [1]}":                    "env: want one value",
		"steps: [5, [6]]":                  "steps: want one value",
		"function: &x a\nalias: *x":        "alias: want one value",
		"function: \"a":                    "yaml",
		"function: a\n---\nfunction: b\n]": "",
	} {
		if _, err := parseProject([]byte(text)); part != "" && (err == nil || !strings.Contains(err.Error(), part)) {
			t.Errorf("%q: %v, want %q", text, err, part)
		}
	}
}

func FuzzParseProject(f *testing.F) {
	f.Add([]byte("function: hello\nsteps: [5, 100]\nenv: {A: b}\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("? {a: b}\n: c"))
	f.Fuzz(func(t *testing.T, text []byte) {
		settings, err := parseProject(text)
		for _, s := range settings {
			if _, known := projectKeys[s.key]; !known || err != nil || s.key != "env" && len(s.values) != 1 {
				t.Fatalf("%+v, %v", s, err)
			}
		}
	})
}

// Every key sets a flag of ship.
func TestProjectKeysAreFlags(t *testing.T) {
	flags := (&app{}).shipCommand().Flags()
	for key, name := range projectKeys {
		if flags.Lookup(name) == nil {
			t.Errorf("%s: there is no flag --%s", key, name)
		}
	}
}
