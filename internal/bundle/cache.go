package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	tempPrefix  = ".tmp-"
	bootMarker  = ".boot"
	unpackLimit = 5 * time.Minute // for one package, the transfer of its blob included
)

// Blob opens the zip of a package and returns it with its size in bytes. The cache closes it.
type Blob func(ctx context.Context, sha256hex string) (io.ReaderAt, int64, io.Closer, error)

// Cache holds unpacked packages, each in a directory named by the SHA-256 of its zip. A directory
// under such a name is complete: it was renamed into place, and is renamed away before it is removed.
//
// Nothing is synced to disk, because the blobs can make everything again. A cache is therefore good for
// one boot of the machine: what an earlier one left may lack data that a power cut took, and is removed.
type Cache struct {
	dir    string
	blob   Blob
	flight singleflight.Group
}

// Open makes a cache in dir, which it creates if needed and must have to itself. It removes what a
// crash has left there.
func Open(dir string, blob Blob) (*Cache, error) {
	c := &Cache{dir: dir, blob: blob}
	// Environments may run as users that must reach their own package but not list the others.
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("open package cache: %w", err)
	}
	marker := filepath.Join(dir, bootMarker)
	boot := bootID()
	old, err := os.ReadFile(marker)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open package cache: %w", err)
	}
	sameBoot := len(boot) > 0 && bytes.Equal(old, boot)
	err = c.sweep(func(name string) bool {
		return strings.HasPrefix(name, tempPrefix) || (isSHA256(name) && !sameBoot)
	})
	if err == nil && !sameBoot {
		err = os.WriteFile(marker, boot, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("open package cache: %w", err)
	}
	return c, nil
}

// bootID identifies the current boot of the machine, or is nil where the system cannot tell.
func bootID() []byte {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil
	}
	return id
}

// Dir returns the absolute or relative (as was the cache's) path of the unpacked package whose zip has
// the SHA-256, given as 64 lower-case hexadecimal digits. It unpacks the package if it is not there;
// callers that ask at the same time share one unpacking, which goes on for the others when the context
// of one ends. Nobody may change what is in the directory.
//
// An error of blob is returned as it is (wrapped); so is a *serin.Error for a zip that [Check] refuses.
func (c *Cache) Dir(ctx context.Context, sha256hex string) (string, error) {
	if !isSHA256(sha256hex) {
		return "", fmt.Errorf("package %.80q: the name is not a SHA-256", sha256hex)
	}
	return c.made(ctx, sha256hex, func(ctx context.Context, temp string) error { return c.unpack(ctx, sha256hex, temp) })
}

// made returns the path of the directory with a name. If it is not there, fill gets an empty one to fill; callers that
// ask at the same time share that.
func (c *Cache) made(ctx context.Context, name string, fill func(ctx context.Context, temp string) error) (string, error) {
	final := filepath.Join(c.dir, name)
	if _, err := os.Lstat(final); err == nil {
		return final, nil
	}
	shared := c.flight.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unpackLimit)
		defer cancel()
		// It may have been made between the look above and this one.
		if _, err := os.Lstat(final); err == nil {
			return nil, nil
		}
		return nil, c.make(final, func(temp string) error { return fill(ctx, temp) })
	})
	select {
	case result := <-shared:
		if result.Err != nil {
			return "", fmt.Errorf("package %s: %w", name, result.Err)
		}
		return final, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// make makes the directory final in one step: it is complete, or not there.
func (c *Cache) make(final string, fill func(temp string) error) error {
	temp, err := os.MkdirTemp(c.dir, tempPrefix)
	if err != nil {
		return err
	}
	if err = fill(temp); err == nil {
		err = os.Rename(temp, final)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	return nil
}

// Remove deletes the packages that keep says no to. Keep must say yes to every package that an
// environment uses or is about to use. A package that is being unpacked is not touched.
func (c *Cache) Remove(keep func(sha256hex string) bool) error {
	return c.sweep(func(name string) bool { return isSHA256(name) && !keep(name) })
}

// sweep deletes the directories of the names that are obsolete. It takes each away in one step first,
// so that no crash leaves a part of a package under its name.
func (c *Cache) sweep(obsolete func(name string) bool) error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if !obsolete(entry.Name()) {
			continue
		}
		temp, err := os.MkdirTemp(c.dir, tempPrefix)
		if err == nil {
			err = errors.Join(os.Rename(filepath.Join(c.dir, entry.Name()), filepath.Join(temp, entry.Name())), os.RemoveAll(temp))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func isSHA256(s string) bool {
	return len(s) == hex.EncodedLen(sha256.Size) && strings.Trim(s, "0123456789abcdef") == ""
}

// unpack fills a directory from the blob.
func (c *Cache) unpack(ctx context.Context, sha256hex, temp string) error {
	zip, size, closer, err := c.blob(ctx, sha256hex)
	if err != nil {
		return err
	}
	defer closer.Close()
	if size > MaxZipped {
		return errZipped()
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(zip, 0, size)); err != nil {
		return fmt.Errorf("read package: %w", err)
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); sum != sha256hex {
		return fmt.Errorf("the stored zip is damaged: its SHA-256 is %s", sum)
	}
	a, err := openArchive(zip, size)
	if err != nil {
		return err
	}
	return a.unpack(ctx, temp)
}

// unpack writes the tree into the empty directory dir. Links come last, so that nothing is ever
// written through one.
func (a *archive) unpack(ctx context.Context, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	buffer := make([]byte, 64<<10)
	for name, n := range a.tree.sorted() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if n.mode.IsDir() {
			// The first mode is subject to the umask.
			err = errors.Join(root.Mkdir(name, 0o755), root.Chmod(name, 0o755))
		} else if n.mode.IsRegular() {
			err = a.unpackFile(root, name, n, buffer)
		}
		if err != nil {
			return fmt.Errorf("unpack %q: %w", name, err)
		}
	}
	for name, n := range a.tree.sorted() {
		if n.mode.Type() != fs.ModeSymlink {
			continue
		}
		if err := root.Symlink(n.target, name); err != nil {
			return fmt.Errorf("unpack %q: %w", name, err)
		}
	}
	return root.Chmod(".", 0o755)
}

// unpackFile writes one file, which nobody may write to afterwards.
func (a *archive) unpackFile(root *os.Root, name string, n *node, buffer []byte) (err error) {
	content, err := a.content(n.file)
	if err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// Without the wrapper, the file would copy with a buffer of its own per file.
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, content, buffer); err != nil {
		return err
	}
	return f.Chmod(n.mode &^ 0o222)
}
