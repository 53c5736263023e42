package cloudformation

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"serin/internal/template"
)

// plan says what deploying a template would change. Values that are not known before something is made count as changed.
type plan struct {
	changes []types.Change
	outputs bool // outputs or tags differ
}

func (p *plan) empty() bool { return len(p.changes) == 0 && !p.outputs }

// planner computes a plan.
type planner struct {
	*Service

	prepared *prepared
	records  map[string]*record
	// fresh are resources whose identity is not known before the deployment.
	fresh map[string]bool
}

func (s *Service) plan(ctx context.Context, st *stack, p *prepared) (*plan, error) {
	records, err := s.records(ctx, st.ID)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(records, func(_ string, r *record) bool { return !r.Exists })
	pl := &planner{Service: s, prepared: p, records: records, fresh: map[string]bool{}}
	scope := *p.scope
	scope.Ref = func(id string) (any, error) {
		if r := records[id]; r != nil && !pl.fresh[id] {
			return r.PhysicalID, nil
		}
		return template.Unknown{}, nil
	}
	scope.GetAtt = pl.attribute
	out := &plan{}
	for _, id := range inOrderOfNeeds(p.needs) {
		c, err := pl.resource(id, &scope)
		if err != nil {
			return nil, err
		}
		if c != nil {
			out.changes = append(out.changes, types.Change{Type: types.ChangeTypeResource, ResourceChange: c})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(records)) {
		if _, stays := p.needs[id]; !stays {
			r := records[id]
			action := types.PolicyActionDelete
			if r.DeletionPolicy == "Retain" {
				action = types.PolicyActionRetain
			}
			out.changes = append(out.changes, types.Change{Type: types.ChangeTypeResource, ResourceChange: &types.ResourceChange{
				Action: types.ChangeActionRemove, LogicalResourceId: &r.LogicalID, PhysicalResourceId: &r.PhysicalID, ResourceType: &r.Type,
				PolicyAction: action, Scope: []types.ResourceAttribute{}, Details: []types.ResourceChangeDetail{},
			}})
		}
	}
	out.outputs, err = pl.others(ctx, st, &scope)
	return out, err
}

// inOrderOfNeeds sorts names so that each comes after those that it needs.
func inOrderOfNeeds(needs map[string][]string) []string {
	var order []string
	seen := map[string]bool{}
	var visit func(string)
	visit = func(id string) {
		if seen[id] {
			return
		}
		seen[id] = true
		for _, n := range needs[id] {
			visit(n)
		}
		order = append(order, id)
	}
	for _, id := range slices.Sorted(maps.Keys(needs)) {
		visit(id)
	}
	return order
}

func (p *planner) attribute(id, name string) (any, error) {
	kind := p.Types[p.prepared.template.Resources[id].Type]
	if !kind.HasAttribute(name) {
		return nil, validation("Template error: resource %s does not support attribute type %s in Fn::GetAtt", id, name)
	}
	r := p.records[id]
	if r == nil || p.fresh[id] {
		return template.Unknown{}, nil
	}
	if v, ok := r.Attributes[name]; ok {
		return v, nil
	}
	return template.Unknown{}, nil
}

// resource returns what becomes of a resource, nil if nothing does.
func (p *planner) resource(id string, scope *template.Scope) (*types.ResourceChange, error) {
	tr := p.prepared.template.Resources[id]
	v, err := p.prepared.template.Evaluate(tr.Properties, scope)
	if err != nil {
		return nil, err
	}
	next, _ := v.(map[string]any)
	kind, r := p.Types[tr.Type], p.records[id]
	if next, _, err = p.adapt(tr, next); err != nil && r != nil {
		return nil, err
	}
	c := &types.ResourceChange{
		LogicalResourceId: &id, ResourceType: &tr.Type, Scope: []types.ResourceAttribute{}, Details: []types.ResourceChangeDetail{},
	}
	if r == nil {
		p.fresh[id] = true
		c.Action = types.ChangeActionAdd
		return c, nil
	}
	if r.Type != tr.Type {
		return nil, validation("Update of resource type is not permitted. The new template modifies resource type of the following resources: [%s]", id)
	}
	changed, _ := kind.Changed(r.Properties, next)
	if len(changed) == 0 {
		return nil, nil
	}
	c.Action, c.PhysicalResourceId, c.Replacement = types.ChangeActionModify, &r.PhysicalID, types.ReplacementFalse
	c.Scope = []types.ResourceAttribute{types.ResourceAttributeProperties}
	for _, name := range changed {
		p.detail(c, name, kind.Replaces(name), template.HasUnknown(next[name]))
	}
	if p.fresh[id] = c.Replacement != types.ReplacementFalse; p.fresh[id] {
		c.PolicyAction = types.PolicyActionReplaceAndDelete
		if r.UpdateReplacePolicy == "Retain" {
			c.PolicyAction = types.PolicyActionReplaceAndRetain
		}
	}
	return c, nil
}

func (p *planner) detail(c *types.ResourceChange, name string, replaces, dynamic bool) {
	d := types.ResourceChangeDetail{
		ChangeSource: types.ChangeSourceDirectModification, Evaluation: types.EvaluationTypeStatic,
		Target: &types.ResourceTargetDefinition{Attribute: types.ResourceAttributeProperties, Name: &name, RequiresRecreation: types.RequiresRecreationNever},
	}
	if dynamic {
		d.ChangeSource, d.Evaluation = types.ChangeSourceResourceReference, types.EvaluationTypeDynamic
	}
	if replaces {
		d.Target.RequiresRecreation = types.RequiresRecreationAlways
		if dynamic && c.Replacement == types.ReplacementFalse {
			c.Replacement = types.ReplacementConditional
		} else if !dynamic {
			c.Replacement = types.ReplacementTrue
		}
	}
	c.Details = append(c.Details, d)
}

// others reports whether outputs or tags change.
func (p *planner) others(ctx context.Context, st *stack, scope *template.Scope) (bool, error) {
	if st.Current == nil {
		return true, nil
	}
	if !maps.Equal(st.Current.Tags, p.prepared.Tags) {
		return true, nil
	}
	before, err := p.storedTemplate(ctx, st.Current.Template)
	if err != nil {
		return false, err
	}
	t := p.prepared.template
	if !reflect.DeepEqual(before.Outputs, t.Outputs) {
		return true, nil
	}
	values := map[string]string{}
	for _, o := range st.Outputs {
		values[o.Key] = o.Value
	}
	for key, o := range t.Outputs {
		if o.Condition != "" && !scope.Conditions[o.Condition] {
			if _, there := values[key]; there {
				return true, nil
			}
			continue
		}
		v, err := t.Evaluate(o.Value, scope)
		if err != nil {
			return false, err
		}
		if text, ok := textOf(v); !ok || text != values[key] {
			return true, nil
		}
	}
	return false, nil
}
