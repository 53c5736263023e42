package executor

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// frameFloor is the least that an invocation can cost with a runtime of one's own: length-prefixed frames over an
// inherited socket, one in each direction.
type frameFloor struct {
	c net.Conn
	r *bufio.Reader
}

// frameLoops are the runtimes of a frameFloor, by family.
func frameLoops() map[string][]string {
	return map[string][]string{
		"nodejs": {"-e", `
const s = new (require('net').Socket)({ fd: 3, readable: true, writable: true });
let buf = Buffer.alloc(0);
s.on('data', (d) => {
  for (buf = buf.length ? Buffer.concat([buf, d]) : d; buf.length >= 4 && buf.length >= 4 + buf.readUInt32LE(0);) {
    const end = 4 + buf.readUInt32LE(0);
    const out = JSON.stringify(JSON.parse(buf.toString('utf8', 4, end)));
    buf = buf.subarray(end);
    const frame = Buffer.allocUnsafe(4 + Buffer.byteLength(out));
    frame.writeUInt32LE(frame.length - 4);
    frame.write(out, 4);
    s.write(frame);
  }
});`},
		"python": {"-I", "-S", "-c", `
import json, _socket
s = _socket.socket(fileno=3)
while True:
    data = s.recv(65536)
    while len(data) < 4 + int.from_bytes(data[:4], "little"):
        data += s.recv(65536)
    out = json.dumps(json.loads(data[4:])).encode()
    s.send(len(out).to_bytes(4, "little") + out)`},
	}
}

// startFrameFloor runs a frame loop beside the executor, bare.
func startFrameFloor(b *testing.B, in *Interpreter) *frameFloor {
	b.Helper()
	ours, theirs, err := socketPair()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), in.Path, frameLoops()[in.family]...)
	cmd.Stderr, cmd.ExtraFiles = os.Stderr, []*os.File{theirs}
	err = cmd.Start()
	_ = theirs.Close()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = ours.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &frameFloor{c: ours, r: bufio.NewReader(ours)}
}

func (f *frameFloor) invoke(payload []byte) ([]byte, error) {
	frame := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(payload)), uint32(len(payload)))
	if _, err := f.c.Write(append(frame, payload...)); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.LittleEndian.Uint32(head[:]))
	_, err := io.ReadFull(f.r, body)
	return body, err
}

func (f *frameFloor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	response, err := f.invoke(payload)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(response)
}

// floors serves invocations by several floors, one at a time each.
type floors chan *floor

func (f floors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	one := <-f
	one.ServeHTTP(w, r)
	f <- one
}

// BenchmarkThroughput compares how many invocations eight clients get through with the floor beside it, in
// alternating blocks of one run.
func BenchmarkThroughput(b *testing.B) {
	const clients, block = 8, 50
	for _, bench := range benchmarkedFunctions(b) {
		b.Run(bench.name, func(b *testing.B) {
			e := newExecutor(b, Config{})
			needInterpreter(b, e, bench.spec.Runtime)
			bare := make(floors, clients)
			for range clients {
				fl, stop := startFloor(b, e, bench.spec)
				defer stop()
				bare <- fl
			}
			if err := e.Warm(b.Context(), bench.spec, clients); err != nil {
				b.Fatal(err)
			}
			var took [2]time.Duration
			var callers [2][]*client
			for n, handler := range []http.Handler{&front{e, bench.spec}, bare} {
				for range clients {
					callers[n] = append(callers[n], dial(b, handler))
				}
				together(b, callers[n], block)
			}
			rounds := 0
			for b.Loop() {
				for n := range callers {
					start := time.Now()
					together(b, callers[n], block)
					took[n] += time.Since(start)
				}
				rounds++
			}
			rate := func(n int) float64 { return float64(rounds*clients*block) / took[n].Seconds() }
			b.ReportMetric(rate(0), "executor-req/s")
			b.ReportMetric(rate(1), "floor-req/s")
			b.ReportMetric(rate(0)/rate(1), "rate-ratio")
		})
	}
}

// together has every client invoke n times.
func together(b *testing.B, clients []*client, n int) {
	b.Helper()
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() {
			for range n {
				if err := c.invoke(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// anEnvironment returns one of an executor that has one.
func anEnvironment(e *Executor) *environment {
	e.mu.Lock()
	defer e.mu.Unlock()
	for env := range e.envs {
		return env
	}
	return nil
}

// BenchmarkThaw measures how long a frozen environment takes to run again.
func BenchmarkThaw(b *testing.B) {
	e := newExecutor(b, Config{FreezeAfter: -1})
	needNamespaces(b, e)
	if err := e.Warm(b.Context(), goSpec(b), 1); err != nil {
		b.Fatal(err)
	}
	env := anEnvironment(e)
	var spent time.Duration
	n := 0
	for b.Loop() {
		e.freeze(env)
		start := time.Now()
		if err := env.thaw(); err != nil {
			b.Fatal(err)
		}
		spent += time.Since(start)
		n++
	}
	b.ReportMetric(float64(spent.Microseconds())/float64(n), "thaw-µs")
}

// BenchmarkKill measures how long after its deadline an invocation that never ends is answered, and nothing is left
// of its processes.
func BenchmarkKill(b *testing.B) {
	e := newExecutor(b, Config{})
	needNamespaces(b, e)
	s := shellSpec(b, "curl -sS -o /dev/null \"$api/invocation/next\"\nsleep 1000 &\nsetsid sleep 1000 &\nwhile true; do :; done")
	s.Timeout = 200 * time.Millisecond
	var answered, gone []float64
	for b.Loop() {
		if err := e.Warm(b.Context(), s, 1); err != nil {
			b.Fatal(err)
		}
		place := anEnvironment(e).sandbox
		start := time.Now()
		if _, err := e.Invoke(b.Context(), s, &Invocation{RequestID: "r", Payload: []byte("{}")}); err != nil {
			b.Fatal(err)
		}
		late := time.Since(start) - s.Timeout
		<-place.Done()
		answered = append(answered, float64(late.Microseconds())/1e3)
		gone = append(gone, float64((time.Since(start)-s.Timeout).Microseconds())/1e3)
	}
	b.ReportMetric(quantile(answered, 0.5), "answered-p50-ms")
	b.ReportMetric(quantile(gone, 0.5), "gone-p50-ms")
	b.ReportMetric(quantile(gone, 0.99), "gone-p99-ms")
}

// coldAgainstBare compares the time from nothing to a runtime that asks for an invocation, in an environment for
// which everything is prepared that can be, and as a bare process, alternating.
func coldAgainstBare(b *testing.B, e *Executor, spec *Spec, prepared func() bool) {
	b.Helper()
	times := make([][]float64, 2)
	for i := 0; b.Loop(); i++ {
		s := *spec
		s.Revision = strconv.Itoa(i)
		for !prepared() {
			time.Sleep(time.Millisecond)
		}
		start := time.Now()
		if err := e.Warm(b.Context(), &s, 1); err != nil {
			b.Fatal(err)
		}
		times[0] = append(times[0], float64(time.Since(start).Nanoseconds())/1e3)
		e.Retire(func(Key) bool { return false })
		for !prepared() {
			time.Sleep(time.Millisecond)
		}
		start = time.Now()
		fl, stop := startFloor(b, e, &s)
		if _, err := fl.message(); err != nil {
			b.Fatal(err)
		}
		times[1] = append(times[1], float64(time.Since(start).Nanoseconds())/1e3)
		stop()
	}
	report(b, times)
}

// BenchmarkColdZygote measures a cold start for which a zygote is ready, and what a zygote costs while it waits: its
// proportional set size, beside three others of its kind.
func BenchmarkColdZygote(b *testing.B) {
	for _, bench := range []benchmarked{
		{"node", nodeSpec(b, "exports.handler = async (event) => event;\n")},
		{"node-bundle", nodeSpec(b, bundle())},
		{"python", pythonSpec(b, "def handler(event, context):\n    return event\n")},
	} {
		b.Run(bench.name, func(b *testing.B) {
			const zygotes = 4
			e := newExecutor(b, Config{Zygotes: zygotes})
			needNamespaces(b, e)
			needInterpreter(b, e, bench.spec.Runtime)
			if err := e.Warm(b.Context(), bench.spec, 1); err != nil {
				b.Fatal(err)
			}
			in, err := e.Resolve(b.Context(), bench.spec.Runtime)
			if err != nil {
				b.Fatal(err)
			}
			if in.family == "nodejs" {
				awaitCode(b, e, bench.spec)
			}
			var one *zygote
			coldAgainstBare(b, e, bench.spec, func() bool {
				e.zygotes.mu.Lock()
				defer e.zygotes.mu.Unlock()
				list := e.zygotes.ready[in.Path]
				if len(list) == 0 || len(list) < zygotes {
					return false
				}
				one = list[0]
				time.Sleep(300 * time.Millisecond) // until they all wait
				return true
			})
			b.ReportMetric(pss(b, one.process.PID())/1024, "zygote-MB")
		})
	}
}

// bundle is a function that has the weight of a bundle with a large SDK: 1.7 MB of classes and functions, of which
// some are used to build tables when it is loaded.
func bundle() string {
	var text strings.Builder
	text.WriteString("const all = {};\n")
	for n := 0; text.Len() < 1_700_000; n++ {
		fmt.Fprintf(&text, `class Command%[1]d {
  constructor(input) { this.input = input; this.name = "Command%[1]d"; this.middleware = []; }
  resolve(stack, configuration, options) {
    const { logger, endpoint } = configuration;
    const context = { logger, endpoint, clientName: "Client", commandName: this.name, smithyContext: { service: "S", operation: "Op%[1]d" } };
    for (const step of this.middleware) { stack.push(step(context, options)); }
    return (request) => stack.reduceRight((next, step) => step(next), (last) => last.handle(request))(configuration.handler);
  }
}
const serialize%[1]d = (input, context) => {
  const headers = { "content-type": "application/x-amz-json-1.0", "x-amz-target": "Service.Op%[1]d" };
  const body = {};
  for (const [key, value] of Object.entries(input)) { if (value != null) { body[key] = typeof value === "object" ? { ...value } : value; } }
  return { headers, path: "/", body: JSON.stringify(body), hostname: context.endpoint };
};
all["Command%[1]d"] = { Command: Command%[1]d, serialize: serialize%[1]d, shape: [%[1]d, ["Name", "Value", "Next"], [0, [() => all["Command%[1]d"], 0]]] };
`, n)
	}
	text.WriteString("for (const [name, c] of Object.entries(all)) { c.sample = c.serialize({ name }, { endpoint: 'x' }); c.one = new c.Command({}); }\n")
	text.WriteString("require('https'); require('http2'); require('zlib');\nexports.handler = async (event) => event;\n")
	return text.String()
}

// BenchmarkColdPrepared measures a cold start in a sandbox that was prepared.
func BenchmarkColdPrepared(b *testing.B) {
	for _, bench := range benchmarkedFunctions(b) {
		b.Run(bench.name, func(b *testing.B) {
			e := newExecutor(b, Config{SpareSandboxes: 1, Zygotes: -1})
			needNamespaces(b, e)
			needInterpreter(b, e, bench.spec.Runtime)
			coldAgainstBare(b, e, bench.spec, func() bool { return e.host.Spares() == 1 })
		})
	}
}

// pss returns the proportional set size of a process in KiB.
func pss(b *testing.B, pid int) float64 {
	b.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		lacking(b, err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib float64
		if n, _ := fmt.Sscanf(lines.Text(), "Pss: %f kB", &kib); n == 1 {
			return kib
		}
	}
	b.Fatal("no Pss")
	return 0
}
