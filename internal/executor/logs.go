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

// LogSink takes a log event: a line of the function's output or of the platform's. requestID is
// empty outside of an invocation. The line has no final newline and may be used during the call only. Events of
// one stream come one at a time; while a sink is busy the function's output backs up in its pipe and in
// the end the function waits.
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

// journal collects the log of one environment.
type journal struct {
	sink   LogSink // nil discards
	stream *LogStream

	mu        sync.Mutex
	requestID string
	partial   []byte // a line that has no end yet
	tail      []byte // of the invocation that runs, if it asked for it
	tailing   bool
	event     []byte // scratch
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
	defer j.mu.Unlock()
	tail := j.tail
	j.requestID, j.tailing, j.tail = "", false, nil
	return tail[max(0, len(tail)-tailSize):]
}

// wanted reports whether anybody reads the log.
func (j *journal) wanted() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sink != nil || j.tailing
}

// platform logs a line of the platform. A line of the function that has no end yet ends before it.
func (j *journal) platform(at time.Time, line []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.endLine(at)
	j.emit(at, line)
}

// output logs what the function has written.
func (j *journal) output(at time.Time, data []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(data) > 0 {
		line, rest, complete := bytes.Cut(data, []byte("\n"))
		if room := maxLine - len(j.partial); len(line) > room {
			line, rest, complete = data[:room], data[room:], true
		}
		data = rest
		switch {
		case !complete:
			j.partial = append(j.partial, line...)
		case len(j.partial) == 0:
			j.emit(at, line)
		default:
			j.partial = append(j.partial, line...)
			j.endLine(at)
		}
	}
}

func (j *journal) endLine(at time.Time) {
	if len(j.partial) > 0 {
		j.emit(at, j.partial)
		j.partial = j.partial[:0]
	}
}

// emit passes an event on. Runtimes write a line break inside an event as a carriage return.
func (j *journal) emit(at time.Time, line []byte) {
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
	if j.sink != nil {
		j.sink(j.stream, at, j.requestID, line)
	}
	if j.tailing {
		if len(j.tail) > 4*tailSize {
			j.tail = append(j.tail[:0], j.tail[len(j.tail)-tailSize:]...)
		}
		j.tail = append(append(j.tail, line[max(0, len(line)-tailSize):]...), '\n')
	}
}

// outputPipe carries the output of one process to a journal.
//
// Its reader waits for output on a goroutine. drain reads beside it, without waiting, so that everything that a
// function wrote before it responded is in the log before the invocation ends: a write to a pipe is there
// when it returns.
type outputPipe struct {
	journal *journal
	read    *os.File
	write   *os.File // to give to the process
	raw     syscall.RawConn
	mu      sync.Mutex // keeps what two readers read in order
	done    chan struct{}
}

func newOutputPipe(j *journal) (*outputPipe, error) {
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
	return &outputPipe{journal: j, read: read, write: write, raw: raw, done: make(chan struct{})}, nil
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
			p.journal.output(time.Now(), buf[:n])
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
