package executor

import (
	"encoding/binary"
	"strconv"
)

// The bootstraps of the package say what nearly every invocation needs in fewer bytes than HTTP does, on the connection
// that they inherit; the rest they say in HTTP, on the same connection. A message begins with a byte that no request of
// HTTP begins with:
//
//	ask         compactAsk                                             asks for the next invocation
//	answer      compactAnswer  length of id  u32 length  id  response  the response to an invocation, and asks for the next
//	invocation  compactAnswer  u32 length of head  u32 length  head  payload
//
// Numbers are little-endian. The head is text, a line each: deadline in milliseconds since 1970, request id, function
// ARN, trace id, client context, Cognito identity. A response that is accepted is not acknowledged; one that is refused
// is, in HTTP.
const (
	compactAsk    = 1
	compactAnswer = 2
	// compactHead is the length of an answer in front of its id.
	compactHead = 6
)

// compact returns the length of the compact message head that the connection has next, or 0 if it is not complete.
// It reports false if what comes next is not in the compact form.
func (c *conn) compact() (int, bool) {
	if c.asks {
		return 0, true
	}
	if !c.inherited || c.r == c.w {
		return 0, false
	}
	switch b := c.buf[c.r:c.w]; {
	case b[0] == compactAsk:
		return 1, true
	case b[0] != compactAnswer:
		return 0, false
	case len(b) >= compactHead && len(b) >= compactHead+int(b[1]):
		return compactHead + int(b[1]), true
	default:
		return 0, true
	}
}

// pending reports whether the head of a request has been received that has not been read.
func (c *conn) pending() bool {
	if n, ok := c.compact(); ok {
		return c.asks || n > 0
	}
	return c.head() > 0
}

// readCompact reads the head of n bytes of a compact message into c.req.
func (c *conn) readCompact(n int) {
	c.req = request{compact: true}
	if c.asks || c.buf[c.r] == compactAsk {
		c.r += n
		c.asks = false
		return
	}
	head := c.buf[c.r : c.r+n]
	c.r += n
	c.req.id, c.req.length = head[compactHead:], int64(binary.LittleEndian.Uint32(head[2:]))
	c.asks = true
}

// handleCompact serves a compact message: see handle.
func (s *session) handleCompact(c *conn) bool {
	if c.req.id == nil {
		return s.handleNext(c)
	}
	return s.handleAnswer(c, c.req.id, false)
}

// sendCompact answers an ask, behind what is queued.
func (c *conn) sendCompact(d *delivery) error {
	start := len(c.out)
	out := append(c.out, make([]byte, 1+4+4)...)
	out = strconv.AppendInt(out, d.deadline.UnixMilli(), 10)
	for _, value := range [...]string{d.RequestID, d.InvokedARN, d.TraceID, d.ClientContext, d.CognitoIdentity} {
		out = append(out, '\n')
		out = append(out, headerValue(value)...)
	}
	out[start] = compactAnswer
	binary.LittleEndian.PutUint32(out[start+1:], uint32(len(out)-start-9)) //nolint:gosec // a few KiB
	binary.LittleEndian.PutUint32(out[start+5:], uint32(len(d.Payload)))   //nolint:gosec // a few MiB
	return c.send(out, d.Payload)
}

// send sends out, which begins with what is queued, and a payload behind it.
func (c *conn) send(out, payload []byte) error {
	if len(payload) <= joinedPayload {
		c.out = append(out, payload...)
		return c.flush()
	}
	c.out = out
	if err := c.flush(); err != nil {
		return err
	}
	return c.write(payload)
}
