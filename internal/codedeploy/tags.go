package codedeploy

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
)

// Bounds of tags, as for all of AWS.
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

// addTags returns the tags with more of them. It shares nothing with tags.
func addTags(tags map[string]string, more []types.Tag) (map[string]string, error) {
	if len(more) == 0 {
		return tags, nil
	}
	sum := maps.Clone(tags)
	if sum == nil {
		sum = map[string]string{}
	}
	for _, t := range more {
		if t.Key == nil || *t.Key == "" || len(*t.Key) > maxTagKey || t.Value != nil && len(*t.Value) > maxTagValue {
			return nil, refuse("InvalidTagsToAddException", "A tag needs a key of 1 to %d characters and a value of at most %d.", maxTagKey, maxTagValue)
		}
		sum[*t.Key] = ""
		if t.Value != nil {
			sum[*t.Key] = *t.Value
		}
	}
	if len(sum) > maxTags {
		return nil, refuse("TagLimitExceededException", "A resource has at most %d tags.", maxTags)
	}
	return sum, nil
}

// tagged reads the tags of an application or a group, and returns what saves them.
func (s *Service) tagged(ctx context.Context, arn *string) (tags map[string]string, save func(map[string]string) error, err error) {
	if arn == nil || *arn == "" {
		return nil, nil, refuse("ResourceArnRequiredException", "The ARN of a resource must be specified.")
	}
	resource, ok := strings.CutPrefix(*arn, "arn:aws:codedeploy:"+s.Place.Region+":"+s.Place.Account+":")
	kind, name, _ := strings.Cut(resource, ":")
	switch {
	case ok && kind == "application":
		app, err := s.application(ctx, &name)
		if err != nil {
			return nil, nil, err
		}
		return app.value.Tags, func(tags map[string]string) error {
			app.value.Tags = tags
			return s.save(ctx, app)
		}, nil
	case ok && kind == "deploymentgroup":
		application, group, _ := strings.Cut(name, "/")
		g, err := s.group(ctx, &application, &group)
		if err != nil {
			return nil, nil, err
		}
		return g.value.Tags, func(tags map[string]string) error {
			g.value.Tags = tags
			return s.save(ctx, g)
		}, nil
	case ok:
		return nil, nil, refuse("ArnNotSupportedException", "Applications and deployment groups have tags; %s has none.", clip(*arn))
	default:
		return nil, nil, refuse("InvalidArnException", "%s is not the ARN of a resource of CodeDeploy here.", clip(*arn))
	}
}

// TagResource adds tags to an application or a group.
func (s *Service) TagResource(ctx context.Context, in *codedeploy.TagResourceInput, _ ...func(*options)) (*codedeploy.TagResourceOutput, error) {
	if len(in.Tags) == 0 {
		return nil, refuse("TagRequiredException", "A tag must be specified.")
	}
	return &codedeploy.TagResourceOutput{}, settled(ctx, func() error {
		tags, save, err := s.tagged(ctx, in.ResourceArn)
		if err != nil {
			return err
		}
		if tags, err = addTags(tags, in.Tags); err != nil {
			return err
		}
		return save(tags)
	})
}

// UntagResource takes tags from an application or a group.
func (s *Service) UntagResource(ctx context.Context, in *codedeploy.UntagResourceInput, _ ...func(*options)) (*codedeploy.UntagResourceOutput, error) {
	if len(in.TagKeys) == 0 {
		return nil, refuse("TagRequiredException", "A tag key must be specified.")
	}
	return &codedeploy.UntagResourceOutput{}, settled(ctx, func() error {
		tags, save, err := s.tagged(ctx, in.ResourceArn)
		if err != nil {
			return err
		}
		tags = maps.Clone(tags)
		maps.DeleteFunc(tags, func(key, _ string) bool { return slices.Contains(in.TagKeys, key) })
		return save(tags)
	})
}

// ListTagsForResource lists the tags of an application or a group, by key.
func (s *Service) ListTagsForResource(ctx context.Context, in *codedeploy.ListTagsForResourceInput, _ ...func(*options)) (*codedeploy.ListTagsForResourceOutput, error) {
	tags, _, err := s.tagged(ctx, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	out := &codedeploy.ListTagsForResourceOutput{Tags: []types.Tag{}}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out.Tags = append(out.Tags, types.Tag{Key: &key, Value: new(tags[key])})
	}
	return out, nil
}
