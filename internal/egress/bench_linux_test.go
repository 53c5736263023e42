package egress

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// BenchmarkStream and BenchmarkRequest compare a child process that goes through the relay with one
// that uses the host's loopback, in turns within one run: x/plain is the ratio.
func BenchmarkStream(b *testing.B) {
	const size = 256 << 20
	source := tcpServer(b, func(c *net.TCPConn) {
		chunk := make([]byte, 256<<10)
		for sent := 0; sent < size; sent += len(chunk) {
			if _, err := c.Write(chunk); err != nil {
				return
			}
		}
	})
	sink := tcpServer(b, func(c *net.TCPConn) {
		io.Copy(io.Discard, c)
		c.Write([]byte("done"))
	})
	servers := map[string]string{"tcp/1.1.1.1:1": source, "tcp/1.1.1.1:2": sink}
	for _, way := range []struct{ name, order, to string }{{"down", "drain", "tcp/1.1.1.1:1"}, {"up", "flood", "tcp/1.1.1.1:2"}} {
		b.Run(way.name, func(b *testing.B) { compare(b, servers, way.order, way.to, size, size/1e6, "MB/s") })
	}
}

func BenchmarkRequest(b *testing.B) {
	echo := tcpServer(b, func(c *net.TCPConn) { io.Copy(c, c) })
	servers := map[string]string{"tcp/1.1.1.1:1": echo}
	b.Run("kept", func(b *testing.B) { compare(b, servers, "exchange", "tcp/1.1.1.1:1", 5000, 5000, "requests/s") })
	b.Run("connecting", func(b *testing.B) { compare(b, servers, "connect", "tcp/1.1.1.1:1", 1000, 1000, "requests/s") })
}

// compare has both children do the same and reports their rates: units per second.
func compare(b *testing.B, servers map[string]string, what, to string, n int, units float64, unit string) {
	b.Helper()
	relayed := startFunction(b, Config{}, internet(servers))
	plainly := startPlain(b)
	var slow, fast float64
	for b.Loop() {
		for _, run := range []struct {
			f  *function
			to string
			t  *float64
		}{{relayed, to, &slow}, {plainly, "tcp/" + servers[to], &fast}} {
			o := run.f.do(what, run.to, n)
			if o.Err != "" {
				b.Fatal(o.Err)
			}
			*run.t += o.Took.Seconds()
		}
	}
	b.ReportMetric(units*float64(b.N)/slow, unit)
	b.ReportMetric(units*float64(b.N)/fast, "plain-"+unit)
	b.ReportMetric(slow/fast, "x/plain")
}

// BenchmarkMemory says what the relay holds for an environment that sends nothing, for one that has
// asked one question, and for each connection that waits.
func BenchmarkMemory(b *testing.B) {
	const environments, active, connections = 500, 50, 500
	l, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts: what is measured is the relay alone
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	open := l.Addr().String()
	for b.Loop() {
		before := held()
		r := New(Config{})
		ctx, cancel := context.WithCancel(context.Background())
		var serving sync.WaitGroup
		var ends []int
		for range environments {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer unix.Close(pair[1])
			ends = append(ends, pair[1])
			serving.Go(func() { r.Serve(ctx, os.NewFile(uintptr(pair[0]), "tun"), slog.New(slog.DiscardHandler)) })
		}
		idle := held()
		b.ReportMetric(float64(idle-before)/environments, "B/idle-environment")
		question := dnsPacket(b)
		for _, end := range ends[:active] {
			unix.SetNonblock(end, false)
			unix.Write(end, question)
			if n, err := unix.Read(end, make([]byte, MTU)); err != nil || n == 0 {
				b.Fatalf("no answer: %d, %v", n, err)
			}
		}
		b.ReportMetric(float64(held()-idle)/active, "B/active-environment")
		cancel()
		serving.Wait()

		f := startFunction(b, Config{}, internet(map[string]string{"tcp/1.1.1.1:2": open}))
		f.must("hold", "tcp/1.1.1.1:2", 0)
		first := held()
		for range connections {
			f.must("hold", "tcp/1.1.1.1:2", 0)
		}
		b.ReportMetric(float64(held()-first)/connections, "B/connection")
		f.end()
	}
}

// dnsPacket asks for HostName, which the relay answers by itself.
func dnsPacket(b *testing.B) []byte {
	b.Helper()
	m := dnsmessage.Message{Questions: []dnsmessage.Question{{
		Name: dnsmessage.MustNewName(HostName + "."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET,
	}}}
	query, err := m.Pack()
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, header.IPv4MinimumSize+header.UDPMinimumSize+len(query))
	header.IPv4(p).Encode(&header.IPv4Fields{
		TotalLength: uint16(len(p)), TTL: 64, Protocol: uint8(header.UDPProtocolNumber),
		SrcAddr: tcpip.AddrFromSlice(FunctionAddr().AsSlice()), DstAddr: tcpip.AddrFromSlice(GatewayAddr().AsSlice()),
	})
	header.UDP(p[header.IPv4MinimumSize:]).Encode(&header.UDPFields{
		SrcPort: 4000, DstPort: 53, Length: uint16(header.UDPMinimumSize + len(query)),
	})
	copy(p[header.IPv4MinimumSize+header.UDPMinimumSize:], query)
	return p
}

// held is the memory in use after everything that can be freed was.
func held() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
