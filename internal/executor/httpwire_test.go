package executor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// scripted is a connection that delivers data in steps of at most a number of bytes.
type scripted struct {
	net.Conn
	data []byte
	step int
}

func (s *scripted) Read(p []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.step)], s.data)
	s.data = s.data[n:]
	return n, nil
}

func (*scripted) SetDeadline(time.Time) error { return nil }

// parsed is what is read of a request.
type parsed struct {
	Method, Path, Body string
	ErrorType, Late    string
	Err                string
}

// parseAll reads requests until one fails, with bodies of at most limit bytes.
func parseAll(tb testing.TB, data []byte, step, limit int) []parsed {
	tb.Helper()
	c := newConn(&scripted{data: data, step: step})
	var all []parsed
	for range 20 {
		var p parsed
		err := c.readHead()
		if err == nil {
			p.Method, p.Path = string(c.req.method), string(c.req.path)
			var body []byte
			if body, err = c.readBody(limit); errors.Is(err, errTooLarge) {
				p.Err = err.Error()
				err = c.discardBody()
			}
			p.Body, p.ErrorType, p.Late = string(body), c.req.errorType, c.req.lateError
		}
		if len(c.buf) > 2*maxHeader {
			tb.Fatalf("the buffer has grown to %d bytes", len(c.buf))
		}
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			p.Err = err.Error()
			return append(all, p)
		}
		all = append(all, p)
	}
	return all
}

func TestReadRequest(t *testing.T) {
	const limit = 10
	bad := []parsed{{Err: errBadRequest.Error()}}
	for _, c := range []struct {
		name, data string
		want       []parsed
	}{
		{"plain", "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\nGET /c HTTP/1.0\n\n", []parsed{{Method: "GET", Path: "/a"}, {Method: "GET", Path: "/c"}}},
		{"blank lines", "\r\n\nGET / HTTP/1.1\r\n\r\n\r\n", []parsed{{Method: "GET", Path: "/"}}},
		{
			"body", "POST / HTTP/1.1\r\ncontent-LENGTH:  3 \r\nLambda-Runtime-Function-Error-Type: T\r\n\r\nabcPOST / HTTP/1.1\r\n\r\n",
			[]parsed{{Method: "POST", Path: "/", Body: "abc", ErrorType: "T"}, {Method: "POST", Path: "/"}},
		},
		{
			"chunks", "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r\nab\r\n003 \r\ncde\r\n0\r\nLambda-Runtime-Function-Error-Type: L\r\n\r\nGET / HTTP/1.1\r\n\r\n",
			[]parsed{{Method: "POST", Path: "/", Body: "abcde", Late: "L"}, {Method: "GET", Path: "/"}},
		},
		{"largest", "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789", []parsed{{Method: "POST", Path: "/", Body: "0123456789"}}},
		{
			"too large", "POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n0123456789aGET / HTTP/1.1\r\n\r\n",
			[]parsed{{Method: "POST", Path: "/", Err: errTooLarge.Error()}, {Method: "GET", Path: "/"}},
		},
		{
			"too many chunks", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n5\r\nghijk\r\n1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
			[]parsed{{Method: "POST", Path: "/", Err: errTooLarge.Error()}, {Method: "GET", Path: "/"}},
		},
		{"hopelessly large", "POST / HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n", []parsed{{Method: "POST", Path: "/", Err: errTooLarge.Error()}}},
		{"too large for a number", "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", bad},
		{"negative", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", bad},
		{"signed", "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\na", bad},
		{"two lengths", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", bad},
		{"two framings", "POST / HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", bad},
		{"unknown coding", "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", bad},
		{"bad chunk size", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", []parsed{{Method: "POST", Path: "/", Err: errBadRequest.Error()}}},
		{"no chunk size", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", []parsed{{Method: "POST", Path: "/", Err: errBadRequest.Error()}}},
		{"bad chunk end", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", []parsed{{Method: "POST", Path: "/", Err: errBadRequest.Error()}}},
		{"no method", " / HTTP/1.1\r\n\r\n", bad},
		{"no target", "GET  HTTP/1.1\r\n\r\n", bad},
		{"no version", "GET /\r\n\r\n", bad},
		{"other version", "GET / HTTP/2.0\r\n\r\n", bad},
		{"no colon", "GET / HTTP/1.1\r\nHost\r\n\r\n", bad},
		{"space before colon", "GET / HTTP/1.1\r\nContent-Length : 1\r\n\r\n", bad},
		{"folded", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", bad},
		{"head too large", "GET / HTTP/1.1\r\nA: " + strings.Repeat("x", 2*maxHeader), []parsed{{Err: errHeader.Error()}}},
		{
			"trailers too large", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("A: "+strings.Repeat("x", 60<<10)+"\r\n", 30),
			[]parsed{{Method: "POST", Path: "/", Err: errHeader.Error()}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, step := range []int{1, 3, 1 << 20} {
				if step == 1 && len(c.data) > 1<<20 {
					continue
				}
				if diff := cmp.Diff(c.want, parseAll(t, []byte(c.data), step, limit)); diff != "" {
					t.Errorf("in steps of %d (-want +got):\n%s", step, diff)
				}
			}
		})
	}
}

// FuzzReadPart checks that a body that is read piece by piece is the one that is read as a whole.
func FuzzReadPart(f *testing.F) {
	for _, body := range []string{
		"Content-Length: 5\r\n\r\nab\r\nc", "Content-Length: 9\r\n\r\nshort", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x\r\n\r\n\r\n0\r\nLambda-Runtime-Function-Error-Type: t\r\n\r\nGET",
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\nffffffffffffffff\r\n",
	} {
		f.Add([]byte("POST / HTTP/1.1\r\n"+body), 1, 1)
		f.Add([]byte("POST / HTTP/1.1\r\n"+body), 1000, 3)
	}
	f.Fuzz(func(t *testing.T, data []byte, step, size int) {
		const limit = 1000
		whole := newConn(&scripted{data: data, step: len(data) + 1})
		if whole.readHead() != nil {
			return
		}
		want, wantErr := whole.readBody(limit)
		if errors.Is(wantErr, errTooLarge) {
			return
		}
		parts := newConn(&scripted{data: data, step: 1 + (step & 0xff)})
		if err := parts.readHead(); err != nil {
			t.Fatal(err)
		}
		var got []byte
		var err error
		buf := make([]byte, 1+(size&0xff))
		for err == nil {
			var n int
			if n, err = parts.readPart(buf); n == 0 && err == nil {
				t.Fatal("nothing was read")
			}
			got = append(got, buf[:n]...)
		}
		if complete := errors.Is(err, errBodyEnd); complete != (wantErr == nil) || complete && !bytes.Equal(got, want) {
			t.Errorf("read %q, %v in parts, %q, %v as a whole", got, err, want, wantErr)
		}
		if wantErr == nil && parts.req.lateError != whole.req.lateError {
			t.Errorf("trailer %q, want %q", parts.req.lateError, whole.req.lateError)
		}
	})
}

// FuzzRequest checks that how bytes arrive does not matter, and that what net/http accepts as well it reads
// in the same way.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nab\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.0\n\n",
		"POST / HTTP/1.1\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 200\r\n\r\n" + strings.Repeat("x", 200),
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"\n\n\r\r\nGET / HTTP/1.1\r\n:\r\n\r\n",
	} {
		f.Add([]byte(seed), 1)
		f.Add([]byte(seed), 7)
	}
	const limit = 100
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		whole := parseAll(t, data, len(data)+1, limit)
		if diff := cmp.Diff(whole, parseAll(t, data, 1+(step&0xff), limit)); diff != "" {
			t.Errorf("in steps of %d (-whole +steps):\n%s", 1+(step&0xff), diff)
		}
		theirs := bufio.NewReader(bytes.NewReader(data))
		for i, p := range whole {
			r, err := http.ReadRequest(theirs)
			if err != nil || p.Err != "" {
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			target, _, _ := strings.Cut(r.RequestURI, "?")
			if got := fmt.Sprint(p.Method, p.Path, p.Body); got != fmt.Sprint(r.Method, target, string(body)) {
				t.Errorf("request %d is %q %q %q, net/http has %q %q %q", i, p.Method, p.Path, p.Body, r.Method, target, body)
			}
		}
	})
}
