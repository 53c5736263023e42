//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Host makes sandboxes.
type Host struct {
	cfg      Config
	launcher *launcher
	root     string // of all sandboxes
	machine  string // the program of pid 1
	mounts   []mount
	groups   *cgroups
	lastCap  int
	ownUser  bool  // the server can give every sandbox a user id of its own
	noLink   error // why sandboxes have no link although they should
	list     []Protection
	places   atomic.Uint64
	slots    slots
	count    sync.WaitGroup // of sandboxes

	spares chan *Sandbox
	refill chan struct{}
	stop   context.CancelFunc
	filler sync.WaitGroup
	closed sync.Once
}

// firstUID is the host's user id of the first slot. Ids from here on belong to nobody on common systems.
const firstUID = 200_000

// slots numbers the sandboxes, the lowest free number first.
type slots struct {
	mu   sync.Mutex
	used []bool
}

func (s *slots) take() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, used := range s.used {
		if !used {
			s.used[n] = true
			return n
		}
	}
	s.used = append(s.used, true)
	return len(s.used) - 1
}

func (s *slots) put(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[n] = false
}

// Open finds out what the kernel grants. The error is [ErrUnprotected] if a protection is required and missing.
func Open(cfg Config) (*Host, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h := &Host{cfg: cfg, launcher: newLauncher(), root: filepath.Join(cfg.Dir, "root"), machine: filepath.Join(cfg.Dir, "machine")}
	err := h.prepare()
	if err == nil && cfg.Isolation == IsolationRequire && Missing(h.list) != "" {
		err = fmt.Errorf("%w: %s", ErrUnprotected, Missing(h.list))
	}
	if err != nil {
		h.launcher.close()
		return nil, err
	}
	h.fill()
	return h, nil
}

// prepare makes the directory and tries a sandbox.
func (h *Host) prepare() error {
	if err := os.RemoveAll(h.cfg.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(h.root, 0o755); err != nil {
		return err
	}
	if h.cfg.Isolation == IsolationNone {
		h.isolateNothing("isolation is switched off")
		return nil
	}
	boot := bootProgram()
	image, err := machineImage(boot)
	if err != nil {
		return err
	}
	// A process that is forked while the file is open for writing would make it "text file busy".
	syscall.ForkLock.RLock()
	err = os.WriteFile(h.machine, image, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		return err
	}
	if h.mounts, err = makeRoot(h.root, &h.cfg); err != nil {
		return err
	}
	h.lastCap = lastCapability()
	h.groups = openCgroups()
	h.ownUser = os.Geteuid() == 0
	err = h.try()
	if err != nil && h.cfg.Link != nil {
		// A sandbox without a way out is better than none.
		link := h.cfg.Link
		h.cfg.Link = nil
		if alone := h.try(); alone == nil {
			h.noLink, err = err, nil
		} else {
			h.cfg.Link = link
		}
	}
	if err != nil {
		h.groups.close()
		h.isolateNothing(err.Error())
		return nil
	}
	h.list = h.protections()
	return nil
}

func (h *Host) isolateNothing(why string) {
	h.list, h.groups, h.machine = nothing(why), nil, ""
}

// Protections lists what sandboxes are protected by, and what is missing.
func (h *Host) Protections() []Protection { return h.list }

// NoLink says why sandboxes have no link although they should have one; it is nil if they have.
func (h *Host) NoLink() error { return h.noLink }

// try makes a sandbox and runs something in it.
func (h *Host) try() error {
	s, err := h.isolate()
	if err != nil && h.ownUser {
		// A root that may not use namespaces may still do what any user may.
		h.ownUser = false
		if s, err = h.isolate(); err != nil {
			h.ownUser = true
		}
	}
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Enter(&Contents{Task: h.root, TmpMB: 1, MemoryMB: 64}); err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	// A directory cannot be executed: the machine says so.
	p, err := s.Start(&Command{Path: "/", Args: []string{"/"}, Dir: "/", Output: null})
	if err != nil {
		return err
	}
	<-p.Done()
	if !errors.Is(p.End().StartError, unix.EACCES) {
		return fmt.Errorf("a sandbox does not work: %v", p.End())
	}
	return nil
}

// protections lists what a host has whose namespaces work.
func (h *Host) protections() []Protection {
	var list []Protection
	for _, name := range protectionNames() {
		p := Protection{Name: name, On: true}
		controller := map[string]string{ProtectMemory: "memory", ProtectCPU: "cpu", ProtectCount: "pids"}[name]
		switch {
		case controller != "" && !h.groups.has(controller):
			p.On, p.Why = false, h.groups.why[controller]
			if name == ProtectCount {
				p.On, p.Why = true, "by resource limits"
			}
		case name == ProtectUser && !h.ownUser:
			p.On, p.Why = false, "the server is not root: functions have its user id, in user namespaces of their own"
		}
		list = append(list, p)
	}
	return list
}

// isolated reports whether sandboxes are isolated.
func (h *Host) isolates() bool { return h.machine != "" }

// New returns a sandbox: a spare one, if there is one.
func (h *Host) New() (*Sandbox, error) {
	if !h.isolates() {
		n := h.places.Add(1)
		return newPlain(h.launcher, filepath.Join(h.cfg.Dir, placeName(n)), h.cfg.Runtime)
	}
	for {
		select {
		case s := <-h.spares:
			select {
			case <-s.Done():
				continue
			default:
				return s, nil
			}
		default:
			return h.isolate()
		}
	}
}

// Refill prepares sandboxes in place of those that were taken, and does not wait for them. It is for when a new
// environment is ready rather than for when it takes a sandbox: the two would slow each other down.
func (h *Host) Refill() {
	select {
	case h.refill <- struct{}{}:
	default:
	}
}

// Spares returns how many sandboxes are prepared.
func (h *Host) Spares() int { return len(h.spares) }

// fill keeps spare sandboxes.
func (h *Host) fill() {
	ctx, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	h.spares, h.refill = make(chan *Sandbox, h.cfg.Spare), make(chan struct{}, 1)
	if !h.isolates() || h.cfg.Spare == 0 {
		return
	}
	h.Refill()
	h.filler.Go(func() {
		for {
			select {
			case <-h.refill:
			case <-ctx.Done():
				return
			}
			for len(h.spares) < cap(h.spares) && ctx.Err() == nil {
				s, err := h.isolate()
				if err != nil {
					h.cfg.Log.Warn("cannot prepare a sandbox", "error", err)
					break // until the next one is wanted
				}
				h.spares <- s // nobody else puts any there
			}
		}
	})
}

// Close ends every sandbox and waits until nothing is left of them.
func (h *Host) Close() error {
	h.closed.Do(h.close)
	return os.RemoveAll(h.cfg.Dir)
}

func (h *Host) close() {
	h.stop()
	h.filler.Wait()
	close(h.spares)
	for s := range h.spares {
		s.Close()
	}
	h.launcher.close() // the machines die with the thread
	h.count.Wait()
	if h.groups != nil {
		h.groups.close()
	}
}

// isolate makes a sandbox that is ready for Enter.
func (h *Host) isolate() (*Sandbox, error) {
	i := &isolated{host: h, gone: make(chan struct{}), slot: h.slots.take()}
	i.uid = firstUID + i.slot
	h.count.Add(1)
	s, err := i.make()
	if err != nil {
		return nil, fmt.Errorf("make a sandbox: %w", err)
	}
	return s, nil
}

// make starts the machine and has it set the sandbox up. When it fails, nothing is left.
func (i *isolated) make() (*Sandbox, error) {
	h := i.host
	control, theirs, err := newControl()
	if err != nil {
		h.slots.put(i.slot)
		h.count.Done()
		return nil, err
	}
	i.control = control
	i.cmd = &exec.Cmd{Path: h.machine, Args: []string{"serin-sandbox"}, Env: []string{}, Dir: "/", ExtraFiles: []*os.File{theirs}, SysProcAttr: h.attributes()}
	err = h.launcher.run(i.cmd)
	_ = theirs.Close()
	if err != nil {
		_ = control.conn.Close()
		h.slots.put(i.slot)
		h.count.Done()
		return nil, err
	}
	go control.listen()
	s := &Sandbox{place: i, Address: "127.0.0.1:" + strconv.Itoa(apiPort)}
	err = i.setUp(s)
	go i.bury(s)
	if err != nil {
		i.Close()
		return nil, err
	}
	return s, nil
}

// attributes are those of the machine's process.
func (h *Host) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNET,
		Setsid:     true, Pdeathsig: syscall.SIGKILL,
	}
	if !h.ownUser {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: sandboxUID, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: sandboxUID, HostID: os.Getegid(), Size: 1}}
		// What the set-up needs; the lock gives it up.
		for c := range uintptr(h.lastCap + 1) {
			attr.AmbientCaps = append(attr.AmbientCaps, c)
		}
	}
	return attr
}

// setUp runs the programs that make a sandbox.
func (i *isolated) setUp(s *Sandbox) error {
	h := i.host
	if h.groups != nil {
		// A name is not used again: the group that had it may have been frozen, and may still be there.
		group, err := h.groups.add(strconv.FormatUint(h.places.Add(1), 10))
		if err != nil {
			return err
		}
		i.group = group
		if err := group.join(i.cmd.Process.Pid); err != nil {
			return fmt.Errorf("join control group: %w", err)
		}
	}
	if _, err := i.control.run(setupProgram(h.root, h.mounts, h.cfg.Link)); err != nil {
		return err
	}
	if err := i.receive(s); err != nil {
		return err
	}
	twin, theirs, err := newControl()
	if err != nil {
		return err
	}
	i.twin = twin
	go twin.listen()
	_, err = i.control.run(twinProgram(), theirs)
	_ = theirs.Close()
	if err != nil {
		return err
	}
	if h.ownUser {
		if _, err := i.control.run(userProgram()); err != nil {
			return err
		}
		if err := mapUser(i.cmd.Process.Pid, i.uid); err != nil {
			return err
		}
	}
	_, err = i.control.run(lockProgram(h.lastCap, h.ownUser))
	return err
}

// receive takes the descriptors that the set-up has sent.
func (i *isolated) receive(s *Sandbox) error {
	fds := <-i.control.files
	if len(fds) != 1 {
		return errors.New("the sandbox has sent no listener")
	}
	s.listener = os.NewFile(uintptr(fds[0]), "listener") //nolint:gosec // a descriptor
	if i.host.cfg.Link == nil {
		return nil
	}
	if fds = <-i.control.files; len(fds) != 1 {
		return errors.New("the sandbox has sent no TUN device")
	}
	s.Tun = os.NewFile(uintptr(fds[0]), "tun") //nolint:gosec // a descriptor
	return nil
}

// mapUser gives the user of a namespace an id of the host that nobody else has.
func mapUser(pid, uid int) error {
	line := fmt.Appendf(nil, "%d %d 1\n", sandboxUID, uid)
	dir := "/proc/" + strconv.Itoa(pid)
	return errors.Join(os.WriteFile(dir+"/uid_map", line, 0), os.WriteFile(dir+"/gid_map", line, 0))
}

// lastCapability returns the number of the last capability that the kernel knows.
func lastCapability() int {
	data, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return unix.CAP_LAST_CAP
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return unix.CAP_LAST_CAP
	}
	return n
}

func fieldsOf(data []byte) []string { return strings.Fields(string(data)) }

// insidePID returns the number of a process in its innermost pid namespace, or 0.
func insidePID(pid string) int {
	data, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	_, after, _ := bytes.Cut(data, []byte("NSpid:"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	f := fieldsOf(line)
	if len(f) == 0 {
		return 0
	}
	n, err := strconv.Atoi(f[len(f)-1])
	if err != nil {
		return 0
	}
	return n
}

// plainAttributes are those of a process that is not isolated.
func plainAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
