package bundle

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"serin"
)

const (
	ignoreFile    = ".serinignore"
	maxIgnoreFile = 64 << 10 // bytes
)

// Options change what [Pack] does.
type Options struct {
	// Ignore holds patterns in addition to those of .serinignore, in the same form.
	Ignore []string
}

// Pack writes the package of source to w and says what it holds. The same content gives the same
// bytes, and so the same SHA-256: names are sorted, times are fixed, modes are 0644 or 0755, and
// owners are left out. (The compressor is Go's: a Serin built with another release of Go may give
// other bytes.)
//
// Source is one of:
//
//   - A directory. Empty directories are left out, as are .git, .DS_Store, __pycache__, *.pyc,
//     node_modules/.cache, and at its root .serin, serin.yaml, .serinignore and what .serinignore names.
//     That file is a subset of gitignore: a pattern without a slash matches anywhere, others from the
//     root; a slash at the end means directories only; "**" is any number of directories; there is
//     no "!". Links are kept as links. A file bootstrap at the root becomes executable.
//   - A zip file, which is written as it is if [Check] accepts it.
//   - An executable: a program for Linux or macOS, or a script that starts with "#!". It becomes the
//     file bootstrap.
//
// A source that cannot be a package is a [serin.Error] as for Check. After an error, what was written
// to w is useless.
func Pack(w io.Writer, source string, opts Options) (Info, error) {
	stat, err := os.Stat(source)
	switch {
	case err != nil:
		return Info{}, fmt.Errorf("package: %w", err)
	case stat.IsDir():
		return packDir(w, source, opts)
	case !stat.Mode().IsRegular():
		return Info{}, serin.Errorf(serin.KindInvalid, "%s is neither a directory nor a file", source)
	}
	f, err := os.Open(source)
	if err != nil {
		return Info{}, fmt.Errorf("package: %w", err)
	}
	defer f.Close()
	magic := make([]byte, 4)
	n, err := f.ReadAt(magic, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return Info{}, fmt.Errorf("package: %w", err)
	}
	magic = magic[:n]
	switch {
	case bytes.HasPrefix(magic, []byte("PK")) || strings.EqualFold(filepath.Ext(source), ".zip"):
		info, err := Check(f, stat.Size())
		if err != nil {
			return Info{}, err
		}
		_, err = io.Copy(w, io.NewSectionReader(f, 0, stat.Size()))
		return info, err
	case isExecutable(magic):
		p := &packer{to: w, tree: tree{bootstrap: {mode: 0o755, size: stat.Size()}}}
		return p.pack(func(string) (io.ReadCloser, error) { return f, nil })
	}
	return Info{}, serin.Errorf(serin.KindInvalid,
		"%s is not a directory, a zip file, an executable or a script that starts with #!", source)
}

func isExecutable(magic []byte) bool {
	return bytes.HasPrefix(magic, []byte("#!")) || // script
		bytes.Equal(magic, []byte("\x7fELF")) || // Linux
		bytes.Equal(magic, []byte("\xcf\xfa\xed\xfe")) // macOS
}

// packDir reads through an [os.Root], so a link that is made while it works cannot lead it outside.
func packDir(w io.Writer, source string, opts Options) (Info, error) {
	root, err := os.OpenRoot(source)
	if err != nil {
		return Info{}, fmt.Errorf("package: %w", err)
	}
	defer root.Close()
	ignore, err := readIgnore(root, opts.Ignore)
	if err != nil {
		return Info{}, err
	}
	p := &packer{to: w, tree: tree{}}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case ignore.match(name, d.IsDir()):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		}
		return p.tree.find(root, name, d)
	})
	if err != nil {
		return Info{}, fmt.Errorf("package %s: %w", source, err)
	}
	if err := p.tree.checkLinks(); err != nil {
		return Info{}, err
	}
	if p.tree.info().Files == 0 {
		return Info{}, serin.Errorf(serin.KindInvalid, "%s holds no files to package", source)
	}
	return p.pack(func(name string) (io.ReadCloser, error) { return root.Open(name) })
}

// readIgnore adds up all patterns.
func readIgnore(root *os.Root, extra []string) (ignoreList, error) {
	own, err := readIgnoreFile(root)
	if err != nil {
		return nil, err
	}
	var list ignoreList
	for _, source := range []struct {
		name  string
		lines []string
	}{
		{"the defaults", strings.Fields(alwaysIgnored)},
		{"the patterns to ignore", extra},
		{ignoreFile, own},
	} {
		patterns, err := parseIgnore(source.lines)
		if err != nil {
			return nil, serin.Errorf(serin.KindInvalid, "%s, %v", source.name, err)
		}
		list = append(list, patterns...)
	}
	return list, nil
}

// readIgnoreFile returns the lines of .serinignore, none if there is no such file.
func readIgnoreFile(root *os.Root) ([]string, error) {
	f, err := root.Open(ignoreFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("package: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxIgnoreFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("package: %w", err)
	case len(text) > maxIgnoreFile:
		return nil, serin.Errorf(serin.KindInvalid, "%s is larger than %d bytes", ignoreFile, maxIgnoreFile)
	}
	return strings.Split(string(text), "\n"), nil
}

// find adds one file or link of the directory to the tree.
func (t tree) find(root *os.Root, name string, d fs.DirEntry) error {
	if _, err := cleanName(name); err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	n := &node{mode: 0o644, size: info.Size()}
	switch info.Mode().Type() {
	case 0:
		if info.Mode()&0o111 != 0 || name == bootstrap {
			n.mode = 0o755
		}
	case fs.ModeSymlink:
		target, err := root.Readlink(name)
		if err != nil {
			return err
		}
		n.mode = fs.ModeSymlink | 0o777
		n.target = filepath.ToSlash(target)
		n.size = int64(len(n.target))
	default:
		return errEntry(name, "is neither a file, a directory nor a symbolic link")
	}
	return t.add(name, n)
}

// packer writes the files and links of a tree as a zip.
type packer struct {
	tree   tree
	to     io.Writer
	zipped int64 // bytes written
}

// pack writes the zip. Open returns the content of a file, which pack closes.
func (p *packer) pack(open func(name string) (io.ReadCloser, error)) (Info, error) {
	info := p.tree.info()
	if info.UnzippedSize > MaxUnzipped {
		return Info{}, p.tooLarge(errUnzipped())
	}
	z := zip.NewWriter(p)
	for name, n := range p.tree.sorted() {
		if n.mode.IsDir() {
			continue
		}
		content := io.NopCloser(strings.NewReader(n.target))
		if n.mode.IsRegular() {
			var err error
			if content, err = open(name); err != nil {
				return Info{}, fmt.Errorf("package: %w", err)
			}
		}
		if err := add(z, name, n, content); err != nil {
			return Info{}, fmt.Errorf("package: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return Info{}, fmt.Errorf("package: %w", err)
	}
	return info, nil
}

// add writes one entry and closes its content, which must be of the size that was found before: a
// build that still runs makes no package.
func add(z *zip.Writer, name string, n *node, content io.ReadCloser) error {
	defer content.Close()
	header := &zip.FileHeader{
		Name:     name,
		Method:   zip.Deflate,
		Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), // the first that a zip can hold
	}
	header.SetMode(n.mode)
	entry, err := z.CreateHeader(header)
	if err != nil {
		return err
	}
	size, err := io.Copy(entry, io.LimitReader(content, n.size+1))
	if err == nil && size != n.size {
		err = serin.Errorf(serin.KindInvalid, "%.200q has changed while it was packaged", name)
	}
	return err
}

// Write passes on the bytes of the zip and fails when they are too many.
func (p *packer) Write(b []byte) (int, error) {
	if p.zipped += int64(len(b)); p.zipped > MaxZipped {
		return 0, p.tooLarge(errZipped())
	}
	return p.to.Write(b)
}

// tooLarge says where most of the bytes are.
func (p *packer) tooLarge(limit *serin.Error) error {
	largest, size := "", int64(-1)
	for name, n := range p.tree.sorted() {
		if n.size > size {
			largest, size = name, n.size
		}
	}
	return serin.Errorf(limit.Kind, "%s: the largest file is %.200q with %d bytes; %s can leave files out of a directory",
		limit.Message, largest, size, ignoreFile)
}
