package template

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"serin"
)

// Scope is what intrinsic functions look things up in.
type Scope struct {
	Parameters Parameters
	// Pseudo are the pseudo parameters but AWS::NoValue: AWS::Region and so on.
	Pseudo map[string]any
	// Conditions are the conditions of the template, from [Template.EvaluateConditions].
	Conditions map[string]bool
	// Ref and GetAtt return what a resource is known by. They may return [Unknown].
	Ref    func(resource string) (any, error)
	GetAtt func(resource, attribute string) (any, error)
	// Import returns what another stack exports.
	Import func(name string) (any, error)
	// Dynamic returns what {{resolve:service:reference}} stands for.
	Dynamic func(service, reference string) (string, error)
}

// Unknown is a value that is not known before something has been made. Whatever is computed from it is unknown too.
type Unknown struct{}

// HasUnknown reports whether a value is, or has inside it, [Unknown].
func HasUnknown(v any) bool {
	switch v := v.(type) {
	case Unknown:
		return true
	case map[string]any:
		for _, m := range v {
			if HasUnknown(m) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, HasUnknown)
	}
	return false
}

// noValue is AWS::NoValue: what has it is left out.
type noValue struct{}

// evaluator evaluates one value.
type evaluator struct {
	*Template
	*Scope
	produced int // bytes of text so far
	depth    int
}

// Evaluate returns a value of the template without its intrinsic functions. A value that is AWS::NoValue is nil.
//
// Errors: KindValidation with CloudFormation's texts, and those of the scope.
func (t *Template) Evaluate(v any, s *Scope) (any, error) {
	e := &evaluator{Template: t, Scope: s}
	out, err := e.value(v)
	if _, none := out.(noValue); none {
		out = nil
	}
	return out, err
}

func (e *evaluator) value(v any) (any, error) {
	if e.depth++; e.depth > 2*maxDepth {
		return nil, templateError("values are nested too deep")
	}
	defer func() { e.depth-- }()
	switch v := v.(type) {
	case map[string]any:
		if name, arg, ok := intrinsic(v); ok {
			return e.call(name, arg)
		}
		out := make(map[string]any, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			member, err := e.value(v[name])
			if err != nil {
				return nil, err
			}
			if _, none := member.(noValue); !none {
				out[name] = member
			}
		}
		return out, nil
	case []any:
		out := make([]any, 0, len(v))
		for _, element := range v {
			value, err := e.value(element)
			if err != nil {
				return nil, err
			}
			if _, none := value.(noValue); !none {
				out = append(out, value)
			}
		}
		return out, nil
	case string:
		return e.dynamic(v)
	default:
		return v, nil
	}
}

// intrinsic returns the intrinsic function that a map is.
func intrinsic(m map[string]any) (name string, arg any, ok bool) {
	if len(m) != 1 {
		return "", nil, false
	}
	for name, arg = range m {
	}
	return name, arg, name == "Ref" || strings.HasPrefix(name, "Fn::")
}

// grow refuses what would become too large.
func (e *evaluator) grow(s string) (any, error) {
	if e.produced += len(s); len(s) > maxText || e.produced > 16*maxText {
		return nil, templateError("a value is larger than %d bytes", maxText)
	}
	return s, nil
}

// dynamic replaces {{resolve:service:reference}} in text.
func (e *evaluator) dynamic(s string) (any, error) {
	const opening = "{{resolve:"
	if !strings.Contains(s, opening) {
		return s, nil
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, opening)
		b.WriteString(before)
		if !found {
			return e.grow(b.String())
		}
		inner, after, closed := strings.Cut(rest, "}}")
		service, reference, ok := strings.Cut(inner, ":")
		if !closed || !ok {
			return nil, templateError("the dynamic reference %s is not of the form {{resolve:service:reference}}", clip(opening+rest))
		}
		if e.Dynamic == nil {
			return nil, templateError("dynamic references to %s cannot be resolved here", clip(service))
		}
		v, err := e.Dynamic(service, reference)
		if err != nil {
			return nil, err
		}
		b.WriteString(v)
		s = after
	}
}

func (e *evaluator) ref(name string) (any, error) {
	if name == "AWS::NoValue" {
		return noValue{}, nil
	}
	if v, ok := e.Pseudo[name]; ok {
		return v, nil
	}
	if v, ok := e.Scope.Parameters[name]; ok {
		return v.value(), nil
	}
	if e.Resources[name] != nil && e.Ref != nil {
		return e.Ref(name)
	}
	return nil, formatError("Unresolved resource dependencies [%s] in the Resources block of the template", clip(name))
}

func (e *evaluator) attribute(resource, attribute string) (any, error) {
	if e.Resources[resource] == nil || e.GetAtt == nil {
		return nil, templateError("instance of Fn::GetAtt references undefined resource %s", clip(resource))
	}
	return e.GetAtt(resource, attribute)
}

// condition returns the value of a condition by its name.
func (e *evaluator) condition(name string) (bool, error) {
	v, ok := e.Scope.Conditions[name]
	if !ok {
		return false, formatError("Unresolved condition dependency %s in the Resources block of the template", clip(name))
	}
	return v, nil
}

// EvaluateConditions evaluates all conditions of the template. It uses the parameters and pseudo parameters of the scope
// alone.
func (t *Template) EvaluateConditions(s *Scope) (map[string]bool, error) {
	c := conditions{evaluator: evaluator{Template: t, Scope: &Scope{Parameters: s.Parameters, Pseudo: s.Pseudo}}, values: map[string]bool{}, open: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(t.Conditions)) {
		if _, err := c.named(name); err != nil {
			return nil, err
		}
	}
	return c.values, nil
}

// conditions evaluates conditions, which may name others.
type conditions struct {
	evaluator

	values, open map[string]bool
}

func (c *conditions) named(name string) (bool, error) {
	if v, ok := c.values[name]; ok {
		return v, nil
	}
	body, ok := c.Template.Conditions[name]
	if !ok {
		return false, formatError("Unresolved dependencies [%s]. Cannot reference resources in the Conditions block of the template", clip(name))
	}
	if c.open[name] {
		return false, formatError("Found circular condition dependency with %s", clip(name))
	}
	c.open[name] = true
	v, err := c.boolean(body, 0)
	if err == nil {
		c.values[name] = v
	}
	return v, err
}

// boolean evaluates a condition function.
func (c *conditions) boolean(v any, depth int) (bool, error) {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 1 || depth > maxDepth {
		return false, formatError("Conditions can only be boolean operations on parameters and other conditions")
	}
	for name, arg := range m {
		list, isList := arg.([]any)
		switch name {
		case "Condition":
			return c.named(text(arg))
		case "Fn::Not":
			if !isList || len(list) != 1 {
				return false, templateError("Fn::Not requires a list argument with one element")
			}
			inner, err := c.boolean(list[0], depth+1)
			return !inner, err
		case "Fn::And", "Fn::Or":
			return c.combined(name, list, depth)
		case "Fn::Equals":
			return c.equals(list)
		case "Fn::Contains", "Fn::EachMemberEquals", "Fn::EachMemberIn":
			return c.members(name, list)
		}
	}
	return false, formatError("Conditions can only be boolean operations on parameters and other conditions")
}

func (c *conditions) combined(name string, list []any, depth int) (bool, error) {
	if len(list) < 2 || len(list) > 10 {
		return false, templateError("every %s object requires a list of at least 2 and at most 10 boolean parameters.", name)
	}
	result := name == "Fn::And"
	for _, element := range list {
		v, err := c.boolean(element, depth+1)
		if err != nil {
			return false, err
		}
		if name == "Fn::And" {
			result = result && v
		} else {
			result = result || v
		}
	}
	return result, nil
}

func (c *conditions) equals(list []any) (bool, error) {
	if len(list) != 2 {
		return false, templateError("every Fn::Equals object requires a list of 2 string parameters.")
	}
	a, err := c.operand(list[0])
	if err != nil {
		return false, err
	}
	b, err := c.operand(list[1])
	return a == b, err
}

// operand returns a value for comparison: text, or the JSON of anything else.
func (c *conditions) operand(v any) (string, error) {
	v, err := c.value(v)
	if err != nil {
		return "", err
	}
	if s := text(v); s != "" {
		return s, nil
	}
	if v == "" {
		return "", nil
	}
	b, err := json.Marshal(v)
	return string(b), err
}

func (c *conditions) members(name string, list []any) (bool, error) {
	if len(list) != 2 {
		return false, templateError("every %s object requires a list of 2 parameters.", name)
	}
	a, err := c.texts(list[0])
	if err != nil {
		return false, err
	}
	b, err := c.texts(list[1])
	if err != nil {
		return false, err
	}
	switch name {
	case "Fn::Contains":
		return len(b) == 1 && slices.Contains(a, b[0]), nil
	case "Fn::EachMemberEquals":
		return len(b) == 1 && !slices.ContainsFunc(a, func(s string) bool { return s != b[0] }), nil
	default:
		return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) }), nil
	}
}

func (c *conditions) texts(v any) ([]string, error) {
	v, err := c.value(v)
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]string, len(list))
	for i, element := range list {
		out[i] = text(element)
	}
	return out, nil
}

// CheckRules evaluates the Rules section, which constrains parameters.
//
// Errors: KindValidation with the descriptions of the assertions that do not hold.
func (t *Template) CheckRules(s *Scope) error {
	c := conditions{evaluator: evaluator{Template: t, Scope: &Scope{Parameters: s.Parameters, Pseudo: s.Pseudo}}, values: maps.Clone(s.Conditions), open: map[string]bool{}}
	if c.values == nil {
		c.values = map[string]bool{}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Rules)) {
		rule, ok := t.Rules[name].(map[string]any)
		if !ok {
			return formatError("[/Rules/%s] Every Rules member must be an object.", clip(name))
		}
		if when, there := rule["RuleCondition"]; there {
			applies, err := c.boolean(when, 0)
			if err != nil {
				return err
			}
			if !applies {
				continue
			}
		}
		assertions, _ := rule["Assertions"].([]any)
		for _, a := range assertions {
			m, _ := a.(map[string]any)
			holds, err := c.boolean(m["Assert"], 0)
			if err != nil {
				return err
			}
			if !holds {
				return serin.Errorf(serin.KindValidation, "Template validation error: Rule %s failed: %s", clip(name), clip(text(m["AssertDescription"])))
			}
		}
	}
	return nil
}
