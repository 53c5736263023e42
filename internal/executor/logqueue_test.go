package executor

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"serin"
)

// TestLogQueueSinkStuck writes much more than may wait to a sink that is stuck: the writer waits a second once, the
// platform's lines are kept, memory is bounded, and the log says in its place what is missing.
func TestLogQueueSinkStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		stuck := make(chan struct{})
		j := newJournal(&Spec{}, &LogStream{}, func(_ *LogStream, _ time.Time, _ string, line []byte) {
			<-stuck
			lines = append(lines, string(line))
		})
		start := time.Now()
		block := bytes.Repeat([]byte(strings.Repeat("x", 999)+"\n"), 32)
		for range 1000 { // 32 MB
			j.output(&j.function, time.Now(), block)
			j.awaitRoom()
		}
		j.platform(time.Now(), record{text: []byte("END")})
		if took := time.Since(start); took != stallTime {
			t.Errorf("the writer waited %v, want %v", took, stallTime)
		}
		if n := len(j.queue.waiting.data); n > maxQueued+len(block) {
			t.Errorf("%d bytes are waiting", n)
		}
		start = time.Now()
		j.finish()
		if took := time.Since(start); took != deliveryTime {
			t.Errorf("the end of the invocation waited %v, want %v", took, deliveryTime)
		}
		close(stuck)
		synctest.Wait()
		j.output(&j.function, time.Now(), []byte("after\n"))
		synctest.Wait()

		kept := 0
		for lines[kept][0] == 'x' {
			kept++
		}
		lost := 32_000 - kept
		want := []string{"END", fmt.Sprintf("LOGS_DROPPED Records: %d\tBytes: %d\tReason: The log could not be written as fast as the function wrote to it.", lost, 999*lost), "after"}
		if got := lines[kept:]; strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("after %d lines: %q, want %q", kept, got, want)
		}
	})
}

// TestLogQueueSinkSlow writes to a sink that is slower than the writer: the writer waits, and nothing is dropped.
func TestLogQueueSinkSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count := 0
		j := newJournal(&Spec{}, &LogStream{}, func(*LogStream, time.Time, string, []byte) {
			time.Sleep(time.Millisecond)
			count++
		})
		block := bytes.Repeat([]byte(strings.Repeat("x", 4095)+"\n"), 8)
		for range 500 {
			j.output(&j.function, time.Now(), block)
			j.awaitRoom()
		}
		<-j.queue.delivering()
		if count != 4000 {
			t.Errorf("%d lines, want 4000", count)
		}
	})
}

// TestPrintWithoutEnd runs a function that prints without end, to a sink that is stuck. It runs into its time limit, the
// next one works, and the server's memory stays bounded.
func TestPrintWithoutEnd(t *testing.T) {
	var stuck atomic.Bool
	release := make(chan struct{})
	var events logRecorder
	sink := func(stream *LogStream, at time.Time, requestID string, line []byte) {
		if stuck.Load() {
			<-release
		}
		if !bytes.HasPrefix(line, []byte("ppp")) {
			events.sink(stream, at, requestID, line)
		}
	}
	e := newExecutor(t, Config{Logs: sink})
	s := goSpec(t)
	s.Timeout = 3 * time.Second
	stuck.Store(true)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := invoke(t, e, s, `{"do":"print","n":1000000000}`)
	runtime.ReadMemStats(&after)
	if r.Outcome != serin.OutcomeTimeout {
		t.Errorf("outcome %s, want a timeout", r.Outcome)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("the server's memory grew by %d MB", grown>>20)
	}
	stuck.Store(false)
	close(release)
	r2 := invoke(t, e, s, `{"do":"echo","echo":1}`)
	if string(r2.Payload) != "1" {
		t.Errorf("the next invocation: %s", r2.Payload)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantLines(t, events.lines(r.EnvironmentID), "^INIT_START", "^START", "Task timed out", "^END", "^REPORT", "^LOGS_DROPPED Records: [0-9]+\tBytes:")
}

// TestPrintMuch prints a lot, to a sink that does nothing with it, and is answered.
func TestPrintMuch(t *testing.T) {
	const n = 1 << 20 // lines of 100 bytes
	e := newExecutor(t, Config{Logs: func(*LogStream, time.Time, string, []byte) {}})
	s := goSpec(t)
	s.Timeout = time.Minute
	if r := invoke(t, e, s, fmt.Sprintf(`{"do":"print","n":%d}`, n)); r.Outcome != serin.OutcomeOK {
		t.Errorf("outcome %s: %s", r.Outcome, r.Payload)
	}
}
