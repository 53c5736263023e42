// Package sam turns templates of the Serverless Application Model into plain CloudFormation, as the transform
// AWS::Serverless-2016-10-31 does. It is pure: a tree of maps, lists and scalars in, another one out.
//
// A template goes through four steps:
//
//	globals   what the section Globals says is merged into every resource of its type
//	expand    a resource of AWS::Serverless becomes resources of AWS: a function its role, version, alias and deployment group
//	apis      the events of functions become the routes of their API, which is one OpenAPI document
//	rewrite   references to what a resource has become, such as !Ref Fn.Alias, name the new resources
//
// Logical ids, hashes included, are those of aws-sam-translator 1.110.0, so that a stack that was made with them sees no change; the
// tests hold this package to recordings of it. What is not here is refused by name and never left out in silence: state machines,
// tables, applications, connectors, REST APIs, events other than HttpApi.
package sam

import (
	"crypto/sha1" //nolint:gosec // names resources; nothing is protected by it
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"serin"
)

// Name is what templates call the transform.
const Name = "AWS::Serverless-2016-10-31"

const prefix = "AWS::Serverless::"

// object is a part of a template.
type object = map[string]any

// transform is one run.
type transform struct {
	parameters map[string]string
	globals    object
	in         object // resources
	out        object
	renamed    map[string]string // Fn.Alias → FnAliaslive
	apis       map[string]*httpAPI
	deploys    deployments
	errors     []string
}

// Transform returns the tree without resources of AWS::Serverless. parameters are the values of the stack's parameters, which count over
// their defaults. The tree that is given is not changed.
//
// Errors: KindValidation, with all that is wrong, in the words of CloudFormation.
func Transform(tree map[string]any, parameters map[string]string) (map[string]any, error) {
	t := &transform{parameters: defaults(tree, parameters), out: object{}, renamed: map[string]string{}, apis: map[string]*httpAPI{}}
	out := clone(tree)
	t.in, _ = out["Resources"].(object)
	t.readGlobals(out["Globals"])
	for _, id := range slices.Sorted(maps.Keys(t.in)) {
		t.resource(id)
	}
	t.finishAPIs()
	t.finishDeployments()
	if len(t.errors) > 0 {
		return nil, serin.Errorf(serin.KindValidation, "Transform %s failed with: Invalid Serverless Application Specification document. Number of errors found: %d. %s",
			Name, len(t.errors), strings.Join(t.errors, " "))
	}
	out["Resources"] = t.out
	delete(out, "Globals")
	delete(out, "Transform")
	for _, section := range []string{"Resources", "Outputs"} {
		if v, ok := out[section]; ok {
			out[section] = t.rewrite(v)
		}
	}
	return out, nil
}

// defaults returns the values of parameters as far as they are known.
func defaults(tree object, given map[string]string) map[string]string {
	all := map[string]string{}
	declared, _ := tree["Parameters"].(object)
	for name, p := range declared {
		if m, ok := p.(object); ok {
			if v, ok := m["Default"]; ok {
				all[name] = scalar(v)
			}
		}
	}
	maps.Copy(all, given)
	return all
}

// fail notes what is wrong with a resource.
func (t *transform) fail(id, format string, args ...any) {
	t.errors = append(t.errors, "Resource with id ["+id+"] is invalid. "+fmt.Sprintf(format, args...))
}

// resource expands one resource, or takes it as it is.
func (t *transform) resource(id string) {
	r, ok := t.in[id].(object)
	if !ok {
		t.out[id] = t.in[id]
		return
	}
	kind, _ := r["Type"].(string)
	if !strings.HasPrefix(kind, prefix) {
		t.add(id, r)
		if _, ok := r["Connectors"]; ok {
			t.fail(id, "Connectors are not supported by Serin: there are no permissions to give.")
		}
		return
	}
	properties, ok := r["Properties"].(object)
	if r["Properties"] != nil && !ok {
		t.fail(id, "Properties must be a map.")
		return
	}
	if _, ok := r["Connectors"]; ok {
		t.fail(id, "Connectors are not supported by Serin: there are no permissions to give.")
		return
	}
	properties = t.merged(strings.TrimPrefix(kind, prefix), properties)
	switch kind {
	case prefix + "Function":
		t.function(id, r, properties)
	case prefix + "LayerVersion":
		t.layer(id, r, properties)
	case prefix + "HttpApi":
		t.ownAPI(id, r, properties)
	case prefix + "Api":
		t.fail(id, "REST APIs (%s) are not supported by Serin: use AWS::Serverless::HttpApi, or a FunctionUrlConfig.", kind)
	default:
		t.fail(id, "Serin does not expand %s.", kind)
	}
}

// add adds a resource to what comes out.
func (t *transform) add(id string, r object) {
	if _, taken := t.out[id]; taken {
		t.fail(id, "Another resource has become %s.", id)
		return
	}
	t.out[id] = r
}

// passed are the attributes that every resource inherits from the one that it is made of.
var passed = []string{"Condition", "DeletionPolicy", "UpdateReplacePolicy"}

// made returns a resource that is made of another one.
func made(from object, kind string, properties object) object {
	r := object{"Type": kind, "Properties": properties}
	for _, name := range passed {
		if v, ok := from[name]; ok {
			r[name] = v
		}
	}
	return r
}

// take removes a property and returns it.
func take(properties object, name string) any {
	v := properties[name]
	delete(properties, name)
	return v
}

// resolve returns a value with references to parameters replaced by their values.
func (t *transform) resolve(v any) any {
	switch v := v.(type) {
	case object:
		if name, ok := v["Ref"].(string); ok && len(v) == 1 {
			if value, ok := t.parameters[name]; ok {
				return value
			}
		}
		out := object{}
		for key, inner := range v {
			out[key] = t.resolve(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = t.resolve(v[i])
		}
		return out
	default:
		return v
	}
}

// truth reads a boolean, which a parameter or JSON may hold as text.
func (t *transform) truth(v any) bool {
	switch v := t.resolve(v).(type) {
	case bool:
		return v
	case string:
		return strings.EqualFold(v, "true")
	default:
		return false
	}
}

// scalar returns the text of a scalar.
func scalar(v any) string { return fmt.Sprint(v) }

// hash returns what a logical id ends with: it changes when the data changes.
func hash(data any) string {
	sum := sha1.Sum(canonical(data)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])[:10]
}

func ref(id string) object { return object{"Ref": id} }

func getAtt(id, name string) object { return object{"Fn::GetAtt": []any{id, name}} }

// clone returns a copy of a tree.
func clone[T any](v T) T {
	c, _ := copied(any(v)).(T)
	return c
}

func copied(v any) any {
	switch v := v.(type) {
	case object:
		out := make(object, len(v))
		for key, inner := range v {
			out[key] = copied(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = copied(v[i])
		}
		return out
	default:
		return v
	}
}
