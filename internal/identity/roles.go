package identity

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"serin"
	"serin/internal/store"
)

const (
	maxDocument = 131072 // bytes of a policy
	maxInline   = 100    // policies of a role
)

// role is a record.
type role struct {
	Name        string            `json:"name"`
	Path        string            `json:"path"`
	ID          string            `json:"id"`
	Trust       string            `json:"trust"` // the AssumeRolePolicyDocument
	Description string            `json:"description,omitempty"`
	MaxSession  int32             `json:"maxSession"`
	Boundary    string            `json:"boundary,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Inline      map[string]string `json:"inline,omitempty"`   // policies by name
	Attached    []string          `json:"attached,omitempty"` // ARNs of policies
	Created     time.Time         `json:"created"`
}

var (
	nameForm = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)
	pathForm = regexp.MustCompile(`^(/|/[\x21-\x7e]{1,510}/)$`)
)

func noSuchEntity(format string, args ...any) error {
	return fault(serin.KindNotFound, "NoSuchEntity", format, args...)
}

// checkNamed checks a name, a path ("" for /) and a policy document.
func checkNamed(what, name, path, document string) error {
	switch {
	case !nameForm.MatchString(name):
		return invalid("The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", what)
	case path != "" && !pathForm.MatchString(path):
		return invalid("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	default:
		return checkDocument(document)
	}
}

func checkDocument(document string) error {
	var policy map[string]json.RawMessage
	if len(document) > maxDocument || json.Unmarshal([]byte(document), &policy) != nil {
		return fault(serin.KindInvalid, "MalformedPolicyDocument", "This policy contains invalid Json")
	}
	return nil
}

func rooted(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

func (s *Service) shown(r *role) *types.Role {
	out := &types.Role{
		Arn: new("arn:aws:iam::" + s.Place.Account + ":role" + r.Path + r.Name), CreateDate: &r.Created, Path: &r.Path, RoleId: &r.ID, RoleName: &r.Name,
		AssumeRolePolicyDocument: new(url.PathEscape(r.Trust)), MaxSessionDuration: &r.MaxSession, Tags: shownTags(r.Tags),
	}
	if r.Description != "" {
		out.Description = &r.Description
	}
	if r.Boundary != "" {
		out.PermissionsBoundary = &types.AttachedPermissionsBoundary{PermissionsBoundaryArn: &r.Boundary, PermissionsBoundaryType: types.PermissionsBoundaryAttachmentTypePolicy}
	}
	return out
}

func shownTags(tags map[string]string) []types.Tag {
	all := []types.Tag{}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		all = append(all, types.Tag{Key: &key, Value: new(tags[key])})
	}
	return all
}

func tagged(into map[string]string, tags []types.Tag) map[string]string {
	if into == nil {
		into = map[string]string{}
	}
	for _, t := range tags {
		into[deref(t.Key)] = deref(t.Value)
	}
	return into
}

// CreateRole keeps a role.
func (s *Service) CreateRole(ctx context.Context, in *iam.CreateRoleInput, _ ...func(*iam.Options)) (*iam.CreateRoleOutput, error) {
	name := deref(in.RoleName)
	if err := checkNamed("roleName", name, deref(in.Path), deref(in.AssumeRolePolicyDocument)); err != nil {
		return nil, err
	}
	r := &role{
		Name: name, Path: rooted(deref(in.Path)), ID: stableID("AROA", name), Trust: deref(in.AssumeRolePolicyDocument), Description: deref(in.Description),
		MaxSession: 3600, Boundary: deref(in.PermissionsBoundary), Tags: tagged(nil, in.Tags), Created: s.Now().UTC().Truncate(time.Second),
	}
	if in.MaxSessionDuration != nil {
		r.MaxSession = *in.MaxSessionDuration
	}
	if err := s.roles.Create(ctx, name, r); errors.Is(err, store.ErrExists) {
		return nil, fault(serin.KindConflict, "EntityAlreadyExists", "Role with name %s already exists.", name)
	} else if err != nil {
		return nil, err
	}
	return &iam.CreateRoleOutput{Role: s.shown(r)}, nil
}

func (s *Service) role(ctx context.Context, name *string) (*role, error) {
	r, err := s.roles.Get(ctx, deref(name))
	return r, noRole(err, name)
}

func noRole(err error, name *string) error {
	if errors.Is(err, store.ErrNotFound) {
		return noSuchEntity("The role with name %.128s cannot be found.", deref(name))
	}
	return err
}

func (s *Service) changeRole(ctx context.Context, name *string, change func(*role) error) error {
	_, err := s.roles.Change(ctx, deref(name), change)
	return noRole(err, name)
}

// GetRole returns a role.
func (s *Service) GetRole(ctx context.Context, in *iam.GetRoleInput, _ ...func(*iam.Options)) (*iam.GetRoleOutput, error) {
	r, err := s.role(ctx, in.RoleName)
	if err != nil {
		return nil, err
	}
	return &iam.GetRoleOutput{Role: s.shown(r)}, nil
}

// ListRoles returns all roles whose path begins with the prefix, in one page.
func (s *Service) ListRoles(ctx context.Context, in *iam.ListRolesInput, _ ...func(*iam.Options)) (*iam.ListRolesOutput, error) {
	out := &iam.ListRolesOutput{Roles: []types.Role{}}
	for r, err := range s.roles.All(ctx, "") {
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(r.Path, rooted(deref(in.PathPrefix))) {
			out.Roles = append(out.Roles, *s.shown(r))
		}
	}
	return out, nil
}

// UpdateRole changes the description and the longest session of a role.
func (s *Service) UpdateRole(ctx context.Context, in *iam.UpdateRoleInput, _ ...func(*iam.Options)) (*iam.UpdateRoleOutput, error) {
	err := s.changeRole(ctx, in.RoleName, func(r *role) error {
		if in.Description != nil {
			r.Description = *in.Description
		}
		if in.MaxSessionDuration != nil {
			r.MaxSession = *in.MaxSessionDuration
		}
		return nil
	})
	return &iam.UpdateRoleOutput{}, err
}

// UpdateAssumeRolePolicy changes who may assume a role.
func (s *Service) UpdateAssumeRolePolicy(ctx context.Context, in *iam.UpdateAssumeRolePolicyInput, _ ...func(*iam.Options)) (*iam.UpdateAssumeRolePolicyOutput, error) {
	if err := checkDocument(deref(in.PolicyDocument)); err != nil {
		return nil, err
	}
	err := s.changeRole(ctx, in.RoleName, func(r *role) error {
		r.Trust = *in.PolicyDocument
		return nil
	})
	return &iam.UpdateAssumeRolePolicyOutput{}, err
}

// DeleteRole deletes a role without policies.
func (s *Service) DeleteRole(ctx context.Context, in *iam.DeleteRoleInput, _ ...func(*iam.Options)) (*iam.DeleteRoleOutput, error) {
	err := s.roles.Delete(ctx, deref(in.RoleName), func(r *role) error {
		switch {
		case len(r.Attached) > 0:
			return fault(serin.KindConflict, "DeleteConflict", "Cannot delete entity, must detach all policies first.")
		case len(r.Inline) > 0:
			return fault(serin.KindConflict, "DeleteConflict", "Cannot delete entity, must delete policies first.")
		default:
			return nil
		}
	})
	return &iam.DeleteRoleOutput{}, noRole(err, in.RoleName)
}

// PutRolePolicy keeps a policy inside a role.
func (s *Service) PutRolePolicy(ctx context.Context, in *iam.PutRolePolicyInput, _ ...func(*iam.Options)) (*iam.PutRolePolicyOutput, error) {
	if err := checkNamed("policyName", deref(in.PolicyName), "", deref(in.PolicyDocument)); err != nil {
		return nil, err
	}
	err := s.changeRole(ctx, in.RoleName, func(r *role) error {
		if r.Inline == nil {
			r.Inline = map[string]string{}
		}
		if r.Inline[*in.PolicyName] = *in.PolicyDocument; len(r.Inline) > maxInline {
			return fault(serin.KindConflict, "LimitExceeded", "A role has at most %d policies.", maxInline)
		}
		return nil
	})
	return &iam.PutRolePolicyOutput{}, err
}

// GetRolePolicy returns a policy of a role.
func (s *Service) GetRolePolicy(ctx context.Context, in *iam.GetRolePolicyInput, _ ...func(*iam.Options)) (*iam.GetRolePolicyOutput, error) {
	r, err := s.role(ctx, in.RoleName)
	if err != nil {
		return nil, err
	}
	document, ok := r.Inline[deref(in.PolicyName)]
	if !ok {
		return nil, noSuchEntity("The role policy with name %.128s cannot be found.", deref(in.PolicyName))
	}
	return &iam.GetRolePolicyOutput{RoleName: in.RoleName, PolicyName: in.PolicyName, PolicyDocument: new(url.PathEscape(document))}, nil
}

// DeleteRolePolicy deletes a policy of a role.
func (s *Service) DeleteRolePolicy(ctx context.Context, in *iam.DeleteRolePolicyInput, _ ...func(*iam.Options)) (*iam.DeleteRolePolicyOutput, error) {
	err := s.changeRole(ctx, in.RoleName, func(r *role) error {
		if _, ok := r.Inline[deref(in.PolicyName)]; !ok {
			return noSuchEntity("The role policy with name %.128s cannot be found.", deref(in.PolicyName))
		}
		delete(r.Inline, *in.PolicyName)
		return nil
	})
	return &iam.DeleteRolePolicyOutput{}, err
}

// ListRolePolicies returns the names of the policies inside a role.
func (s *Service) ListRolePolicies(ctx context.Context, in *iam.ListRolePoliciesInput, _ ...func(*iam.Options)) (*iam.ListRolePoliciesOutput, error) {
	r, err := s.role(ctx, in.RoleName)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(r.Inline))
	return &iam.ListRolePoliciesOutput{PolicyNames: append([]string{}, names...)}, nil
}

// AttachRolePolicy attaches a policy, be it one of AWS or one that is kept here.
func (s *Service) AttachRolePolicy(ctx context.Context, in *iam.AttachRolePolicyInput, _ ...func(*iam.Options)) (*iam.AttachRolePolicyOutput, error) {
	arn := deref(in.PolicyArn)
	if !strings.HasPrefix(arn, "arn:aws:iam::aws:policy/") {
		if _, err := s.policy(ctx, in.PolicyArn); err != nil {
			return nil, err
		}
	}
	err := s.changeRole(ctx, in.RoleName, func(r *role) error {
		if !slices.Contains(r.Attached, arn) {
			r.Attached = append(r.Attached, arn)
		}
		if len(r.Attached) > maxInline {
			return fault(serin.KindConflict, "LimitExceeded", "A role has at most %d attached policies.", maxInline)
		}
		return nil
	})
	return &iam.AttachRolePolicyOutput{}, err
}

// DetachRolePolicy detaches a policy.
func (s *Service) DetachRolePolicy(ctx context.Context, in *iam.DetachRolePolicyInput, _ ...func(*iam.Options)) (*iam.DetachRolePolicyOutput, error) {
	err := s.changeRole(ctx, in.RoleName, func(r *role) error {
		at := slices.Index(r.Attached, deref(in.PolicyArn))
		if at < 0 {
			return noSuchEntity("Policy %.256s was not found.", deref(in.PolicyArn))
		}
		r.Attached = slices.Delete(r.Attached, at, at+1)
		return nil
	})
	return &iam.DetachRolePolicyOutput{}, err
}

// ListAttachedRolePolicies returns the policies that are attached to a role.
func (s *Service) ListAttachedRolePolicies(ctx context.Context, in *iam.ListAttachedRolePoliciesInput, _ ...func(*iam.Options)) (*iam.ListAttachedRolePoliciesOutput, error) {
	r, err := s.role(ctx, in.RoleName)
	if err != nil {
		return nil, err
	}
	out := &iam.ListAttachedRolePoliciesOutput{AttachedPolicies: []types.AttachedPolicy{}}
	for _, arn := range r.Attached {
		out.AttachedPolicies = append(out.AttachedPolicies, types.AttachedPolicy{PolicyArn: &arn, PolicyName: new(arn[strings.LastIndexByte(arn, '/')+1:])})
	}
	return out, nil
}

// ListInstanceProfilesForRole returns none: there are no instances.
func (s *Service) ListInstanceProfilesForRole(ctx context.Context, in *iam.ListInstanceProfilesForRoleInput, _ ...func(*iam.Options)) (*iam.ListInstanceProfilesForRoleOutput, error) {
	_, err := s.role(ctx, in.RoleName)
	return &iam.ListInstanceProfilesForRoleOutput{InstanceProfiles: []types.InstanceProfile{}}, err
}

// TagRole adds tags to a role.
func (s *Service) TagRole(ctx context.Context, in *iam.TagRoleInput, _ ...func(*iam.Options)) (*iam.TagRoleOutput, error) {
	err := s.changeRole(ctx, in.RoleName, func(r *role) error {
		r.Tags = tagged(r.Tags, in.Tags)
		return nil
	})
	return &iam.TagRoleOutput{}, err
}

// UntagRole removes tags of a role.
func (s *Service) UntagRole(ctx context.Context, in *iam.UntagRoleInput, _ ...func(*iam.Options)) (*iam.UntagRoleOutput, error) {
	err := s.changeRole(ctx, in.RoleName, func(r *role) error {
		for _, key := range in.TagKeys {
			delete(r.Tags, key)
		}
		return nil
	})
	return &iam.UntagRoleOutput{}, err
}

// ListRoleTags returns the tags of a role.
func (s *Service) ListRoleTags(ctx context.Context, in *iam.ListRoleTagsInput, _ ...func(*iam.Options)) (*iam.ListRoleTagsOutput, error) {
	r, err := s.role(ctx, in.RoleName)
	if err != nil {
		return nil, err
	}
	return &iam.ListRoleTagsOutput{Tags: shownTags(r.Tags)}, nil
}
