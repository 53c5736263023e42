package executor

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// logRecorder keeps log events.
type logRecorder struct {
	mu     sync.Mutex
	events []logEvent
}

type logEvent struct {
	stream    LogStream
	requestID string
	line      string
}

func (l *logRecorder) sink(stream *LogStream, _ time.Time, requestID string, line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, logEvent{*stream, requestID, string(line)})
}

// lines returns the lines of an environment.
func (l *logRecorder) lines(environment string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for _, e := range l.events {
		if strings.HasSuffix(e.stream.Name, environment) {
			lines = append(lines, e.line)
		}
	}
	return lines
}

// wantLines checks that lines match expressions in their order; other lines may lie between them.
func wantLines(t *testing.T, lines []string, expressions ...string) {
	t.Helper()
	rest := lines
	for _, x := range expressions {
		re := regexp.MustCompile(x)
		for len(rest) > 0 && !re.MatchString(rest[0]) {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			t.Fatalf("no line matches %s in its place:\n%s", x, strings.Join(lines, "\n"))
		}
		rest = rest[1:]
	}
}

func TestLogs(t *testing.T) {
	var events logRecorder
	e := newExecutor(t, Config{Logs: events.sink})
	s := pythonSpec(t, "print('at start')\ndef handler(e, c):\n    print('handling', e)\n    print('no end', end='')\n")
	needInterpreter(t, e, s.Runtime)
	id := invoke(t, e, s, `1`).EnvironmentID
	if _, err := e.Invoke(t.Context(), s, &Invocation{RequestID: "second", Payload: []byte(`2`)}); err != nil {
		t.Fatal(err)
	}
	stream := LogStream{Function: "pyfn", Version: "1", Group: "/aws/lambda/pyfn", Name: time.Now().UTC().Format("2006/01/02/") + "[1]" + id}
	var got []logEvent
	events.mu.Lock()
	defer events.mu.Unlock()
	for _, event := range events.events {
		if head, _, found := strings.Cut(event.line, ":"); found && (head == "REPORT RequestId" || head == "INIT_START Runtime Version") {
			event.line = head
		}
		got = append(got, event)
	}
	want := []logEvent{
		{stream, "", "INIT_START Runtime Version"},
		{stream, "", "at start"},
		{stream, testID, "START RequestId: " + testID + " Version: 1"},
		{stream, testID, "handling 1"},
		{stream, testID, "no end"},
		{stream, testID, "END RequestId: " + testID},
		{stream, testID, "REPORT RequestId"},
		{stream, "second", "START RequestId: second Version: 1"},
		{stream, "second", "handling 2"},
		{stream, "second", "no end"},
		{stream, "second", "END RequestId: second"},
		{stream, "second", "REPORT RequestId"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(logEvent{})); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestLogsAreComplete(t *testing.T) {
	var count, size int
	sink := func(_ *LogStream, _ time.Time, _ string, line []byte) { // events of one stream come one at a time
		if bytes.HasPrefix(line, []byte("ppp")) {
			count++
			size += len(line)
		}
	}
	e := newExecutor(t, Config{Logs: sink})
	const n = 50_000 // much more than a pipe holds
	r := invoke(t, e, goSpec(t), fmt.Sprintf(`{"do":"print","n":%d}`, n))
	if err := e.Close(t.Context()); err != nil { // orders the sink before what follows
		t.Fatal(err)
	}
	if count != n || size != 99*n {
		t.Errorf("%d lines with %d bytes, want %d and %d", count, size, n, 99*n)
	}
	if len(r.Tail) != tailSize || !bytes.HasSuffix(r.Tail, []byte(" MB\tInit Duration: "+millisecondsOf(r.InitDuration)+" ms\t\n")) {
		t.Errorf("tail of %d bytes ends with %q", len(r.Tail), r.Tail[max(0, len(r.Tail)-200):])
	}
}

func millisecondsOf(d time.Duration) string { return string(millis(nil, d)) }

func TestJournal(t *testing.T) {
	var events logRecorder
	j := newJournal(&Spec{}, &LogStream{}, events.sink)
	now := time.Now()
	j.begin("r", true)
	for _, chunk := range []string{"one\ntw", "o", "\n\nthree\r\nfo\rur\n", "part"} {
		j.output(&j.function, now, []byte(chunk))
	}
	j.platform(now, record{text: []byte("END")})
	long := strings.Repeat("x", maxLine)
	j.output(&j.function, now, []byte(long))
	j.output(&j.function, now, []byte("yz\nlast\n"))
	tail := string(j.finish())
	got := events.lines("")
	want := []string{"one", "two", "", "three", "fo\nur", "part", "END", long, "yz", "last"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if all := strings.Join(want, "\n") + "\n"; len(tail) != tailSize || !strings.HasSuffix(all, tail) {
		t.Errorf("tail of %d bytes: %.100q", len(tail), tail)
	}
	j.begin("s", false)
	j.output(&j.function, now, []byte("x\n"))
	if tail := j.finish(); len(tail) != 0 {
		t.Errorf("tail %q that nobody asked for", tail)
	}
}
