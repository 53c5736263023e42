package egress

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// kind is what an address is to the host.
type kind int

const (
	public    kind = iota // reachable on the internet
	private               // somebody's own network, or set aside for special purposes
	guarded               // the host's own, link-local, cloud metadata: credentials live there
	loopbacks             // the host's loopback by way of HostAddr
	nowhere               // not a destination
)

// ranges of one kind, as the special-purpose address registries of IANA list them (RFC 6890).
type ranges []netip.Prefix

func parseRanges(texts ...string) ranges {
	r := make(ranges, len(texts))
	for i, t := range texts {
		r[i] = netip.MustParsePrefix(t)
	}
	return r
}

func (r ranges) contains(a netip.Addr) bool {
	for _, p := range r {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// classifier tells kinds of addresses apart.
type classifier struct {
	nowhere, guarded, private ranges
	own                       ownAddresses
}

func newClassifier() *classifier {
	return &classifier{
		nowhere: parseRanges(
			"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "192.0.0.0/29",
			"::/127", "ff00::/8", netip.PrefixFrom(GatewayAddr6(), PrefixLen6).Masked().String(),
		),
		guarded: parseRanges(
			"169.254.0.0/16", "fe80::/10", // link-local, with 169.254.169.254 of most clouds
			"fd00:ec2::/32", "fd20:ce::254/128", // AWS, Google Cloud
			"100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", // Alibaba Cloud, Azure, Oracle Cloud
		),
		private: parseRanges(
			"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24",
			"192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
			"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
		),
	}
}

// plain takes an IPv4 address out of the IPv6 address that stands for it, mapped or by NAT64 (RFC 6052).
func plain(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if b := a.As16(); a.Is6() && [12]byte(b[:12]) == [12]byte{1: 0x64, 2: 0xff, 3: 0x9b} {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// classify says what a [plain] address is.
func (c *classifier) classify(a netip.Addr) kind {
	switch {
	case a == HostAddr():
		return loopbacks
	case c.nowhere.contains(a):
		return nowhere
	case c.guarded.contains(a), c.own.contain(a):
		return guarded
	case c.private.contains(a), a.Is6() && a.As16()[0]&0xe0 != 0x20: // IPv6 is public below 2000::/3 only
		return private
	default:
		return public
	}
}

// ownAddressesFor is how long the list of the host's addresses is good for.
const ownAddressesFor = time.Second

// ownAddresses are the addresses of the host's interfaces.
type ownAddresses struct {
	mu    sync.Mutex
	until time.Time
	known map[netip.Addr]bool
}

// contain reports whether the host has the address. If the host does not tell, every address may be its own.
func (o *ownAddresses) contain(a netip.Addr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); now.After(o.until) {
		o.known, o.until = interfaceAddresses(), now.Add(ownAddressesFor)
	}
	return o.known == nil || o.known[a]
}

func interfaceAddresses() map[netip.Addr]bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	known := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				known[addr.Unmap()] = true
			}
		}
	}
	return known
}

// judge says why the destination, a [plain] address of that kind, is refused, or nothing if it may be
// reached. named reports whether the environment knows the address by the name of the rule with that index.
func (p Policy) judge(to netip.AddrPort, what kind, named func(rule int) bool) string {
	mode := p.Mode()
	switch {
	case mode == None:
		return "the policy is none"
	case what == nowhere:
		return "not a destination"
	case what == loopbacks && mode != All:
		return "the host's loopback is reachable under the policy all only"
	}
	for i, r := range p.rules {
		if r.port != 0 && r.port != to.Port() {
			continue
		}
		exact := r.prefix.IsSingleIP()
		fits := r.prefix.IsValid() && r.prefix.Contains(to.Addr()) || r.name != "" && named(i)
		if !fits || r.allow && what == guarded && mode != All && !exact {
			continue
		}
		if r.allow {
			return ""
		}
		return "the rule " + r.String()[len(","):]
	}
	switch {
	case mode == All || what == public:
		return ""
	case what == guarded:
		return "the host's own, link-local or cloud metadata address"
	default:
		return "private network"
	}
}
