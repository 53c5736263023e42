package egress

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// The bounds of one environment's stack.
const (
	nic = 1
	// connecting bounds TCP connections that the host is still making; more wait for the next SYN.
	connecting = 256
	// tcpBuffer bounds what one connection holds in each direction. It is four packets: the way through
	// memory is short.
	tcpBuffer = 256 << 10
	// timeWait is short because packets do not linger on the way.
	timeWait = time.Second
)

// link is one environment.
type link struct {
	relay  *Relay
	ctx    context.Context
	log    *slog.Logger
	device *device
	stack  *stack.Stack // nil until a packet needs it; the reader's alone
	names  names
	open   atomic.Int64

	mu     sync.Mutex
	closed bool
	flows  sync.WaitGroup
}

// deliver takes one packet of the environment.
func (l *link) deliver(packet *buffer.View) {
	protocol, fate := inspect(packet.AsSlice())
	switch {
	case fate == forbid:
		l.relay.counters.refused.Add(1)
		if answer := prohibited(packet.AsSlice()); answer != nil {
			_ = l.device.write(answer) // what is lost is lost
		}
		fallthrough
	case fate == ignore:
		packet.Release()
		return
	case l.stack == nil:
		if err := l.start(); err != nil {
			l.log.ErrorContext(l.ctx, "an environment has no network", "error", err)
			packet.Release()
			return
		}
	}
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(packet)})
	l.device.dispatcher.DeliverNetworkPacket(protocol, p)
	p.DecRef()
}

// start makes the stack. It owns the gateway's addresses and accepts packets for every other.
func (l *link) start() error {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
	})
	for _, err := range l.configure(s) {
		if err != nil {
			s.Destroy()
			return fmt.Errorf("network stack: %s", err)
		}
	}
	s.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(s, 0, connecting, l.forwardTCP).HandlePacket)
	s.SetTransportProtocolHandler(udp.ProtocolNumber, udp.NewForwarder(s, l.forwardUDP).HandlePacket)
	if err := l.serveDNS(s); err != nil {
		s.Destroy()
		return err
	}
	l.stack = s
	return nil
}

func (l *link) configure(s *stack.Stack) []tcpip.Error {
	buffers := func(b tcpip.SettableTransportProtocolOption) tcpip.Error {
		return s.SetTransportProtocolOption(tcp.ProtocolNumber, b)
	}
	wait, sack, moderate := tcpip.TCPTimeWaitTimeoutOption(timeWait), tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(false)
	s.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nic},
		{Destination: header.IPv6EmptySubnet, NIC: nic},
	})
	return []tcpip.Error{
		buffers(&tcpip.TCPReceiveBufferSizeRangeOption{Min: tcpBuffer, Default: tcpBuffer, Max: tcpBuffer}),
		buffers(&tcpip.TCPSendBufferSizeRangeOption{Min: tcpBuffer, Default: tcpBuffer, Max: tcpBuffer}),
		buffers(&wait), buffers(&sack), buffers(&moderate),
		s.CreateNIC(nic, l.device),
		s.AddProtocolAddress(nic, protocolAddress(GatewayAddr()), stack.AddressProperties{}),
		s.AddProtocolAddress(nic, protocolAddress(GatewayAddr6()), stack.AddressProperties{}),
		s.SetPromiscuousMode(nic, true),
		s.SetSpoofing(nic, true),
	}
}

func protocolAddress(a netip.Addr) tcpip.ProtocolAddress {
	address := tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(a.AsSlice()), PrefixLen: a.BitLen()}
	if a.Is4() {
		return tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: address}
	}
	return tcpip.ProtocolAddress{Protocol: ipv6.ProtocolNumber, AddressWithPrefix: address}
}

// admit asks the policy. It also reserves one of the connections of the environment and of the relay,
// which release gives back; the caller is told nothing but yes or no, as the environment is.
func (l *link) admit(protocol string, to netip.AddrPort) bool {
	r := l.relay
	judged := netip.AddrPortFrom(plain(to.Addr()), to.Port())
	reason := r.config.Policy.judge(judged, r.classifier.classify(judged.Addr()), func(rule int) bool {
		return l.names.know(rule, judged.Addr())
	})
	if reason != "" {
		r.counters.refused.Add(1)
		l.log.DebugContext(l.ctx, "egress refused", "protocol", protocol, "to", to, "reason", reason)
		return false
	}
	mine, all := l.open.Add(1), r.open.Add(1)
	if mine > int64(r.config.MaxConnections) || all > int64(r.config.MaxTotal) {
		l.release()
		r.counters.limited.Add(1)
		l.log.DebugContext(l.ctx, "egress refused", "protocol", protocol, "to", to, "reason", "too many connections",
			"of_environment", mine, "of_all", all)
		return false
	}
	return l.begin() || l.release()
}

// release ends what admit began, and is false.
func (l *link) release() bool {
	l.open.Add(-1)
	l.relay.open.Add(-1)
	return false
}

// begin counts a flow that close waits for, unless the link is closed.
func (l *link) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.flows.Add(1)
	}
	return !l.closed
}

// end ends an admitted flow.
func (l *link) end() {
	l.release()
	l.flows.Done()
}

// unreachable notes that the host could not connect.
func (l *link) unreachable(protocol string, to netip.AddrPort, err error) {
	l.relay.counters.unreachable.Add(1)
	l.log.DebugContext(l.ctx, "egress failed", "protocol", protocol, "to", to, "error", err)
}

// abortEvery is how often close looks for connections that were made while it ran.
const abortEvery = 10 * time.Millisecond

// close ends everything; the context of the link has ended before.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	if l.stack == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		l.flows.Wait()
		close(done)
	}()
	tick := time.NewTicker(abortEvery)
	defer tick.Stop()
	for running := true; running; {
		for _, e := range l.stack.RegisteredEndpoints() {
			e.Abort() // also a handshake that waits for an answer which cannot come any more
		}
		select {
		case <-done:
			running = false
		case <-tick.C:
		}
	}
	l.stack.Destroy()
}
