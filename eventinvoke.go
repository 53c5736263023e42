package serin

import "time"

// What an asynchronous invocation gets without a setting (AWS documentation, 2025).
const (
	DefaultRetries  = 2
	DefaultEventAge = 6 * time.Hour
)

// EventInvoke is how a qualifier handles asynchronous invocations. Absent members are nil or empty.
type EventInvoke struct {
	LastModified time.Time `json:"lastModified"`
	Retries      *int      `json:"retries,omitempty"`  // after the first attempt, 0 to 2
	EventAge     *int      `json:"eventAge,omitempty"` // seconds that an event may wait, 60 to 21600
	// OnSuccess and OnFailure are where the record of an invocation goes: the ARN of a function of this server,
	// or an http or https URL.
	OnSuccess string `json:"onSuccess,omitempty"`
	OnFailure string `json:"onFailure,omitempty"`
}

// MaxRetries returns how often an event is tried again. The receiver may be nil.
func (e *EventInvoke) MaxRetries() int {
	if e == nil || e.Retries == nil {
		return DefaultRetries
	}
	return *e.Retries
}

// MaxEventAge returns how long an event may wait. The receiver may be nil.
func (e *EventInvoke) MaxEventAge() time.Duration {
	if e == nil || e.EventAge == nil {
		return DefaultEventAge
	}
	return time.Duration(*e.EventAge) * time.Second
}

// EventInvokeChange is what a request says about asynchronous invocations; nil members are absent.
type EventInvokeChange struct {
	Retries      *int
	EventAge     *int
	Destinations *Destinations
}

// Destinations is where the records of invocations go, empty for nowhere.
type Destinations struct{ OnSuccess, OnFailure string }

// PutEventInvoke replaces how a qualifier handles asynchronous invocations.
//
// Errors: KindInvalid for a change without members, KindNotFound for a missing version or alias.
func (f *Function) PutEventInvoke(c Change, qualifier string, ch EventInvokeChange) (*EventInvoke, error) {
	return f.setEventInvoke(c, qualifier, EventInvoke{}, ch)
}

// UpdateEventInvoke changes how a qualifier handles asynchronous invocations. Absent members keep what is
// there; destinations are replaced together.
//
// Errors: as for PutEventInvoke, and KindNotFound for a qualifier without.
func (f *Function) UpdateEventInvoke(c Change, qualifier string, ch EventInvokeChange) (*EventInvoke, error) {
	if err := f.checkEventInvoke(qualifier, ch); err != nil {
		return nil, err
	}
	old, err := f.EventInvokeAt(qualifier)
	if err != nil {
		return nil, err
	}
	return f.setEventInvoke(c, qualifier, *old, ch)
}

func (f *Function) setEventInvoke(c Change, qualifier string, e EventInvoke, ch EventInvokeChange) (*EventInvoke, error) {
	if err := f.checkEventInvoke(qualifier, ch); err != nil {
		return nil, err
	}
	e.LastModified = c.At
	if ch.Retries != nil {
		e.Retries = ch.Retries
	}
	if ch.EventAge != nil {
		e.EventAge = ch.EventAge
	}
	if d := ch.Destinations; d != nil {
		e.OnSuccess, e.OnFailure = d.OnSuccess, d.OnFailure
	}
	f.attach(qualifier, func(a *Attachments) { a.EventInvoke = &e })
	return &e, nil
}

func (f *Function) checkEventInvoke(qualifier string, ch EventInvokeChange) error {
	if ch == (EventInvokeChange{}) {
		return Errorf(KindInvalid, "You must specify at least one of error handling or destination setting.")
	}
	if _, _, err := f.Resolve(qualifier); err != nil {
		return Errorf(KindNotFound, "The function doesn't exist.")
	}
	return nil
}

// EventInvokeAt returns how a qualifier handles asynchronous invocations if that has been set.
//
// Errors: KindNotFound.
func (f *Function) EventInvokeAt(qualifier string) (*EventInvoke, error) {
	e := f.At(qualifier).EventInvoke
	if e == nil {
		return nil, NoEventInvoke(f.ARN, qualifier)
	}
	return e, nil
}

// DeleteEventInvoke removes the settings of a qualifier.
//
// Errors: KindNotFound.
func (f *Function) DeleteEventInvoke(qualifier string) error {
	if _, err := f.EventInvokeAt(qualifier); err != nil {
		return err
	}
	f.attach(qualifier, func(a *Attachments) { a.EventInvoke = nil })
	return nil
}

// NoEventInvoke is the error for a qualifier without settings, also of a function that does not exist.
func NoEventInvoke(functionARN, qualifier string) error {
	return Errorf(KindNotFound, "The function %s:%s doesn't have an EventInvokeConfig", functionARN, attachedTo(qualifier))
}
