package server_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"serin"
	"serin/internal/server"
	"serin/internal/store"
)

// What BenchmarkManyFunctions puts beside a server with one function.
const (
	manyFunctions = 10_000
	manyIdle      = 200 // functions with an idle environment
)

// BenchmarkManyFunctions compares a server that has 10,000 functions, 200 of which have an idle execution environment,
// with one that has a single function: the time until it serves, memory, and warm invocations, which alternate.
func BenchmarkManyFunctions(b *testing.B) {
	needs(b, "python3")
	dirs := []string{b.TempDir(), b.TempDir()}
	define(b, dirs[0], 1)
	define(b, dirs[1], manyFunctions)
	open := func(dir string) *running {
		return start(b, func(c *server.Config) { c.Data, c.Auth = dir, server.AuthNone })
	}
	starts := make([][]float64, 2)
	for i := range 6 {
		began := time.Now()
		r := open(dirs[i%2])
		starts[i%2] = append(starts[i%2], float64(time.Since(began).Microseconds())/1e3)
		r.stop()
	}
	empty := serverMemory()
	one := open(dirs[0])
	small := serverMemory() - empty
	many := open(dirs[1])
	large := serverMemory() - empty - small
	processes := processMemory(b)
	for i := range manyIdle {
		_, err := many.Invoke(b.Context(), &lambda.InvokeInput{FunctionName: aws.String(filler(i)), Payload: []byte(benchEvent)})
		must(b, err)
	}
	idle := serverMemory() - empty - small - large
	processes = processMemory(b) - processes

	callers := []*caller{newCaller(b, one.Endpoint, nil), newCaller(b, many.Endpoint, nil)}
	for _, c := range callers {
		for range 200 {
			must(b, c.call())
		}
	}
	times := make([][]float64, 2)
	for i := 0; b.Loop(); i++ {
		which := i / 100 % 2
		began := time.Now()
		must(b, callers[which].call())
		times[which] = append(times[which], float64(time.Since(began).Nanoseconds())/1e3)
	}
	if len(times[1]) == 0 {
		return // the first, single iteration
	}
	at := func(t []float64, q float64) float64 {
		slices.Sort(t)
		return t[int(q*float64(len(t)-1))]
	}
	b.ReportMetric(at(starts[0], 0.5), "start-one-ms")
	b.ReportMetric(at(starts[1], 0.5), "start-many-ms")
	b.ReportMetric((large-small)/manyFunctions/1024, "KB/function")
	b.ReportMetric(idle/manyIdle/1024, "server-KB/idle")
	b.ReportMetric(processes/manyIdle/(1<<20), "process-MB/idle")
	b.ReportMetric(at(times[0], 0.5), "one-p50-µs")
	b.ReportMetric(at(times[1], 0.5), "many-p50-µs")
	b.ReportMetric(at(times[1], 0.5)/at(times[0], 0.5), "p50-ratio")
	b.ReportMetric(at(times[1], 0.99)/at(times[0], 0.99), "p99-ratio")
	b.ReportMetric(0, "ns/op") // of both together: says nothing
}

func filler(i int) string { return fmt.Sprintf("f%05d", i) }

// define makes n functions in a data directory: bench, and as many that differ from it in name only.
func define(b *testing.B, dir string, n int) {
	b.Helper()
	r := start(b, func(c *server.Config) { c.Data = dir })
	r.create(b, "bench", "def handler(event, context):\n    return event\n", 1)
	r.stop()
	s, err := store.Open(b.Context(), store.Config{Dir: dir})
	must(b, err)
	bench, err := s.Function(b.Context(), "bench")
	must(b, err)
	var writers sync.WaitGroup
	for w := range 64 {
		writers.Go(func() {
			for i := w; i < n-1; i += 64 {
				_, _, err := s.CreateFunction(b.Context(), filler(i), func(serin.VersionNumber) (*serin.Function, error) {
					f := bench.Clone()
					f.Name = filler(i)
					f.ARN = strings.TrimSuffix(f.ARN, "bench") + f.Name
					return f, nil
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	must(b, s.Close())
}

// serverMemory is what this process uses, in bytes.
func serverMemory() float64 {
	runtime.GC()
	runtime.GC() // what finalizers have freed
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

// processMemory is what all processes below this one use, in bytes; each has its share of what several use.
func processMemory(b *testing.B) float64 {
	b.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(paths) == 0 {
		b.Skip("skipped: there is no /proc")
	}
	children := map[int][]int{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		parent, _ := strconv.Atoi(string(fields[1]))
		children[parent] = append(children[parent], pid)
	}
	total := 0.0
	for next := children[os.Getpid()]; len(next) > 0; {
		pid := next[0]
		next = append(next[1:], children[pid]...)
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		for line := range strings.Lines(string(text)) {
			var kb float64
			if _, err := fmt.Sscanf(line, "Pss: %f kB", &kb); err == nil {
				total += kb * 1024
			}
		}
	}
	return total
}
