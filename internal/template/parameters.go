package template

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"serin"
)

// Parameter is a parameter that a template declares.
type Parameter struct {
	Name, Type, Description string
	Default                 *string
	NoEcho                  bool
	AllowedValues           []string
	AllowedPattern          string
	ConstraintDescription   string
	MinLength, MaxLength    *int
	MinValue, MaxValue      *float64

	pattern *regexp.Regexp
}

// Value is the value of a parameter of a stack.
type Value struct {
	Given string `json:"given"` // as the caller wrote it, or the default
	// Resolved is what an SSM parameter holds under the name Given.
	Resolved *string `json:"resolved,omitempty"`
	NoEcho   bool    `json:"noEcho,omitempty"`
	List     bool    `json:"list,omitempty"`
}

// Parameters are the values of all parameters of a template.
type Parameters map[string]Value

// value returns what a Ref to the parameter gives.
func (v Value) value() any {
	s := v.Given
	if v.Resolved != nil {
		s = *v.Resolved
	}
	if !v.List {
		return s
	}
	list := []any{}
	for e := range strings.SplitSeq(s, ",") {
		list = append(list, strings.TrimSpace(e))
	}
	return list
}

const ssmValue = "AWS::SSM::Parameter::Value<"

// stored returns the type of what an SSM parameter holds, if the parameter names one.
func (p *Parameter) stored() (string, bool) {
	inner, ok := strings.CutPrefix(p.Type, ssmValue)
	return strings.TrimSuffix(inner, ">"), ok
}

// list reports whether the parameter is a list.
func (p *Parameter) list() bool {
	t := p.Type
	if inner, ok := p.stored(); ok {
		t = inner
	}
	return t == "CommaDelimitedList" || strings.HasPrefix(t, "List<")
}

var parameterTypes = regexp.MustCompile(`^(String|Number|CommaDelimitedList|List<(String|Number|AWS::[A-Za-z0-9]+::[A-Za-z0-9:]+)>|AWS::[A-Za-z0-9]+::[A-Za-z0-9:]+(<[A-Za-z0-9:<>]+>)?)$`)

func (t *Template) readParameters(tree map[string]any) error {
	all, err := section(tree, "Parameters")
	if err != nil {
		return err
	}
	t.Parameters = make(map[string]*Parameter, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !alphanumeric.MatchString(name) {
			return formatError("Parameter name %s is non alphanumeric.", clip(name))
		}
		m, ok := all[name].(map[string]any)
		if !ok {
			return formatError("[/Parameters/%s] Every Parameters member must be an object.", name)
		}
		p, err := readParameter(name, m)
		if err != nil {
			return err
		}
		t.Parameters[name] = p
	}
	return nil
}

var parameterMembers = []string{
	"Type", "Description", "Default", "NoEcho", "AllowedValues", "AllowedPattern", "ConstraintDescription", "MinLength", "MaxLength", "MinValue", "MaxValue",
}

func readParameter(name string, m map[string]any) (*Parameter, error) {
	for _, member := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(parameterMembers, member) {
			return nil, serin.Errorf(serin.KindValidation, "Invalid template parameter property '%s'", clip(member))
		}
	}
	p := &Parameter{
		Name: name, Type: text(m["Type"]), Description: text(m["Description"]), NoEcho: strings.EqualFold(text(m["NoEcho"]), "true"),
		AllowedPattern: text(m["AllowedPattern"]), ConstraintDescription: text(m["ConstraintDescription"]),
	}
	if p.Type == "" {
		return nil, formatError("Every Parameters object must contain a Type member.")
	}
	if !parameterTypes.MatchString(p.Type) {
		return nil, formatError("Unrecognized parameter type: %s", clip(p.Type))
	}
	if d, ok := m["Default"]; ok {
		switch d.(type) {
		case string, bool, json.Number:
		default:
			return nil, formatError("Every Default member must be a string.")
		}
		p.Default = new(text(d))
	}
	if v, ok := m["AllowedValues"]; ok {
		list, isList := v.([]any)
		if !isList {
			return nil, formatError("Every AllowedValues member must be a list.")
		}
		for _, e := range list {
			p.AllowedValues = append(p.AllowedValues, text(e))
		}
	}
	if p.AllowedPattern != "" {
		var err error
		if p.pattern, err = regexp.Compile(`^(?:` + p.AllowedPattern + `)$`); err != nil {
			return nil, formatError("AllowedPattern of parameter %s is not a regular expression that can be read: %s", name, clip(p.AllowedPattern))
		}
	}
	return p, p.readBounds(m)
}

func (p *Parameter) readBounds(m map[string]any) error {
	for member, to := range map[string]**int{"MinLength": &p.MinLength, "MaxLength": &p.MaxLength} {
		if v, ok := m[member]; ok {
			n, err := strconv.Atoi(text(v))
			if err != nil || n < 0 {
				return formatError("Every %s member must be a non-negative integer.", member)
			}
			*to = &n
		}
	}
	for member, to := range map[string]**float64{"MinValue": &p.MinValue, "MaxValue": &p.MaxValue} {
		if v, ok := m[member]; ok {
			n, err := strconv.ParseFloat(text(v), 64)
			if err != nil {
				return formatError("Every %s member must be a number.", member)
			}
			*to = &n
		}
	}
	return nil
}

// Bind gives every parameter of the template its value: that of the caller, or else the default. Parameters that name
// an SSM parameter are looked up; lookup may be nil if there is no SSM.
//
// Errors: KindValidation, with CloudFormation's texts, and those of lookup.
func (t *Template) Bind(ctx context.Context, given map[string]string, lookup func(ctx context.Context, name string) (string, error)) (Parameters, error) {
	var unknown, missing []string
	for name := range given {
		if t.Parameters[name] == nil {
			unknown = append(unknown, clip(name))
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return nil, serin.Errorf(serin.KindValidation, "Parameters: [%s] do not exist in the template", strings.Join(unknown, ", "))
	}
	bound := make(Parameters, len(t.Parameters))
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		p := t.Parameters[name]
		v, ok := given[name]
		if !ok && p.Default != nil {
			v, ok = *p.Default, true
		}
		if !ok {
			missing = append(missing, name)
			continue
		}
		bound[name] = Value{Given: v, NoEcho: p.NoEcho, List: p.list()}
	}
	if len(missing) > 0 {
		return nil, serin.Errorf(serin.KindValidation, "Parameters: [%s] must have values", strings.Join(missing, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(bound)) {
		v := bound[name]
		if err := t.Parameters[name].check(v.Given); err != nil {
			return nil, err
		}
		if _, stored := t.Parameters[name].stored(); stored {
			if lookup == nil {
				return nil, serin.Errorf(serin.KindValidation, "Parameter %s is of type %s, and there is no SSM here.", name, t.Parameters[name].Type)
			}
			resolved, err := lookup(ctx, v.Given)
			if err != nil {
				return nil, err
			}
			v.Resolved = &resolved
			bound[name] = v
		}
	}
	return bound, nil
}

// check refuses a value that breaks a constraint.
func (p *Parameter) check(value string) error {
	if _, stored := p.stored(); stored && p.pattern == nil && p.AllowedValues == nil {
		return nil
	}
	parts := []string{value}
	if p.list() {
		parts = strings.Split(value, ",")
	}
	for _, v := range parts {
		v = strings.TrimSpace(v)
		if !p.list() {
			v = value
		}
		if why := p.violation(v); why != "" {
			if p.ConstraintDescription != "" {
				return serin.Errorf(serin.KindValidation, "Parameter %s failed to satisfy constraint: %s", p.Name, p.ConstraintDescription)
			}
			return serin.Errorf(serin.KindValidation, "Parameter '%s' %s", p.Name, why)
		}
	}
	return nil
}

func (p *Parameter) violation(v string) string {
	number := p.Type == "Number" || p.Type == "List<Number>"
	n, err := strconv.ParseFloat(cmp.Or(v, "x"), 64)
	switch {
	case len(p.AllowedValues) > 0 && !slices.Contains(p.AllowedValues, v):
		return "must be one of AllowedValues"
	case number && err != nil:
		return "must be a number"
	case number && p.MinValue != nil && n < *p.MinValue:
		return "must be a number not less than " + strconv.FormatFloat(*p.MinValue, 'f', -1, 64)
	case number && p.MaxValue != nil && n > *p.MaxValue:
		return "must be a number not greater than " + strconv.FormatFloat(*p.MaxValue, 'f', -1, 64)
	case p.MinLength != nil && len([]rune(v)) < *p.MinLength:
		return "must contain at least " + strconv.Itoa(*p.MinLength) + " characters"
	case p.MaxLength != nil && len([]rune(v)) > *p.MaxLength:
		return "must contain at most " + strconv.Itoa(*p.MaxLength) + " characters"
	case p.pattern != nil && !p.pattern.MatchString(v):
		return "must match pattern " + p.AllowedPattern
	default:
		return ""
	}
}
