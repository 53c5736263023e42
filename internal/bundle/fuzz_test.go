package bundle

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzCheck unpacks what Check accepts, and looks for anything outside its directory.
func FuzzCheck(f *testing.F) {
	for _, s := range append(good(f), evil(f)...) {
		f.Add(s.zip)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) <= 64<<10 { // a longer one has no other tricks, but is slower
			checkAndUnpack(t, data)
		}
	})
}

// FuzzCheckEntries does the same with three entries in a zip that is well-formed, which bytes seldom
// become by chance.
func FuzzCheckEntries(f *testing.F) {
	f.Add("dir/up", "..", uint32(link), "dir/x", "", uint32(0), "l", "dir/up/../x", uint32(link))
	f.Add("l", "a/b", uint32(link), "a/b/", "", uint32(fs.ModeDir), "l/x", "", uint32(0))
	f.Add("a", "b/.", uint32(link), "b", "./c", uint32(link), "c/../c/x", "x", uint32(0o755))
	f.Add("bootstrap", "x/y", uint32(link), "x", "z", uint32(link), "z/y", "", uint32(0o4755))
	f.Fuzz(func(t *testing.T, name1, body1 string, mode1 uint32, name2, body2 string, mode2 uint32, name3, body3 string, mode3 uint32) {
		for _, text := range []string{name1, body1, name2, body2, name3, body3} {
			if len(text) > 300 {
				return
			}
		}
		var entries []entry
		for _, e := range []entry{
			{name: name1, body: body1, mode: fs.FileMode(mode1)},
			{name: name2, body: body2, mode: fs.FileMode(mode2)},
			{name: name3, body: body3, mode: fs.FileMode(mode3)},
		} {
			if e.name != "" {
				entries = append(entries, e)
			}
		}
		checkAndUnpack(t, makeZip(t, entries...))
	})
}

func checkAndUnpack(t *testing.T, data []byte) {
	t.Helper()
	info, err := Check(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return
	}
	outside := t.TempDir()
	b := &blobs{}
	sha := b.add(data)
	c := openCache(t, filepath.Join(outside, "cache"), b)
	dir, err := c.Dir(t.Context(), sha)
	if err != nil {
		t.Fatalf("Check accepts what cannot be unpacked: %v", err)
	}
	if found := names(t, outside); len(found) != 1 {
		t.Errorf("outside: %v", found)
	}
	if found := names(t, c.dir); len(found) != 1 {
		t.Errorf("in the cache: %v", found)
	}
	compareUnpacked(t, dir, info)
}

// compareUnpacked checks that what is below dir stays there and is what Check said.
func compareUnpacked(t *testing.T, dir string, info Info) {
	t.Helper()
	var got Info
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		stat, err := os.Lstat(name)
		if err != nil {
			return err
		}
		switch stat.Mode().Type() {
		case fs.ModeDir:
		case fs.ModeSymlink:
			got.UnzippedSize += stat.Size()
			end, err := filepath.EvalSymlinks(name)
			if err == nil && end != dir && !strings.HasPrefix(end, dir+string(filepath.Separator)) {
				t.Errorf("%q leads to %q", name, end)
			}
		case 0:
			got.Files++
			got.UnzippedSize += stat.Size()
			if perm := stat.Mode(); perm != 0o444 && perm != 0o555 {
				t.Errorf("%q has mode %v", name, perm)
			}
		default:
			t.Errorf("%q has mode %v", name, stat.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.Stat(filepath.Join(dir, bootstrap))
	got.Bootstrap = err == nil && stat.Mode().IsRegular() && stat.Mode()&0o111 != 0
	if got != info {
		t.Errorf("unpacked %+v, want %+v", got, info)
	}
}
