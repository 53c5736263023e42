//go:build linux && (amd64 || arm64)

package sandbox

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// A function may use as much memory as it is configured to have, and besides that fill its /tmp, which AWS Lambda has
// on a disk. Ours is in memory too, and the kernel counts both together. So the limit follows what is in /tmp: when
// the group reaches it, the kernel stops what asks for more and tells the server, which either raises the
// limit to what /tmp needs, or ends the sandbox because it is out of memory.

const mebibyte = 1 << 20

// headroom is how much more of /tmp may be filled before the limit has to follow, in bytes.
const headroom = 16 * mebibyte

// limitMemory sets the limit of an empty sandbox.
func (c *cgroup) limitMemory(memoryMB, tmpMB int) error {
	dir := c.dirs["memory"]
	if dir == "" {
		return nil
	}
	limit := int64(memoryMB) * mebibyte
	if c.of.v1["memory"] == "" {
		if err := c.setMemory("memory.max", limit+int64(tmpMB)*mebibyte); err != nil {
			return err
		}
		_ = c.setMemory("memory.swap.max", 0) // there may be no swap accounting
		return c.setMemory("memory.high", limit)
	}
	if err := c.setMemory("memory.limit_in_bytes", limit); err != nil {
		return err
	}
	_ = c.setMemory("memory.swappiness", 0)
	return c.setMemory("memory.oom_control", 1)
}

func (c *cgroup) setMemory(file string, value int64) error {
	return os.WriteFile(filepath.Join(c.dirs["memory"], file), strconv.AppendInt(nil, value, 10), 0)
}

// raiseMemory moves the limit to where it has to be for what is in /tmp. It reports whether the group is out of memory.
func (c *cgroup) raiseMemory(memoryMB int, tmp int64) (out bool, err error) {
	limit := int64(memoryMB) * mebibyte
	if c.of.v1["memory"] == "" {
		used, err := c.value("memory.stat", "anon")
		if err != nil || used >= limit {
			return err == nil, err
		}
		return false, c.setMemory("memory.high", limit+tmp+headroom)
	}
	data, err := os.ReadFile(filepath.Join(c.dirs["memory"], "memory.limit_in_bytes"))
	if err != nil {
		return false, err
	}
	var now int64
	if _, err := fmt.Sscan(string(data), &now); err != nil {
		return false, err
	}
	if limit+tmp < now {
		return true, nil
	}
	return false, c.setMemory("memory.limit_in_bytes", limit+tmp+headroom)
}

// pressure is a descriptor that can be read when the group has reached its limit.
func (c *cgroup) pressure() (*os.File, error) {
	if c.dirs["memory"] == "" {
		return nil, nil //nolint:nilnil // there is no limit
	}
	if c.of.v1["memory"] == "" {
		return c.watchEvents()
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	event := os.NewFile(uintptr(fd), "eventfd") //nolint:gosec // a descriptor
	control, err := os.Open(filepath.Join(c.dirs["memory"], "memory.oom_control"))
	if err != nil {
		return nil, closeAfter(event, err)
	}
	defer control.Close()
	line := fmt.Sprintf("%d %d", fd, control.Fd())
	if err := os.WriteFile(filepath.Join(c.dirs["memory"], "cgroup.event_control"), []byte(line), 0); err != nil {
		return nil, closeAfter(event, err)
	}
	return event, nil
}

// watchEvents watches memory.events, which changes when the group goes over memory.high.
func (c *cgroup) watchEvents() (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	event := os.NewFile(uintptr(fd), "inotify") //nolint:gosec // a descriptor
	if _, err := unix.InotifyAddWatch(fd, filepath.Join(c.dirs["memory"], "memory.events"), unix.IN_MODIFY); err != nil {
		return nil, closeAfter(event, err)
	}
	return event, nil
}

func closeAfter(f *os.File, err error) error {
	_ = f.Close()
	return err
}

// awaitPressure waits until the group has reached its limit; it returns an error when f is closed.
func awaitPressure(f *os.File) error {
	var buf [4096]byte
	n, err := f.Read(buf[:])
	if err == nil && n == 8 && binary.NativeEndian.Uint64(buf[:]) == 0 {
		return io.EOF
	}
	return err
}
