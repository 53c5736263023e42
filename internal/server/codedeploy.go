package server

import (
	"context"
	"time"

	"github.com/google/uuid"

	"serin"
	"serin/internal/codedeploy"
	"serin/internal/invoke"
)

func (s *server) newCodeDeploy(place serin.Place) *codedeploy.Service {
	return codedeploy.New(codedeploy.Config{
		Place: place, Store: s.store, Releases: s.releases, Alarms: s.alarms, Alias: s.control.Alias, InvokeEvent: s.invokeHook, ReadObject: s.objects.ReadObject,
		Now: time.Now, NewID: uuid.NewString, Log: s.Log,
	})
}

// await carries out a hook of a deployment for its release.
func (s *server) await(ctx context.Context, r *serin.Release, run serin.CheckRun, function string) error {
	return s.codedeploy.Await(ctx, r, run, function)
}

// invokeHook hands an event to a hook of CodeDeploy, as an asynchronous invocation.
func (s *server) invokeHook(ctx context.Context, function, qualifier string, payload []byte) error {
	_, err := s.invoker.Invoke(ctx, &invoke.Request{
		FunctionName: function, Qualifier: qualifier, Type: invoke.Event, RequestID: uuid.NewString(), Payload: payload,
	})
	return err
}
