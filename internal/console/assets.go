package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed assets all:templates
var files embed.FS

const assetsPath = Prefix + "assets/"

// assets are the files that pages refer to, under addresses that change with any of them.
type assets struct {
	base string // address of the directory
	by   map[string]*asset
}

type asset struct {
	plain    []byte
	kind     string
	compress func() []byte
}

func loadAssets() (*assets, error) {
	a := &assets{by: map[string]*asset{}}
	sum := sha256.New()
	err := fs.WalkDir(files, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		_, _ = sum.Write(text) // never fails
		kind := mime.TypeByExtension(path.Ext(name))
		switch path.Ext(name) {
		case ".js":
			kind = "text/javascript; charset=utf-8"
		case "":
			kind = "text/plain; charset=utf-8"
		}
		a.by[strings.TrimPrefix(name, "assets/")] = &asset{plain: text, kind: kind, compress: sync.OnceValue(func() []byte { return zipped(text) })}
		return nil
	})
	a.base = assetsPath + hex.EncodeToString(sum.Sum(nil))[:12] + "/"
	return a, err
}

func zipped(text []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level exists
	_, _ = z.Write(text)                                  // a buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

// ServeHTTP serves a file, compressed if the browser takes that. Addresses of earlier builds lead nowhere.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.URL.Path, a.base)
	found := a.by[name]
	if !ok || found == nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Content-Type", found.kind)
	h.Set("Vary", "Accept-Encoding")
	text := found.plain
	if takesGzip(r) {
		h.Set("Content-Encoding", "gzip")
		text = found.compress()
	}
	_, _ = w.Write(text) // the caller is gone
}

func takesGzip(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
}
