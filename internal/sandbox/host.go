package sandbox

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Isolation says what a host does if the kernel refuses.
type Isolation string

// The kinds of isolation.
const (
	// IsolationAuto isolates as well as the kernel lets it.
	IsolationAuto Isolation = "auto"
	// IsolationRequire makes [Open] fail if a protection is missing.
	IsolationRequire Isolation = "require"
	// IsolationNone isolates nothing.
	IsolationNone Isolation = "none"
)

// Config says how a [Host] works. Dir is required.
type Config struct {
	// Dir is a directory that belongs to the host alone. What it finds there of an earlier one, it removes.
	Dir string
	// Runtime is a directory that every sandbox shows at /var/runtime.
	Runtime string
	// Isolation is IsolationAuto if it is empty.
	Isolation Isolation
	// Link gives sandboxes a network beyond their loopback interface. Without it they have none, unless nothing is
	// isolated.
	Link *Link
	// ResolvConf is the /etc/resolv.conf of sandboxes.
	ResolvConf string
	// Spare is how many sandboxes are kept prepared.
	Spare int
	// Log takes what an operator should know; nil discards it.
	Log *slog.Logger
}

// Protection is a property of a sandbox that holds or is missing.
type Protection struct {
	Name string
	On   bool
	Why  string // it is missing, or in which form it is there
}

// The protections, in the order in which they are listed.
const (
	ProtectFiles     = "no view of the host's files"
	ProtectProcesses = "no view of the host's processes"
	ProtectNetwork   = "own network"
	ProtectUser      = "own user id"
	ProtectRights    = "no capabilities, no new privileges"
	ProtectCalls     = "system call filter"
	ProtectMemory    = "memory limit"
	ProtectCPU       = "CPU share"
	ProtectCount     = "limit on processes"
)

func protectionNames() []string {
	return []string{
		ProtectFiles, ProtectProcesses, ProtectNetwork, ProtectUser, ProtectRights, ProtectCalls,
		ProtectMemory, ProtectCPU, ProtectCount,
	}
}

// ErrUnprotected is why [Open] fails if a protection is required and missing.
var ErrUnprotected = errors.New("functions would not be isolated")

// Missing describes the protections that are missing; it is empty if none is.
func Missing(list []Protection) string {
	var parts []string
	for _, p := range list {
		if !p.On {
			parts = append(parts, fmt.Sprintf("%s (%s)", p.Name, p.Why))
		}
	}
	return strings.Join(parts, ", ")
}

// nothing lists all protections as missing.
func nothing(why string) []Protection {
	var list []Protection
	for _, name := range protectionNames() {
		list = append(list, Protection{Name: name, Why: why})
	}
	return list
}
