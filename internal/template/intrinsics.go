package template

import (
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// call evaluates an intrinsic function.
func (e *evaluator) call(name string, arg any) (any, error) {
	switch name {
	case "Ref":
		s, ok := arg.(string)
		if !ok {
			return nil, templateError("every Ref object must have a single String value.")
		}
		return e.ref(s)
	case "Fn::If":
		return e.choose(arg)
	case "Fn::GetAtt":
		return e.getAtt(arg)
	case "Fn::Sub":
		return e.sub(arg)
	}
	functions := map[string]func(*evaluator, any) (any, error){
		"Fn::Join": join, "Fn::Split": split, "Fn::Select": selectElement, "Fn::FindInMap": findInMap, "Fn::Base64": encode, "Fn::ImportValue": importValue,
		"Fn::GetAZs": zones, "Fn::Cidr": cidr, "Fn::Length": length, "Fn::ToJsonString": toJSON,
	}
	f, ok := functions[name]
	if !ok {
		return nil, templateError("the function %s cannot be used here", clip(name))
	}
	if name == "Fn::Length" || name == "Fn::ToJsonString" {
		if !slices.Contains(e.Transforms, "AWS::LanguageExtensions") {
			return nil, templateError("the function %s needs the transform AWS::LanguageExtensions", name)
		}
	}
	v, err := e.value(arg)
	if err != nil {
		return nil, err
	}
	if _, none := v.(noValue); none {
		return nil, templateError("%s has no value", name)
	}
	if name != "Fn::ToJsonString" && HasUnknown(v) {
		return Unknown{}, nil
	}
	return f(e, v)
}

// choose evaluates Fn::If, and nothing of the side that is not chosen.
func (e *evaluator) choose(arg any) (any, error) {
	list, ok := arg.([]any)
	if !ok || len(list) != 3 {
		return nil, templateError("Fn::If requires a list argument with three elements")
	}
	name, ok := list[0].(string)
	if !ok {
		return nil, templateError("Fn::If requires the name of a condition as its first element")
	}
	holds, err := e.condition(name)
	if err != nil {
		return nil, err
	}
	if holds {
		return e.value(list[1])
	}
	return e.value(list[2])
}

func (e *evaluator) getAtt(arg any) (any, error) {
	if s, ok := arg.(string); ok {
		resource, attribute, _ := strings.Cut(s, ".")
		arg = []any{resource, attribute}
	}
	list, ok := arg.([]any)
	if !ok || len(list) != 2 {
		return nil, templateError("every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute")
	}
	resource, ok := list[0].(string)
	if !ok || resource == "" {
		return nil, templateError("every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute")
	}
	attribute, err := e.value(list[1])
	if err != nil {
		return nil, err
	}
	if text(attribute) == "" {
		return nil, templateError("every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute")
	}
	return e.attribute(resource, text(attribute))
}

var subName = regexp.MustCompile(`^[A-Za-z0-9_.:]+$`)

// sub evaluates Fn::Sub: text, or a list of text and a map of variables.
func (e *evaluator) sub(arg any) (any, error) {
	var variables map[string]any
	format, ok := arg.(string)
	if list, isList := arg.([]any); isList && len(list) == 2 {
		format, ok = list[0].(string)
		own, isMap := list[1].(map[string]any)
		ok = ok && isMap
		variables = make(map[string]any, len(own))
		for name, v := range own {
			value, err := e.value(v)
			if err != nil {
				return nil, err
			}
			variables[name] = value
		}
	}
	if !ok {
		return nil, templateError("One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as first argument, and an optional second argument to specify a mapping of values to replace in the string")
	}
	var b strings.Builder
	unknown := false
	err := subParts(format, func(literal string) { b.WriteString(literal) }, func(name string) error {
		v, own := variables[name]
		var err error
		if resource, attribute, isAttribute := strings.Cut(name, "."); !own {
			if isAttribute {
				v, err = e.attribute(resource, attribute)
			} else {
				v, err = e.ref(name)
			}
		}
		if err != nil {
			return err
		}
		switch v.(type) {
		case Unknown:
			unknown = true
		case noValue, []any, map[string]any:
			return templateError("Fn::Sub needs text for ${%s}", clip(name))
		}
		b.WriteString(text(v))
		_, err = e.grow(text(v))
		return err
	})
	if err != nil {
		return nil, err
	}
	if unknown {
		return Unknown{}, nil
	}
	if strings.Contains(b.String(), "{{resolve:") {
		return e.dynamic(b.String())
	}
	return e.grow(b.String())
}

// subParts calls one function for each literal and one for each variable of the text of Fn::Sub.
func subParts(format string, literal func(string), variable func(string) error) error {
	for {
		before, rest, found := strings.Cut(format, "${")
		literal(before)
		if !found {
			return nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return templateError("every ${ in Fn::Sub needs a closing }")
		}
		if escaped, ok := strings.CutPrefix(name, "!"); ok {
			literal("${" + escaped + "}")
		} else {
			name = strings.TrimSpace(name)
			if !subName.MatchString(name) {
				return templateError("variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, periods, and colons")
			}
			if err := variable(name); err != nil {
				return err
			}
		}
		format = after
	}
}

func join(e *evaluator, v any) (any, error) {
	list, ok := v.([]any)
	if !ok || len(list) != 2 {
		return nil, errJoin
	}
	delimiter, ok := list[0].(string)
	elements, isList := list[1].([]any)
	if !ok || !isList {
		return nil, errJoin
	}
	parts := make([]string, len(elements))
	for i, element := range elements {
		switch element.(type) {
		case []any, map[string]any:
			return nil, errJoin
		}
		parts[i] = text(element)
	}
	return e.grow(strings.Join(parts, delimiter))
}

var errJoin = templateError("every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined or a function that returns a list of strings (such as Fn::GetAZs) to be joined.")

func split(_ *evaluator, v any) (any, error) {
	list, ok := v.([]any)
	if !ok || len(list) != 2 || text(list[0]) == "" {
		return nil, templateError("every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split or a function that returns a string to be split.")
	}
	source, ok := list[1].(string)
	if !ok {
		return nil, templateError("every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split or a function that returns a string to be split.")
	}
	out := []any{}
	for part := range strings.SplitSeq(source, text(list[0])) {
		out = append(out, part)
	}
	return out, nil
}

func selectElement(_ *evaluator, v any) (any, error) {
	list, ok := v.([]any)
	if !ok || len(list) != 2 {
		return nil, templateError("Fn::Select requires a list argument with two elements: an integer index and a list")
	}
	index, err := strconv.Atoi(text(list[0]))
	elements, isList := list[1].([]any)
	if err != nil || !isList {
		return nil, templateError("Fn::Select requires a list argument with two elements: an integer index and a list")
	}
	if index < 0 || index >= len(elements) {
		return nil, templateError("Fn::Select  cannot select nonexistent value at index %d", index)
	}
	return elements[index], nil
}

func findInMap(e *evaluator, v any) (any, error) {
	list, ok := v.([]any)
	if !ok || len(list) < 3 || len(list) > 4 || len(list) == 4 && !slices.Contains(e.Transforms, "AWS::LanguageExtensions") {
		return nil, templateError("every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for return value")
	}
	name, first, second := text(list[0]), text(list[1]), text(list[2])
	levels, ok := e.Mappings[name].(map[string]any)
	var value any
	if ok {
		level, _ := levels[first].(map[string]any)
		value, ok = level[second]
	} else if len(list) == 3 {
		return nil, templateError("Mapping named '%s' is not present in the 'Mappings' section of template.", clip(name))
	}
	if !ok && len(list) == 4 {
		if fallback, isMap := list[3].(map[string]any); isMap && fallback["DefaultValue"] != nil {
			return fallback["DefaultValue"], nil
		}
	}
	if !ok {
		return nil, templateError("Unable to get mapping for %s::%s::%s", clip(name), clip(first), clip(second))
	}
	return value, nil
}

func encode(e *evaluator, v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, templateError("every Fn::Base64 object must have a String-typed value.")
	}
	return e.grow(base64.StdEncoding.EncodeToString([]byte(s)))
}

func importValue(e *evaluator, v any) (any, error) {
	name, ok := v.(string)
	if !ok {
		return nil, templateError("the attribute in Fn::ImportValue must be a string or a function that returns a string")
	}
	if e.Import == nil {
		return nil, templateError("Fn::ImportValue cannot be used here")
	}
	return e.Import(name)
}

func zones(e *evaluator, v any) (any, error) {
	region := text(v)
	if region == "" {
		region = text(e.Pseudo["AWS::Region"])
	}
	return []any{region + "a", region + "b", region + "c"}, nil
}

// cidr evaluates Fn::Cidr: a block, how many smaller ones of it, and how many bits of an address those leave.
func cidr(_ *evaluator, v any) (any, error) {
	bad := templateError("every Fn::Cidr object requires an address block, a count from 1 to 256 and the bits of the smaller blocks")
	list, ok := v.([]any)
	if !ok || len(list) != 3 {
		return nil, bad
	}
	block, err1 := netip.ParsePrefix(text(list[0]))
	count, err2 := strconv.Atoi(text(list[1]))
	bits, err3 := strconv.Atoi(text(list[2]))
	if err1 != nil || err2 != nil || err3 != nil || count < 1 || count > 256 || bits < 1 || !block.Addr().Is4() {
		return nil, bad
	}
	length := 32 - bits
	if length < block.Bits() || bits < 32 && count > 1<<(length-block.Bits()) {
		return nil, bad
	}
	a := block.Masked().Addr().As4()
	base := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
	out := make([]any, count)
	for i := range out {
		n := base + uint32(i)<<bits
		out[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), length).String()
	}
	return out, nil
}

func length(_ *evaluator, v any) (any, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, templateError("Fn::Length requires a list")
	}
	return json.Number(strconv.Itoa(len(list))), nil
}

func toJSON(e *evaluator, v any) (any, error) {
	if HasUnknown(v) {
		return Unknown{}, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, templateError("Fn::ToJsonString cannot write the value")
	}
	return e.grow(string(b))
}
