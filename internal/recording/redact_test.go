package recording

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"serin"
)

func paths(t *testing.T, texts ...string) []Path {
	t.Helper()
	all, err := ParsePaths(texts)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRedact(t *testing.T) {
	const event = `{"user":{"email":"a@b","id":7},"items":[{"email":"c","n":1.0},{"email":"d","n":2}],"headers":{"Authorization":"Bearer x","x-api-key":"k","host":"h"},` +
		`"s3":{"key":"a/b"},"session_token":"t","note":"-----BEGIN KEY-----","deep":[[{"email":"e"}]]}`
	for name, c := range map[string]struct {
		paths   []string
		secrets bool
		want    string
	}{
		"nothing": {nil, false, event},
		"secrets": {nil, true, strings.NewReplacer(`"Bearer x"`, `"[redacted]"`, `"k"`, `"[redacted]"`, `"t"`, `"[redacted]"`, `"-----BEGIN KEY-----"`, `"[redacted]"`).Replace(event)},
		"paths": {
			[]string{"$.user.email", "$.items[*].email", "headers", "$.deep[0]"},
			false,
			`{"user":{"email":"[redacted]","id":7},"items":[{"email":"[redacted]","n":1.0},{"email":"[redacted]","n":2}],"headers":"[redacted]",` +
				`"s3":{"key":"a/b"},"session_token":"t","note":"-----BEGIN KEY-----","deep":["[redacted]"]}`,
		},
		"any depth": {[]string{"$..email", "$['s3'].*"}, false, strings.NewReplacer(`"a@b"`, `"[redacted]"`, `"c"`, `"[redacted]"`, `"d"`, `"[redacted]"`, `"e"`, `"[redacted]"`, `"a/b"`, `"[redacted]"`).Replace(event)},
	} {
		got, err := Redact([]byte(event), paths(t, c.paths...), c.secrets)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := Redact([]byte("{oops"), nil, true); err == nil {
		t.Error("what is not JSON was redacted")
	}
}

func TestParsePath(t *testing.T) {
	for _, text := range []string{"", "$", "$.", "$..", "$.a..", "a..", "$[", "$[x]", "$[0]a", "$.a[-1]", strings.Repeat("a", 300), "$.a."} {
		if p, err := ParsePath(text); serin.KindOf(err) != serin.KindInvalid {
			t.Errorf("%q: %v, %v", text, p.steps, err)
		}
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		a, b   string
		ignore []string
		want   []string
	}{
		{`{"a":1,"b":[1,2]}`, `{"b":[1,2.0],"a":1e0}`, nil, nil},
		{`{"a":1}`, `{"a":2,"b":3}`, nil, []string{"$.a", "$.b"}},
		{`{"a":1,"id":"x","list":[{"at":1},{"at":2}]}`, `{"a":1,"id":"y","list":[{"at":3},{"at":4}]}`, []string{"$.id", "$.list[*].at"}, nil},
		{`[1,2]`, `[1]`, nil, []string{"$.1"}},
		{`"a"`, `["a"]`, nil, []string{"$"}},
		{`null`, ``, nil, nil},
		{`{"a":null}`, `{}`, nil, []string{"$.a"}},
		{`not JSON`, `not JSON`, nil, nil},
		{`not JSON`, `nor this`, nil, []string{"$"}},
	} {
		if diff := cmp.Diff(c.want, Compare([]byte(c.a), []byte(c.b), paths(t, c.ignore...))); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", c.a, c.b, diff)
		}
	}
	long := `[` + strings.Repeat(`1,`, 100) + `1]`
	if got := Compare([]byte(long), []byte(strings.ReplaceAll(long, "1", "2")), nil); len(got) != maxDifferences {
		t.Errorf("%d differences", len(got))
	}
}

// What is redacted is JSON, and a value at a path is never in it.
func FuzzRedact(f *testing.F) {
	f.Add(`{"a":{"b":"secret-value"}}`, "$.a.b")
	f.Add(`[[["secret-value"]]]`, "$[0][*]")
	f.Add(`{"a":1,"a":"secret-value"}`, "$..a")
	f.Add(`{"x":{"a":"secret-value"}}`, "$..a")
	f.Add("\"\xff\"", "a.b")
	f.Fuzz(func(t *testing.T, document, text string) {
		p, err := ParsePath(text)
		if err != nil {
			return
		}
		got, err := Redact([]byte(document), []Path{p}, true)
		if err != nil {
			return
		}
		if !json.Valid(got) {
			t.Fatalf("%q became %q", document, got)
		}
		again, err := Redact(got, []Path{p}, true)
		if err != nil || string(again) != string(got) {
			t.Fatalf("%q became %q and then %q, %v", document, got, again, err)
		}
		_ = Compare([]byte(document), got, []Path{p})
	})
}
