package sandbox

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// open returns a host that is closed, with everything on it, when the test ends.
func open(tb testing.TB, isolation Isolation, spare int) *Host {
	tb.Helper()
	h, err := Open(Config{Dir: filepath.Join(tb.TempDir(), "sandbox"), Runtime: tb.TempDir(), Isolation: isolation, Spare: spare})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := h.Close(); err != nil {
			tb.Error(err)
		}
	})
	return h
}

// isolating skips the test where the kernel refuses; where nothing may be missing it fails.
func isolating(tb testing.TB) *Host {
	tb.Helper()
	h := open(tb, IsolationAuto, 0)
	for _, p := range h.Protections() {
		if p.Name == ProtectFiles && !p.On {
			if os.Getenv("SERIN_TEST_STRICT") != "" {
				tb.Fatal(p.Why)
			}
			tb.Skipf("skipped: %s", p.Why)
		}
	}
	return h
}

// entered returns a sandbox with contents.
func entered(tb testing.TB, h *Host, c *Contents) (*Sandbox, Paths) {
	tb.Helper()
	s, err := h.New()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	if c.Task == "" {
		c.Task = tb.TempDir()
	}
	c.TmpMB, c.MemoryMB = 64, 128
	paths, err := s.Enter(c)
	if err != nil {
		tb.Fatal(err)
	}
	return s, paths
}

// shell starts a script and returns the process and what its output can be read from.
func shell(tb testing.TB, s *Sandbox, paths *Paths, script string) (*Process, io.Reader) {
	tb.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	p, err := s.Start(&Command{
		Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin", "TMP=" + paths.Tmp}, Dir: paths.Task, Output: w,
	})
	_ = w.Close()
	if err != nil {
		tb.Fatal(err)
	}
	return p, r
}

// output runs a script to its end.
func output(tb testing.TB, s *Sandbox, paths *Paths, script string) string {
	tb.Helper()
	p, r := shell(tb, s, paths, script)
	out, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	<-p.Done()
	return string(out)
}

// TestPlace holds both kinds of sandboxes to what they have in common.
func TestPlace(t *testing.T) {
	for name, h := range map[string]*Host{"isolated": isolating(t), "plain": open(t, IsolationNone, 0)} {
		t.Run(name, func(t *testing.T) {
			layers := t.TempDir()
			s, paths := entered(t, h, &Contents{Layers: layers})
			for script, want := range map[string]string{"exit 3": "exit status 3", "kill -9 $$": "signal: killed", "true": ""} {
				p, _ := shell(t, s, &paths, script)
				<-p.Done()
				if got := p.End().String(); got != want {
					t.Errorf("%s: %q, want %q", script, got, want)
				}
			}
			null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer null.Close()
			p, err := s.Start(&Command{Path: paths.Task + "/nothing", Args: []string{"nothing"}, Dir: paths.Task, Output: null})
			if err != nil {
				t.Fatal(err)
			}
			if <-p.Done(); !errors.Is(p.End().StartError, syscall.ENOENT) {
				t.Errorf("a missing program: %+v", p.End())
			}
			p, r := shell(t, s, &paths, `echo kept > "$TMP/file"; echo started; sleep 1000`)
			line := make([]byte, 8)
			if _, err := io.ReadFull(r, line); err != nil {
				t.Fatal(err)
			}
			if p.PID() == 0 {
				t.Error("the process has no number")
			}
			if err := s.Reset(); err != nil {
				t.Fatal(err)
			}
			if <-p.Done(); p.End().String() != "signal: killed" {
				t.Errorf("after Reset: %v", p.End())
			}
			if got := output(t, s, &paths, `cat "$TMP/file"`); got != "kept\n" {
				t.Errorf("/tmp after Reset: %q", got)
			}
			testListener(t, s, &paths)
			testFreeze(t, s, &paths)
			s.Close()
			<-s.Done()
		})
	}
}

// testListener connects from inside.
func testListener(t *testing.T, s *Sandbox, paths *Paths) {
	t.Helper()
	for range 2 {
		l, err := s.Listen()
		if err != nil {
			t.Fatal(err)
		}
		host, port, err := net.SplitHostPort(s.Address)
		if err != nil {
			t.Fatal(err)
		}
		_, r := shell(t, s, paths, "exec python3 -c 'import socket; print(socket.create_connection((\""+host+"\", "+port+")).recv(9))' 2>&1")
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "hello")
		_ = c.Close()
		if out, err := io.ReadAll(r); err != nil || string(out) != "b'hello'\n" {
			t.Errorf("connection from inside: %q, %v", out, err)
		}
		_ = l.Close()
	}
}

// testFreeze stops a process that counts.
func testFreeze(t *testing.T, s *Sandbox, paths *Paths) {
	t.Helper()
	p, r := shell(t, s, paths, `while :; do echo x; sleep 0.001; done`)
	one := make([]byte, 2)
	read := func() error { _, err := io.ReadFull(r, one); return err }
	if err := read(); err != nil {
		t.Fatal(err)
	}
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	file := r.(*os.File)
	for { // what was written before
		if err := file.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if err := read(); errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := file.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := s.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil {
		t.Errorf("after Thaw: %v", err)
	}
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	s.Kill() // also what is frozen
	<-p.Done()
}

// TestIsolated looks around from inside.
func TestIsolated(t *testing.T) {
	h := isolating(t)
	shown, err := os.MkdirTemp("/var/tmp", "shown-") //nolint:usetesting // the sandbox has a /tmp of its own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(shown) })
	if err := errors.Join(os.WriteFile(filepath.Join(shown, "f"), []byte("shown"), 0o644), os.Chmod(shown, 0o755)); err != nil {
		t.Fatal(err)
	}
	s, paths := entered(t, h, &Contents{Show: []string{shown}})
	for _, look := range [][2]string{
		{"id -u", "993\n"},
		{"hostname", "localhost\n"},
		{"pwd", "/var/task\n"},
		{"ls /mnt", ""},
		{"cat " + shown + "/f; ls " + filepath.Dir(shown), "shown" + filepath.Base(shown) + "\n"},
		{"grep -E 'CapBnd|NoNewPrivs|^Seccomp:' /proc/self/status | tr -s '\\t\\n' ' '", "CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 "},
		{"touch /var/task/x 2>&1; touch /tmp/x && echo made", "touch: cannot touch '/var/task/x': Read-only file system\nmade\n"},
		{"df --output=size -k /tmp | tail -1 | tr -d ' '", "65536\n"},
		{"ulimit -n; ulimit -c", "1024\n0\n"},
		{"ls /sys 2>/dev/null; x=$(cat /proc/[0-9]*/comm); echo $x", "machine sh cat\n"},
	} {
		if got := output(t, s, &paths, look[0]); got != look[1] {
			t.Errorf("%s: %q, want %q", look[0], got, look[1])
		}
	}
}

func TestSpare(t *testing.T) {
	isolating(t)
	spare := open(t, IsolationAuto, 2)
	for range 5 {
		s, paths := entered(t, spare, &Contents{})
		if got := output(t, s, &paths, "echo here"); got != "here\n" {
			t.Errorf("output %q", got)
		}
		s.Close()
	}
}

func TestRequire(t *testing.T) {
	h := open(t, IsolationNone, 0)
	if missing := Missing(h.Protections()); !strings.Contains(missing, ProtectFiles+" (isolation is switched off)") {
		t.Errorf("missing: %s", missing)
	}
	auto := open(t, IsolationAuto, 0)
	required, err := Open(Config{Dir: filepath.Join(t.TempDir(), "s"), Runtime: t.TempDir(), Isolation: IsolationRequire})
	if err == nil {
		err = required.Close()
	}
	if want := Missing(auto.Protections()) != ""; errors.Is(err, ErrUnprotected) != want {
		t.Errorf("required: %v, missing: %q", err, Missing(auto.Protections()))
	}
}

func TestDial(t *testing.T) {
	for name, h := range map[string]*Host{"isolated": open(t, IsolationAuto, 0), "plain": open(t, IsolationNone, 0)} {
		t.Run(name, func(t *testing.T) {
			s, _ := entered(t, h, &Contents{})
			_, number, err := net.SplitHostPort(s.Address)
			if err != nil {
				t.Fatal(err)
			}
			port, err := strconv.ParseUint(number, 10, 16)
			if err != nil {
				t.Fatal(err)
			}
			l, err := s.Listen()
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			c, err := s.Dial(ctx, uint16(port))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			other, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			if _, err := c.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 5)
			if _, err := io.ReadFull(other, got); err != nil || string(got) != "hello" {
				t.Errorf("%q, %v", got, err)
			}
			if _, err := s.Dial(ctx, 1); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("a port that nobody listens on: %v", err)
			}
			if err := s.Freeze(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Dial(ctx, uint16(port)); !errors.Is(err, ErrFrozen) {
				t.Errorf("frozen: %v", err)
			}
			if err := s.Thaw(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
