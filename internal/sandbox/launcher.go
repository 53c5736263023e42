package sandbox

import (
	"os/exec"
	"runtime"
	"sync"
)

// launcher starts processes, all of them from one operating system thread: the signal that ends a child
// when its parent dies (PR_SET_PDEATHSIG) is sent when the thread that forked it ends, and Go may end any
// thread but one that a goroutine holds.
type launcher struct {
	work   chan func()
	closed sync.Once
}

// newLauncher starts the thread.
func newLauncher() *launcher {
	l := &launcher{work: make(chan func())}
	go func() {
		// The thread is not unlocked: it ends with this goroutine.
		runtime.LockOSThread()
		for f := range l.work {
			f()
		}
	}()
	return l
}

// close ends the thread, and with it every process that is left.
func (l *launcher) close() { l.closed.Do(func() { close(l.work) }) }

// run starts cmd on the thread of the launcher.
func (l *launcher) run(cmd *exec.Cmd) error {
	started := make(chan error)
	l.work <- func() { started <- cmd.Start() }
	return <-started
}
