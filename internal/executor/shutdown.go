package executor

import (
	"syscall"
	"time"
)

// endReason says why an environment ends. The names are those of the event SHUTDOWN.
type endReason string

const (
	endSpindown endReason = "spindown" // nobody needs it
	endTimeout  endReason = "timeout"
	endFailure  endReason = "failure"
)

// How long an environment with extensions may take to end, as on AWS; one without ends at once. The runtime has
// runtimeShare percent of the time if there are external extensions, which have the rest.
const (
	internalEndTime = 500 * time.Millisecond
	externalEndTime = 2 * time.Second
	runtimeShare    = 30
)

// shutdownEvent is the event SHUTDOWN.
type shutdownEvent struct {
	Type     string    `json:"eventType"`
	Reason   endReason `json:"shutdownReason"`
	Deadline int64     `json:"deadlineMs"`
}

// farewell lets the runtime and the extensions of an environment end by themselves, for a limited time.
func (env *environment) farewell() {
	if env.api == nil || env.executor.killing.Load() {
		return
	}
	x := &env.api.extensions
	x.mu.Lock()
	x.ending, x.closed = true, true
	extended := len(x.list) > 0
	x.mu.Unlock()
	if !extended || env.over() || env.thaw() != nil {
		return
	}
	external := x.external()
	total, share := internalEndTime, internalEndTime
	if len(external) > 0 {
		total, share = externalEndTime, externalEndTime*runtimeShare/100
	}
	start := time.Now()
	env.endRuntime(start.Add(share))
	if len(external) == 0 {
		return
	}
	deadline := start.Add(total)
	reason := env.reason
	if reason == "" {
		reason = endSpindown
	}
	env.journal.flush()
	env.api.tell(eventShutdown, shutdownEvent{Type: eventShutdown, Reason: reason, Deadline: deadline.UnixMilli()})
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for _, e := range external {
		if !e.wants(eventShutdown) {
			continue
		}
		select {
		case <-e.process.Done():
		case <-timer.C:
			return
		}
	}
}

// endRuntime asks the runtime to end and kills it when it has not at a time.
func (env *environment) endRuntime(until time.Time) {
	env.process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-env.process.Done():
	case <-timer.C:
		env.process.Signal(syscall.SIGKILL)
	}
}

// over reports whether the sandbox has ended.
func (env *environment) over() bool {
	select {
	case <-env.sandbox.Done():
		return true
	default:
		return false
	}
}
