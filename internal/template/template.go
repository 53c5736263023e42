// Package template understands CloudFormation templates. It is pure: text and values in, values and errors out, so that
// every rule of templates can be tested without a server.
//
// A template goes through four stages, each a function of this package:
//
//	Decode    text, JSON or YAML with short forms → a tree of maps, lists, strings, [json.Number], booleans
//	New       the tree → a [Template]: sections checked, references known
//	Bind      the template and the values of a caller → [Parameters]; SSM parameters are asked for through a function
//	Evaluate  a part of the template and a [Scope] → the same part without intrinsic functions
//
// A transform such as SAM's works between the first two, on the tree.
//
// Texts of errors are CloudFormation's, because people and tools know them. Input is hostile: text is at most [MaxSize]
// bytes, YAML aliases are refused as CloudFormation refuses them, and depth and size of every value are bounded.
//
// There is no library to build this on: goformation was archived in 2024 and resolves references to resources only
// when it reads a template, before any resource exists.
package template

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"serin"
)

// Bounds of templates. Those of CloudFormation (its documentation, 2025), but for depth and size of values.
const (
	MaxSize      = 1_000_000 // bytes of text
	maxResources = 500
	maxSection   = 200 // parameters, mappings, outputs
	maxDepth     = 100
	maxText      = 4 << 20 // bytes that one value may become
)

// Template is a template whose sections have been checked.
type Template struct {
	Description string
	Metadata    any
	Parameters  map[string]*Parameter
	Rules       map[string]any
	Mappings    map[string]any
	Conditions  map[string]any
	Transforms  []string
	Resources   map[string]*Resource
	Outputs     map[string]*Output
}

// Resource is a resource as the template describes it. Its values may hold intrinsic functions.
type Resource struct {
	ID                  string
	Type                string
	Properties          map[string]any
	DependsOn           []string
	Condition           string
	DeletionPolicy      any
	UpdateReplacePolicy any
	UpdatePolicy        any
	Metadata            any
}

// Output is what a stack tells the outside.
type Output struct {
	Description string
	Value       any
	Export      any // the name under which other stacks import it; nil for none
	Condition   string
}

// sections are the members that a template may have.
var sections = []string{
	"AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Mappings", "Conditions", "Transform", "Resources", "Outputs", "Hooks", "Globals",
}

// attributes are the members that a resource may have beside its type.
var attributes = []string{
	"Type", "Properties", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "UpdatePolicy", "CreationPolicy", "Metadata", "Description",
}

var alphanumeric = regexp.MustCompile(`^[A-Za-z0-9]+$`)

func formatError(format string, args ...any) error {
	return serin.Errorf(serin.KindValidation, "Template format error: "+format, args...)
}

func templateError(format string, args ...any) error {
	return serin.Errorf(serin.KindValidation, "Template error: "+format, args...)
}

// New checks the sections of a template and what they refer to.
//
// Errors: KindValidation, with CloudFormation's texts.
func New(tree map[string]any) (*Template, error) {
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		if !slices.Contains(sections, name) {
			return nil, serin.Errorf(serin.KindValidation, "Invalid template property or properties [%s]", clip(name))
		}
	}
	t := &Template{Metadata: tree["Metadata"]}
	for _, read := range []func(map[string]any) error{
		t.readHead, t.readParameters, t.readMaps, t.readResources, t.readOutputs, t.checkReferences,
	} {
		if err := read(tree); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *Template) readHead(tree map[string]any) error {
	if v, ok := tree["AWSTemplateFormatVersion"]; ok && text(v) != "2010-09-09" {
		return formatError("%s is not a supported value for AWSTemplateFormatVersion.", clip(text(v)))
	}
	if v, ok := tree["Description"]; ok {
		d, ok := v.(string)
		if !ok {
			return formatError("Description member is not a string.")
		}
		if len(d) > 1024 {
			return formatError("'Description' length is greater than 1024.")
		}
		t.Description = d
	}
	var err error
	t.Transforms, err = Transforms(tree)
	return err
}

// Transforms returns the names of the transforms that a tree asks for.
func Transforms(tree map[string]any) ([]string, error) {
	switch v := tree["Transform"].(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		var names []string
		for _, e := range v {
			name, ok := e.(string)
			if !ok {
				return nil, formatError("Transform must be a list of names of transforms.")
			}
			names = append(names, name)
		}
		return names, nil
	default:
		return nil, formatError("Transform must be the name of a transform.")
	}
}

// readMaps reads the sections that stay as they are.
func (t *Template) readMaps(tree map[string]any) (err error) {
	if t.Mappings, err = section(tree, "Mappings"); err != nil {
		return err
	}
	if t.Conditions, err = section(tree, "Conditions"); err != nil {
		return err
	}
	if t.Rules, err = section(tree, "Rules"); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(t.Mappings)) {
		levels, ok := t.Mappings[name].(map[string]any)
		for _, level := range levels {
			_, isMap := level.(map[string]any)
			ok = ok && isMap
		}
		if !ok {
			return formatError("Every Mappings attribute must be a map of maps: [/Mappings/%s]", clip(name))
		}
	}
	return nil
}

// section returns a section that is a map, nil if there is none.
func section(tree map[string]any, name string) (map[string]any, error) {
	v, ok := tree[name]
	if !ok {
		return nil, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, formatError("[/%s] %s member must be an object.", name, name)
	}
	if len(m) > maxSection && name != "Resources" {
		return nil, formatError("Number of %s, %d, is greater than maximum allowed, %d", strings.ToLower(name), len(m), maxSection)
	}
	return m, nil
}

func (t *Template) readResources(tree map[string]any) error {
	all, err := section(tree, "Resources")
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return formatError("At least one Resources member must be defined.")
	}
	if len(all) > maxResources {
		return formatError("Number of resources, %d, is greater than maximum allowed, %d", len(all), maxResources)
	}
	t.Resources = make(map[string]*Resource, len(all))
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if !alphanumeric.MatchString(id) {
			return formatError("Resource name %s is non alphanumeric.", clip(id))
		}
		r, err := readResource(id, all[id])
		if err != nil {
			return err
		}
		t.Resources[id] = r
	}
	return nil
}

func readResource(id string, v any) (*Resource, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, formatError("[/Resources/%s] Every Resources member must be an object.", id)
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(attributes, name) {
			return nil, serin.Errorf(serin.KindValidation, "Invalid template resource property '%s'", clip(name))
		}
	}
	r := &Resource{
		ID: id, DeletionPolicy: m["DeletionPolicy"], UpdateReplacePolicy: m["UpdateReplacePolicy"],
		UpdatePolicy: m["UpdatePolicy"], Metadata: m["Metadata"],
	}
	if r.Type, ok = m["Type"].(string); !ok || r.Type == "" {
		return nil, formatError("[/Resources/%s] Every Resources object must contain a Type member.", id)
	}
	if p, there := m["Properties"]; there {
		if r.Properties, ok = p.(map[string]any); !ok {
			return nil, formatError("[/Resources/%s/Properties] 'Properties' must be an object.", id)
		}
	}
	if c, there := m["Condition"]; there {
		if r.Condition, ok = c.(string); !ok {
			return nil, formatError("Every Condition member must be a string.")
		}
	}
	switch d := m["DependsOn"].(type) {
	case nil:
	case string:
		r.DependsOn = []string{d}
	case []any:
		for _, e := range d {
			name, ok := e.(string)
			if !ok {
				return nil, formatError("[/Resources/%s/DependsOn] DependsOn must be a string or list of strings.", id)
			}
			r.DependsOn = append(r.DependsOn, name)
		}
	default:
		return nil, formatError("[/Resources/%s/DependsOn] DependsOn must be a string or list of strings.", id)
	}
	return r, checkPolicies(r)
}

// checkPolicies checks policies that are written out; intrinsic functions are evaluated later.
func checkPolicies(r *Resource) error {
	for name, v := range map[string]any{"DeletionPolicy": r.DeletionPolicy, "UpdateReplacePolicy": r.UpdateReplacePolicy} {
		s, ok := v.(string)
		if !ok {
			continue
		}
		if err := CheckPolicy(name, s); err != nil {
			return err
		}
	}
	return nil
}

// CheckPolicy refuses a value that a DeletionPolicy or an UpdateReplacePolicy cannot have.
func CheckPolicy(name, value string) error {
	allowed := []string{"Delete", "Retain", "Snapshot"}
	if name == "DeletionPolicy" {
		allowed = append(allowed, "RetainExceptOnCreate")
	}
	if !slices.Contains(allowed, value) {
		return formatError("Unrecognized %s %s. Expected one of %s", name, clip(value), strings.Join(allowed, ", "))
	}
	return nil
}

func (t *Template) readOutputs(tree map[string]any) error {
	all, err := section(tree, "Outputs")
	if err != nil {
		return err
	}
	t.Outputs = make(map[string]*Output, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !alphanumeric.MatchString(name) {
			return formatError("Output name %s is non alphanumeric.", clip(name))
		}
		m, ok := all[name].(map[string]any)
		if !ok {
			return formatError("[/Outputs/%s] Every Outputs member must be an object.", name)
		}
		o := &Output{Description: text(m["Description"]), Condition: text(m["Condition"])}
		if o.Value, ok = m["Value"]; !ok {
			return formatError("Every Outputs member must contain a Value object")
		}
		if e, there := m["Export"]; there {
			export, _ := e.(map[string]any)
			if o.Export, ok = export["Name"]; !ok {
				return formatError("Export in output %s must contain a Name.", name)
			}
		}
		t.Outputs[name] = o
	}
	return nil
}

// text returns a scalar as text, "" for anything else.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case fmt.Stringer: // json.Number
		return v.String()
	case bool:
		return fmt.Sprint(v)
	default:
		return ""
	}
}

// clip bounds what an error repeats of a template.
func clip(s string) string {
	const most = 256
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
