package sandbox

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// plain is a place without isolation: process groups, and a directory for temporary files.
type plain struct {
	launcher *launcher
	listener *os.File
	dir      string
	runtime  string
	done     chan struct{}

	mu      sync.Mutex
	groups  map[int]struct{}
	killed  bool
	frozen  bool
	running sync.WaitGroup
	closing sync.Once
}

// newPlain makes a place whose temporary files are in dir.
func newPlain(l *launcher, dir, runtime string) (*Sandbox, error) {
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
		return nil, err
	}
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	file, err := listener.File()
	_ = listener.Close()
	if err != nil {
		return nil, err
	}
	p := &plain{launcher: l, listener: file, dir: dir, runtime: runtime, done: make(chan struct{}), groups: map[int]struct{}{}}
	return &Sandbox{place: p, listener: file, Address: listener.Addr().String()}, nil
}

func (p *plain) Prepare([]string) (Paths, error) { return Paths{}, ErrUnprotected }

func (p *plain) Enter(c *Contents) (Paths, error) {
	return Paths{Task: c.Task, Layers: c.Layers, Runtime: p.runtime, Tmp: filepath.Join(p.dir, "tmp")}, nil
}

// Start starts a command as the leader of a session of its own. A process that leaves the group outlives it.
func (p *plain) Start(c *Command) (*Process, error) {
	proc := &Process{done: make(chan struct{})}
	attr := plainAttributes()
	attr.Setsid = true
	cmd := &exec.Cmd{Path: c.Path, Args: c.Args, Env: c.Env, Dir: c.Dir, Stdout: c.Output, Stderr: c.Output, SysProcAttr: attr}
	if c.Extra != nil {
		cmd.ExtraFiles = []*os.File{c.Extra}
	}
	if err := p.launcher.run(cmd); err != nil {
		if errno, ok := execError(err); ok {
			proc.end.StartError = errno
			proc.pid, proc.signal = func() int { return 0 }, func(syscall.Signal) {}
			close(proc.done)
			return proc, nil
		}
		return nil, err
	}
	pid := cmd.Process.Pid
	proc.pid = func() int { return pid }
	proc.signal = func(s syscall.Signal) { _ = cmd.Process.Signal(s) } // it may have ended
	p.mu.Lock()
	p.groups[pid] = struct{}{}
	late := p.killed
	p.mu.Unlock()
	if late {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
	p.running.Go(func() {
		_ = cmd.Wait() // the status is read below
		// The number of a group is not used again while the group has members.
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		p.mu.Lock()
		delete(p.groups, pid)
		p.mu.Unlock()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
			proc.end.Status = status
		}
		close(proc.done)
	})
	return proc, nil
}

// each sends a signal to all groups.
func (p *plain) each(s syscall.Signal) {
	for pid := range p.groups {
		_ = syscall.Kill(-pid, s) // it may have ended
	}
}

func (p *plain) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killed = true
	p.each(syscall.SIGKILL)
	p.closing.Do(func() {
		go func() {
			p.running.Wait()
			close(p.done)
		}()
	})
}

func (p *plain) Done() <-chan struct{} { return p.done }

func (p *plain) Freeze() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
	p.each(syscall.SIGSTOP)
	return nil
}

func (p *plain) Thaw() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = false
	p.each(syscall.SIGCONT)
	return nil
}

func (p *plain) Dial(ctx context.Context, port uint16) (net.Conn, error) {
	p.mu.Lock()
	frozen := p.frozen
	p.mu.Unlock()
	if frozen {
		return nil, ErrFrozen
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp4", "127.0.0.1:"+strconv.Itoa(int(port)))
}

func (p *plain) Reset() error {
	p.mu.Lock()
	p.each(syscall.SIGKILL)
	p.mu.Unlock()
	p.running.Wait()
	return nil
}

func (p *plain) Close() {
	p.Kill()
	<-p.done
	_ = p.listener.Close()
	_ = os.RemoveAll(p.dir) // whatever is left goes with the directory of the host
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

// placeName names the directory of a place.
func placeName(n uint64) string { return "p" + strconv.FormatUint(n, 10) }
