package executor

import (
	"bufio"
	"bytes"
	"errors"
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
	"testing"
	"time"

	"serin/internal/sandbox"
)

// floor is the least that an invocation can cost with net/http in front and standard runtime clients behind:
// the goroutine that serves the client writes the invocation to the connection on which the runtime waits and
// reads the response from it. It parses no more than it must, keeps no time, no log, no state, and trusts the
// runtime.
type floor struct {
	c net.Conn
	r *bufio.Reader
	n int
}

// startFloor runs the function of a spec as the executor would, but bare, and connects it to a floor. It returns
// what ends it.
func startFloor(b *testing.B, e *Executor, s *Spec) (*floor, func()) {
	b.Helper()
	in, err := e.Resolve(b.Context(), s.Runtime)
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	env := e.newEnvironment(&pool{}, s)
	env.interpreter = in
	paths := &sandbox.Paths{Task: s.CodeDir, Runtime: e.runtimeDir, Tmp: "/tmp"}
	argv := in.command(s, paths)
	cmd := exec.CommandContext(b.Context(), argv[0], argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stderr = env.variables(l.Addr().String(), paths), s.CodeDir, os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return &floor{c: c, r: bufio.NewReader(c)}, func() {
		c.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// message reads one request and returns its body.
func (f *floor) message() ([]byte, error) {
	var body []byte
	length, chunked := 0, false
	for {
		line, err := f.r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if len(line) <= 2 {
			break
		}
		if n, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(n)))
		}
		chunked = chunked || bytes.HasPrefix(line, []byte("Transfer-Encoding"))
	}
	for {
		if chunked {
			line, err := f.r.ReadSlice('\n')
			if err != nil {
				return nil, err
			}
			n, _ := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 32)
			length = int(n) + 2
		}
		at := len(body)
		body = append(body, make([]byte, length)...)
		if _, err := io.ReadFull(f.r, body[at:]); err != nil {
			return nil, err
		}
		if !chunked {
			return body, nil
		}
		body = body[:len(body)-2]
		if length == 2 {
			return body, nil
		}
	}
}

func (f *floor) invoke(payload []byte) ([]byte, error) {
	if _, err := f.message(); err != nil { // GET next
		return nil, err
	}
	f.n++
	out := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: %d\r\n"+
		"Lambda-Runtime-Deadline-Ms: %d\r\nContent-Length: %d\r\n\r\n%s", f.n, time.Now().UnixMilli()+10_000, len(payload), payload)
	if _, err := f.c.Write(out); err != nil {
		return nil, err
	}
	return f.message()
}

func (f *floor) acknowledge() error {
	_, err := f.c.Write(acknowledgement)
	return err
}

func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	response, err := f.invoke(payload)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(response)
	_ = http.NewResponseController(w).Flush()
	if err := f.acknowledge(); err != nil {
		panic(err)
	}
}

// front serves invocations of one version by an executor.
type front struct {
	e *Executor
	s *Spec
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	result, err := f.e.Invoke(r.Context(), f.s, &Invocation{
		RequestID: "2f0a0d0e-1111-4222-8333-444455556666", InvokedARN: "arn:aws:lambda:us-east-1:000000000000:function:f", Payload: payload,
	})
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(result.Payload)
	_ = http.NewResponseController(w).Flush()
}

// client invokes over one keep-alive connection, with as little work as possible.
type client struct {
	c net.Conn
	r *bufio.Reader
}

func dial(b *testing.B, h http.Handler) *client {
	b.Helper()
	server := httptest.NewServer(h)
	b.Cleanup(server.Close)
	c, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return &client{c: c, r: bufio.NewReader(c)}
}

var benchEvent = `{"do":"echo","echo":{"message":"hello, world"}}`

func (c *client) invoke() error {
	if _, err := fmt.Fprintf(c.c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(benchEvent), benchEvent); err != nil {
		return err
	}
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err == nil && !bytes.Contains(body, []byte("hello, world")) {
		err = errors.New(string(body))
	}
	return err
}

type benchmarked struct {
	name string
	spec *Spec
}

func benchmarkedFunctions(b *testing.B) []benchmarked {
	b.Helper()
	gomin := goSpec(b)
	gomin.CodeDir = buildProgram(b, "gomin")
	return []benchmarked{
		{"go-min", gomin},
		{"aws-lambda-go", goSpec(b)},
		{"node", nodeSpec(b, "exports.handler = async (event) => event;\n")},
		{"python", pythonSpec(b, "def handler(event, context):\n    return event\n")},
	}
}

// BenchmarkInvokeWarm compares a warm invocation with the floor beside it, in alternating blocks of one run.
// The median of each and their ratio are what counts; the time per operation is for one of both.
func BenchmarkInvokeWarm(b *testing.B) {
	for _, bench := range benchmarkedFunctions(b) {
		b.Run(bench.name, func(b *testing.B) {
			e := newExecutor(b, Config{})
			s := bench.spec
			needInterpreter(b, e, s.Runtime)
			fl, stop := startFloor(b, e, s)
			defer stop()
			clients := []*client{dial(b, &front{e, s}), dial(b, fl)}
			if in, err := e.Resolve(b.Context(), s.Runtime); err == nil && frameLoops()[in.family] != nil {
				clients = append(clients, dial(b, startFrameFloor(b, &in)))
			}
			times := make([][]float64, len(clients))
			for _, c := range clients {
				for range 200 {
					if err := c.invoke(); err != nil {
						b.Fatal(err)
					}
				}
			}
			i := 0
			for b.Loop() {
				which := i / 100 % len(clients)
				start := time.Now()
				if err := clients[which].invoke(); err != nil {
					b.Fatal(err)
				}
				times[which] = append(times[which], float64(time.Since(start).Nanoseconds())/1e3)
				i++
			}
			report(b, times)
		})
	}
}

func report(b *testing.B, times [][]float64) {
	b.Helper()
	if len(times[len(times)-1]) == 0 {
		return // the first, single iteration
	}
	b.ReportMetric(quantile(times[0], 0.5), "executor-p50-µs")
	b.ReportMetric(quantile(times[1], 0.5), "floor-p50-µs")
	b.ReportMetric(quantile(times[0], 0.5)/quantile(times[1], 0.5), "p50-ratio")
	b.ReportMetric(quantile(times[0], 0.99)/quantile(times[1], 0.99), "p99-ratio")
	if len(times) > 2 {
		b.ReportMetric(quantile(times[0], 0.5)/quantile(times[2], 0.5), "frame-p50-ratio")
	}
}

// quantile returns a quantile of values, which it sorts.
func quantile(values []float64, q float64) float64 {
	slices.Sort(values)
	return values[int(q*float64(len(values)-1))]
}
