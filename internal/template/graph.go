package template

import (
	"maps"
	"slices"
	"strings"

	"serin"
)

// Active returns the resources whose conditions hold, by name.
func (t *Template) Active(conditions map[string]bool) (map[string]*Resource, error) {
	active := map[string]*Resource{}
	for id, r := range t.Resources {
		holds := true
		if r.Condition != "" {
			var known bool
			if holds, known = conditions[r.Condition]; !known {
				return nil, formatError("Unresolved condition dependency %s in the Resources block of the template", clip(r.Condition))
			}
		}
		if holds {
			active[id] = r
		}
	}
	return active, nil
}

// Dependencies returns for each active resource the active ones that must exist before it. With nil for conditions every
// resource is active and both sides of every Fn::If count.
//
// Errors: KindValidation if resources need each other in a circle.
func (t *Template) Dependencies(conditions map[string]bool) (map[string][]string, error) {
	active := t.Resources
	if conditions != nil {
		var err error
		if active, err = t.Active(conditions); err != nil {
			return nil, err
		}
	}
	needs := make(map[string][]string, len(active))
	for id, r := range active {
		found := map[string]bool{}
		add := func(name string) {
			if active[name] != nil {
				found[name] = true
			}
		}
		for _, name := range r.DependsOn {
			add(name)
		}
		for _, v := range []any{r.Properties, r.UpdatePolicy, r.DeletionPolicy, r.UpdateReplacePolicy} {
			references(v, conditions, add)
		}
		needs[id] = slices.Sorted(maps.Keys(found))
	}
	if circle := circular(needs); len(circle) > 0 {
		return nil, serin.Errorf(serin.KindValidation, "Circular dependency between resources: [%s]", strings.Join(circle, ", "))
	}
	return needs, nil
}

// references calls found for every name that a value refers to by Ref, Fn::GetAtt and Fn::Sub. With conditions only the
// sides of Fn::If that are chosen count.
func references(v any, conditions map[string]bool, found func(name string)) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			references(element, conditions, found)
		}
	case map[string]any:
		name, arg, ok := intrinsic(v)
		if !ok {
			for _, member := range v {
				references(member, conditions, found)
			}
			return
		}
		list, isList := arg.([]any)
		switch {
		case name == "Ref":
			found(text(arg))
		case name == "Fn::GetAtt":
			if s, isText := arg.(string); isText {
				resource, _, _ := strings.Cut(s, ".")
				found(resource)
			} else if len(list) > 0 {
				found(text(list[0]))
				references(list[1:], conditions, found)
			}
		case name == "Fn::Sub":
			subReferences(arg, conditions, found)
		case name == "Fn::If" && isList && len(list) == 3 && conditions != nil:
			side := list[2]
			if conditions[text(list[0])] {
				side = list[1]
			}
			references(side, conditions, found)
		default:
			references(arg, conditions, found)
		}
	}
}

func subReferences(arg any, conditions map[string]bool, found func(name string)) {
	format, _ := arg.(string)
	var own map[string]any
	if list, ok := arg.([]any); ok && len(list) == 2 {
		format, _ = list[0].(string)
		own, _ = list[1].(map[string]any)
		references(own, conditions, found)
	}
	// What is no name is refused when the text is evaluated.
	_ = subParts(format, func(string) {}, func(name string) error {
		if _, mine := own[name]; !mine {
			resource, _, _ := strings.Cut(name, ".")
			found(resource)
		}
		return nil
	})
}

// circular returns the resources that need each other, none if there are none.
func circular(needs map[string][]string) []string {
	left := maps.Clone(needs)
	needed := map[string]int{} // by how many of those that are left
	for _, names := range left {
		for _, n := range names {
			needed[n]++
		}
	}
	// First those go that need nothing, then those that nothing needs: what stays is in circles or between them.
	for again := true; again; {
		again = false
		for id, names := range left {
			ready := !slices.ContainsFunc(names, func(n string) bool { _, there := left[n]; return there })
			if ready || needed[id] == 0 {
				delete(left, id)
				for _, n := range names {
					needed[n]--
				}
				again = true
			}
		}
	}
	return slices.Sorted(maps.Keys(left))
}

// checkReferences refuses names that nothing in the template has.
func (t *Template) checkReferences(map[string]any) error {
	known := func(name string) bool {
		return t.Resources[name] != nil || t.Parameters[name] != nil || strings.HasPrefix(name, "AWS::")
	}
	missing := map[string]bool{}
	note := func(name string) {
		if !known(name) {
			missing[clip(name)] = true
		}
	}
	for _, r := range t.Resources {
		for _, name := range r.DependsOn {
			if t.Resources[name] == nil {
				missing[clip(name)] = true
			}
		}
		for _, v := range []any{r.Properties, r.UpdatePolicy} {
			references(v, nil, note)
		}
		if r.Condition != "" && t.Conditions[r.Condition] == nil {
			return formatError("Unresolved condition dependency %s in the Resources block of the template", clip(r.Condition))
		}
	}
	if len(missing) > 0 {
		return formatError("Unresolved resource dependencies [%s] in the Resources block of the template", strings.Join(slices.Sorted(maps.Keys(missing)), ", "))
	}
	for _, o := range t.Outputs {
		references(o.Value, nil, note)
		references(o.Export, nil, note)
		if o.Condition != "" && t.Conditions[o.Condition] == nil {
			return formatError("Unresolved condition dependency %s in the Outputs block of the template", clip(o.Condition))
		}
	}
	if len(missing) > 0 {
		return formatError("Unresolved resource dependencies [%s] in the Outputs block of the template", strings.Join(slices.Sorted(maps.Keys(missing)), ", "))
	}
	for _, c := range t.Conditions {
		references(c, nil, func(name string) {
			if t.Parameters[name] == nil && !strings.HasPrefix(name, "AWS::") {
				missing[clip(name)] = true
			}
		})
	}
	if len(missing) > 0 {
		return formatError("Unresolved dependencies [%s]. Cannot reference resources in the Conditions block of the template", strings.Join(slices.Sorted(maps.Keys(missing)), ", "))
	}
	return nil
}
