package bundle

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// compared is a file of a zip that a test writes.
type compared struct {
	name, content string
	mode          fs.FileMode
}

func zipped(t *testing.T, at time.Time, entries ...compared) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: at}
		header.SetMode(e.mode)
		f, err := w.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCompare(t *testing.T) {
	then, now := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	before := []compared{{"app.py", "one", 0o644}, {"lib/a.py", "aaaa", 0o644}, {"run.sh", "x", 0o644}, {"link", "app.py", fs.ModeSymlink | 0o777}}
	for name, c := range map[string]struct {
		after []compared
		want  []FileChange
	}{
		"packed at another time in another order": {
			[]compared{before[3], before[2], before[1], before[0], {"lib/", "", fs.ModeDir | 0o755}},
			[]FileChange{},
		},
		"content of the same length": {
			[]compared{{"app.py", "two", 0o644}, before[1], before[2], before[3]},
			[]FileChange{{"app.py", FileChanged, 3, 3}},
		},
		"added, removed, executable, link": {
			[]compared{before[0], {"lib/b.py", "bb", 0o644}, {"run.sh", "x", 0o755}, {"link", "run.sh", fs.ModeSymlink | 0o777}},
			[]FileChange{
				{"lib/a.py", FileRemoved, 4, 0}, {"lib/b.py", FileAdded, 0, 2}, {"link", FileChanged, 6, 6}, {"run.sh", FileChanged, 1, 1},
			},
		},
		"a file that becomes a directory": {
			[]compared{before[0], before[1], before[2], {"link/x", "y", 0o644}},
			[]FileChange{{"link", FileRemoved, 6, 0}, {"link/x", FileAdded, 0, 1}},
		},
	} {
		got, err := Compare(zipped(t, then, before...), zipped(t, now, c.after...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := Compare(nil, zipped(t, now, before...)); err == nil {
		t.Error("nothing was compared with something")
	}
}

// Entries with the same size and checksum need not be the same: CRC-32 is linear, so such pairs can be made.
func TestCompareReadsContent(t *testing.T) {
	a, b := "plumless", "buckeroo" // the same CRC-32
	at := time.Unix(1e9, 0)
	got, err := Compare(zipped(t, at, compared{"f", a, 0o644}), zipped(t, at, compared{"f", b, 0o644}))
	if err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}
