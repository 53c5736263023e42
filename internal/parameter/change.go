package parameter

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"serin"
	"serin/internal/store"
)

// DeleteParameter deletes a parameter with all its versions.
func (s *Service) DeleteParameter(ctx context.Context, in *ssm.DeleteParameterInput, _ ...func(*ssm.Options)) (*ssm.DeleteParameterOutput, error) {
	err := s.records.Delete(ctx, s.nameOf(deref(in.Name)), nil)
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound(deref(in.Name))
	}
	if err != nil {
		return nil, err
	}
	return &ssm.DeleteParameterOutput{}, nil
}

// DeleteParameters deletes up to ten parameters and names those that do not exist.
func (s *Service) DeleteParameters(ctx context.Context, in *ssm.DeleteParametersInput, _ ...func(*ssm.Options)) (*ssm.DeleteParametersOutput, error) {
	if len(in.Names) == 0 || len(in.Names) > maxByNames {
		return nil, invalid("1 validation error detected: Value at 'names' failed to satisfy constraint: Member must have length between 1 and %d", maxByNames)
	}
	out := &ssm.DeleteParametersOutput{DeletedParameters: []string{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		_, err := s.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &name})
		switch {
		case err == nil:
			out.DeletedParameters = append(out.DeletedParameters, name)
		case isFault(err, "ParameterNotFound"):
			out.InvalidParameters = append(out.InvalidParameters, name)
		default:
			return nil, err
		}
	}
	return out, nil
}

// change changes a parameter.
func (s *Service) change(ctx context.Context, given string, change func(*parameter) error) error {
	_, err := s.records.Change(ctx, s.nameOf(given), change)
	if errors.Is(err, store.ErrNotFound) {
		return notFound(given)
	}
	return err
}

var labelForm = regexp.MustCompile(`^[a-zA-Z_.\-][a-zA-Z0-9_.\-]{0,99}$`)

// LabelParameterVersion gives a version labels, which other versions lose.
func (s *Service) LabelParameterVersion(ctx context.Context, in *ssm.LabelParameterVersionInput, _ ...func(*ssm.Options)) (*ssm.LabelParameterVersionOutput, error) {
	out := &ssm.LabelParameterVersionOutput{InvalidLabels: []string{}}
	var valid []string
	for _, label := range in.Labels {
		if labelForm.MatchString(label) {
			valid = append(valid, label)
		} else {
			out.InvalidLabels = append(out.InvalidLabels, label)
		}
	}
	err := s.change(ctx, deref(in.Name), func(p *parameter) error {
		number := p.last().Number
		if in.ParameterVersion != nil {
			number = *in.ParameterVersion
		}
		at := slices.IndexFunc(p.Versions, func(v version) bool { return v.Number == number })
		if at < 0 {
			return fault("ParameterVersionNotFound", "Systems Manager could not find version %d of %s. Verify the version and try again.", number, p.Name)
		}
		for i := range p.Versions {
			p.Versions[i].Labels = slices.DeleteFunc(p.Versions[i].Labels, func(l string) bool { return slices.Contains(valid, l) })
		}
		v := &p.Versions[at]
		if v.Labels = append(v.Labels, valid...); len(v.Labels) > maxLabels {
			return fault("ParameterVersionLabelLimitExceeded", "A parameter version can have a maximum of %d labels.", maxLabels)
		}
		out.ParameterVersion = number
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// AddTagsToResource adds tags to a parameter.
func (s *Service) AddTagsToResource(ctx context.Context, in *ssm.AddTagsToResourceInput, _ ...func(*ssm.Options)) (*ssm.AddTagsToResourceOutput, error) {
	if err := onlyParameters(in.ResourceType); err != nil {
		return nil, err
	}
	err := s.change(ctx, deref(in.ResourceId), func(p *parameter) error { return addTags(p, in.Tags) })
	if err != nil {
		return nil, asResource(err)
	}
	return &ssm.AddTagsToResourceOutput{}, nil
}

// RemoveTagsFromResource removes tags of a parameter.
func (s *Service) RemoveTagsFromResource(ctx context.Context, in *ssm.RemoveTagsFromResourceInput, _ ...func(*ssm.Options)) (*ssm.RemoveTagsFromResourceOutput, error) {
	if err := onlyParameters(in.ResourceType); err != nil {
		return nil, err
	}
	err := s.change(ctx, deref(in.ResourceId), func(p *parameter) error {
		for _, key := range in.TagKeys {
			delete(p.Tags, key)
		}
		return nil
	})
	if err != nil {
		return nil, asResource(err)
	}
	return &ssm.RemoveTagsFromResourceOutput{}, nil
}

// ListTagsForResource returns the tags of a parameter.
func (s *Service) ListTagsForResource(ctx context.Context, in *ssm.ListTagsForResourceInput, _ ...func(*ssm.Options)) (*ssm.ListTagsForResourceOutput, error) {
	if err := onlyParameters(in.ResourceType); err != nil {
		return nil, err
	}
	p, err := s.load(ctx, deref(in.ResourceId))
	if err != nil {
		return nil, asResource(err)
	}
	out := &ssm.ListTagsForResourceOutput{TagList: []types.Tag{}}
	for _, key := range slices.Sorted(maps.Keys(p.Tags)) {
		out.TagList = append(out.TagList, types.Tag{Key: &key, Value: new(p.Tags[key])})
	}
	return out, nil
}

func onlyParameters(t types.ResourceTypeForTagging) error {
	if t != types.ResourceTypeForTaggingParameter {
		return fault("InvalidResourceType", "The resource type isn't valid: Serin has parameters alone.")
	}
	return nil
}

// asResource is the error of operations on tags for a parameter that does not exist.
func asResource(err error) error {
	if isFault(err, "ParameterNotFound") {
		return fault("InvalidResourceId", "The resource ID is not valid. Verify that you entered the correct ID and try again.")
	}
	return err
}

func addTags(p *parameter, tags []types.Tag) error {
	if p.Tags == nil {
		p.Tags = map[string]string{}
	}
	for _, tag := range tags {
		key, value := deref(tag.Key), deref(tag.Value)
		if key == "" || len(key) > 128 || len(value) > 256 {
			return invalid("1 validation error detected: Value at 'tags' failed to satisfy constraint: keys have 1 to 128 characters, values up to 256")
		}
		p.Tags[key] = value
	}
	if len(p.Tags) > maxTags {
		return fault("TooManyTagsError", "The parameter has more than %d tags.", maxTags)
	}
	return nil
}

// isFault reports whether an error is one of those that AWS has these names for.
func isFault(err error, reasons ...string) bool {
	e, ok := errors.AsType[*serin.Error](err)
	return ok && slices.Contains(reasons, e.Reason)
}
