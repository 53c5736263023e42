// Package logpattern is the language of filter patterns of CloudWatch Logs ("Filter pattern syntax for metric filters,
// subscription filters, filter log events, and Live Tail", AWS documentation). There are three kinds of pattern:
//
//	ERROR -retry "out of memory" %4\d\d%         words that a line has, or has not
//	?ERROR ?WARN                                 one of some words
//	{ $.level = "ERROR" && $.latency > 100 }     what a line that is a JSON object says
//	[ip, user, ..., status = 4*, bytes]          the fields of a line, between spaces
//
// [Parse] makes a [Pattern] of a text. Regular expressions are those of package regexp, which take linear time on any line.
// Words of a line are told apart by case.
package logpattern

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLength is the longest pattern in characters, as on AWS.
const MaxLength = 1024

// maxRegexps bounds the regular expressions of a pattern; AWS takes 2.
const maxRegexps = 2

// Pattern says which lines match. It is safe for concurrent use.
type Pattern struct {
	text  string
	all   bool   // everything matches
	terms *terms // or
	json  *jsonPattern
	words *spacePattern
}

// Error says what is wrong with a pattern, for its author.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

func wrong(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// Parse reads a pattern. Its errors are of type [*Error].
func Parse(text string) (*Pattern, error) {
	if utf8.RuneCountInString(text) > MaxLength {
		return nil, wrong("a filter pattern has at most %d characters", MaxLength)
	}
	p := &Pattern{text: text}
	body := strings.TrimSpace(text)
	var err error
	switch {
	case body == "" || body == `""` || body == `" "`:
		p.all = true
	case body[0] == '{':
		p.json, err = parseJSON(body)
	case body[0] == '[':
		p.words, err = parseSpace(body)
	default:
		p.terms, err = parseTerms(body)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// String returns the text that the pattern was made of.
func (p *Pattern) String() string { return p.text }

// Match reports whether a line matches.
func (p *Pattern) Match(line []byte) bool {
	switch {
	case p.all:
		return true
	case p.terms != nil:
		return p.terms.match(line)
	case p.json != nil:
		return p.json.match(line)
	default:
		return p.words.match(line)
	}
}

// Extract returns what the selectors of the pattern are in a line that matches: $.a.b of a JSON object, $name of a field.
func (p *Pattern) Extract(line []byte) map[string]string {
	switch {
	case p.json != nil:
		return p.json.extract(line)
	case p.words != nil:
		return p.words.extract(line)
	default:
		return map[string]string{}
	}
}

// Value returns what a selector is in a line that matches, such as a metric filter has it: $.a.b or $name.
func (p *Pattern) Value(line []byte, selector string) (string, bool) {
	switch {
	case p.words != nil:
		v, ok := p.words.extract(line)[selector]
		return v, ok
	case strings.HasPrefix(selector, "$.") || strings.HasPrefix(selector, "$["):
		return Select(line, selector)
	default:
		return "", false
	}
}

// terms are words that a line has or has not.
type terms struct {
	all, none, any []test
}

// test is a text or a regular expression to look for.
type test struct {
	text   []byte
	regexp *regexp.Regexp
}

func (t *test) in(line []byte) bool {
	if t.regexp != nil {
		return t.regexp.Match(line)
	}
	return bytes.Contains(line, t.text)
}

func (t *terms) match(line []byte) bool {
	for i := range t.all {
		if !t.all[i].in(line) {
			return false
		}
	}
	for i := range t.none {
		if t.none[i].in(line) {
			return false
		}
	}
	for i := range t.any {
		if t.any[i].in(line) {
			return true
		}
	}
	return len(t.any) == 0
}

func parseTerms(text string) (*terms, error) {
	t := &terms{}
	s := scanner{text: text}
	for {
		s.space()
		if s.done() {
			break
		}
		to := &t.all
		switch s.text[s.at] {
		case '?':
			to = &t.any
			s.at++
		case '-':
			to = &t.none
			s.at++
		}
		one, err := s.term()
		if err != nil {
			return nil, err
		}
		*to = append(*to, one)
	}
	if len(t.all)+len(t.none) > 0 {
		t.any = nil // as on AWS: ?-terms count among themselves only
	}
	return t, nil
}

// scanner reads a pattern from left to right.
type scanner struct {
	text    string
	at      int
	regexps int
	depth   int
}

func (s *scanner) done() bool { return s.at >= len(s.text) }

func (s *scanner) space() {
	for !s.done() {
		r, size := utf8.DecodeRuneInString(s.text[s.at:])
		if !unicode.IsSpace(r) {
			return
		}
		s.at += size
	}
}

// take takes a text if it comes next, behind spaces.
func (s *scanner) take(text string) bool {
	s.space()
	if !strings.HasPrefix(s.text[s.at:], text) {
		return false
	}
	s.at += len(text)
	return true
}

// keyword takes a word in any case of letters.
func (s *scanner) keyword(word string) bool {
	s.space()
	end := s.at + len(word)
	if end > len(s.text) || !strings.EqualFold(s.text[s.at:end], word) || end < len(s.text) && isWord(rune(s.text[end])) {
		return false
	}
	s.at = end
	return true
}

// term reads a word, a phrase or a regular expression.
func (s *scanner) term() (test, error) {
	if s.done() {
		return test{}, wrong("a term is missing at the end of the filter pattern")
	}
	switch s.text[s.at] {
	case '"':
		text, err := s.quoted()
		return test{text: []byte(text)}, err
	case '%':
		re, err := s.regexp()
		return test{regexp: re}, err
	}
	start := s.at
	for !s.done() {
		r, size := utf8.DecodeRuneInString(s.text[s.at:])
		if unicode.IsSpace(r) {
			break
		}
		s.at += size
	}
	word := s.text[start:s.at]
	if word == "" || strings.ContainsFunc(word, func(r rune) bool { return !isWord(r) }) {
		return test{}, wrong("Invalid character(s) in term '%s'", word)
	}
	return test{text: []byte(word)}, nil
}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// quoted reads a text in double quotes. A backslash takes the character behind it as it is.
func (s *scanner) quoted() (string, error) {
	var b strings.Builder
	for s.at++; !s.done(); s.at++ {
		switch c := s.text[s.at]; c {
		case '"':
			s.at++
			return b.String(), nil
		case '\\':
			if s.at++; s.done() {
				return "", wrong("the filter pattern ends within quotes")
			}
			if c := s.text[s.at]; c != '"' && c != '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(s.text[s.at])
		default:
			b.WriteByte(c)
		}
	}
	return "", wrong("the filter pattern ends within quotes")
}

// regexp reads a regular expression between percent signs; \% is one that is meant.
func (s *scanner) regexp() (*regexp.Regexp, error) {
	if s.regexps++; s.regexps > maxRegexps {
		return nil, wrong("a filter pattern has at most %d regular expressions", maxRegexps)
	}
	var b strings.Builder
	for s.at++; !s.done(); s.at++ {
		c := s.text[s.at]
		if c == '%' {
			s.at++
			re, err := regexp.Compile(b.String())
			if err != nil || b.Len() == 0 {
				return nil, wrong("the regular expression %%%s%% is not valid", b.String())
			}
			return re, nil
		}
		if c == '\\' && s.at+1 < len(s.text) {
			if s.at++; s.text[s.at] != '%' {
				b.WriteByte('\\')
			}
			c = s.text[s.at]
		}
		b.WriteByte(c)
	}
	return nil, wrong("the filter pattern ends within a regular expression")
}
