//go:build linux && (amd64 || arm64)

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// socketProgram makes a socket and sends it. Where a socket was made is the network that it belongs to, whoever
// uses it.
func socketProgram() *program {
	p := &program{}
	p.call("socket", unix.SYS_SOCKET, num(unix.AF_INET), num(unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK), num(0))
	p.send("send the socket", firstPassed)
	p.call("close", unix.SYS_CLOSE, num(firstPassed))
	return p
}

// Dial implements place.
func (i *isolated) Dial(ctx context.Context, port uint16) (net.Conn, error) {
	file, err := i.socket()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := connect(ctx, file, &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, fmt.Errorf("connect to %s in the sandbox: %w", netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), err)
	}
	return net.FileConn(file)
}

// socket returns a new socket of the sandbox's network.
func (i *isolated) socket() (*os.File, error) {
	i.turn.Lock()
	defer i.turn.Unlock()
	if i.frozen {
		return nil, ErrFrozen
	}
	if _, err := i.control.run(socketProgram()); err != nil {
		return nil, err
	}
	// The descriptor has come before the results.
	fds := <-i.control.files
	if len(fds) != 1 {
		return nil, errors.New("the sandbox has sent no socket")
	}
	return os.NewFile(uintptr(fds[0]), "socket"), nil //nolint:gosec // a descriptor
}

// connect connects a socket that does not block, until ctx ends.
func connect(ctx context.Context, file *os.File, to unix.Sockaddr) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = file.SetWriteDeadline(time.Unix(1, 0)) }) // ends the wait
	defer stop()
	var result error
	begun := false
	err = raw.Write(func(fd uintptr) (done bool) {
		if !begun {
			begun = true
			result = unix.Connect(int(fd), to)
			return !errors.Is(result, unix.EINPROGRESS)
		}
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		result = err
		if err == nil && code != 0 {
			result = unix.Errno(code)
		}
		return true
	})
	return errors.Join(err, result)
}
