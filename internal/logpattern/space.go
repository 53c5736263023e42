package logpattern

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// spacePattern is a list of fields that a line has, between spaces.
type spacePattern struct {
	fields   []field
	ellipsis int // where any number of fields may be, or -1
}

type field struct {
	name string
	test func(value string) bool // nil for any
}

// maxFields bounds the fields of a pattern.
const maxFields = 128

func parseSpace(text string) (*spacePattern, error) {
	p := &spacePattern{ellipsis: -1}
	s := &scanner{text: text}
	s.take("[")
	for {
		if len(p.fields) >= maxFields {
			return nil, wrong("a filter pattern has at most %d fields", maxFields)
		}
		if s.take("...") {
			if p.ellipsis >= 0 {
				return nil, wrong("a filter pattern has one ellipsis at most")
			}
			p.ellipsis = len(p.fields)
		} else {
			f, err := p.field(s)
			if err != nil {
				return nil, err
			}
			p.fields = append(p.fields, f)
		}
		if s.take("]") {
			break
		}
		if !s.take(",") {
			return nil, wrong("a comma or ] is missing at '%s'", s.rest())
		}
	}
	if s.space(); !s.done() {
		return nil, wrong("nothing may follow ]: '%s'", s.rest())
	}
	return p, nil
}

// field reads a name and the conditions on it, or nothing.
func (p *spacePattern) field(s *scanner) (field, error) {
	s.space()
	start := s.at
	name := s.name()
	if s.space(); s.done() {
		return field{}, wrong("the filter pattern ends within a field")
	}
	if s.text[s.at] == ',' || s.text[s.at] == ']' {
		if name == "" {
			name = strconv.Itoa(len(p.fields) + 1)
		}
		return field{name: name}, nil
	}
	s.at = start
	test, err := logic(s, func() (func(string) bool, error) {
		s.space()
		own := s.name()
		switch {
		case own == "":
			return nil, wrong("the name of a field is missing at '%s'", s.rest())
		case name == "":
			name = own
		case name != own:
			return nil, wrong("the condition on %s is in the place of %s", own, name)
		}
		op, to, err := s.comparison(",]")
		return func(v string) bool { return to.compareText(op, v) }, err
	}, func(op string, a, b func(string) bool) func(string) bool {
		if op == "&&" {
			return func(v string) bool { return a(v) && b(v) }
		}
		return func(v string) bool { return a(v) || b(v) }
	})
	return field{name, test}, err
}

// name reads a name, which may be empty.
func (s *scanner) name() string {
	start := s.at
	for !s.done() {
		r, size := utf8.DecodeRuneInString(s.text[s.at:])
		if !isWord(r) && r != '-' {
			break
		}
		s.at += size
	}
	return s.text[start:s.at]
}

// split returns the fields of a line: what is between spaces, in quotes or in brackets.
func split(line []byte) []string {
	var fields []string
	for {
		line = bytes.TrimLeft(line, " \t\r\n")
		if len(line) == 0 {
			return fields
		}
		end := -1
		switch line[0] {
		case '"':
			end = bytes.IndexByte(line[1:], '"')
		case '[':
			end = bytes.IndexByte(line[1:], ']')
		}
		if end >= 0 {
			fields = append(fields, string(line[1:end+1]))
			line = line[end+2:]
			continue
		}
		if end = bytes.IndexAny(line, " \t\r\n"); end < 0 {
			end = len(line)
		}
		fields = append(fields, string(line[:end]))
		line = line[end:]
	}
}

// assign calls visit with every field of the pattern and its value, and reports whether the line has as many fields.
func (p *spacePattern) assign(line []byte, visit func(f *field, value string) bool) bool {
	values := split(line)
	more := len(values) - len(p.fields)
	if more < 0 || more > 0 && p.ellipsis < 0 {
		return false
	}
	for i := range p.fields {
		at := i
		if p.ellipsis >= 0 && i >= p.ellipsis {
			at += more
		}
		if !visit(&p.fields[i], values[at]) {
			return false
		}
	}
	return true
}

func (p *spacePattern) match(line []byte) bool {
	return p.assign(line, func(f *field, value string) bool { return f.test == nil || f.test(value) })
}

func (p *spacePattern) extract(line []byte) map[string]string {
	out := map[string]string{}
	p.assign(line, func(f *field, value string) bool {
		out["$"+strings.TrimPrefix(f.name, "$")] = value
		return true
	})
	return out
}
