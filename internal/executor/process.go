package executor

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

// command is what a runtime process is started with.
type command struct {
	argv   []string
	env    []string
	dir    string
	output *os.File // standard output and standard error
}

// process is a running runtime together with everything that it starts.
type process struct {
	// done is closed when the runtime has ended, and with it whatever it had started.
	done chan struct{}
	// end says how; it may be read once done is closed.
	end ending
	// kill ends the process and whatever it has started, without waiting for it. It may be called at any
	// time and more than once.
	kill func()
	// runtimePID returns the process id of the runtime as this process sees it, or 0 if it is not known.
	runtimePID func() int
}

// ending says how a runtime process ended.
type ending struct {
	// startError is set if the program could not be started at all.
	startError error
	status     syscall.WaitStatus
	// maxRSS is the largest resident set of the process in KiB, or 0 if it is not known.
	maxRSS int64
}

// String describes the end in the words of [os.ProcessState]; it is empty for exit status 0.
func (e ending) String() string {
	switch {
	case e.startError != nil:
		return e.startError.Error()
	case e.status.Signaled():
		s := "signal: " + e.status.Signal().String()
		if e.status.CoreDump() {
			s += " (core dumped)"
		}
		return s
	case e.status.ExitStatus() != 0:
		return "exit status " + strconv.Itoa(e.status.ExitStatus())
	default:
		return ""
	}
}

// launcher starts processes, all of them from one operating system thread: the signal that ends a child
// when its parent dies (PR_SET_PDEATHSIG) is sent when the thread that forked it ends, and Go may end any
// thread but one that a goroutine holds.
type launcher struct {
	work   chan func()
	guard  guard
	closed sync.Once
}

// newLauncher starts the thread. dir is where it may put programs.
func newLauncher(dir string) (*launcher, error) {
	l := &launcher{work: make(chan func())}
	go func() {
		// The thread is not unlocked: it ends with this goroutine.
		runtime.LockOSThread()
		for f := range l.work {
			f()
		}
	}()
	var err error
	if l.guard, err = newGuard(dir, l); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// close ends the thread, and with it every process that is left.
func (l *launcher) close() { l.closed.Do(func() { close(l.work) }) }

// start starts a command. An error means that the server could not start any process; a program that
// cannot be executed is a process that has ended with a startError.
func (l *launcher) start(c command) (*process, error) { return l.guard.start(l, c) }

// run starts cmd on the thread of the launcher.
func (l *launcher) run(cmd *exec.Cmd) error {
	started := make(chan error)
	l.work <- func() { started <- cmd.Start() }
	return <-started
}

// startGroup starts a command as the leader of a session of its own and kills the process group with it. A
// process that leaves the group survives it, so this is for systems without pid namespaces only.
func (l *launcher) startGroup(c command, attr *syscall.SysProcAttr) (*process, error) {
	p := &process{done: make(chan struct{})}
	cmd := &exec.Cmd{Path: c.argv[0], Args: c.argv, Env: c.env, Dir: c.dir, Stdout: c.output, Stderr: c.output, SysProcAttr: attr}
	attr.Setsid = true
	if err := l.run(cmd); err != nil {
		if errno, ok := execError(err); ok {
			p.end.startError = errno
			p.kill, p.runtimePID = func() {}, func() int { return 0 }
			close(p.done)
			return p, nil
		}
		return nil, err
	}
	pid := cmd.Process.Pid
	p.runtimePID = func() int { return pid }
	p.kill = func() {
		select {
		case <-p.done:
		default:
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
	}
	go func() {
		_ = cmd.Wait() // the status is read below
		// The number of a group is not used again while the group has members.
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
			p.end.status = status
		}
		close(p.done)
	}()
	return p, nil
}

// execError returns the error number if err says that a program could not be executed.
func execError(err error) (syscall.Errno, bool) {
	path, ok := errors.AsType[*fs.PathError](err)
	if !ok || path.Op != "fork/exec" {
		return 0, false
	}
	errno, ok := errors.AsType[syscall.Errno](path.Err)
	switch errno {
	case syscall.ENOENT, syscall.EACCES, syscall.ENOEXEC, syscall.ENOTDIR, syscall.EISDIR, syscall.ELOOP:
		return errno, ok
	default:
		return 0, false
	}
}
