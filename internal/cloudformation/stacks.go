package cloudformation

import (
	"context"
	"regexp"
	"slices"
	"strings"

	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"serin/internal/store"
)

// Operations on whole stacks. Each saves what is wanted together with the status that says so, and returns; the
// operation goes on by itself.

var stackName = regexp.MustCompile(`^[A-Za-z][-A-Za-z0-9]{0,127}$`)

func checkStackName(name string) error {
	if !stackName.MatchString(name) {
		return validation("1 validation error detected: Value '%s' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*", clip(name))
	}
	return nil
}

func clip(s string) string {
	const most = 256
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func (s *Service) newStack(name string) *stack {
	return &stack{
		ID: "arn:aws:cloudformation:" + s.Place.Region + ":" + s.Place.Account + ":stack/" + name + "/" + s.NewID(), Name: name, CreatedAt: s.Now().UTC(),
	}
}

// begin gives a stack an operation, provided that it is in one of the statuses, and drives it.
func (s *Service) begin(ctx context.Context, st *stack, token *string, next string, may []string, set func(*stack)) (*stack, error) {
	id := st.ID
	begun, err := s.modify(ctx, st.Name, func(now *stack) ([]store.Document, error) {
		if now.ID == "" && st.Status == "" { // it is new
			*now = *st
		}
		if now.ID != id {
			return nil, notThere(st.Name)
		}
		if now.Status != "" && !slices.Contains(may, now.Status) {
			return nil, validation("Stack:%s is in %s state and can not be updated.", now.ID, now.Status)
		}
		now.Status, now.Reason, now.Operation, now.ClientToken, now.Cancelled = next, reasonUserInitiated, s.NewID(), deref(token), false
		now.Skip, now.Retain = nil, nil
		set(now)
		e, err := s.stackEvent(now)
		return []store.Document{e}, err
	})
	if err != nil {
		return nil, err
	}
	s.drive(begun)
	s.linger(ctx, begun.ID)
	return begun, nil
}

// notThere is the error for a stack that there is not.
func notThere(name string) error { return validation("Stack with id %s does not exist", clip(name)) }

// existing returns a stack that can be changed.
func (s *Service) existing(ctx context.Context, nameOrID *string) (*stack, error) {
	st, err := s.find(ctx, deref(nameOrID))
	if err != nil {
		return nil, err
	}
	if st == nil {
		return nil, validation("Stack [%s] does not exist", clip(deref(nameOrID)))
	}
	if st.Status == statusDeleted {
		return nil, validation("Stack:%s is in %s state and can not be updated.", st.ID, st.Status)
	}
	return st, nil
}

// CreateStack creates a stack.
func (s *Service) CreateStack(ctx context.Context, in *cfn.CreateStackInput, _ ...func(*cfn.Options)) (*cfn.CreateStackOutput, error) {
	name := deref(in.StackName)
	if err := checkStackName(name); err != nil {
		return nil, err
	}
	if there, err := s.find(ctx, name); err != nil {
		return nil, err
	} else if there != nil {
		if token := deref(in.ClientRequestToken); token != "" && there.ClientToken == token {
			return &cfn.CreateStackOutput{StackId: &there.ID}, nil
		}
		return nil, exception(ReasonAlreadyExists, "Stack [%s] already exists", name)
	}
	if in.OnFailure != "" && in.DisableRollback != nil {
		return nil, validation("You can specify only one of DisableRollback or OnFailure")
	}
	if in.StackPolicyBody != nil {
		if err := checkPolicy(*in.StackPolicyBody); err != nil {
			return nil, err
		}
	}
	st := s.newStack(name)
	st.Notify, st.RoleARN, st.DisableRollback, st.OnFailure = in.NotificationARNs, deref(in.RoleARN), deref(in.DisableRollback), string(in.OnFailure)
	st.Protected, st.Policy = deref(in.EnableTerminationProtection), deref(in.StackPolicyBody)
	p, err := s.prepare(ctx, st, wanted{body: in.TemplateBody, url: in.TemplateURL, parameters: in.Parameters, tags: in.Tags, capabilities: in.Capabilities})
	if err != nil {
		return nil, err
	}
	if _, err := s.plan(ctx, st, p); err != nil { // what can be evaluated must be right
		return nil, err
	}
	st, err = s.begin(ctx, st, in.ClientRequestToken, statusCreating, nil, func(now *stack) { now.Next = &p.revision })
	if err != nil {
		return nil, err
	}
	return &cfn.CreateStackOutput{StackId: &st.ID, OperationId: &st.Operation}, nil
}

// updatable are the statuses from which a stack can be updated.
var updatable = []string{statusCreated, statusUpdated, statusReverted, statusUpdateFailed, statusCreateFailed, "IMPORT_COMPLETE"}

// UpdateStack deploys another template or other parameters.
func (s *Service) UpdateStack(ctx context.Context, in *cfn.UpdateStackInput, _ ...func(*cfn.Options)) (*cfn.UpdateStackOutput, error) {
	st, err := s.existing(ctx, in.StackName)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(updatable, st.Status) {
		return nil, validation("Stack:%s is in %s state and can not be updated.", st.ID, st.Status)
	}
	w := wanted{
		body: in.TemplateBody, url: in.TemplateURL, previous: deref(in.UsePreviousTemplate), parameters: in.Parameters, tags: in.Tags, capabilities: in.Capabilities,
	}
	if in.Tags == nil && st.Current != nil { // none given: they stay
		w.tags = tagList(st.Current.Tags)
	}
	p, err := s.prepare(ctx, st, w)
	if err != nil {
		return nil, err
	}
	changes, err := s.plan(ctx, st, p)
	if err != nil {
		return nil, err
	}
	if changes.empty() && (st.Status == statusCreated || st.Status == statusUpdated || st.Status == statusReverted) {
		return nil, validation("No updates are to be performed.")
	}
	st, err = s.begin(ctx, st, in.ClientRequestToken, statusUpdating, updatable, func(now *stack) {
		now.Next, now.UpdatedAt, now.DisableRollback = &p.revision, s.Now().UTC(), deref(in.DisableRollback)
		if in.NotificationARNs != nil {
			now.Notify = in.NotificationARNs
		}
		if in.RoleARN != nil {
			now.RoleARN = *in.RoleARN
		}
	})
	if err != nil {
		return nil, err
	}
	return &cfn.UpdateStackOutput{StackId: &st.ID, OperationId: &st.Operation}, nil
}

// DeleteStack deletes a stack. One that is not there is no error.
func (s *Service) DeleteStack(ctx context.Context, in *cfn.DeleteStackInput, _ ...func(*cfn.Options)) (*cfn.DeleteStackOutput, error) {
	st, err := s.find(ctx, deref(in.StackName))
	if err != nil {
		return nil, err
	}
	if st == nil || st.Status == statusDeleted || st.Status == statusDeleting {
		return &cfn.DeleteStackOutput{}, nil
	}
	if st.Protected {
		return nil, validation("Stack [%s] cannot be deleted while TerminationProtection is enabled", st.Name)
	}
	if len(in.RetainResources) > 0 && st.Status != statusDeleteFailed {
		return nil, validation("Invalid operation on stack [%s]. RetainResources can only be specified if the stack is in the DELETE_FAILED state.", st.Name)
	}
	if inProgress(st.Status) {
		return nil, validation("Stack:%s is in %s state and can not be deleted.", st.ID, st.Status)
	}
	if err := s.forgetChangeSets(ctx, st.ID); err != nil {
		return nil, err
	}
	may := []string{st.Status}
	_, err = s.begin(ctx, st, in.ClientRequestToken, statusDeleting, may, func(now *stack) { now.Retain = in.RetainResources })
	if err != nil {
		return nil, err
	}
	return &cfn.DeleteStackOutput{}, nil
}

// CancelUpdateStack rolls back an update that is under way.
func (s *Service) CancelUpdateStack(ctx context.Context, in *cfn.CancelUpdateStackInput, _ ...func(*cfn.Options)) (*cfn.CancelUpdateStackOutput, error) {
	st, err := s.existing(ctx, in.StackName)
	if err != nil {
		return nil, err
	}
	refused := validation("CancelUpdateStack cannot be called from current stack status")
	_, err = s.modify(ctx, st.Name, func(now *stack) ([]store.Document, error) {
		if now.Status != statusUpdating {
			return nil, refused
		}
		now.Cancelled = true
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.running[st.ID]; o != nil {
		o.cancel()
	}
	return &cfn.CancelUpdateStackOutput{}, nil
}

// ContinueUpdateRollback tries again to roll an update back.
func (s *Service) ContinueUpdateRollback(ctx context.Context, in *cfn.ContinueUpdateRollbackInput, _ ...func(*cfn.Options)) (*cfn.ContinueUpdateRollbackOutput, error) {
	st, err := s.existing(ctx, in.StackName)
	if err != nil {
		return nil, err
	}
	if st.Status != statusRevertFailed {
		return nil, validation("Stack:%s is in %s state and can not continue rolling back.", st.ID, st.Status)
	}
	_, err = s.again(ctx, st, in.ClientRequestToken, statusReverting, func(now *stack) { now.Skip = in.ResourcesToSkip })
	return &cfn.ContinueUpdateRollbackOutput{}, err
}

// again begins a phase of the operation that the stack was in, without a new one: what it has touched stays known.
func (s *Service) again(ctx context.Context, st *stack, token *string, next string, set func(*stack)) (*stack, error) {
	was := st.Operation
	return s.begin(ctx, st, token, next, []string{st.Status}, func(now *stack) {
		now.Operation = was
		set(now)
	})
}

// RollbackStack rolls back a stack whose creation or update has failed and was left as it was.
func (s *Service) RollbackStack(ctx context.Context, in *cfn.RollbackStackInput, _ ...func(*cfn.Options)) (*cfn.RollbackStackOutput, error) {
	st, err := s.existing(ctx, in.StackName)
	if err != nil {
		return nil, err
	}
	next, ok := map[string]string{statusCreateFailed: statusRollingBack, statusUpdateFailed: statusReverting}[st.Status]
	if !ok {
		return nil, validation("Stack:%s is in %s state and can not be rolled back.", st.ID, st.Status)
	}
	if _, err := s.again(ctx, st, in.ClientRequestToken, next, func(*stack) {}); err != nil {
		return nil, err
	}
	return &cfn.RollbackStackOutput{StackId: &st.ID}, nil
}

// SetStackPolicy says which resources updates may touch.
func (s *Service) SetStackPolicy(ctx context.Context, in *cfn.SetStackPolicyInput, _ ...func(*cfn.Options)) (*cfn.SetStackPolicyOutput, error) {
	st, err := s.existing(ctx, in.StackName)
	if err != nil {
		return nil, err
	}
	if in.StackPolicyBody == nil {
		return nil, validation("StackPolicyBody must be given; Serin does not fetch policies by URL")
	}
	if err := checkPolicy(*in.StackPolicyBody); err != nil {
		return nil, err
	}
	_, err = s.modify(ctx, st.Name, func(now *stack) ([]store.Document, error) {
		now.Policy = *in.StackPolicyBody
		return nil, nil
	})
	return &cfn.SetStackPolicyOutput{}, err
}

// GetStackPolicy returns the policy of a stack.
func (s *Service) GetStackPolicy(ctx context.Context, in *cfn.GetStackPolicyInput, _ ...func(*cfn.Options)) (*cfn.GetStackPolicyOutput, error) {
	st, err := s.existing(ctx, in.StackName)
	if err != nil {
		return nil, err
	}
	out := &cfn.GetStackPolicyOutput{}
	if st.Policy != "" {
		out.StackPolicyBody = &st.Policy
	}
	return out, nil
}

// UpdateTerminationProtection says whether a stack can be deleted.
func (s *Service) UpdateTerminationProtection(ctx context.Context, in *cfn.UpdateTerminationProtectionInput, _ ...func(*cfn.Options)) (*cfn.UpdateTerminationProtectionOutput, error) {
	st, err := s.existing(ctx, in.StackName)
	if err != nil {
		return nil, err
	}
	st, err = s.modify(ctx, st.Name, func(now *stack) ([]store.Document, error) {
		now.Protected = deref(in.EnableTerminationProtection)
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return &cfn.UpdateTerminationProtectionOutput{StackId: &st.ID}, nil
}

func tagList(tags map[string]string) []types.Tag {
	list := []types.Tag{}
	for _, key := range sorted(tags) {
		list = append(list, types.Tag{Key: new(key), Value: new(tags[key])})
	}
	return list
}
