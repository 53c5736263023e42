package cloudformation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"serin/internal/template"
)

// Operations on templates.

// ValidateTemplate checks a template and says what it needs.
func (s *Service) ValidateTemplate(ctx context.Context, in *cfn.ValidateTemplateInput, _ ...func(*cfn.Options)) (*cfn.ValidateTemplateOutput, error) {
	t, err := s.checked(ctx, in.TemplateBody, in.TemplateURL)
	if err != nil {
		return nil, err
	}
	out := &cfn.ValidateTemplateOutput{Description: optional(t.Description), Parameters: []types.TemplateParameter{}, DeclaredTransforms: t.Transforms}
	for _, name := range sorted(t.Parameters) {
		p := t.Parameters[name]
		out.Parameters = append(out.Parameters, types.TemplateParameter{ParameterKey: &p.Name, DefaultValue: p.Default, Description: optional(p.Description), NoEcho: &p.NoEcho})
	}
	out.Capabilities, out.CapabilitiesReason = needed(t)
	return out, nil
}

// checked reads a template. One that asks for a transform is checked as it is written.
func (s *Service) checked(ctx context.Context, body, url *string) (*template.Template, error) {
	src, err := s.read(ctx, &stack{}, wanted{body: body, url: url})
	if err != nil {
		return nil, err
	}
	tree, err := template.Decode(src.Original)
	if err != nil {
		return nil, err
	}
	t, err := template.New(tree)
	if err != nil {
		return nil, err
	}
	if len(t.Transforms) == 0 {
		if err := s.checkTypes(t); err != nil {
			return nil, err
		}
	}
	_, err = t.Dependencies(nil)
	return t, err
}

// needed returns the capabilities that a template needs, and why.
func needed(t *template.Template) ([]types.Capability, *string) {
	need := capabilities(t)
	if len(need) > 0 {
		var names []string
		for _, id := range sorted(t.Resources) {
			if _, ok := namedIAM[t.Resources[id].Type]; ok && !slices.Contains(names, t.Resources[id].Type) {
				names = append(names, t.Resources[id].Type)
			}
		}
		return need, new(fmt.Sprintf("The following resource(s) require capabilities: %v", names))
	}
	if len(t.Transforms) > 0 {
		return []types.Capability{types.CapabilityCapabilityAutoExpand}, new("The template declares transforms")
	}
	return nil, nil
}

// GetTemplateSummary says what is in a template.
func (s *Service) GetTemplateSummary(ctx context.Context, in *cfn.GetTemplateSummaryInput, _ ...func(*cfn.Options)) (*cfn.GetTemplateSummaryOutput, error) {
	var t *template.Template
	var err error
	if in.StackName != nil {
		t, err = s.deployed(ctx, *in.StackName)
	} else {
		t, err = s.checked(ctx, in.TemplateBody, in.TemplateURL)
	}
	if err != nil {
		return nil, err
	}
	out := &cfn.GetTemplateSummaryOutput{
		Description: optional(t.Description), DeclaredTransforms: t.Transforms, Version: new("2010-09-09"), Parameters: []types.ParameterDeclaration{}, ResourceTypes: []string{},
	}
	for _, name := range sorted(t.Parameters) {
		p := t.Parameters[name]
		one := types.ParameterDeclaration{
			ParameterKey: &p.Name, ParameterType: &p.Type, DefaultValue: p.Default, Description: optional(p.Description), NoEcho: &p.NoEcho,
			ParameterConstraints: &types.ParameterConstraints{AllowedValues: p.AllowedValues},
		}
		out.Parameters = append(out.Parameters, one)
	}
	for _, id := range sorted(t.Resources) {
		if kind := t.Resources[id].Type; !slices.Contains(out.ResourceTypes, kind) {
			out.ResourceTypes = append(out.ResourceTypes, kind)
		}
	}
	if t.Metadata != nil {
		if b, err := json.Marshal(t.Metadata); err == nil {
			out.Metadata = new(string(b))
		}
	}
	out.Capabilities, out.CapabilitiesReason = needed(t)
	return out, nil
}

// deployed returns the template of a stack.
func (s *Service) deployed(ctx context.Context, nameOrID string) (*template.Template, error) {
	st, err := s.find(ctx, nameOrID)
	if err != nil {
		return nil, err
	}
	if st == nil {
		return nil, notThere(nameOrID)
	}
	if st.Status == statusReview {
		return nil, validation("GetTemplateSummary cannot be called on REVIEW_IN_PROGRESS stacks.")
	}
	src, err := s.source(ctx, st.shown().Template)
	if err != nil {
		return nil, err
	}
	tree, err := template.Decode(src.Original)
	if err != nil {
		return nil, err
	}
	return template.New(tree)
}

// shown is the revision that is asked for: what is deployed, or what is about to be for the first time.
func (st *stack) shown() *revision {
	if st.Current != nil {
		return st.Current
	}
	if st.Next != nil {
		return st.Next
	}
	return &revision{}
}

// GetTemplate returns the template of a stack or a change set, as it was given or after its transforms.
func (s *Service) GetTemplate(ctx context.Context, in *cfn.GetTemplateInput, _ ...func(*cfn.Options)) (*cfn.GetTemplateOutput, error) {
	var name string
	if in.ChangeSetName != nil {
		_, cs, err := s.changeSet(ctx, in.ChangeSetName, in.StackName)
		if err != nil {
			return nil, err
		}
		name = cs.Revision.Template
	} else {
		st, err := s.find(ctx, deref(in.StackName))
		if err != nil {
			return nil, err
		}
		if st == nil {
			return nil, notThere(deref(in.StackName))
		}
		if name = st.shown().Template; name == "" {
			return nil, validation("GetTemplate cannot be called on %s stacks.", st.Status)
		}
	}
	src, err := s.source(ctx, name)
	if err != nil {
		return nil, err
	}
	out := &cfn.GetTemplateOutput{TemplateBody: &src.Original, StagesAvailable: []types.TemplateStage{types.TemplateStageOriginal, types.TemplateStageProcessed}}
	if in.TemplateStage == types.TemplateStageProcessed && src.Processed != nil {
		b, err := json.Marshal(src.Processed)
		if err != nil {
			return nil, fmt.Errorf("template: %w", err)
		}
		out.TemplateBody = new(string(b))
	}
	return out, nil
}
