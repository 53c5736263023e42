package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Layers returns the path of a directory with the contents of several packages, laid over each other in the
// given order: of two files with one name, the later package's is there. It is empty without packages. What is true of
// the result of [Cache.Dir] is true of this.
func (c *Cache) Layers(ctx context.Context, sha256hex ...string) (string, error) {
	var dirs []string
	for _, name := range sha256hex {
		dir, err := c.Dir(ctx, name)
		if err != nil {
			return "", err
		}
		dirs = append(dirs, dir)
	}
	if len(dirs) == 0 {
		return "", nil
	}
	if len(dirs) == 1 {
		return dirs[0], nil
	}
	sum := sha256.Sum256([]byte(strings.Join(sha256hex, "\n")))
	return c.made(ctx, hex.EncodeToString(sum[:]), func(_ context.Context, temp string) error {
		for _, dir := range dirs {
			if err := overlay(dir, temp); err != nil {
				return err
			}
		}
		return os.Chmod(temp, 0o755)
	})
}

// overlay lays the contents of a directory over those of another, as links to its files, which cost no space.
func overlay(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == from {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		old, err := os.Lstat(target)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case old.IsDir() && d.IsDir():
			return nil
		default:
			if err := os.RemoveAll(target); err != nil {
				return err
			}
		}
		switch {
		case d.IsDir():
			// The first mode is subject to the umask.
			return errors.Join(os.Mkdir(target, 0o755), os.Chmod(target, 0o755))
		case d.Type() == fs.ModeSymlink:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		default:
			return os.Link(path, target)
		}
	})
}
