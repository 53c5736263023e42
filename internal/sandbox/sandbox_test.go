package sandbox

import (
	"io"
	"os"
	"testing"
)

func TestX(t *testing.T) {
	rt := t.TempDir()
	h, err := Open(Config{Dir: t.TempDir() + "/s", Runtime: rt, Spare: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range h.Protections() {
		t.Logf("%+v", p)
	}
	s, err := h.New()
	if err != nil {
		t.Fatal(err)
	}
	r, w, _ := os.Pipe()
	if _, err := s.Enter(&Contents{Task: rt, TmpMB: 64, MemoryMB: 128}); err != nil {
		t.Fatal(err)
	}
	p, err := s.Start(&Command{Path: "/bin/bash", Args: []string{"bash", "-c", "id; hostname; ls -la / /dev /etc /proc/self/fd; mount; cat /proc/self/status | egrep 'Cap|NoNew|Secc'; ps ax; ip addr; cat /proc/self/uid_map; touch /tmp/x /var/task/x; ulimit -a; df /tmp; cat /proc/self/cgroup"}, Env: []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin"}, Dir: "/var/task", Output: w})
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	out, _ := io.ReadAll(r)
	<-p.Done()
	t.Logf("%s\n%v", out, p.End())
	s.Close()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
