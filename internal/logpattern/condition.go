package logpattern

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// maxDepth bounds how deep parentheses, and the steps of a selector, go.
const maxDepth = 32

// operator compares.
type operator string

const (
	equal        operator = "="
	notEqual     operator = "!="
	less         operator = "<"
	lessEqual    operator = "<="
	greater      operator = ">"
	greaterEqual operator = ">="
)

// operand is what something is compared with.
type operand struct {
	text    string
	pieces  []string // of the text between asterisks, if it has any
	regexp  *regexp.Regexp
	number  float64
	numeric bool // it is written as a number, without quotes
}

// comparison reads an operator and an operand. barrier has the characters that end an operand without quotes.
func (s *scanner) comparison(barrier string) (operator, operand, error) {
	s.space()
	for _, op := range []operator{notEqual, lessEqual, greaterEqual, equal, less, greater} {
		if s.take(string(op)) {
			to, err := s.operand(barrier)
			if err == nil && op != equal && op != notEqual && !to.numeric {
				err = wrong("%s compares with a number, not with '%s'", op, to.text)
			}
			return op, to, err
		}
	}
	return "", operand{}, wrong("a comparison is missing at '%s'", s.rest())
}

// rest is what comes next, for errors.
func (s *scanner) rest() string {
	rest := s.text[min(s.at, len(s.text)):]
	if len(rest) > 20 {
		rest = strings.ToValidUTF8(rest[:20], "") + "…"
	}
	return rest
}

func (s *scanner) operand(barrier string) (operand, error) {
	s.space()
	switch {
	case s.done():
		return operand{}, wrong("a value is missing at the end of the filter pattern")
	case s.text[s.at] == '"':
		text, err := s.quoted()
		return textOperand(text), err
	case s.text[s.at] == '%':
		re, err := s.regexp()
		return operand{regexp: re}, err
	}
	end := strings.IndexAny(s.text[s.at:], barrier+" \t\r\n\"%&|()=<>!")
	if end < 0 {
		end = len(s.text) - s.at
	}
	text := s.text[s.at : s.at+end]
	if text == "" {
		return operand{}, wrong("a value is missing at '%s'", s.rest())
	}
	s.at += end
	to := textOperand(text)
	if n, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) && strings.ContainsAny(text, "0123456789") && !strings.ContainsAny(text, "xX_pP") {
		to.number, to.numeric = n, true
	}
	return to, nil
}

func textOperand(text string) operand {
	to := operand{text: text}
	if strings.Contains(text, "*") {
		to.pieces = strings.Split(text, "*")
	}
	return to
}

// is reports whether a text is what is compared with.
func (o *operand) is(text string) bool {
	switch {
	case o.regexp != nil:
		return o.regexp.MatchString(text)
	case o.pieces == nil:
		return o.text == text
	}
	last := len(o.pieces) - 1
	rest, ok := strings.CutPrefix(text, o.pieces[0])
	if !ok {
		return false
	}
	for _, piece := range o.pieces[1:last] {
		if _, rest, ok = strings.Cut(rest, piece); !ok {
			return false
		}
	}
	return strings.HasSuffix(rest, o.pieces[last])
}

// compare compares a number with the operand, which is numeric.
func (o *operand) compare(op operator, n float64) bool {
	switch op {
	case equal:
		return n == o.number
	case notEqual:
		return n != o.number
	case less:
		return n < o.number
	case lessEqual:
		return n <= o.number
	case greater:
		return n > o.number
	default:
		return n >= o.number
	}
}

// compareText compares a text. Numbers in it count if the operand is one.
func (o *operand) compareText(op operator, text string) bool {
	if o.numeric {
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return o.compare(op, n)
		}
	}
	switch op {
	case equal:
		return o.is(text)
	case notEqual:
		return !o.is(text)
	default:
		return false
	}
}

// logic reads conditions that are joined by &&, || and parentheses; && binds closer.
func logic[T any](s *scanner, one func() (T, error), join func(op string, a, b T) T) (T, error) {
	var none T
	if s.depth++; s.depth > maxDepth {
		return none, wrong("the filter pattern is nested too deep")
	}
	defer func() { s.depth-- }()
	operand := func() (T, error) {
		if !s.take("(") {
			return one()
		}
		inner, err := logic(s, one, join)
		if err == nil && !s.take(")") {
			err = wrong("a parenthesis is not closed at '%s'", s.rest())
		}
		return inner, err
	}
	and := func() (T, error) {
		left, err := operand()
		for err == nil && s.take("&&") {
			var right T
			if right, err = operand(); err == nil {
				left = join("&&", left, right)
			}
		}
		return left, err
	}
	left, err := and()
	for err == nil && s.take("||") {
		var right T
		if right, err = and(); err == nil {
			left = join("||", left, right)
		}
	}
	return left, err
}
