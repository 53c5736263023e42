//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cgroups knows where the server may make control groups: in version 1, where each controller has a hierarchy of its
// own, in version 2, or both.
type cgroups struct {
	unified string            // a directory of version 2, or empty
	v1      map[string]string // by controller
	v2      map[string]bool   // the controllers of unified
	why     map[string]string // a controller does not work
}

// The controllers that are of use.
func controllers() []string { return []string{"memory", "cpu", "pids"} }

// openCgroups finds out where the server may make groups and makes one there for its own.
func openCgroups() *cgroups {
	g := &cgroups{v1: map[string]string{}, v2: map[string]bool{}, why: map[string]string{}}
	own, err := ownGroups()
	if err != nil {
		for _, c := range controllers() {
			g.why[c] = err.Error()
		}
		return g
	}
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	// A process may have several hosts.
	name := groupPrefix + strconv.Itoa(os.Getpid()) + "-" + hex.EncodeToString(random[:])
	var unified error
	for controller, dir := range own {
		if controller == "" {
			if err := g.openUnified(dir, name); err != nil {
				g.unified, unified = "", err
			}
			continue
		}
		cleanGroups(dir)
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			g.why[controller] = err.Error()
			continue
		}
		g.v1[controller] = filepath.Join(dir, name)
	}
	for _, c := range controllers() {
		switch {
		case g.has(c) || g.why[c] != "":
		case unified != nil:
			g.why[c] = unified.Error()
		default:
			g.why[c] = "the server's control group does not have the " + c + " controller to give"
		}
	}
	return g
}

// How often and how long to wait for the last process of a group to leave it.
const (
	removeTries = 100
	removePause = 5 * time.Millisecond
)

// groupPrefix begins the names of the servers' groups; the process id follows.
const groupPrefix = "serin-"

// openUnified makes the server's group in version 2. A group that has processes cannot give controllers to its
// children, so the groups of sandboxes are next to the server's own group or, if the server has a group to itself
// that it may divide, below it.
func (g *cgroups) openUnified(dir, name string) error {
	cleanGroups(dir)
	if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	g.unified = filepath.Join(dir, name)
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for c := range strings.FieldsSeq(string(available)) {
		enable := func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0)
		}
		err := enable(dir)
		if errors.Is(err, syscall.EBUSY) && g.moveAside(dir) == nil {
			err = enable(dir)
		}
		if err == nil && enable(g.unified) == nil {
			g.v2[c] = true
		}
	}
	return nil
}

// moveAside moves the server, if it is alone in its group, into a group below it.
func (g *cgroups) moveAside(dir string) error {
	procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return err
	}
	pid := strconv.Itoa(os.Getpid())
	if strings.TrimSpace(string(procs)) != pid {
		return errors.New("other processes are in the group of the server")
	}
	aside := filepath.Join(dir, groupPrefix+"server")
	if err := os.Mkdir(aside, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.WriteFile(filepath.Join(aside, "cgroup.procs"), []byte(pid), 0)
}

// ownGroups returns the directory of the server's group for each controller; version 2 has the empty name.
func ownGroups() (map[string]string, error) {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	at := map[string][2]string{} // mount point and root, by controller
	for line := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(line, " - ")
		f, kind := strings.Fields(before), strings.Fields(after)
		if len(f) < 5 || len(kind) < 3 {
			continue
		}
		switch kind[0] {
		case "cgroup2":
			at[""] = [2]string{f[4], f[3]}
		case "cgroup":
			for c := range strings.SplitSeq(kind[2], ",") {
				at[c] = [2]string{f[4], f[3]}
			}
		}
	}
	own := map[string]string{}
	for line := range strings.Lines(string(groups)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) < 3 {
			continue
		}
		for c := range strings.SplitSeq(f[1], ",") {
			if m, ok := at[c]; ok && (c == "" || c == "memory" || c == "cpu" || c == "pids") {
				below := strings.TrimPrefix(f[2], strings.TrimSuffix(m[1], "/"))
				own[c] = filepath.Join(m[0], below)
			}
		}
	}
	return own, nil
}

// cleanGroups removes the groups of servers that are gone, with the processes that are left in them.
func cleanGroups(dir string) {
	stale, _ := filepath.Glob(filepath.Join(dir, groupPrefix+"[0-9]*"))
	for _, s := range stale {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(s), groupPrefix), "-")
		pid, err := strconv.Atoi(number)
		if err != nil || pid == os.Getpid() || syscall.Kill(pid, 0) != syscall.ESRCH {
			continue
		}
		below, _ := filepath.Glob(filepath.Join(s, "*", "cgroup.procs"))
		for _, f := range below {
			_ = os.WriteFile(filepath.Join(filepath.Dir(f), "cgroup.kill"), []byte("1"), 0) // version 1 has no such file
			_ = os.Remove(filepath.Dir(f))
		}
		_ = os.Remove(s) // what is busy is left to the next server
	}
}

// has reports whether a controller works.
func (g *cgroups) has(controller string) bool { return g.v1[controller] != "" || g.v2[controller] }

// close removes the server's groups, which are empty.
func (g *cgroups) close() {
	for _, dir := range g.v1 {
		_ = os.Remove(dir)
	}
	if g.unified != "" {
		_ = os.Remove(g.unified)
	}
}

// cgroup is the control group of a sandbox.
type cgroup struct {
	of     *cgroups
	dirs   map[string]string // by controller, and "" for version 2
	freeze *os.File
}

// add makes a group.
func (g *cgroups) add(name string) (*cgroup, error) {
	c := &cgroup{of: g, dirs: map[string]string{}}
	for _, controller := range controllers() {
		switch {
		case g.v1[controller] != "":
			c.dirs[controller] = filepath.Join(g.v1[controller], name)
		case g.v2[controller]:
			c.dirs[controller] = filepath.Join(g.unified, name)
		}
	}
	if g.unified != "" {
		c.dirs[""] = filepath.Join(g.unified, name)
	}
	for _, dir := range c.dirs {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	if dir := c.dirs[""]; dir != "" {
		// A kernel before 5.2 cannot freeze this way.
		c.freeze, _ = os.OpenFile(filepath.Join(dir, "cgroup.freeze"), os.O_WRONLY, 0)
	}
	return c, nil
}

// join moves a process into the group.
func (c *cgroup) join(pid int) error {
	done := map[string]bool{}
	for _, dir := range c.dirs {
		if done[dir] {
			continue
		}
		done[dir] = true
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			return err
		}
	}
	return nil
}

// set writes a value of a controller, under the name that the version of its hierarchy has for it.
func (c *cgroup) set(controller, v1, v2 string, value int64) error {
	dir, name := c.dirs[controller], v2
	if dir == "" {
		return nil
	}
	if c.of.v1[controller] != "" {
		name = v1
	}
	return os.WriteFile(filepath.Join(dir, name), strconv.AppendInt(nil, value, 10), 0)
}

// vCPUMemory is how much memory has a whole CPU, in MiB.
const vCPUMemory = 1769

// limit sets what the group may use.
func (c *cgroup) limit(memoryMB, tmpMB int) error {
	return errors.Join(
		c.limitMemory(memoryMB, tmpMB),
		c.set("cpu", "cpu.shares", "cpu.weight", c.share(memoryMB)),
		c.set("pids", "pids.max", "pids.max", maxProcesses),
	)
}

// share is the weight of the group when the CPUs are busy: a CPU's worth for vCPUMemory.
func (c *cgroup) share(memoryMB int) int64 {
	whole, least := 1024, 2
	if c.of.v1["cpu"] == "" {
		whole, least = 100, 1
	}
	return int64(max(least, min(memoryMB*whole/vCPUMemory, 10_000)))
}

// setFrozen stops or resumes all processes; it reports whether the kernel can.
func (c *cgroup) setFrozen(frozen bool) (bool, error) {
	if c.freeze == nil {
		return false, nil
	}
	value := []byte("0")
	if frozen {
		value = []byte("1")
	}
	_, err := c.freeze.WriteAt(value, 0)
	return true, err
}

// value reads a number after a key in a file of the memory controller.
func (c *cgroup) value(file, key string) (int64, error) {
	f, err := os.Open(filepath.Join(c.dirs["memory"], file))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, n, ok := bytes.Cut(lines.Bytes(), []byte(" "))
		if ok && string(name) == key {
			return strconv.ParseInt(string(n), 10, 64)
		}
	}
	return 0, errors.Join(fmt.Errorf("%s has no %s", file, key), lines.Err())
}

// remove removes the group, whose processes have ended.
func (c *cgroup) remove() {
	if c.freeze != nil {
		_ = c.freeze.Close()
	}
	for _, dir := range c.dirs {
		// The last process may still be on its way out; what cannot be removed is left to the next server.
		for range removeTries {
			if err := unix.Rmdir(dir); !errors.Is(err, unix.EBUSY) {
				break // a directory can appear twice
			}
			<-time.After(removePause)
		}
	}
}
