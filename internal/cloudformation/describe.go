package cloudformation

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"serin"
	"serin/internal/template"
)

// Operations that read.

func isValidation(err error) bool { return serin.KindOf(err) == serin.KindValidation }

func isNotFound(err error) bool { return serin.KindOf(err) == serin.KindNotFound }

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func capabilityList(list []string) []types.Capability {
	var out []types.Capability
	for _, c := range list {
		out = append(out, types.Capability(c))
	}
	return out
}

// secret stands for the value of a parameter that is not to be shown.
const secret = "****"

func parameterList(p template.Parameters) []types.Parameter {
	var out []types.Parameter
	for _, key := range sorted(p) {
		v := p[key]
		one := types.Parameter{ParameterKey: new(key), ParameterValue: new(v.Given), ResolvedValue: v.Resolved}
		if v.NoEcho {
			one.ParameterValue, one.ResolvedValue = new(secret), nil
		}
		out = append(out, one)
	}
	return out
}

func (st *stack) describe() types.Stack {
	out := types.Stack{
		StackId: &st.ID, StackName: &st.Name, StackStatus: types.StackStatus(st.Status), StackStatusReason: optional(st.Reason), CreationTime: &st.CreatedAt,
		LastUpdatedTime: optionalTime(st.UpdatedAt), DeletionTime: optionalTime(st.DeletedAt), DisableRollback: &st.DisableRollback,
		EnableTerminationProtection: &st.Protected, NotificationARNs: st.Notify, RollbackConfiguration: &types.RollbackConfiguration{}, RoleARN: optional(st.RoleARN),
		ChangeSetId: optional(st.ChangeSetID), DriftInformation: &types.StackDriftInformation{StackDriftStatus: types.StackDriftStatusNotChecked},
		Tags: []types.Tag{},
	}
	if !inProgress(st.Status) && (st.Reason == reasonUserInitiated || st.Status == statusDeleted) && st.Status != statusReview {
		out.StackStatusReason = nil
	}
	if out.NotificationARNs == nil {
		out.NotificationARNs = []string{}
	}
	r := st.Current
	if st.Next != nil {
		r = st.Next
	}
	if r != nil {
		out.Tags, out.Parameters, out.Capabilities, out.Description = tagList(r.Tags), parameterList(r.Parameters), capabilityList(r.Capabilities), optional(r.Description)
	}
	for _, o := range st.Outputs {
		out.Outputs = append(out.Outputs, types.Output{OutputKey: &o.Key, OutputValue: &o.Value, Description: optional(o.Description), ExportName: optional(o.Export)})
	}
	return out
}

// DescribeStacks returns a stack, or all that are not deleted.
func (s *Service) DescribeStacks(ctx context.Context, in *cfn.DescribeStacksInput, _ ...func(*cfn.Options)) (*cfn.DescribeStacksOutput, error) {
	out := &cfn.DescribeStacksOutput{Stacks: []types.Stack{}}
	if name := deref(in.StackName); name != "" {
		st, err := s.find(ctx, name)
		if err != nil {
			return nil, err
		}
		if st == nil {
			return nil, notThere(name)
		}
		out.Stacks = append(out.Stacks, st.describe())
		return out, nil
	}
	var all []types.Stack
	for st, err := range s.stacks(ctx) {
		if err != nil {
			return nil, err
		}
		all = append(all, st.describe())
	}
	var err error
	out.Stacks, out.NextToken, err = paged(all, in.NextToken)
	return out, err
}

// ListStacks returns summaries of stacks, also of deleted ones.
func (s *Service) ListStacks(ctx context.Context, in *cfn.ListStacksInput, _ ...func(*cfn.Options)) (*cfn.ListStacksOutput, error) {
	var all []types.StackSummary
	for _, kind := range []string{kindStack, kindDeleted} {
		for d, err := range s.Store.Documents(ctx, kind, "") {
			st := &stack{}
			if err == nil {
				err = decode(d.Body, st)
			}
			if err != nil {
				return nil, err
			}
			if len(in.StackStatusFilter) > 0 && !slices.Contains(in.StackStatusFilter, types.StackStatus(st.Status)) {
				continue
			}
			full := st.describe()
			all = append(all, types.StackSummary{
				StackId: full.StackId, StackName: full.StackName, StackStatus: full.StackStatus, StackStatusReason: full.StackStatusReason,
				CreationTime: full.CreationTime, LastUpdatedTime: full.LastUpdatedTime, DeletionTime: full.DeletionTime, TemplateDescription: full.Description,
				DriftInformation: &types.StackDriftInformationSummary{StackDriftStatus: types.StackDriftStatusNotChecked},
			})
		}
	}
	slices.SortStableFunc(all, func(a, b types.StackSummary) int { return b.CreationTime.Compare(*a.CreationTime) })
	page, next, err := paged(all, in.NextToken)
	return &cfn.ListStacksOutput{StackSummaries: page, NextToken: next}, err
}

// DescribeStackEvents returns what has happened to a stack, the newest first.
func (s *Service) DescribeStackEvents(ctx context.Context, in *cfn.DescribeStackEventsInput, _ ...func(*cfn.Options)) (*cfn.DescribeStackEventsOutput, error) {
	st, err := s.known(ctx, in.StackName)
	if err != nil {
		return nil, err
	}
	all, err := s.events(ctx, st.ID)
	if err != nil {
		return nil, err
	}
	slices.Reverse(all)
	page, next, err := paged(all, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &cfn.DescribeStackEventsOutput{StackEvents: []types.StackEvent{}, NextToken: next}
	for _, e := range page {
		out.StackEvents = append(out.StackEvents, types.StackEvent{
			EventId: &e.ID, StackId: &e.StackID, StackName: &e.StackName, LogicalResourceId: &e.LogicalID, PhysicalResourceId: &e.PhysicalID, ResourceType: &e.Type,
			ResourceStatus: types.ResourceStatus(e.Status), ResourceStatusReason: optional(e.Reason), Timestamp: &e.At, ClientRequestToken: optional(e.ClientToken),
		})
	}
	return out, nil
}

// DescribeEvents returns the events of an operation or a stack, the newest first.
func (s *Service) DescribeEvents(ctx context.Context, in *cfn.DescribeEventsInput, _ ...func(*cfn.Options)) (*cfn.DescribeEventsOutput, error) {
	st, err := s.known(ctx, in.StackName)
	if err != nil {
		return nil, err
	}
	all, err := s.events(ctx, st.ID)
	if err != nil {
		return nil, err
	}
	slices.Reverse(all)
	all = slices.DeleteFunc(all, func(e event) bool {
		failed := strings.HasSuffix(e.Status, "_FAILED")
		return in.OperationId != nil && e.Operation != *in.OperationId || in.Filters != nil && deref(in.Filters.FailedEvents) && !failed
	})
	page, next, err := paged(all, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &cfn.DescribeEventsOutput{OperationEvents: []types.OperationEvent{}, NextToken: next}
	for _, e := range page {
		out.OperationEvents = append(out.OperationEvents, types.OperationEvent{
			EventId: &e.ID, StackId: &e.StackID, LogicalResourceId: &e.LogicalID, PhysicalResourceId: &e.PhysicalID, ResourceType: &e.Type,
			ResourceStatus: types.ResourceStatus(e.Status), ResourceStatusReason: optional(e.Reason), Timestamp: &e.At, OperationId: optional(e.Operation),
			EventType: types.EventTypeProgressEvent, ClientRequestToken: optional(e.ClientToken),
		})
	}
	return out, nil
}

// known returns a stack, also a deleted one.
func (s *Service) known(ctx context.Context, nameOrID *string) (*stack, error) {
	st, err := s.find(ctx, deref(nameOrID))
	if err == nil && st == nil {
		err = validation("Stack [%s] does not exist", clip(deref(nameOrID)))
	}
	return st, err
}

// listed returns the resources of a stack by logical id.
func (s *Service) listed(ctx context.Context, nameOrID *string) (*stack, []*record, error) {
	st, err := s.find(ctx, deref(nameOrID))
	if err != nil {
		return nil, nil, err
	}
	if st == nil {
		return nil, nil, notThere(deref(nameOrID))
	}
	all, err := s.records(ctx, st.ID)
	if err != nil {
		return nil, nil, err
	}
	var list []*record
	for _, id := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[id])
	}
	return st, list, nil
}

var notDrifted = types.StackResourceDriftStatusNotChecked

// DescribeStackResource returns a resource of a stack.
func (s *Service) DescribeStackResource(ctx context.Context, in *cfn.DescribeStackResourceInput, _ ...func(*cfn.Options)) (*cfn.DescribeStackResourceOutput, error) {
	st, all, err := s.listed(ctx, in.StackName)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(r *record) bool { return r.LogicalID == deref(in.LogicalResourceId) })
	if i < 0 {
		return nil, validation("Resource %s does not exist for stack %s", clip(deref(in.LogicalResourceId)), st.Name)
	}
	r := all[i]
	metadata := "{}"
	if r.Metadata != nil {
		if b, err := json.Marshal(r.Metadata); err == nil {
			metadata = string(b)
		}
	}
	return &cfn.DescribeStackResourceOutput{StackResourceDetail: &types.StackResourceDetail{
		StackId: &st.ID, StackName: &st.Name, LogicalResourceId: &r.LogicalID, PhysicalResourceId: &r.PhysicalID, ResourceType: &r.Type,
		ResourceStatus: types.ResourceStatus(r.Status), ResourceStatusReason: optional(r.Reason), LastUpdatedTimestamp: &r.At, Metadata: &metadata,
		DriftInformation: &types.StackResourceDriftInformation{StackResourceDriftStatus: notDrifted},
	}}, nil
}

// DescribeStackResources returns the resources of a stack, found by its name or by one of them.
func (s *Service) DescribeStackResources(ctx context.Context, in *cfn.DescribeStackResourcesInput, _ ...func(*cfn.Options)) (*cfn.DescribeStackResourcesOutput, error) {
	name := in.StackName
	if name == nil {
		var err error
		if name, err = s.ownerOf(ctx, deref(in.PhysicalResourceId)); err != nil {
			return nil, err
		}
	}
	st, all, err := s.listed(ctx, name)
	if err != nil {
		return nil, err
	}
	out := &cfn.DescribeStackResourcesOutput{StackResources: []types.StackResource{}}
	for _, r := range all {
		if in.LogicalResourceId != nil && *in.LogicalResourceId != r.LogicalID {
			continue
		}
		out.StackResources = append(out.StackResources, types.StackResource{
			StackId: &st.ID, StackName: &st.Name, LogicalResourceId: &r.LogicalID, PhysicalResourceId: &r.PhysicalID, ResourceType: &r.Type,
			ResourceStatus: types.ResourceStatus(r.Status), ResourceStatusReason: optional(r.Reason), Timestamp: &r.At,
			DriftInformation: &types.StackResourceDriftInformation{StackResourceDriftStatus: notDrifted},
		})
	}
	return out, nil
}

// ownerOf returns the name of the stack that has a physical resource.
func (s *Service) ownerOf(ctx context.Context, physicalID string) (*string, error) {
	if physicalID == "" {
		return nil, validation("Either stack name or physical resource id must be specified")
	}
	for st, err := range s.stacks(ctx) {
		if err != nil {
			return nil, err
		}
		all, err := s.records(ctx, st.ID)
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			if r.PhysicalID == physicalID {
				return &st.Name, nil
			}
		}
	}
	return nil, validation("Stack for %s does not exist", clip(physicalID))
}

// ListStackResources returns summaries of the resources of a stack.
func (s *Service) ListStackResources(ctx context.Context, in *cfn.ListStackResourcesInput, _ ...func(*cfn.Options)) (*cfn.ListStackResourcesOutput, error) {
	_, all, err := s.listed(ctx, in.StackName)
	if err != nil {
		return nil, err
	}
	page, next, err := paged(all, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &cfn.ListStackResourcesOutput{StackResourceSummaries: []types.StackResourceSummary{}, NextToken: next}
	for _, r := range page {
		out.StackResourceSummaries = append(out.StackResourceSummaries, types.StackResourceSummary{
			LogicalResourceId: &r.LogicalID, PhysicalResourceId: &r.PhysicalID, ResourceType: &r.Type, ResourceStatus: types.ResourceStatus(r.Status),
			ResourceStatusReason: optional(r.Reason), LastUpdatedTimestamp: &r.At,
			DriftInformation: &types.StackResourceDriftInformationSummary{StackResourceDriftStatus: notDrifted},
		})
	}
	return out, nil
}

// ListExports returns what stacks export.
func (s *Service) ListExports(ctx context.Context, in *cfn.ListExportsInput, _ ...func(*cfn.Options)) (*cfn.ListExportsOutput, error) {
	var all []types.Export
	for st, err := range s.stacks(ctx) {
		if err != nil {
			return nil, err
		}
		for _, o := range st.Outputs {
			if o.Export != "" {
				all = append(all, types.Export{ExportingStackId: &st.ID, Name: &o.Export, Value: &o.Value})
			}
		}
	}
	page, next, err := paged(all, in.NextToken)
	return &cfn.ListExportsOutput{Exports: page, NextToken: next}, err
}

// ListImports returns the stacks that use an export.
func (s *Service) ListImports(ctx context.Context, in *cfn.ListImportsInput, _ ...func(*cfn.Options)) (*cfn.ListImportsOutput, error) {
	users, err := s.importers(ctx, deref(in.ExportName))
	if err != nil {
		return nil, err
	}
	if len(users) == 0 {
		return nil, validation("Export '%s' is not imported by any stack.", clip(deref(in.ExportName)))
	}
	page, next, err := paged(users, in.NextToken)
	return &cfn.ListImportsOutput{Imports: page, NextToken: next}, err
}
