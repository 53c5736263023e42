//go:build unix

package bundle

import (
	"bytes"
	"io"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"serin"
)

// TestUmask is not parallel with anything: the umask belongs to the process.
func TestUmask(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	type result struct {
		Zip      []byte
		Unpacked map[string]string
	}
	var results []result
	for _, mask := range []int{0, 0o022, 0o077} {
		syscall.Umask(mask)
		data, _ := pack(t, makeDir(t, program...), Options{})
		b := &blobs{}
		dir, err := openCache(t, t.TempDir(), b).Dir(t.Context(), b.add(data))
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, result{data, list(t, dir)})
	}
	for _, r := range results[1:] {
		if !bytes.Equal(r.Zip, results[0].Zip) {
			t.Error("another umask packs to other bytes")
		}
		if diff := cmp.Diff(results[0].Unpacked, r.Unpacked); diff != "" {
			t.Errorf("another umask unpacks to other modes (-want +got):\n%s", diff)
		}
	}
}

func TestPackRefusesPipe(t *testing.T) {
	dir := makeDir(t, entry{name: "x", body: "x"})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Pack(io.Discard, dir, Options{})
	wantError(t, err, serin.KindInvalid, `The entry "pipe" in the package is neither a file, a directory nor a symbolic link`)
}
