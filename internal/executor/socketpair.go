package executor

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"serin/internal/sandbox"
)

// socketVariable tells a bootstrap that the Runtime API is to be had at its descriptor 3. A function cannot set it.
const socketVariable = "_SERIN_SOCKET=1"

// inherit gives one of the bootstraps of the package a connection to the Runtime API, of which it returns the server's
// end. A socket between two processes costs less than the network, and this one need not be made by both. A
// wrapper may close what it does not know, and what is started by others may be anything: they use the network.
func (env *environment) inherit(c *sandbox.Command) (net.Conn, error) {
	if family := env.interpreter.family; family != "nodejs" && family != "python" || env.spec.Env["AWS_LAMBDA_EXEC_WRAPPER"] != "" {
		return nil, nil //nolint:nilnil // there is none
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	c.Extra = theirs
	c.Env = append(c.Env, socketVariable)
	return ours, nil
}

// socketPair returns the two ends of a connection: one for the server, and one to be inherited by a process, which
// blocks as a descriptor does that the process has opened.
func socketPair() (net.Conn, *os.File, error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket") //nolint:gosec // descriptors
	conn, err := net.FileConn(ours)
	_ = ours.Close()
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}
