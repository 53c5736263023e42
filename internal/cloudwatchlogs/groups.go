package cloudwatchlogs

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"serin/internal/logs"
)

const maxDescribed = 50

// CreateLogGroup makes a group.
func (s *Service) CreateLogGroup(ctx context.Context, in *cloudwatchlogs.CreateLogGroupInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.CreateLogGroupOutput, error) {
	name := aws.ToString(in.LogGroupName)
	if err := cmp.Or(checkGroup(name), checkTags(in.Tags)); err != nil {
		return nil, err
	}
	if err := s.Store.CreateGroup(ctx, name, in.Tags); err != nil {
		return nil, told(err, "log group")
	}
	return &cloudwatchlogs.CreateLogGroupOutput{}, nil
}

// DeleteLogGroup deletes a group, its streams and their events.
func (s *Service) DeleteLogGroup(ctx context.Context, in *cloudwatchlogs.DeleteLogGroupInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.DeleteLogGroupOutput, error) {
	name := aws.ToString(in.LogGroupName)
	if err := checkGroup(name); err != nil {
		return nil, err
	}
	if err := s.Store.DeleteGroup(ctx, name); err != nil {
		return nil, told(err, "log group")
	}
	s.filters.forget()
	return &cloudwatchlogs.DeleteLogGroupOutput{}, nil
}

// DescribeLogGroups lists groups by name.
func (s *Service) DescribeLogGroups(ctx context.Context, in *cloudwatchlogs.DescribeLogGroupsInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.DescribeLogGroupsOutput, error) {
	prefix, pattern := aws.ToString(in.LogGroupNamePrefix), aws.ToString(in.LogGroupNamePattern)
	if prefix != "" && pattern != "" {
		return nil, invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	limit, err := limitOf(in.Limit, maxDescribed)
	if err != nil {
		return nil, err
	}
	var after place
	if err := after.read(in.NextToken); err != nil {
		return nil, err
	}
	out := &cloudwatchlogs.DescribeLogGroupsOutput{LogGroups: []types.LogGroup{}}
	for len(out.LogGroups) < limit {
		groups, err := s.Store.Groups(ctx, prefix, pattern, after.Name, limit+1)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			if len(out.LogGroups) == limit {
				out.NextToken = after.token()
				return out, nil
			}
			after.Name = g.Name
			if len(in.LogGroupIdentifiers) == 0 || slices.ContainsFunc(in.LogGroupIdentifiers, func(id string) bool { return groupOfARN(id) == g.Name }) {
				out.LogGroups = append(out.LogGroups, s.describe(g))
			}
		}
		if len(groups) <= limit {
			break
		}
	}
	return out, nil
}

func (s *Service) describe(g logs.Group) types.LogGroup {
	arn := s.groupARN(g.Name)
	out := types.LogGroup{
		LogGroupName: &g.Name, CreationTime: &g.Created, StoredBytes: &g.StoredBytes, Arn: aws.String(arn + ":*"), LogGroupArn: &arn,
		MetricFilterCount: aws.Int32(int32(len(g.MetricFilters))), LogGroupClass: types.LogGroupClassStandard,
	}
	if g.RetentionDays > 0 {
		out.RetentionInDays = aws.Int32(int32(g.RetentionDays))
	}
	return out
}

// place is where a list goes on.
type place struct {
	Name string `json:"n"`
	Time int64  `json:"t,omitempty"`
}

func (p *place) token() *string {
	text, _ := json.Marshal(p) // cannot fail
	return aws.String(base64.RawURLEncoding.EncodeToString(text))
}

func (p *place) read(token *string) error {
	if token == nil {
		return nil
	}
	text, err := base64.RawURLEncoding.DecodeString(*token)
	if err == nil {
		err = json.Unmarshal(text, p)
	}
	if err != nil || p.Name == "" {
		return invalid("The specified nextToken is invalid.")
	}
	return nil
}

// retentions are the days that PutRetentionPolicy takes.
var retentions = []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// PutRetentionPolicy says for how many days a group keeps its events.
func (s *Service) PutRetentionPolicy(ctx context.Context, in *cloudwatchlogs.PutRetentionPolicyInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.PutRetentionPolicyOutput, error) {
	days := aws.ToInt32(in.RetentionInDays)
	if !slices.Contains(retentions, days) {
		return nil, invalid("1 validation error detected: Value '%d' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: %v", days, retentions)
	}
	err := s.update(ctx, in.LogGroupName, func(g *logs.Settings) error { g.RetentionDays = int(days); return nil })
	return &cloudwatchlogs.PutRetentionPolicyOutput{}, err
}

// DeleteRetentionPolicy lets a group keep its events for as long as the server keeps those of others.
func (s *Service) DeleteRetentionPolicy(ctx context.Context, in *cloudwatchlogs.DeleteRetentionPolicyInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.DeleteRetentionPolicyOutput, error) {
	err := s.update(ctx, in.LogGroupName, func(g *logs.Settings) error { g.RetentionDays = 0; return nil })
	return &cloudwatchlogs.DeleteRetentionPolicyOutput{}, err
}

// update changes the settings of a group.
func (s *Service) update(ctx context.Context, name *string, change func(*logs.Settings) error) error {
	group := aws.ToString(name)
	if err := checkGroup(group); err != nil {
		return err
	}
	return told(s.Store.UpdateGroup(ctx, group, change), "log group")
}

const (
	maxTags     = 50
	maxTagKey   = 128 // characters
	maxTagValue = 256
)

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return invalid("A log group has at most %d tags.", maxTags)
	}
	for key, value := range tags {
		if key == "" || utf8.RuneCountInString(key) > maxTagKey || utf8.RuneCountInString(value) > maxTagValue {
			return constraint(key, "tags", "A key has 1 to %d characters, and a value up to %d", maxTagKey, maxTagValue)
		}
	}
	return nil
}

func (s *Service) tag(ctx context.Context, group *string, tags map[string]string) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	return s.update(ctx, group, func(g *logs.Settings) error {
		if g.Tags == nil {
			g.Tags = map[string]string{}
		}
		maps.Copy(g.Tags, tags)
		return checkTags(g.Tags)
	})
}

func (s *Service) untag(ctx context.Context, group *string, keys []string) error {
	return s.update(ctx, group, func(g *logs.Settings) error {
		for _, key := range keys {
			delete(g.Tags, key)
		}
		return nil
	})
}

func (s *Service) tags(ctx context.Context, group *string) (map[string]string, error) {
	if err := checkGroup(aws.ToString(group)); err != nil {
		return nil, err
	}
	g, err := s.Store.Group(ctx, *group)
	if err != nil {
		return nil, told(err, "log group")
	}
	if g.Tags == nil {
		g.Tags = map[string]string{}
	}
	return g.Tags, nil
}

func named(arn *string) *string { return aws.String(groupOfARN(aws.ToString(arn))) }

// TagResource adds tags to a group.
func (s *Service) TagResource(ctx context.Context, in *cloudwatchlogs.TagResourceInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.TagResourceOutput, error) {
	return &cloudwatchlogs.TagResourceOutput{}, s.tag(ctx, named(in.ResourceArn), in.Tags)
}

// UntagResource takes tags away.
func (s *Service) UntagResource(ctx context.Context, in *cloudwatchlogs.UntagResourceInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.UntagResourceOutput, error) {
	return &cloudwatchlogs.UntagResourceOutput{}, s.untag(ctx, named(in.ResourceArn), in.TagKeys)
}

// ListTagsForResource returns the tags of a group.
func (s *Service) ListTagsForResource(ctx context.Context, in *cloudwatchlogs.ListTagsForResourceInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.ListTagsForResourceOutput, error) {
	tags, err := s.tags(ctx, named(in.ResourceArn))
	return &cloudwatchlogs.ListTagsForResourceOutput{Tags: tags}, err
}

// CreateLogStream makes a stream.
func (s *Service) CreateLogStream(ctx context.Context, in *cloudwatchlogs.CreateLogStreamInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.CreateLogStreamOutput, error) {
	group, stream := aws.ToString(in.LogGroupName), aws.ToString(in.LogStreamName)
	if err := cmp.Or(checkGroup(group), checkStream(stream)); err != nil {
		return nil, err
	}
	if err := s.Store.CreateStream(ctx, group, stream); err != nil {
		return nil, told(err, "log stream")
	}
	return &cloudwatchlogs.CreateLogStreamOutput{}, nil
}

// DeleteLogStream deletes a stream and its events.
func (s *Service) DeleteLogStream(ctx context.Context, in *cloudwatchlogs.DeleteLogStreamInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.DeleteLogStreamOutput, error) {
	group, stream := aws.ToString(in.LogGroupName), aws.ToString(in.LogStreamName)
	if err := cmp.Or(checkGroup(group), checkStream(stream)); err != nil {
		return nil, err
	}
	if err := s.Store.DeleteStream(ctx, group, stream); err != nil {
		return nil, told(err, "log group")
	}
	return &cloudwatchlogs.DeleteLogStreamOutput{}, nil
}

// DescribeLogStreams lists streams, by name or by the time of their last event.
func (s *Service) DescribeLogStreams(ctx context.Context, in *cloudwatchlogs.DescribeLogStreamsInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.DescribeLogStreamsOutput, error) {
	group, err := groupOf(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(in.Limit, maxDescribed)
	if err != nil {
		return nil, err
	}
	var after place
	if err := after.read(in.NextToken); err != nil {
		return nil, err
	}
	q := logs.StreamQuery{
		Group: group, Prefix: aws.ToString(in.LogStreamNamePrefix), ByTime: in.OrderBy == types.OrderByLastEventTime, Descending: aws.ToBool(in.Descending),
		AfterTime: after.Time, AfterName: after.Name, Limit: limit + 1,
	}
	switch {
	case in.OrderBy != "" && in.OrderBy != types.OrderByLogStreamName && !q.ByTime:
		return nil, constraint(string(in.OrderBy), "orderBy", "Member must satisfy enum value set: [LogStreamName, LastEventTime]")
	case q.ByTime && q.Prefix != "":
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	streams, err := s.Store.Streams(ctx, q)
	if err != nil {
		return nil, told(err, "log group")
	}
	out := &cloudwatchlogs.DescribeLogStreamsOutput{LogStreams: []types.LogStream{}}
	for i, t := range streams {
		if i == limit {
			last := streams[i-1]
			out.NextToken = (&place{Name: last.Name, Time: cmp.Or(last.Last, last.Created)}).token()
			break
		}
		d := types.LogStream{
			LogStreamName: aws.String(t.Name), CreationTime: aws.Int64(t.Created),
			Arn: aws.String(fmt.Sprintf("%s:log-stream:%s", s.groupARN(group), t.Name)), UploadSequenceToken: aws.String(sequenceToken),
		}
		if t.LastIngest > 0 {
			d.FirstEventTimestamp, d.LastEventTimestamp, d.LastIngestionTime = aws.Int64(t.First), aws.Int64(t.Last), aws.Int64(t.LastIngest)
		}
		out.LogStreams = append(out.LogStreams, d)
	}
	return out, nil
}
