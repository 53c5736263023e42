package bundle

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLayers(t *testing.T) {
	var b blobs
	first := b.add(makeZip(
		t, entry{name: "python/a.py", body: "1"}, entry{name: "python/b.py", body: "1"}, entry{name: "bin/tool", mode: 0o755, body: "1"},
		entry{name: "is/dir", body: "1"}, entry{name: "file", body: "1"},
	))
	second := b.add(makeZip(t, entry{name: "python/b.py", body: "2"}, entry{name: "lib/c", body: "2"}, entry{name: "is", body: "2"}, entry{name: "file/below", body: "2"}))
	c := openCache(t, t.TempDir(), &b)
	if dir, err := c.Layers(t.Context()); dir != "" || err != nil {
		t.Errorf("no layers: %q, %v", dir, err)
	}
	one, err := c.Layers(t.Context(), first)
	if want, _ := c.Dir(t.Context(), first); err != nil || one != want {
		t.Errorf("one layer: %q, %v, want %q", one, err, want)
	}
	for range 2 { // the second time it is there
		dir, err := c.Layers(t.Context(), first, second)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"python/a.py": "1", "python/b.py": "2", "bin/tool": "1", "is": "2", "file/below": "2", "lib/c": "2"}
		if diff := cmp.Diff(want, filesIn(t, dir)); diff != "" {
			t.Errorf("layers (-want +got):\n%s", diff)
		}
	}
	dir, err := c.Layers(t.Context(), second, first)
	if err != nil {
		t.Fatal(err)
	}
	if got := filesIn(t, dir); got["python/b.py"] != "1" || got["is/dir"] != "1" || got["file"] != "1" {
		t.Errorf("the other way around: %v", got)
	}
	if diff := cmp.Diff(map[string]string{"python/a.py": "1", "python/b.py": "1", "bin/tool": "1", "is/dir": "1", "file": "1"}, filesIn(t, one)); diff != "" {
		t.Errorf("the first layer has changed (-want +got):\n%s", diff)
	}
}

// filesIn reads all files of a directory.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		got[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}
