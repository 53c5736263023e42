package alarm

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	own "serin/internal/cloudwatch"
	"serin/internal/store"
)

const (
	keepHistory    = 30 * 24 * time.Hour
	historyVersion = "1.0"
	maxHistory     = 100 // items of a page
	pruneAtOnce    = 500
)

// history is one thing that has happened to an alarm.
type history struct {
	Alarm   string                `json:"alarm"`
	Kind    types.AlarmType       `json:"kind"`
	At      time.Time             `json:"at"`
	Type    types.HistoryItemType `json:"type"`
	Summary string                `json:"summary"`
	Data    string                `json:"data"` // JSON text
}

// keySeparator cannot be in a name.
const keySeparator = "\x1f"

// key puts the history of one alarm together, in the order of time.
func (h *history) key(unique string) string {
	return h.Alarm + keySeparator + timeKey(h.At) + unique
}

func timeKey(at time.Time) string { return fmt.Sprintf("%019d ", at.UnixNano()) }

func (a *Alarm) item(kind types.HistoryItemType, at time.Time, summary string, data any) history {
	return history{Alarm: a.Name, Kind: a.kind(), At: at, Type: kind, Summary: summary, Data: jsonText(data)}
}

// stateText is how history and events show a state.
type stateText struct {
	Value  types.StateValue `json:"stateValue"`
	Reason string           `json:"stateReason"`
	Data   json.RawMessage  `json:"stateReasonData,omitempty"`
}

func (s State) text() stateText {
	return stateText{s.Value, s.Reason, json.RawMessage(s.Data)}
}

func (a *Alarm) stateUpdate(before State, now time.Time) history {
	return a.item(types.HistoryItemTypeStateUpdate, now, fmt.Sprintf("Alarm updated from %s to %s", before.Value, a.State.Value), struct {
		Version string    `json:"version"`
		Old     stateText `json:"oldState"`
		New     stateText `json:"newState"`
	}{historyVersion, before.text(), a.State.text()})
}

// configurationUpdate tells of an alarm that was created, if there was none before, or updated.
func (a *Alarm) configurationUpdate(before *Alarm, now time.Time) history {
	data := map[string]any{"version": historyVersion}
	verb := "created"
	if before == nil {
		data["type"], data["createdAlarm"] = "Create", a.shown()
	} else {
		verb = "updated"
		data["type"], data["updatedAlarm"] = "Update", a.shown()
	}
	return a.item(types.HistoryItemTypeConfigurationUpdate, now, fmt.Sprintf("Alarm %q %s", a.Name, verb), data)
}

func (a *Alarm) deletion(now time.Time) history {
	return a.item(types.HistoryItemTypeConfigurationUpdate, now, fmt.Sprintf("Alarm %q deleted", a.Name),
		map[string]any{"version": historyVersion, "type": "Delete", "deletedAlarm": a.shown()})
}

// shown is the alarm as DescribeAlarms has it.
func (a *Alarm) shown() any {
	if a.Composite != nil {
		return a.composite()
	}
	return a.metric()
}

// DescribeAlarmHistory returns what has happened to alarms in the last 30 days, the newest first unless asked otherwise,
// also to those that have been deleted.
func (s *Service) DescribeAlarmHistory(ctx context.Context, in *cloudwatch.DescribeAlarmHistoryInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmHistoryOutput, error) {
	most, err := maxRecords(in.MaxRecords)
	if err != nil {
		return nil, err
	}
	switch {
	case in.AlarmContributorId != nil:
		return nil, lacks("the parameter AlarmContributorId of the operation DescribeAlarmHistory")
	case in.HistoryItemType != "" && !slices.Contains(in.HistoryItemType.Values(), in.HistoryItemType):
		return nil, oneOf("historyItemType", string(in.HistoryItemType), in.HistoryItemType.Values())
	case in.ScanBy != "" && !slices.Contains(in.ScanBy.Values(), in.ScanBy):
		return nil, oneOf("scanBy", string(in.ScanBy), in.ScanBy.Values())
	case in.StartDate != nil && in.EndDate != nil && !in.StartDate.Before(*in.EndDate):
		return nil, refuse(own.ReasonInvalidValue, "The parameter StartDate must be less than the parameter EndDate.")
	}
	kinds, err := alarmTypes(in.AlarmTypes, types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm)
	if err != nil {
		return nil, err
	}
	all, err := s.histories(ctx, in, kinds)
	if err != nil {
		return nil, err
	}
	if in.NextToken != nil {
		after, err := readToken(*in.NextToken)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(h found) bool { return h.key == after })
		if i < 0 {
			return nil, badToken()
		}
		all = all[i+1:]
	}
	out := &cloudwatch.DescribeAlarmHistoryOutput{AlarmHistoryItems: []types.AlarmHistoryItem{}}
	for _, h := range all[:min(len(all), most)] {
		out.AlarmHistoryItems = append(out.AlarmHistoryItems, types.AlarmHistoryItem{
			AlarmName: aws.String(h.Alarm), AlarmType: h.Kind, Timestamp: aws.Time(h.At), HistoryItemType: h.Type,
			HistorySummary: aws.String(h.Summary), HistoryData: aws.String(h.Data),
		})
	}
	if len(all) > most {
		out.NextToken = aws.String(token(all[most-1].key))
	}
	return out, nil
}

// found is an item of the history and the name of its document.
type found struct {
	history

	key string
}

// histories returns the items that are asked for, in their order.
func (s *Service) histories(ctx context.Context, in *cloudwatch.DescribeAlarmHistoryInput, kinds []types.AlarmType) ([]found, error) {
	prefix := ""
	if in.AlarmName != nil {
		prefix = *in.AlarmName + keySeparator
	}
	var all []found
	for d, err := range s.Store.Documents(ctx, kindHistory, prefix) {
		if err != nil {
			return nil, err
		}
		h := found{key: d.Name}
		if err := json.Unmarshal(d.Body, &h.history); err != nil {
			return nil, fmt.Errorf("history of alarms: %w", err)
		}
		if slices.Contains(kinds, h.Kind) && (in.HistoryItemType == "" || h.Type == in.HistoryItemType) &&
			(in.StartDate == nil || !h.At.Before(*in.StartDate)) && (in.EndDate == nil || !h.At.After(*in.EndDate)) {
			all = append(all, h)
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		c := cmp.Or(a.At.Compare(b.At), strings.Compare(a.key, b.key))
		if in.ScanBy == types.ScanByTimestampAscending {
			return c
		}
		return -c
	})
	return all, nil
}

// prune deletes history that is too old.
func (s *Service) prune(ctx context.Context, now time.Time) error {
	var old []store.Document
	for d, err := range s.Store.Documents(ctx, kindHistory, "") {
		if err != nil {
			return err
		}
		_, at, _ := strings.Cut(d.Name, keySeparator)
		if at < timeKey(now.Add(-keepHistory)) {
			d.Body = nil
			old = append(old, d)
		}
		if len(old) == pruneAtOnce {
			break
		}
	}
	if len(old) == 0 {
		return nil
	}
	return s.Store.SaveDocuments(ctx, old...)
}

func maxRecords(in *int32) (int, error) {
	if in == nil {
		return defaultRecords, nil
	}
	if *in < 1 || *in > maxHistory {
		return 0, validation("1 validation error detected: Value '%d' at 'maxRecords' failed to satisfy constraint: Member must have value between 1 and %d", *in, maxHistory)
	}
	return int(*in), nil
}

func alarmTypes(asked []types.AlarmType, all ...types.AlarmType) ([]types.AlarmType, error) {
	if len(asked) == 0 {
		return all, nil
	}
	for _, t := range asked {
		if !slices.Contains(t.Values(), t) {
			return nil, oneOf("alarmTypes", string(t), t.Values())
		}
	}
	return asked, nil
}

func token(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }

func readToken(token string) (last string, err error) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", badToken()
	}
	return string(b), nil
}

func badToken() error { return refuse(own.ReasonNextToken, "The NextToken is invalid or has expired.") }
