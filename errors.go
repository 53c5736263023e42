package serin

import (
	"errors"
	"fmt"
)

// Kind classifies an [Error] by what the caller can do about it. The AWS front end maps each kind
// to one exception type, whose schema gives the HTTP status and the member names.
type Kind int

// The kinds of errors that Serin reports to callers.
const (
	// KindInvalid is a request that breaks a rule of the service (InvalidParameterValueException, 400).
	KindInvalid Kind = iota + 1
	// KindValidation is a request that breaks a constraint of the API model (ValidationException, 400).
	KindValidation
	// KindContent is an invoke payload that is not JSON (InvalidRequestContentException, 400).
	KindContent
	// KindStorage is an account that is out of code storage (CodeStorageExceededException, 400).
	KindStorage
	// KindPolicyLength is a resource policy over its limit (PolicyLengthExceededException, 400).
	KindPolicyLength
	// KindDenied is a caller that may not do what it asks (AccessDeniedException, 403).
	KindDenied
	// KindNotFound is a resource that does not exist (ResourceNotFoundException, 404).
	KindNotFound
	// KindNotProvisioned is a qualifier without provisioned concurrency
	// (ProvisionedConcurrencyConfigNotFoundException, 404).
	KindNotProvisioned
	// KindConflict is a resource that exists already, is in use or is changing (ResourceConflictException, 409).
	KindConflict
	// KindPrecondition is a RevisionId that is not the current one (PreconditionFailedException, 412).
	KindPrecondition
	// KindTooLarge is a request body over a limit (RequestEntityTooLargeException, 413).
	KindTooLarge
	// KindThrottled is a request over a concurrency or rate limit (TooManyRequestsException, 429).
	KindThrottled
	// KindInternal is a fault of the server (ServiceException, 500).
	KindInternal
	// KindNotImplemented is an operation or member that Serin does not have (NotImplementedException, 501).
	KindNotImplemented
)

// Error is an error whose message is meant for the caller. Code wraps it with %w to add context for
// the log; only Message ever reaches the wire.
type Error struct {
	Kind Kind
	// Reason refines the kind where AWS has a member for it, such as the Reason of a
	// TooManyRequestsException. It is often empty.
	Reason string
	// Message is the text that the caller reads. It says what to do.
	Message string
}

// Error returns the message for the caller.
func (e *Error) Error() string { return e.Message }

// Errorf returns an [Error] of the kind with a formatted message.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the [Error] that err is or wraps, or 0 if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return 0
}
