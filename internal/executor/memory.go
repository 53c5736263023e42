package executor

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"serin/internal/sandbox"
)

// memoryInterval is how long a measurement is good enough: reading it costs more than the rest of the
// bookkeeping of an invocation.
const memoryInterval = 100 * time.Millisecond

// memory measures how much memory the runtime process of an environment has had resident at most.
type memory struct {
	limit    int    // MiB
	status   string // path of the process's status
	peak     int64  // KiB
	measured time.Time
}

// megabytes returns the peak, which may be memoryInterval old. It is 1 if nothing is known, as of a process
// that ended before it was measured.
func (m *memory) megabytes(p *sandbox.Process, now time.Time) int {
	select {
	case <-p.Done():
		end := p.End()
		if end.OutOfMemory {
			return m.limit
		}
		m.peak = max(m.peak, end.MaxRSS)
	default:
		if now.Sub(m.measured) >= memoryInterval {
			m.measured = now
			m.peak = max(m.peak, m.read(p))
		}
	}
	return max(1, int((m.peak+1023)/1024))
}

// read returns the peak in KiB that the kernel knows of, or 0.
func (m *memory) read(p *sandbox.Process) int64 {
	if m.status == "" {
		pid := p.PID()
		if pid == 0 {
			return 0
		}
		m.status = "/proc/" + strconv.Itoa(pid) + "/status"
	}
	data, err := os.ReadFile(m.status)
	if err != nil {
		return 0
	}
	_, after, _ := bytes.Cut(data, []byte("VmHWM:"))
	fields := bytes.Fields(after[:min(len(after), 64)])
	if len(fields) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
