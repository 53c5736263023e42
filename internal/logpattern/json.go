package logpattern

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// jsonPattern is a condition on the members of a JSON object.
type jsonPattern struct {
	root      condition
	selectors []*selector
}

// condition is a leaf or a branch.
type condition struct {
	op    string // "&&", "||" or "" for a leaf
	parts []condition
	leaf  *jsonTest
}

// jsonTest says what the value of a selector has to be.
type jsonTest struct {
	at   *selector
	kind testKind
	op   operator
	to   operand
}

type testKind int

const (
	compares testKind = iota
	isNull
	isTrue
	isFalse
	exists
	notExists
)

func parseJSON(text string) (*jsonPattern, error) {
	p := &jsonPattern{}
	s := &scanner{text: text}
	s.take("{")
	root, err := logic(s, func() (condition, error) {
		t, err := p.test(s)
		return condition{leaf: t}, err
	}, func(op string, a, b condition) condition {
		return condition{op: op, parts: []condition{a, b}}
	})
	if err != nil {
		return nil, err
	}
	if !s.take("}") {
		return nil, wrong("} is missing at '%s'", s.rest())
	}
	if s.space(); !s.done() {
		return nil, wrong("nothing may follow }: '%s'", s.rest())
	}
	p.root = root
	return p, nil
}

func (p *jsonPattern) test(s *scanner) (*jsonTest, error) {
	at, err := s.selector()
	if err != nil {
		return nil, err
	}
	p.selectors = append(p.selectors, at)
	t := &jsonTest{at: at}
	switch {
	case s.keyword("IS"):
		switch {
		case s.keyword("NULL"):
			t.kind = isNull
		case s.keyword("TRUE"):
			t.kind = isTrue
		case s.keyword("FALSE"):
			t.kind = isFalse
		default:
			return nil, wrong("IS is followed by NULL, TRUE or FALSE, not by '%s'", s.rest())
		}
	case s.keyword("EXISTS"):
		t.kind = exists
	case s.keyword("NOT"):
		if !s.keyword("EXISTS") {
			return nil, wrong("NOT is followed by EXISTS, not by '%s'", s.rest())
		}
		t.kind = notExists
	default:
		t.op, t.to, err = s.comparison("}")
	}
	return t, err
}

func (p *jsonPattern) match(line []byte) bool {
	// Most lines do not hold, so they are looked at as a whole last.
	return isObject(line) && p.root.holds(line) && jsontext.Value(line).IsValid(lenient...)
}

// lenient says what JSON may have here: what functions write is not ours to judge.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

func isObject(line []byte) bool {
	line = bytes.TrimLeft(line, " \t\r\n")
	return len(line) > 0 && line[0] == '{'
}

func (c *condition) holds(line []byte) bool {
	switch c.op {
	case "&&":
		return c.parts[0].holds(line) && c.parts[1].holds(line)
	case "||":
		return c.parts[0].holds(line) || c.parts[1].holds(line)
	default:
		return c.leaf.holds(line)
	}
}

func (t *jsonTest) holds(line []byte) bool {
	return t.mayHold(line) && t.reads(line)
}

// mayHold is false if the line lacks a text without which the test cannot hold: most lines need not be read.
func (t *jsonTest) mayHold(line []byte) bool {
	if t.kind == notExists || bytes.Contains(line, []byte(`\u`)) {
		return true
	}
	if last := t.at.steps[len(t.at.steps)-1]; last.index < 0 && !last.every && literal(last.member) && !bytes.Contains(line, []byte(last.member)) {
		return false
	}
	whole := t.kind == compares && t.op == equal && !t.to.numeric && t.to.pieces == nil && t.to.regexp == nil
	return !whole || !literal(t.to.text) || bytes.Contains(line, []byte(t.to.text))
}

// literal reports whether a text stands in JSON as it is, unless it is escaped by number.
func literal(text string) bool {
	return !strings.ContainsAny(text, "\"\\/\b\f\n\r\t") && utf8.ValidString(text)
}

func (t *jsonTest) reads(line []byte) bool {
	found, holds := false, false
	t.at.visit(line, func(v jsontext.Value) bool {
		found = true
		holds = t.of(v)
		return !holds // with an asterisk in the selector one value is enough
	})
	if t.kind == notExists {
		return !found
	}
	return holds
}

// of reports whether a value is what the test says.
func (t *jsonTest) of(v jsontext.Value) bool {
	switch t.kind {
	case isNull:
		return v.Kind() == 'n'
	case isTrue:
		return v.Kind() == 't'
	case isFalse:
		return v.Kind() == 'f'
	case exists, notExists:
		return true
	case compares:
	}
	switch v.Kind() {
	case '"':
		text, ok := unquote(v)
		if !ok {
			return false
		}
		if t.to.numeric && t.op != equal && t.op != notEqual {
			return false
		}
		return t.op == equal && t.to.is(text) || t.op == notEqual && !t.to.is(text)
	case '0':
		if t.to.numeric {
			n, err := strconv.ParseFloat(string(v), 64)
			return err == nil && t.to.compare(t.op, n)
		}
		if t.to.pieces != nil || t.to.regexp != nil {
			return (t.op == equal) == t.to.is(string(v))
		}
		return t.op == notEqual
	case 't', 'f':
		return (t.op == equal) == t.to.is(string(v))
	default:
		return t.op == notEqual
	}
}

func unquote(v jsontext.Value) (string, bool) {
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1]), utf8.Valid(v)
	}
	text, err := jsontext.AppendUnquote(nil, v)
	return string(text), err == nil
}

func (p *jsonPattern) extract(line []byte) map[string]string {
	out := map[string]string{}
	for _, at := range p.selectors {
		if text, ok := at.text(line); ok {
			out[at.name] = text
		}
	}
	return out
}

// Select returns the value of a selector such as $.a.b[0] in a line that is a JSON object, as text.
func Select(line []byte, name string) (string, bool) {
	s := &scanner{text: name}
	at, err := s.selector()
	if err != nil || !s.done() {
		return "", false
	}
	return at.text(line)
}

// CheckSelector says what is wrong with a selector such as $.a.b[0].
func CheckSelector(name string) error {
	s := &scanner{text: name}
	if _, err := s.selector(); err != nil {
		return err
	}
	if !s.done() {
		return wrong("nothing may follow the selector: '%s'", s.rest())
	}
	return nil
}

func (at *selector) text(line []byte) (text string, found bool) {
	if !isObject(line) {
		return "", false
	}
	at.visit(line, func(v jsontext.Value) bool {
		text, found = string(v), true
		if v.Kind() == '"' {
			text, found = unquote(v)
		}
		return false
	})
	return text, found
}

// selector is a path in a JSON object.
type selector struct {
	name  string
	steps []step
}

// step is a member, an element, or all of them.
type step struct {
	member string
	index  int // of an element; -1 for a member
	every  bool
}

func (s *scanner) selector() (*selector, error) {
	s.space()
	start := s.at
	if !s.take("$") {
		return nil, wrong("a selector begins with $, not with '%s'", s.rest())
	}
	at := &selector{}
	for !s.done() && (s.text[s.at] == '.' || s.text[s.at] == '[') {
		if len(at.steps) >= maxDepth {
			return nil, wrong("a selector has at most %d steps", maxDepth)
		}
		if s.text[s.at] == '.' {
			if s.at++; !s.done() && s.text[s.at] == '[' { // $.['a b']
				continue
			}
			if !s.done() && s.text[s.at] == '*' {
				s.at++
				at.steps = append(at.steps, step{index: -1, every: true})
				continue
			}
			begin := s.at
			for !s.done() {
				r, size := utf8.DecodeRuneInString(s.text[s.at:])
				if unicode.IsSpace(r) || strings.ContainsRune(`.[]{}()=<>!&|"%,'*`, r) {
					break
				}
				s.at += size
			}
			if begin == s.at {
				return nil, wrong("a selector has no name at '%s'", s.rest())
			}
			at.steps = append(at.steps, step{member: s.text[begin:s.at], index: -1})
			continue
		}
		one, err := s.bracket()
		if err != nil {
			return nil, err
		}
		at.steps = append(at.steps, one)
	}
	if len(at.steps) == 0 {
		return nil, wrong("a selector names a member, as $.name")
	}
	at.name = s.text[start:s.at]
	return at, nil
}

// bracket reads [0], [*], ['name'] or ["name"].
func (s *scanner) bracket() (step, error) {
	inner, _, ok := strings.Cut(s.text[s.at+1:], "]")
	if quote := s.at + 1; quote < len(s.text) && (s.text[quote] == '\'' || s.text[quote] == '"') {
		name, _, closed := strings.Cut(s.text[quote+1:], string(s.text[quote])+"]")
		if !closed || name == "" {
			return step{}, wrong("a name in brackets is not closed at '%s'", s.rest())
		}
		s.at = quote + 1 + len(name) + 2
		return step{member: name, index: -1}, nil
	}
	if !ok {
		return step{}, wrong("a bracket is not closed at '%s'", s.rest())
	}
	index, err := strconv.ParseUint(inner, 10, 31)
	if err != nil && inner != "*" {
		return step{}, wrong("a selector has a number, * or a quoted name in brackets, not '%s'", inner)
	}
	s.at += len(inner) + 2
	return step{index: int(index), every: inner == "*"}, nil
}

// visit calls found with every value of the selector until it returns false, or the line is no JSON any more.
func (at *selector) visit(line []byte, found func(jsontext.Value) bool) {
	r, _ := readers.Get().(*reader) // nothing else is put there
	defer readers.Put(r)
	r.bytes.Reset(line)
	r.decoder.Reset(&r.bytes, lenient...)
	// An error ends the reading, be it that enough was found.
	_ = walk(r.decoder, at.steps, found)
}

// readers saves the memory of decoders.
var readers = sync.Pool{New: func() any { return &reader{decoder: jsontext.NewDecoder(bytes.NewReader(nil))} }}

type reader struct {
	bytes   bytes.Reader
	decoder *jsontext.Decoder
}

var errEnough = errors.New("found")

// walk reads the next value and visits what the steps lead to in it.
func walk(d *jsontext.Decoder, steps []step, found func(jsontext.Value) bool) error {
	if len(steps) == 0 {
		v, err := d.ReadValue()
		if err == nil && !found(v) {
			err = errEnough
		}
		return err
	}
	kind := d.PeekKind()
	s := steps[0]
	if s.index >= 0 && kind != '[' || s.index < 0 && kind != '{' {
		return d.SkipValue()
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for i := 0; ; i++ {
		if next := d.PeekKind(); next == '}' || next == ']' || next == 0 { // the end, or an error
			_, err := d.ReadToken()
			return err
		}
		here := s.every || s.index == i
		if kind == '{' {
			name, err := d.ReadToken()
			if err != nil {
				return err
			}
			here = s.every || name.String() == s.member
		}
		var err error
		if here {
			err = walk(d, steps[1:], found)
		} else {
			err = d.SkipValue()
		}
		if err != nil {
			return err
		}
	}
}
