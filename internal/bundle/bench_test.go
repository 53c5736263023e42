package bundle

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// fiveMB returns a package of 5 MiB in 200 files that compress to about a half, like program code.
func fiveMB(b *testing.B) string {
	b.Helper()
	random := rand.NewChaCha8([32]byte{1})
	entries := make([]entry, 200)
	for i := range entries {
		noise := make([]byte, (5<<20)/len(entries)/2)
		random.Read(noise)
		entries[i] = entry{name: fmt.Sprintf("lib/module%d/index.js", i), body: fmt.Sprintf("%x", noise)}
	}
	return makeDir(b, entries...)
}

func BenchmarkPack(b *testing.B) {
	dir := fiveMB(b)
	b.SetBytes(5 << 20)
	for b.Loop() {
		if _, err := Pack(io.Discard, dir, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	data, _ := pack(b, fiveMB(b), Options{})
	b.SetBytes(5 << 20)
	for b.Loop() {
		if _, err := Check(bytes.NewReader(data), int64(len(data))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnpack(b *testing.B) {
	data, _ := pack(b, fiveMB(b), Options{})
	blobs := &blobs{}
	sha := blobs.add(data)
	c := openCache(b, b.TempDir(), blobs)
	b.SetBytes(5 << 20)
	for b.Loop() {
		if _, err := c.Dir(b.Context(), sha); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := c.Remove(func(string) bool { return false }); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
