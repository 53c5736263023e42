// Package resource holds the resource types of CloudFormation that Serin has: what properties each has, and how it is
// created, updated and deleted by the operations of the service that it belongs to.
//
// A type is a Go struct of its properties and three functions. The struct is the schema: tags of its fields say which
// properties are required, which cannot change without replacing the resource, and which are kept without effect or
// refused. From it follow how values are checked, what an update does, and the table in docs/cloudformation.md.
//
//	cfn:"required"  must be there
//	cfn:"replace"   a change makes a new resource
//	cfn:"stored"    kept and compared, without effect here
//	cfn:"refused"   a template that has it fails
//
// Handlers are idempotent as far as the services are: what was going on when the server was killed is done again, with
// Resumed set, and finds its own traces by the identifier that was saved before.
package resource

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"serin"
)

// Request asks for one change of a resource.
type Request struct {
	StackName, StackID, LogicalID string
	// PhysicalID is what the resource is, or is to be, known by; a new one's is generated.
	PhysicalID string
	// New and Old are properties without intrinsic functions. A creation has no Old, a deletion no New.
	New, Old map[string]any
	// Policy is the UpdatePolicy.
	Policy map[string]any
	// Tags are those of the stack and those that CloudFormation puts on its resources.
	Tags map[string]string
	// Resumed says that the change may have been made already, by a server that was killed before it could say so.
	Resumed bool
	// RollingBack says that the change undoes another one.
	RollingBack bool
	// Cancelled is closed when the change is no longer wanted. Only what takes long looks at it.
	Cancelled <-chan struct{}
	// Save keeps something of a change that takes long, so that a resumed one finds it in Saved.
	Save  func(ctx context.Context, state string) error
	Saved string
}

// Result is what a resource is known by after a change.
type Result struct {
	PhysicalID string // also what Ref gives
	Attributes map[string]any
	Note       string // for the event: what somebody should know who reads it
}

// Type is a resource type.
type Type struct {
	Name string
	// NameProperty is the property that names the resource; where it is not given, the name is generated, of at most
	// MaxName bytes, and in small letters if Lower is set.
	NameProperty string
	MaxName      int
	Lower        bool
	// Attributes are what Fn::GetAtt gives.
	Attributes []string
	// Replacing are properties whose change makes a new resource, where no tag of a field says so.
	Replacing []string
	// Inert says that the resource has no effect here. Any properties are accepted, and any attribute.
	Inert bool

	properties             reflect.Type
	check                  func(New map[string]any) error
	create, update, delete func(context.Context, Request) (Result, error)
}

// Generated returns the physical id that a new resource is to have.
func (t *Type) Generated(r Request, random string) string {
	if name, ok := r.New[t.NameProperty].(string); ok && name != "" {
		return name
	}
	most := t.MaxName
	if most == 0 {
		most = 64
	}
	name := r.StackName + "-" + r.LogicalID + "-"
	if len(name) > most-len(random) {
		// The end of the stack's name and of the logical id go first: what tells resources apart is random.
		half := (most - len(random) - 2) / 2
		name = r.StackName[:min(len(r.StackName), half)] + "-" + r.LogicalID[:min(len(r.LogicalID), half)] + "-"
	}
	name += random
	if t.Lower {
		name = strings.ToLower(name)
	}
	return name
}

// Check refuses properties that the type does not take.
//
// Errors: KindInvalid, in CloudFormation's words.
func (t *Type) Check(logicalID string, properties map[string]any) error {
	if t.Inert {
		return nil
	}
	var v violations
	v.decode(reflect.New(t.properties).Elem(), properties, "#")
	if len(v) > 0 {
		return serin.Errorf(serin.KindInvalid, "Properties validation failed for resource %s with message: [%s]", logicalID, strings.Join(v, ", "))
	}
	if t.check != nil {
		return t.check(properties)
	}
	return nil
}

// Create makes the resource.
func (t *Type) Create(ctx context.Context, r Request) (Result, error) {
	if t.Inert {
		return t.inert(r), nil
	}
	return worded(t.create(ctx, r))
}

// Update changes the resource in place.
func (t *Type) Update(ctx context.Context, r Request) (Result, error) {
	if t.Inert {
		return t.inert(r), nil
	}
	if t.update == nil {
		return Result{}, serin.Errorf(serin.KindInternal, "%s has no update in place", t.Name)
	}
	return worded(t.update(ctx, r))
}

// Delete removes the resource. One that is gone is no error.
func (t *Type) Delete(ctx context.Context, r Request) error {
	if t.Inert {
		return nil
	}
	_, err := worded(t.delete(ctx, r))
	if e, ok := errors.AsType[*handlerError](err); ok && e.kind == serin.KindNotFound {
		return nil
	}
	return err
}

// Changed returns the properties that differ, and those of them whose change makes a new resource.
func (t *Type) Changed(old, next map[string]any) (changed, replacing []string) {
	names := map[string]bool{}
	for name := range old {
		names[name] = true
	}
	for name := range next {
		names[name] = true
	}
	for name := range names {
		if !reflect.DeepEqual(canonical(old[name]), canonical(next[name])) {
			changed = append(changed, name)
			if t.Replaces(name) {
				replacing = append(replacing, name)
			}
		}
	}
	slices.Sort(changed)
	slices.Sort(replacing)
	return changed, replacing
}

// Replaces reports whether a change of the property makes a new resource.
func (t *Type) Replaces(property string) bool {
	if t.Inert {
		return false
	}
	if t.update == nil || slices.Contains(t.Replacing, property) {
		return true
	}
	if t.properties.Kind() != reflect.Struct {
		return false
	}
	f, ok := t.properties.FieldByName(property)
	return ok && tagged(f, "replace")
}

// HasAttribute reports whether Fn::GetAtt gives an attribute of the type.
func (t *Type) HasAttribute(name string) bool {
	return t.Inert || slices.Contains(t.Attributes, name)
}

func tagged(f reflect.StructField, word string) bool {
	return slices.Contains(strings.Split(f.Tag.Get("cfn"), ","), word)
}

// Custom returns a type that takes any properties.
func Custom(t Type, create, update, remove func(context.Context, Request) (Result, error)) *Type {
	t.properties = reflect.TypeFor[map[string]any]()
	t.create, t.update, t.delete = create, update, remove
	return &t
}

// call is a request whose properties have been read.
type call[P any] struct {
	Request

	new, old P
}

// functions are what a type does. Without update every change makes a new resource.
type functions[P any] struct {
	check                  func(*P) error
	create, update, delete func(context.Context, *call[P]) (Result, error)
}

// define completes a type with its properties and functions.
func define[P any](t Type, f functions[P]) *Type {
	t.properties = reflect.TypeFor[P]()
	adapt := func(do func(context.Context, *call[P]) (Result, error)) func(context.Context, Request) (Result, error) {
		if do == nil {
			return nil
		}
		return func(ctx context.Context, r Request) (Result, error) {
			c := &call[P]{Request: r}
			var v violations
			v.decode(reflect.ValueOf(&c.new).Elem(), r.New, "#")
			// What is there has been checked before.
			var ignored violations
			ignored.decode(reflect.ValueOf(&c.old).Elem(), r.Old, "#")
			if r.New != nil && len(v) > 0 {
				return Result{}, serin.Errorf(serin.KindInvalid, "Properties validation failed for resource %s with message: [%s]", r.LogicalID, strings.Join(v, ", "))
			}
			return do(ctx, c)
		}
	}
	t.create, t.update, t.delete = adapt(f.create), adapt(f.update), adapt(f.delete)
	if f.check != nil {
		t.check = func(properties map[string]any) error {
			var p P
			var v violations
			v.decode(reflect.ValueOf(&p).Elem(), properties, "#")
			return f.check(&p)
		}
	}
	return &t
}

// handlerError is an error of a service in the words of CloudFormation's handlers.
type handlerError struct {
	kind serin.Kind
	text string
}

func (e *handlerError) Error() string { return e.text }

// worded puts what a service says into CloudFormation's words. What is not meant for callers stays as it is.
func worded(r Result, err error) (Result, error) {
	e, ok := errors.AsType[*serin.Error](err)
	if !ok || strings.HasPrefix(e.Message, "Properties validation failed") || strings.HasPrefix(e.Message, "Resource handler returned") {
		return r, err
	}
	code, ok := map[serin.Kind]string{
		serin.KindNotFound: "NotFound", serin.KindConflict: "AlreadyExists", serin.KindDenied: "AccessDenied", serin.KindThrottled: "Throttling",
		serin.KindStorage: "ServiceLimitExceeded", serin.KindInternal: "InternalFailure", serin.KindNotImplemented: "GeneralServiceException",
	}[e.Kind]
	if !ok {
		code = "InvalidRequest"
	}
	return r, &handlerError{e.Kind, fmt.Sprintf("Resource handler returned message: %q (HandlerErrorCode: %s)", e.Message, code)}
}

// kindOf returns the kind of an error of a service.
func kindOf(err error) serin.Kind {
	if e, ok := errors.AsType[*handlerError](err); ok {
		return e.kind
	}
	return serin.KindOf(err)
}
