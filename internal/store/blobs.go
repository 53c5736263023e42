package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
)

// blobs is a directory of files named by their content: ab/abcd…. The time of a file is when it was last put.
type blobs struct {
	root *os.Root
	// removing is held shared while a blob is put or renewed: see collect.go.
	removing sync.RWMutex
}

// unfinished is where files are written before they get their name. What is there at the start was left
// behind by a crash.
const unfinished = "unfinished"

// Blob is an open code package whose content has been verified.
type Blob struct {
	file *os.File
	size int64
}

// ReadAt reads like [io.ReaderAt].
func (b *Blob) ReadAt(p []byte, off int64) (int, error) { return b.file.ReadAt(p, off) }

// Size returns the number of bytes.
func (b *Blob) Size() int64 { return b.size }

// Close closes the file.
func (b *Blob) Close() error { return b.file.Close() }

// PutBlob keeps data and returns its SHA-256 in lower-case hexadecimal. When it returns without an error
// the data is on disk. Data that is there already is read and compared, and written again if it is damaged.
func (s *Store) PutBlob(ctx context.Context, data []byte) (string, error) {
	sum := sha256.Sum256(data)
	name := hex.EncodeToString(sum[:])
	if err := s.blobs.put(ctx, name, data); err != nil {
		return "", fmt.Errorf("write blob %s: %w", name, err)
	}
	return name, nil
}

// OpenBlob opens what [Store.PutBlob] has kept. It reads all of it once to verify it; the caller closes it.
//
// Errors: [ErrNotFound], also for what is not the name of a blob; [ErrCorrupt].
func (s *Store) OpenBlob(ctx context.Context, sha256hex string) (*Blob, error) {
	b, err := s.blobs.open(ctx, sha256hex)
	if err != nil {
		return nil, fmt.Errorf("blob %q: %w", sha256hex, err)
	}
	return b, nil
}

func openBlobs(dir string) (*blobs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the blob directory: %w", err)
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the blob directory: %w", err)
	}
	err = root.RemoveAll(unfinished)
	if err == nil {
		err = root.Mkdir(unfinished, 0o700)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("clean the blob directory: %w", err), root.Close())
	}
	return &blobs{root: root}, nil
}

func (b *blobs) put(ctx context.Context, name string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.removing.RLock()
	defer b.removing.RUnlock()
	intact, err := b.open(ctx, name)
	if err == nil {
		err = b.renew(name)
	}
	switch {
	case err == nil:
		// It may have been renamed by a call that has not synced the directory yet.
		return errors.Join(intact.Close(), b.sync(name[:2]), b.sync("."))
	case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt):
		return err
	}
	if err := b.root.Mkdir(name[:2], 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	temporary := path.Join(unfinished, rand.Text())
	err = b.write(temporary, data)
	if err == nil {
		err = b.root.Rename(temporary, b.path(name))
	}
	if err != nil {
		return errors.Join(err, b.root.RemoveAll(temporary))
	}
	return errors.Join(b.sync(name[:2]), b.sync("."))
}

// write writes a new file and syncs it.
func (b *blobs) write(name string, data []byte) error {
	f, err := b.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (b *blobs) sync(dir string) error {
	d, err := b.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (b *blobs) open(ctx context.Context, name string) (*Blob, error) {
	want, err := hex.DecodeString(name)
	if err != nil || len(want) != sha256.Size || hex.EncodeToString(want) != name {
		return nil, ErrNotFound
	}
	f, err := b.root.Open(b.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	digest := sha256.New()
	size, err := io.Copy(digest, readFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return f.Read(p)
	}))
	if err == nil && !bytes.Equal(digest.Sum(nil), want) {
		err = fmt.Errorf("%w: the content does not have this digest", ErrCorrupt)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Blob{file: f, size: size}, nil
}

func (b *blobs) path(name string) string { return path.Join(name[:2], name) }

// check verifies every blob.
func (b *blobs) check(ctx context.Context) error {
	var errs []error
	err := fs.WalkDir(b.root.FS(), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Dir(file) == unfinished {
			return err
		}
		blob, err := b.open(ctx, d.Name())
		if err != nil {
			errs = append(errs, fmt.Errorf("blob %s: %w", file, err))
			return ctx.Err()
		}
		return blob.Close()
	})
	return errors.Join(append(errs, err)...)
}

// readFunc is a function that is an [io.Reader].
type readFunc func([]byte) (int, error)

// Read calls the function.
func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
