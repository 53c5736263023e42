package store

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"time"

	"serin"
)

// Collected is what [Store.CollectBlobs] has removed.
type Collected struct {
	Blobs int   `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

// CollectBlobs removes the blobs that nothing names and that were put or renewed before a time. A blob is named by a
// document whose text has its SHA-256, in hexadecimal or in base64, by a layer version, or by a function: its code or
// one of its layers.
//
// Between putting a blob and saving what names it lies a moment in which nothing does. So the time must lie so far back
// that whatever was begun before has ended; and whoever saves a new name for a blob that is there already puts or
// renews it first. A blob that is put while it is being removed is there afterwards. Killed at any point, it has
// removed some of what it would have.
func (s *Store) CollectBlobs(ctx context.Context, before time.Time) (Collected, error) {
	var done Collected
	s.writing.RLock()
	defer s.writing.RUnlock()
	if s.isClosed() {
		return done, ErrClosed
	}
	candidates, err := s.blobs.olderThan(before)
	if err == nil && len(candidates) > 0 {
		err = s.keepNamed(ctx, candidates)
	}
	if err != nil {
		return done, fmt.Errorf("collect blobs: %w", err)
	}
	for name := range candidates {
		size, err := s.blobs.remove(name, before)
		if err != nil {
			return done, fmt.Errorf("collect blob %s: %w", name, err)
		}
		if size >= 0 {
			done.Blobs++
			done.Bytes += size
		}
		if ctx.Err() != nil {
			return done, ctx.Err()
		}
	}
	return done, nil
}

// RenewBlob makes a blob as new as one that has just been put.
//
// Errors: [ErrNotFound].
func (s *Store) RenewBlob(_ context.Context, sha256hex string) error {
	s.blobs.removing.RLock()
	defer s.blobs.removing.RUnlock()
	if !blobName.MatchString(sha256hex) {
		return fmt.Errorf("blob %q: %w", sha256hex, ErrNotFound)
	}
	err := s.blobs.renew(sha256hex)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("blob %q: %w", sha256hex, err)
	}
	return nil
}

var (
	blobName   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	hexDigest  = regexp.MustCompile(`[0-9a-f]{64}`)
	textDigest = regexp.MustCompile(`[A-Za-z0-9+/]{43}=`)
)

// keepNamed takes away from candidates what something names. What can be the source of a new name is read before that
// which takes names over: documents, then layers, then functions, which are read as of one moment.
func (s *Store) keepNamed(ctx context.Context, candidates map[string]bool) error {
	keep := func(code serin.Code) {
		if digest, err := base64.StdEncoding.DecodeString(code.SHA256); err == nil {
			delete(candidates, hex.EncodeToString(digest))
		}
	}
	if err := s.keepInDocuments(ctx, candidates, keep); err != nil {
		return err
	}
	layers, err := s.LayerVersions(ctx, "")
	if err != nil {
		return err
	}
	for _, l := range layers {
		keep(l.Code)
	}
	for e, err := range scanFunctions(ctx, s.engine.reader(), everyFunction) {
		if err != nil {
			return err
		}
		for _, v := range append(e.function.Versions, e.function.Latest) {
			keep(v.Code)
			for _, l := range v.Config.Layers {
				keep(l.Code)
			}
		}
	}
	return nil
}

func (s *Store) keepInDocuments(ctx context.Context, candidates map[string]bool, keep func(serin.Code)) error {
	for last := (Document{}); ; {
		page, err := s.everyDocument(ctx, last)
		if err != nil {
			return err
		}
		for _, d := range page {
			for _, text := range [][]byte{[]byte(d.Name), d.Body} {
				for _, name := range hexDigest.FindAll(text, -1) {
					delete(candidates, string(name))
				}
				for _, digest := range textDigest.FindAll(text, -1) {
					keep(serin.Code{SHA256: string(digest)})
				}
			}
		}
		if len(page) < documentPage {
			return nil
		}
		last = page[len(page)-1]
	}
}

// olderThan returns the blobs that were put before a time.
func (b *blobs) olderThan(before time.Time) (map[string]bool, error) {
	found := map[string]bool{}
	err := fs.WalkDir(b.root.FS(), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Dir(file) == unfinished || !blobName.MatchString(d.Name()) {
			return err
		}
		info, err := d.Info()
		if err == nil && info.ModTime().Before(before) {
			found[d.Name()] = true
		}
		return err
	})
	return found, err
}

// remove removes a blob unless it has been put since, and returns its size, -1 if it is still there.
func (b *blobs) remove(name string, before time.Time) (int64, error) {
	b.removing.Lock()
	defer b.removing.Unlock()
	info, err := b.root.Stat(b.path(name))
	if err != nil || !info.ModTime().Before(before) {
		return -1, err
	}
	return info.Size(), b.root.Remove(b.path(name))
}

func (b *blobs) renew(name string) error {
	now := time.Now()
	return b.root.Chtimes(b.path(name), now, now)
}
