package executor

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// LogStream names the log stream of an execution environment.
type LogStream struct {
	Function, Version string
	Group, Name       string
}

// LogSink takes a log event: a line of the function's output, of an extension's or of the platform's. requestID is
// empty outside of an invocation. The line has no final newline and may be used during the call only. Events of
// one stream come one at a time and in order, on a goroutine of the stream. When a result is returned, its sink has
// had the whole log, unless the sink took longer than 100 ms. A sink that is slow slows the
// function down; behind one that is stuck for a second, output is dropped and a line of the log says how much.
type LogSink func(stream *LogStream, at time.Time, requestID string, line []byte)

const (
	// maxLine is the largest log event in bytes, as in CloudWatch Logs. A longer line is cut into several.
	maxLine = 256 << 10
	// tailSize is how much of an invocation's log its result carries, in bytes.
	tailSize = 4 << 10
	// maxPipe is the largest pipe that an unprivileged process may have, in bytes: what a function wrote
	// before it responded is at most that far behind.
	maxPipe = 1 << 20
)

// journal collects the log of one environment and passes it on to the sink and to the result of an invocation.
type journal struct {
	queue *logQueue // nil discards
	// json says that lines of the platform are JSON objects, and that lines below a level are left out.
	json                bool
	application, system logLevel

	mu        sync.Mutex
	requestID string
	function  lineSource
	tail      []byte // of the invocation that runs, if it asked for it
	tailing   bool
	event     []byte // scratch
	taps      []*subscription
	initStart record // how the last initialisation began, at initAt
	initAt    time.Time
}

// lineSource is a process whose output is logged.
type lineSource struct {
	partial   []byte // a line that has no end yet
	extension bool   // not the function
}

// kind is what its lines are called in telemetry.
func (l *lineSource) kind() string {
	if l.extension {
		return "extension"
	}
	return "function"
}

// newJournal returns the log of an environment of s.
func newJournal(s *Spec, stream *LogStream, sink LogSink) *journal {
	j := &journal{json: s.JSONLogs, application: levelTrace, system: levelTrace}
	if s.JSONLogs {
		j.application = parseLevel(s.ApplicationLogLevel)
		j.system = parseLevel(s.SystemLogLevel)
	}
	if sink != nil {
		j.queue = &logQueue{sink: sink, stream: stream, notice: j.lossNotice}
	}
	return j
}

// lossNotice is the line that says what was dropped.
func (j *journal) lossNotice(lost logLoss) []byte {
	r := lossRecord(lost, "The log could not be written as fast as the function wrote to it.")
	if j.json {
		return r.object(time.Now())
	}
	return r.text
}

// begin starts the log of an invocation.
func (j *journal) begin(requestID string, tail bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.requestID, j.tailing, j.tail = requestID, tail, nil
}

// finish ends the log of an invocation and returns its last tailSize bytes if it asked for them.
func (j *journal) finish() []byte {
	j.mu.Lock()
	tail := j.tail
	j.requestID, j.tailing, j.tail = "", false, nil
	j.mu.Unlock()
	if j.queue != nil {
		j.queue.settle()
	}
	return tail[max(0, len(tail)-tailSize):]
}

// wanted reports whether anybody reads the log.
func (j *journal) wanted() bool {
	if j.queue != nil {
		return true
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.tailing || len(j.taps) > 0
}

// platform logs what the platform has to say. A line of the function that has no end yet ends before it.
func (j *journal) platform(at time.Time, r record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.endLine(&j.function, at)
	if r.kind == "platform.initStart" {
		j.initStart, j.initAt = r, at
	}
	for _, s := range j.taps {
		s.platform(at, r)
	}
	switch {
	case !j.json && len(r.text) > 0:
		j.write(at, r.text, true, j.requestID != "")
	case j.json && !r.legacy && r.level >= j.system && (j.queue != nil || j.tailing):
		j.write(at, r.object(at), true, j.requestID != "")
	}
}

// output logs what a process has written.
func (j *journal) output(from *lineSource, at time.Time, data []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(data) > 0 {
		line, rest, complete := bytes.Cut(data, []byte("\n"))
		if room := maxLine - len(from.partial); len(line) > room {
			line, rest, complete = data[:room], data[room:], true
		}
		data = rest
		switch {
		case !complete:
			from.partial = append(from.partial, line...)
		case len(from.partial) == 0:
			j.emit(from, at, line)
		default:
			from.partial = append(from.partial, line...)
			j.endLine(from, at)
		}
	}
}

func (j *journal) endLine(from *lineSource, at time.Time) {
	if len(from.partial) > 0 {
		j.emit(from, at, from.partial)
		from.partial = from.partial[:0]
	}
}

// emit passes a line of a process on. Runtimes write a line break inside an event as a carriage return.
func (j *journal) emit(from *lineSource, at time.Time, line []byte) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if bytes.IndexByte(line, '\r') >= 0 {
		j.event = append(j.event[:0], line...)
		for i, b := range j.event {
			if b == '\r' {
				j.event[i] = '\n'
			}
		}
		line = j.event
	}
	for _, s := range j.taps {
		s.line(at, from.kind(), line)
	}
	if j.application > levelTrace {
		if level, ok := lineLevel(line); ok && level < j.application {
			return
		}
	}
	j.write(at, line, false, false)
}

// write writes a line to the sink and to the result of the invocation: see add of the queue.
func (j *journal) write(at time.Time, line []byte, vital, wait bool) {
	if j.queue != nil {
		j.queue.add(at, j.requestID, line, vital, wait)
	}
	if j.tailing {
		if len(j.tail) > 4*tailSize {
			j.tail = append(j.tail[:0], j.tail[len(j.tail)-tailSize:]...)
		}
		j.tail = append(append(j.tail, line[max(0, len(line)-tailSize):]...), '\n')
	}
}

// awaitRoom waits while the sink is behind, but not for ever.
func (j *journal) awaitRoom() {
	if j.queue != nil {
		j.queue.awaitRoom()
	}
}

// outputPipe carries the output of one process to a journal.
//
// Its reader waits for output on a goroutine. drain reads beside it, without waiting, so that everything that a
// function wrote before it responded is in the log before the invocation ends: a write to a pipe is there
// when it returns.
type outputPipe struct {
	journal *journal
	source  *lineSource
	read    *os.File
	write   *os.File // to give to the process
	raw     syscall.RawConn
	mu      sync.Mutex // keeps what two readers read in order
	done    chan struct{}
}

func newOutputPipe(j *journal, source *lineSource) (*outputPipe, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	raw, err := read.SyscallConn()
	if err != nil {
		_ = read.Close()
		_ = write.Close()
		return nil, err
	}
	return &outputPipe{journal: j, source: source, read: read, write: write, raw: raw, done: make(chan struct{})}, nil
}

// buffers are what pipes are read into: one for every pipe would be idle memory.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

type buffer [32 << 10]byte

// run reads until the last writer has closed the pipe, or close is called.
func (p *outputPipe) run() {
	defer close(p.done)
	// An error says that the pipe was closed.
	_ = p.raw.Read(func(fd uintptr) (end bool) {
		for more := true; more && !end; {
			// The lock is free in between, or a function that never stops to write would keep drain out.
			more, end = p.readAvailable(fd, len(buffer{}))
			p.journal.awaitRoom()
		}
		return end
	})
	_ = p.read.Close()
}

// drain reads what is in the pipe.
func (p *outputPipe) drain() {
	// An error says that the pipe was closed: run has read it to its end.
	_ = p.raw.Control(func(fd uintptr) { p.readAvailable(fd, maxPipe) })
}

// readAvailable reads up to limit bytes without waiting. It reports whether there may be more, and whether
// the pipe has come to its end.
func (p *outputPipe) readAvailable(fd uintptr, limit int) (more, end bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	buf, _ := buffers.Get().(*buffer) // nothing else is put there
	defer buffers.Put(buf)
	for limit > 0 {
		n, err := unix.Read(int(fd), buf[:])
		switch {
		case n > 0:
			p.journal.output(p.source, time.Now(), buf[:n])
			limit -= n
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return false, false
		default:
			return false, true
		}
	}
	return true, false
}

// close makes run end, even if a process still holds the other end of the pipe.
func (p *outputPipe) close() {
	// An error says that the pipe is closed.
	_ = p.read.SetReadDeadline(time.Unix(1, 0))
	<-p.done
}
