package cloudformation_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"serin"
	"serin/internal/cloudformation"
	"serin/internal/resource"
	"serin/internal/store"
)

// world is what resources of the type Test::Thing are in: by physical id, their property Value.
type world struct {
	mu     sync.Mutex
	things map[string]string
	log    []string
	// before, if set, is called before and after each effect; its error fails the change.
	before func(effect string) error
}

func (w *world) do(effect string, change func()) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.before != nil {
		if err := w.before(effect); err != nil {
			return err
		}
	}
	change()
	w.log = append(w.log, effect)
	if w.before != nil {
		return w.before("after " + effect)
	}
	return nil
}

func (w *world) snapshot() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.things)
}

func (w *world) registry() resource.Registry {
	value := func(p map[string]any) string { return fmt.Sprint(p["Value"]) }
	put := func(verb string) func(context.Context, resource.Request) (resource.Result, error) {
		return func(_ context.Context, r resource.Request) (resource.Result, error) {
			if strings.HasPrefix(value(r.New), "bad") {
				return resource.Result{}, serin.Errorf(serin.KindInvalid, "the value is bad")
			}
			err := w.do(verb+" "+r.LogicalID+"="+value(r.New), func() { w.things[r.PhysicalID] = value(r.New) })
			return resource.Result{PhysicalID: r.PhysicalID, Attributes: map[string]any{"Value": value(r.New)}}, err
		}
	}
	remove := func(_ context.Context, r resource.Request) (resource.Result, error) {
		return resource.Result{}, w.do("delete "+r.LogicalID, func() { delete(w.things, r.PhysicalID) })
	}
	thing := resource.Custom(resource.Type{Name: "Test::Thing", Attributes: []string{"Value"}, Replacing: []string{"Kind"}, NameProperty: "Name"}, put("create"), put("update"), remove)
	return resource.Registry{"Test::Thing": thing}
}

// running is a service that drives stacks until stop.
type running struct {
	*cloudformation.Service
	cancel func() // ends it, without waiting
	stop   func()
}

func startOn(t *testing.T, db *store.Store, w *world) *running {
	t.Helper()
	s := cloudformation.New(cloudformation.Config{
		Place: serin.Place{Region: "eu-central-1", Account: "123456789012"}, Store: db, Types: w.registry(), Now: time.Now, NewID: uuid.NewString, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	began := make(chan struct{})
	go func() { close(began); done <- s.Run(ctx) }()
	<-began
	r := &running{s, cancel, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})}
	t.Cleanup(r.stop)
	return r
}

func start(t *testing.T, w *world) (*running, *store.Store) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return startOn(t, db, w), db
}

// settled waits until nothing is under way with a stack and returns it.
func (r *running) settled(t *testing.T, name string) types.Stack {
	t.Helper()
	for range 2000 {
		out, err := r.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: &name})
		if err != nil {
			t.Fatal(err)
		}
		if st := out.Stacks[0]; !strings.HasSuffix(string(st.StackStatus), "_IN_PROGRESS") {
			return st
		}
		time.Sleep(time.Millisecond) // the store has no events of documents to wait for
	}
	t.Fatalf("stack %s does not settle", name)
	return types.Stack{}
}

func (r *running) create(t *testing.T, name, body string) types.Stack {
	t.Helper()
	out, err := r.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: &name, TemplateBody: &body})
	if err != nil {
		t.Fatal(err)
	}
	return r.settled(t, *out.StackId)
}

func (r *running) update(t *testing.T, name, body string) types.Stack {
	t.Helper()
	if _, err := r.UpdateStack(t.Context(), &cfn.UpdateStackInput{StackName: &name, TemplateBody: &body}); err != nil {
		t.Fatal(err)
	}
	return r.settled(t, name)
}

func (r *running) statuses(t *testing.T, name string) []string {
	t.Helper()
	out, err := r.DescribeStackEvents(t.Context(), &cfn.DescribeStackEventsInput{StackName: &name})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range slices.Backward(out.StackEvents) {
		if *e.ResourceType == "AWS::CloudFormation::Stack" {
			lines = append(lines, string(e.ResourceStatus))
		}
	}
	return lines
}

const (
	first  = `Resources: {A: {Type: Test::Thing, Properties: {Value: a1}}, B: {Type: Test::Thing, Properties: {Value: !GetAtt A.Value, Kind: x}}, C: {Type: Test::Thing, DependsOn: B, Properties: {Value: c1}}}`
	second = `
Resources:
  A: {Type: Test::Thing, Properties: {Value: a2}}
  B: {Type: Test::Thing, Properties: {Value: !GetAtt A.Value, Kind: y}}
  D: {Type: Test::Thing, DependsOn: B, Properties: {Value: d1}}
Outputs: {V: {Value: !GetAtt B.Value, Export: {Name: shared}}}`
	failing = `
Resources:
  A: {Type: Test::Thing, Properties: {Value: a2}}
  B: {Type: Test::Thing, Properties: {Value: !GetAtt A.Value, Kind: y}}
  D: {Type: Test::Thing, DependsOn: B, Properties: {Value: bad}}`
)

func values(things map[string]string) []string {
	return slices.Sorted(maps.Values(things))
}

// A stack is created, updated and deleted in the order of its dependencies; what was replaced goes last.
func TestLifeOfAStack(t *testing.T) {
	w := &world{things: map[string]string{}}
	r, _ := start(t, w)
	if st := r.create(t, "s", first); st.StackStatus != types.StackStatusCreateComplete {
		t.Fatalf("%s: %v", st.StackStatus, st.StackStatusReason)
	}
	st := r.update(t, "s", second)
	if st.StackStatus != types.StackStatusUpdateComplete || *st.Outputs[0].OutputValue != "a2" {
		t.Errorf("%s %+v", st.StackStatus, st.Outputs)
	}
	if got := values(w.snapshot()); !slices.Equal(got, []string{"a2", "a2", "d1"}) {
		t.Errorf("after the update: %v", got)
	}
	if _, err := r.UpdateStack(t.Context(), &cfn.UpdateStackInput{StackName: new("s"), TemplateBody: new(second)}); err == nil || err.Error() != "No updates are to be performed." {
		t.Errorf("the same again: %v", err)
	}
	if _, err := r.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: new("s"), TemplateBody: new(first)}); err == nil || err.Error() != "Stack [s] already exists" {
		t.Errorf("twice: %v", err)
	}
	r.create(t, "user", `Resources: {A: {Type: Test::Thing, Properties: {Value: !ImportValue shared}}}`)
	delete := func(name string) types.Stack {
		out, err := r.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: &name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.DeleteStack(t.Context(), &cfn.DeleteStackInput{StackName: &name}); err != nil {
			t.Fatal(err)
		}
		return r.settled(t, *out.Stacks[0].StackId)
	}
	if st := delete("s"); st.StackStatus != types.StackStatusDeleteFailed || !strings.Contains(*st.StackStatusReason, "Export shared cannot be deleted as it is in use by user") {
		t.Errorf("an export in use: %s %v", st.StackStatus, st.StackStatusReason)
	}
	delete("user")
	if st := delete("s"); st.StackStatus != types.StackStatusDeleteComplete {
		t.Errorf("%s %v", st.StackStatus, st.StackStatusReason)
	}
	want := []string{
		"create A=a1", "create B=a1", "create C=c1", "update A=a2", "create B=a2", "create D=d1", "delete B", "delete C",
		"create A=a2", "delete A", "delete D", "delete B", "delete A",
	}
	if diff := cmp.Diff(want, w.log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A resource that fails in the middle of an update takes everything back to how it was.
func TestFailingUpdateIsRolledBack(t *testing.T) {
	w := &world{things: map[string]string{}}
	r, _ := start(t, w)
	r.create(t, "s", first)
	before := w.snapshot()
	st := r.update(t, "s", failing)
	if st.StackStatus != types.StackStatusUpdateRollbackComplete {
		t.Fatalf("%s %v", st.StackStatus, st.StackStatusReason)
	}
	if diff := cmp.Diff(before, w.snapshot()); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	want := []string{
		"CREATE_IN_PROGRESS", "CREATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE",
	}
	if diff := cmp.Diff(want, r.statuses(t, "s")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if st := r.update(t, "s", second); st.StackStatus != types.StackStatusUpdateComplete {
		t.Errorf("the next update: %s %v", st.StackStatus, st.StackStatusReason)
	}
}

func TestFailingCreation(t *testing.T) {
	for _, c := range []struct {
		on   types.OnFailure
		want types.StackStatus
		left []string
	}{
		{"", types.StackStatusRollbackComplete, nil},
		{types.OnFailureDelete, types.StackStatusDeleteComplete, nil},
		{types.OnFailureDoNothing, types.StackStatusCreateFailed, []string{"a2", "a2"}},
	} {
		w := &world{things: map[string]string{}}
		r, _ := start(t, w)
		out, err := r.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: new("s"), TemplateBody: new(failing), OnFailure: c.on})
		if err != nil {
			t.Fatal(err)
		}
		st := r.settled(t, *out.StackId)
		if got := values(w.snapshot()); st.StackStatus != c.want || !slices.Equal(got, c.left) {
			t.Errorf("%s: %s, left %v", c.on, st.StackStatus, got)
		}
	}
}

// The server ends at every effect of an update, before it and after it. The next one brings the stack to the same end.
func TestKilledAtEveryEffect(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       types.StackStatus
		values     []string
	}{
		{"good", second, types.StackStatusUpdateComplete, []string{"a2", "a2", "d1"}},
		{"failing", failing, types.StackStatusUpdateRollbackComplete, []string{"a1", "a1", "c1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n := 1; ; n++ {
				w := &world{things: map[string]string{}}
				r, db := start(t, w)
				r.create(t, "s", first)
				effects, killed, dead := 0, make(chan struct{}), make(chan struct{})
				w.before = func(string) error {
					if effects++; effects == n {
						close(killed)
					}
					if effects >= n {
						<-dead
						return context.Canceled // nothing more comes of this server
					}
					return nil
				}
				if _, err := r.UpdateStack(t.Context(), &cfn.UpdateStackInput{StackName: new("s"), TemplateBody: &c.body}); err != nil {
					t.Fatal(err)
				}
				ended := false
				for !ended {
					select {
					case <-killed:
						ended = true
					case <-time.After(5 * time.Millisecond):
						out, err := r.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: new("s")})
						if err != nil {
							t.Fatal(err)
						}
						if !strings.HasSuffix(string(out.Stacks[0].StackStatus), "_IN_PROGRESS") {
							if n < 6 {
								t.Fatalf("only %d effects", n)
							}
							return
						}
					}
				}
				r.cancel()
				close(dead)
				r.stop()
				w.before = nil
				again := startOn(t, db, w)
				st := again.settled(t, "s")
				if got := values(w.snapshot()); st.StackStatus != c.want || !slices.Equal(got, c.values) {
					t.Errorf("killed at effect %d: %s %v, things %v", n, st.StackStatus, deref(st.StackStatusReason), got)
				}
				again.stop()
			}
		})
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// What is wrong is said in CloudFormation's words before anything is touched.
func TestRefusals(t *testing.T) {
	w := &world{things: map[string]string{}}
	r, _ := start(t, w)
	one := `Resources: {A: {Type: Test::Thing}}`
	for _, c := range []struct{ body, want string }{
		{`{`, "Template format error: JSON not well-formed. (line 1, column 1)"},
		{"a: [", "Template format error: YAML not well-formed."},
		{"{}", "Template format error: At least one Resources member must be defined."},
		{`Resources: {A: {Type: AWS::EC2::Instance}}`, "Template format error: Unrecognized resource types: [AWS::EC2::Instance]"},
		{`Resources: {A: {Type: Test::Thing, DependsOn: B}, B: {Type: Test::Thing, DependsOn: A}}`, "Circular dependency between resources: [A, B]"},
		{"Parameters: {Input: {Type: String}}\n" + one, "Parameters: [Input] must have values"},
		{"Transform: Nothing\n" + one, "No transform named Nothing found."},
		{`Resources: {A: {Type: Test::Thing, Properties: {X: !GetAtt A.No}}}`, "Circular dependency between resources: [A]"},
		{`Resources: {A: {Type: Test::Thing}, B: {Type: Test::Thing, Properties: {X: !GetAtt A.No}}}`, "Template error: resource A does not support attribute type No in Fn::GetAtt"},
		{"a: &a [x]\nb: *a", "YAML aliases are not allowed"},
		{strings.Repeat("#", 1_000_001), "Member must have length less than or equal to 1000000"},
	} {
		_, err := r.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: new("s"), TemplateBody: &c.body})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80s: %v, want %s", c.body, err, c.want)
		}
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{second1(r.DescribeStacks(t.Context(), &cfn.DescribeStacksInput{StackName: new("none")})), "Stack with id none does not exist"},
		{second1(r.DescribeStackEvents(t.Context(), &cfn.DescribeStackEventsInput{StackName: new("none")})), "Stack [none] does not exist"},
		{second1(r.DescribeChangeSet(t.Context(), &cfn.DescribeChangeSetInput{StackName: new("none"), ChangeSetName: new("c")})), "Stack [none] does not exist"},
		{second1(r.UpdateStack(t.Context(), &cfn.UpdateStackInput{StackName: new("none"), TemplateBody: &one})), "Stack [none] does not exist"},
		{second1(r.CreateStack(t.Context(), &cfn.CreateStackInput{StackName: new("0"), TemplateBody: &one})), "at 'stackName' failed to satisfy constraint"},
		{second1(r.DeleteStack(t.Context(), &cfn.DeleteStackInput{StackName: new("none")})), ""},
	} {
		if c.want == "" && c.err != nil || c.want != "" && (c.err == nil || !strings.Contains(c.err.Error(), c.want)) {
			t.Errorf("got %v, want %q", c.err, c.want)
		}
	}
}

func second1[T any](_ T, err error) error { return err }

// Change sets say what would change, one that changes nothing fails, and executing one makes the others obsolete.
func TestChangeSets(t *testing.T) {
	w := &world{things: map[string]string{}}
	r, _ := start(t, w)
	make := func(name, body string, kind types.ChangeSetType) *cfn.DescribeChangeSetOutput {
		if _, err := r.CreateChangeSet(t.Context(), &cfn.CreateChangeSetInput{StackName: new("s"), ChangeSetName: &name, TemplateBody: &body, ChangeSetType: kind}); err != nil {
			t.Fatal(err)
		}
		out, err := r.DescribeChangeSet(t.Context(), &cfn.DescribeChangeSetInput{StackName: new("s"), ChangeSetName: &name})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	execute := func(name string) error {
		return second1(r.ExecuteChangeSet(t.Context(), &cfn.ExecuteChangeSetInput{StackName: new("s"), ChangeSetName: &name}))
	}
	if got := len(make("c1", first, types.ChangeSetTypeCreate).Changes); got != 3 {
		t.Errorf("%d changes", got)
	}
	if err := execute("c1"); err != nil {
		t.Fatal(err)
	}
	r.settled(t, "s")
	none := make("c2", first, types.ChangeSetTypeUpdate)
	if none.Status != types.ChangeSetStatusFailed || !strings.Contains(*none.StatusReason, "didn't contain changes") {
		t.Errorf("%s %s", none.Status, *none.StatusReason)
	}
	if err := execute("c2"); err == nil || !strings.Contains(err.Error(), "cannot be executed in its current status of [FAILED]") {
		t.Error(err)
	}
	var lines []string
	for _, c := range make("c3", second, types.ChangeSetTypeUpdate).Changes {
		lines = append(lines, fmt.Sprintf("%s %s %s", c.ResourceChange.Action, *c.ResourceChange.LogicalResourceId, c.ResourceChange.Replacement))
	}
	if diff := cmp.Diff([]string{"Modify A False", "Modify B True", "Add D ", "Remove C "}, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	make("c4", second, types.ChangeSetTypeUpdate)
	if err := execute("c3"); err != nil {
		t.Fatal(err)
	}
	if st := r.settled(t, "s"); st.StackStatus != types.StackStatusUpdateComplete {
		t.Errorf("%s", st.StackStatus)
	}
	if err := execute("c4"); err == nil || !strings.Contains(err.Error(), "[OBSOLETE]") {
		t.Error(err)
	}
	if _, err := r.DeleteChangeSet(t.Context(), &cfn.DeleteChangeSetInput{StackName: new("s"), ChangeSetName: new("c4")}); err != nil {
		t.Error(err)
	}
	_, err := r.DescribeChangeSet(t.Context(), &cfn.DescribeChangeSetInput{StackName: new("s"), ChangeSetName: new("c4")})
	if err == nil || err.Error() != "ChangeSet [c4] does not exist" {
		t.Error(err)
	}
}

// Policies and protection keep resources and stacks.
func TestProtection(t *testing.T) {
	w := &world{things: map[string]string{}}
	r, _ := start(t, w)
	r.create(t, "s", `Resources: {A: {Type: Test::Thing, DeletionPolicy: Retain, Properties: {Value: a1}}, B: {Type: Test::Thing, Properties: {Value: b1}}}`)
	policy := `{"Statement": [{"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "Update:*", "Principal": "*", "Resource": "LogicalResourceId/B"}]}`
	if _, err := r.SetStackPolicy(t.Context(), &cfn.SetStackPolicyInput{StackName: new("s"), StackPolicyBody: &policy}); err != nil {
		t.Fatal(err)
	}
	st := r.update(t, "s", `Resources: {A: {Type: Test::Thing, DeletionPolicy: Retain, Properties: {Value: a2}}, B: {Type: Test::Thing, DependsOn: A, Properties: {Value: b2}}}`)
	if got := values(w.snapshot()); st.StackStatus != types.StackStatusUpdateRollbackComplete || !slices.Equal(got, []string{"a1", "b1"}) {
		t.Errorf("%s %v", st.StackStatus, got)
	}
	protect := func(on bool) {
		if _, err := r.UpdateTerminationProtection(t.Context(), &cfn.UpdateTerminationProtectionInput{StackName: new("s"), EnableTerminationProtection: &on}); err != nil {
			t.Fatal(err)
		}
	}
	protect(true)
	if _, err := r.DeleteStack(t.Context(), &cfn.DeleteStackInput{StackName: new("s")}); err == nil || !strings.Contains(err.Error(), "TerminationProtection") {
		t.Error(err)
	}
	protect(false)
	if _, err := r.DeleteStack(t.Context(), &cfn.DeleteStackInput{StackName: new("s")}); err != nil {
		t.Fatal(err)
	}
	st = r.settled(t, *st.StackId)
	if got := values(w.snapshot()); st.StackStatus != types.StackStatusDeleteComplete || !slices.Equal(got, []string{"a1"}) {
		t.Errorf("%s %v", st.StackStatus, got)
	}
}
