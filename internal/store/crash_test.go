package store_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"serin"
	"serin/internal/store"
)

// Variables that make the test binary the server that the crash test kills.
const (
	crashDir      = "SERIN_TEST_CRASH_DIR"
	crashDatabase = "SERIN_TEST_CRASH_DATABASE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := writeUntilKilled(store.Config{Dir: dir, Database: os.Getenv(crashDatabase)}); err != nil {
			fmt.Println("error", err)
		}
		return
	}
	os.Exit(m.Run())
}

const crashWriters = 8

// writeUntilKilled publishes versions and moves an alias in several functions, saves a release and writes
// blobs, and prints each write after it has been acknowledged.
func writeUntilKilled(cfg store.Config) error {
	ctx := context.Background()
	s, err := store.Open(ctx, cfg)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for w := range crashWriters {
		go func() {
			name := fmt.Sprint("f", w)
			if _, _, err := s.CreateFunction(ctx, name, build(name)); err == nil {
				fmt.Println("created", name)
			}
			r, err := s.Release(ctx, name)
			if err != nil {
				r = release(name, name, "live")
				err = s.CreateRelease(ctx, r)
			}
			for err == nil {
				err = writeOnce(ctx, s, name, r)
			}
			failed <- err
		}()
	}
	return <-failed
}

func writeOnce(ctx context.Context, s *store.Store, name string, r *serin.Release) error {
	f, seq, err := s.UpdateFunction(ctx, name, func(f *serin.Function) error {
		return both(publish, route("live", f.LastPublished+1, serin.CauseManual))(f)
	})
	if err != nil {
		return err
	}
	fmt.Println("published", name, f.LastPublished, seq)
	if err := s.SaveRelease(ctx, r, ""); err != nil {
		return err
	}
	fmt.Println("saved", name, r.Version)
	blob, err := s.PutBlob(ctx, fmt.Appendf(nil, "%s %d", name, f.LastPublished))
	if err != nil {
		return err
	}
	fmt.Println("put", blob)
	return nil
}

// acknowledged is what a killed server had promised.
type acknowledged struct {
	published, saved map[string]int64
	change           int64
	blobs            []string
}

func (a *acknowledged) read(tb testing.TB, line string) {
	tb.Helper()
	words := strings.Fields(line)
	number := func(i int) int64 {
		n, err := strconv.ParseInt(words[i], 10, 64)
		if err != nil {
			tb.Fatalf("the server printed %q", line)
		}
		return n
	}
	switch words[0] {
	case "created":
		a.published[words[1]] = 0
	case "published":
		a.published[words[1]] = max(a.published[words[1]], number(2))
		a.change = max(a.change, number(3))
	case "saved":
		a.saved[words[1]] = max(a.saved[words[1]], number(2))
	case "put":
		a.blobs = append(a.blobs, words[1])
	default:
		tb.Fatalf("the server printed %q", line)
	}
}

func testCrash(t suite) {
	promised := &acknowledged{published: map[string]int64{}, saved: map[string]int64{}}
	for round := range 20 {
		crash(t, t.cfg, promised)
		expectPromised(t, t.cfg, promised, round == 19)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("20 kills, %d changes acknowledged, %d blobs", promised.change, len(promised.blobs))
	if promised.change < 20 {
		t.Error("the server hardly wrote anything before it was killed")
	}
}

// crash runs a server, kills it at a random moment after its first write, and notes what it promised.
func crash(tb testing.TB, cfg store.Config, promised *acknowledged) {
	tb.Helper()
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), crashDir+"="+cfg.Dir, crashDatabase+"="+cfg.Database)
	output, err := server.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := server.Start(); err != nil {
		tb.Fatal(err)
	}
	var begin sync.Once
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // the last line may be cut
		}
		promised.read(tb, strings.TrimSuffix(line, "\n"))
		begin.Do(func() {
			time.AfterFunc(rand.N(60*time.Millisecond), func() { server.Process.Kill() })
		})
	}
	if err := server.Wait(); err == nil {
		tb.Fatal("the server ended by itself")
	}
}

func expectPromised(tb testing.TB, cfg store.Config, promised *acknowledged, thorough bool) {
	tb.Helper()
	s, err := store.Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	defer s.Close()
	if lastChange(tb, s) < promised.change {
		tb.Errorf("the feed ends at %d and %d was acknowledged", lastChange(tb, s), promised.change)
	}
	all := everything(tb, s)
	for name, published := range promised.published {
		f := all[name]
		if f == nil || int64(f.LastPublished) < published || len(f.Versions) != int(f.LastPublished) {
			tb.Errorf("%s: version %d was acknowledged and is lost", name, published)
			continue
		}
		// Nothing is half-written: each publish moved the alias in the same transaction. PostgreSQL may still be
		// committing the last one of a server that was killed.
		if moves := len(history(tb, s, name, "live", 1e6)); f.LastPublished > 0 && moves != int(f.LastPublished) {
			var err error
			if f, err = s.Function(tb.Context(), name); err != nil {
				tb.Fatal(err)
			}
			expect(tb, name, moves, int(f.LastPublished))
		}
		if f.LastPublished > 0 {
			expect(tb, name, f.Aliases["live"].Routing.Version, f.LastPublished)
		}
	}
	for name, version := range promised.saved {
		r, err := s.Release(tb.Context(), name)
		if err != nil || r.Version < version {
			tb.Errorf("release %s: save %d was acknowledged and is lost: %v", name, version, err)
		}
	}
	if thorough {
		for _, name := range promised.blobs {
			readBlob(tb, s, name)
		}
		if err := s.Check(tb.Context()); err != nil {
			tb.Error(err)
		}
	}
}
