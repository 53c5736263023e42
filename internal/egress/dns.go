package egress

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// The bounds of DNS for one environment.
const (
	dnsTimeout   = 5 * time.Second // for a question, as resolv.conf(5) has it for a server
	dnsPerServer = 2 * time.Second
	dnsAtATime   = 64   // questions; more are dropped, and asked again by their senders
	dnsQuery     = 4096 // bytes of a question
	maxServers   = 3    // resolv.conf(5), MAXNS
)

// serveDNS answers on port 53 of the gateway with what the host's resolvers say.
func (l *link) serveDNS(s *stack.Stack) error {
	at := tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(GatewayAddr().AsSlice()), Port: 53}
	packets, err := gonet.DialUDP(s, &at, nil, ipv4.ProtocolNumber)
	if err != nil {
		return fmt.Errorf("name server of an environment: %w", err)
	}
	streams, err := gonet.ListenTCP(s, at, ipv4.ProtocolNumber)
	if err != nil {
		_ = packets.Close()
		return fmt.Errorf("name server of an environment: %w", err)
	}
	context.AfterFunc(l.ctx, func() {
		_ = packets.Close()
		streams.Shutdown()
		_ = streams.Close()
	})
	slots := make(chan struct{}, dnsAtATime)
	l.flows.Go(func() { l.answerPackets(packets, slots) })
	l.flows.Go(func() { l.answerStreams(streams, slots) })
	return nil
}

func (l *link) answerPackets(conn *gonet.UDPConn, slots chan struct{}) {
	b := make([]byte, dnsQuery)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		select {
		case slots <- struct{}{}:
		default:
			continue
		}
		query := append([]byte(nil), b[:n]...)
		l.flows.Go(func() {
			defer func() { <-slots }()
			if answer := l.answer("udp", query); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		})
	}
}

func (l *link) answerStreams(listener *gonet.TCPListener, slots chan struct{}) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		select {
		case slots <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		l.flows.Go(func() {
			defer func() { <-slots }()
			defer conn.Close()
			defer context.AfterFunc(l.ctx, func() { _ = conn.Close() })()
			for {
				_ = conn.SetDeadline(time.Now().Add(2 * dnsTimeout))
				query, err := readMessage(conn)
				if err != nil {
					return
				}
				answer := l.answer("tcp", query)
				if answer == nil || writeMessage(conn, answer) != nil {
					return
				}
			}
		})
	}
}

// answer is the answer to one question, nil if it is none.
func (l *link) answer(network string, query []byte) []byte {
	l.relay.counters.dns.Add(1)
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil || head.Response {
		return nil
	}
	question, err := p.Question()
	if err != nil {
		return reply(head, nil, dnsmessage.RCodeFormatError)
	}
	name := strings.ToLower(strings.TrimSuffix(question.Name.String(), "."))
	if name == HostName {
		return l.answerHost(head, question)
	}
	defer l.relay.open.Add(-1)
	if l.relay.open.Add(1) > int64(l.relay.config.MaxTotal) {
		l.relay.counters.limited.Add(1)
		return reply(head, &question, dnsmessage.RCodeServerFailure)
	}
	ctx, cancel := context.WithTimeout(l.ctx, dnsTimeout)
	defer cancel()
	answer, err := l.relay.resolvers.exchange(ctx, network, query, head.ID)
	if err != nil {
		l.log.DebugContext(l.ctx, "egress: no resolver of the host answers", "error", err)
		return reply(head, &question, dnsmessage.RCodeServerFailure)
	}
	l.names.learn(l.relay.config.Policy, name, answer)
	return answer
}

func (l *link) answerHost(head dnsmessage.Header, question dnsmessage.Question) []byte {
	if l.relay.config.Policy.Mode() != All {
		return reply(head, &question, dnsmessage.RCodeNameError)
	}
	if question.Type != dnsmessage.TypeA {
		return reply(head, &question, dnsmessage.RCodeSuccess)
	}
	return reply(head, &question, dnsmessage.RCodeSuccess, dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 60},
		Body:   &dnsmessage.AResource{A: HostAddr().As4()},
	})
}

func reply(head dnsmessage.Header, question *dnsmessage.Question, code dnsmessage.RCode, answers ...dnsmessage.Resource) []byte {
	m := dnsmessage.Message{Answers: answers, Header: dnsmessage.Header{
		ID: head.ID, Response: true, OpCode: head.OpCode, RCode: code,
		RecursionDesired: head.RecursionDesired, RecursionAvailable: true,
	}}
	if question != nil {
		m.Questions = []dnsmessage.Question{*question}
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// readMessage and writeMessage frame messages on streams (RFC 1035 section 4.2.2).
func readMessage(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeMessage(w io.Writer, message []byte) error {
	if len(message) > 1<<16-1 {
		return fmt.Errorf("a DNS message of %d bytes", len(message))
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}

// resolvers are the host's name servers.
type resolvers struct {
	fixed []netip.AddrPort
	path  string

	mu     sync.Mutex
	read   os.FileInfo
	listed []netip.AddrPort
}

// list returns the servers to ask, in this order.
func (r *resolvers) list() []netip.AddrPort {
	if len(r.fixed) > 0 {
		return r.fixed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now, err := os.Stat(r.path)
	if err == nil && r.read != nil && os.SameFile(now, r.read) && now.ModTime().Equal(r.read.ModTime()) && now.Size() == r.read.Size() {
		return r.listed
	}
	text, _ := os.ReadFile(r.path) // without the file the default holds
	r.read, r.listed = now, parseResolvConf(string(text))
	return r.listed
}

// parseResolvConf reads resolv.conf(5); without a server in it the one on this machine is meant.
func parseResolvConf(text string) []netip.AddrPort {
	var servers []netip.AddrPort
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" || len(servers) == maxServers {
			continue
		}
		if a, err := netip.ParseAddr(fields[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(a, 53))
		}
	}
	if servers == nil {
		servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}
	}
	return servers
}

// exchange asks one server after the other until one answers or ctx ends.
func (r *resolvers) exchange(ctx context.Context, network string, query []byte, id uint16) ([]byte, error) {
	servers := r.list()
	for i := 0; ; i++ {
		answer, err := ask(ctx, network, servers[i%len(servers)], query, id)
		if err == nil || ctx.Err() != nil || i+1 == 2*len(servers) {
			return answer, err
		}
	}
}

func ask(ctx context.Context, network string, server netip.AddrPort, query []byte, id uint16) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, dnsPerServer)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if network == "tcp" {
		if err := writeMessage(conn, query); err != nil {
			return nil, err
		}
		return readMessage(conn)
	}
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	b := make([]byte, 1<<16)
	for {
		n, err := conn.Read(b)
		if err != nil {
			return nil, err
		}
		if n >= 12 && binary.BigEndian.Uint16(b) == id {
			return b[:n], nil
		}
	}
}
