package server

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// rootKey is the access key that a server makes at its first start.
type rootKey struct {
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	// Name is what histories call whoever uses the key; an operator may write another one.
	Name string `json:"name,omitempty"`
}

const keyFile = "root-key.json"

// loadKey reads the root key from the data directory, or makes one that only the owner can read.
func loadKey(dir string) (rootKey, error) {
	name := filepath.Join(dir, keyFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(name)
	}
	if err != nil {
		return rootKey{}, fmt.Errorf("root key: %w", err)
	}
	var k rootKey
	if err := json.Unmarshal(text, &k); err != nil || k.AccessKeyID == "" || k.SecretAccessKey == "" {
		return rootKey{}, fmt.Errorf("root key: %s is damaged; restore it, or remove it to get a new key", name)
	}
	return k, nil
}

func makeKey(name string) (rootKey, error) {
	var random [30]byte
	_, _ = rand.Read(random[:]) // never fails
	k := rootKey{
		AccessKeyID:     "AKIA" + rand.Text()[:16],
		SecretAccessKey: base64.RawURLEncoding.EncodeToString(random[:]),
		Name:            "root",
	}
	if err := writeJSON(name, k); err != nil {
		return rootKey{}, fmt.Errorf("root key: %w", err)
	}
	return k, nil
}

// writeJSON writes a document that only the owner can read: either all of it, durably, or nothing.
func writeJSON(name string, doc any) error {
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	return writeFile(name, append(text, '\n'))
}

// writeFile writes what only the owner can read: either all of it, durably, or nothing.
func writeFile(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone after the rename
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
