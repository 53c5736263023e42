package server

import (
	"context"

	"github.com/google/uuid"

	"serin/internal/invoke"
)

// invokeForCheck invokes a function for a check of a release. Nobody else sees the answer, so it is no traffic of an
// alias unless the check names one.
func (s *server) invokeForCheck(ctx context.Context, function, qualifier string, payload []byte) (answer []byte, functionError string, err error) {
	out, err := s.invoker.Invoke(ctx, &invoke.Request{
		FunctionName: function, Qualifier: qualifier, Type: invoke.RequestResponse, RequestID: uuid.NewString(), Payload: payload,
	})
	if err != nil {
		return nil, "", err
	}
	return out.Payload, out.FunctionError, nil
}
