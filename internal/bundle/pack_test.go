package bundle

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
)

// makeDir writes files and links (a mode of type link, with the target as body) to a new directory.
func makeDir(tb testing.TB, entries ...entry) string {
	tb.Helper()
	dir := tb.TempDir()
	for _, e := range entries {
		name := filepath.Join(dir, e.name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			tb.Fatal(err)
		}
		var err error
		switch {
		case strings.HasSuffix(e.name, "/"):
			err = os.MkdirAll(name, 0o755)
		case e.mode.Type() == fs.ModeSymlink:
			err = os.Symlink(e.body, name)
		default:
			err = os.WriteFile(name, []byte(e.body), max(e.mode, 0o600))
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

func pack(tb testing.TB, source string, opts Options) ([]byte, Info) {
	tb.Helper()
	var out bytes.Buffer
	info, err := Pack(&out, source, opts)
	if err != nil {
		tb.Fatal(err)
	}
	return out.Bytes(), info
}

var program = []entry{
	{name: "bootstrap", mode: 0o755, body: "#!/bin/sh\nexec ./bin/app\n"},
	{name: "bin/app", mode: 0o700, body: strings.Repeat("code ", 1000)},
	{name: "bin-config", mode: 0o640, body: "port=1"},
	{name: "current", mode: link, body: "bin"},
	{name: "share/doc/app", mode: link, body: "../../bin/app"},
}

func TestPackCheckUnpack(t *testing.T) {
	data, packed := pack(t, makeDir(t, program...), Options{})
	checked, err := Check(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	want := Info{Files: 3, UnzippedSize: 25 + 5000 + 6 + 3 + 13, Bootstrap: true}
	if diff := cmp.Diff([]Info{want, want}, []Info{packed, checked}); diff != "" {
		t.Errorf("Pack and Check (-want +got):\n%s", diff)
	}
	b := &blobs{}
	dir, err := openCache(t, t.TempDir(), b).Dir(t.Context(), b.add(data))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		".":             "drwxr-xr-x",
		"bin":           "drwxr-xr-x",
		"bin/app":       "-r-xr-xr-x " + strings.Repeat("code ", 1000),
		"bin-config":    "-r--r--r-- port=1",
		"bootstrap":     "-r-xr-xr-x #!/bin/sh\nexec ./bin/app\n",
		"current":       "Lrwxrwxrwx bin",
		"share":         "drwxr-xr-x",
		"share/doc":     "drwxr-xr-x",
		"share/doc/app": "Lrwxrwxrwx ../../bin/app",
	}
	if diff := cmp.Diff(files, list(t, dir)); diff != "" {
		t.Errorf("unpacked (-want +got):\n%s", diff)
	}
	again, _ := pack(t, dir, Options{})
	if !bytes.Equal(again, data) {
		t.Error("the unpacked package packs to other bytes")
	}
}

func TestPackIsDeterministic(t *testing.T) {
	want, _ := pack(t, makeDir(t, program...), Options{})
	reversed := make([]entry, 0, len(program))
	for _, e := range program {
		if e.mode.Type() == 0 { // another umask, and a bootstrap without its bit
			e.mode = map[fs.FileMode]fs.FileMode{0o755: 0o600, 0o700: 0o777, 0o640: 0o644}[e.mode]
		}
		reversed = append([]entry{e}, reversed...)
	}
	dir := makeDir(t, append(reversed, entry{name: "empty/"}, entry{name: ".git/HEAD"}, entry{name: "serin.yaml", body: "function: x"})...)
	if err := os.Chtimes(filepath.Join(dir, "bin-config"), time.Now(), time.Unix(1e9, 5)); err != nil {
		t.Fatal(err)
	}
	got, _ := pack(t, dir, Options{})
	if !bytes.Equal(got, want) {
		t.Error("the same content packs to other bytes")
	}
	z, err := zip.NewReader(bytes.NewReader(got), int64(len(got)))
	if err != nil {
		t.Fatal(err)
	}
	var headers []string
	for _, f := range z.File {
		headers = append(headers, fmt.Sprint(f.Name, " ", f.Mode(), " ", f.Method, " ", f.Modified.UTC().Format(time.DateTime)))
	}
	if diff := cmp.Diff([]string{
		"bin-config -rw-r--r-- 8 1980-01-01 00:00:00",
		"bin/app -rwxr-xr-x 8 1980-01-01 00:00:00",
		"bootstrap -rwxr-xr-x 8 1980-01-01 00:00:00",
		"current Lrwxrwxrwx 8 1980-01-01 00:00:00",
		"share/doc/app Lrwxrwxrwx 8 1980-01-01 00:00:00",
	}, headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	// Every user who ships unchanged code relies on this sum.
	const sum = "5ac21f883f200f31ee08fbe84d67e17c55590fe92d3f97a5b5fa07ac654a19a7"
	if got := fmt.Sprintf("%x", sha256.Sum256(got)); got != sum {
		t.Errorf("SHA-256 %s, want %s: the bytes of packages have changed, so unchanged code ships again", got, sum)
	}
}

func TestPackIgnores(t *testing.T) {
	dir := makeDir(
		t, entry{name: "app.py"}, entry{name: "lib/serin.yaml"}, entry{name: "node_modules/a/index.js"},
		entry{name: ".git/config"}, entry{name: "vendor/x/.git", body: "gitdir: y"}, entry{name: ".serin/state"}, entry{name: "serin.yaml"},
		entry{name: ".DS_Store"}, entry{name: "lib/.DS_Store"}, entry{name: "node_modules/.cache/big"}, entry{name: "web/node_modules/.cache/big"},
		entry{name: "__pycache__/app.pyc"}, entry{name: "lib/x.pyc"},
		entry{name: "tests/x"}, entry{name: "lib/tests"}, entry{name: "secrets.env"}, entry{name: "a/b/notes.md"},
		entry{name: ".serinignore", body: "# what the function does not need\r\ntests/\r\n\r\n/secrets.env\na/**/*.md\n"},
		entry{name: "left/out"},
	)
	data, _ := pack(t, dir, Options{Ignore: []string{"left"}})
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range z.File {
		got = append(got, f.Name)
	}
	if diff := cmp.Diff([]string{"app.py", "lib/serin.yaml", "lib/tests", "node_modules/a/index.js"}, got); diff != "" {
		t.Errorf("packed (-want +got):\n%s", diff)
	}
}

func TestPackFile(t *testing.T) {
	dir := makeDir(
		t, entry{name: "app", body: "\x7fELF program"}, entry{name: "script.sh", body: "#!/bin/sh\n"}, entry{name: "mac", body: "\xcf\xfa\xed\xfe program"},
	)
	for name, size := range map[string]int64{"app": 12, "script.sh": 10, "mac": 12} {
		data, info := pack(t, filepath.Join(dir, name), Options{})
		if diff := cmp.Diff(Info{Files: 1, UnzippedSize: size, Bootstrap: true}, info); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if checked, err := Check(bytes.NewReader(data), int64(len(data))); err != nil || checked != info {
			t.Errorf("%s: Check = %+v, %v, want %+v", name, checked, err, info)
		}
	}
	script, _ := pack(t, filepath.Join(dir, "script.sh"), Options{})
	asDir, _ := pack(t, makeDir(t, entry{name: "bootstrap", body: "#!/bin/sh\n"}), Options{})
	if !bytes.Equal(script, asDir) {
		t.Error("a program and a directory with it as bootstrap pack to different bytes")
	}
}

func TestPackZip(t *testing.T) {
	data := makeZip(t, entry{name: "index.js", mode: 0o640, body: "exports.handler = 1"})
	dir := makeDir(t, entry{name: "code.zip", body: string(data)}, entry{name: "artifact", body: string(data)})
	for _, name := range []string{"code.zip", "artifact"} {
		got, info := pack(t, filepath.Join(dir, name), Options{})
		if !bytes.Equal(got, data) {
			t.Errorf("%s is not written as it is", name)
		}
		if diff := cmp.Diff(Info{Files: 1, UnzippedSize: 19}, info); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPackErrors(t *testing.T) {
	file := entry{name: "x", body: "x"}
	for _, test := range []struct {
		name    string
		entries []entry
		source  string // in the directory
		grow    map[string]int64
		opts    Options
		kind    serin.Kind
		err     string // after the directory's name is taken out
	}{
		{name: "text", entries: []entry{{name: "app.py", body: "import os"}}, source: "app.py", err: "DIR/app.py is not a directory, a zip file, an executable or a script that starts with #!"},
		{name: "empty file", entries: []entry{{name: "app"}}, source: "app", err: "DIR/app is not a directory, a zip file, an executable or a script that starts with #!"},
		{name: "device", source: "../../../../../../../../../../dev/null", err: "/dev/null is neither a directory nor a file"},
		{name: "empty", err: "DIR holds no files to package"},
		{name: "all ignored", entries: []entry{{name: ".git/x"}, {name: "empty/"}, {name: "l", mode: link, body: "empty"}}, err: "DIR holds no files to package"},
		{name: "broken zip", entries: []entry{{name: "x.ZIP", body: "text"}}, source: "x.ZIP", err: brokenText},
		{name: "evil zip", entries: []entry{{name: "x.zip", body: string(makeZip(t, entry{name: "../x"}))}}, source: "x.zip", err: `The entry "../x" in the package has ".." in its name`},
		{name: "large zip", entries: []entry{{name: "x.zip"}}, source: "x.zip", grow: map[string]int64{"x.zip": MaxZipped + 1}, kind: serin.KindTooLarge, err: zippedText},
		{name: "link outside", entries: []entry{file, {name: "node_modules/shared", mode: link, body: "../../shared"}}, err: `The entry "node_modules/shared" in the package is a symbolic link to "../../shared", which leaves the package`},
		{name: "absolute link", entries: []entry{file, {name: "l", mode: link, body: "/etc/passwd"}}, err: `The entry "l" in the package is a symbolic link to the absolute path "/etc/passwd"`},
		{name: "link through link", entries: []entry{file, {name: "d/up", mode: link, body: ".."}, {name: "l", mode: link, body: "d/up/../x"}}, err: `The entry "l" in the package is a symbolic link to "d/up/../x", which leaves the package`},
		{name: "backslash", entries: []entry{{name: `a\b`}}, err: `The entry "a\\b" in the package has a backslash or a NUL in its name`},
		{name: "bad pattern", entries: []entry{file, {name: ignoreFile, body: "a\n!b\n"}}, err: ".serinignore, line 2: patterns that start with ! are not supported"},
		{name: "bad option", entries: []entry{file}, opts: Options{Ignore: []string{"["}}, err: `the patterns to ignore, line 1: "[" is not a pattern`},
		{name: "large patterns", entries: []entry{file, {name: ignoreFile}}, grow: map[string]int64{ignoreFile: maxIgnoreFile + 1}, err: ".serinignore is larger than 65536 bytes"},
		{
			name: "unzipped", entries: []entry{file, {name: "data/a"}, {name: "data/b"}}, grow: map[string]int64{"data/a": MaxUnzipped / 2, "data/b": MaxUnzipped / 2},
			err: unzippedText + `: the largest file is "data/a" with 131072000 bytes; .serinignore can leave files out of a directory`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := makeDir(t, test.entries...)
			for name, size := range test.grow {
				if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Pack(io.Discard, filepath.Join(dir, test.source), test.opts)
			if test.kind == 0 {
				test.kind = serin.KindInvalid
			}
			wantError(t, err, test.kind, strings.ReplaceAll(test.err, "DIR", dir))
		})
	}
	if _, err := Pack(io.Discard, filepath.Join(t.TempDir(), "missing"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing source: error %v", err)
	}
}

// TestPackZippedLimit packs the same file just below and just above the limit, without 50 MiB of it.
func TestPackZippedLimit(t *testing.T) {
	dir := makeDir(t, program...)
	data, _ := pack(t, filepath.Join(dir, "bootstrap"), Options{})
	open := func(string) (io.ReadCloser, error) { return os.Open(filepath.Join(dir, "bootstrap")) }
	files := tree{bootstrap: {mode: 0o755, size: 25}}
	p := &packer{to: io.Discard, tree: files, zipped: MaxZipped - int64(len(data))}
	if _, err := p.pack(open); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	p = &packer{to: io.Discard, tree: files, zipped: MaxZipped - int64(len(data)) + 1}
	_, err := p.pack(open)
	wantError(t, err, serin.KindTooLarge,
		zippedText+`: the largest file is "bootstrap" with 25 bytes; .serinignore can leave files out of a directory`)
}

// TestPackChangingFile packs a file that is shorter or longer when it is read than when it was found.
func TestPackChangingFile(t *testing.T) {
	p := &packer{to: io.Discard, tree: tree{"log": {mode: 0o644, size: 3}}}
	for _, content := range []string{"12", "1234"} {
		_, err := p.pack(func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil })
		wantError(t, err, serin.KindInvalid, `"log" has changed while it was packaged`)
	}
}
