package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"serin/internal/server"
)

// bareLoop is the least that a python runtime can be: one socket, one loop, no error handling.
const bareLoop = `
import os, socket
host, port = os.environ["API"].split(":")
s = socket.create_connection((host, int(port)))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
f = s.makefile("rb")
def answer():
    n = 0
    while (line := f.readline()) != b"\r\n":
        if line.startswith(b"Content-Length: "):
            n = int(line[16:])
    return f.read(n)
while True:
    s.sendall(b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
    body = answer()
    s.sendall(b"POST /response HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    answer()
`

// floor is the least that an invocation can cost with net/http in front: the goroutine that serves the client
// writes the event to the connection on which the runtime waits, and reads the response from it.
type floor struct {
	conn   net.Conn
	reader *bufio.Reader
}

func newFloor(b *testing.B) http.Handler {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	cmd := exec.CommandContext(b.Context(), "python3", "-c", bareLoop)
	cmd.Env, cmd.Stderr = append(os.Environ(), "API="+l.Addr().String()), os.Stderr
	must(b, cmd.Start())
	conn, err := l.Accept()
	must(b, err)
	b.Cleanup(func() { conn.Close(); l.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return &floor{conn, bufio.NewReader(conn)}
}

// message reads a request of the runtime and returns its body.
func (f *floor) message() []byte {
	n := 0
	for {
		line, err := f.reader.ReadSlice('\n')
		if err != nil || len(line) <= 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			n, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
	}
	body := make([]byte, n)
	_, _ = io.ReadFull(f.reader, body)
	return body
}

func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	payload, _ := io.ReadAll(r.Body)
	f.message()
	_, _ = fmt.Fprintf(f.conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(payload), payload)
	_, _ = w.Write(f.message())
	_ = http.NewResponseController(w).Flush()
	_, _ = io.WriteString(f.conn, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
}

// caller sends the same bytes again and again over one connection, with as little work as possible.
type caller struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
}

const benchEvent = `{"message":"hello, world"}`

func newCaller(tb testing.TB, endpoint string, sign func(*http.Request)) *caller {
	tb.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, endpoint+"/2015-03-31/functions/bench/invocations", strings.NewReader(benchEvent))
	must(tb, err)
	if sign != nil {
		sign(req)
	}
	var text bytes.Buffer
	must(tb, req.Write(&text))
	conn, err := net.Dial("tcp", req.URL.Host)
	must(tb, err)
	tb.Cleanup(func() { conn.Close() })
	return &caller{conn, bufio.NewReader(conn), text.Bytes()}
}

func (c *caller) call() error {
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && !bytes.Contains(body, []byte("hello, world")) {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return err
}

// signer signs as a client does; the signature is good for five minutes, so a benchmark must be shorter.
func (r *running) signer(tb testing.TB) func(*http.Request) {
	tb.Helper()
	return func(req *http.Request) {
		digest := sha256.Sum256([]byte(benchEvent))
		err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: r.AccessKeyID, SecretAccessKey: r.SecretAccessKey},
			req, hex.EncodeToString(digest[:]), "lambda", r.Region, time.Now())
		must(tb, err)
	}
}

// BenchmarkInvokeWarm is one warm invocation of a python function at a time, through everything: HTTP,
// signature, routing, execution environment, metrics. It alternates with the floor in one run; the ratios are what
// counts.
func BenchmarkInvokeWarm(b *testing.B) {
	needs(b, "python3")
	signed := start(b)
	signed.create(b, "bench", "def handler(event, context):\n    return event\n", 0)
	open := start(b, func(c *server.Config) { c.Auth = server.AuthNone })
	open.create(b, "bench", "def handler(event, context):\n    return event\n", 0)
	bare := httptest.NewServer(newFloor(b))
	b.Cleanup(bare.Close)
	names := []string{"floor", "serin", "signed"}
	callers := []*caller{newCaller(b, bare.URL, nil), newCaller(b, open.Endpoint, nil), newCaller(b, signed.Endpoint, signed.signer(b))}
	times := make([][]float64, len(callers))
	for _, c := range callers {
		for range 200 {
			must(b, c.call())
		}
	}
	i := 0
	for b.Loop() {
		which := i / 100 % len(callers)
		began := time.Now()
		must(b, callers[which].call())
		times[which] = append(times[which], float64(time.Since(began).Nanoseconds())/1e3)
		i++
	}
	if len(times[2]) == 0 {
		return // the first, single iteration
	}
	at := func(which int, q float64) float64 {
		slices.Sort(times[which])
		return times[which][int(q*float64(len(times[which])-1))]
	}
	for which, name := range names {
		b.ReportMetric(at(which, 0.5), name+"-p50-µs")
		b.ReportMetric(at(which, 0.99), name+"-p99-µs")
	}
	b.ReportMetric(at(1, 0.5)/at(0, 0.5), "p50-ratio")
	b.ReportMetric(0, "ns/op") // of all three together: says nothing
}

// BenchmarkInvokeThroughput is eight callers at once.
func BenchmarkInvokeThroughput(b *testing.B) {
	needs(b, "python3")
	r := start(b)
	r.create(b, "bench", "def handler(event, context):\n    return event\n", 0)
	const concurrency = 8
	var callers []*caller
	for range concurrency {
		callers = append(callers, newCaller(b, r.Endpoint, r.signer(b)))
	}
	each := func(n int) {
		var wg sync.WaitGroup
		for _, c := range callers {
			wg.Go(func() {
				for range n {
					if err := c.call(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	each(20)
	b.ResetTimer()
	began := time.Now()
	each(max(1, b.N/concurrency))
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "invocations/s")
}

// BenchmarkUpdateAlias is an alias update from the request to the reply, by which it is on disk and routed by.
func BenchmarkUpdateAlias(b *testing.B) {
	r := start(b)
	r.create(b, "bench", reporting, 2)
	_, err := r.CreateAlias(b.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("bench"), Name: aws.String("live"), FunctionVersion: aws.String("1")})
	must(b, err)
	i := 0
	for b.Loop() {
		i++
		_, err := r.UpdateAlias(b.Context(), &lambda.UpdateAliasInput{
			FunctionName: aws.String("bench"), Name: aws.String("live"), FunctionVersion: aws.String(strconv.Itoa(i%2 + 1)),
		})
		must(b, err)
	}
}

// BenchmarkPublish is a code update and the publication of the new version.
func BenchmarkPublish(b *testing.B) {
	r := start(b)
	r.create(b, "bench", reporting, 0)
	code := zipped(b, "app.py", reporting)
	for b.Loop() {
		_, err := r.UpdateFunctionCode(b.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("bench"), ZipFile: code})
		must(b, err)
		_, err = r.PublishVersion(b.Context(), &lambda.PublishVersionInput{FunctionName: aws.String("bench")})
		must(b, err)
	}
}

// BenchmarkStart is a server's start on an empty directory, until it serves, and its end.
func BenchmarkStart(b *testing.B) {
	var until time.Duration
	for b.Loop() {
		began := time.Now()
		r := start(b)
		until += time.Since(began)
		r.stop()
	}
	b.ReportMetric(float64(until.Milliseconds())/float64(b.N), "ms-until-ready")
}
