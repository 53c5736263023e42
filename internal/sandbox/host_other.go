//go:build !linux || !(amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
)

// Host makes sandboxes. Here they isolate nothing.
type Host struct {
	cfg      Config
	launcher *launcher
	places   atomic.Uint64
}

// Open makes a host. The error is [ErrUnprotected] if protections are required.
func Open(cfg Config) (*Host, error) {
	h := &Host{cfg: cfg}
	if cfg.Isolation == IsolationRequire {
		return nil, fmt.Errorf("%w: %s", ErrUnprotected, Missing(h.Protections()))
	}
	if err := errors.Join(os.RemoveAll(cfg.Dir), os.MkdirAll(cfg.Dir, 0o755)); err != nil {
		return nil, err
	}
	h.launcher = newLauncher()
	return h, nil
}

// Protections lists what sandboxes are protected by, and what is missing.
func (h *Host) Protections() []Protection {
	if h.cfg.Isolation == IsolationNone {
		return nothing("isolation is switched off")
	}
	return nothing("isolation needs Linux on amd64 or arm64")
}

// NoLink says why sandboxes have no link although they should have one. Here they share the host's network.
func (h *Host) NoLink() error { return nil }

// New returns a sandbox.
func (h *Host) New() (*Sandbox, error) {
	n := h.places.Add(1)
	return newPlain(h.launcher, filepath.Join(h.cfg.Dir, placeName(n)), h.cfg.Runtime)
}

// Spares returns how many sandboxes are prepared.
func (h *Host) Spares() int { return 0 }

// Refill does nothing: nothing is prepared.
func (h *Host) Refill() {}

// Close ends what is left of the sandboxes.
func (h *Host) Close() error {
	h.launcher.close()
	return os.RemoveAll(h.cfg.Dir)
}

// plainAttributes are those of a process that is not isolated.
func plainAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
