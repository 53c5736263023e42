package s3

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// files is a directory of files with random names.
type files struct{ root *os.Root }

// openFiles opens the directory and removes what is not named.
func openFiles(dir string, named map[string]bool) (*files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the directory of objects: %w", err)
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory of objects: %w", err)
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if !named[e.Name()] {
			err = errors.Join(err, root.RemoveAll(e.Name()))
		}
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &files{root: root}, nil
}

// write writes what the reader has into a new file and syncs it. If it fails nothing is left.
func (f *files) write(r io.Reader) (name string, size int64, err error) {
	name = newID()
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", 0, err
	}
	size, err = io.Copy(file, r)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = f.sync()
	}
	if err != nil {
		return "", 0, errors.Join(err, f.root.Remove(name))
	}
	return name, size, nil
}

func (f *files) sync() error {
	d, err := f.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (f *files) open(name string) (*os.File, error) { return f.root.Open(name) }

// read returns the bytes of a file that must have the given size.
func (f *files) read(name string, size int64) ([]byte, error) {
	file, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	_, err = io.ReadFull(file, data)
	return data, errors.Join(err, file.Close())
}

func (f *files) remove(name string) error { return f.root.Remove(name) }

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
