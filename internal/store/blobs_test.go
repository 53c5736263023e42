package store_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"serin/internal/store"
)

func readBlob(tb testing.TB, s *store.Store, name string) []byte {
	tb.Helper()
	b, err := s.OpenBlob(tb.Context(), name)
	if err != nil {
		tb.Fatal(err)
	}
	defer b.Close()
	data, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func put(tb testing.TB, s *store.Store, data []byte) string {
	tb.Helper()
	name, err := s.PutBlob(tb.Context(), data)
	if err != nil {
		tb.Fatal(err)
	}
	return name
}

// blobFile returns where a blob is kept.
func blobFile(cfg store.Config, name string) string {
	return filepath.Join(cfg.Dir, "blobs", name[:2], name)
}

func testBlobs(t suite) {
	s := open(t, t.cfg)
	contents := map[string][]byte{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855": {},
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad": []byte("abc"),
		"30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58": bytes.Repeat([]byte{0}, 1<<20),
	}
	for range 2 {
		for want, data := range contents {
			expect(t, "name", put(t, s, data), want)
		}
	}
	if err := together(func(int) error {
		_, err := s.PutBlob(t.Context(), []byte("the same"))
		return err
	}); err != nil {
		t.Error(err)
	}
	s = reopen(t, s, t.cfg)
	for name, want := range contents {
		if !bytes.Equal(readBlob(t, s, name), want) {
			t.Errorf("blob %s came back changed", name)
		}
	}
	abc := "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	for _, name := range []string{"", "ab", strings.Repeat("0", 64), strings.ToUpper(abc), abc + "0", "../lock", "/etc/passwd", abc[:62] + "/.", strings.Repeat("é", 32)} {
		_, err := s.OpenBlob(t.Context(), name)
		expectErr(t, name, err, store.ErrNotFound)
	}
	info, err := os.Stat(blobFile(t.cfg, abc))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of a blob has mode %v: %v", info.Mode(), err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func testDamagedBlob(t suite) {
	s := open(t, t.cfg)
	data := []byte("code")
	for what, damage := range map[string][]byte{"changed": []byte("Code"), "cut": []byte("cod"), "longer": []byte("code!"), "empty": {}} {
		name := put(t, s, data)
		if err := os.WriteFile(blobFile(t.cfg, name), damage, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.OpenBlob(t.Context(), name)
		expectErr(t, what, err, store.ErrCorrupt)
		expectErr(t, what, s.Check(t.Context()), store.ErrCorrupt)
		// Putting it again repairs it.
		put(t, s, data)
		expect(t, what, string(readBlob(t, s, name)), "code")
	}
	name := put(t, s, data)
	if err := os.Rename(blobFile(t.cfg, name), blobFile(t.cfg, name)+"x"); err != nil {
		t.Fatal(err)
	}
	_, err := s.OpenBlob(t.Context(), name)
	expectErr(t, "missing", err, store.ErrNotFound)
	if err := s.Check(t.Context()); err == nil {
		t.Error("a file that does not belong among the blobs was not found")
	}
}

func testBlobLeftovers(t suite) {
	s := open(t, t.cfg)
	name := put(t, s, []byte("code"))
	unfinished := filepath.Join(t.cfg.Dir, "blobs", "unfinished")
	files := func() int {
		entries, err := os.ReadDir(unfinished)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	expect(t, "files left by a successful write", files(), 0)
	if err := os.WriteFile(filepath.Join(unfinished, "X"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s, t.cfg)
	expect(t, "files left after a restart", files(), 0)
	expect(t, "blob", string(readBlob(t, s, name)), "code")

	// A write that fails leaves nothing: here the place of its directory is taken by a file.
	other := "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" // "foo"
	if err := os.WriteFile(filepath.Dir(blobFile(t.cfg, other)), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutBlob(t.Context(), []byte("foo")); err == nil {
		t.Error("a blob was written where it cannot be")
	}
	expect(t, "files left by a failed write", files(), 0)
}
