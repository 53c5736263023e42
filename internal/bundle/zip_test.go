package bundle

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"sync/atomic"
	"testing"

	"serin"
)

// entry is one entry of a zip that a test makes. Without a mode the zip says nothing about modes, like
// one from Windows.
type entry struct {
	name string
	mode fs.FileMode
	body string
	// edit changes what the headers say about an entry; its body is then stored as raw bytes.
	edit func(*zip.FileHeader)
}

func makeZip(tb testing.TB, entries ...entry) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		var content io.Writer
		var err error
		if e.edit == nil {
			content, err = w.CreateHeader(h)
		} else {
			h.Method = zip.Store
			h.CRC32 = crc32.ChecksumIEEE([]byte(e.body))
			h.CompressedSize64 = uint64(len(e.body))
			h.UncompressedSize64 = uint64(len(e.body))
			e.edit(h)
			content, err = w.CreateRaw(h)
		}
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(content, e.body); err != nil && h.Name[len(h.Name)-1] != '/' {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// editDirectory changes the record of one entry in the directory of a zip, where only the local header
// would stay as it is.
func editDirectory(tb testing.TB, data []byte, index int, edit func(record []byte)) []byte {
	tb.Helper()
	data = bytes.Clone(data)
	for at := range data {
		if !bytes.HasPrefix(data[at:], []byte("PK\x01\x02")) {
			continue
		}
		if index == 0 {
			edit(data[at:])
			return data
		}
		index--
	}
	tb.Fatal("no such entry in the directory")
	return nil
}

// zeros returns a deflate stream that inflates to n MiB of zeros.
func zeros(tb testing.TB, n int) string {
	tb.Helper()
	var chunk bytes.Buffer
	w, err := flate.NewWriter(&chunk, flate.BestCompression)
	if err != nil {
		tb.Fatal(err)
	}
	w.Write(make([]byte, 1<<20))
	w.Flush() // ends the chunk on a byte, so that it can be repeated
	stream := bytes.Repeat(chunk.Bytes(), n)
	chunk.Reset()
	w.Close()
	return string(append(stream, chunk.Bytes()...))
}

// bombEntry inflates to mib MiB and says that it inflates to declared bytes. Its checksum is right if it
// can be accepted.
func bombEntry(tb testing.TB, name string, mib int, declared uint64) entry {
	tb.Helper()
	sum := crc32.NewIEEE()
	chunk := make([]byte, 1<<20)
	for range min(mib, MaxUnzipped>>20) {
		sum.Write(chunk)
	}
	return entry{name: name, body: zeros(tb, mib), edit: func(h *zip.FileHeader) {
		h.Method = zip.Deflate
		h.UncompressedSize64 = declared
		h.CRC32 = sum.Sum32()
	}}
}

// directoryOnly is a zip that consists of n empty directory records.
func directoryOnly(n int) []byte {
	record := make([]byte, 46)
	copy(record, "PK\x01\x02")
	data := bytes.Repeat(record, n)
	end := make([]byte, 22)
	copy(end, "PK\x05\x06")
	binary.LittleEndian.PutUint16(end[8:], uint16(n))
	binary.LittleEndian.PutUint16(end[10:], uint16(n))
	binary.LittleEndian.PutUint32(end[12:], uint32(len(data)))
	return append(data, end...)
}

// countingReader counts what is read through it, and fails the read of number fail if that is not zero.
type countingReader struct {
	io.ReaderAt
	bytes, reads atomic.Int64
	fail         int64
}

var errDisk = errors.New("input/output error")

func (r *countingReader) ReadAt(p []byte, offset int64) (int, error) {
	if r.reads.Add(1) == r.fail {
		return 0, errDisk
	}
	n, err := r.ReaderAt.ReadAt(p, offset)
	r.bytes.Add(int64(n))
	return n, err
}

// wantError fails the test unless err is a *serin.Error of the kind whose message is text.
func wantError(t *testing.T, err error, kind serin.Kind, text string) {
	t.Helper()
	e, ok := errors.AsType[*serin.Error](err)
	if !ok {
		t.Fatalf("error %v, want %q", err, text)
	}
	if e.Kind != kind || e.Message != text {
		t.Errorf("error kind %d %q, want kind %d %q", e.Kind, e.Message, kind, text)
	}
}
