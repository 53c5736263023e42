package bundle

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"serin"
)

const (
	brokenText   = "Could not unzip uploaded file. Please check your file, then try to upload again."
	emptyText    = "Uploaded file must be a non-empty zip"
	zippedText   = "Zipped size must be smaller than 52428800 bytes"
	unzippedText = "Unzipped size must be smaller than 262144000 bytes"
	entriesText  = "A package must not hold more than 65535 files and directories"
)

const link = fs.ModeSymlink | 0o777

// a sample is a small zip, with what Check makes of it.
type sample struct {
	name string
	zip  []byte
	want Info
	err  string // the message; empty for a package that is accepted
}

func good(tb testing.TB) []sample {
	tb.Helper()
	return []sample{
		{
			name: "program",
			zip:  makeZip(tb, entry{name: "bootstrap", mode: 0o755, body: "#!/bin/sh\n"}, entry{name: "data/x", mode: 0o600, body: "x"}),
			want: Info{Files: 2, UnzippedSize: 11, Bootstrap: true},
		},
		{
			name: "bootstrap is not executable",
			zip:  makeZip(tb, entry{name: "bootstrap", mode: 0o644, body: "#!"}),
			want: Info{Files: 1, UnzippedSize: 2},
		},
		{
			name: "no modes",
			zip:  makeZip(tb, entry{name: "bootstrap", body: "#!"}),
			want: Info{Files: 1, UnzippedSize: 2, Bootstrap: true},
		},
		{
			name: "Unix without mode bits",
			zip: makeZip(tb, entry{name: "bootstrap", body: "#!", edit: func(h *zip.FileHeader) {
				h.CreatorVersion = 3 << 8
			}}),
			want: Info{Files: 1, UnzippedSize: 2, Bootstrap: true},
		},
		{
			name: "bootstrap is not at the root",
			zip:  makeZip(tb, entry{name: "bin/bootstrap", mode: 0o755, body: "#!"}),
			want: Info{Files: 1, UnzippedSize: 2},
		},
		{
			name: "bootstrap is a directory",
			zip:  makeZip(tb, entry{name: "bootstrap/x", mode: 0o755, body: "#!"}),
			want: Info{Files: 1, UnzippedSize: 2},
		},
		{
			name: "bootstrap is a link to a program",
			zip:  makeZip(tb, entry{name: "bootstrap", mode: link, body: "bin/../bin/app"}, entry{name: "bin/app", mode: 0o755, body: "#!"}),
			want: Info{Files: 1, UnzippedSize: 16, Bootstrap: true},
		},
		{
			name: "bootstrap is a link to nothing",
			zip:  makeZip(tb, entry{name: "bootstrap", mode: link, body: "bin/app"}, entry{name: "x", body: "x"}),
			want: Info{Files: 1, UnzippedSize: 8},
		},
		{
			name: "names from other tools",
			zip: makeZip(
				tb, entry{name: "./"}, entry{name: "./a//b.py", body: "1"}, entry{name: "a/"}, entry{name: "setgid/", mode: fs.ModeDir | fs.ModeSetgid | 0o775},
				entry{name: "dir", body: "", edit: func(h *zip.FileHeader) { h.SetMode(fs.ModeDir | 0o755) }},
				entry{name: "dir/été", body: "22"}, entry{name: "dir/\xe9", body: "333"},
			),
			want: Info{Files: 3, UnzippedSize: 6},
		},
		{
			name: "stored, and empty",
			zip:  makeZip(tb, entry{name: "stored", body: "abc", edit: func(*zip.FileHeader) {}}, entry{name: "empty"}),
			want: Info{Files: 2, UnzippedSize: 3},
		},
		{
			name: "links inside",
			zip: makeZip(
				tb, entry{name: "lib/current", mode: link, body: "v1"}, entry{name: "lib/v1/up", mode: link, body: "../.."},
				entry{name: "again", mode: link, body: "lib/current/up/lib/./v1/x"}, entry{name: "lib/v1/x", body: "x"},
				entry{name: "self", mode: link, body: "."}, entry{name: "under a file", mode: link, body: "lib/v1/x/y"},
			),
			want: Info{Files: 1, UnzippedSize: int64(1 + len("v1../..lib/current/up/lib/./v1/x.lib/v1/x/y"))},
		},
		{
			name: "the longest name",
			zip:  makeZip(tb, entry{name: strings.Repeat("d/", maxDepth-1) + strings.Repeat("x", maxElement), body: "x"}),
			want: Info{Files: 1, UnzippedSize: 1},
		},
	}
}

func evil(tb testing.TB) []sample {
	tb.Helper()
	one := makeZip(tb, entry{name: "x", body: "some text", edit: func(*zip.FileHeader) {}})
	two := makeZip(tb, entry{name: "x", body: "some text"}, entry{name: "y", body: "more text"})
	samples := []sample{
		{name: "nothing", zip: []byte{}, err: emptyText},
		{name: "no entries", zip: makeZip(tb), err: emptyText},
		{name: "directories only", zip: makeZip(tb, entry{name: "a/"}, entry{name: "a/b/"}), err: emptyText},
		{name: "text", zip: []byte("def handler(event, context): return 1"), err: brokenText},
		{name: "cut", zip: two[:len(two)-30], err: brokenText},
		{name: "head cut", zip: two[30:], err: brokenText},
		{name: "damaged", zip: bytes.Replace(one, []byte("some text"), []byte("same text"), 1), err: brokenText},
		{name: "not deflate", zip: editDirectory(tb, one, 0, func(r []byte) { r[10] = 8 }), err: brokenText},
		{name: "method of PKZIP 1", zip: editDirectory(tb, one, 0, func(r []byte) { r[10] = 1 }), err: brokenText},
		{name: "checksum zero", zip: editDirectory(tb, one, 0, func(r []byte) { clear(r[16:20]) }), err: brokenText},
		{name: "larger than declared", zip: editDirectory(tb, one, 0, func(r []byte) { r[24]-- }), err: brokenText},
		{name: "smaller than declared", zip: editDirectory(tb, one, 0, func(r []byte) { r[24]++ }), err: brokenText},
		{name: "beyond the end", zip: editDirectory(tb, one, 0, func(r []byte) { r[22] = 1 }), err: brokenText},
		{name: "header beyond the end", zip: editDirectory(tb, one, 0, func(r []byte) { r[44] = 1 }), err: brokenText},
		{name: "directory with content", zip: makeZip(tb, entry{name: "d", body: "x", edit: func(h *zip.FileHeader) { h.SetMode(fs.ModeDir | 0o755) }}), err: brokenText},
		{name: "sum overflows", zip: makeZip(tb,
			entry{name: "a", edit: func(h *zip.FileHeader) { h.UncompressedSize64 = 1 << 63 }},
			entry{name: "b", edit: func(h *zip.FileHeader) { h.UncompressedSize64 = 1 << 63 }}), err: unzippedText},
		{name: "overlap", err: `The entry "y" in the package overlaps another entry`, zip: editDirectory(tb, two, 1, func(r []byte) { clear(r[42:46]) })},
		{
			name: "long link", err: `The entry "l" in the package is a symbolic link without a usable target`,
			zip: makeZip(tb, entry{name: "x"}, entry{name: "l", mode: link, body: strings.Repeat("a", maxName+1)}),
		},
		{
			name: "links in a circle", err: `The entry "a" in the package is a symbolic link that leads through too many others`,
			zip: makeZip(tb, entry{name: "x"}, entry{name: "a", mode: link, body: "b"}, entry{name: "b", mode: link, body: "a"}),
		},
		{name: "below a link", err: `The entry "a/x" in the package lies below "a", which is not a directory`, zip: makeZip(tb, entry{name: "a", mode: link, body: "."}, entry{name: "a/x"})},
		{name: "below a file", err: `The entry "a/b/x" in the package lies below "a", which is not a directory`, zip: makeZip(tb, entry{name: "a"}, entry{name: "a/b/x"})},
		{name: "file over directory", err: `The entry "a" in the package is a directory and also a file`, zip: makeZip(tb, entry{name: "a/b/x"}, entry{name: "a"})},
		{name: "directory over file", err: `The entry "a" in the package is a directory and also a file`, zip: makeZip(tb, entry{name: "a"}, entry{name: "./a/"})},
		{name: "same file", err: `The entry "a/b" in the package is there more than once`, zip: makeZip(tb, entry{name: "a/b"}, entry{name: "./a//b"})},
		{name: "same directory", err: `The entry "a" in the package is there more than once`, zip: makeZip(tb, entry{name: "a/"}, entry{name: "a/"})},
		{name: "link over file", err: `The entry "a" in the package is there more than once`, zip: makeZip(tb, entry{name: "a"}, entry{name: "a", mode: link, body: "b"})},
	}
	return append(append(samples, evilNames(tb)...), evilTypes(tb)...)
}

func evilNames(tb testing.TB) []sample {
	tb.Helper()
	var samples []sample
	for name, problem := range map[string]string{
		"/etc/passwd":                        "has an absolute name",
		"../x":                               `has ".." in its name`,
		"a/../../x":                          `has ".." in its name`,
		"a/..":                               `has ".." in its name`,
		"..":                                 `has ".." in its name`,
		`a\b`:                                "has a backslash or a NUL in its name",
		`..\x`:                               "has a backslash or a NUL in its name",
		"a\x00b":                             "has a backslash or a NUL in its name",
		"C:/x":                               "has an absolute name",
		"./c:x":                              "has an absolute name",
		".":                                  "has no name",
		strings.Repeat("d/", maxDepth) + "x": "has a name of more than 64 elements",
		strings.Repeat("x", maxElement+1):    "has an element of more than 255 bytes in its name",
		strings.Repeat(strings.Repeat("x", 99)+"/", 11): "has a name of more than 1024 bytes",
	} {
		samples = append(samples, sample{
			name: fmt.Sprintf("name %.20q", name),
			zip:  makeZip(tb, entry{name: "fine"}, entry{name: name}),
			err:  fmt.Sprintf("The entry %.200q in the package %s", name, problem),
		})
	}
	nameless := editDirectory(tb, makeZip(tb, entry{name: "x", edit: func(*zip.FileHeader) {}}), 0, func(r []byte) {
		r[28], r[30] = 0, 1 // what was the name is an extra field
	})
	samples = append(samples, sample{name: "nameless", zip: nameless, err: `The entry "" in the package has no name`})
	for target, problem := range map[string]string{
		"":               "is a symbolic link without a usable target",
		"a\x00b":         "is a symbolic link without a usable target",
		`..\x`:           "is a symbolic link without a usable target",
		"/etc/passwd":    `is a symbolic link to the absolute path "/etc/passwd"`,
		"C:x":            `is a symbolic link to the absolute path "C:x"`,
		"..":             `is a symbolic link to "..", which leaves the package`,
		"dir/../../x":    `is a symbolic link to "dir/../../x", which leaves the package`,
		"dir/up/../x":    `is a symbolic link to "dir/up/../x", which leaves the package`,
		"missing/../../": `is a symbolic link to "missing/../../", which leads upwards from what is no directory of the package`,
		"dir/f/../..":    `is a symbolic link to "dir/f/../..", which leads upwards from what is no directory of the package`,
	} {
		samples = append(samples, sample{
			name: fmt.Sprintf("target %q", target),
			zip:  makeZip(tb, entry{name: "dir/f"}, entry{name: "dir/up", mode: link, body: ".."}, entry{name: "l", mode: link, body: target}),
			err:  `The entry "l" in the package ` + problem,
		})
	}
	return samples
}

func evilTypes(tb testing.TB) []sample {
	tb.Helper()
	const special = "is a device, a pipe, a socket or of no single type"
	var samples []sample
	for mode, problem := range map[fs.FileMode]string{
		fs.ModeDevice | 0o600:                     special,
		fs.ModeDevice | fs.ModeCharDevice | 0o600: special,
		fs.ModeNamedPipe | 0o600:                  special,
		fs.ModeSocket | 0o600:                     special,
		fs.ModeSetuid | 0o755:                     "has the setuid or setgid bit",
		fs.ModeSetgid | 0o755:                     "has the setuid or setgid bit",
	} {
		samples = append(samples, sample{
			name: "type " + mode.String(),
			zip:  makeZip(tb, entry{name: "x", mode: mode}),
			err:  `The entry "x" in the package ` + problem,
		})
	}
	linkAndDir := makeZip(tb, entry{name: "x/", edit: func(h *zip.FileHeader) { h.SetMode(link) }})
	return append(samples, sample{name: "link and directory", zip: linkAndDir, err: `The entry "x/" in the package ` + special})
}

func TestCheck(t *testing.T) {
	for _, s := range append(good(t), evil(t)...) {
		t.Run(s.name, func(t *testing.T) {
			info, err := Check(bytes.NewReader(s.zip), int64(len(s.zip)))
			if s.err != "" {
				wantError(t, err, serin.KindInvalid, s.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(s.want, info); diff != "" {
				t.Errorf("info (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCheckSize covers the packages that are too large for a table. reads bounds the bytes of the zip
// that Check may read before it decides.
func TestCheckSize(t *testing.T) {
	const limit = MaxUnzipped >> 20 // 250 MiB
	var manyFiles, manyDirectories []entry
	for i := range maxEntries + 1 {
		manyFiles = append(manyFiles, entry{name: fmt.Sprint(i), edit: func(*zip.FileHeader) {}})
	}
	for i := range maxEntries/2 + 1 {
		manyDirectories = append(manyDirectories, entry{name: fmt.Sprintf("%d/x", i), edit: func(*zip.FileHeader) {}})
	}
	fourGiB := bombEntry(t, "0", 4096, 4096<<20)
	for _, test := range []struct {
		name  string
		zip   []byte
		kind  serin.Kind
		err   string
		reads int64
	}{
		{name: "exactly the limit", zip: makeZip(t, bombEntry(t, "a", limit-1, (limit-1)<<20), bombEntry(t, "b", 1, 1<<20))},
		{
			name: "over the limit together", kind: serin.KindInvalid, err: unzippedText,
			zip: makeZip(t, bombEntry(t, "a", limit, limit<<20), entry{name: "b", body: "x"}), reads: 4096,
		},
		// Like 42.zip: 16 files of 4 GiB each.
		{name: "honest bomb", kind: serin.KindInvalid, err: unzippedText, reads: 4096, zip: makeZip(
			t, fourGiB, entry{name: "1", body: fourGiB.body, edit: fourGiB.edit}, entry{name: "2", body: fourGiB.body, edit: fourGiB.edit},
		)},
		{
			name: "lying bomb", kind: serin.KindInvalid, err: unzippedText,
			zip: makeZip(t, bombEntry(t, "a", 4096, 1000)), reads: int64(len(zeros(t, limit+1))) + 16<<10,
		},
		{
			name: "lying bombs", kind: serin.KindInvalid, err: unzippedText,
			zip: makeZip(t, bombEntry(t, "a", limit, limit<<20), entry{name: "b", edit: func(h *zip.FileHeader) { h.Method = zip.Deflate }, body: zeros(t, 9)}),
		},
		{name: "zipped", zip: make([]byte, MaxZipped+1), kind: serin.KindTooLarge, err: zippedText, reads: 1},
		{name: "zipped at the limit", zip: make([]byte, MaxZipped), kind: serin.KindInvalid, err: brokenText},
		{name: "entries", zip: makeZip(t, manyFiles...), kind: serin.KindInvalid, err: entriesText},
		{name: "most entries", zip: makeZip(t, manyFiles[1:]...)},
		{name: "implied directories", zip: makeZip(t, manyDirectories...), kind: serin.KindInvalid, err: entriesText},
		{name: "directory without end", zip: directoryOnly(1 << 20), kind: serin.KindInvalid, err: entriesText, reads: maxIndex},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &countingReader{ReaderAt: bytes.NewReader(test.zip)}
			_, err := Check(r, int64(len(test.zip)))
			if test.err != "" {
				wantError(t, err, test.kind, test.err)
			} else if err != nil {
				t.Error(err)
			}
			if got := r.bytes.Load(); test.reads > 0 && got > test.reads {
				t.Errorf("read %d bytes of the zip, want at most %d", got, test.reads)
			}
		})
	}
}

// TestCheckLinkSteps has links through links with long targets: some lead through all of them, others
// end at once, but have to be put together first.
func TestCheckLinkSteps(t *testing.T) {
	for _, first := range []string{".", "missing"} {
		entries := []entry{{name: "x"}, {name: "l0", mode: link, body: first}}
		for i := 1; i < 3000; i++ {
			target := fmt.Sprintf("l%d/%s", max(0, i%40-1), strings.Repeat("./", 400))
			entries = append(entries, entry{name: fmt.Sprintf("l%d", i), mode: link, body: target})
		}
		data := makeZip(t, entries...)
		_, err := Check(bytes.NewReader(data), int64(len(data)))
		wantError(t, err, serin.KindInvalid, "The symbolic links in the package are too many or too long to follow")
	}
}

// TestCheckOverlapOffset moves the data of one entry into that of another by one byte.
func TestCheckOverlapOffset(t *testing.T) {
	inner := makeZip(t, entry{name: "inner", body: "text", edit: func(*zip.FileHeader) {}})
	outer := makeZip(t, entry{name: "outer", body: string(inner), edit: func(*zip.FileHeader) {}}, entry{name: "inner", body: "text", edit: func(*zip.FileHeader) {}})
	at := bytes.Index(outer, inner)
	data := editDirectory(t, outer, 2, func(r []byte) { binary.LittleEndian.PutUint32(r[42:], uint32(at)) })
	_, err := Check(bytes.NewReader(data), int64(len(data)))
	wantError(t, err, serin.KindInvalid, `The entry "inner" in the package overlaps another entry`)
}

// TestCheckReadError tells a disk that fails from a zip that is broken.
func TestCheckReadError(t *testing.T) {
	data := makeZip(t, entry{name: "a", body: "text"}, entry{name: "b", body: "text"})
	total := &countingReader{ReaderAt: bytes.NewReader(data)}
	if _, err := Check(total, int64(len(data))); err != nil {
		t.Fatal(err)
	}
	for fail := int64(1); fail <= total.reads.Load(); fail++ {
		_, err := Check(&countingReader{ReaderAt: bytes.NewReader(data), fail: fail}, int64(len(data)))
		if _, ok := errors.AsType[*serin.Error](err); ok || !errors.Is(err, errDisk) {
			t.Fatalf("read %d fails: error %v, want %v and no *serin.Error", fail, err, errDisk)
		}
	}
}
