package executor

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
)

// The HTTP/1.1 of the runtime side. A net/http server would put two goroutines and several hand-offs
// between a client and the runtime; this reads a request on the goroutine that wants it. The peer is
// the user's program: everything it sends is bounded and nothing it sends is trusted.

const (
	// maxHeader bounds a request head, or the trailers of a body, in bytes. Runtimes send the cause of
	// an error for X-Ray in a header, which they limit to 1 MiB.
	maxHeader = 1<<20 + 64<<10
	// maxPayload is the largest response of a function, in bytes: 6 MiB and 100 bytes, as on AWS.
	maxPayload = 6<<20 + 100
	// maxDiscard bounds how much of a body that is too large is read to keep the connection usable.
	maxDiscard = 64 << 20
	// bodyStep is how much memory a body gets before it has sent any.
	bodyStep = 1 << 20
)

var (
	errBadRequest = errors.New("malformed HTTP request")
	errHeader     = errors.New("HTTP request head too large")
	errTooLarge   = errors.New("HTTP request body too large")
)

// request is the head of a request. method and path are valid until the next read from the connection.
type request struct {
	method, path []byte
	compact      bool   // it is no HTTP request but a compact message
	id           []byte // of the invocation that a compact message answers, like path

	length     int64 // of the body; 0 without a Content-Length
	chunked    bool
	expect     bool // the client waits for "100 Continue"
	closing    bool // the client does not want the connection kept
	hasLen     bool
	inChunk    bool // length is what is left of a chunk
	inTrailers bool // the last chunk has been read

	contentType  string
	errorType    string // header Lambda-Runtime-Function-Error-Type
	responseMode string // header Lambda-Runtime-Function-Response-Mode
	extension    extensionHeaders
	lateError    string // trailer Lambda-Runtime-Function-Error-Type
	lateBody     string // trailer Lambda-Runtime-Function-Error-Body, in base64
}

// hasBody reports whether there is a body that has not been read.
func (r *request) hasBody() bool { return r.length > 0 || r.chunked }

// jsonType is the content type of nearly all responses.
const jsonType = "application/json"

// errorCauseType is the content type of an error that carries a cause for X-Ray beside what the caller reads.
const errorCauseType = "application/vnd.aws.lambda.error.cause+json"

// head returns the length of the request head in the buffer, or 0 if it is not complete.
func (c *conn) head() int {
	for c.r < c.w && (c.buf[c.r] == '\r' || c.buf[c.r] == '\n') {
		c.r++ // blank lines in front of a request are allowed
		c.seen = 0
	}
	b := c.buf[c.r:c.w]
	from := max(0, c.seen-2)
	c.seen = len(b)
	end := 0
	if i := bytes.Index(b[from:], []byte("\n\r\n")); i >= 0 {
		end = from + i + 3
		b = b[:end]
	}
	if i := bytes.Index(b[from:], []byte("\n\n")); i >= 0 {
		end = from + i + 2
	}
	if end > 0 {
		c.seen = 0
	}
	return end
}

// readHead reads the head of the next request into c.req. After a timeout it can be called again.
func (c *conn) readHead() error {
	for {
		n, ok := c.compact()
		if ok && (n > 0 || c.asks) {
			c.readCompact(n)
			return nil
		}
		if n = 0; !ok {
			n = c.head()
		}
		if n > 0 {
			lines := c.buf[c.r : c.r+n]
			c.r += n
			return c.req.parse(lines)
		}
		if c.w-c.r >= maxHeader {
			return errHeader
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// parse parses a request head with its final blank line.
func (r *request) parse(lines []byte) error {
	*r = request{}
	line, rest := cutLine(lines)
	method, target, ok1 := bytes.Cut(line, []byte(" "))
	target, version, ok2 := bytes.Cut(target, []byte(" "))
	if !ok1 || !ok2 || len(method) == 0 || len(target) == 0 {
		return errBadRequest
	}
	switch string(version) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		r.closing = true
	default:
		return errBadRequest
	}
	r.method = method
	r.path, _, _ = bytes.Cut(target, []byte("?"))
	for {
		line, rest = cutLine(rest)
		if len(line) == 0 {
			break
		}
		if err := r.field(line, false); err != nil {
			return err
		}
	}
	if r.chunked && r.hasLen {
		return errBadRequest
	}
	return nil
}

// field parses a header or trailer line. Only what the Runtime API needs is kept.
func (r *request) field(line []byte, trailer bool) error {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t\r") {
		return errBadRequest
	}
	value = bytes.Trim(value, " \t")
	switch {
	case trailer && equalFold(name, "lambda-runtime-function-error-type"):
		r.lateError = string(value)
	case trailer && equalFold(name, "lambda-runtime-function-error-body"):
		r.lateBody = string(value)
	case trailer:
	case equalFold(name, "lambda-runtime-function-error-type"):
		r.errorType = string(value)
	case equalFold(name, "content-length"):
		n, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil || r.hasLen && r.length != int64(n) {
			return errBadRequest
		}
		r.length, r.hasLen = int64(n), true
	case equalFold(name, "transfer-encoding"):
		if !equalFold(value, "chunked") || r.chunked {
			return errBadRequest
		}
		r.chunked = true
	case equalFold(name, "expect"):
		r.expect = equalFold(value, "100-continue")
	case equalFold(name, "connection"):
		r.closing = r.closing || equalFold(value, "close")
	case equalFold(name, "content-type"):
		r.contentType = jsonType
		if !equalFold(value, jsonType) {
			r.contentType = string(value)
		}
	case equalFold(name, "lambda-runtime-function-response-mode"):
		r.responseMode = string(value)
	default:
		if field, ok := isExtensionHeader(name); ok {
			r.extension.field(field, value)
		}
	}
	return nil
}

// cutLine returns the first line of b without its end, and what follows.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), rest
}

// equalFold compares with an ASCII string in lower case.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// readBody reads the body of the request that readHead has read. A body over limit bytes is
// [errTooLarge]: what is left of it can be read with discardBody.
func (c *conn) readBody(limit int) ([]byte, error) {
	if c.req.chunked {
		return c.readChunks(limit)
	}
	n := int(min(c.req.length, maxDiscard+1))
	if n > limit {
		return nil, errTooLarge
	}
	body, err := c.readN(nil, n)
	if err == nil {
		c.req.length = 0
	}
	return body, err
}

// readN appends n bytes to body.
func (c *conn) readN(body []byte, n int) ([]byte, error) {
	body = slices.Grow(body, min(n, bodyStep))
	k := min(n, c.w-c.r)
	body = append(body, c.buf[c.r:c.r+k]...)
	c.r += k
	for n -= k; n > 0; {
		if len(body) == cap(body) {
			body = slices.Grow(body, min(n, len(body)))
		}
		room := body[len(body):min(cap(body), len(body)+n)]
		k, err := c.Read(room)
		body = body[:len(body)+k]
		n -= k
		if err != nil && n > 0 {
			return nil, err
		}
	}
	return body, nil
}

// readChunks reads a body in the chunked coding, and its trailers.
func (c *conn) readChunks(limit int) ([]byte, error) {
	var body []byte
	for {
		size, err := c.chunkSize()
		if err != nil {
			return nil, err
		}
		if size == 0 {
			return body, c.trailers()
		}
		if len(body)+size > limit {
			c.req.length, c.req.inChunk = int64(size), true
			return nil, errTooLarge
		}
		if body, err = c.readN(body, size); err != nil {
			return nil, err
		}
		if err := c.chunkEnd(); err != nil {
			return nil, err
		}
	}
}

// chunkSize reads the line in front of a chunk. A size that is beyond all bounds is cut.
func (c *conn) chunkSize() (int, error) {
	line, err := c.readLine()
	if err != nil {
		return 0, err
	}
	digits, _, _ := bytes.Cut(line, []byte(";"))
	n, err := strconv.ParseUint(string(bytes.TrimRight(digits, " \t")), 16, 63)
	if err != nil {
		return 0, errBadRequest
	}
	return int(min(n, maxStream+maxDiscard+1)), nil
}

func (c *conn) chunkEnd() error {
	line, err := c.readLine()
	if err == nil && len(line) != 0 {
		err = errBadRequest
	}
	return err
}

func (c *conn) trailers() error {
	for total := 0; ; {
		line, err := c.readLine()
		if err != nil || len(line) == 0 {
			c.req.chunked = false
			return err
		}
		if total += len(line); total > maxHeader {
			return errHeader
		}
		if err := c.req.field(line, true); err != nil {
			return err
		}
	}
}

// hasLine reports whether readLine need not wait.
func (c *conn) hasLine() bool { return bytes.IndexByte(c.buf[c.r:c.w], '\n') >= 0 }

// readLine reads a line, without its end. It is valid until the next read.
func (c *conn) readLine() ([]byte, error) {
	for {
		if n := bytes.IndexByte(c.buf[c.r+c.seen:c.w], '\n'); n >= 0 {
			line := c.buf[c.r : c.r+c.seen+n]
			c.r += len(line) + 1
			c.seen = 0
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		c.seen = c.w - c.r
		if c.seen >= maxHeader {
			return nil, errHeader
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// discardBody skips what is left of a body. It fails if the client waits for a go-ahead that it did not get: such a
// client may send the body or not.
func (c *conn) discardBody() error {
	if !c.req.hasBody() {
		return nil
	}
	if c.req.expect {
		return errBadRequest
	}
	left := int64(maxDiscard)
	skip := func(n int64) error {
		if left -= n; left < 0 {
			return errTooLarge
		}
		k := min(n, int64(c.w-c.r))
		c.r += int(k)
		_, err := io.CopyN(io.Discard, c, n-k)
		return err
	}
	if !c.req.chunked {
		err := skip(c.req.length)
		c.req.length = 0
		return err
	}
	if c.req.inTrailers {
		return c.trailers()
	}
	size := int(c.req.length)
	for {
		if !c.req.inChunk {
			var err error
			if size, err = c.chunkSize(); err != nil {
				return err
			}
			if size == 0 {
				return c.trailers()
			}
		}
		c.req.inChunk = false
		if err := skip(int64(size)); err != nil {
			return err
		}
		if err := c.chunkEnd(); err != nil {
			return err
		}
	}
}
