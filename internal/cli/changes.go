package cli

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"serin/internal/bundle"
)

// field is one thing that publishing freezes, as text.
type field struct {
	name  string
	value string
	// brief is how the value is shown unless it then looks like the one it is compared with; "" for as it is.
	brief  string
	secret bool
}

// fields are the code and the configuration, in the order in which changes are told. What is not set has no field.
func (s snapshot) fields() []field {
	all := []field{
		{name: "code", value: s.code, brief: shortSHA(s.code)},
		{name: "runtime", value: s.runtime},
		{name: "handler", value: s.handler},
		{name: "role", value: s.role},
		{name: "architecture", value: s.architecture},
		{name: "memory", value: amount(s.memory, "MB")},
		{name: "timeout", value: amount(s.timeout, "s")},
		{name: "ephemeral storage", value: amount(s.storage, "MB")},
		{name: "layers", value: strings.Join(s.layers, ", "), brief: layerNames(s.layers)},
	}
	for _, name := range sortedKeys(s.other) {
		all = append(all, field{name: name, value: s.other[name]})
	}
	all = slices.DeleteFunc(all, func(f field) bool { return f.value == "" })
	for _, name := range sortedKeys(s.env) {
		value := s.env[name]
		f := field{name: envField + name, value: value, secret: secretName(name) || secretValue(value)}
		if value == "" {
			f.brief = `""`
		}
		all = append(all, f)
	}
	return all
}

// envField begins the names of the fields of environment variables.
const envField = "env "

// layerNames shortens ARNs of layers to name:version.
func layerNames(arns []string) string {
	names := make([]string, len(arns))
	for i, arn := range arns {
		_, name, _ := strings.Cut(arn, ":layer:")
		names[i] = cmp.Or(name, arn)
	}
	return strings.Join(names, ", ")
}

// digest is one for everything that publishing freezes: code, layers and configuration. Two versions with the same
// digest do the same.
func (s snapshot) digest() string {
	var pairs [][2]string
	for _, f := range s.fields() {
		pairs = append(pairs, [2]string{f.name, f.value})
	}
	text, _ := json.Marshal(pairs) // strings
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// fieldChange is a field with different values. From is nil for what was not set, To for what is not set any more.
// Both are nil for a value that may be secret: then Change says all.
type fieldChange struct {
	Field  string  `json:"field"`
	Change string  `json:"change"` // added, changed or removed
	From   *string `json:"from,omitempty"`
	To     *string `json:"to,omitempty"`
	Hidden bool    `json:"hidden,omitempty"`
}

// changes says how to differs from s.
func (s snapshot) changes(to snapshot) []fieldChange {
	changed := []fieldChange{}
	before, after := s.fields(), to.fields()
	find := func(in []field, name string) (field, bool) {
		i := slices.IndexFunc(in, func(f field) bool { return f.name == name })
		if i < 0 {
			return field{}, false
		}
		return in[i], true
	}
	for _, was := range before {
		is, there := find(after, was.name)
		switch {
		case !there:
			changed = append(changed, fieldChange{Field: was.name, Change: bundle.FileRemoved, From: &was.value, Hidden: was.secret})
		case was.value != is.value:
			from, now := shown(was, is)
			changed = append(changed, fieldChange{Field: was.name, Change: bundle.FileChanged, From: &from, To: &now, Hidden: was.secret || is.secret})
		}
	}
	for _, is := range after {
		if _, there := find(before, is.name); !there {
			now := cmp.Or(is.brief, is.value)
			changed = append(changed, fieldChange{Field: is.name, Change: bundle.FileAdded, To: &now, Hidden: is.secret})
		}
	}
	for i := range changed {
		if changed[i].Hidden {
			changed[i].From, changed[i].To = nil, nil
		}
	}
	return changed
}

// shown returns the values in brief, unless one looks like the other then.
func shown(was, is field) (from, to string) {
	from, to = cmp.Or(was.brief, was.value), cmp.Or(is.brief, is.value)
	if from == to {
		return was.value, is.value
	}
	return from, to
}

// String says the change in words: memory 128 MB→256 MB.
func (c fieldChange) String() string {
	switch {
	case c.Hidden:
		return c.Field + " " + c.Change + " (value hidden)"
	case c.From == nil && strings.HasPrefix(c.Field, envField):
		return c.Field + " added: " + brief(*c.To)
	case c.From == nil:
		return c.Field + " " + brief(*c.To)
	case c.To == nil:
		return c.Field + " removed"
	}
	return c.Field + " " + brief(*c.From) + "→" + brief(*c.To)
}

// brief cuts a value to what a line can hold.
func brief(value string) string {
	const most = 120
	if utf8.RuneCountInString(value) <= most {
		return value
	}
	return string([]rune(value)[:most]) + "…"
}

func texts(changes []fieldChange) []string {
	all := make([]string, len(changes))
	for i, c := range changes {
		all[i] = c.String()
	}
	return all
}

// maxFileLines is how many changed files are told in words; documents have all.
const maxFileLines = 20

// fileLines says which files of a package have changed: those that are new or gone, and those that are otherwise.
func fileLines(files []bundle.FileChange) []string {
	var lines []string
	for _, f := range files[:min(len(files), maxFileLines)] {
		switch name := clean(f.Name); f.Change {
		case bundle.FileAdded:
			lines = append(lines, fmt.Sprintf("  + %s  %s", name, bytesText(f.After)))
		case bundle.FileRemoved:
			lines = append(lines, fmt.Sprintf("  - %s  %s", name, bytesText(f.Before)))
		default:
			lines = append(lines, fmt.Sprintf("  ~ %s  %s → %s", name, bytesText(f.Before), bytesText(f.After)))
		}
	}
	if rest := len(files) - maxFileLines; rest > 0 {
		lines = append(lines, "  … and "+counted(rest, "file")+" more")
	}
	return lines
}
