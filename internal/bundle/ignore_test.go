package bundle

import (
	"strings"
	"testing"
)

func TestIgnore(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		isDir, want   bool
	}{
		{pattern: "x", name: "x", want: true},
		{pattern: "x", name: "a/b/x", want: true},
		{pattern: "x", name: "xx"},
		{pattern: "x", name: "x/y"}, // never asked: the directory x is left out whole
		{pattern: "*.pyc", name: "a/b.pyc", want: true},
		{pattern: "*.pyc", name: "b.py"},
		{pattern: "/x", name: "x", want: true},
		{pattern: "/x", name: "a/x"},
		{pattern: "a/x", name: "a/x", want: true},
		{pattern: "a/x", name: "b/a/x"},
		{pattern: "a/*", name: "a/x", want: true},
		{pattern: "a/*", name: "a/x/y"},
		{pattern: "x/", name: "x"},
		{pattern: "x/", name: "x", isDir: true, want: true},
		{pattern: "x/", name: "a/x", isDir: true, want: true},
		{pattern: "/x/", name: "a/x", isDir: true},
		{pattern: "a/**", name: "a/b/c", want: true},
		{pattern: "a/**/c", name: "a/c", want: true},
		{pattern: "a/**/c", name: "a/b/b/c", want: true},
		{pattern: "a/**/c", name: "a/b/b/d"},
		{pattern: "**/a/*/c", name: "a/a/b/c", want: true},
		{pattern: "**/a/**/a/c", name: "a/b/c/a/c", want: true},
		{pattern: "**/a/**/a/c", name: "a/b/c/c"},
		{pattern: "a**b", name: "axxb", want: true},
		{pattern: "[ab]?", name: "bx", want: true},
		{pattern: "[^ab]?", name: "bx"},
		{pattern: `\#x`, name: "#x", want: true},
		{pattern: `\!x`, name: "!x", want: true},
		{pattern: " x \r", name: "x", want: true},
		{pattern: "# x", name: "# x"},
		{pattern: "", name: "x"},
	} {
		list, err := parseIgnore([]string{test.pattern})
		if err != nil {
			t.Errorf("pattern %q: %v", test.pattern, err)
			continue
		}
		if got := list.match(test.name, test.isDir); got != test.want {
			t.Errorf("pattern %q, name %q, directory %t: %t, want %t", test.pattern, test.name, test.isDir, got, test.want)
		}
	}
}

func TestIgnoreErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"!x":   "line 2: patterns that start with ! are not supported",
		"a[":   `line 2: "a[" is not a pattern`,
		"/":    `line 2: "/" is not a pattern`,
		"a//b": `line 2: "a//b" is not a pattern`,
		`a\`:   `line 2: "a\\" is not a pattern`,
	} {
		_, err := parseIgnore([]string{"fine", pattern})
		if err == nil || err.Error() != want {
			t.Errorf("pattern %q: error %v, want %s", pattern, err, want)
		}
	}
}

// FuzzIgnore compares the matcher with the plain definition of a match.
func FuzzIgnore(f *testing.F) {
	f.Add("**/a/**/a/c", "a/b/c/a/c", true)
	f.Add("a/*.js\n/b/\n**", "a/x.js", false)
	f.Add("[a-c]*/**", "b", false)
	f.Fuzz(func(t *testing.T, patterns, name string, isDir bool) {
		list, err := parseIgnore(strings.Split(patterns, "\n"))
		if err != nil || len(patterns)+len(name) > 60 {
			return
		}
		want := false
		for _, p := range list {
			want = want || ((isDir || !p.directoryOnly) && matches(p.elements, strings.Split(name, "/")))
		}
		if got := list.match(name, isDir); got != want {
			t.Errorf("match = %t, want %t", got, want)
		}
	})
}

func matches(pattern, name []string) bool {
	switch {
	case len(pattern) == 0:
		return len(name) == 0
	case pattern[0] == "**":
		return matches(pattern[1:], name) || (len(name) > 0 && matches(pattern, name[1:]))
	}
	return len(name) > 0 && matchElement(pattern[0], name[0]) && matches(pattern[1:], name[1:])
}
