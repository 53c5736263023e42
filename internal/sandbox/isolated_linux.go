//go:build linux && (amd64 || arm64)

package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// isolated is a place of its own: see the package's documentation.
type isolated struct {
	host    *Host
	slot    int
	cmd     *exec.Cmd
	control *control // of pid 1
	twin    *control // of the process that mounts, which ends with Enter
	group   *cgroup
	uid     int

	turn   sync.Mutex // of who has the machine run a program
	number uint64     // of the last command
	frozen bool
	out    atomic.Bool   // of memory
	gone   chan struct{} // nothing is left
}

// control is the server's end of the socket of a machine.
type control struct {
	conn    *net.UnixConn
	replies chan []byte   // results of the programs
	files   chan []int    // descriptors
	ended   chan struct{} // closed when the machine is gone

	mu        sync.Mutex
	processes map[int]*Process         // by pid in the sandbox
	early     map[int]Ending           // of processes that ended before they were known
	unstarted map[uint64]syscall.Errno // by number of the command
}

// answerTime is how long a program may take: they take less than a millisecond, unless the machine is very busy.
const answerTime = 30 * time.Second

var errGone = errors.New("the sandbox has ended")

// newControl makes a socket. The other end is for the machine.
func newControl() (*control, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control") //nolint:gosec // descriptors
	conn, err := net.FileConn(ours)
	_ = ours.Close()
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	c := &control{
		conn: conn.(*net.UnixConn), replies: make(chan []byte, 1), files: make(chan []int, 2), ended: make(chan struct{}),
		processes: map[int]*Process{}, early: map[int]Ending{}, unstarted: map[uint64]syscall.Errno{},
	}
	return c, theirs, nil
}

// listen receives what the machine says until it is gone.
func (c *control) listen() {
	defer close(c.ended)
	buf, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4*maxPassed))
	for {
		n, oobn, _, _, err := c.conn.ReadMsgUnix(buf, oob)
		if n < 8 || err != nil {
			return
		}
		switch message := buf[:n]; binary.LittleEndian.Uint64(message) {
		case messageResults:
			c.replies <- append([]byte(nil), message[8:]...)
		case messageExit:
			c.exited(message)
		case messageNoExec:
			if n >= 24 {
				c.mu.Lock()
				c.unstarted[binary.LittleEndian.Uint64(message[8:])] = syscall.Errno(-int64(binary.LittleEndian.Uint64(message[16:]))) //nolint:gosec // an error number
				c.mu.Unlock()
			}
		case messageFiles:
			c.files <- received(oob[:oobn])
		}
	}
}

// close ends the conversation, which ends the machine.
func (c *control) close() {
	_ = c.conn.Close() // it may be closed already
	<-c.ended
	for {
		select {
		case fds := <-c.files:
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
		default:
			return
		}
	}
}

// received returns the descriptors of a message.
func received(oob []byte) []int {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	var fds []int
	for _, m := range messages {
		got, err := unix.ParseUnixRights(&m)
		if err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

// run has the machine run a program and waits for its end.
func (c *control) run(p *program, files ...*os.File) ([]byte, error) {
	image := p.ready()
	if len(image) > arenaSize/2 {
		return nil, fmt.Errorf("a program of %d bytes is too large", len(image))
	}
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for n, f := range files {
			fds[n] = int(f.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	if _, _, err := c.conn.WriteMsgUnix(image, rights, nil); err != nil {
		return nil, fmt.Errorf("%w: %w", errGone, err)
	}
	select {
	case results := <-c.replies:
		return results, p.check(results)
	case <-c.ended:
		return nil, errGone
	case <-time.After(answerTime):
		return nil, errors.New("the sandbox does not answer")
	}
}

// exited notes the end of a process.
func (c *control) exited(message []byte) {
	pid, end, ok := exitMessage(message)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.processes[pid]; p != nil {
		delete(c.processes, pid)
		c.finish(p, end)
		return
	}
	c.early[pid] = end
	if len(c.early) > 64 { // orphans of the function
		clear(c.early)
	}
}

// finish says how a process has ended. The caller holds c.mu.
func (c *control) finish(p *Process, end Ending) {
	if errno, ok := c.unstarted[p.number]; ok {
		end = Ending{StartError: errno}
		delete(c.unstarted, p.number)
	}
	p.end = end
	close(p.done)
}

// adopt makes a process known by the pid that it has in the sandbox.
func (c *control) adopt(pid int, p *Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if end, ok := c.early[pid]; ok {
		delete(c.early, pid)
		c.finish(p, end)
		return
	}
	c.processes[pid] = p
}

// known lists the processes that have not ended.
func (c *control) known() []*Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.processes))
}

// abandon ends the processes whose end nobody has told.
func (c *control) abandon(end Ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.processes {
		c.finish(p, end)
	}
	clear(c.processes)
}

// innerPaths says where things are in every sandbox.
func innerPaths() Paths {
	return Paths{Task: taskDir, Layers: layersDir, Runtime: runtimeDir, Tmp: tmpDir}
}

// Prepare implements place.
func (i *isolated) Prepare(show []string) (Paths, error) {
	c := &Contents{Show: show}
	if err := showable(i.host.root, c); err != nil {
		return Paths{}, err
	}
	_, err := i.twin.run(showProgram(c))
	return innerPaths(), err
}

// Enter implements place.
func (i *isolated) Enter(c *Contents) (Paths, error) {
	paths := innerPaths()
	if err := showable(i.host.root, c); err != nil {
		return paths, err
	}
	if i.group != nil {
		if err := i.group.limit(c.MemoryMB, c.TmpMB); err != nil {
			return paths, fmt.Errorf("limit the sandbox: %w", err)
		}
		i.watchMemory(c.MemoryMB)
	}
	_, err := i.twin.run(enterProgram(c))
	i.twin.close()
	return paths, err
}

// watchMemory ends the sandbox when its processes hold more memory than they may. The kernel takes many milliseconds to
// be told to watch, for which nobody waits: the watch begins with a look at what has happened meanwhile.
func (i *isolated) watchMemory(memoryMB int) {
	go func() {
		events, err := i.group.pressure(memoryMB)
		if events != nil {
			go func() {
				<-i.control.ended
				_ = events.Close()
			}()
			err = i.group.watchMemory(memoryMB, events, i.control.ended, func() {
				i.out.Store(true)
				i.Kill()
			})
		}
		select {
		case <-i.control.ended: // and its group with it
		default:
			if err != nil {
				i.host.cfg.Log.Warn("nobody watches the memory of a sandbox any more", "error", err)
			}
		}
	}()
}

// Start implements place.
func (i *isolated) Start(c *Command) (*Process, error) {
	i.number++
	p := &Process{done: make(chan struct{}), number: i.number}
	files := []*os.File{c.Output}
	if c.Extra != nil {
		files = append(files, c.Extra)
	}
	i.turn.Lock()
	results, err := i.control.run(startProgram(i.number, c), files...)
	i.turn.Unlock()
	if err != nil {
		return nil, fmt.Errorf("start in sandbox: %w", err)
	}
	pid := int(binary.LittleEndian.Uint64(results)) //nolint:gosec // a process id
	p.pid = func() int { return hostPID(i.cmd.Process.Pid, pid) }
	p.signal = func(s syscall.Signal) {
		if host := p.pid(); host != 0 {
			_ = syscall.Kill(host, s) // it may have ended
		}
	}
	i.control.adopt(pid, p)
	return p, nil
}

// Reset implements place.
func (i *isolated) Reset() error {
	i.turn.Lock()
	_, err := i.control.run(signalProgram(unix.SIGKILL))
	i.turn.Unlock()
	if err != nil {
		return err
	}
	for _, p := range i.control.known() {
		<-p.done
	}
	return nil
}

// Kill implements place.
func (i *isolated) Kill() { _ = i.cmd.Process.Kill() } // it may have ended

// Done implements place.
func (i *isolated) Done() <-chan struct{} { return i.gone }

// Freeze implements place.
func (i *isolated) Freeze() error {
	i.turn.Lock()
	defer i.turn.Unlock()
	i.frozen = true
	if i.group != nil {
		if ok, err := i.group.setFrozen(true); ok {
			return err
		}
	}
	_, err := i.control.run(signalProgram(unix.SIGSTOP))
	return err
}

// Thaw implements place.
func (i *isolated) Thaw() error {
	i.turn.Lock()
	defer i.turn.Unlock()
	if !i.frozen {
		return nil
	}
	i.frozen = false
	if i.group != nil {
		if ok, err := i.group.setFrozen(false); ok {
			return err
		}
	}
	_, err := i.control.run(signalProgram(unix.SIGCONT))
	return err
}

// Close implements place.
func (i *isolated) Close() {
	i.Kill()
	<-i.gone
}

// bury waits for the end of the machine, with which every process of the sandbox ends, and cleans up.
func (i *isolated) bury(s *Sandbox) {
	<-i.control.ended
	// The kernel ends a pid namespace before it lets its first process be waited for.
	_ = i.cmd.Wait() // how the machine ended does not matter
	i.control.abandon(Ending{Status: syscall.WaitStatus(syscall.SIGKILL), OutOfMemory: i.out.Load()})
	i.control.close()
	if i.twin != nil {
		i.twin.close()
	}
	for _, f := range []*os.File{s.listener, s.Tun} {
		if f != nil {
			_ = f.Close()
		}
	}
	if i.group != nil {
		i.group.remove()
	}
	i.host.slots.put(i.slot)
	close(i.gone)
	i.host.count.Done()
}

// hostPID returns the number that the server knows a child of pid 1 by, or 0.
func hostPID(machine, inside int) int {
	id := strconv.Itoa(machine)
	data, err := os.ReadFile("/proc/" + id + "/task/" + id + "/children")
	if err != nil {
		return 0
	}
	for _, child := range fieldsOf(data) {
		if insidePID(child) == inside {
			n, err := strconv.Atoi(child)
			if err == nil {
				return n
			}
		}
	}
	return 0
}
