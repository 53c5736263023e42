package cloudformation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"serin"
	"serin/internal/store"
	"serin/internal/template"
)

// operation drives one stack until its status says that nothing is under way.
type operation struct {
	*Service

	stack     *stack
	cancelled chan struct{}
	ended     chan struct{}
	once      sync.Once

	mu      sync.Mutex // guards the maps and what they hold
	records map[string]*record
	imports map[string]bool
}

// maxParallel is how many resources of a stack are changed at a time.
const maxParallel = 8

// cancel asks for a roll-back; what is under way ends as soon as it can.
func (o *operation) cancel() { o.once.Do(func() { close(o.cancelled) }) }

// run goes from phase to phase.
func (o *operation) run(ctx context.Context) (err error) {
	if o.records, err = o.Service.records(ctx, o.stack.ID); err != nil {
		return err
	}
	phases := map[string]func(context.Context) (next, reason string, err error){
		statusCreating: o.create, statusUpdating: o.update, statusCleaning: o.cleanUp, statusRollingBack: o.rollBack,
		statusReverting: o.revert, statusRevertCleaning: o.cleanUp, statusDeleting: o.remove,
	}
	for inProgress(o.stack.Status) {
		phase := phases[o.stack.Status]
		if phase == nil {
			return fmt.Errorf("no phase for status %s", o.stack.Status)
		}
		next, reason, err := phase(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if err := o.enter(ctx, next, reason); err != nil {
			return err
		}
	}
	return nil
}

// enter gives the stack its next status, with what that entails.
func (o *operation) enter(ctx context.Context, status, reason string) error {
	st, err := o.modify(ctx, o.stack.Name, func(st *stack) ([]store.Document, error) {
		st.Status, st.Reason = status, reason
		switch status {
		case statusCreated, statusCleaning:
			st.Current, st.Next = st.Next, nil
			st.Outputs, st.Imports = o.stack.Outputs, slices.Sorted(maps.Keys(o.imports))
		case statusReverted, statusRolledBack:
			st.Next = nil
		case statusDeleted:
			st.DeletedAt, st.Outputs, st.Imports = o.Now().UTC(), nil, nil
		case statusRollingBack, statusReverting:
			st.Cancelled = false
		}
		e, err := o.stackEvent(st)
		return []store.Document{e}, err
	})
	if err == nil {
		o.stack = st
	}
	return err
}

func (o *operation) create(ctx context.Context) (string, string, error) {
	why, err := o.deploy(ctx)
	switch {
	case err != nil || why == "":
		return statusCreated, "", err
	case o.stack.OnFailure == "DELETE":
		return statusDeleting, why, nil
	case o.stack.DisableRollback || o.stack.OnFailure == "DO_NOTHING":
		return statusCreateFailed, why, nil
	default:
		return statusRollingBack, why + " Rollback requested by user.", nil
	}
}

func (o *operation) update(ctx context.Context) (string, string, error) {
	why, err := o.deploy(ctx)
	switch {
	case err != nil || why == "":
		return statusCleaning, "", err
	case o.stack.DisableRollback && !o.stack.Cancelled:
		return statusUpdateFailed, why, nil
	default:
		return statusReverting, why, nil
	}
}

// deploy brings every resource to what the template says. It returns why that has failed, "" if it has not.
func (o *operation) deploy(ctx context.Context) (why string, err error) {
	t, err := o.storedTemplate(ctx, o.stack.Next.Template)
	if err != nil {
		return "", err
	}
	o.imports = map[string]bool{}
	scope := o.scope(ctx, o.stack, o.stack.Next.Parameters, func(name string) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.imports[name] = true
	})
	scope.Ref, scope.GetAtt = o.ref, o.getAtt
	if scope.Conditions, err = t.EvaluateConditions(scope); err != nil {
		return err.Error(), nil //nolint:nilerr // it is the template's fault
	}
	needs, err := t.Dependencies(scope.Conditions)
	if err != nil {
		return err.Error(), nil //nolint:nilerr // likewise
	}
	one := func(ctx context.Context, id string) error {
		return o.change(ctx, &change{operation: o, template: t, scope: scope, resource: t.Resources[id], needs: needs[id]})
	}
	// What was under way when the server was killed comes first, so that a failure elsewhere does not leave it unknown.
	failed := o.inOrder(ctx, o.underWay(needs), one)
	if len(failed) == 0 {
		failed = o.inOrder(ctx, needs, one)
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if len(failed) > 0 {
		verb := "create"
		if o.stack.Status == statusUpdating {
			verb = "update"
		}
		return fmt.Sprintf("The following resource(s) failed to %s: [%s].", verb, strings.Join(failed, ", ")), nil
	}
	if o.isCancelled() {
		return "User Initiated", nil
	}
	if o.stack.Outputs, err = o.outputs(ctx, t, scope); err != nil {
		return err.Error(), nil //nolint:nilerr // likewise
	}
	return "", nil
}

// underWay returns the resources with which the operation has begun and not finished.
func (o *operation) underWay(needs map[string][]string) map[string][]string {
	begun := map[string][]string{}
	for id := range needs {
		if r := o.records[id]; r != nil && r.Operation == o.stack.Operation && !r.Done && strings.HasSuffix(r.Status, "_IN_PROGRESS") {
			begun[id] = nil
		}
	}
	return begun
}

// deploying says that the operation can still be cancelled: what undoes another one goes on to its end.
func (o *operation) deploying() bool {
	return o.stack.Status == statusUpdating || o.stack.Status == statusCreating
}

func (o *operation) isCancelled() bool {
	select {
	case <-o.cancelled:
		return o.deploying()
	default:
		return false
	}
}

// inOrder does something with every name, after the names that it needs, and several at a time. After a failure it
// begins nothing more. It returns the names that have failed.
func (o *operation) inOrder(ctx context.Context, needs map[string][]string, do func(context.Context, string) error) []string {
	type outcome struct {
		id  string
		err error
	}
	outcomes := make(chan outcome)
	left, done := maps.Clone(needs), map[string]bool{}
	running := 0
	var failed []string
	for {
		for _, id := range slices.Sorted(maps.Keys(left)) {
			ready := !slices.ContainsFunc(left[id], func(n string) bool { _, known := needs[n]; return known && !done[n] })
			if !ready || running >= maxParallel || len(failed) > 0 || o.isCancelled() || ctx.Err() != nil {
				continue
			}
			delete(left, id)
			running++
			go func() { outcomes <- outcome{id, do(ctx, id)} }()
		}
		if running == 0 {
			slices.Sort(failed)
			return failed
		}
		out := <-outcomes
		running--
		if done[out.id] = out.err == nil; out.err != nil {
			failed = append(failed, out.id)
			if o.deploying() {
				o.cancel() // what takes long beside it need not go on
			}
		}
	}
}

func (o *operation) ref(id string) (any, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.records[id]
	if r == nil || !r.Exists {
		return nil, validation("Unresolved resource dependencies [%s] in the Resources block of the template", id)
	}
	return r.PhysicalID, nil
}

func (o *operation) getAtt(id, attribute string) (any, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.records[id]
	if r == nil || !r.Exists {
		return nil, validation("Template error: instance of Fn::GetAtt references undefined resource %s", id)
	}
	v, ok := r.Attributes[attribute]
	if t := o.Types[r.Type]; !ok && t != nil && t.Inert {
		return r.PhysicalID, nil
	}
	if !ok {
		return nil, validation("Template error: resource %s does not support attribute type %s in Fn::GetAtt", id, attribute)
	}
	return v, nil
}

// outputs evaluates the outputs of the template.
func (o *operation) outputs(ctx context.Context, t *template.Template, scope *template.Scope) ([]output, error) {
	var all []output
	for _, key := range slices.Sorted(maps.Keys(t.Outputs)) {
		out := t.Outputs[key]
		if out.Condition != "" && !scope.Conditions[out.Condition] {
			continue
		}
		v, err := t.Evaluate(out.Value, scope)
		if err != nil {
			return nil, err
		}
		text, ok := textOf(v)
		if !ok {
			return nil, validation("Template format error: The Value field of every Outputs member must evaluate to a String.")
		}
		one := output{Key: key, Value: text, Description: out.Description}
		if out.Export != nil {
			name, err := t.Evaluate(out.Export, scope)
			if err != nil {
				return nil, err
			}
			if one.Export, ok = textOf(name); !ok || one.Export == "" {
				return nil, validation("Template format error: Output %s is malformed. The Name field of every Export member must be specified and consist only of alphanumeric characters, colons, or hyphens.", key)
			}
		}
		all = append(all, one)
	}
	return all, o.checkExports(ctx, all)
}

func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case fmt.Stringer:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	default:
		return "", false
	}
}

// checkExports refuses exports that another stack has, and changes to exports that another stack uses.
func (o *operation) checkExports(ctx context.Context, next []output) error {
	values := map[string]string{}
	for _, out := range next {
		if out.Export != "" {
			values[out.Export] = out.Value
		}
	}
	before := map[string]string{}
	for st, err := range o.stacks(ctx) {
		if err != nil {
			return err
		}
		for _, out := range st.Outputs {
			if _, taken := values[out.Export]; out.Export != "" && taken && st.ID != o.stack.ID {
				return validation("Export with name %s is already exported by stack %s. Rolled back the stack.", out.Export, st.Name)
			}
			if st.ID == o.stack.ID && out.Export != "" {
				before[out.Export] = out.Value
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		value, stays := values[name]
		if stays && value == before[name] {
			continue
		}
		users, err := o.importers(ctx, name)
		if err != nil {
			return err
		}
		users = slices.DeleteFunc(users, func(n string) bool { return n == o.stack.Name })
		if len(users) == 0 {
			continue
		}
		verb := "updated"
		if !stays {
			verb = "deleted"
		}
		return validation("Export %s cannot be %s as it is in use by %s", name, verb, strings.Join(users, ", "))
	}
	return nil
}

// save stores a resource and an event about it. It returns only when both are on disk.
func (o *operation) save(ctx context.Context, r *record, reason string) error {
	o.mu.Lock()
	r.Reason, r.At = reason, o.Now().UTC()
	d, err := o.document(ctx, kindResource, r.StackID+"/"+r.LogicalID, r)
	e := event{
		StackID: r.StackID, StackName: o.stack.Name, LogicalID: r.LogicalID, PhysicalID: r.PhysicalID, Type: r.Type, Status: r.Status,
		Reason: reason, ClientToken: o.stack.ClientToken, Operation: o.stack.Operation,
	}
	o.records[r.LogicalID] = r
	o.mu.Unlock()
	if err != nil {
		return err
	}
	if r.Status == "CREATE_IN_PROGRESS" && reason == "" {
		e.PhysicalID = "" // it is not there yet
	}
	line, err := o.eventDocument(e)
	if err != nil {
		return err
	}
	return o.Store.SaveDocuments(ctx, d, line)
}

// keep stores a resource without an event.
func (o *operation) keep(ctx context.Context, r *record) error {
	o.mu.Lock()
	d, err := o.document(ctx, kindResource, r.StackID+"/"+r.LogicalID, r)
	o.records[r.LogicalID] = r
	o.mu.Unlock()
	if err != nil {
		return err
	}
	return o.Store.SaveDocuments(ctx, d)
}

// forget removes a resource from the stack.
func (o *operation) forget(ctx context.Context, r *record) error {
	o.mu.Lock()
	delete(o.records, r.LogicalID)
	d, err := o.document(ctx, kindResource, r.StackID+"/"+r.LogicalID, nil)
	o.mu.Unlock()
	if err != nil || d.Revision == 0 {
		return err
	}
	return o.Store.SaveDocuments(ctx, d)
}

// reasonOf is what an event says about an error. What is not meant for callers is for the log.
func (o *operation) reasonOf(ctx context.Context, id string, err error) string {
	if e, ok := errors.AsType[*serin.Error](err); ok {
		return e.Message
	}
	if strings.HasPrefix(err.Error(), "Resource handler returned") {
		return err.Error()
	}
	o.Log.ErrorContext(ctx, "a resource failed", "stack", o.stack.Name, "resource", id, "error", err)
	return "Internal failure; the server's log has the cause."
}
