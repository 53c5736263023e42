package cloudwatch

import (
	"strconv"
	"strings"
)

// Bounds of expressions: AWS's length, and a depth that no person writes.
const (
	maxExpression = 2048
	maxDepth      = 64
)

// node is a part of an expression: an operator or a function with its arguments, or a leaf.
type node struct {
	kind nodeKind
	text string  // operator, name, or text
	num  float64 // of a number
	args []*node
}

type nodeKind int

const (
	nodeNumber nodeKind = iota
	nodeText
	nodeName // an Id, or a word such as REPEAT
	nodeCall
	nodeOperator
	nodeList
)

// parser reads an expression by recursive descent.
type parser struct {
	src   string
	at    int
	depth int
}

// parseExpression reads metric math.
func parseExpression(src string) (*node, error) {
	if len(src) > maxExpression {
		return nil, validation("An expression has at most %d characters.", maxExpression)
	}
	p := &parser{src: src}
	n, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	if p.skip(); p.at < len(p.src) {
		return nil, p.fail("an operator")
	}
	return n, nil
}

func (p *parser) fail(wanted string) error {
	return validation("Error in expression '%s': Syntax error at position %d: %s is missing.", quoted(p.src), p.at+1, wanted)
}

func (p *parser) skip() {
	for p.at < len(p.src) && strings.IndexByte(" \t\r\n", p.src[p.at]) >= 0 {
		p.at++
	}
}

// take consumes a token if it comes next.
func (p *parser) take(token string) bool {
	p.skip()
	if !strings.HasPrefix(p.src[p.at:], token) {
		return false
	}
	if end := p.at + len(token); letter(token[0]) && end < len(p.src) && letter(p.src[end]) {
		return false // a longer word
	}
	p.at += len(token)
	return true
}

func letter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// levels are the binary operators by how loosely they bind. Longer ones come first where they share a beginning.
var levels = [][]string{
	{"||", "OR"}, {"&&", "AND"}, {"==", "!=", "<=", ">=", "<", ">"}, {"+", "-"}, {"*", "/", "%"}, {"^"},
}

func (p *parser) binary(level int) (*node, error) {
	if level == len(levels) {
		return p.unary()
	}
	if p.depth++; p.depth > maxDepth*len(levels) {
		return nil, validation("The expression is nested too deeply.")
	}
	defer func() { p.depth-- }()
	left, err := p.binary(level + 1)
	for err == nil {
		op := p.operator(level)
		if op == "" {
			return left, nil
		}
		var right *node
		if right, err = p.binary(level + 1); err == nil {
			left = &node{kind: nodeOperator, text: op, args: []*node{left, right}}
		}
	}
	return nil, err
}

func (p *parser) operator(level int) string {
	for _, op := range levels[level] {
		if p.take(op) {
			switch op {
			case "OR":
				return "||"
			case "AND":
				return "&&"
			default:
				return op
			}
		}
	}
	return ""
}

func (p *parser) unary() (*node, error) {
	if !p.take("-") {
		return p.primary()
	}
	if p.depth++; p.depth > maxDepth*len(levels) {
		return nil, validation("The expression is nested too deeply.")
	}
	defer func() { p.depth-- }()
	of, err := p.unary()
	return &node{kind: nodeOperator, text: "-", args: []*node{{kind: nodeNumber}, of}}, err
}

func (p *parser) primary() (*node, error) {
	p.skip()
	switch {
	case p.at == len(p.src):
		return nil, p.fail("a metric, a number or a function")
	case p.take("("):
		n, err := p.binary(0)
		if err == nil && !p.take(")") {
			err = p.fail(")")
		}
		return n, err
	case p.take("["):
		args, err := p.arguments("]")
		return &node{kind: nodeList, args: args}, err
	case p.src[p.at] == '\'' || p.src[p.at] == '"':
		return p.quoted()
	case '0' <= p.src[p.at] && p.src[p.at] <= '9' || p.src[p.at] == '.':
		return p.number()
	case letter(p.src[p.at]):
		return p.name()
	default:
		return nil, p.fail("a metric, a number or a function")
	}
}

func (p *parser) quoted() (*node, error) {
	quote := p.src[p.at]
	end := strings.IndexByte(p.src[p.at+1:], quote)
	if end < 0 {
		return nil, p.fail("the closing quote")
	}
	text := p.src[p.at+1 : p.at+1+end]
	p.at += end + 2
	return &node{kind: nodeText, text: text}, nil
}

func (p *parser) number() (*node, error) {
	start := p.at
	for p.at < len(p.src) && strings.IndexByte("0123456789.eE", p.src[p.at]) >= 0 {
		p.at++
	}
	n, err := strconv.ParseFloat(p.src[start:p.at], 64)
	if err != nil {
		p.at = start
		return nil, p.fail("a number")
	}
	return &node{kind: nodeNumber, num: n}, nil
}

func (p *parser) name() (*node, error) {
	start := p.at
	for p.at < len(p.src) && letter(p.src[p.at]) {
		p.at++
	}
	name := p.src[start:p.at]
	if !p.take("(") {
		return &node{kind: nodeName, text: name}, nil
	}
	args, err := p.arguments(")")
	return &node{kind: nodeCall, text: strings.ToUpper(name), args: args}, err
}

func (p *parser) arguments(end string) ([]*node, error) {
	var args []*node
	if p.take(end) {
		return nil, nil
	}
	for {
		n, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		args = append(args, n)
		if p.take(end) {
			return args, nil
		}
		if !p.take(",") {
			return nil, p.fail("a comma or " + end)
		}
	}
}
