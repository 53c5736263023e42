package executor

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"serin/internal/sandbox"
)

// maxExtensions is how many extensions an environment may have, external and internal together, as on AWS.
const maxExtensions = 10

// The events of an extension.
const (
	eventInvoke   = "INVOKE"
	eventShutdown = "SHUTDOWN"
)

// extensionState is how far an extension has come. The names are those of the platform's messages.
type extensionState string

const (
	extensionStarted    extensionState = "Started"
	extensionRegistered extensionState = "Registered"
	extensionReady      extensionState = "Ready" // it has asked for the next event
	extensionRunning    extensionState = "Running"
	extensionInitError  extensionState = "InitError"
	extensionExitError  extensionState = "ExitError"
	extensionLaunch     extensionState = "LaunchError"
	extensionExited     extensionState = "Exited"
)

// extension is a program that lives beside the runtime. An external one is a process of its own, which the platform
// starts; an internal one is part of the runtime's process.
type extension struct {
	name string
	id   string // "" until it has registered

	state     extensionState
	events    []string
	errorType string // what it says of its failure
	parked    *conn  // on which it waits for an event
	pending   []byte // an event for when it asks

	process *sandbox.Process // nil: internal
	output  *outputPipe      // of the process
}

func (x *extension) wants(event string) bool { return slices.Contains(x.events, event) }

// settled reports whether nothing of an invocation is left to do for the extension.
func (x *extension) settled() bool { return x.state == extensionReady && x.pending == nil }

// extensions are those of one runtime process. The list does not change any more once it is closed; until then,
// and for what an extension does, there is a lock.
type extensions struct {
	mu      sync.Mutex
	spec    *Spec
	journal *journal // for telemetry
	dial    dialer
	list    []*extension
	closed  bool             // none registers any more
	ending  bool             // the environment ends: an extension that exits is no failure
	failure *initFailure     // why the environment cannot be used any more
	runtime *sandbox.Process // killed when an extension fails
	changed chan struct{}    // closed when something has changed; nil while nobody waits
}

// change tells who waits. The caller holds x.mu.
func (x *extensions) change() {
	if x.changed != nil {
		close(x.changed)
		x.changed = nil
	}
}

// await waits until a condition holds for all extensions. It returns errTime at until, and errExited when an
// extension has failed.
func (x *extensions) await(until time.Time, holds func(*extension) bool) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for {
		x.mu.Lock()
		if x.failure != nil {
			x.mu.Unlock()
			return errExited
		}
		if !slices.ContainsFunc(x.list, func(e *extension) bool { return !holds(e) }) {
			x.mu.Unlock()
			return nil
		}
		if x.changed == nil {
			x.changed = make(chan struct{})
		}
		changed := x.changed
		x.mu.Unlock()
		select {
		case <-changed:
		case <-timer.C:
			return errTime
		}
	}
}

// awaitRegistered returns when all external extensions have registered.
func (x *extensions) awaitRegistered(until time.Time) error {
	return x.await(until, func(e *extension) bool { return e.id != "" })
}

// awaitSettled returns when all extensions have asked for the next event.
func (x *extensions) awaitSettled(until time.Time) error {
	if x.closed && len(x.list) == 0 {
		return nil
	}
	return x.await(until, (*extension).settled)
}

// settled reports whether all extensions wait for the next event.
func (x *extensions) settled() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !slices.ContainsFunc(x.list, func(e *extension) bool { return !e.settled() })
}

// close ends the registration. After it, only the states of the extensions change.
func (x *extensions) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
}

// fail notes that the environment cannot be used any more because of an extension. The caller holds x.mu.
func (x *extensions) fail(f *initFailure) {
	if x.failure != nil || x.ending {
		return
	}
	x.failure = f
	x.change()
	if x.runtime != nil {
		go x.runtime.Signal(syscall.SIGKILL) // its owner finds out
	}
}

// failed returns why the environment cannot be used any more, or nil.
func (x *extensions) failed() *initFailure {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.failure
}

// guard makes the end of an extension the end of the runtime.
func (x *extensions) guard(runtime *sandbox.Process) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.runtime = runtime
	if x.failure != nil {
		go runtime.Signal(syscall.SIGKILL)
	}
}

// exited notes that the process of an extension has ended.
func (x *extensions) exited(e *extension) {
	end := e.process.End()
	x.mu.Lock()
	defer x.mu.Unlock()
	f := &initFailure{errorType: "Extension.Crash", message: end.String(), repeatable: true}
	if f.message == "" {
		f.message = "exit status 0"
	}
	if end.StartError != nil {
		f.errorType, f.message = "Extension.LaunchError", "fork/exec /opt/extensions/"+e.name+": "+end.StartError.Error()
	}
	if x.failure == nil && !x.ending {
		e.errorType = f.errorType
		e.state = extensionExited
		if end.StartError != nil {
			e.state = extensionLaunch
		}
	}
	x.fail(f)
	x.change()
}

// external lists the external extensions.
func (x *extensions) external() []*extension {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(x.list), func(e *extension) bool { return e.process == nil })
}

// disconnect waits for the end of processes that have been killed, and of their logs.
func (x *extensions) disconnect() {
	for _, e := range x.external() {
		<-e.process.Done()
		e.output.drain()
		e.output.close()
	}
}

// register makes an extension known, or says what is wrong: an error type and a message.
func (x *extensions) register(name string, events []string) (e *extension, errorType, message string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	at := slices.IndexFunc(x.list, func(e *extension) bool { return e.name == name })
	for n, event := range events {
		switch {
		case event != eventInvoke && event != eventShutdown:
			return nil, "Extension.InvalidEventType", fmt.Sprintf("%.100s: ErrorInvalidEventType", event)
		case event == eventShutdown && at < 0:
			return nil, "Extension.InvalidEventType", event + ": ShutdownEventNotSupportedForInternalExtension"
		case slices.Contains(events[:n], event):
			return nil, "Extension.InvalidEventType", event + ": it is there twice"
		}
	}
	switch {
	case x.closed || x.ending || x.failure != nil:
		return nil, "Extension.RegistrationClosed", "Extension registration closed already"
	case at >= 0 && x.list[at].id != "":
		return nil, "Extension.AlreadyRegistered", "Extension with this name already registered"
	case at < 0 && len(x.list) >= maxExtensions:
		return nil, "Extension.TooManyExtensions", fmt.Sprintf("Extension limit (%d) reached", maxExtensions)
	case at < 0:
		at = len(x.list)
		x.list = append(x.list, &extension{name: name})
	}
	e = x.list[at]
	e.id, e.events, e.state = newExtensionID(), events, extensionRegistered
	x.change()
	return e, "", ""
}

// byID returns the extension that has registered as an id, or nil. The caller holds x.mu.
func (x *extensions) byID(id string) *extension {
	at := slices.IndexFunc(x.list, func(e *extension) bool { return e.id != "" && strings.EqualFold(e.id, id) })
	if at < 0 {
		return nil
	}
	return x.list[at]
}

// records say what became of the extensions in an initialisation.
func (x *extensions) records() []record {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := make([]record, 0, len(x.list))
	for _, e := range x.list {
		list = append(list, extensionRecord(e.name, e.state, e.events, e.errorType))
	}
	return list
}

type extensionValue struct {
	Name      string         `json:"name"`
	State     extensionState `json:"state"`
	Events    []string       `json:"events"`
	ErrorType string         `json:"errorType,omitempty"`
}

func extensionRecord(name string, state extensionState, events []string, errorType string) record {
	text := fmt.Appendf(nil, "EXTENSION\tName: %s\tState: %s\tEvents: [%s]", name, state, strings.Join(events, ", "))
	if errorType != "" {
		text = append(text, "\tError Type: "+errorType...)
	}
	return record{
		kind: "platform.extension", level: levelInfo, text: text,
		value: extensionValue{name, state, append([]string{}, events...), errorType},
	}
}

// newExtensionID returns a random UUID, version 4.
func newExtensionID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
