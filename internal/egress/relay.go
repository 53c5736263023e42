package egress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// Config is what a [Relay] is made of.
type Config struct {
	Policy Policy
	// Resolvers answer the environments' DNS questions. Empty: those of /etc/resolv.conf, read again
	// whenever it changes.
	Resolvers []netip.AddrPort
	// MaxConnections bounds the TCP connections and UDP flows of one environment at a time; 0 means 1024.
	MaxConnections int
	// MaxTotal bounds those of all environments together and their DNS questions, each of which is a
	// descriptor of the server; 0 means half of the descriptors that the process may open.
	MaxTotal int
}

// The bounds that no configuration changes.
const (
	defaultConnections = 1024
	dialTimeout        = 30 * time.Second
	udpIdle            = time.Minute // as RFC 4787 knows it from gateways: never below what resolvers and QUIC need
)

// Relay connects environments to the network. Its methods may be called by many goroutines at a time.
type Relay struct {
	config     Config
	classifier *classifier
	resolvers  *resolvers
	dial       func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error)
	udpIdle    time.Duration
	open       atomic.Int64
	counters   counters
	frames     frames
}

type counters struct {
	tcp, udp, dns, refused, limited, unreachable atomic.Int64
}

// Stats are the totals since the relay was made, except Open.
type Stats struct {
	Open        int64 // TCP connections, UDP flows and DNS questions at this moment
	TCP, UDP    int64 // connections and flows that were opened
	DNS         int64 // questions, answered or not
	Refused     int64 // by the policy
	Limited     int64 // by MaxConnections and MaxTotal
	Unreachable int64 // allowed, but the host could not connect
}

// New returns a relay. It starts nothing.
func New(config Config) *Relay {
	if config.MaxConnections <= 0 {
		config.MaxConnections = defaultConnections
	}
	if config.MaxTotal <= 0 {
		config.MaxTotal = halfOfDescriptors()
	}
	r := &Relay{
		config: config, classifier: newClassifier(), udpIdle: udpIdle,
		resolvers: &resolvers{fixed: config.Resolvers, path: "/etc/resolv.conf"},
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	r.dial = func(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
		if to.Addr() == HostAddr() {
			to = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), to.Port())
		}
		return dialer.DialContext(ctx, network, to.String())
	}
	return r
}

// Serve relays for one environment until its device is gone (nil) or ctx ends (the cause of ctx). It
// owns the device, a TUN descriptor in non-blocking mode when the file was made of it, and closes it.
// When Serve returns, every connection of the environment is closed and nothing of it is left.
//
// The kernel keeps the device, and with it the environment's network namespace, as long as the
// descriptor is open, so whoever ends an environment ends ctx. What is refused is logged at debug level.
func (r *Relay) Serve(ctx context.Context, tun *os.File, log *slog.Logger) error {
	defer tun.Close()
	if err := tun.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("network device of an environment: it must be in non-blocking mode: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	raw, err := tun.SyscallConn()
	if err != nil {
		return fmt.Errorf("network device of an environment: %w", err)
	}
	l := &link{relay: r, ctx: ctx, log: log, device: &device{conn: raw}}
	stop := context.AfterFunc(ctx, func() { _ = tun.Close() }) // wakes the reader
	defer stop()
	err = l.device.read(ctx, l.deliver)
	cancel(errDeviceGone)
	l.close()
	if cause := context.Cause(ctx); !errors.Is(cause, errDeviceGone) {
		return cause
	}
	return err
}

var errDeviceGone = errors.New("the environment's network device is gone")

// Stats returns what the relay has counted.
func (r *Relay) Stats() Stats {
	c := &r.counters
	return Stats{
		Open: r.open.Load(), TCP: c.tcp.Load(), UDP: c.udp.Load(), DNS: c.dns.Load(),
		Refused: c.refused.Load(), Limited: c.limited.Load(), Unreachable: c.unreachable.Load(),
	}
}
