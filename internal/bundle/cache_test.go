package bundle

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"serin"
)

// blobs serves zips by name, counts how often, and holds every request until gate is closed, if there
// is one.
type blobs struct {
	zips   map[string][]byte
	opened atomic.Int64
	closed atomic.Int64
	gate   chan struct{}
}

var errNoBlob = errors.New("no such blob")

func (b *blobs) open(_ context.Context, sha256hex string) (io.ReaderAt, int64, io.Closer, error) {
	b.opened.Add(1)
	if b.gate != nil {
		<-b.gate
	}
	data, ok := b.zips[sha256hex]
	if !ok {
		return nil, 0, nil, errNoBlob
	}
	return bytes.NewReader(data), int64(len(data)), b, nil
}

func (b *blobs) Close() error {
	b.closed.Add(1)
	return nil
}

// add stores the zip under its SHA-256, which it returns.
func (b *blobs) add(data []byte) string {
	sum := sha256.Sum256(data)
	name := hex.EncodeToString(sum[:])
	if b.zips == nil {
		b.zips = map[string][]byte{}
	}
	b.zips[name] = data
	return name
}

func openCache(tb testing.TB, dir string, b *blobs) *Cache {
	tb.Helper()
	c, err := Open(dir, b.open)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// list describes everything below dir: the mode, and the content or target.
func list(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	got := map[string]string{}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch info.Mode().Type() {
		case 0:
			content, err := fs.ReadFile(root, name)
			if err != nil {
				return err
			}
			text += " " + string(content)
		case fs.ModeSymlink:
			target, err := fs.ReadLink(root, name)
			if err != nil {
				return err
			}
			text += " " + target
		}
		got[name] = text
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

// names returns the names in the directory of a cache, without its marker.
func names(tb testing.TB, dir string) []string {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	found := []string{}
	for _, e := range entries {
		if e.Name() != bootMarker {
			found = append(found, e.Name())
		}
	}
	return found
}

func TestCacheUnpacks(t *testing.T) {
	b := &blobs{}
	sha := b.add(makeZip(
		t, entry{name: "bootstrap", mode: 0o700, body: "#!/bin/sh\n"}, entry{name: "lib/secret.py", mode: 0o600, body: "x = 1"},
		entry{name: "lib/tool", mode: 0o777, body: "tool"}, entry{name: "empty/", mode: fs.ModeDir | 0o700},
		entry{name: "latest", mode: link, body: "lib"}, entry{name: "lib/latest", mode: link, body: "../latest/tool"},
	))
	windows := b.add(makeZip(t, entry{name: "bootstrap", body: "MZ"}, entry{name: "bin/bootstrap", body: "no"}, entry{name: "empty/"}))
	dir := filepath.Join(t.TempDir(), "new", "cache")
	c := openCache(t, dir, b)
	for sha, want := range map[string]map[string]string{
		sha: {
			".":             "drwxr-xr-x",
			"bootstrap":     "-r-xr-xr-x #!/bin/sh\n",
			"empty":         "drwxr-xr-x",
			"latest":        "Lrwxrwxrwx lib",
			"lib":           "drwxr-xr-x",
			"lib/latest":    "Lrwxrwxrwx ../latest/tool",
			"lib/secret.py": "-r--r--r-- x = 1",
			"lib/tool":      "-r-xr-xr-x tool",
		},
		windows: {
			".":             "drwxr-xr-x",
			"bin":           "drwxr-xr-x",
			"bin/bootstrap": "-r--r--r-- no",
			"bootstrap":     "-r-xr-xr-x MZ",
			"empty":         "drwxr-xr-x",
		},
	} {
		for range 2 {
			got, err := c.Dir(t.Context(), sha)
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.Join(dir, sha); got != want {
				t.Errorf("Dir = %s, want %s", got, want)
			}
			if diff := cmp.Diff(want, list(t, got)); diff != "" {
				t.Errorf("unpacked (-want +got):\n%s", diff)
			}
		}
	}
	if opened, closed := b.opened.Load(), b.closed.Load(); opened != 2 || closed != 2 {
		t.Errorf("opened %d blobs and closed %d, want 2 and 2", opened, closed)
	}
	if _, err := os.Stat(filepath.Join(dir, sha, "latest", "latest")); err != nil {
		t.Errorf("links do not work: %v", err)
	}
}

// TestCacheRefuses checks that a package that cannot be unpacked leaves nothing behind.
func TestCacheRefuses(t *testing.T) {
	b := &blobs{}
	fine := makeZip(t, entry{name: "a", body: "some text", edit: func(*zip.FileHeader) {}}, entry{name: "b", body: "more text", edit: func(*zip.FileHeader) {}})
	sha := b.add(fine)
	damaged := b.add(bytes.Replace(fine, []byte("more text"), []byte("mere text"), 1))
	c := openCache(t, t.TempDir(), b)
	refuse := func(t *testing.T, sha string) error {
		t.Helper()
		dir, err := c.Dir(t.Context(), sha)
		if err == nil || dir != "" {
			t.Fatalf("Dir = %q, %v, want an error only", dir, err)
		}
		if found := names(t, c.dir); len(found) > 0 {
			t.Errorf("left behind: %v", found)
		}
		return err
	}
	t.Run("no SHA-256", func(t *testing.T) {
		for _, name := range []string{"", "..", "../" + sha[3:], strings.ToUpper(sha), sha + "0", sha[:63] + "g"} {
			if err := refuse(t, name); !strings.Contains(err.Error(), "not a SHA-256") {
				t.Errorf("%q: error %v", name, err)
			}
		}
	})
	t.Run("no blob", func(t *testing.T) {
		if err := refuse(t, strings.Repeat("0", 64)); !errors.Is(err, errNoBlob) {
			t.Errorf("error %v, want %v", err, errNoBlob)
		}
	})
	t.Run("damaged blob", func(t *testing.T) {
		b.zips[sha] = bytes.Replace(fine, []byte("more"), []byte("less"), 1)
		if err := refuse(t, sha); !strings.Contains(err.Error(), "the stored zip is damaged") {
			t.Errorf("error %v", err)
		}
		b.zips[sha] = fine[:len(fine)-1]
		if err := refuse(t, sha); !strings.Contains(err.Error(), "the stored zip is damaged") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("too large", func(t *testing.T) {
		wantError(t, refuse(t, b.add(make([]byte, MaxZipped+1))), serin.KindTooLarge, zippedText)
	})
	t.Run("content is damaged", func(t *testing.T) {
		wantError(t, refuse(t, damaged), serin.KindInvalid, brokenText)
	})
	for _, s := range evil(t) {
		t.Run(s.name, func(t *testing.T) {
			wantError(t, refuse(t, b.add(s.zip)), serin.KindInvalid, s.err)
		})
	}
}

func TestCacheUnpacksOnce(t *testing.T) {
	b := &blobs{}
	sha := b.add(makeZip(t, entry{name: "x", body: "x"}))
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b.gate = make(chan struct{})
		c := openCache(t, dir, b)
		const callers = 20
		results := make(chan error, callers)
		for range callers {
			go func() {
				_, err := c.Dir(t.Context(), sha)
				results <- err
			}()
		}
		synctest.Wait() // all callers wait for the blob
		close(b.gate)
		for range callers {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
	if opened := b.opened.Load(); opened != 1 {
		t.Errorf("unpacked %d times, want once", opened)
	}
}

// TestCacheCallerLeaves checks that the first caller, whose context ends, does not take the unpacking
// with it.
func TestCacheCallerLeaves(t *testing.T) {
	b := &blobs{}
	sha := b.add(makeZip(t, entry{name: "x", body: "x"}))
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b.gate = make(chan struct{})
		c := openCache(t, dir, b)
		errHangUp := errors.New("the caller hung up")
		ctx, cancel := context.WithCancelCause(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := c.Dir(ctx, sha)
			first <- err
		}()
		synctest.Wait()
		go func() {
			_, err := c.Dir(t.Context(), sha)
			second <- err
		}()
		synctest.Wait()
		cancel(errHangUp)
		if err := <-first; !errors.Is(err, errHangUp) {
			t.Errorf("first caller: error %v, want %v", err, errHangUp)
		}
		close(b.gate)
		if err := <-second; err != nil {
			t.Errorf("second caller: %v", err)
		}
	})
	if opened := b.opened.Load(); opened != 1 {
		t.Errorf("unpacked %d times, want once", opened)
	}
}

func TestCacheRetriesAfterFailure(t *testing.T) {
	b := &blobs{}
	data := makeZip(t, entry{name: "x", body: "x"})
	sha := b.add(data)
	delete(b.zips, sha)
	c := openCache(t, t.TempDir(), b)
	if _, err := c.Dir(t.Context(), sha); !errors.Is(err, errNoBlob) {
		t.Fatalf("error %v, want %v", err, errNoBlob)
	}
	b.add(data)
	if _, err := c.Dir(t.Context(), sha); err != nil {
		t.Error(err)
	}
}

func TestOpenCleansUp(t *testing.T) {
	b := &blobs{}
	sha := b.add(makeZip(t, entry{name: "x", body: "x"}))
	dir := t.TempDir()
	if _, err := openCache(t, dir, b).Dir(t.Context(), sha); err != nil {
		t.Fatal(err)
	}
	// What unpacking and removing leave behind when they are killed.
	for _, left := range []string{tempPrefix + "1/lib", tempPrefix + "2/" + sha} {
		if err := os.MkdirAll(filepath.Join(dir, left), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, left, "half"), []byte("ha"), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{sha}
	if bootID() == nil {
		want = []string{} // no way to tell that the machine has not crashed
	}
	c := openCache(t, dir, b)
	if diff := cmp.Diff(want, names(t, dir)); diff != "" {
		t.Errorf("after a crash of the server (-want +got):\n%s", diff)
	}

	// A machine that crashed may have lost what was written last: an empty file under a good name.
	for _, marker := range []string{"another boot\n", ""} {
		if _, err := c.Dir(t.Context(), sha); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(dir, sha, "x"), 0); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, bootMarker), []byte(marker), 0o600); err != nil {
			t.Fatal(err)
		}
		c = openCache(t, dir, b)
		unpacked, err := c.Dir(t.Context(), sha)
		if err != nil {
			t.Fatal(err)
		}
		if got := list(t, unpacked)["x"]; got != "-r--r--r-- x" {
			t.Errorf("after a crash of the machine: x is %q", got)
		}
	}
}

func TestCacheRemove(t *testing.T) {
	b := &blobs{}
	used := b.add(makeZip(t, entry{name: "x", body: "used"}))
	old := b.add(makeZip(t, entry{name: "x", body: "old"}))
	c := openCache(t, t.TempDir(), b)
	for _, sha := range []string{used, old} {
		if _, err := c.Dir(t.Context(), sha); err != nil {
			t.Fatal(err)
		}
	}
	inFlight := filepath.Join(c.dir, tempPrefix+"1")
	if err := os.Mkdir(inFlight, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.Remove(func(sha string) bool { return sha == used }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{filepath.Base(inFlight), used}, names(t, c.dir)); diff != "" {
		t.Errorf("after Remove (-want +got):\n%s", diff)
	}
	got, err := c.Dir(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	if text := list(t, got)["x"]; text != "-r--r--r-- old" {
		t.Errorf("unpacked again: x is %q", text)
	}
}
