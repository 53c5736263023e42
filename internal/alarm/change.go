package alarm

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"serin"
	own "serin/internal/cloudwatch"
)

const (
	maxNames      = 100
	maxTags       = 50
	maxTagKey     = 128
	maxTagValue   = 256
	maxReasonData = 4000
)

// SetAlarmState puts an alarm into a state until its next evaluation, with all actions.
func (s *Service) SetAlarmState(ctx context.Context, in *cloudwatch.SetAlarmStateInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.SetAlarmStateOutput, error) {
	switch {
	case in.AlarmName == nil:
		return nil, missing("AlarmName")
	case in.StateValue == "":
		return nil, missing("StateValue")
	case !slices.Contains(in.StateValue.Values(), in.StateValue):
		return nil, oneOf("stateValue", string(in.StateValue), []string{"INSUFFICIENT_DATA", "ALARM", "OK"})
	case in.StateReason == nil:
		return nil, missing("StateReason")
	case len(*in.StateReason) > maxReason:
		return nil, validation("1 validation error detected: Value at 'stateReason' failed to satisfy constraint: Member must have length less than or equal to %d", maxReason)
	case len(aws.ToString(in.StateReasonData)) > maxReasonData:
		return nil, validation("1 validation error detected: Value at 'stateReasonData' failed to satisfy constraint: Member must have length less than or equal to %d", maxReasonData)
	case in.StateReasonData != nil && !json.Valid([]byte(*in.StateReasonData)):
		return nil, refuse(reasonFormat, "StateReasonData is not valid JSON.")
	}
	return &cloudwatch.SetAlarmStateOutput{}, s.update(ctx, []string{*in.AlarmName}, func(_ string, a *Alarm) (*write, error) {
		if a == nil {
			return nil, notFound("")
		}
		return a.transition(in.StateValue, *in.StateReason, aws.ToString(in.StateReasonData), s.Now().UTC(), s.Place), nil
	})
}

func notFound(text string) error { return serin.Errorf(serin.KindNotFound, "%s", text) }

func names(in []string) ([]string, error) {
	if len(in) == 0 {
		return nil, missing("AlarmNames")
	}
	if len(in) > maxNames {
		return nil, validation("1 validation error detected: Value at 'alarmNames' failed to satisfy constraint: Member must have length less than or equal to %d", maxNames)
	}
	return slices.Compact(slices.Sorted(slices.Values(in))), nil
}

// EnableAlarmActions lets alarms act again. Alarms that there are not are passed over.
func (s *Service) EnableAlarmActions(ctx context.Context, in *cloudwatch.EnableAlarmActionsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.EnableAlarmActionsOutput, error) {
	return &cloudwatch.EnableAlarmActionsOutput{}, s.setActions(ctx, in.AlarmNames, true)
}

// DisableAlarmActions keeps alarms from acting. Alarms that there are not are passed over.
func (s *Service) DisableAlarmActions(ctx context.Context, in *cloudwatch.DisableAlarmActionsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.DisableAlarmActionsOutput, error) {
	return &cloudwatch.DisableAlarmActionsOutput{}, s.setActions(ctx, in.AlarmNames, false)
}

func (s *Service) setActions(ctx context.Context, in []string, enabled bool) error {
	all, err := names(in)
	if err != nil {
		return err
	}
	return s.update(ctx, all, func(_ string, a *Alarm) (*write, error) {
		if a == nil || a.ActionsEnabled == enabled {
			return nil, nil //nolint:nilnil // there is nothing to write
		}
		before := *a
		a.ActionsEnabled, a.Configured = enabled, s.Now().UTC()
		return &write{alarm: a, history: []history{a.configurationUpdate(&before, a.Configured)}}, nil
	})
}

// DeleteAlarms deletes alarms: all of them or none.
//
// Errors: ResourceNotFound, ValidationError for an alarm that a composite one refers to.
func (s *Service) DeleteAlarms(ctx context.Context, in *cloudwatch.DeleteAlarmsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.DeleteAlarmsOutput, error) {
	all, err := names(in.AlarmNames)
	if err != nil {
		return nil, err
	}
	return &cloudwatch.DeleteAlarmsOutput{}, s.update(ctx, all, func(name string, a *Alarm) (*write, error) {
		if a == nil {
			return nil, notFound("")
		}
		for _, other := range s.alarms() {
			if slices.Contains(other.children, name) && !slices.Contains(all, other.Name) {
				return nil, validation("Cannot delete %s as there are composite alarm(s) depending on it.", quoted(name))
			}
		}
		return &write{history: []history{a.deletion(s.Now().UTC())}}, nil
	})
}

// tagsIn adds tags to those that there are.
func tagsIn(have map[string]string, in []types.Tag) (map[string]string, error) {
	all := map[string]string{}
	maps.Copy(all, have)
	for _, t := range in {
		key, value := aws.ToString(t.Key), aws.ToString(t.Value)
		switch {
		case key == "" || len(key) > maxTagKey:
			return nil, refuse(own.ReasonInvalidValue, "A tag has a key of 1 to %d characters.", maxTagKey)
		case len(value) > maxTagValue:
			return nil, refuse(own.ReasonInvalidValue, "A tag has a value of at most %d characters.", maxTagValue)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return nil, refuse(own.ReasonInvalidValue, "Tag keys must not begin with aws:.")
		}
		all[key] = value
	}
	if len(all) > maxTags {
		return nil, refuse(own.ReasonInvalidValue, "An alarm has at most %d tags.", maxTags)
	}
	return all, nil
}

// named returns the name of the alarm of an ARN.
func (s *Service) named(resource *string) (string, error) {
	if resource == nil {
		return "", missing("ResourceARN")
	}
	name, ok := strings.CutPrefix(*resource, arnOf(s.Place, ""))
	if !ok {
		return "", refuse(own.ReasonInvalidValue, "The value %s for parameter ResourceARN is invalid: it is not the ARN of an alarm of this account and region.", quoted(*resource))
	}
	return name, nil
}

func noResource(resource string) error {
	return refuse(reasonNoResource, "The resource %s does not exist.", quoted(resource))
}

// TagResource adds tags to an alarm.
func (s *Service) TagResource(ctx context.Context, in *cloudwatch.TagResourceInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.TagResourceOutput, error) {
	return &cloudwatch.TagResourceOutput{}, s.retag(ctx, in.ResourceARN, func(a *Alarm) (err error) {
		a.Tags, err = tagsIn(a.Tags, in.Tags)
		return err
	})
}

// UntagResource removes tags from an alarm.
func (s *Service) UntagResource(ctx context.Context, in *cloudwatch.UntagResourceInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.UntagResourceOutput, error) {
	return &cloudwatch.UntagResourceOutput{}, s.retag(ctx, in.ResourceARN, func(a *Alarm) error {
		for _, key := range in.TagKeys {
			delete(a.Tags, key)
		}
		return nil
	})
}

func (s *Service) retag(ctx context.Context, resource *string, change func(*Alarm) error) error {
	name, err := s.named(resource)
	if err != nil {
		return err
	}
	return s.update(ctx, []string{name}, func(_ string, a *Alarm) (*write, error) {
		if a == nil {
			return nil, noResource(*resource)
		}
		return &write{alarm: a}, change(a)
	})
}

// ListTagsForResource returns the tags of an alarm in the order of their keys.
func (s *Service) ListTagsForResource(_ context.Context, in *cloudwatch.ListTagsForResourceInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.ListTagsForResourceOutput, error) {
	name, err := s.named(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	a, ok := s.alarm(name)
	if !ok {
		return nil, noResource(*in.ResourceARN)
	}
	out := &cloudwatch.ListTagsForResourceOutput{Tags: []types.Tag{}}
	for _, key := range slices.Sorted(maps.Keys(a.Tags)) {
		out.Tags = append(out.Tags, types.Tag{Key: aws.String(key), Value: aws.String(a.Tags[key])})
	}
	return out, nil
}
