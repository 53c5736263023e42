package alarm

import (
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// Bounds of the expression of a composite alarm (AWS documentation).
const (
	maxExpression = 10240 // bytes
	maxElements   = 500
	maxChildren   = 100
	maxNesting    = 50
)

// expression is a parsed AlarmRule: what it says given the states of alarms. A state of "" is that of an alarm that
// there is not; only NOT is true of it.
type expression func(state func(name string) types.StateValue) bool

// parseExpression reads an AlarmRule:
//
//	rule    = all { OR all }
//	all     = one { AND one }
//	one     = NOT one | "(" rule ")" | TRUE | FALSE | STATE "(" alarm ")" | AT_LEAST "(" number [ "%" ] "," [ NOT ] STATE "," "(" alarm { "," alarm } ")" ")"
//	STATE   = ALARM | OK | INSUFFICIENT_DATA
//	alarm   = a name or an ARN, in quotation marks if it has spaces, parentheses, commas or quotation marks
//
// children are the alarms that it names, each once, as they are written.
//
// Errors: those of ValidationError, which say what is wrong.
func parseExpression(text string) (e expression, children []string, err error) {
	if len(text) > maxExpression {
		return nil, nil, validation("AlarmRule must not exceed %d characters.", maxExpression)
	}
	p := &ruleParser{rest: text}
	if err = p.next(); err == nil {
		e, err = p.either(0)
	}
	if err == nil && (p.token != "" || p.quoted) {
		err = p.unexpected()
	}
	switch {
	case err != nil:
		return nil, nil, err
	case len(p.children) > maxChildren:
		return nil, nil, validation("AlarmRule must not refer to more than %d alarms.", maxChildren)
	default:
		return e, p.children, nil
	}
}

type ruleParser struct {
	rest     string
	token    string // the next one, "" at the end
	quoted   bool   // token stood in quotation marks
	elements int
	children []string
}

const ruleSpace, ruleMarks = " \t\r\n", "(),"

func (p *ruleParser) next() error {
	p.rest = strings.TrimLeft(p.rest, ruleSpace)
	p.token, p.quoted = "", false
	if p.rest == "" {
		return nil
	}
	switch c := p.rest[0]; {
	case strings.IndexByte(ruleMarks, c) >= 0:
		p.token, p.rest = p.rest[:1], p.rest[1:]
		return nil
	case c == '"' || c == '\'':
		var ok bool
		if p.token, p.rest, ok = unquote(p.rest); !ok {
			return validation("AlarmRule has a quotation mark that is not closed.")
		}
		p.quoted = true
		return nil
	}
	end := strings.IndexAny(p.rest, ruleSpace+ruleMarks+`"`)
	if end < 0 {
		end = len(p.rest)
	}
	p.token, p.rest = p.rest[:end], p.rest[end:]
	return nil
}

// unquote reads a text up to the quotation mark that it begins with. A backslash keeps what follows it.
func unquote(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == s[0]:
			return b.String(), s[i+1:], true
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

func (p *ruleParser) is(word string) bool { return !p.quoted && strings.EqualFold(p.token, word) }

func (p *ruleParser) unexpected() error {
	if p.token == "" && !p.quoted {
		return validation("AlarmRule ends too early.")
	}
	return validation("AlarmRule cannot be parsed at '%s'.", quoted(p.token))
}

func (p *ruleParser) expect(mark string) error {
	if !p.is(mark) {
		return p.unexpected()
	}
	return p.next()
}

func (p *ruleParser) either(depth int) (expression, error) {
	return p.chain("OR", depth, p.all, func(a, b expression) expression {
		return func(s func(string) types.StateValue) bool { return a(s) || b(s) }
	})
}

func (p *ruleParser) all(depth int) (expression, error) {
	return p.chain("AND", depth, p.one, func(a, b expression) expression {
		return func(s func(string) types.StateValue) bool { return a(s) && b(s) }
	})
}

func (p *ruleParser) chain(word string, depth int, part func(int) (expression, error), join func(a, b expression) expression) (expression, error) {
	left, err := part(depth)
	for err == nil && p.is(word) {
		var right expression
		if err = p.next(); err == nil {
			right, err = part(depth)
		}
		left = join(left, right)
	}
	return left, err
}

func (p *ruleParser) one(depth int) (expression, error) {
	if p.elements++; p.elements > maxElements {
		return nil, validation("AlarmRule must not have more than %d elements.", maxElements)
	}
	if depth > maxNesting {
		return nil, validation("AlarmRule is nested too deeply.")
	}
	switch {
	case p.is("NOT"):
		if err := p.next(); err != nil {
			return nil, err
		}
		e, err := p.one(depth + 1)
		return func(s func(string) types.StateValue) bool { return !e(s) }, err
	case p.is("("):
		if err := p.next(); err != nil {
			return nil, err
		}
		e, err := p.either(depth + 1)
		if err != nil {
			return nil, err
		}
		return e, p.expect(")")
	case p.is("TRUE"), p.is("FALSE"):
		value := p.is("TRUE")
		return func(func(string) types.StateValue) bool { return value }, p.next()
	case p.is("AT_LEAST"):
		return p.atLeast()
	default:
		state, err := p.state()
		if err != nil {
			return nil, err
		}
		names, err := p.names(1)
		if err != nil {
			return nil, err
		}
		return func(s func(string) types.StateValue) bool { return s(names[0]) == state }, nil
	}
}

func (p *ruleParser) state() (types.StateValue, error) {
	for _, s := range types.StateValue("").Values() {
		if p.is(string(s)) {
			return s, p.next()
		}
	}
	return "", p.unexpected()
}

// names reads alarms in parentheses.
func (p *ruleParser) names(most int) ([]string, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var names []string
	for {
		if p.token == "" || !p.quoted && strings.Contains(ruleMarks, p.token) {
			return nil, p.unexpected()
		}
		names = append(names, p.token)
		if !slices.Contains(p.children, p.token) {
			if p.children = append(p.children, p.token); len(p.children) > maxChildren {
				return nil, validation("AlarmRule must not refer to more than %d alarms.", maxChildren)
			}
		}
		if err := p.next(); err != nil {
			return nil, err
		}
		if len(names) == most || !p.is(",") {
			return names, p.expect(")")
		}
		if err := p.next(); err != nil {
			return nil, err
		}
	}
}

// atLeast reads AT_LEAST(2, ALARM, (a, b, c)); the number may be a percentage, and the state may be negated.
func (p *ruleParser) atLeast() (expression, error) {
	if err := p.next(); err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	digits, percent := strings.CutSuffix(p.token, "%")
	least, err := strconv.Atoi(digits)
	if err != nil || least < 1 || percent && least > 100 {
		return nil, p.unexpected()
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	if err := p.expect(","); err != nil {
		return nil, err
	}
	wanted := true
	if p.is("NOT") {
		wanted = false
		if err := p.next(); err != nil {
			return nil, err
		}
	}
	state, err := p.state()
	if err != nil {
		return nil, err
	}
	if err := p.expect(","); err != nil {
		return nil, err
	}
	names, err := p.names(maxChildren)
	if err != nil {
		return nil, err
	}
	if percent {
		least = (least*len(names) + 99) / 100
	}
	if least > len(names) {
		return nil, validation("AlarmRule asks AT_LEAST for %d of %d alarms.", least, len(names))
	}
	return func(s func(string) types.StateValue) bool {
		n := 0
		for _, name := range names {
			if (s(name) == state) == wanted {
				n++
			}
		}
		return n >= least
	}, p.expect(")")
}
