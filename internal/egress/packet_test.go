package egress

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

// FuzzPacket hands the relay what a hostile kernel could write to the device, and the answer back.
func FuzzPacket(f *testing.F) {
	from, from6, to6 := FunctionAddr().As4(), FunctionAddr6().As16(), [16]byte{0x26, 15: 1}
	ping := append([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0}, append(from[:], 8, 8, 8, 8, 8, 0, 0, 0, 0, 1, 0, 1)...)
	ping6 := append(append(append([]byte{0x60, 0, 0, 0, 0, 8, 58, 64}, from6[:]...), to6[:]...), 128, 0, 0, 0, 0, 1, 0, 1)
	for _, p := range [][]byte{nil, {0x45}, ping, ping[:20], ping[:24], ping6, ping6[:40]} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		if _, fate := inspect(packet); fate != forbid {
			return
		}
		answer := prohibited(packet)
		if answer == nil {
			return
		}
		if len(answer) > 1280 {
			t.Fatalf("an answer of %d bytes", len(answer))
		}
		if _, fate := inspect(answer); fate != ignore {
			t.Fatalf("the answer to %x is itself from the function", packet)
		}
	})
}

func TestProhibitedIsNotAnsweredTwice(t *testing.T) {
	from := FunctionAddr().As4()
	echo := append([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0}, append(from[:], 8, 8, 8, 8, 8, 0, 0, 0, 0, 1, 0, 1)...)
	if _, fate := inspect(echo); fate != forbid || prohibited(echo) == nil {
		t.Error("an echo request to the internet has no answer")
	}
	unreachable := append([]byte(nil), echo...)
	unreachable[20] = 3
	if _, fate := inspect(unreachable); fate != forbid || prohibited(unreachable) != nil {
		t.Error("an ICMP error has an answer")
	}
}

// FuzzAnswer hands the relay what a hostile resolver could send.
func FuzzAnswer(f *testing.F) {
	name := dnsmessage.MustNewName("a.example.com.")
	good := reply(dnsmessage.Header{ID: 1}, &dnsmessage.Question{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}, 0,
		dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: 1 << 31},
			Body:   &dnsmessage.AResource{A: [4]byte{1, 2, 3, 4}},
		})
	f.Add([]byte(nil))
	f.Add(good)
	f.Add(good[:len(good)-1])
	p := policy(f, "public,allow=*.example.com")
	f.Fuzz(func(t *testing.T, answer []byte) {
		var n names
		n.learn(p, "a.example.com", answer)
		if len(n.until) > maxLearned {
			t.Fatalf("%d addresses", len(n.until))
		}
		for _, until := range n.until {
			if until.After(time.Now().Add(25 * time.Hour)) {
				t.Fatalf("an address is known until %s", until)
			}
		}
	})
}

func TestLearnedNamesAreBounded(t *testing.T) {
	name := dnsmessage.MustNewName("a.example.com.")
	answer := func(from, n int) []byte {
		var all []dnsmessage.Resource
		for i := range n {
			all = append(all, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET},
				Body:   &dnsmessage.AResource{A: [4]byte{1, byte((from + i) >> 16), byte((from + i) >> 8), byte(from + i)}},
			})
		}
		return reply(dnsmessage.Header{}, nil, 0, all...)
	}
	var n names
	p := policy(t, "public,allow=a.example.com")
	for i := range 10 {
		n.learn(p, "a.example.com", answer(1000*i, 1000))
		n.learn(p, "b.example.com", answer(1000*i, 1000))
	}
	if len(n.until) != maxLearned {
		t.Errorf("%d addresses, want %d", len(n.until), maxLearned)
	}
	for k := range n.until {
		n.until[k] = time.Now().Add(-time.Second)
	}
	n.learn(p, "a.example.com", answer(1<<20, 1))
	if len(n.until) != 1 {
		t.Errorf("%d addresses after the others expired, want 1", len(n.until))
	}
}

func TestResolversFollowTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	r := &resolvers{path: path}
	for i, tc := range []struct {
		text string
		want []string
	}{
		{"# none\nsearch example.com\nnameserver nonsense\nnameserver\n", []string{"127.0.0.1:53"}},
		{"nameserver 127.0.0.53\noptions edns0\n", []string{"127.0.0.53:53"}},
		{"nameserver 1.1.1.1\nnameserver ::1\nnameserver fe80::1%eth0\nnameserver 9.9.9.9\n", []string{"1.1.1.1:53", "[::1]:53", "[fe80::1%eth0]:53"}},
	} {
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1e9+int64(i), 0)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			var got []string
			for _, s := range r.list() {
				got = append(got, s.String())
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("%q:\n%s", tc.text, d)
			}
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := r.list(); len(got) != 1 || got[0].String() != "127.0.0.1:53" {
		t.Errorf("without the file: %v", got)
	}
}
