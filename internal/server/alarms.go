package server

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"serin"
	"serin/internal/alarm"
	"serin/internal/invoke"
	"serin/internal/notify"
)

// alarmService is how alarms name themselves to the policies of functions.
const alarmService = "lambda.alarms.cloudwatch.amazonaws.com"

func (s *server) newAlarms(place serin.Place) *alarm.Service {
	webhook := notify.NewWebhook(s.WebhookSecret, time.Now)
	return alarm.New(alarm.Config{
		Place: place, Store: s.store, Metrics: s.cloudwatch, Shared: s.Database != "",
		Invoke: s.invokeForAlarm, RollBack: s.rollBackForAlarm, Now: time.Now, Log: s.Log,
		Post: func(ctx context.Context, url, id string, event []byte) error {
			return webhook.Post(ctx, url, notify.Event{
				ID: id, Source: "/serin/alarms", Type: "dev.serin.alarm.state", Time: time.Now().UTC(), Data: event,
			})
		},
	})
}

// invokeForAlarm puts an event for a function into the queue, if its policy lets alarms invoke it.
func (s *server) invokeForAlarm(ctx context.Context, alarmARN, functionARN string, event []byte) error {
	place := serin.Place{Region: s.Region, Account: s.Account}
	ref, err := place.ParseRef(functionARN, "")
	if err != nil {
		return err
	}
	f, ok := s.table.Function(ref.Function)
	if !ok {
		return serin.Errorf(serin.KindNotFound, "Function not found: %s", functionARN)
	}
	if !f.At(ref.Qualifier).Policy.AllowsService(alarmService, alarmARN, s.Account) {
		return serin.Errorf(serin.KindDenied, "CloudWatch Alarms is not authorized to perform: lambda:InvokeFunction on the resource because no resource-based policy allows the lambda:InvokeFunction action")
	}
	_, err = s.invoker.Invoke(serin.WithActor(ctx, alarmARN), &invoke.Request{
		FunctionName: ref.Function, Qualifier: ref.Qualifier, Type: invoke.Event, RequestID: uuid.NewString(), Payload: event,
	})
	return err
}

// rollBackForAlarm ends the release that moves an alias, if there is one. An alias that no release moves stays where it
// is: what it routes to has been good for longer than the alarm can know.
func (s *server) rollBackForAlarm(ctx context.Context, function, alias, reason string) (did string, err error) {
	r := s.releases.Active(function, alias)
	if r == nil {
		return fmt.Sprintf("no release moves %s:%s; nothing was rolled back", function, alias), nil
	}
	_, err = s.releases.Command(serin.WithActor(ctx, "alarm"), r.ID, serin.Instruction{Command: serin.CommandAbort, Reason: reason})
	if serin.KindOf(err) == serin.KindConflict {
		return fmt.Sprintf("release %s was ending already", r.ID), nil
	}
	return fmt.Sprintf("release %s was rolled back", r.ID), err
}
