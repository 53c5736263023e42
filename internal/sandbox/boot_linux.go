//go:build linux && (amd64 || arm64)

package sandbox

import (
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"
)

// The descriptors of the machine. Whatever comes with a program gets the numbers from firstPassed on, in order.
const (
	controlFD   = 3
	signalFD    = 4
	firstPassed = 5
)

// maxPassed is how many descriptors may come with one program.
const maxPassed = 8

// The kinds of messages that the machine sends, in their first word.
const (
	messageResults = 2 // of a program: one word for each instruction
	messageExit    = 1 // of a child: its pid, its wait status, struct rusage
	messageNoExec  = 3 // a program could not be executed: number of the command, error number
	messageFiles   = 4 // has descriptors with it
)

// exitSize is the size of a messageExit: kind, pid, status, and as much of struct rusage as is of interest.
const exitSize = 3*8 + 16*9

// bootProgram returns what the machine does all its life: it reaps children and says so, receives programs and runs
// them, and ends when the server's end of the socket is gone.
func bootProgram() []byte {
	var p program
	sigchld := p.value(uint64(1) << (unix.SIGCHLD - 1))
	scratch := p.bytes(make([]byte, 128))
	polled := p.value(int32(controlFD), int16(unix.POLLIN), int16(0), int32(signalFD), int16(unix.POLLIN), int16(0))
	exit := p.value(uint64(messageExit), make([]byte, exitSize-8))
	pid, status, usage := exit.plus(8), exit.plus(16), exit.plus(24)
	passed := p.bytes(make([]byte, unix.CmsgSpace(4*maxPassed)))
	parts := p.record(operand{value: arenaAddress}, operand{value: arenaSize})
	header := p.record(operand{}, operand{}, parts, num(1), passed, num(unix.CmsgSpace(4*maxPassed)), operand{})

	p.try("close descriptors", unix.SYS_CLOSE_RANGE, num(signalFD), num(^uint32(0)), num(0))
	p.call("close on exec", unix.SYS_FCNTL, num(controlFD), num(unix.F_SETFD), num(unix.FD_CLOEXEC))
	p.call("block SIGCHLD", unix.SYS_RT_SIGPROCMASK, num(unix.SIG_BLOCK), sigchld, num(0), num(8))
	p.call("signalfd", unix.SYS_SIGNALFD4, num(-1), sigchld, num(8), num(unix.SFD_CLOEXEC|unix.SFD_NONBLOCK))

	const loop, drain, reap, tell, receive, run, end = 4, 5, 6, 7, 8, 9, 10
	p.add(instruction{
		number: unix.SYS_PPOLL, args: [6]operand{polled, num(2), num(0), num(0), num(8)},
		negative: at(loop), zero: at(loop), positive: at(drain),
	})
	p.add(instruction{
		number: unix.SYS_READ, args: [6]operand{num(signalFD), scratch, num(128)},
		negative: at(reap), zero: at(reap), positive: at(drain),
	})
	p.add(instruction{
		number: unix.SYS_WAIT4, args: [6]operand{num(-1), status, num(unix.WNOHANG), usage}, store: pid,
		negative: at(receive), zero: at(receive), positive: at(tell),
	})
	p.add(instruction{
		number: unix.SYS_WRITE, args: [6]operand{num(controlFD), exit, num(exitSize)},
		negative: at(reap), zero: at(reap), positive: at(reap),
	})
	p.add(instruction{
		number:   unix.SYS_RECVMSG,
		args:     [6]operand{num(controlFD), header, num(unix.MSG_DONTWAIT | unix.MSG_CMSG_CLOEXEC)},
		negative: at(loop), zero: at(end), positive: at(run),
	})
	// The kernel has written there how much of the space it has used.
	p.add(instruction{
		number: move, args: [6]operand{num(unix.CmsgSpace(4 * maxPassed))}, store: header.plus(40),
		positive: operand{value: arenaAddress},
	})
	p.call("exit", unix.SYS_EXIT_GROUP, num(0))
	return p.assemble(dataAddress, at(end))
}

// bootLoop is where the boot program waits.
const bootLoop = dataAddress + 4*instructionSize

func (o operand) plus(n uint64) operand { return operand{o.value + n, o.in} }

// ready completes a program that the server sends: it tells its results, whether it has come to its end or
// failed, and waits for the next.
func (p *program) ready() []byte {
	last := len(p.code)
	p.add(instruction{}) // filled in below, when the number of instructions is known
	results := operand{0, inResult}
	reply := p.value(uint64(messageResults))
	// The two parts of the message: its kind, and all results but that of the reply itself.
	parts := p.record(reply, num(8), results, num(8*last))
	header := p.record(operand{}, operand{}, parts, num(2), operand{}, operand{}, operand{})
	forever := operand{value: bootLoop}
	p.code[last] = instruction{
		number: unix.SYS_SENDMSG, args: [6]operand{num(controlFD), header, num(0)},
		negative: forever, zero: forever, positive: forever,
	}
	return p.assemble(arenaAddress, at(last))
}

// send appends the sending of descriptors to the server.
func (p *program) send(what string, fds ...int32) {
	kind := p.value(uint64(messageFiles))
	size := unix.CmsgLen(4 * len(fds))
	control := p.value(uint64(size), int32(unix.SOL_SOCKET), int32(unix.SCM_RIGHTS), fds)
	p.bytes(make([]byte, unix.CmsgSpace(4*len(fds))-size))
	parts := p.record(kind, num(8))
	header := p.record(operand{}, operand{}, parts, num(1), control, num(size), operand{})
	p.call(what, unix.SYS_SENDMSG, num(controlFD), header, num(0))
}

// exitMessage reads a messageExit.
func exitMessage(b []byte) (pid int, e Ending, ok bool) {
	if len(b) < exitSize {
		return 0, e, false
	}
	order := binary.LittleEndian
	pid = int(order.Uint32(b[8:]))
	e.Status = syscall.WaitStatus(order.Uint32(b[16:]))
	e.MaxRSS = int64(order.Uint64(b[24+4*8:])) //nolint:gosec // KiB
	return pid, e, true
}
