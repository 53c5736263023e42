package egress

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
)

func TestEveryWayOut(t *testing.T) {
	names := nameServer(t, map[string]string{"www.example.com": "1.1.1.1", "six.example.com": "2600::1"})
	web, udp := webServer(t), udpServer(t)
	f := startFunction(t, Config{Resolvers: []netip.AddrPort{names}}, internet(map[string]string{
		"tcp/1.1.1.1:80": web, "tcp/[2600::1]:80": web, "udp/1.1.1.1:7": udp, "udp/[2600::1]:7": udp,
	}))
	f.must("get", "1.1.1.1", 1)
	f.must("get", "[2600::1]", 1)
	f.must("get", "1.1.1.1", 200) // at the same time
	for _, size := range []int{0, 1, 1400, 9000, 65507} {
		f.must("echo", "udp/1.1.1.1:7", size)
	}
	f.must("echo", "udp/[2600::1]:7", 1400)
	for _, network := range []string{"udp", "tcp"} {
		if got := f.must("lookup", network+"/www.example.com", 0); got != "1.1.1.1" {
			t.Errorf("DNS over %s: %q", network, got)
		}
		if got := f.must("lookup", network+"/six.example.com", 0); got != "2600::1" {
			t.Errorf("DNS over %s: %q", network, got)
		}
		f.mustNot("lookup", network+"/nothing.example.com", "no such host")
	}
	f.must("ping", GatewayAddr().String(), 0)
	stats := f.relay.Stats()
	if stats.TCP != 202 || stats.UDP != 6 || stats.DNS == 0 || stats.Refused != 0 || stats.Limited != 0 {
		t.Errorf("%+v", stats)
	}
}

func TestRefusedAtOnce(t *testing.T) {
	f := startFunction(t, Config{}, internet(nil))
	own := "192.168.0.1"
	for a := range interfaceAddresses() {
		if a.Is4() && !a.IsLoopback() {
			own = a.String()
		}
	}
	refused := 0
	for _, to := range []string{"169.254.169.254:80", "10.1.2.3:80", "[fd00:ec2::254]:80", own + ":80", "192.0.0.3:80", "192.0.0.1:80", "[64:ff9b::a9fe:a9fe]:80"} {
		f.mustNot("echo", "tcp/"+to, "connection refused")
		f.mustNot("echo", "udp/"+to, "connection refused")
		refused += 2
	}
	f.mustNot("ping", "8.8.8.8", "ICMP type 3 code 13")
	refused++
	if got := f.relay.Stats(); got.Refused < int64(refused) || got.TCP != 0 || got.UDP != 0 {
		t.Errorf("%+v, want %d refused", got, refused)
	}
	f.mustNot("lookup", "udp/"+HostName, "no such host")
}

func TestHostByName(t *testing.T) {
	web := webServer(t)
	_, port, _ := net.SplitHostPort(web)
	f := startFunction(t, Config{Policy: policy(t, "all,deny=169.254.169.254,deny=host.serin.internal:22")}, nil)
	if got := f.must("lookup", "udp/"+HostName, 0); got != HostAddr().String() {
		t.Fatalf("%s is %s", HostName, got)
	}
	f.must("get", HostAddr().String()+":"+port, 1)
	f.mustNot("echo", "tcp/192.0.0.3:22", "connection refused")
	f.mustNot("echo", "tcp/169.254.169.254:80", "connection refused")
	if got := f.relay.Stats().Refused; got != 2 {
		t.Errorf("%d refused, want 2", got)
	}
}

func TestRulesByName(t *testing.T) {
	table := map[string]string{"db.corp.example": "10.9.9.9", "x.cdn.example": "1.0.0.1", "rebound.corp.example": "169.254.169.254"}
	web := webServer(t)
	f := startFunction(t, Config{
		Resolvers: []netip.AddrPort{nameServer(t, table)},
		Policy:    policy(t, "public,allow=db.corp.example:5432,allow=rebound.corp.example,allow=*.cdn.example,deny=0.0.0.0/0,deny=::/0"),
	}, internet(map[string]string{"tcp/10.9.9.9:5432": web, "tcp/1.0.0.1:80": web}))
	f.mustNot("get", "10.9.9.9:5432", "connection refused") // not yet asked for
	for name := range table {
		f.must("lookup", "udp/"+name, 0)
	}
	f.must("get", "10.9.9.9:5432", 1)
	f.must("get", "1.0.0.1", 1)
	f.mustNot("get", "10.9.9.9", "connection refused")
	f.mustNot("get", "1.1.1.1", "connection refused")
	f.mustNot("get", "169.254.169.254", "connection refused")
}

func TestLargeTransfers(t *testing.T) {
	const size = 100 << 20
	sink := tcpServer(t, func(c *net.TCPConn) {
		h := sha256.New()
		n, err := io.Copy(h, c)
		fmt.Fprintf(c, "%d %x %v", n, h.Sum(nil), err)
	})
	source := tcpServer(t, func(c *net.TCPConn) { io.CopyN(c, &pattern{}, size) })
	f := startFunction(t, Config{}, internet(map[string]string{"tcp/1.1.1.1:1": sink, "tcp/1.1.1.1:2": source}))
	want := fmt.Sprintf("%d %s", size, patternDigest(size))
	if got := f.must("send", "tcp/1.1.1.1:1", size); got != want+" <nil>" {
		t.Errorf("sent: %s, want %s", got, want)
	}
	if got := f.must("receive", "tcp/1.1.1.1:2", 0); got != want {
		t.Errorf("received: %s, want %s", got, want)
	}
}

// TestBackPressure has a server send to a function that does not read until the server gives up.
func TestBackPressure(t *testing.T) {
	const bound = 64 << 20 // far more than the buffers of two kernels and the relay
	stuck := make(chan int64, 1)
	flood := tcpServer(t, func(c *net.TCPConn) {
		c.SetWriteDeadline(time.Now().Add(2 * time.Second))
		n, err := io.CopyN(c, &pattern{}, bound)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("sending to a function that does not read: %v", err)
		}
		stuck <- n
	})
	f := startFunction(t, Config{}, internet(map[string]string{"tcp/1.1.1.1:1": flood}))
	f.must("hold", "tcp/1.1.1.1:1", 0)
	if n := <-stuck; n >= bound {
		t.Errorf("a function that does not read was sent %d bytes", n)
	}
	f.must("read", "", 0)
}

func TestAbruptEnds(t *testing.T) {
	ended := make(chan error, 1)
	connected := make(chan struct{})
	reset := tcpServer(t, func(c *net.TCPConn) {
		<-connected
		c.SetLinger(0)
	})
	open := tcpServer(t, func(c *net.TCPConn) {
		_, err := io.Copy(io.Discard, c)
		ended <- err
	})
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused.Close()
	f := startFunction(t, Config{}, internet(map[string]string{
		"tcp/1.1.1.1:1": reset, "tcp/1.1.1.1:2": open, "tcp/1.1.1.1:3": refused.Addr().String(),
	}))
	f.must("hold", "tcp/1.1.1.1:1", 0)
	close(connected)
	f.mustNot("read", "", "reset by peer")
	f.must("drop", "", 0)
	f.mustNot("receive", "tcp/1.1.1.1:3", "connection refused")
	f.must("hold", "tcp/1.1.1.1:2", 0)
	f.end()
	<-ended // by a reset, or well if the function's kernel has closed it before its network was gone
}

// TestReaderEndsUnderFire has a device that always has another packet.
func TestReaderEndsUnderFire(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(pair[0]), "tun")
	defer file.Close()
	defer unix.Close(pair[1])
	raw, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	unix.Write(pair[1], []byte("packet"))
	packets := 0
	err = (&device{conn: raw}).read(ctx, func(packet *buffer.View) {
		packet.Release()
		unix.Write(pair[1], []byte("packet"))
		if packets++; packets == 10 {
			cancel()
		}
	})
	if err != nil || packets != 10 {
		t.Errorf("%d packets, %v", packets, err)
	}
}

func TestDeviceGone(t *testing.T) {
	open := tcpServer(t, func(c *net.TCPConn) { io.Copy(io.Discard, c) })
	f := startFunction(t, Config{}, internet(map[string]string{"tcp/1.1.1.1:2": open}))
	f.must("hold", "tcp/1.1.1.1:2", 0)
	f.must("remove", "", 0)
	if err := <-f.served; err != nil {
		t.Errorf("Serve: %v, want nil", err)
	}
	f.served <- errOver
}

func TestBounds(t *testing.T) {
	open := tcpServer(t, func(c *net.TCPConn) { io.Copy(io.Discard, c) })
	udp := udpServer(t)
	f := startFunction(t, Config{MaxConnections: 3}, func(r *Relay) {
		internet(map[string]string{"tcp/1.1.1.1:2": open, "udp/1.1.1.1:7": udp})(r)
		r.udpIdle = 50 * time.Millisecond
	})
	for range 3 {
		f.must("hold", "tcp/1.1.1.1:2", 0)
	}
	f.mustNot("hold", "tcp/1.1.1.1:2", "connection refused")
	f.must("drop", "", 0)
	await(t, "connections to end", func() bool { return f.relay.Stats().Open == 0 })
	f.must("echo", "udp/1.1.1.1:7", 10)
	await(t, "the idle flow to end", func() bool { return f.relay.Stats().Open == 0 })
	f.must("echo", "udp/1.1.1.1:7", 10)
	if got := f.relay.Stats().Limited; got != 1 {
		t.Errorf("%d beyond the limit, want 1", got)
	}
}

func TestBlockingDeviceIsRefused(t *testing.T) {
	ends := make([]int, 2)
	if err := unix.Pipe(ends); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[1])
	blocking := os.NewFile(uintptr(ends[0]), "tun")
	if err := New(Config{}).Serve(t.Context(), blocking, slog.New(slog.DiscardHandler)); !errors.Is(err, os.ErrNoDeadline) {
		t.Errorf("Serve of a blocking file: %v", err)
	}
}
