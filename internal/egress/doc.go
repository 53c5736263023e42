// Package egress gives execution environments a way out to the network.
//
// An environment lives in a network namespace that holds nothing but a loopback device. Its set-up adds
// a TUN device there, addressed by the constants of this package, and hands the descriptor to the
// server. A [Relay] then plays the rest of the world: it ends every TCP connection and every UDP flow
// of the environment in a TCP/IP stack of its own (gVisor's netstack) and carries the bytes on through
// an ordinary socket of the host. No privilege is needed, no route, no address translation and no
// process, so it works the same for root and in a user namespace.
//
// What may be reached is the [Policy]'s word. It judges the address that a packet really goes to, after
// every name has been resolved, at the moment of connecting: a name that changes its address changes
// nothing. Refused connections are answered at once with a reset or an ICMP message.
//
//   - [Policy] and its parser decide about addresses; pure.
//   - device reads and writes packets; it keeps out what no connection needs.
//   - link is one environment: its stack, made with the first packet that needs it, and its flows.
//   - tcp.go, udp.go and dns.go are what travels.
//
// Everything that an environment can make the server spend is bounded: connections and flows per
// environment and in total, bytes per connection, questions to resolvers at a time, time without
// traffic. An environment that sends nothing costs one parked goroutine.
package egress

import "net/netip"

// The addressing inside an environment. 192.0.0.0/29 is set aside for the inside of a host that
// translates addresses (RFC 7335), so no network that a function may want to reach uses it.
const (
	// DeviceName is the name of the TUN device; its flags are IFF_TUN and IFF_NO_PI, nothing else.
	DeviceName = "serin0"
	// MTU is the device's: one packet is up to 64 KiB, because it travels through memory alone.
	MTU = 65520
	// PrefixLen is the length in bits of the network that FunctionAddr is configured with.
	PrefixLen = 29
	// PrefixLen6 is the same for FunctionAddr6.
	PrefixLen6 = 64
	// HostName is the name under which the host's loopback address is reachable if the policy is "all".
	HostName = "host.serin.internal"
)

// FunctionAddr is the address of the device inside the environment.
func FunctionAddr() netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 0, 2}) }

// GatewayAddr is the default route, the only name server, and what answers to ping.
func GatewayAddr() netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 0, 1}) }

// HostAddr is the address of [HostName]: connections to it go to 127.0.0.1 of the host.
func HostAddr() netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 0, 3}) }

// FunctionAddr6 is the IPv6 address of the device, for environments that are given one. It lies in the
// range for local use, so programs prefer IPv4 where they have the choice (RFC 6724).
func FunctionAddr6() netip.Addr {
	return netip.AddrFrom16([16]byte{0xfd, 's', 'e', 'r', 'i', 'n', 15: 2})
}

// GatewayAddr6 is the default route for IPv6.
func GatewayAddr6() netip.Addr {
	return netip.AddrFrom16([16]byte{0xfd, 's', 'e', 'r', 'i', 'n', 15: 1})
}

// ResolvConf is what an environment's /etc/resolv.conf must hold.
const ResolvConf = "nameserver 192.0.0.1\n"
