package alarm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"serin"
	"serin/internal/store"
)

const (
	actTogether  = 16 // actions that are carried out at a time
	actAtOnce    = 500
	actRetry     = time.Second // doubles up to actRetryMost
	actRetryMost = 5 * time.Minute
	maxTries     = 20 // more than an hour
	actLook      = time.Minute

	releaseService = "serin"
	lambdaService  = "lambda"
)

// pending is an action that is due.
type pending struct {
	Alarm    string           `json:"alarm"`
	AlarmARN string           `json:"alarmArn"`
	Kind     types.AlarmType  `json:"kind"`
	Action   string           `json:"action"`
	Event    json.RawMessage  `json:"event"`
	State    types.StateValue `json:"state"`
	Reason   string           `json:"reason"`
	At       time.Time        `json:"at"`
	Tries    int              `json:"tries,omitempty"`
	Next     time.Time        `json:"next,omitzero"`
}

// event is what a function is told, in the shape of AWS.
type event struct {
	Source    string    `json:"source"`
	AlarmARN  string    `json:"alarmArn"`
	AccountID string    `json:"accountId"`
	Time      string    `json:"time"`
	Region    string    `json:"region"`
	Data      eventData `json:"alarmData"`
}

type eventData struct {
	Name          string             `json:"alarmName"`
	State         eventState         `json:"state"`
	Before        eventState         `json:"previousState"`
	Configuration eventConfiguration `json:"configuration"`
}

type eventState struct {
	Value      types.StateValue `json:"value"`
	Reason     string           `json:"reason"`
	ReasonData string           `json:"reasonData,omitempty"`
	Timestamp  string           `json:"timestamp"`
}

type eventConfiguration struct {
	Description string        `json:"description,omitempty"`
	AlarmRule   string        `json:"alarmRule,omitempty"`
	Metrics     []eventMetric `json:"metrics,omitempty"`
}

type eventMetric struct {
	ID         string           `json:"id"`
	Expression string           `json:"expression,omitempty"`
	Label      string           `json:"label,omitempty"`
	Stat       *eventMetricStat `json:"metricStat,omitempty"`
	ReturnData bool             `json:"returnData"`
}

type eventMetricStat struct {
	Metric struct {
		Namespace  string            `json:"namespace"`
		Name       string            `json:"name"`
		Dimensions map[string]string `json:"dimensions"`
	} `json:"metric"`
	Period int32  `json:"period"`
	Stat   string `json:"stat"`
	Unit   string `json:"unit,omitempty"`
}

func (s State) event() eventState {
	return eventState{s.Value, s.Reason, s.Data, s.Updated.Format(reasonDataTime)}
}

// event tells of the state that the alarm is in now and of the one before.
func (a *Alarm) event(before State, place serin.Place) json.RawMessage {
	e := event{
		Source: "aws.cloudwatch", AlarmARN: a.ARN, AccountID: place.Account, Time: a.State.Updated.Format(reasonDataTime), Region: place.Region,
		Data: eventData{a.Name, a.State.event(), before.event(), eventConfiguration{Description: aws.ToString(a.Description)}},
	}
	if a.Composite != nil {
		e.Data.Configuration.AlarmRule = a.Composite.Rule
	} else {
		for _, q := range a.Metric.queries() {
			e.Data.Configuration.Metrics = append(e.Data.Configuration.Metrics, eventMetricOf(q))
		}
	}
	return json.RawMessage(jsonText(e))
}

func eventMetricOf(q types.MetricDataQuery) eventMetric {
	m := eventMetric{
		ID: aws.ToString(q.Id), Expression: aws.ToString(q.Expression), Label: aws.ToString(q.Label), ReturnData: q.ReturnData == nil || *q.ReturnData,
	}
	if q.MetricStat != nil {
		m.Stat = &eventMetricStat{Period: aws.ToInt32(q.MetricStat.Period), Stat: aws.ToString(q.MetricStat.Stat), Unit: string(q.MetricStat.Unit)}
		m.Stat.Metric.Namespace, m.Stat.Metric.Name = aws.ToString(q.MetricStat.Metric.Namespace), aws.ToString(q.MetricStat.Metric.MetricName)
		m.Stat.Metric.Dimensions = map[string]string{}
		for _, d := range q.MetricStat.Metric.Dimensions {
			m.Stat.Metric.Dimensions[aws.ToString(d.Name)] = aws.ToString(d.Value)
		}
	}
	return m
}

// releaseTarget returns the alias that arn:aws:serin:REGION:ACCOUNT:rollback:FUNCTION:ALIAS names.
func releaseTarget(action string) (function, alias string, ok bool) {
	parts := strings.Split(action, ":")
	if len(parts) != 8 || parts[2] != releaseService || parts[5] != "rollback" || parts[6] == "" || parts[7] == "" {
		return "", "", false
	}
	return parts[6], parts[7], true
}

// Act carries out actions until the context ends.
func (s *Service) Act(ctx context.Context) {
	for ctx.Err() == nil {
		wait, err := s.actOnce(ctx)
		if err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "actions of alarms could not be carried out", "error", err)
			wait = actRetryMost
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.acts:
		}
		timer.Stop()
	}
}

// actOnce carries out what is due and returns when to look again.
func (s *Service) actOnce(ctx context.Context) (wait time.Duration, err error) {
	now, wait := s.Now(), actLook
	var due []store.Document
	var all []pending
	for d, err := range s.Store.Documents(ctx, kindAction, "") {
		if err != nil {
			return 0, err
		}
		var p pending
		if err := json.Unmarshal(d.Body, &p); err != nil {
			return 0, fmt.Errorf("action %q: %w", d.Name, err)
		}
		if left := p.Next.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		if due, all = append(due, d), append(all, p); len(due) == actAtOnce {
			wait = 0
			break
		}
	}
	var group sync.WaitGroup
	slots := make(chan struct{}, actTogether)
	for i := range due {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			s.act(ctx, due[i], all[i])
		})
	}
	group.Wait()
	if len(due) > 0 {
		wait = min(wait, actRetry)
	}
	return wait, nil
}

// act carries out one action and saves what became of it.
func (s *Service) act(ctx context.Context, d store.Document, p pending) {
	did, err := s.carryOut(ctx, d.Name, &p)
	if ctx.Err() != nil {
		return // the next server carries it out again
	}
	lasting := errors.Is(err, errLasting) || serin.KindOf(err) == serin.KindNotFound || serin.KindOf(err) == serin.KindDenied
	if p.Tries++; err != nil && !lasting && p.Tries < maxTries {
		p.Next = s.Now().Add(min(actRetry<<min(p.Tries, 20), actRetryMost))
		d.Body = json.RawMessage(jsonText(p))
		s.Log.InfoContext(ctx, "an action of an alarm is tried again", "alarm", p.Alarm, "action", p.Action, "error", err, "at", p.Next)
		if err := s.Store.SaveDocuments(ctx, d); err != nil && !errors.Is(err, store.ErrStale) {
			s.Log.ErrorContext(ctx, "an action of an alarm is not saved", "alarm", p.Alarm, "error", err)
		}
		return
	}
	h := p.history(did, err, s.Now().UTC())
	d.Body = nil
	err = s.Store.SaveDocuments(ctx, d, store.Document{Kind: kindHistory, Name: h.key(d.Name), Body: json.RawMessage(jsonText(h))})
	if err != nil && !errors.Is(err, store.ErrStale) { // stale: another server has done it too
		s.Log.ErrorContext(ctx, "what became of an action of an alarm is not saved", "alarm", p.Alarm, "error", err)
	}
}

// errLasting is part of errors that no further try would change.
var errLasting = errors.New("cannot be carried out")

func (s *Service) carryOut(ctx context.Context, id string, p *pending) (did string, err error) {
	if strings.HasPrefix(p.Action, "http") {
		return "", s.Post(ctx, p.Action, id, p.Event)
	}
	switch service := strings.Split(p.Action, ":")[2]; service {
	case lambdaService:
		return "", s.Invoke(ctx, p.AlarmARN, p.Action, p.Event)
	case releaseService:
		function, alias, _ := releaseTarget(p.Action)
		return s.RollBack(ctx, function, alias, fmt.Sprintf("alarm %s is in %s: %s", p.Alarm, p.State, p.Reason))
	default:
		return "", fmt.Errorf("%w: Serin has no service %s; it acts by functions, URLs and rollbacks", errLasting, service)
	}
}

func (p *pending) history(did string, err error, now time.Time) history {
	summary, state, text := "Successfully executed action "+p.Action, "Succeeded", ""
	if err != nil {
		summary, state, text = "Failed to execute action "+p.Action, "Failed", err.Error()
		summary += ". Received error: \"" + text + "\""
	}
	if did != "" {
		summary += ": " + did
	}
	return history{
		Alarm: p.Alarm, Kind: p.Kind, At: now, Type: types.HistoryItemTypeAction, Summary: summary,
		Data: jsonText(map[string]any{
			"actionState": state, "stateUpdateTimestamp": p.At.UnixMilli(), "notificationResource": p.Action, "publishedMessage": string(p.Event), "error": given(text),
		}),
	}
}
