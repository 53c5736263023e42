package egress

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// fate is what happens to a packet that an environment sends.
type fate int

const (
	accept fate = iota
	forbid      // answered with an ICMP message
	ignore      // what a kernel sends of itself, and what is no packet
)

// inspect says what to do with a packet before any stack sees it. Only TCP and UDP go anywhere; of ICMP,
// only what is meant for the gateway itself, since the stack would answer a ping to any address.
func inspect(packet []byte) (tcpip.NetworkProtocolNumber, fate) {
	switch header.IPVersion(packet) {
	case header.IPv4Version:
		if h := header.IPv4(packet); len(packet) >= header.IPv4MinimumSize && addr(h.SourceAddress()) == FunctionAddr() {
			return header.IPv4ProtocolNumber, route(uint8(h.TransportProtocol()), addr(h.DestinationAddress()))
		}
	case header.IPv6Version:
		if h := header.IPv6(packet); len(packet) >= header.IPv6MinimumSize && addr(h.SourceAddress()) == FunctionAddr6() {
			return header.IPv6ProtocolNumber, route(h.NextHeader(), addr(h.DestinationAddress()))
		}
	}
	return 0, ignore
}

func route(transport uint8, to netip.Addr) fate {
	gateway := to == GatewayAddr() || to == GatewayAddr6()
	switch {
	case to.IsMulticast(), to == netip.AddrFrom4([4]byte{255, 255, 255, 255}), to == FunctionAddr(), to == FunctionAddr6():
		return ignore
	case transport == uint8(header.TCPProtocolNumber), transport == uint8(header.UDPProtocolNumber), gateway:
		return accept
	case to.Is6() && transport == uint8(header.IPv6FragmentHeader):
		return accept
	default:
		return forbid
	}
}

func addr(a tcpip.Address) netip.Addr {
	n, _ := netip.AddrFromSlice(a.AsSlice())
	return n
}

// prohibited is the answer of the destination that communication is administratively prohibited
// (RFC 1812 section 5.2.7.1, RFC 4443 section 3.1). ICMP errors, which must not be answered, and what
// is neither have none.
func prohibited(packet []byte) []byte {
	if header.IPVersion(packet) == header.IPv4Version {
		return prohibited4(header.IPv4(packet))
	}
	return prohibited6(header.IPv6(packet))
}

func prohibited4(h header.IPv4) []byte {
	size := int(h.HeaderLength())
	if size < header.IPv4MinimumSize || len(h) < size+8 || h.FragmentOffset() != 0 ||
		h.TransportProtocol() == header.ICMPv4ProtocolNumber && header.ICMPv4(h[size:]).Type() != header.ICMPv4Echo {
		return nil
	}
	quoted := h[:min(len(h), 576-header.IPv4MinimumSize-header.ICMPv4MinimumSize)]
	answer := make([]byte, header.IPv4MinimumSize+header.ICMPv4MinimumSize+len(quoted))
	out := header.IPv4(answer)
	out.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(answer)), TTL: 64, Protocol: uint8(header.ICMPv4ProtocolNumber),
		SrcAddr: h.DestinationAddress(), DstAddr: h.SourceAddress(),
	})
	out.SetChecksum(^out.CalculateChecksum())
	message := header.ICMPv4(answer[header.IPv4MinimumSize:])
	message.SetType(header.ICMPv4DstUnreachable)
	message.SetCode(header.ICMPv4AdminProhibited)
	copy(message[header.ICMPv4MinimumSize:], quoted)
	message.SetChecksum(^checksum.Checksum(message, 0))
	return answer
}

func prohibited6(h header.IPv6) []byte {
	if len(h) < header.IPv6MinimumSize+8 ||
		h.NextHeader() == uint8(header.ICMPv6ProtocolNumber) && header.ICMPv6(h[header.IPv6MinimumSize:]).Type() != header.ICMPv6EchoRequest {
		return nil
	}
	quoted := h[:min(len(h), header.IPv6MinimumMTU-header.IPv6MinimumSize-header.ICMPv6DstUnreachableMinimumSize)]
	answer := make([]byte, header.IPv6MinimumSize+header.ICMPv6DstUnreachableMinimumSize+len(quoted))
	out := header.IPv6(answer)
	out.Encode(&header.IPv6Fields{
		PayloadLength: uint16(len(answer) - header.IPv6MinimumSize), TransportProtocol: header.ICMPv6ProtocolNumber, HopLimit: 64,
		SrcAddr: h.DestinationAddress(), DstAddr: h.SourceAddress(),
	})
	message := header.ICMPv6(answer[header.IPv6MinimumSize:])
	message.SetType(header.ICMPv6DstUnreachable)
	message.SetCode(header.ICMPv6Prohibited)
	copy(message[header.ICMPv6DstUnreachableMinimumSize:], quoted)
	message.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{
		Header: message, Src: out.SourceAddress(), Dst: out.DestinationAddress(),
	}))
	return answer
}
