package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// announce says where the server is: to the caller, to serin env, and in the ready file.
func (s *server) announce(ready func(Ready)) error {
	r := Ready{
		Endpoint: s.endpoint(), Region: s.Region, Account: s.Account,
		AccessKeyID: s.key.AccessKeyID, SecretAccessKey: s.key.SecretAccessKey, PID: os.Getpid(),
	}
	if err := writeJSON(filepath.Join(s.Data, runningFile), r); err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	if s.ReadyFile != "" {
		if err := writeJSON(s.ReadyFile, r); err != nil {
			return fmt.Errorf("ready file: %w", err)
		}
	}
	if ready != nil {
		ready(r)
	}
	return nil
}

func (s *server) retract() error {
	err := os.Remove(filepath.Join(s.Data, runningFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// DefaultData returns the data directory of a server that is not told another: $XDG_DATA_HOME/serin, or
// ~/.local/share/serin.
func DefaultData(getenv func(string) string) string {
	if dir := getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "serin")
	}
	return filepath.Join(getenv("HOME"), ".local", "share", "serin")
}

// Running returns the server that uses a data directory now.
func Running(data string) (Ready, error) {
	var r Ready
	text, err := os.ReadFile(filepath.Join(data, runningFile))
	if errors.Is(err, os.ErrNotExist) {
		return r, fmt.Errorf("no server is running on %s; start one: serin serve --data %s", data, data)
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s is damaged: %w", filepath.Join(data, runningFile), err)
	}
	if !alive(r.PID) {
		return r, fmt.Errorf("the server on %s has stopped; start one: serin serve --data %s", data, data)
	}
	return r, nil
}

// alive reports whether a process exists, also one of another user.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, os.ErrPermission)
}
