package awsapi

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // one of the checksums that S3 offers
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"strconv"
	"strings"

	"serin/internal/s3"
)

const (
	streamingPrefix = "STREAMING-"
	maxChunkLine    = 1024 // bytes of the line before a chunk or of a trailer
	maxTrailers     = 8
	checksumPrefix  = "X-Amz-Checksum-"
)

// nvmeCRC64 is the polynomial of the checksum CRC64NVME, reversed.
const nvmeCRC64 = 0x9a6c9329ac4bc9b5

// newChecksum returns the hash that a header x-amz-checksum-NAME is made with, or nil.
func newChecksum(header string) hash.Hash {
	switch strings.ToLower(strings.TrimPrefix(http.CanonicalHeaderKey(header), checksumPrefix)) {
	case "crc32":
		return crc32.NewIEEE()
	case "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "crc64nvme":
		return crc64.New(crc64.MakeTable(nvmeCRC64))
	case "sha1":
		return sha1.New() //nolint:gosec // as above
	case "sha256":
		return sha256.New()
	default:
		return nil
	}
}

// chunkSigner verifies the signatures of chunks, each of which continues that of the one before.
type chunkSigner struct {
	key         []byte
	date, scope string
	previous    string
}

// verify checks the signature of a chunk, or of the trailers, with the given hash.
func (s *chunkSigner) verify(kind, signature string, sum []byte) error {
	lines := []string{algorithm + kind, s.date, s.scope, s.previous}
	if kind == "-PAYLOAD" {
		empty := sha256.Sum256(nil)
		lines = append(lines, hex.EncodeToString(empty[:]))
	}
	want := hex.EncodeToString(sign(s.key, []byte(strings.Join(append(lines, hex.EncodeToString(sum)), "\n"))))
	if !hmac.Equal([]byte(want), []byte(signature)) {
		return s3.BadDigest("The signature of a chunk does not match what was received.")
	}
	s.previous = signature
	return nil
}

// s3Body is the body of a request to S3: without its coding, and with an error at its end, before whoever reads it has seen the last
// byte succeed, if it is not what was signed or what its checksums say.
type s3Body struct {
	inner  io.Closer
	source *bufio.Reader
	signer *chunkSigner // nil if nothing is signed

	length    int64 // of the content, -1 if not known
	read      int64
	chunked   bool
	signed    bool  // the chunks are
	remaining int64 // of the chunk
	line      chunkLine
	chunkSum  hash.Hash

	whole     hash.Hash // SHA-256 of all of it, if declared
	wholeWant string

	checkHeader string // x-amz-checksum-…, in a header or in the trailer
	checkSum    hash.Hash
	checkWant   string
	inTrailer   bool

	end error // io.EOF after the end
}

// newS3Body reads what the headers say of a body. declared is X-Amz-Content-Sha256.
func newS3Body(r *http.Request, declared string, signer *chunkSigner) io.ReadCloser {
	b := &s3Body{inner: r.Body, source: bufio.NewReaderSize(r.Body, 32<<10), signer: signer, length: r.ContentLength}
	switch {
	case strings.HasPrefix(declared, streamingPrefix):
		b.chunked, b.signed = true, declared != "STREAMING-"+unsignedPayload+"-TRAILER"
		b.length = -1
		if n, err := strconv.ParseInt(r.Header.Get(headerDecodedLength), 10, 64); err == nil && n >= 0 {
			b.length = n
		}
		if name := r.Header.Get(headerTrailer); strings.HasSuffix(declared, "-TRAILER") && name != "" {
			b.checkHeader, b.inTrailer = http.CanonicalHeaderKey(strings.TrimSpace(name)), true
		}
	case len(declared) == 2*sha256.Size:
		b.whole, b.wholeWant = sha256.New(), declared
	}
	if b.checkHeader == "" && r.URL.Query().Has("partNumber") { // gofakes3 looks at those of whole objects
		for name, values := range r.Header {
			if newChecksum(name) != nil && strings.HasPrefix(name, checksumPrefix) {
				b.checkHeader, b.checkWant = name, values[0]
			}
		}
	}
	if b.checkHeader != "" {
		b.checkSum = newChecksum(b.checkHeader)
	}
	return b
}

// decodeS3Body makes the headers of a request say what its body is without its coding. A body that is empty is checked at once: nobody
// will read it.
func decodeS3Body(ctx context.Context, r *http.Request) (context.Context, error) {
	b, ok := r.Body.(*s3Body)
	if !ok {
		return ctx, nil
	}
	r.ContentLength = b.length
	r.Header.Del(headerContentSHA256)
	r.Header.Del(headerTrailer)
	r.Header.Del(headerDecodedLength)
	if b.length >= 0 {
		r.Header.Set("Content-Length", strconv.FormatInt(b.length, 10))
	} else {
		r.Header.Del("Content-Length")
		r.TransferEncoding = []string{"chunked"}
	}
	if b.inTrailer && b.checkSum != nil {
		ctx = s3.WithTrailer(ctx, b.checkHeader, func() string { return b.checkWant })
	}
	if b.length == 0 {
		if _, err := b.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
			return ctx, frontEndError("BadDigest", http.StatusBadRequest, err.Error())
		}
	}
	return ctx, nil
}

// Close implements [io.Closer].
func (b *s3Body) Close() error { return b.inner.Close() }

// Read implements [io.Reader].
func (b *s3Body) Read(p []byte) (int, error) {
	if b.end != nil {
		return 0, b.end
	}
	n, err := b.content(p)
	b.read += int64(n)
	for _, h := range []hash.Hash{b.whole, b.checkSum, b.chunkSum} {
		if h != nil {
			_, _ = h.Write(p[:n]) // a hash takes every write
		}
	}
	if b.length >= 0 && b.read >= b.length && err == nil {
		// Who reads knows the length and will not ask for the end.
		err = b.finish()
	} else if errors.Is(err, io.EOF) {
		err = b.ended()
	}
	if err != nil {
		b.end = err
	}
	return n, err
}

// content reads the next bytes of the content.
func (b *s3Body) content(p []byte) (int, error) {
	if b.length >= 0 {
		p = p[:min(int64(len(p)), b.length-b.read)]
	}
	if !b.chunked {
		if len(p) == 0 {
			return 0, nil
		}
		return b.source.Read(p)
	}
	for b.remaining == 0 {
		if err := b.nextChunk(); err != nil {
			return 0, err
		}
	}
	n, err := b.source.Read(p[:min(int64(len(p)), b.remaining)])
	b.remaining -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// finish checks that the content ends where it should.
func (b *s3Body) finish() error {
	if !b.chunked {
		return b.ended()
	}
	for {
		if b.remaining > 0 {
			return s3.Malformed("The body is longer than x-amz-decoded-content-length says.")
		}
		if err := b.nextChunk(); errors.Is(err, io.EOF) {
			return b.ended()
		} else if err != nil {
			return err
		}
	}
}

// ended returns io.EOF if the content is what was announced.
func (b *s3Body) ended() error {
	switch {
	case b.length >= 0 && b.read != b.length:
		return io.ErrUnexpectedEOF
	case b.whole != nil && hex.EncodeToString(b.whole.Sum(nil)) != b.wholeWant:
		return s3.BadDigest("The provided 'x-amz-content-sha256' header does not match what was computed.")
	case b.checkSum != nil && base64.StdEncoding.EncodeToString(b.checkSum.Sum(nil)) != b.checkWant:
		return s3.BadDigest("The " + strings.ToUpper(strings.TrimPrefix(b.checkHeader, checksumPrefix)) + " you specified did not match the calculated checksum.")
	default:
		return io.EOF
	}
}

// chunkLine is what stands before a chunk.
type chunkLine struct {
	size      int64
	signature string
	begun     bool
}

// nextChunk ends a chunk and begins the next one. It returns io.EOF after the last one and its trailers.
func (b *s3Body) nextChunk() error {
	if b.line.begun {
		if err := b.endChunk(); err != nil {
			return err
		}
	}
	text, err := b.readLine()
	if err != nil {
		return err
	}
	size, extension, _ := strings.Cut(text, ";")
	b.line = chunkLine{begun: true}
	if b.line.size, err = strconv.ParseInt(size, 16, 64); err != nil || b.line.size < 0 {
		return s3.Malformed("The size of a chunk is not a hexadecimal number.")
	}
	b.line.signature = strings.TrimPrefix(extension, "chunk-signature=")
	b.remaining = b.line.size
	if b.signed && b.signer != nil {
		b.chunkSum = sha256.New()
	}
	if b.line.size > 0 {
		return nil
	}
	if err := b.verifyChunk(); err != nil {
		return err
	}
	return b.trailers()
}

// endChunk checks the chunk whose last byte has been read.
func (b *s3Body) endChunk() error {
	if err := b.verifyChunk(); err != nil {
		return err
	}
	text, err := b.readLine()
	if err == nil && text != "" {
		err = s3.Malformed("A chunk is longer than it says.")
	}
	return err
}

func (b *s3Body) verifyChunk() error {
	if b.chunkSum == nil {
		return nil
	}
	sum := b.chunkSum.Sum(nil)
	b.chunkSum = nil
	return b.signer.verify("-PAYLOAD", b.line.signature, sum)
}

// trailers reads what follows the last chunk.
func (b *s3Body) trailers() error {
	signed := sha256.New()
	signature := ""
	for range maxTrailers {
		text, err := b.readLine()
		if errors.Is(err, io.ErrUnexpectedEOF) && text == "" || err == nil && text == "" {
			return b.endTrailers(signed, signature)
		}
		if err != nil {
			return err
		}
		name, value, _ := strings.Cut(text, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if name == "x-amz-trailer-signature" {
			signature = value
			continue
		}
		_, _ = signed.Write([]byte(name + ":" + value + "\n")) // a hash takes every write
		if http.CanonicalHeaderKey(name) == b.checkHeader {
			b.checkWant = value
		}
	}
	return s3.Malformed("The body has too many trailers.")
}

func (b *s3Body) endTrailers(signed hash.Hash, signature string) error {
	if b.signed && b.signer != nil && b.inTrailer {
		if err := b.signer.verify("-TRAILER", signature, signed.Sum(nil)); err != nil {
			return err
		}
	}
	return io.EOF
}

// readLine reads a line of the coding.
func (b *s3Body) readLine() (string, error) {
	text, err := b.source.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull) || len(text) > maxChunkLine:
		return "", s3.Malformed("A line before a chunk is too long.")
	case errors.Is(err, io.EOF):
		return string(text), io.ErrUnexpectedEOF
	case err != nil:
		return "", err
	default:
		return strings.TrimRight(string(text), "\r\n"), nil
	}
}
