package bundle

import (
	"archive/zip"
	"cmp"
	"compress/flate"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
)

// archive reads the tree of a zip, and the content of its files one after the other.
type archive struct {
	tree     tree
	in       *input
	inflater io.ReadCloser // reused from file to file
	unzipped int64         // bytes inflated so far
}

// openArchive finds everything that can be wrong with a package short of the content of its files.
func openArchive(r io.ReaderAt, size int64) (*archive, error) {
	switch {
	case size == 0:
		return nil, errEmpty()
	case size > MaxZipped:
		return nil, errZipped()
	}
	in := &input{SectionReader: io.NewSectionReader(r, 0, size), budget: maxIndex}
	z, err := zip.NewReader(in, size)
	a := &archive{tree: tree{}, in: in}
	switch {
	case errors.Is(err, errBudget) || (err == nil && len(z.File) > maxEntries):
		return nil, errEntries()
	case err != nil:
		return nil, a.fault()
	}
	in.budget = noBudget
	if err := a.index(z.File); err != nil {
		return nil, err
	}
	if a.tree.info().Files == 0 {
		return nil, errEmpty()
	}
	return a, nil
}

// index builds the tree. What is cheap to find comes first, so that a bomb is refused before a byte
// of it is inflated.
func (a *archive) index(files []*zip.File) error {
	var declared uint64
	for _, f := range files {
		name, err := cleanName(f.Name)
		if err != nil {
			return err
		}
		mode, err := entryMode(name, f)
		if err != nil {
			return err
		}
		if f.UncompressedSize64 > MaxUnzipped-declared {
			return errUnzipped()
		}
		declared += f.UncompressedSize64
		switch {
		case mode.IsDir() && f.UncompressedSize64 > 0:
			return errBroken()
		case mode.IsDir() && name == ".":
			continue
		case name == ".":
			return errEntry(f.Name, "has no name")
		}
		if err := a.tree.add(name, &node{mode: mode, size: int64(f.UncompressedSize64), file: f}); err != nil {
			return err
		}
	}
	if err := a.checkOverlap(files); err != nil {
		return err
	}
	if err := a.readTargets(); err != nil {
		return err
	}
	return a.tree.checkLinks()
}

// entryMode returns the type of an entry and its mode as unpacked files have it: who may write is
// nobody's business but the server's, and what one may execute or read, all may.
func entryMode(name string, f *zip.File) (fs.FileMode, error) {
	const unix, macOS = 3, 19
	mode := f.Mode()
	switch mode.Type() {
	case fs.ModeDir:
		return fs.ModeDir | 0o755, nil // setgid on directories is common, and means nothing here
	case fs.ModeSymlink:
		return fs.ModeSymlink | 0o777, nil
	case 0:
	default:
		return 0, errEntry(f.Name, "is a device, a pipe, a socket or of no single type")
	}
	if mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		return 0, errEntry(f.Name, "has the setuid or setgid bit")
	}
	// A zip from Windows cannot say what is executable. One without any bit set does not either.
	creator := f.CreatorVersion >> 8
	hasModes := (creator == unix || creator == macOS) && f.ExternalAttrs>>16&0o777 != 0
	if mode&0o111 != 0 || (!hasModes && name == bootstrap) {
		return 0o755, nil
	}
	return 0o644, nil
}

// checkOverlap refuses entries that share compressed bytes or lie outside the zip. It is what keeps a
// small zip from having one long stretch of bytes inflated once per entry.
func (a *archive) checkOverlap(files []*zip.File) error {
	type span struct {
		start, end int64
		name       string
	}
	size := a.in.Size()
	spans := make([]span, 0, len(files))
	for _, f := range files {
		start, err := f.DataOffset()
		if err != nil {
			return a.fault()
		}
		if start > size || f.CompressedSize64 > uint64(size-start) {
			return errBroken()
		}
		if f.CompressedSize64 > 0 {
			spans = append(spans, span{start, start + int64(f.CompressedSize64), f.Name})
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	for i := 1; i < len(spans); i++ {
		if spans[i].start < spans[i-1].end {
			return errEntry(spans[i].name, "overlaps another entry")
		}
	}
	return nil
}

func (a *archive) readTargets() error {
	for name, n := range a.tree.sorted() {
		if n.mode.Type() != fs.ModeSymlink {
			continue
		}
		if n.size > maxName {
			return errEntry(name, "is a symbolic link without a usable target")
		}
		content, err := a.content(n.file)
		if err != nil {
			return err
		}
		target, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		n.target = string(target)
	}
	return nil
}

// content returns the bytes of a file or link. It is good until the next call.
func (a *archive) content(f *zip.File) (io.Reader, error) {
	raw, err := f.OpenRaw()
	if err != nil {
		return nil, a.fault()
	}
	switch f.Method {
	case zip.Store:
		return &content{archive: a, file: f, from: raw}, nil
	case zip.Deflate:
		if a.inflater == nil {
			a.inflater = flate.NewReader(raw)
		} else if err := a.inflater.(flate.Resetter).Reset(raw, nil); err != nil {
			return nil, fmt.Errorf("reset inflater: %w", err)
		}
		return &content{archive: a, file: f, from: a.inflater}, nil
	}
	return nil, errBroken() // AWS unzips no other methods either
}

// content counts and sums what it reads instead of believing the header: [zip.File.Open] skips a
// checksum that is zero, and cannot tell a bomb from a damaged file.
type content struct {
	archive *archive
	file    *zip.File
	from    io.Reader
	size    uint64
	sum     uint32
}

// Read returns a *serin.Error for content that is damaged or over the limit.
func (c *content) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.size += uint64(n)
	c.archive.unzipped += int64(n)
	c.sum = crc32.Update(c.sum, crc32.IEEETable, p[:n])
	switch {
	case c.archive.unzipped > MaxUnzipped:
		return 0, errUnzipped()
	case err != nil && !errors.Is(err, io.EOF):
		return 0, c.archive.fault()
	case err != nil && (c.size != c.file.UncompressedSize64 || c.sum != c.file.CRC32):
		return 0, errBroken()
	}
	return n, err
}

// fault is the error after reading the zip has failed: the server's if the input did, else the zip's.
func (a *archive) fault() error {
	if a.in.err != nil {
		return fmt.Errorf("read package: %w", a.in.err)
	}
	return errBroken()
}

var errBudget = errors.New("too many bytes read")

const noBudget = -1

// input bounds what [zip.NewReader] reads, which takes memory for every entry that it finds however
// many there are, and remembers the first error of the reader below, which the zip package mixes with
// its own. Offsets outside the zip, which come from outside, are ends of file and not errors.
type input struct {
	*io.SectionReader
	budget int // bytes left, or noBudget
	err    error
}

// ReadAt reads from the zip within the budget.
func (in *input) ReadAt(p []byte, offset int64) (int, error) {
	if in.budget != noBudget {
		if len(p) > in.budget {
			return 0, errBudget
		}
		in.budget -= len(p)
	}
	n, err := in.SectionReader.ReadAt(p, offset)
	if err != nil && !errors.Is(err, io.EOF) && in.err == nil {
		in.err = err
	}
	return n, err
}
