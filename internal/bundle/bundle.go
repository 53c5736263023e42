// Package bundle handles function packages: zip files as AWS Lambda takes them.
//
// A package passes through three hands. [Pack] makes one on the machine of the developer, the same
// bytes for the same content. [Check] judges one that was uploaded. A [Cache] unpacks one, once, into
// the directory that its environments serve as their code.
//
// All three share one picture of a package, the tree: clean relative names, and for each a directory,
// a file or a symbolic link. A tree refuses what cannot or must not become files below one directory:
// names that leave it, the same name twice, a file that is also a directory, links that lead outside.
// Check and Cache read the tree from a zip through the same archive, so what Check accepts, a Cache
// can unpack; and a Cache writes through [os.Root] besides, so that a mistake in the tree still cannot
// write outside the directory.
//
// A zip is hostile until proven otherwise. Its directory is read within a fixed budget of bytes, no
// two entries may share bytes (which bounds the input), and bytes are counted while they are inflated
// (which bounds the output), so a package costs at most the inflation of one of the largest legal
// size, whatever its headers say.
package bundle

import (
	"fmt"
	"io"

	"serin"
)

// The size limits of a package in bytes, as AWS documents them ("Lambda quotas") and reports them in
// GetAccountSettings as CodeSizeZipped and CodeSizeUnzipped.
const (
	MaxZipped   = 52428800
	MaxUnzipped = 262144000
)

// Bounds that AWS does not document. They keep the work that a hostile package can cause in
// proportion, and lie far above what real packages hold.
const (
	maxEntries   = 65535    // files, links and directories, those that names only imply included
	maxName      = 1024     // bytes in a name, and in the target of a link
	maxElement   = 255      // bytes between two slashes, the limit of Linux file systems
	maxDepth     = 64       // elements in a name
	maxIndex     = 16 << 20 // bytes of the zip that are read to find its entries
	maxLinkHops  = 40       // links behind one link, the limit of Linux
	maxLinkSteps = 1 << 20  // name elements visited to resolve all links of a package
)

// bootstrap is the file that the provided runtimes execute.
const bootstrap = "bootstrap"

// Info is what a package holds.
type Info struct {
	Files        int   // regular files
	UnzippedSize int64 // bytes of all files, between 0 and MaxUnzipped
	Bootstrap    bool  // the root has an executable file bootstrap, as the provided runtimes need
}

// Check reads the whole package of size bytes and says what it holds. It writes nothing.
//
// A package that breaks a rule is a [serin.Error]: [serin.KindTooLarge] if it is larger than
// [MaxZipped], else [serin.KindInvalid], with the message that AWS gives where AWS has one. Any other
// error means that r could not be read.
func Check(r io.ReaderAt, size int64) (Info, error) {
	a, err := openArchive(r, size)
	if err != nil {
		return Info{}, err
	}
	for _, n := range a.tree.sorted() {
		if !n.mode.IsRegular() {
			continue
		}
		content, err := a.content(n.file)
		if err != nil {
			return Info{}, err
		}
		if _, err := io.Copy(io.Discard, content); err != nil {
			return Info{}, err
		}
	}
	return a.tree.info(), nil
}

func errBroken() error {
	return serin.Errorf(serin.KindInvalid, "Could not unzip uploaded file. Please check your file, then try to upload again.")
}

func errEmpty() error {
	return serin.Errorf(serin.KindInvalid, "Uploaded file must be a non-empty zip")
}

func errZipped() *serin.Error {
	return serin.Errorf(serin.KindTooLarge, "Zipped size must be smaller than %d bytes", MaxZipped)
}

func errUnzipped() *serin.Error {
	return serin.Errorf(serin.KindInvalid, "Unzipped size must be smaller than %d bytes", MaxUnzipped)
}

func errEntries() error {
	return serin.Errorf(serin.KindInvalid, "A package must not hold more than %d files and directories", maxEntries)
}

// errEntry names the entry that breaks a rule. The name comes from outside, so it is quoted and cut.
func errEntry(name, format string, args ...any) error {
	return serin.Errorf(serin.KindInvalid, "The entry %.200q in the package %s", name, fmt.Sprintf(format, args...))
}
