package cli

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"serin"
	"serin/internal/release"
)

// Exit codes. They are a contract.
const (
	exitDone           = 0  // traffic is where you asked, or there was nothing to do
	exitInternal       = 1  // something is broken
	exitUsage          = 2  // a flag, an argument or a setting is wrong
	exitNotFound       = 3  // there is no such thing
	exitDenied         = 4  // the credentials are missing or wrong
	exitWorse          = 10 // rolled back: the canary was worse
	exitNotEnough      = 11 // held or rolled back for lack of evidence
	exitAborted        = 12 // a person or a signal ended it
	exitConflict       = 13 // another release is active, or somebody else changed the alias
	exitPreflight      = 14 // preflight or smoke test failed; no traffic moved
	exitRollbackFailed = 20 // act now
)

// exitMeaning names an exit code in documents.
func exitMeaning(code int) string {
	switch code {
	case exitDone:
		return "done"
	case exitUsage:
		return "usage"
	case exitNotFound:
		return "not found"
	case exitDenied:
		return "denied"
	case exitWorse:
		return "worse"
	case exitNotEnough:
		return "not enough evidence"
	case exitAborted:
		return "aborted"
	case exitConflict:
		return "conflict"
	case exitPreflight:
		return "preflight"
	case exitRollbackFailed:
		return "rollback failed"
	default:
		return "internal"
	}
}

// exitError ends a command with an exit code. Without err it is an outcome that has been told already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return exitMeaning(e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func exitf(code int, format string, args ...any) error {
	return &exitError{code: code, err: fmt.Errorf(format, args...)}
}

func usagef(format string, args ...any) error { return exitf(exitUsage, format, args...) }

// outcome ends a command whose result has been told already.
func outcome(code int) error {
	if code == exitDone {
		return nil
	}
	return &exitError{code: code}
}

// exitCode returns the exit code of a command that ended with err.
func exitCode(err error) int {
	if err == nil {
		return exitDone
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if e, ok := errors.AsType[*serin.Error](err); ok {
		return exitOf(e)
	}
	return exitInternal
}

func exitOf(e *serin.Error) int {
	if e.Reason == release.ReasonPreflight {
		return exitPreflight
	}
	switch e.Kind {
	case serin.KindInvalid, serin.KindValidation, serin.KindContent, serin.KindTooLarge:
		return exitUsage
	case serin.KindDenied:
		return exitDenied
	case serin.KindNotFound:
		return exitNotFound
	case serin.KindConflict, serin.KindPrecondition:
		return exitConflict
	default:
		return exitInternal
	}
}

// remote turns an error of the Lambda API into the domain error that it stands for: the exit code and the
// text for people follow from that.
func remote(err error) error {
	reply, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok || reply.HTTPStatusCode() == 0 { // no answer at all
		return err
	}
	text := reply.Error()
	if e, ok := errors.AsType[smithy.APIError](err); ok && e.ErrorMessage() != "" {
		text = e.ErrorMessage()
	}
	kind := serin.KindInternal
	switch reply.HTTPStatusCode() {
	case http.StatusBadRequest:
		kind = serin.KindInvalid
	case http.StatusUnauthorized, http.StatusForbidden:
		kind = serin.KindDenied
	case http.StatusNotFound:
		kind = serin.KindNotFound
	case http.StatusConflict:
		kind = serin.KindConflict
	case http.StatusPreconditionFailed:
		kind = serin.KindPrecondition
	case http.StatusRequestEntityTooLarge:
		kind = serin.KindTooLarge
	case http.StatusTooManyRequests:
		kind = serin.KindThrottled
	case http.StatusNotImplemented:
		kind = serin.KindNotImplemented
	}
	return &serin.Error{Kind: kind, Message: text}
}

func isKind(err error, kind serin.Kind) bool {
	e, ok := errors.AsType[*serin.Error](err)
	return ok && e.Kind == kind
}

// now is the time that documents show.
func now() time.Time { return time.Now().UTC() }
