package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Kinds of a [FileChange].
const (
	FileAdded   = "added"
	FileChanged = "changed"
	FileRemoved = "removed"
)

// FileChange is a file or link that differs between two packages.
type FileChange struct {
	Name   string `json:"name"`
	Change string `json:"change"` // FileAdded, FileChanged or FileRemoved
	Before int64  `json:"before"` // bytes, 0 for an added file
	After  int64  `json:"after"`  // bytes, 0 for a removed file
}

// Compare returns the files and links that differ between two packages, by name: in content, in whether they are
// executable, or in where a link leads. When and in which order they were packed makes no difference, so two
// packages with other digests may be the same. Its errors are those of [Check].
func Compare(before, after []byte) ([]FileChange, error) {
	old, err := openArchive(bytes.NewReader(before), int64(len(before)))
	if err != nil {
		return nil, fmt.Errorf("the package before: %w", err)
	}
	now, err := openArchive(bytes.NewReader(after), int64(len(after)))
	if err != nil {
		return nil, fmt.Errorf("the package after: %w", err)
	}
	changes := []FileChange{}
	names := maps.Clone(old.tree)
	maps.Copy(names, now.tree)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, b := old.tree.leaf(name), now.tree.leaf(name)
		switch {
		case a == nil && b == nil:
		case a == nil:
			changes = append(changes, FileChange{Name: name, Change: FileAdded, After: b.size})
		case b == nil:
			changes = append(changes, FileChange{Name: name, Change: FileRemoved, Before: a.size})
		default:
			same, err := sameFile(old, now, a, b)
			if err != nil {
				return nil, err
			}
			if !same {
				changes = append(changes, FileChange{Name: name, Change: FileChanged, Before: a.size, After: b.size})
			}
		}
	}
	return changes, nil
}

// leaf returns a file or a link, nil for a directory: directories are there for what is in them.
func (t tree) leaf(name string) *node {
	if n := t[name]; n != nil && !n.mode.IsDir() {
		return n
	}
	return nil
}

func sameFile(old, now *archive, a, b *node) (bool, error) {
	if a.mode != b.mode || a.size != b.size || a.target != b.target || a.file.CRC32 != b.file.CRC32 {
		return false, nil
	}
	left, err := old.content(a.file)
	if err != nil {
		return false, err
	}
	right, err := now.content(b.file)
	if err != nil {
		return false, err
	}
	return sameBytes(left, right)
}

func sameBytes(left, right io.Reader) (bool, error) {
	a, b := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		n, errLeft := readFull(left, a)
		m, errRight := readFull(right, b)
		switch {
		case errLeft != nil || errRight != nil:
			return false, errors.Join(errLeft, errRight)
		case !bytes.Equal(a[:n], b[:m]):
			return false, nil
		case n < len(a):
			return true, nil
		}
	}
}

// readFull fills p, or reads to the end.
func readFull(r io.Reader, p []byte) (int, error) {
	n, err := io.ReadFull(r, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}
