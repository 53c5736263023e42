//go:build linux && (amd64 || arm64)

package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A function may use as much memory as it is configured to have, and besides that fill its /tmp, which AWS Lambda has
// on a disk. Ours is in memory too, and the kernel counts both together. So the kernel's limit is their sum, and the
// server looks after the function's part of it: it is told when the group has come as far as the memory alone, and then
// ends the sandbox as soon as its processes hold more than that.

const mebibyte = 1 << 20

// memoryWatch is how often the server looks while the group is that far.
const memoryWatch = 20 * time.Millisecond

// limitMemory sets the limit of an empty sandbox.
func (c *cgroup) limitMemory(memoryMB, tmpMB int) error {
	if c.dirs["memory"] == "" {
		return nil
	}
	limit := int64(memoryMB+tmpMB) * mebibyte
	if c.of.v1["memory"] != "" {
		return c.setMemory("memory.limit_in_bytes", limit)
	}
	_ = c.setMemory("memory.swap.max", 0) // there may be no swap accounting
	return errors.Join(c.setMemory("memory.max", limit), c.setMemory("memory.high", int64(memoryMB)*mebibyte))
}

func (c *cgroup) setMemory(file string, value int64) error {
	return os.WriteFile(filepath.Join(c.dirs["memory"], file), strconv.AppendInt(nil, value, 10), 0)
}

// memoryUsed returns how much memory the processes of the group hold, and how much the group has in all, in bytes.
func (c *cgroup) memoryUsed() (processes, all int64, err error) {
	name, usage := "anon", "memory.current"
	if c.of.v1["memory"] != "" {
		name, usage = "total_rss", "memory.usage_in_bytes"
	}
	processes, err = c.value("memory.stat", name)
	if err != nil {
		return 0, 0, err
	}
	data, err := os.ReadFile(filepath.Join(c.dirs["memory"], usage))
	if err != nil {
		return 0, 0, err
	}
	all, err = strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return processes, all, err
}

// watchMemory calls out when the processes of the group hold more than a limit; it returns then, or when events is closed.
func (c *cgroup) watchMemory(memoryMB int, events *os.File, ended <-chan struct{}, out func()) error {
	limit := int64(memoryMB) * mebibyte
	ticker := time.NewTicker(memoryWatch)
	defer ticker.Stop()
	for {
		for {
			processes, all, err := c.memoryUsed()
			if err != nil {
				return err
			}
			if processes > limit {
				out()
				return nil
			}
			if all < limit {
				break
			}
			if c.of.v1["memory"] == "" {
				// Beyond it the kernel slows the group down, which is not meant for what is in /tmp.
				if err := c.setMemory("memory.high", all-processes+limit); err != nil {
					return err
				}
			}
			select {
			case <-ticker.C:
			case <-ended:
				return nil
			}
		}
		if err := awaitPressure(events); err != nil {
			return nil // the sandbox has ended
		}
	}
}

// pressure is a descriptor that can be read when the group has come as far as its memory.
func (c *cgroup) pressure(memoryMB int) (*os.File, error) {
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
	usage, err := os.Open(filepath.Join(c.dirs["memory"], "memory.usage_in_bytes"))
	if err != nil {
		return nil, closeAfter(event, err)
	}
	defer usage.Close()
	line := fmt.Sprintf("%d %d %d", fd, usage.Fd(), int64(memoryMB)*mebibyte)
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
