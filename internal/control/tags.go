package control

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"serin"
)

// TagResource adds tags to a function.
func (c *Control) TagResource(ctx context.Context, in *lambda.TagResourceInput, _ ...func(*lambda.Options)) (*lambda.TagResourceOutput, error) {
	var v violations
	if in.Tags == nil {
		v.missing("tags")
	}
	v.tags(in.Tags)
	function, err := c.taggable(&v, in.Resource)
	if err != nil {
		return nil, err
	}
	if len(in.Tags) == 0 {
		return nil, serin.Errorf(serin.KindInvalid, "An error occurred and the request cannot be processed.")
	}
	_, err = c.update(ctx, function, "", func(f *serin.Function) error { return f.Tag(in.Tags) })
	if err != nil {
		return nil, err
	}
	return &lambda.TagResourceOutput{}, nil
}

// UntagResource removes tags from a function.
func (c *Control) UntagResource(ctx context.Context, in *lambda.UntagResourceInput, _ ...func(*lambda.Options)) (*lambda.UntagResourceOutput, error) {
	var v violations
	if in.TagKeys == nil {
		v.missing("tagKeys")
	}
	function, err := c.taggable(&v, in.Resource)
	if err != nil {
		return nil, err
	}
	_, err = c.update(ctx, function, "", func(f *serin.Function) error {
		f.Untag(in.TagKeys)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &lambda.UntagResourceOutput{}, nil
}

// ListTags returns the tags of a function.
func (c *Control) ListTags(_ context.Context, in *lambda.ListTagsInput, _ ...func(*lambda.Options)) (*lambda.ListTagsOutput, error) {
	function, err := c.taggable(&violations{}, in.Resource)
	if err != nil {
		return nil, err
	}
	f, err := c.function(function, "")
	if err != nil {
		return nil, err
	}
	tags := f.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return &lambda.ListTagsOutput{Tags: tags}, nil
}

// taggable returns the function that an ARN names; only functions have tags.
func (c *Control) taggable(v *violations, arn *string) (string, error) {
	v.required("resource", arn)
	v.text("resource", arn, 256, patterns.taggable, taggablePattern)
	if err := v.err(); err != nil {
		return "", err
	}
	if !strings.Contains(*arn, ":function:") {
		return "", notImplemented("tags on resources other than functions")
	}
	ref, err := c.ref(arn, nil)
	if err != nil {
		return "", err
	}
	if ref.Qualifier != "" {
		return "", serin.Errorf(serin.KindInvalid, "Tags on function aliases and versions are not supported. Please specify a function ARN.")
	}
	return ref.Function, nil
}
