//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// BenchmarkIdle measures what a prepared sandbox costs while it waits: the proportional set size of its processes.
func BenchmarkIdle(b *testing.B) {
	h := isolating(b)
	var total float64
	n := 0
	for b.Loop() {
		s, err := h.New()
		if err != nil {
			b.Fatal(err)
		}
		total += pss(b, s.place.(*isolated).cmd.Process.Pid)
		n++
		s.Close()
	}
	b.ReportMetric(total/float64(n)/1024, "sandbox-MB")
}

// BenchmarkEnter measures how long a prepared sandbox takes to show the code. The median is what counts: what another
// sandbox leaves behind when it ends holds the kernel up.
func BenchmarkEnter(b *testing.B) {
	h := isolating(b)
	dir := b.TempDir()
	var took []time.Duration
	for b.Loop() {
		s, err := h.New()
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if _, err := s.Enter(&Contents{Task: dir, TmpMB: 64, MemoryMB: 128}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
		s.Close()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "enter-p50-µs")
}

// pss returns the proportional set size of a process and its children in KiB.
func pss(b *testing.B, pid int) float64 {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Skipf("skipped: %v", err)
	}
	_, after, _ := bytes.Cut(data, []byte("\nPss:"))
	var sum float64
	if _, err := fmt.Sscanf(string(after), "%f kB", &sum); err != nil {
		b.Fatal(err)
	}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for child := range bytes.FieldsSeq(children) {
			if n, err := strconv.Atoi(string(child)); err == nil {
				sum += pss(b, n)
			}
		}
	}
	return sum
}
