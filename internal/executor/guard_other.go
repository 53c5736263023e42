//go:build !linux || !(amd64 || arm64)

package executor

import "syscall"

// guard keeps the processes of an environment together. Here it has no more than a process group to do
// it with: a process that leaves the group, or a server that is killed, leaves processes behind.
type guard struct{}

func newGuard(string, *launcher) (guard, error) { return guard{}, nil }

func (guard) contained() bool { return false }

func (guard) start(l *launcher, c command) (*process, error) {
	return l.startGroup(c, &syscall.SysProcAttr{})
}
