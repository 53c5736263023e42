package awsapi

import (
	"net/url"
	"slices"
	"strings"
)

// maxLabels is the largest number of labels in one path of the Lambda model.
const maxLabels = 3

// labels are the decoded path parameters of a request, in the order of its operation's path.
type labels [maxLabels]string

// route is one segment of the operations' paths. Literal segments win over labels.
type route struct {
	literals map[string]*route
	label    *route
	// operations end here, by method; those that a constant in the query selects come first.
	operations map[string][]*operation
}

func newRoutes(operations []*operation) *route {
	root := &route{}
	for _, op := range operations {
		root.add(op)
	}
	return root
}

// add enters an operation under its path, such as /2017-03-31/tags/{Resource}.
func (n *route) add(op *operation) {
	for segment := range strings.SplitSeq(strings.TrimPrefix(op.path, "/"), "/") {
		if strings.HasPrefix(segment, "{") {
			if n.label == nil {
				n.label = &route{}
			}
			n = n.label
			continue
		}
		if n.literals[segment] == nil {
			if n.literals == nil {
				n.literals = map[string]*route{}
			}
			n.literals[segment] = &route{}
		}
		n = n.literals[segment]
	}
	if n.operations == nil {
		n.operations = map[string][]*operation{}
	}
	n.operations[op.method] = append(n.operations[op.method], op)
	slices.SortStableFunc(n.operations[op.method], func(a, b *operation) int { return len(b.selectors) - len(a.selectors) })
}

// find returns the operation that a request asks for, or nil. The path is the escaped one: a label may
// hold an ARN whose slashes arrive as %2F. One trailing slash makes no difference.
func (n *route) find(method, escapedPath string, query url.Values) (*operation, labels) {
	var values labels
	end := n.walk(strings.TrimPrefix(escapedPath, "/"), &values, 0)
	if end == nil {
		return nil, labels{}
	}
	for _, op := range end.operations[method] {
		if op.selectedBy(query) {
			return op, values
		}
	}
	return nil, labels{}
}

func (n *route) walk(path string, values *labels, depth int) *route {
	if path == "" {
		if n.operations == nil {
			return nil
		}
		return n
	}
	segment, rest, _ := strings.Cut(path, "/")
	if next := n.literals[segment]; next != nil {
		if end := next.walk(rest, values, depth); end != nil {
			return end
		}
	}
	if n.label == nil || segment == "" {
		return nil
	}
	value, err := url.PathUnescape(segment)
	if err != nil {
		return nil
	}
	values[depth] = value
	return n.label.walk(rest, values, depth+1)
}
