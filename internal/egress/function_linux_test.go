package egress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// function is a child in a network of its own, served by a relay.
type function struct {
	tb     testing.TB
	relay  *Relay
	in     *json.Encoder
	out    *json.Decoder
	cancel context.CancelCauseFunc
	served chan error
}

// errOver ends the relay of a test.
var errOver = errors.New("the environment ended")

// startFunction starts the child and its relay; change adapts the relay before.
func startFunction(tb testing.TB, config Config, change func(*Relay)) *function {
	tb.Helper()
	tun, in, out, err := startGuest(tb)
	if err != nil {
		if os.Getenv("SERIN_TEST_STRICT") != "" {
			tb.Fatalf("no network namespace with a TUN device: %v", err)
		}
		tb.Skipf("skipped: no network namespace with a TUN device: %v", err)
	}
	f := &function{tb: tb, relay: New(config), in: json.NewEncoder(in), out: json.NewDecoder(out), served: make(chan error, 1)}
	if change != nil {
		change(f.relay)
	}
	var ctx context.Context
	ctx, f.cancel = context.WithCancelCause(context.Background())
	go func() { f.served <- f.relay.Serve(ctx, tun, slog.New(slog.DiscardHandler)) }()
	tb.Cleanup(f.end)
	return f
}

// end ends the relay and checks that nothing of it is left.
func (f *function) end() {
	f.cancel(errOver)
	if err := <-f.served; !errors.Is(err, errOver) {
		f.tb.Errorf("Serve: %v, want the cause of its context", err)
	}
	f.served <- errOver
	if open := f.relay.Stats().Open; open != 0 {
		f.tb.Errorf("%d connections are open after the end", open)
	}
	await(f.tb, "the relay's goroutines to end", func() bool {
		b := make([]byte, 1<<20)
		stacks := string(b[:runtime.Stack(b, true)])
		return !strings.Contains(stacks, "egress.(*link)") && !strings.Contains(stacks, "gvisor.dev/gvisor")
	})
}

// await waits for what other goroutines are about to do.
func await(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			tb.Fatalf("waited in vain for %s", what)
		}
	}
}

func startGuest(tb testing.TB) (tun *os.File, in io.Writer, out io.Reader, err error) {
	tb.Helper()
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	gids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	tun, in, out, err = tryGuest(tb, &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET, UidMappings: ids, GidMappings: gids, Pdeathsig: syscall.SIGKILL,
	})
	if err != nil && os.Getuid() == 0 {
		tun, in, out, err = tryGuest(tb, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL})
	}
	return tun, in, out, err
}

func tryGuest(tb testing.TB, attr *syscall.SysProcAttr) (*os.File, io.Writer, io.Reader, error) {
	tb.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer unix.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "guest")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), guestEnv+"=1")
	cmd.ExtraFiles, cmd.SysProcAttr = []*os.File{theirs}, attr
	var complaint strings.Builder
	cmd.Stderr = &complaint
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	err = errors.Join(err1, err2, cmd.Start())
	theirs.Close()
	if err != nil {
		return nil, nil, nil, err
	}
	tb.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	oob := make([]byte, unix.CmsgSpace(4))
	n, got, _, _, err := unix.Recvmsg(pair[0], make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil || n == 0 {
		cmd.Wait()
		return nil, nil, nil, fmt.Errorf("%w %s", err, strings.TrimSpace(complaint.String()))
	}
	messages, err := unix.ParseSocketControlMessage(oob[:got])
	if err != nil {
		return nil, nil, nil, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "tun"), in, out, nil
}

// startPlain starts a child that does the same without a relay.
func startPlain(tb testing.TB) *function {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), guestEnv+"="+plainGuest)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return &function{tb: tb, in: json.NewEncoder(in), out: json.NewDecoder(out)}
}

// do has the function do something.
func (f *function) do(what, to string, n int) outcome {
	f.tb.Helper()
	f.order(what, to, n)
	return f.result()
}

func (f *function) order(what, to string, n int) {
	f.tb.Helper()
	if err := f.in.Encode(order{what, to, n}); err != nil {
		f.tb.Fatal(err)
	}
}

func (f *function) result() outcome {
	f.tb.Helper()
	var o outcome
	if err := f.out.Decode(&o); err != nil {
		f.tb.Fatal(err)
	}
	return o
}

// must has it succeed, mustNot has it fail with the words and fast.
func (f *function) must(what, to string, n int) string {
	f.tb.Helper()
	o := f.do(what, to, n)
	if o.Err != "" {
		f.tb.Fatalf("%s %s: %s", what, to, o.Err)
	}
	return o.Out
}

func (f *function) mustNot(what, to, words string) {
	f.tb.Helper()
	if o := f.do(what, to, 1); !strings.Contains(o.Err, words) || o.Err == "" || o.Took > 5*time.Second {
		f.tb.Errorf("%s %s: %q after %s, want %q at once", what, to, o.Err, o.Took, words)
	}
}

// internet has the relay find test servers at public addresses; all else is reached as it is.
func internet(servers map[string]string) func(*Relay) {
	return func(r *Relay) {
		dial := r.dial
		r.dial = func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
			if server, ok := servers[network+"/"+to.String()]; ok {
				to = netip.MustParseAddrPort(server)
			} else if to.Addr() != HostAddr() {
				return nil, fmt.Errorf("a test reaches for %s %s", network, to)
			}
			return dial(ctx, network, to)
		}
	}
}

func webServer(tb testing.TB) string {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	tb.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func udpServer(tb testing.TB) string {
	tb.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			c.WriteTo(b[:n], from)
		}
	}()
	return c.LocalAddr().String()
}

// tcpServer gives every connection to serve.
func tcpServer(tb testing.TB, serve func(*net.TCPConn)) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			}()
		}
	}()
	return l.Addr().String()
}

// nameServer answers every question about addresses from a table, over UDP and TCP.
func nameServer(tb testing.TB, table map[string]string) netip.AddrPort {
	tb.Helper()
	answer := func(query []byte) []byte {
		var p dnsmessage.Parser
		head, _ := p.Start(query)
		q, err := p.Question()
		if err != nil {
			return nil
		}
		a, err := netip.ParseAddr(table[strings.TrimSuffix(q.Name.String(), ".")])
		if err != nil || a.Is4() != (q.Type == dnsmessage.TypeA) {
			return reply(head, &q, dnsmessage.RCodeNameError)
		}
		r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1}}
		if r.Body = (&dnsmessage.AAAAResource{AAAA: a.As16()}); a.Is4() {
			r.Body = &dnsmessage.AResource{A: a.As4()}
		}
		return reply(head, &q, dnsmessage.RCodeSuccess, r)
	}
	at := netip.MustParseAddrPort(tcpServer(tb, func(c *net.TCPConn) {
		for {
			query, err := readMessage(c)
			if err != nil || writeMessage(c, answer(query)) != nil {
				return
			}
		}
	}))
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			c.WriteTo(answer(b[:n]), from)
		}
	}()
	return at
}
