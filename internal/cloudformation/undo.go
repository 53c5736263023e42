package cloudformation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// revert puts back what the operation has changed. What it has made is left for the clean-up.
func (o *operation) revert(ctx context.Context) (string, string, error) {
	needs := map[string][]string{}
	for id, r := range o.records {
		if r.Operation == o.stack.Operation && r.Before != nil && !slices.Contains(o.stack.Skip, id) {
			needs[id] = r.Before.Needs
		}
	}
	failed := o.inOrder(ctx, needs, o.revertOne)
	if len(failed) > 0 {
		return statusRevertFailed, fmt.Sprintf("The following resource(s) failed to update: [%s].", strings.Join(failed, ", ")), nil
	}
	return statusRevertCleaning, "", nil
}

func (o *operation) revertOne(ctx context.Context, id string) error {
	o.mu.Lock()
	r := new(*o.records[id])
	o.mu.Unlock()
	before := *r.Before
	if r.Old != nil { // it was being replaced, and what it was replaced by goes
		var made *state
		if r.Exists {
			made = new(r.state)
		}
		r.state, r.Old, r.Exists, r.Before, r.Status, r.Operation = before, made, true, nil, "UPDATE_COMPLETE", ""
		return o.save(ctx, r, "")
	}
	kind := o.Types[r.Type]
	changed, _ := kind.Changed(r.Properties, before.Properties)
	if len(changed) == 0 { // the operation has not begun with it
		failed := r.Status == "UPDATE_FAILED"
		r.state, r.Before, r.Operation = before, nil, ""
		if !failed {
			return o.keep(ctx, r)
		}
		r.Status = "UPDATE_COMPLETE"
		return o.save(ctx, r, "")
	}
	r.Status = "UPDATE_IN_PROGRESS"
	if err := o.save(ctx, r, ""); err != nil {
		return err
	}
	req := o.request(r)
	req.New, req.Resumed, req.RollingBack = before.Properties, true, true
	out, err := kind.Update(ctx, req)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		r.Status = "UPDATE_FAILED"
		if told := o.save(ctx, r, o.reasonOf(ctx, id, err)); told != nil {
			return told
		}
		return err
	}
	r.state, r.Before, r.Status, r.Saved, r.Operation = before, nil, "UPDATE_COMPLETE", "", ""
	r.Attributes = out.Attributes
	return o.save(ctx, r, "")
}

// cleanUp deletes what is no longer needed: old physical resources, and resources that the template does not have or,
// after a roll-back, that the operation has made. It never fails: what cannot be deleted is told in an event and left.
func (o *operation) cleanUp(ctx context.Context) (string, string, error) {
	reverting := o.stack.Status == statusRevertCleaning
	gone := map[string]*record{}
	for id, r := range o.records {
		madeNow := r.Operation == o.stack.Operation && r.Before == nil && strings.HasPrefix(r.Status, "CREATE_")
		if reverting && madeNow || !reverting && r.Operation != o.stack.Operation {
			gone[id] = r
		}
	}
	for id, r := range o.records {
		if r.Old != nil && gone[id] == nil {
			if err := o.deleteOld(ctx, r); err != nil {
				return "", "", err
			}
		}
	}
	o.inOrder(ctx, reversed(gone), func(ctx context.Context, id string) error {
		r := new(*gone[id])
		_ = o.deleteOne(ctx, r, r.DeletionPolicy, true) // told in an event
		return nil
	})
	if reverting {
		return statusReverted, "", ctx.Err()
	}
	return statusUpdated, "", ctx.Err()
}

// reversed turns what resources need into what must go before them.
func reversed(all map[string]*record) map[string][]string {
	users := make(map[string][]string, len(all))
	for id := range all {
		users[id] = nil
	}
	for id, r := range all {
		for _, n := range r.Needs {
			if _, there := users[n]; there {
				users[n] = append(users[n], id)
			}
		}
	}
	return users
}

// deleteOld deletes the physical resource that another one has replaced.
func (o *operation) deleteOld(ctx context.Context, r *record) error {
	r = new(*r)
	old := &record{StackID: r.StackID, LogicalID: r.LogicalID, Type: r.Type, state: *r.Old, Exists: true}
	status, reason := r.Status, r.Reason
	policy := old.UpdateReplacePolicy
	if o.stack.Status == statusRevertCleaning {
		policy = "Delete" // it was made by the operation that is undone
	}
	_ = o.delete(ctx, old, policy, func(s, why string) error {
		e, err := o.eventDocument(event{
			StackID: r.StackID, StackName: o.stack.Name, LogicalID: r.LogicalID, PhysicalID: old.PhysicalID, Type: r.Type, Status: s, Reason: why,
			ClientToken: o.stack.ClientToken, Operation: o.stack.Operation,
		})
		if err != nil {
			return err
		}
		return o.Store.SaveDocuments(ctx, e)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.Old, r.Status, r.Reason = nil, status, reason
	return o.keep(ctx, r)
}

// deleteOne deletes a resource and, if that is wanted, forgets it.
func (o *operation) deleteOne(ctx context.Context, r *record, policy string, forget bool) error {
	if r.Status == statusDeleted {
		return nil
	}
	err := o.delete(ctx, r, policy, func(status, why string) error {
		r.Status = status
		return o.save(ctx, r, why)
	})
	if err == nil && forget {
		err = o.forget(ctx, r)
	}
	return err
}

// delete deletes what there is of a resource, unless its policy keeps it.
func (o *operation) delete(ctx context.Context, r *record, policy string, tell func(status, reason string) error) error {
	if !r.Exists && r.Status != "CREATE_IN_PROGRESS" && r.Status != "UPDATE_IN_PROGRESS" && r.Status != statusDeleting {
		return nil // it has never been there
	}
	creating := o.stack.Status == statusRollingBack || o.stack.Status == statusRevertCleaning
	if policy == "Retain" || policy == "Snapshot" || policy == "RetainExceptOnCreate" && !creating || slices.Contains(o.stack.Retain, r.LogicalID) {
		return tell(statusDeleteSkipped, "")
	}
	if !r.Exists { // the server was killed while it was made
		return tell(statusDeleted, "")
	}
	if err := tell(statusDeleting, ""); err != nil {
		return err
	}
	kind := o.Types[r.Type]
	if kind == nil {
		return tell(statusDeleted, "")
	}
	if err := kind.Delete(ctx, o.request(r)); err != nil {
		if ctx.Err() != nil {
			return err
		}
		if told := tell(statusDeleteFailed, o.reasonOf(ctx, r.LogicalID, err)); told != nil {
			return told
		}
		return err
	}
	r.Exists = false
	return tell(statusDeleted, "")
}

// rollBack deletes everything after a creation that has failed.
func (o *operation) rollBack(ctx context.Context) (string, string, error) {
	if failed := o.removeAll(ctx); len(failed) > 0 {
		return statusRollbackFailed, fmt.Sprintf("The following resource(s) failed to delete: [%s]. ", strings.Join(failed, ", ")), nil
	}
	return statusRolledBack, "", nil
}

// remove deletes everything.
func (o *operation) remove(ctx context.Context) (string, string, error) {
	for _, out := range o.stack.Outputs {
		if out.Export == "" {
			continue
		}
		users, err := o.importers(ctx, out.Export)
		if err != nil {
			return "", "", err
		}
		if users = slices.DeleteFunc(users, func(n string) bool { return n == o.stack.Name }); len(users) > 0 {
			return statusDeleteFailed, fmt.Sprintf("Export %s cannot be deleted as it is in use by %s", out.Export, strings.Join(users, ", ")), nil
		}
	}
	if failed := o.removeAll(ctx); len(failed) > 0 {
		return statusDeleteFailed, fmt.Sprintf("The following resource(s) failed to delete: [%s]. ", strings.Join(failed, ", ")), nil
	}
	return statusDeleted, "", nil
}

func (o *operation) removeAll(ctx context.Context) []string {
	all := maps.Clone(o.records)
	for _, r := range all {
		if r.Old != nil {
			if err := o.deleteOld(ctx, r); err != nil {
				return []string{r.LogicalID}
			}
		}
	}
	return o.inOrder(ctx, reversed(all), func(ctx context.Context, id string) error {
		return o.deleteOne(ctx, new(*all[id]), all[id].DeletionPolicy, false)
	})
}
