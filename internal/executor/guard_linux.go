//go:build linux && (amd64 || arm64)

package executor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// guard keeps the processes of an environment together, so that they end together: with the environment
// and with the server, even if the server is killed.
//
// It gives every environment a pid namespace of its own, with the supervisor as pid 1, a mount namespace for
// the /proc that belongs to it, and, if the server is not privileged, a user namespace in which the server's
// user and group keep their ids. Where the kernel refuses, it does with a process group and the parent-death
// signal.
type guard struct {
	supervisor string // path of the supervisor
	attr       func() *syscall.SysProcAttr
}

// newGuard writes the supervisor to dir and finds out which namespaces the kernel grants.
func newGuard(dir string, l *launcher) (guard, error) {
	program, err := initBinary()
	if err != nil {
		return guard{}, err
	}
	supervisor := filepath.Join(dir, "init")
	// A process that is forked while the file is open for writing would make it "text file busy".
	syscall.ForkLock.RLock()
	err = os.WriteFile(supervisor, program, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		return guard{}, err
	}
	for _, attr := range namespaces() {
		g := guard{supervisor: supervisor, attr: attr}
		// A directory cannot be executed: the supervisor runs and says so.
		p, err := g.start(l, command{argv: []string{"/"}, dir: "/"})
		if err != nil {
			continue
		}
		<-p.done
		if errors.Is(p.end.startError, unix.EACCES) {
			return g, nil
		}
	}
	return guard{}, nil
}

// contained reports whether a process cannot escape the guard.
func (g guard) contained() bool { return g.attr != nil }

// namespaces lists what the kernel may grant, the best first.
func namespaces() []func() *syscall.SysProcAttr {
	privileged := func(unshare uintptr) func() *syscall.SysProcAttr {
		return func() *syscall.SysProcAttr {
			return &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Unshareflags: unshare}
		}
	}
	rootless := func(unshare uintptr) func() *syscall.SysProcAttr {
		uid, gid := os.Geteuid(), os.Getegid()
		return func() *syscall.SysProcAttr {
			attr := &syscall.SysProcAttr{
				Cloneflags:   unix.CLONE_NEWPID | unix.CLONE_NEWUSER,
				Unshareflags: unshare,
				UidMappings:  []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
				GidMappings:  []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
			}
			if unshare != 0 {
				// What the supervisor needs to mount /proc; it drops it before it starts the runtime.
				attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
			}
			return attr
		}
	}
	return []func() *syscall.SysProcAttr{
		privileged(unix.CLONE_NEWNS), privileged(0), rootless(unix.CLONE_NEWNS), rootless(0),
	}
}

func (g guard) start(l *launcher, c command) (*process, error) {
	if !g.contained() {
		return l.startGroup(c, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL})
	}
	reports, report, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	attr := g.attr()
	attr.Setsid = true
	attr.Pdeathsig = syscall.SIGKILL
	cmd := &exec.Cmd{
		Path: g.supervisor, Args: append([]string{"init"}, c.argv...), Env: c.env, Dir: c.dir,
		Stdout: c.output, Stderr: c.output, ExtraFiles: []*os.File{report}, SysProcAttr: attr,
	}
	err = l.run(cmd)
	_ = report.Close()
	if err != nil {
		_ = reports.Close()
		return nil, fmt.Errorf("start supervisor: %w", err)
	}
	p := &process{
		done:       make(chan struct{}),
		kill:       func() { _ = cmd.Process.Kill() },
		runtimePID: func() int { return firstChild(cmd.Process.Pid) },
	}
	go func() {
		// The read ends with the supervisor. It costs no thread, unlike waiting for the process, which
		// then returns at once: the supervisor is gone only when all of its namespace is.
		data, _ := io.ReadAll(reports)
		_ = reports.Close()
		_ = cmd.Wait() // how the supervisor itself ended does not matter
		p.end = parseReport(data)
		close(p.done)
	}()
	return p, nil
}

// parseReport reads what the supervisor wrote. A supervisor that was killed has written nothing.
func parseReport(data []byte) ending {
	if len(data) < 8 {
		return ending{status: syscall.WaitStatus(syscall.SIGKILL)}
	}
	order := binary.NativeEndian
	value := order.Uint32(data[4:])
	if order.Uint32(data) == 1 {
		return ending{startError: syscall.Errno(value)}
	}
	e := ending{status: syscall.WaitStatus(value)}
	var usage struct {
		_      [4]int64 // user and system time
		MaxRSS int64
	}
	if binary.Read(bytes.NewReader(data[8:]), order, &usage) == nil {
		e.maxRSS = usage.MaxRSS
	}
	return e
}

// firstChild returns the oldest child of a process, or 0.
func firstChild(pid int) int {
	id := strconv.Itoa(pid)
	data, err := os.ReadFile("/proc/" + id + "/task/" + id + "/children")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(data), " ")
	child, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return child
}
