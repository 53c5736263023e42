package egress

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParsePolicy(t *testing.T) {
	for _, tc := range []struct{ text, want, wrong string }{
		{text: "", want: "public"},
		{text: "none", want: "none"},
		{text: "all", want: "all"},
		{text: "public,allow=10.0.0.0/8,deny=1.2.3.4", want: "public,allow=10.0.0.0/8,deny=1.2.3.4/32"},
		{text: "public,allow=DB.Example.com.:5432,allow=*.example.com", want: "public,allow=db.example.com:5432,allow=*.example.com"},
		{text: "all,deny=[2001:db8::/32]:443,deny=::1,deny=[fe80::1]", want: "all,deny=[2001:db8::/32]:443,deny=::1/128,deny=fe80::1/128"},
		{text: "public,allow=::ffff:10.0.0.1", want: "public,allow=10.0.0.1/32"},
		{text: "all,allow=host.serin.internal:80,deny=host.serin.internal", want: "all,allow=192.0.0.3/32:80,deny=192.0.0.3/32"},
		{text: "open", wrong: "must start with none, public or all"},
		{text: "Public", wrong: "must start with"},
		{text: "none,allow=1.2.3.4", wrong: "none takes no rules"},
		{text: "public,", wrong: "must be allow=… or deny=…"},
		{text: "public,1.2.3.4", wrong: "must be allow=… or deny=…"},
		{text: "public,allow=", wrong: "neither a network"},
		{text: "public,allow=10.0.0.1/8", wrong: "write 10.0.0.0/8"},
		{text: "public,allow=::ffff:10.0.0.0/104", wrong: "not the first address"},
		{text: "public,allow=10.0.0.256", wrong: "neither a network"},
		{text: "public,allow=10.0.0.0/33", wrong: "neither a network"},
		{text: "public,allow=a..b", wrong: "neither a network"},
		{text: "public,allow=fe80::1%eth0", wrong: "neither a network"},
		{text: "public,allow=a.b:0", wrong: "not a port"},
		{text: "public,allow=a.b:070", wrong: "not a port"},
		{text: "public,allow=a.b:65536", wrong: "not a port"},
		{text: "public,allow=[1.2.3.4]:80", wrong: "brackets are for IPv6"},
		{text: "public,allow=[::1", wrong: "brackets are for IPv6"},
		{text: "public,allow=[::1]80", wrong: "after ] comes a port"},
		{text: "public,deny=example.com", wrong: "evaded by its address"},
		{text: "public,allow=host.serin.internal:80", wrong: "under the policy all only"},
		{text: "public" + strings.Repeat(",deny=1.2.3.4", maxRules+1), wrong: "more than 256 rules"},
	} {
		var p Policy
		err := p.UnmarshalText([]byte(tc.text))
		switch {
		case tc.wrong != "":
			if err == nil || !strings.Contains(err.Error(), tc.wrong) {
				t.Errorf("%s: %v, want %q", tc.text, err, tc.wrong)
			}
		case err != nil:
			t.Errorf("%s: %v", tc.text, err)
		case p.String() != tc.want:
			t.Errorf("%s: %s, want %s", tc.text, p, tc.want)
		}
	}
}

func policy(tb testing.TB, text string) Policy {
	tb.Helper()
	p, err := ParsePolicy(text)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func FuzzParsePolicy(f *testing.F) {
	for _, s := range []string{
		"", "none", "public", "all,deny=169.254.169.254", "public,allow=10.20.0.0/16:5432,allow=db.example.com:5432",
		"public,allow=[fd00::/8]:443,deny=::/0", "all,deny=host.serin.internal:22", "public,allow=*.example.com", "public,allow=[::1",
	} {
		f.Add(s)
	}
	classifier := newClassifier()
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePolicy(text)
		if err != nil {
			return
		}
		again, err := ParsePolicy(p.String())
		if err != nil || again.String() != p.String() {
			t.Fatalf("%q is written as %q, which reads as %q, %v", text, p, again, err)
		}
		for _, a := range []string{"127.0.0.1", "::1", "0.0.0.0", "224.0.0.1", "192.0.0.1"} {
			addr := netip.MustParseAddr(a)
			if p.judge(netip.AddrPortFrom(addr, 80), classifier.classify(addr), func(int) bool { return true }) == "" {
				t.Fatalf("%q opens %s", text, a)
			}
		}
	})
}

// TestJudge holds every kind of address against every kind of policy.
func TestJudge(t *testing.T) {
	const (
		open   = "8.8.8.8 2600::1 64:ff9b::808:808"
		closed = "10.1.2.3 172.16.0.1 192.168.1.1 100.64.0.1 192.0.2.1 198.18.0.1 203.0.113.1 fd12::1 2001:db8::1 2002:a00:1::1 2001::1 fec0::1 ::10.0.0.1 64:ff9b::a01:203 ::ffff:10.1.2.3 64:ff9b:1::1 4000::1"
		shut   = "169.254.169.254 169.254.1.1 fe80::1 fd00:ec2::254 fd20:ce::254 168.63.129.16 100.100.100.200 192.0.0.192 198.51.100.7 64:ff9b::a9fe:a9fe"
		never  = "0.0.0.0 0.1.2.3 127.0.0.1 127.9.9.9 :: ::1 224.0.0.1 ff02::1 255.255.255.255 240.0.0.1 192.0.0.1 192.0.0.2 64:ff9b::7f00:1 ::ffff:127.0.0.1 fd73:6572:696e::1"
		host   = "192.0.0.3"
	)
	c := newClassifier()
	c.own.known, c.own.until = map[netip.Addr]bool{netip.MustParseAddr("198.51.100.7"): true}, farFuture()
	for _, tc := range []struct {
		policy      string
		allow, deny string
		named       bool
	}{
		{policy: "none", deny: open + " " + closed + " " + shut + " " + never + " " + host},
		{policy: "public", allow: open, deny: closed + " " + shut + " " + never + " " + host},
		{policy: "all", allow: open + " " + closed + " " + shut + " " + host, deny: never},
		{policy: "public,allow=0.0.0.0/0,allow=::/0", allow: open + " " + closed, deny: shut + " " + never + " " + host},
		{policy: "public,allow=169.254.169.254,allow=198.51.100.7,allow=127.0.0.1,allow=192.0.0.3", allow: open + " 169.254.169.254 198.51.100.7 64:ff9b::a9fe:a9fe", deny: "169.254.1.1 " + closed + " " + never + " " + host},
		{policy: "public,deny=8.8.8.0/24", allow: "8.8.4.4 2600::1", deny: "8.8.8.8 64:ff9b::808:808 ::ffff:8.8.8.8"},
		{policy: "public,allow=8.8.8.8,deny=0.0.0.0/0,deny=::/0", allow: "8.8.8.8", deny: "8.8.4.4 2600::1"},
		{policy: "all,deny=169.254.169.254", allow: "169.254.1.1", deny: "169.254.169.254 64:ff9b::a9fe:a9fe"},
		{policy: "public,allow=10.0.0.0/8:80", allow: "10.1.2.3"},
		{policy: "public,allow=10.0.0.0/8:81", deny: "10.1.2.3"},
		{policy: "public,allow=a.example.com", named: true, allow: closed + " " + open, deny: shut + " " + never + " " + host},
		{policy: "public,allow=a.example.com", deny: closed},
	} {
		p := policy(t, tc.policy)
		got, want := map[string]bool{}, map[string]bool{}
		for _, list := range []struct {
			addrs string
			allow bool
		}{{tc.allow, true}, {tc.deny, false}} {
			for a := range strings.FieldsSeq(list.addrs) {
				addr := plain(netip.MustParseAddr(a))
				want[a] = list.allow
				got[a] = p.judge(netip.AddrPortFrom(addr, 80), c.classify(addr), func(int) bool { return tc.named }) == ""
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", tc.policy, d)
		}
	}
}

func farFuture() time.Time { return time.Now().Add(24 * time.Hour) }
