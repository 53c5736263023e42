package identity

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"serin"
	"serin/internal/store"
)

// policy is a record: a customer managed policy. It has one version, which is what templates make.
type policy struct {
	Name        string            `json:"name"`
	Path        string            `json:"path"`
	Document    string            `json:"document"`
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Created     time.Time         `json:"created"`
}

const onlyVersion = "v1"

func (s *Service) policyARN(path, name string) string {
	return "arn:aws:iam::" + s.Place.Account + ":policy" + path + name
}

func (s *Service) shownPolicy(ctx context.Context, p *policy) (*types.Policy, error) {
	arn := s.policyARN(p.Path, p.Name)
	attached := int32(0)
	for r, err := range s.roles.All(ctx, "") {
		if err != nil {
			return nil, err
		}
		if slices.Contains(r.Attached, arn) {
			attached++
		}
	}
	out := &types.Policy{
		Arn: &arn, AttachmentCount: &attached, CreateDate: &p.Created, UpdateDate: &p.Created, DefaultVersionId: new(onlyVersion), IsAttachable: true,
		Path: &p.Path, PermissionsBoundaryUsageCount: new(int32(0)), PolicyId: new(stableID("ANPA", p.Name)), PolicyName: &p.Name, Tags: shownTags(p.Tags),
	}
	if p.Description != "" {
		out.Description = &p.Description
	}
	return out, nil
}

// CreatePolicy keeps a policy.
func (s *Service) CreatePolicy(ctx context.Context, in *iam.CreatePolicyInput, _ ...func(*iam.Options)) (*iam.CreatePolicyOutput, error) {
	name := deref(in.PolicyName)
	if err := checkNamed("policyName", name, deref(in.Path), deref(in.PolicyDocument)); err != nil {
		return nil, err
	}
	p := &policy{
		Name: name, Path: rooted(deref(in.Path)), Document: deref(in.PolicyDocument), Description: deref(in.Description),
		Tags: tagged(nil, in.Tags), Created: s.Now().UTC().Truncate(time.Second),
	}
	if err := s.policies.Create(ctx, name, p); errors.Is(err, store.ErrExists) {
		return nil, fault(serin.KindConflict, "EntityAlreadyExists", "A policy called %s already exists. Duplicate names are not allowed.", name)
	} else if err != nil {
		return nil, err
	}
	shown, err := s.shownPolicy(ctx, p)
	return &iam.CreatePolicyOutput{Policy: shown}, err
}

// policy returns the policy with an ARN.
func (s *Service) policy(ctx context.Context, given *string) (*policy, error) {
	arn := deref(given)
	p, err := s.policies.Get(ctx, arn[strings.LastIndexByte(arn, '/')+1:])
	if errors.Is(err, store.ErrNotFound) || err == nil && s.policyARN(p.Path, p.Name) != arn {
		return nil, noSuchEntity("Policy %.256s does not exist or is not attachable.", arn)
	}
	return p, err
}

// GetPolicy returns a policy.
func (s *Service) GetPolicy(ctx context.Context, in *iam.GetPolicyInput, _ ...func(*iam.Options)) (*iam.GetPolicyOutput, error) {
	p, err := s.policy(ctx, in.PolicyArn)
	if err != nil {
		return nil, err
	}
	shown, err := s.shownPolicy(ctx, p)
	return &iam.GetPolicyOutput{Policy: shown}, err
}

// GetPolicyVersion returns the document of a policy.
func (s *Service) GetPolicyVersion(ctx context.Context, in *iam.GetPolicyVersionInput, _ ...func(*iam.Options)) (*iam.GetPolicyVersionOutput, error) {
	p, err := s.policy(ctx, in.PolicyArn)
	if err != nil {
		return nil, err
	}
	if deref(in.VersionId) != onlyVersion {
		return nil, noSuchEntity("Policy %s version %.20s does not exist or is not attachable.", deref(in.PolicyArn), deref(in.VersionId))
	}
	return &iam.GetPolicyVersionOutput{PolicyVersion: p.version(true)}, nil
}

func (p *policy) version(document bool) *types.PolicyVersion {
	v := &types.PolicyVersion{CreateDate: &p.Created, IsDefaultVersion: true, VersionId: new(onlyVersion)}
	if document {
		v.Document = new(url.PathEscape(p.Document))
	}
	return v
}

// ListPolicyVersions returns the one version of a policy.
func (s *Service) ListPolicyVersions(ctx context.Context, in *iam.ListPolicyVersionsInput, _ ...func(*iam.Options)) (*iam.ListPolicyVersionsOutput, error) {
	p, err := s.policy(ctx, in.PolicyArn)
	if err != nil {
		return nil, err
	}
	return &iam.ListPolicyVersionsOutput{Versions: []types.PolicyVersion{*p.version(false)}}, nil
}

// DeletePolicy deletes a policy that is attached to no role.
func (s *Service) DeletePolicy(ctx context.Context, in *iam.DeletePolicyInput, _ ...func(*iam.Options)) (*iam.DeletePolicyOutput, error) {
	p, err := s.policy(ctx, in.PolicyArn)
	if err != nil {
		return nil, err
	}
	err = s.policies.Delete(ctx, p.Name, func(p *policy) error {
		shown, err := s.shownPolicy(ctx, p)
		if err == nil && *shown.AttachmentCount > 0 {
			err = fault(serin.KindConflict, "DeleteConflict", "Cannot delete a policy attached to entities.")
		}
		return err
	})
	return &iam.DeletePolicyOutput{}, err
}
