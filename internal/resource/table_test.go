package resource

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The table in docs/cloudformation.md says what the code does. SERIN_UPDATE=1 writes it anew.
func TestTableOfProperties(t *testing.T) {
	const file, mark = "../../docs/cloudformation.md", "<!-- generated -->\n"
	types := New(Config{Lambda: struct{ Lambda }{}, Alarms: struct{ Alarms }{}, Parameters: struct{ Parameters }{}, Buckets: struct{ Buckets }{}, Logs: struct{ Logs }{}})
	var b strings.Builder
	b.WriteString("| type | applied (r: a change replaces the resource) | stored only | refused |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(types)) {
		applied, stored, refused := columns(types[name])
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, applied, stored, refused)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, table, _ := strings.Cut(string(text), mark)
	if os.Getenv("SERIN_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(head+mark+b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != b.String() {
		t.Errorf("%s does not say what the code does: run this test with SERIN_UPDATE=1", file)
	}
}

func columns(kind *Type) (applied, stored, refused string) {
	switch {
	case kind.Inert:
		return "", "everything, without effect", ""
	case kind.properties.Kind() != reflect.Struct:
		return "", "", "the type: a stack that has it fails"
	}
	var lists [3][]string
	for f := range kind.properties.Fields() {
		name := f.Name
		if kind.Replaces(name) {
			name += " (r)"
		}
		switch {
		case !f.IsExported():
		case tagged(f, "refused"):
			lists[2] = append(lists[2], f.Name)
		case tagged(f, "stored"):
			lists[1] = append(lists[1], f.Name)
		default:
			lists[0] = append(lists[0], name)
		}
	}
	return strings.Join(lists[0], ", "), strings.Join(lists[1], ", "), strings.Join(lists[2], ", ")
}
