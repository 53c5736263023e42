//go:build linux && (amd64 || arm64)

package sandbox

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Where things are in a sandbox.
const (
	taskDir    = "/var/task"
	layersDir  = "/opt"
	runtimeDir = "/var/runtime"
	tmpDir     = "/tmp"
	hostDir    = "/mnt" // of the host's files, until Enter
	// apiPort is where the server listens on the loopback interface of a sandbox, as on AWS.
	apiPort = 9001
	// sandboxUID is the user and group id of everything in a sandbox: that of sbx_user1051 on AWS.
	sandboxUID = 993
)

// Limits of every process in a sandbox, which are AWS Lambda's.
const (
	maxFiles     = 1024
	maxProcesses = 1024
)

// setupProgram makes the network and the files of a sandbox. It sends the descriptor of the listener and, if there
// is a link, of the TUN device.
func setupProgram(root string, mounts []mount, link *Link) *program {
	p := &program{}
	p.call("make mounts private", unix.SYS_MOUNT, p.text("none"), p.text("/"), num(0), num(unix.MS_REC|unix.MS_PRIVATE), num(0))
	p.try("unshare the cgroup namespace", unix.SYS_UNSHARE, num(unix.CLONE_NEWCGROUP))
	name := "localhost"
	p.call("set the host name", unix.SYS_SETHOSTNAME, p.text(name), num(len(name)))
	p.loopback()
	p.listen()
	if link != nil {
		p.tunnel(link)
	}
	p.call("bind the root", unix.SYS_MOUNT, p.text(root), p.text(root), num(0), num(unix.MS_BIND), num(0))
	for _, m := range mounts {
		p.bind(m.source, root+m.target, m.flags)
	}
	p.call("mount /tmp", unix.SYS_MOUNT, p.text("tmpfs"), p.text(root+tmpDir), p.text("tmpfs"),
		num(unix.MS_NOSUID|unix.MS_NODEV), p.text("mode=1777,size=1m"))
	p.call("mount /proc", unix.SYS_MOUNT, p.text("proc"), p.text(root+"/proc"), p.text("proc"),
		num(unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC), num(0))
	p.call("pivot_root", unix.SYS_PIVOT_ROOT, p.text(root), p.text(root+hostDir))
	p.call("chdir /", unix.SYS_CHDIR, p.text("/"))
	p.call("make the root read-only", unix.SYS_MOUNT, num(0), p.text("/"), num(0),
		num(unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|mountFlags(root)), num(0))
	return p
}

// bind shows a file or directory of the host.
func (p *program) bind(source, target string, flags uint64) {
	to := p.text(target)
	p.call("bind "+source, unix.SYS_MOUNT, p.text(source), to, num(0), num(unix.MS_BIND), num(0))
	p.call("protect "+target, unix.SYS_MOUNT, num(0), to, num(0), num(unix.MS_BIND|unix.MS_REMOUNT|flags), num(0))
}

// interfaceRequest is struct ifreq with a socket address or flags in it.
func (p *program) interfaceRequest(name string, value ...any) operand {
	o := p.value(append([]any{[]byte(name), make([]byte, unix.IFNAMSIZ-len(name))}, value...)...)
	p.bytes(make([]byte, 24))
	return o
}

// loopback starts the interface lo.
func (p *program) loopback() {
	up := p.interfaceRequest("lo", uint16(unix.IFF_UP|unix.IFF_RUNNING))
	p.call("socket", unix.SYS_SOCKET, num(unix.AF_INET), num(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), num(0))
	p.call("start lo", unix.SYS_IOCTL, num(firstPassed), num(unix.SIOCSIFFLAGS), up)
	p.call("close", unix.SYS_CLOSE, num(firstPassed))
}

// socketAddress is a struct sockaddr_in.
func socketAddress(a netip.Addr, port uint16) []byte {
	var b [16]byte
	binary.LittleEndian.PutUint16(b[:], unix.AF_INET)
	binary.BigEndian.PutUint16(b[2:], port)
	ip := a.As4()
	copy(b[4:], ip[:])
	return b[:]
}

// listen makes the listener of the Runtime API and sends it.
func (p *program) listen() {
	address := p.bytes(socketAddress(netip.AddrFrom4([4]byte{127, 0, 0, 1}), apiPort))
	p.call("socket", unix.SYS_SOCKET, num(unix.AF_INET), num(unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK), num(0))
	p.call("bind", unix.SYS_BIND, num(firstPassed), address, num(16))
	p.call("listen", unix.SYS_LISTEN, num(firstPassed), num(128))
	p.send("send the listener", firstPassed)
	p.call("close", unix.SYS_CLOSE, num(firstPassed))
}

// tunnel makes the TUN device and sends its descriptor.
func (p *program) tunnel(l *Link) {
	name := l.Name
	const tun, socket = firstPassed, firstPassed + 1
	any4 := netip.AddrFrom4([4]byte{})
	kind := p.interfaceRequest(name, uint16(unix.IFF_TUN|unix.IFF_NO_PI))
	address := p.interfaceRequest(name, socketAddress(l.Address, 0))
	mask := p.interfaceRequest(name, socketAddress(l.Mask, 0))
	mtu := p.interfaceRequest(name, uint32(l.MTU)) //nolint:gosec // small
	up := p.interfaceRequest(name, uint16(unix.IFF_UP|unix.IFF_RUNNING))
	// struct rtentry: pad, destination, gateway, mask, flags, padding
	route := p.value(uint64(0), socketAddress(any4, 0), socketAddress(l.Gateway, 0), socketAddress(any4, 0),
		uint16(unix.RTF_UP|unix.RTF_GATEWAY), make([]byte, 62))
	p.call("open /dev/net/tun", unix.SYS_OPENAT, num(unix.AT_FDCWD), p.text("/dev/net/tun"), num(unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK))
	p.call("make the TUN device", unix.SYS_IOCTL, num(tun), num(unix.TUNSETIFF), kind)
	p.call("socket", unix.SYS_SOCKET, num(unix.AF_INET), num(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), num(0))
	p.call("set the address", unix.SYS_IOCTL, num(socket), num(unix.SIOCSIFADDR), address)
	p.call("set the netmask", unix.SYS_IOCTL, num(socket), num(unix.SIOCSIFNETMASK), mask)
	p.call("set the MTU", unix.SYS_IOCTL, num(socket), num(unix.SIOCSIFMTU), mtu)
	p.call("start the TUN device", unix.SYS_IOCTL, num(socket), num(unix.SIOCSIFFLAGS), up)
	p.call("set the route", unix.SYS_IOCTL, num(socket), num(unix.SIOCADDRT), route)
	p.send("send the TUN device", tun)
	p.call("close", unix.SYS_CLOSE_RANGE, num(firstPassed), num(^uint32(0)), num(0))
}

// twinProgram forks the process that mounts what Enter brings. Its end of the socket comes with the program.
func twinProgram() *program {
	p := &program{}
	p.fork()
	child := len(p.code)
	p.call("dup", unix.SYS_DUP3, num(firstPassed), num(controlFD), num(unix.O_CLOEXEC))
	p.call("close", unix.SYS_CLOSE_RANGE, num(firstPassed), num(^uint32(0)), num(0))
	p.code[len(p.code)-1].zero = operand{value: bootLoop}
	p.parent(child)
	return p
}

// fork appends a fork; the child's instructions follow.
func (p *program) fork() {
	p.call("fork", unix.SYS_CLONE, num(int(unix.SIGCHLD)), num(0), num(0), num(0), num(0))
}

// parent appends what the parent does after the fork in front of the child's first instruction.
func (p *program) parent(child int) {
	p.code[child-1].positive = at(len(p.code))
	p.call("close", unix.SYS_CLOSE_RANGE, num(firstPassed), num(^uint32(0)), num(0))
}

// userProgram enters a user namespace in which nothing of the host has an id.
func userProgram() *program {
	p := &program{}
	p.call("unshare the user namespace", unix.SYS_UNSHARE, num(unix.CLONE_NEWUSER))
	return p
}

// lockProgram gives up everything that a function must not have, for ever.
func lockProgram(lastCapability int, ownUser bool) *program {
	p := &program{}
	limit := func(resource int, n uint64) {
		p.try("limit resources", unix.SYS_PRLIMIT64, num(0), num(resource), p.value(n, n), num(0))
	}
	limit(unix.RLIMIT_NOFILE, maxFiles)
	limit(unix.RLIMIT_NPROC, maxProcesses)
	limit(unix.RLIMIT_CORE, 0)
	if ownUser {
		p.call("setgroups", unix.SYS_SETGROUPS, num(0), num(0))
	}
	id := num(sandboxUID)
	p.call("setresgid", unix.SYS_SETRESGID, id, id, id)
	p.call("setresuid", unix.SYS_SETRESUID, id, id, id)
	for c := range lastCapability + 1 {
		p.call("drop capabilities", unix.SYS_PRCTL, num(unix.PR_CAPBSET_DROP), num(c), num(0), num(0), num(0))
	}
	p.call("drop capabilities", unix.SYS_PRCTL, num(unix.PR_CAP_AMBIENT), num(unix.PR_CAP_AMBIENT_CLEAR_ALL), num(0), num(0), num(0))
	p.call("drop capabilities", unix.SYS_CAPSET, p.value(uint32(unix.LINUX_CAPABILITY_VERSION_3), int32(0)), p.value(make([]byte, 24)))
	p.call("set no_new_privs", unix.SYS_PRCTL, num(unix.PR_SET_NO_NEW_PRIVS), num(1), num(0), num(0), num(0))
	// The change of the user id has cleared it.
	p.call("set the parent-death signal", unix.SYS_PRCTL, num(unix.PR_SET_PDEATHSIG), num(int(unix.SIGKILL)), num(0), num(0), num(0))
	filter := seccompFilter()
	rules := p.value(filter)
	p.call("install the system call filter", unix.SYS_SECCOMP, num(unix.SECCOMP_SET_MODE_FILTER), num(0),
		p.record(num(len(filter)), rules))
	return p
}

// showProgram is run by the twin: it mounts the contents.
func showProgram(c *Contents) *program {
	p := &program{}
	show := func(source, target string) {
		if source != "" {
			p.bind(hostDir+source, target, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|mountFlags(source))
		}
	}
	show(c.Task, taskDir)
	show(c.Layers, layersDir)
	for _, dir := range c.Show {
		show(dir, dir)
	}
	return p
}

// enterProgram is run by the twin: it mounts the contents, takes the host's files away, and ends.
func enterProgram(c *Contents) *program {
	p := showProgram(c)
	p.call("size /tmp", unix.SYS_MOUNT, num(0), p.text(tmpDir), num(0),
		num(unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV), p.text(tmpOptions(c.TmpMB)))
	p.call("take the host's files away", unix.SYS_UMOUNT2, p.text(hostDir), num(unix.MNT_DETACH))
	return p
}

// startProgram starts a command, whose output, and whose descriptor 3 if it has one, come with the program.
func startProgram(number uint64, c *Command) *program {
	const report = 63
	p := &program{}
	list := func(items []string) operand {
		words := make([]operand, 0, len(items)+1)
		for _, s := range items {
			words = append(words, p.text(s))
		}
		return p.record(append(words, operand{})...)
	}
	argv, env := list(c.Args), list(c.Env)
	failure := p.value(uint64(messageNoExec), number, uint64(0))
	p.fork()
	child := len(p.code)
	p.try("unblock signals", unix.SYS_RT_SIGPROCMASK, num(unix.SIG_SETMASK), p.value(uint64(0)), num(0), num(8))
	p.try("setsid", unix.SYS_SETSID)
	p.try("keep the control socket", unix.SYS_DUP3, num(controlFD), num(report), num(unix.O_CLOEXEC))
	p.try("standard output", unix.SYS_DUP3, num(firstPassed), num(1), num(0))
	p.try("standard error", unix.SYS_DUP3, num(firstPassed), num(2), num(0))
	first := controlFD
	if c.Extra != nil {
		p.try("descriptor 3", unix.SYS_DUP3, num(firstPassed+1), num(controlFD), num(0))
		first++
	}
	p.try("chdir", unix.SYS_CHDIR, p.text(c.Dir))
	p.try("close on exec", unix.SYS_CLOSE_RANGE, num(first), num(^uint32(0)), num(unix.CLOSE_RANGE_CLOEXEC))
	p.try("execve", unix.SYS_EXECVE, p.text(c.Path), argv, env)
	p.code[len(p.code)-1].store = failure.plus(16)
	p.try("report", unix.SYS_WRITE, num(report), failure, num(24))
	p.try("exit", unix.SYS_EXIT_GROUP, num(127))
	p.parent(child)
	return p
}

// signalProgram sends a signal to every process of a sandbox but pid 1.
func signalProgram(s unix.Signal) *program {
	p := &program{}
	p.try("kill", unix.SYS_KILL, num(-1), num(int(s)))
	return p
}
