package egress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// guest is the environment's end of a flow. Like the host's end it holds no buffer while it waits.
type guest struct {
	ep    tcpip.Endpoint
	queue waiter.Queue
}

// read hands what arrives to use until the end of the stream (nil), an error of the flow or of use.
func (g *guest) read(frames *frames, use func([]byte) error) error {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr)
	g.queue.EventRegister(&entry)
	defer g.queue.EventUnregister(&entry)
	for {
		b := frames.get()
		w := tcpip.SliceWriter(b[:])
		got, err := g.ep.Read(&w, tcpip.ReadOptions{})
		var used error
		if err == nil {
			used = use(b[:got.Count])
		}
		frames.put(b)
		switch err.(type) {
		case nil:
			if used != nil {
				return used
			}
		case *tcpip.ErrWouldBlock:
			<-ready
		case *tcpip.ErrClosedForReceive:
			return nil
		default:
			return errors.New(err.String())
		}
	}
}

// write sends all of p, waiting for room: this is where a slow environment slows down what it reads.
func (g *guest) write(p []byte) error {
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventHUp | waiter.EventErr)
	registered := false
	for len(p) > 0 {
		n, err := g.ep.Write(bytes.NewReader(p), tcpip.WriteOptions{})
		p = p[n:]
		if _, full := err.(*tcpip.ErrWouldBlock); err != nil && !full {
			return errors.New(err.String())
		} else if !full {
			continue
		}
		if !registered { // and look again, for it may have had room in between
			g.queue.EventRegister(&entry)
			defer g.queue.EventUnregister(&entry)
			registered = true
			continue
		}
		<-ready
	}
	return nil
}

// readSocket hands what a socket of the host receives to use until its end (io.EOF), or an error.
func readSocket(conn syscall.RawConn, frames *frames, use func([]byte) error) error {
	for {
		var b *frame
		var n int
		var failed error
		err := conn.Read(func(fd uintptr) bool {
			b = frames.get()
			for {
				n, failed = unix.Read(int(fd), b[:])
				if !errors.Is(failed, unix.EINTR) {
					break
				}
			}
			if errors.Is(failed, unix.EAGAIN) {
				frames.put(b)
				b = nil
				return false
			}
			return true
		})
		if err = errors.Join(err, failed); err == nil {
			err = use(b[:n])
		}
		if b != nil {
			frames.put(b)
		}
		if err != nil {
			return err
		}
	}
}

// destination is where a flow goes.
func destination(id stack.TransportEndpointID) netip.AddrPort {
	return netip.AddrPortFrom(addr(id.LocalAddress), id.LocalPort)
}

// forwardTCP carries one connection, in a goroutine of its own. The environment's handshake ends when
// the host is connected, so it learns of a destination that refuses as if there were nothing in between.
func (l *link) forwardTCP(request *tcp.ForwarderRequest) {
	to := destination(request.ID())
	if !l.admit("tcp", to) {
		request.Complete(true)
		return
	}
	defer l.end()
	conn, err := l.relay.dial(l.ctx, "tcp", to)
	if err != nil {
		l.unreachable("tcp", to, err)
		request.Complete(true)
		return
	}
	defer conn.Close()
	g := &guest{}
	var failed tcpip.Error
	g.ep, failed = request.CreateEndpoint(&g.queue)
	request.Complete(failed != nil)
	if failed != nil {
		return
	}
	defer g.ep.Close()
	l.relay.counters.tcp.Add(1)
	if err := l.carry(g, conn); err != nil {
		l.log.DebugContext(l.ctx, "egress cut", "protocol", "tcp", "to", to, "error", err)
	}
}

// stream is what a TCP connection of the host can do.
type stream interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
	SetLinger(seconds int) error
}

// carry copies both ways until both ends have closed theirs. The end of one way is passed on while the
// other goes on; an error of either cuts both with resets.
func (l *link) carry(g *guest, c net.Conn) error {
	conn, ok := c.(stream)
	if !ok {
		return fmt.Errorf("a TCP connection of type %T", c)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	cut := func() {
		_ = conn.SetLinger(0) // a reset, not an end; a connection that is closed needs neither
		_ = conn.Close()
		g.ep.Abort()
	}
	stop := context.AfterFunc(l.ctx, cut)
	defer stop()
	frames := &l.relay.frames
	out := make(chan error, 1)
	go func() {
		err := g.read(frames, func(p []byte) error { _, err := conn.Write(p); return err })
		if err == nil {
			err = conn.CloseWrite()
		}
		if err != nil {
			cut()
		}
		out <- err
	}()
	err = readSocket(raw, frames, func(p []byte) error {
		if len(p) == 0 {
			return io.EOF
		}
		return g.write(p)
	})
	if errors.Is(err, io.EOF) {
		err = nil
		if failed := g.ep.Shutdown(tcpip.ShutdownWrite); failed != nil {
			err = errors.New(failed.String())
		}
	}
	if err != nil {
		cut()
	}
	return errors.Join(err, <-out)
}

// forwardUDP begins one flow, all datagrams between two ports. False makes the stack answer that the
// port is unreachable. It runs in the reader and must not wait: connecting a UDP socket sends nothing.
func (l *link) forwardUDP(request *udp.ForwarderRequest) bool {
	to := destination(request.ID())
	if !l.admit("udp", to) {
		return false
	}
	conn, err := l.relay.dial(l.ctx, "udp", to)
	if err != nil {
		l.unreachable("udp", to, err)
		l.end()
		return false
	}
	g := &guest{}
	var failed tcpip.Error
	if g.ep, failed = request.CreateEndpoint(&g.queue); failed != nil {
		_ = conn.Close()
		l.end()
		return true
	}
	l.relay.counters.udp.Add(1)
	go func() {
		defer l.end()
		idle := l.relay.udpIdle
		if to.Port() == 53 {
			idle = min(idle, dnsTimeout) // a question, an answer
		}
		if err := l.exchange(g, conn, idle); err != nil {
			l.log.DebugContext(l.ctx, "egress cut", "protocol", "udp", "to", to, "error", err)
		}
	}()
	return true
}

// exchange carries datagrams both ways until none has come for the time idle or either end fails.
func (l *link) exchange(g *guest, conn net.Conn, idle time.Duration) error {
	cut := func() {
		_ = conn.Close()
		g.ep.Abort()
	}
	defer cut()
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return fmt.Errorf("a UDP flow of type %T", conn)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	defer context.AfterFunc(l.ctx, cut)()
	alive := func() { _ = conn.SetReadDeadline(time.Now().Add(idle)) }
	alive()
	frames := &l.relay.frames
	out := make(chan error, 1)
	go func() {
		defer cut()
		out <- g.read(frames, func(p []byte) error {
			alive()
			_, err := conn.Write(p)
			return err
		})
	}()
	err = readSocket(raw, frames, func(p []byte) error {
		alive()
		_, _ = g.ep.Write(bytes.NewReader(p), tcpip.WriteOptions{}) // what finds no room is lost, as datagrams are
		return nil
	})
	cut()
	if ended := <-out; !errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.Join(ended, err)
	}
	return nil
}
