package egress

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// The test binary is also the function: as a child in a network namespace of its own it makes the
// device, sends it to its parent and does what it is asked to.

const (
	guestEnv   = "SERIN_TEST_EGRESS_GUEST"
	plainGuest = "plain" // in the network of its parent
)

func TestMain(m *testing.M) {
	if os.Getenv(guestEnv) != "" {
		if err := runGuest(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// order is what the guest is asked to do, once or many times at the same time.
type order struct {
	Do, To string
	N      int
}

// outcome is what came of it.
type outcome struct {
	Out, Err string
	Took     time.Duration
}

func runGuest() error {
	if os.Getenv(guestEnv) != plainGuest {
		tun, err := makeDevice()
		if err != nil {
			return err
		}
		if err := syscall.Sendmsg(3, []byte{0}, unix.UnixRights(tun), nil, 0); err != nil {
			return err
		}
		unix.Close(tun)
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	held := map[string]net.Conn{}
	for {
		var o order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		begin := time.Now()
		text, err := obey(o, held)
		result := outcome{Out: text, Took: time.Since(begin)}
		if err != nil {
			result.Err = err.Error()
		}
		if err := out.Encode(result); err != nil {
			return err
		}
	}
}

func obey(o order, held map[string]net.Conn) (string, error) {
	const patience = 20 * time.Second
	dial := func() (net.Conn, error) {
		network, addr, _ := strings.Cut(o.To, "/")
		c, err := net.DialTimeout(network, addr, patience)
		if err == nil {
			c.SetDeadline(time.Now().Add(3 * patience))
		}
		return c, err
	}
	switch o.Do {
	case "get":
		var all errgroup.Group
		for range max(1, o.N) {
			all.Go(func() error { return get("http://" + o.To) })
		}
		return "", all.Wait()
	case "echo":
		c, err := dial()
		if err != nil {
			return "", err
		}
		defer c.Close()
		return echo(c, o.N)
	case "lookup":
		network, name, _ := strings.Cut(o.To, "/")
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, netip.AddrPortFrom(GatewayAddr(), 53).String())
		}}
		addrs, err := r.LookupHost(context.Background(), name+".")
		return strings.Join(addrs, " "), err
	case "send": // and end; then the digest of what arrived comes back
		c, err := dial()
		if err != nil {
			return "", err
		}
		defer c.Close()
		if _, err := io.CopyN(c, &pattern{}, int64(o.N)); err != nil {
			return "", err
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			return "", err
		}
		digest, err := io.ReadAll(c)
		return string(digest), err
	case "receive":
		c, err := dial()
		if err != nil {
			return "", err
		}
		defer c.Close()
		hash := sha256.New()
		n, err := io.Copy(hash, c)
		return fmt.Sprintf("%d %x", n, hash.Sum(nil)), err
	case "hold":
		c, err := dial()
		if err == nil {
			held[fmt.Sprint(len(held))] = c
		}
		return "", err
	case "read": // from what is held first
		_, err := io.Copy(io.Discard, held["0"])
		return "", err
	case "drop":
		for _, c := range held {
			c.Close()
		}
		clear(held)
		return "", nil
	case "drain", "flood", "exchange", "connect":
		return "", load(o, dial)
	case "ping":
		return "", ping(netip.MustParseAddr(o.To))
	case "remove":
		return "", removeDevice()
	}
	return "", fmt.Errorf("no order %q", o.Do)
}

// load is what the benchmarks measure.
func load(o order, dial func() (net.Conn, error)) error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.Close()
	switch o.Do {
	case "drain":
		_, err = io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c})
	case "flood":
		chunk := make([]byte, 256<<10)
		for sent := 0; sent < o.N && err == nil; sent += len(chunk) {
			_, err = c.Write(chunk)
		}
		c.(*net.TCPConn).CloseWrite()
		_, _ = c.Read(chunk)
	case "exchange":
		for range o.N {
			if _, err = echo(c, 64); err != nil {
				return err
			}
		}
	case "connect":
		for range o.N {
			c, err := dial()
			if err != nil {
				return err
			}
			_, err = echo(c, 64)
			c.Close()
			if err != nil {
				return err
			}
		}
	}
	return err
}

func get(url string) error {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && string(b) != "hello" {
		err = fmt.Errorf("got %d %q", r.StatusCode, b)
	}
	return err
}

// echo sends one message of n bytes and reports whether it comes back.
func echo(c net.Conn, n int) (string, error) {
	sent, got := make([]byte, n), make([]byte, n+1)
	io.ReadFull(&pattern{}, sent)
	if _, err := c.Write(sent); err != nil {
		return "", err
	}
	m, err := c.Read(got)
	if err != nil {
		return "", err
	}
	if string(got[:m]) != string(sent) {
		return "", fmt.Errorf("sent %d bytes, got %d others", n, m)
	}
	return "", nil
}

// pattern is a stream in which every 8 bytes say where they are.
type pattern struct {
	at   uint64
	rest []byte
}

func (p *pattern) Read(b []byte) (int, error) {
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	for n < len(b) {
		word := binary.BigEndian.AppendUint64(make([]byte, 0, 8), p.at*0x9e3779b97f4a7c15)
		p.at++
		m := copy(b[n:], word)
		n += m
		p.rest = word[m:]
	}
	return n, nil
}

func patternDigest(n int64) string {
	h := sha256.New()
	io.CopyN(h, &pattern{}, n)
	return hex.EncodeToString(h.Sum(nil))
}

// ping sends an echo request and returns what came back if it is no echo reply.
func ping(to netip.Addr) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20})
	request := []byte{8, 0, 0xf7, 0xff, 0, 0, 0, 0}
	if err := unix.Sendto(s, request, 0, &unix.SockaddrInet4{Addr: to.As4()}); err != nil {
		return err
	}
	b := make([]byte, 1500)
	n, _, err := unix.Recvfrom(s, b, 0)
	switch {
	case err != nil:
		return err
	case n < 28 || netip.AddrFrom4([4]byte(b[12:])) != to:
		return errors.New("an answer of another")
	case b[20] == 0:
		return nil
	default:
		return fmt.Errorf("ICMP type %d code %d", b[20], b[21])
	}
}
