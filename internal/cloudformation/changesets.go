package cloudformation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"serin/internal/store"
)

// changeSet is a change set as it is stored.
type changeSet struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	StackID     string         `json:"stackId"`
	StackName   string         `json:"stackName"`
	Description string         `json:"description,omitempty"`
	CreatedAt   time.Time      `json:"createdAt"`
	Status      string         `json:"status"`
	Execution   string         `json:"execution"`
	Reason      string         `json:"reason,omitempty"`
	Creating    bool           `json:"creating,omitempty"` // it makes the stack
	Revision    revision       `json:"revision"`
	Changes     []types.Change `json:"changes,omitempty"`
	OnFailure   string         `json:"onFailure,omitempty"`
	Notify      []string       `json:"notify,omitempty"`
	RoleARN     string         `json:"roleArn,omitempty"`
	Token       string         `json:"token,omitempty"`
}

const (
	noChanges       = "The submitted information didn't contain changes. Submit different information to create a change set."
	noChangesAtAll  = "No updates are to be performed."
	maxChangeSets   = 1000 // of a stack, of CloudFormation's documentation in 2025
	executionNone   = string(types.ExecutionStatusUnavailable)
	executionReady  = string(types.ExecutionStatusAvailable)
	executionOld    = string(types.ExecutionStatusObsolete)
	changeSetDone   = string(types.ChangeSetStatusCreateComplete)
	changeSetFailed = string(types.ChangeSetStatusFailed)
)

// changeSets returns the change sets of a stack, by name.
func (s *Service) changeSets(ctx context.Context, stackID string) ([]*changeSet, error) {
	var all []*changeSet
	for d, err := range s.Store.Documents(ctx, kindSet, stackID+"/") {
		cs := &changeSet{}
		if err == nil {
			err = decode(d.Body, cs)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, cs)
	}
	return all, nil
}

func (s *Service) forgetChangeSets(ctx context.Context, stackID string) error {
	all, err := s.changeSets(ctx, stackID)
	if err != nil {
		return err
	}
	for _, cs := range all {
		d, err := s.document(ctx, kindSet, stackID+"/"+cs.Name, nil)
		if err == nil {
			err = s.Store.SaveDocuments(ctx, d)
		}
		if err != nil && !errors.Is(err, store.ErrStale) {
			return err
		}
	}
	return nil
}

// changeSet finds a change set by its id, or by its name and that of its stack.
func (s *Service) changeSet(ctx context.Context, nameOrID, stackName *string) (*stack, *changeSet, error) {
	missing := exception(ReasonChangeSetNotFound, "ChangeSet [%s] does not exist", clip(deref(nameOrID)))
	isID := strings.HasPrefix(deref(nameOrID), "arn:")
	if stackName == nil {
		if !isID {
			return nil, nil, validation("StackName must be specified if ChangeSetName is not specified as an ARN.")
		}
		for st, err := range s.stacks(ctx) {
			if err != nil {
				return nil, nil, err
			}
			if cs, err := s.named(ctx, st.ID, *nameOrID); err != nil || cs != nil {
				return st, cs, err
			}
		}
		return nil, nil, missing
	}
	st, err := s.find(ctx, *stackName)
	if err != nil {
		return nil, nil, err
	}
	if st == nil || st.Status == statusDeleted {
		return nil, nil, validation("Stack [%s] does not exist", clip(*stackName))
	}
	cs, err := s.named(ctx, st.ID, deref(nameOrID))
	if err == nil && cs == nil {
		err = missing
	}
	return st, cs, err
}

func (s *Service) named(ctx context.Context, stackID, nameOrID string) (*changeSet, error) {
	all, err := s.changeSets(ctx, stackID)
	i := slices.IndexFunc(all, func(cs *changeSet) bool { return cs.ID == nameOrID || cs.Name == nameOrID })
	if err != nil || i < 0 {
		return nil, err
	}
	return all[i], nil
}

// CreateChangeSet says what deploying a template would change. It is complete when the call returns.
func (s *Service) CreateChangeSet(ctx context.Context, in *cfn.CreateChangeSetInput, _ ...func(*cfn.Options)) (*cfn.CreateChangeSetOutput, error) {
	name := deref(in.ChangeSetName)
	if !stackName.MatchString(name) {
		return nil, validation("1 validation error detected: Value '%s' at 'changeSetName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*", clip(name))
	}
	st, err := s.stackForChangeSet(ctx, in)
	if err != nil {
		return nil, err
	}
	fresh := st.Status == ""
	if !fresh {
		if there, err := s.named(ctx, st.ID, name); err != nil {
			return nil, err
		} else if there != nil && there.Execution == executionReady {
			// One that was executed or cannot be makes way: the command line names them by the second.
			return nil, exception(ReasonAlreadyExists, "ChangeSet %s already exists", name)
		}
	}
	if st.Status == statusReview {
		st.Notify, st.RoleARN = in.NotificationARNs, deref(in.RoleARN)
	}
	w := wanted{
		body: in.TemplateBody, url: in.TemplateURL, previous: deref(in.UsePreviousTemplate), parameters: in.Parameters, tags: in.Tags,
		capabilities: in.Capabilities, changeSet: true,
	}
	if in.Tags == nil && st.Current != nil {
		w.tags = tagList(st.Current.Tags)
	}
	p, err := s.prepare(ctx, st, w)
	if err != nil {
		return nil, err
	}
	cs := &changeSet{
		ID: "arn:aws:cloudformation:" + s.Place.Region + ":" + s.Place.Account + ":changeSet/" + name + "/" + s.NewID(), Name: name, StackID: st.ID, StackName: st.Name,
		Description: deref(in.Description), CreatedAt: s.Now().UTC(), Revision: p.revision, Creating: st.Current == nil, Status: changeSetDone, Execution: executionReady,
		OnFailure: string(in.OnStackFailure), Notify: in.NotificationARNs, RoleARN: deref(in.RoleARN), Token: deref(in.ClientToken),
	}
	if err := s.fillChangeSet(ctx, st, p, cs); err != nil {
		return nil, err
	}
	d, err := s.document(ctx, kindSet, cs.StackID+"/"+cs.Name, cs)
	if err != nil {
		return nil, err
	}
	if fresh {
		err = s.review(ctx, st, d)
	} else {
		err = s.Store.SaveDocuments(ctx, d)
	}
	return &cfn.CreateChangeSetOutput{Id: &cs.ID, StackId: &st.ID}, err
}

// fillChangeSet computes the changes. What is wrong with the template only in this stack makes the change set fail.
func (s *Service) fillChangeSet(ctx context.Context, st *stack, p *prepared, cs *changeSet) error {
	changes, err := s.plan(ctx, st, p)
	switch {
	case isValidation(err):
		cs.Status, cs.Execution, cs.Reason = changeSetFailed, executionNone, err.Error()
	case err != nil:
		return err
	case changes.empty():
		cs.Status, cs.Execution, cs.Reason = changeSetFailed, executionNone, noChanges
		if len(p.template.Transforms) > 0 {
			cs.Reason = noChangesAtAll
		}
	default:
		cs.Changes = changes.changes
	}
	return nil
}

// stackForChangeSet returns the stack of a new change set, a new one for one that creates it.
func (s *Service) stackForChangeSet(ctx context.Context, in *cfn.CreateChangeSetInput) (*stack, error) {
	st, err := s.find(ctx, deref(in.StackName))
	if err != nil {
		return nil, err
	}
	if st != nil && st.Status == statusDeleted {
		st = nil
	}
	switch in.ChangeSetType {
	case types.ChangeSetTypeCreate:
		if st != nil && st.Status != statusReview {
			return nil, validation("Stack [%s] already exists and cannot be created again with the changeSet [%s].", st.Name, deref(in.ChangeSetName))
		}
		if st == nil {
			if err := checkStackName(deref(in.StackName)); err != nil {
				return nil, err
			}
			return s.newStack(*in.StackName), nil
		}
		return st, nil
	case types.ChangeSetTypeUpdate, "":
		if st == nil {
			return nil, validation("Stack [%s] does not exist", clip(deref(in.StackName)))
		}
		if !slices.Contains(updatable, st.Status) {
			return nil, validation("Stack:%s is in %s state and can not be updated.", st.ID, st.Status)
		}
		return st, nil
	default:
		return nil, validation("Serin does not have change sets of type %s", in.ChangeSetType)
	}
}

// review makes the stack of its first change set.
func (s *Service) review(ctx context.Context, st *stack, more store.Document) error {
	_, err := s.modify(ctx, st.Name, func(now *stack) ([]store.Document, error) {
		if now.ID != "" {
			return nil, exception(ReasonAlreadyExists, "Stack [%s] already exists", st.Name)
		}
		*now = *st
		now.Status, now.Reason = statusReview, reasonUserInitiated
		e, err := s.stackEvent(now)
		return []store.Document{e, more}, err
	})
	return err
}

// ExecuteChangeSet begins to deploy a change set.
func (s *Service) ExecuteChangeSet(ctx context.Context, in *cfn.ExecuteChangeSetInput, _ ...func(*cfn.Options)) (*cfn.ExecuteChangeSetOutput, error) {
	st, cs, err := s.changeSet(ctx, in.ChangeSetName, in.StackName)
	if err != nil {
		return nil, err
	}
	if cs.Execution != executionReady {
		state := cs.Status
		if cs.Status == changeSetDone {
			state = cs.Execution
		}
		return nil, exception(ReasonInvalidChangeSet, "ChangeSet [%s] cannot be executed in its current status of [%s]", cs.ID, state)
	}
	next, may := statusUpdating, updatable
	if cs.Creating {
		next, may = statusCreating, []string{statusReview}
	}
	if err := s.retire(ctx, cs); err != nil {
		return nil, err
	}
	_, err = s.begin(ctx, st, in.ClientRequestToken, next, may, func(now *stack) {
		now.Next, now.ChangeSetID, now.DisableRollback, now.OnFailure = &cs.Revision, cs.ID, deref(in.DisableRollback), cs.OnFailure
		if !cs.Creating {
			now.UpdatedAt = s.Now().UTC()
		}
		if cs.Notify != nil {
			now.Notify = cs.Notify
		}
		if cs.RoleARN != "" {
			now.RoleARN = cs.RoleARN
		}
	})
	return &cfn.ExecuteChangeSetOutput{}, err
}

// retire notes that a change set is executed, which makes the others of its stack obsolete.
func (s *Service) retire(ctx context.Context, executed *changeSet) error {
	all, err := s.changeSets(ctx, executed.StackID)
	if err != nil {
		return err
	}
	var documents []store.Document
	for _, cs := range all {
		switch {
		case cs.ID == executed.ID:
			cs.Execution = string(types.ExecutionStatusExecuteComplete)
		case cs.Execution == executionReady:
			cs.Execution = executionOld
		default:
			continue
		}
		d, err := s.document(ctx, kindSet, cs.StackID+"/"+cs.Name, cs)
		if err != nil {
			return err
		}
		documents = append(documents, d)
	}
	return s.Store.SaveDocuments(ctx, documents...)
}

// DescribeChangeSet returns a change set.
func (s *Service) DescribeChangeSet(ctx context.Context, in *cfn.DescribeChangeSetInput, _ ...func(*cfn.Options)) (*cfn.DescribeChangeSetOutput, error) {
	st, cs, err := s.changeSet(ctx, in.ChangeSetName, in.StackName)
	if err != nil {
		return nil, err
	}
	page, next, err := paged(cs.Changes, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &cfn.DescribeChangeSetOutput{
		ChangeSetId: &cs.ID, ChangeSetName: &cs.Name, StackId: &cs.StackID, StackName: &cs.StackName, CreationTime: &cs.CreatedAt,
		Status: types.ChangeSetStatus(cs.Status), ExecutionStatus: types.ExecutionStatus(cs.Execution), Changes: page, NextToken: next,
		Capabilities: capabilityList(cs.Revision.Capabilities), NotificationARNs: cs.Notify, Tags: tagList(cs.Revision.Tags),
		Parameters: parameterList(cs.Revision.Parameters), RollbackConfiguration: &types.RollbackConfiguration{}, IncludeNestedStacks: new(false),
		OnStackFailure: types.OnStackFailure(cs.OnFailure),
	}
	if out.NotificationARNs == nil {
		out.NotificationARNs = st.Notify
	}
	if cs.Reason != "" {
		out.StatusReason = &cs.Reason
	}
	if cs.Description != "" {
		out.Description = &cs.Description
	}
	return out, nil
}

// DeleteChangeSet deletes a change set. One that is not there is no error.
func (s *Service) DeleteChangeSet(ctx context.Context, in *cfn.DeleteChangeSetInput, _ ...func(*cfn.Options)) (*cfn.DeleteChangeSetOutput, error) {
	_, cs, err := s.changeSet(ctx, in.ChangeSetName, in.StackName)
	if isNotFound(err) {
		return &cfn.DeleteChangeSetOutput{}, nil
	}
	if err != nil {
		return nil, err
	}
	d, err := s.document(ctx, kindSet, cs.StackID+"/"+cs.Name, nil)
	if err == nil {
		err = s.Store.SaveDocuments(ctx, d)
	}
	if errors.Is(err, store.ErrStale) {
		err = nil
	}
	return &cfn.DeleteChangeSetOutput{}, err
}

// ListChangeSets returns the change sets of a stack.
func (s *Service) ListChangeSets(ctx context.Context, in *cfn.ListChangeSetsInput, _ ...func(*cfn.Options)) (*cfn.ListChangeSetsOutput, error) {
	st, err := s.existing(ctx, in.StackName)
	if err != nil {
		return nil, err
	}
	all, err := s.changeSets(ctx, st.ID)
	if err != nil {
		return nil, err
	}
	page, next, err := paged(all, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &cfn.ListChangeSetsOutput{Summaries: []types.ChangeSetSummary{}, NextToken: next}
	for _, cs := range page {
		one := types.ChangeSetSummary{
			ChangeSetId: &cs.ID, ChangeSetName: &cs.Name, StackId: &cs.StackID, StackName: &cs.StackName, CreationTime: &cs.CreatedAt,
			Status: types.ChangeSetStatus(cs.Status), ExecutionStatus: types.ExecutionStatus(cs.Execution), IncludeNestedStacks: new(false),
		}
		if cs.Reason != "" {
			one.StatusReason = &cs.Reason
		}
		if cs.Description != "" {
			one.Description = &cs.Description
		}
		out.Summaries = append(out.Summaries, one)
	}
	return out, nil
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

const pageSize = 100

// paged returns a page of a list and the token of the next one.
func paged[T any](all []T, token *string) ([]T, *string, error) {
	from := 0
	if token != nil {
		if _, err := fmt.Sscanf(*token, "from-%d", &from); err != nil || from < 0 || from > len(all) {
			return nil, nil, validation("NextToken is not one that this operation has given")
		}
	}
	to := min(from+pageSize, len(all))
	if to == len(all) {
		return all[from:to], nil, nil
	}
	return all[from:to], new(fmt.Sprintf("from-%d", to)), nil
}
