package egress

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// The bounds of what an environment is told about names that rules name.
const (
	maxLearned = 4096
	learnedFor = 10 * time.Minute // at least: programs keep addresses beyond their time to live
)

// learned is an address under the name of a rule.
type learned struct {
	rule int
	addr netip.Addr
}

// names are the addresses that the host's resolvers gave the environment for the names of rules.
type names struct {
	mu    sync.Mutex
	until map[learned]time.Time
}

// know reports whether the environment was told the address for the name of that rule.
func (n *names) know(rule int, addr netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Now().Before(n.until[learned{rule, addr}])
}

// learn takes the addresses out of an answer for the name if a rule is for it.
func (n *names) learn(p Policy, name string, answer []byte) {
	for i, r := range p.rules {
		if r.fitsName(name) {
			n.take(i, answer)
		}
	}
}

func (n *names) take(rule int, answer []byte) {
	var p dnsmessage.Parser
	if _, err := p.Start(answer); err != nil || p.SkipAllQuestions() != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	for {
		r, err := p.Answer()
		if err != nil {
			return
		}
		var addr netip.Addr
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			addr = netip.AddrFrom4(body.A)
		case *dnsmessage.AAAAResource:
			addr = plain(netip.AddrFrom16(body.AAAA))
		default:
			continue
		}
		if !n.room(now) {
			return
		}
		ttl := min(time.Duration(r.Header.TTL)*time.Second, 24*time.Hour)
		n.until[learned{rule, addr}] = now.Add(max(ttl, learnedFor))
	}
}

// room forgets what has expired when there is no room left, and reports whether there is some.
func (n *names) room(now time.Time) bool {
	if n.until == nil {
		n.until = map[learned]time.Time{}
	}
	if len(n.until) >= maxLearned {
		for k, until := range n.until {
			if now.After(until) {
				delete(n.until, k)
			}
		}
	}
	return len(n.until) < maxLearned
}
