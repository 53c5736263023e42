package sandbox

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
)

// Contents is what a sandbox is for.
type Contents struct {
	// Task is the directory that is shown at /var/task, and Layers, if not empty, the one at /opt. Both are
	// absolute and not written to.
	Task, Layers string
	// Show are directories of the host that are shown where they are: what an interpreter needs beyond /usr.
	Show []string
	// TmpMB is the size of /tmp, MemoryMB how much memory all processes may use together, both in MiB.
	TmpMB, MemoryMB int
}

// Paths says where a command finds its files.
type Paths struct{ Task, Layers, Runtime, Tmp string }

// Command is what a process is started with.
type Command struct {
	Path      string
	Args, Env []string // Args begins with the name of the program
	Dir       string
	Output    *os.File // standard output and standard error
	Extra     *os.File // descriptor 3, or nil
}

// Ending says how a process ended.
type Ending struct {
	// StartError is set if the program could not be executed at all.
	StartError error
	Status     syscall.WaitStatus
	// MaxRSS is the largest resident set of the process in KiB, or 0 if it is not known.
	MaxRSS int64
	// OutOfMemory says that the process was killed because the sandbox had used up its memory.
	OutOfMemory bool
}

// String describes the end in the words of [os.ProcessState]; it is empty for exit status 0.
func (e Ending) String() string {
	switch {
	case e.StartError != nil:
		return e.StartError.Error()
	case e.Status.Signaled():
		s := "signal: " + e.Status.Signal().String()
		if e.Status.CoreDump() {
			s += " (core dumped)"
		}
		return s
	case e.Status.ExitStatus() != 0:
		return "exit status " + strconv.Itoa(e.Status.ExitStatus())
	default:
		return ""
	}
}

// Process is a process that was started in a sandbox.
type Process struct {
	done chan struct{}
	end  Ending
	// pid is the process as the server sees it; it returns 0 if that is not known.
	pid func() int
	// signal sends a signal to the process, if it is still there.
	signal func(syscall.Signal)
	// number is that of the command.
	number uint64
}

// NotStarted returns a process that has ended before it began.
func NotStarted() *Process {
	p := &Process{done: make(chan struct{}), pid: func() int { return 0 }, signal: func(syscall.Signal) {}}
	close(p.done)
	return p
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// End says how it ended; it may be called once Done is closed.
func (p *Process) End() Ending { return p.end }

// PID returns the process id as the server sees it, or 0 if it is not known.
func (p *Process) PID() int { return p.pid() }

// Signal sends a signal to the process. It does nothing once the process has ended.
func (p *Process) Signal(s syscall.Signal) { p.signal(s) }

// ErrFrozen says that a sandbox is frozen.
var ErrFrozen = errors.New("the sandbox is frozen")

// Sandbox is a place with its processes. One goroutine at a time uses it, but Kill, Done and Dial may be used at any time.
type Sandbox struct {
	place
	// listener is on the loopback interface of the sandbox, or of the host if the sandbox has none of its own.
	listener *os.File
	// Tun is the device that carries the sandbox's packets, or nil.
	Tun *os.File
	// Address is where a command finds the listener.
	Address string
}

// Listen returns the listener at Address. It can be had again after it was closed.
func (s *Sandbox) Listen() (net.Listener, error) { return net.FileListener(s.listener) }

// place is what a kind of sandbox does.
type place interface {
	// Prepare shows directories of the host before Enter, so that a program in them can be started before the contents
	// are known, and says where these will be. A place without isolation cannot.
	Prepare(show []string) (Paths, error)
	// Enter gives the sandbox its contents, once.
	Enter(c *Contents) (Paths, error)
	// Start starts a process. An error means that the server could not; a program that cannot be executed is a process
	// that has ended with a StartError.
	Start(c *Command) (*Process, error)
	// Reset ends every process and leaves the sandbox as it is otherwise, files in /tmp included.
	Reset() error
	// Kill ends every process and the sandbox with them, without waiting for it.
	Kill()
	// Done is closed when no process is left.
	Done() <-chan struct{}
	// Freeze stops every process until Thaw.
	Freeze() error
	Thaw() error
	// Dial connects to a port of the loopback interface of the sandbox, or of the host if the sandbox has none of its own.
	// The error is [ErrFrozen] while the sandbox is frozen.
	Dial(ctx context.Context, port uint16) (net.Conn, error)
	// Close ends every process, waits until they are gone, and gives back what the sandbox has.
	Close()
}

// Link is the network of a sandbox beyond its loopback interface: the name and the addresses of the TUN device, of
// the gateway, and the largest packet in bytes.
type Link struct {
	Name                   string
	Address, Mask, Gateway netip.Addr
	MTU                    int
}
