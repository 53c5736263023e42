package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"serin"
)

// Decode reads the text of a template, JSON or YAML, into a tree of map[string]any, []any, string, [json.Number] and
// bool. Short forms such as !GetAtt a.b become their long forms.
//
// Errors: KindValidation, with the line and the column where there is one.
func Decode(source string) (map[string]any, error) {
	if len(source) > MaxSize {
		return nil, serin.Errorf(serin.KindValidation, "Template may not exceed %d bytes in size.", MaxSize)
	}
	var tree any
	var err error
	if strings.HasPrefix(strings.TrimSpace(source), "{") {
		tree, err = decodeJSON(source)
	} else {
		tree, err = decodeYAML(source)
	}
	if err != nil {
		return nil, err
	}
	m, ok := tree.(map[string]any)
	if !ok {
		return nil, formatError("unsupported structure.")
	}
	return m, checkTree(m, "", 0)
}

// checkTree refuses nulls and values nested too deep.
func checkTree(v any, at string, depth int) error {
	if depth > maxDepth {
		return formatError("[%s] values are nested deeper than %d levels.", clip(at), maxDepth)
	}
	switch v := v.(type) {
	case nil:
		return formatError("[%s] 'null' values are not allowed in templates", clip(at))
	case map[string]any:
		for name, member := range v {
			if err := checkTree(member, at+"/"+name, depth+1); err != nil {
				return err
			}
		}
	case []any:
		for i, element := range v {
			if err := checkTree(element, fmt.Sprintf("%s/%d", at, i), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func decodeJSON(source string) (any, error) {
	d := json.NewDecoder(strings.NewReader(source))
	d.UseNumber()
	var tree any
	err := d.Decode(&tree)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return tree, nil
		}
		return nil, notWellFormedJSON(source, d.InputOffset())
	}
	offset := d.InputOffset()
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = e.Offset
	} else if errors.Is(err, io.ErrUnexpectedEOF) {
		offset = int64(len(source))
	}
	return nil, notWellFormedJSON(source, offset)
}

func notWellFormedJSON(source string, offset int64) error {
	before := source[:min(max(int(offset), 0), len(source))]
	line := 1 + strings.Count(before, "\n")
	column := len(before) - strings.LastIndexByte(before, '\n') - 1
	return formatError("JSON not well-formed. (line %d, column %d)", line, max(column, 1))
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

func decodeYAML(source string) (any, error) {
	if strings.TrimSpace(source) == "" {
		return nil, formatError("unsupported structure.")
	}
	var document yaml.Node
	d := yaml.NewDecoder(bytes.NewReader([]byte(source)))
	if err := d.Decode(&document); err != nil {
		return nil, notWellFormedYAML(err)
	}
	var second yaml.Node
	if err := d.Decode(&second); err == nil {
		return nil, formatError("YAML not well-formed. (line %d, column 1) There is more than one document.", second.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, notWellFormedYAML(err)
	}
	if len(document.Content) != 1 {
		return nil, formatError("unsupported structure.")
	}
	return fromNode(document.Content[0], 0)
}

func notWellFormedYAML(err error) error {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		return formatError("YAML not well-formed. (line %s)", m[1])
	}
	return formatError("YAML not well-formed.")
}

func badNode(n *yaml.Node, why string) error {
	return formatError("YAML not well-formed. (line %d, column %d) %s", n.Line, n.Column, why)
}

// fromNode makes a value of a node.
func fromNode(n *yaml.Node, depth int) (any, error) {
	if depth > maxDepth {
		return nil, badNode(n, fmt.Sprintf("Values are nested deeper than %d levels.", maxDepth))
	}
	value, err := plainNode(n, depth)
	if err != nil || !strings.HasPrefix(n.Tag, "!") || strings.HasPrefix(n.Tag, "!!") {
		return value, err
	}
	return longForm(n, value)
}

func plainNode(n *yaml.Node, depth int) (any, error) {
	switch n.Kind {
	case yaml.AliasNode:
		return nil, templateError("YAML aliases are not allowed in CloudFormation templates (line %d, column %d)", n.Line, n.Column)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := fromNode(c, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode {
				return nil, badNode(key, "A key must be text.")
			}
			if key.Tag == "!!merge" {
				return nil, templateError("YAML hash merges are not allowed in CloudFormation templates (line %d, column %d)", key.Line, key.Column)
			}
			if _, twice := m[key.Value]; twice {
				return nil, badNode(key, "The key "+clip(key.Value)+" is there twice.")
			}
			v, err := fromNode(n.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			m[key.Value] = v
		}
		return m, nil
	case yaml.ScalarNode:
		return scalar(n), nil
	default:
		return nil, badNode(n, "It is no value.")
	}
}

// jsonNumber is what a number looks like in JSON. Others that YAML knows, such as 012 and 0x1F, stay text, as names
// and account numbers mean them.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

func scalar(n *yaml.Node) any {
	switch {
	case n.Tag == "!!null":
		return nil
	case n.Tag == "!!bool" && (strings.EqualFold(n.Value, "true") || strings.EqualFold(n.Value, "false")):
		return strings.EqualFold(n.Value, "true")
	case (n.Tag == "!!int" || n.Tag == "!!float") && jsonNumber.MatchString(n.Value):
		return json.Number(n.Value)
	default:
		return n.Value
	}
}

// shortForms are the intrinsic functions that YAML writes as tags.
var shortForms = map[string]string{
	"!Ref": "Ref", "!Condition": "Condition", "!GetAtt": "Fn::GetAtt", "!Sub": "Fn::Sub", "!Join": "Fn::Join", "!Select": "Fn::Select", "!Split": "Fn::Split",
	"!If": "Fn::If", "!Equals": "Fn::Equals", "!Not": "Fn::Not", "!And": "Fn::And", "!Or": "Fn::Or", "!FindInMap": "Fn::FindInMap",
	"!ImportValue": "Fn::ImportValue", "!Base64": "Fn::Base64", "!Cidr": "Fn::Cidr", "!GetAZs": "Fn::GetAZs", "!Transform": "Fn::Transform",
	"!Length": "Fn::Length", "!ToJsonString": "Fn::ToJsonString", "!Contains": "Fn::Contains",
}

func longForm(n *yaml.Node, value any) (any, error) {
	name, ok := shortForms[n.Tag]
	if !ok {
		return nil, templateError("unknown tag %s (line %d, column %d)", clip(n.Tag), n.Line, n.Column)
	}
	if name == "Fn::GetAtt" {
		if s, isText := value.(string); isText {
			resource, attribute, _ := strings.Cut(s, ".")
			value = []any{resource, attribute}
		}
	}
	if n.Kind == yaml.ScalarNode {
		if _, isText := value.(string); !isText {
			value = n.Value // what a tag of one's own stands before is text
		}
	}
	return map[string]any{name: value}, nil
}
