package invoke

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"serin"
)

// How an event ended, in the words of AWS. Every one but the first is a failure.
const (
	conditionSuccess      = "Success"
	conditionExhausted    = "RetriesExhausted"
	conditionAged         = "EventAgeExceeded"
	conditionZeroReserved = "ZeroReservedConcurrency"
)

const (
	// retryWait is the wait before the first retry after an error of the function; before the second it is twice
	// as long (AWS documentation).
	retryWait = time.Minute
	// The wait after the function could not be run doubles from the first to the second (AWS documentation).
	firstBackoff   = time.Second
	longestBackoff = 5 * time.Minute
	// maxHops bounds chains of functions that get each other's records, as on AWS, unless a function allows loops.
	maxHops = 16
	// maxKept is the largest answer of a failed attempt that is kept until the next one, in bytes.
	maxKept = 32 << 10
)

// event is what the queue knows of an event beside its payload. It is kept as the document of a [store.Event], so
// a member that has been released keeps its name.
type event struct {
	RequestID string `json:"requestId"`
	// Function and Qualifier are what is to be invoked, the version being found when the event runs; or URL is
	// where the payload is to be posted.
	Function      string `json:"function,omitempty"`
	Qualifier     string `json:"qualifier,omitempty"`
	URL           string `json:"url,omitempty"`
	TraceID       string `json:"traceId,omitempty"`
	ClientContext string `json:"clientContext,omitempty"`
	// Key is the routing key of the request, whose headers are gone when the event runs. One within the payload is
	// found again.
	Key serin.KeyHash `json:"key,omitempty"`

	Accepted time.Time `json:"accepted"`
	Attempts int       `json:"attempts,omitempty"` // how often the function has run, or was not there
	Failures int       `json:"failures,omitempty"` // how often in a row it could not be run, or the payload not posted
	Last     *answer   `json:"last,omitempty"`     // of the last attempt
	// Settings are the newest ones of the function and qualifier. They outlive them.
	Settings settings `json:"settings"`

	Source *source `json:"source,omitempty"` // if the payload tells of another event
	Hops   int     `json:"hops,omitempty"`   // how many events led to this one
}

// settings say how long to try and whom to tell.
type settings struct {
	Retries    int           `json:"retries"`
	MaxAge     time.Duration `json:"maxAge"`
	OnSuccess  string        `json:"onSuccess,omitempty"`
	OnFailure  string        `json:"onFailure,omitempty"`
	DeadLetter string        `json:"deadLetter,omitempty"`
}

// answer is what became of an attempt.
type answer struct {
	StatusCode      int    `json:"statusCode"`
	ExecutedVersion string `json:"executedVersion,omitempty"`
	FunctionError   string `json:"functionError,omitempty"`
	Payload         []byte `json:"payload,omitempty"`
	Message         string `json:"message,omitempty"` // why the function did not run
}

// source is the event whose end is told.
type source struct {
	Function   string            `json:"function"`
	RequestID  string            `json:"requestId"`
	DeadLetter bool              `json:"deadLetter,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"` // of a dead letter
}

func settingsOf(f *serin.Function, v *serin.Version, qualifier string) settings {
	c := f.At(qualifier).EventInvoke
	s := settings{Retries: c.MaxRetries(), MaxAge: c.MaxEventAge(), DeadLetter: v.Config.DeadLetterTarget}
	if c != nil {
		s.OnSuccess, s.OnFailure = c.OnSuccess, c.OnFailure
	}
	return s
}

// lane is where the event waits: events of one function, or for one host, do not keep others from running.
func (e *event) lane() string {
	if e.URL == "" {
		return e.Function
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		return "http://" // where it is found out as well
	}
	return strings.ToValidUTF8(u.Scheme+"://"+u.Host, "?") // no function has such a name
}

func (e *event) deadline() time.Time { return e.Accepted.Add(e.Settings.MaxAge) }

// encode returns the document. Large answers are not kept.
func (e *event) encode() (string, error) {
	kept := *e
	if e.Last != nil && len(e.Last.Payload) > maxKept {
		last := *e.Last
		last.Payload = nil
		kept.Last = &last
	}
	document, err := json.Marshal(kept)
	return string(document), err
}

// verdict is what is to be done after an attempt: end the event with a condition, or try again when it is due.
type verdict struct {
	condition string
	due       time.Time
}

// judge notes an attempt to run the function and says how to go on.
func (e *event) judge(out *Response, err error, now time.Time) verdict {
	if err == nil {
		e.Attempts++
		e.Failures = 0
		e.Last = &answer{StatusCode: http.StatusOK, ExecutedVersion: out.ExecutedVersion, FunctionError: out.FunctionError, Payload: out.Payload}
		if out.FunctionError == "" {
			return verdict{condition: conditionSuccess}
		}
		return e.retry(now)
	}
	refusal, known := errors.AsType[*serin.Error](err)
	if !known {
		refusal = serin.Errorf(serin.KindInternal, "The function could not be run.")
	}
	switch refusal.Kind {
	case serin.KindNotFound:
		// AWS counts a function that is not there any more as a failed attempt (measured by others, 2026).
		e.Attempts++
		e.Failures = 0
		e.Last = &answer{StatusCode: http.StatusNotFound, Message: refusal.Message}
		return e.retry(now)
	case serin.KindThrottled:
		e.Last = &answer{StatusCode: http.StatusTooManyRequests, Message: refusal.Message}
	default:
		e.Last = &answer{StatusCode: http.StatusInternalServerError, Message: refusal.Message}
	}
	return e.backOff(now)
}

// retry goes on after a failed attempt.
func (e *event) retry(now time.Time) verdict {
	if e.Attempts > e.Settings.Retries {
		return verdict{condition: conditionExhausted}
	}
	due := now.Add(time.Duration(e.Attempts) * retryWait)
	if !due.Before(e.deadline()) {
		return verdict{condition: conditionAged}
	}
	return verdict{due: due}
}

// backOff goes on after an attempt that came to nothing. It does not wait for longer than half of the time that is
// left, so that the event gets its chances to the end.
func (e *event) backOff(now time.Time) verdict {
	left := e.deadline().Sub(now)
	if left < firstBackoff {
		return verdict{condition: conditionAged}
	}
	wait := longestBackoff
	if e.Failures < 9 { // 1 s doubled nine times is more
		wait = min(wait, firstBackoff<<e.Failures)
	}
	e.Failures++
	return verdict{due: now.Add(min(wait, left/2))}
}
