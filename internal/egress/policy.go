package egress

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Mode is what a [Policy] says about destinations that no rule names.
type Mode string

// The modes, from closed to open.
const (
	None   Mode = "none"   // no network device at all
	Public Mode = "public" // the internet, but neither private networks nor the host nor cloud metadata
	All    Mode = "all"    // everything: private networks, the host's own addresses and loopback, cloud metadata
)

// maxRules bounds a policy; every connection may walk all of them.
const maxRules = 256

// Policy says what environments may connect to. The zero value is [Public] without rules.
//
// Written, it is a mode followed by rules, as in
//
//	public,allow=10.20.0.0/16:5432,allow=db.example.com:5432,deny=203.0.113.0/24
//
// A rule names a network, an address or a name, each with a port or for all ports; IPv6 before a port
// stands in brackets. The first rule that fits a destination decides; without one, the mode does. So
// "public,allow=api.example.com:443,deny=0.0.0.0/0,deny=::/0" leaves one service reachable.
//
// A name, or "*." and a name, stands for the addresses that the environment was told when it asked the
// relay for that name; only allow rules take names, since a name is easily evaded. Neither a name nor a
// network opens the host's own addresses, link-local addresses or cloud metadata: under [Public] only a
// rule with that very address does. Loopback is never a destination; [HostName] stands for it, under
// [All] alone.
type Policy struct {
	mode  Mode
	rules []rule
}

// rule allows or denies a target.
type rule struct {
	allow  bool
	prefix netip.Prefix // invalid if the target is a name
	name   string       // lower case, may start with "*."
	port   uint16       // 0: every port
}

// ParsePolicy reads a policy as it is written in flags. Empty text is the default, [Public].
func ParsePolicy(text string) (Policy, error) {
	var p Policy
	if text == "" {
		return p, nil
	}
	mode, rest, more := strings.Cut(text, ",")
	switch m := Mode(mode); m {
	case None, Public, All:
		p.mode = m
	default:
		return Policy{}, fmt.Errorf("egress policy %q: it must start with none, public or all", text)
	}
	if more && p.mode == None {
		return Policy{}, fmt.Errorf("egress policy %q: none takes no rules; to allow a few destinations write public,allow=…,deny=0.0.0.0/0,deny=::/0", text)
	}
	for more {
		var part string
		part, rest, more = strings.Cut(rest, ",")
		r, err := parseRule(part, p.Mode())
		if err != nil {
			return Policy{}, fmt.Errorf("egress policy: rule %q: %w", part, err)
		}
		if len(p.rules) == maxRules {
			return Policy{}, fmt.Errorf("egress policy: more than %d rules", maxRules)
		}
		p.rules = append(p.rules, r)
	}
	return p, nil
}

func parseRule(text string, mode Mode) (rule, error) {
	verb, target, _ := strings.Cut(text, "=")
	r := rule{allow: verb == "allow"}
	if !r.allow && verb != "deny" {
		return rule{}, fmt.Errorf("it must be allow=… or deny=…")
	}
	host, port, err := splitPort(target)
	if err != nil {
		return rule{}, err
	}
	r.port = port
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" {
		r.prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		return r, nil
	}
	if prefix, err := netip.ParsePrefix(host); err == nil {
		if prefix.Addr().Is4In6() || prefix != prefix.Masked() {
			return rule{}, fmt.Errorf("%s is not the first address of a network; write %s", host, prefix.Masked())
		}
		r.prefix = prefix
		return r, nil
	}
	r.name = strings.ToLower(strings.TrimSuffix(host, "."))
	switch {
	case r.name == HostName && mode == All:
		return rule{allow: r.allow, prefix: netip.PrefixFrom(HostAddr(), 32), port: port}, nil
	case r.name == HostName:
		return rule{}, fmt.Errorf("the host's loopback is reachable under the policy all only")
	case !validName(strings.TrimPrefix(r.name, "*.")):
		return rule{}, fmt.Errorf("%q is neither a network (10.0.0.0/8), nor an address, nor a name", host)
	case !r.allow:
		return rule{}, fmt.Errorf("deny takes networks and addresses: a denied name is evaded by its address")
	}
	return r, nil
}

// splitPort takes the port off a target; 0 means that it has none.
func splitPort(target string) (host string, port uint16, err error) {
	if inner, ok := strings.CutPrefix(target, "["); ok {
		host, rest, closed := strings.Cut(inner, "]")
		digits, colon := strings.CutPrefix(rest, ":")
		switch {
		case !closed || !strings.Contains(host, ":"):
			return "", 0, fmt.Errorf("brackets are for IPv6, as in [2001:db8::1]:443")
		case rest == "":
			return host, 0, nil
		case !colon:
			return "", 0, fmt.Errorf("after ] comes a port, as in [2001:db8::1]:443")
		}
		port, err = parsePort(digits)
		return host, port, err
	}
	host, digits, found := strings.Cut(target, ":")
	if !found || strings.Contains(digits, ":") { // no port, or IPv6 without brackets
		return target, 0, nil
	}
	port, err = parsePort(digits)
	return host, port, err
}

func parsePort(digits string) (uint16, error) {
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != digits {
		return 0, fmt.Errorf("%q is not a port between 1 and 65535", digits)
	}
	return uint16(n), nil
}

// validName reports whether s is a name of the DNS with at least one letter in its last label, so that
// a mistyped address is not taken for a name.
func validName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	letter := false
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		letter = false
		for _, c := range label {
			switch {
			case 'a' <= c && c <= 'z':
				letter = true
			case '0' <= c && c <= '9', c == '-', c == '_':
			default:
				return false
			}
		}
	}
	return letter
}

// Mode returns what the policy says about destinations that no rule names.
func (p Policy) Mode() Mode {
	if p.mode == "" {
		return Public
	}
	return p.mode
}

// String returns the policy as [ParsePolicy] reads it.
func (p Policy) String() string {
	var b strings.Builder
	b.WriteString(string(p.Mode()))
	for _, r := range p.rules {
		b.WriteString(r.String())
	}
	return b.String()
}

// MarshalText makes a policy the value of a flag or of a setting.
func (p Policy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is [ParsePolicy].
func (p *Policy) UnmarshalText(text []byte) error {
	q, err := ParsePolicy(string(text))
	if err == nil {
		*p = q
	}
	return err
}

// String returns the rule with the comma before it.
func (r rule) String() string {
	verb, target := ",deny=", r.name
	if r.allow {
		verb = ",allow="
	}
	if r.prefix.IsValid() {
		target = r.prefix.String()
	}
	switch {
	case r.port == 0:
		return verb + target
	case r.prefix.IsValid() && r.prefix.Addr().Is6():
		return fmt.Sprintf("%s[%s]:%d", verb, target, r.port)
	default:
		return fmt.Sprintf("%s%s:%d", verb, target, r.port)
	}
}

// fitsName reports whether the rule is for the name, which is in lower case and without a final dot.
func (r rule) fitsName(name string) bool {
	if suffix, wild := strings.CutPrefix(r.name, "*"); wild {
		return len(name) > len(suffix) && strings.HasSuffix(name, suffix)
	}
	return r.name != "" && r.name == name
}
