package sam

import "slices"

// readGlobals checks the section Globals.
func (t *transform) readGlobals(v any) {
	if v == nil {
		return
	}
	globals, ok := v.(object)
	if !ok {
		t.errors = append(t.errors, "'Globals' section is invalid. It must be a non-empty dictionary.")
		return
	}
	known := []string{"Function", "Api", "HttpApi", "SimpleTable", "StateMachine", "LayerVersion", "CapacityProvider"}
	for name, section := range globals {
		if _, ok := section.(object); !ok || !slices.Contains(known, name) {
			t.errors = append(t.errors, "'Globals' section is invalid. '"+name+"' is not supported. Must be one of the following values - [Api, Function, HttpApi, LayerVersion, SimpleTable, StateMachine].")
		}
	}
	t.globals = globals
}

// merged returns the properties of a resource with those of Globals: maps are merged, lists joined, of anything else the resource's own
// counts.
func (t *transform) merged(section string, own object) object {
	global, _ := t.globals[section].(object)
	if own == nil {
		own = object{}
	}
	out, ok := merge(clone(global), own).(object)
	if !ok {
		return own
	}
	return out
}

func merge(global, own any) any {
	switch g := global.(type) {
	case object:
		o, ok := own.(object)
		if !ok || g == nil || intrinsic(g) || intrinsic(o) {
			return own
		}
		for key, value := range o {
			if before, ok := g[key]; ok {
				value = merge(before, value)
			}
			g[key] = value
		}
		return g
	case []any:
		if o, ok := own.([]any); ok {
			return slices.Concat(g, o)
		}
	}
	return own
}

// intrinsic reports whether a map is a function of CloudFormation.
func intrinsic(m object) bool {
	if len(m) != 1 {
		return false
	}
	for key := range m {
		return key == "Ref" || key == "Condition" || len(key) > 4 && key[:4] == "Fn::"
	}
	return false
}
