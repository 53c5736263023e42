package cloudformation

import (
	"context"
	"crypto/rand"
	"maps"
	"reflect"

	"serin/internal/resource"
	"serin/internal/template"
)

// change brings one resource to what the template says.
type change struct {
	*operation

	template *template.Template
	scope    *template.Scope
	resource *template.Resource
	needs    []string
	kind     *resource.Type
	want     state
	notes    []string // what was adapted, for the event
}

// change deploys a resource. Its error has been told in an event.
func (o *operation) change(ctx context.Context, c *change) error {
	o.mu.Lock()
	var r *record
	if known := o.records[c.resource.ID]; known != nil {
		r = new(*known)
	}
	o.mu.Unlock()
	if r != nil && r.Operation == o.stack.Operation && r.Done {
		return nil
	}
	fresh := r == nil || !r.Exists && r.Operation != o.stack.Operation
	if fresh {
		r = &record{StackID: o.stack.ID, LogicalID: c.resource.ID, Type: c.resource.Type}
	}
	begun := r.Operation == o.stack.Operation // before the server was killed
	if !begun {
		r.Before, r.Saved = nil, ""
		if r.Exists {
			r.Before = new(r.state)
		}
	}
	if err := c.evaluate(); err != nil {
		return c.fail(ctx, r, err)
	}
	if r.Type != c.resource.Type {
		return c.fail(ctx, r, validation("Update of resource type is not permitted. The new template modifies resource type of the following resources: [%s]", r.LogicalID))
	}
	if r.Before == nil {
		return c.create(ctx, r, begun)
	}
	changed, replacing := c.kind.Changed(r.Before.Properties, c.want.Properties)
	if len(changed) > 0 && !begun {
		if err := o.stack.permits(updateActions(len(replacing) > 0), r.LogicalID, r.Type); err != nil {
			return c.fail(ctx, r, err)
		}
	}
	switch {
	case len(changed) == 0:
		return c.leave(ctx, r)
	case len(replacing) > 0:
		return c.replace(ctx, r, begun)
	default:
		return c.inPlace(ctx, r, begun)
	}
}

// evaluate finds out what is wanted.
func (c *change) evaluate() error {
	r := c.resource
	if c.kind = c.Types[r.Type]; c.kind == nil {
		return validation("Serin does not have the resource type %s (resource %s)", r.Type, r.ID)
	}
	v, err := c.template.Evaluate(r.Properties, c.scope)
	if err != nil {
		return err
	}
	properties, _ := v.(map[string]any)
	if properties == nil {
		properties = map[string]any{}
	}
	if properties, c.notes, err = c.adapt(r, properties); err != nil {
		return err
	}
	if err := c.kind.Check(r.ID, properties); err != nil {
		return err
	}
	c.want = state{Properties: properties, Needs: c.needs, Metadata: r.Metadata}
	if c.want.DeletionPolicy, err = c.policy("DeletionPolicy", r.DeletionPolicy); err != nil {
		return err
	}
	if c.want.UpdateReplacePolicy, err = c.policy("UpdateReplacePolicy", r.UpdateReplacePolicy); err != nil {
		return err
	}
	policy, err := c.template.Evaluate(r.UpdatePolicy, c.scope)
	c.want.UpdatePolicy, _ = policy.(map[string]any)
	return err
}

func (c *change) policy(name string, v any) (string, error) {
	v, err := c.template.Evaluate(v, c.scope)
	if err != nil || v == nil {
		return "", err
	}
	s, _ := v.(string)
	return s, template.CheckPolicy(name, s)
}

// request makes the request to the handler.
func (c *change) request(r *record, resumed bool) resource.Request {
	req := c.operation.request(r)
	req.New, req.Policy, req.Resumed = c.want.Properties, c.want.UpdatePolicy, resumed
	return req
}

// request makes a request about a resource as it is.
func (o *operation) request(r *record) resource.Request {
	revision := o.stack.Next
	if revision == nil {
		revision = o.stack.Current
	}
	tags := map[string]string{
		"aws:cloudformation:stack-name": o.stack.Name, "aws:cloudformation:stack-id": o.stack.ID, "aws:cloudformation:logical-id": r.LogicalID,
	}
	if revision != nil {
		maps.Copy(tags, revision.Tags)
	}
	cancelled := o.cancelled
	if !o.deploying() {
		cancelled = nil
	}
	return resource.Request{
		StackName: o.stack.Name, StackID: o.stack.ID, LogicalID: r.LogicalID, PhysicalID: r.PhysicalID, Old: r.Properties,
		Tags: tags, Cancelled: cancelled, Saved: r.Saved,
		Save: func(ctx context.Context, saved string) error {
			r.Saved = saved
			return o.keep(ctx, r)
		},
	}
}

// fail tells that the resource could not be changed.
func (c *change) fail(ctx context.Context, r *record, err error) error {
	if ctx.Err() != nil {
		return err
	}
	status := "CREATE_FAILED"
	if r.Before != nil {
		status = "UPDATE_FAILED"
	}
	r.Status, r.Operation, r.Done = status, c.stack.Operation, false
	if told := c.save(ctx, r, c.reasonOf(ctx, r.LogicalID, err)); told != nil {
		return told
	}
	return err
}

// create makes the resource.
func (c *change) create(ctx context.Context, r *record, begun bool) error {
	physical := r.PhysicalID
	if !begun {
		physical = c.kind.Generated(c.request(r, false), randomName())
	}
	r.state, r.Status, r.Operation, r.Done = c.want, "CREATE_IN_PROGRESS", c.stack.Operation, false
	r.PhysicalID = physical
	if !begun {
		if err := c.save(ctx, r, ""); err != nil {
			return err
		}
	}
	req := c.request(r, begun)
	req.Old = nil
	out, err := c.kind.Create(ctx, req)
	if out.PhysicalID != "" {
		r.PhysicalID, r.Attributes, r.Exists = out.PhysicalID, out.Attributes, true
	}
	if err != nil {
		return c.fail(ctx, r, err)
	}
	if err := c.save(ctx, r, reasonCreationStarted); err != nil {
		return err
	}
	r.Status, r.Done, r.Saved = "CREATE_COMPLETE", true, ""
	return c.save(ctx, r, c.note(out.Note))
}

// note adds to what a handler says what was adapted.
func (c *change) note(text string) string {
	for _, n := range c.notes {
		if text != "" {
			text += ". "
		}
		text += n
	}
	return text
}

// leave takes over what has no effect on the resource itself.
func (c *change) leave(ctx context.Context, r *record) error {
	next := c.want
	next.PhysicalID, next.Attributes = r.PhysicalID, r.Attributes
	same := reflect.DeepEqual(next, r.state)
	r.state, r.Operation, r.Done = next, c.stack.Operation, true
	if same && r.Before == nil {
		return nil
	}
	return c.keep(ctx, r)
}

// inPlace updates the resource.
func (c *change) inPlace(ctx context.Context, r *record, begun bool) error {
	before := *r.Before
	r.state, r.Status, r.Operation, r.Done = c.want, "UPDATE_IN_PROGRESS", c.stack.Operation, false
	r.PhysicalID, r.Attributes = before.PhysicalID, before.Attributes
	if !begun {
		if err := c.save(ctx, r, ""); err != nil {
			return err
		}
	}
	req := c.request(r, begun)
	req.Old = before.Properties
	out, err := c.kind.Update(ctx, req)
	if err != nil {
		return c.fail(ctx, r, err)
	}
	r.PhysicalID, r.Attributes = out.PhysicalID, out.Attributes
	r.Status, r.Done, r.Saved = "UPDATE_COMPLETE", true, ""
	return c.save(ctx, r, c.note(out.Note))
}

// replace makes another physical resource; the clean-up deletes the old one.
func (c *change) replace(ctx context.Context, r *record, begun bool) error {
	before := *r.Before
	if name, ok := c.want.Properties[c.kind.NameProperty].(string); ok && name == before.PhysicalID {
		return c.fail(ctx, r, validation("CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename %s and update the stack again.", name))
	}
	if !begun || r.Old == nil {
		r.Old, r.Exists = &before, false
		r.state, r.Status, r.Operation, r.Done = c.want, "UPDATE_IN_PROGRESS", c.stack.Operation, false
		r.PhysicalID = c.kind.Generated(c.request(r, false), randomName())
		if err := c.save(ctx, r, reasonReplacing); err != nil {
			return err
		}
	}
	req := c.request(r, begun)
	req.Old = nil
	out, err := c.kind.Create(ctx, req)
	if out.PhysicalID != "" {
		r.PhysicalID, r.Attributes, r.Exists = out.PhysicalID, out.Attributes, true
	}
	if err != nil {
		return c.fail(ctx, r, err)
	}
	if err := c.save(ctx, r, reasonCreationStarted); err != nil {
		return err
	}
	if out.PhysicalID == before.PhysicalID { // it has replaced itself
		r.Old = nil
	}
	r.Status, r.Done, r.Saved = "UPDATE_COMPLETE", true, ""
	return c.save(ctx, r, c.note(out.Note))
}

// randomName returns the random end of a generated name.
func randomName() string { return rand.Text()[:12] }
