package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"serin/internal/bundle"
)

// source is what ship packages: a directory with a project, or a finished zip file or program.
type source struct {
	dir      string // of the project
	finished string // a zip file or a program, "" for a directory
}

func sourceOf(args []string) (source, error) {
	if len(args) == 0 {
		return source{dir: "."}, nil
	}
	stat, err := os.Stat(args[0])
	switch {
	case err != nil:
		return source{}, usagef("%w", err)
	case stat.IsDir():
		return source{dir: args[0]}, nil
	default:
		return source{dir: ".", finished: args[0]}, nil
	}
}

// pack builds the project if it says how, and returns its package.
func (a *app) pack(ctx context.Context, s source, build, pkg string) ([]byte, error) {
	from := s.finished
	if from == "" {
		from = filepath.Join(s.dir, pkg)
		if build != "" {
			a.say("building: %s", build)
			cmd := a.shell(ctx, build, s.dir)
			cmd.Stdout, cmd.Stderr = a.Stderr, a.Stderr
			if err := cmd.Run(); err != nil {
				return nil, ended(ctx, exitf(exitPreflight, "the build failed: %w", err))
			}
		}
	}
	var zip bytes.Buffer
	if _, err := bundle.Pack(&zip, from, bundle.Options{}); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, usagef("%w", err)
		}
		return nil, err
	}
	return zip.Bytes(), nil
}

// shell prepares a command line of the user. An interruption reaches it as SIGTERM and, if it does not end,
// as SIGKILL.
func (a *app) shell(ctx context.Context, line, dir string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// ended returns why the context ended if it did, else err.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return exitf(exitAborted, "interrupted; no traffic was moved")
	}
	return err
}

// runSmoke runs the user's check of a version that has no traffic yet. The check finds the version and the
// server in its environment.
func (a *app) runSmoke(ctx context.Context, c *connection, line, dir, arn, function, version string) (*smokeResult, error) {
	cmd := a.shell(ctx, line, dir)
	cmd.Env = append(os.Environ(), c.environment()...)
	cmd.Env = append(cmd.Env, "SERIN_VERSION_ARN="+arn, "SERIN_FUNCTION="+function, "SERIN_VERSION="+version)
	cmd.Stdout, cmd.Stderr = a.Stderr, a.Stderr
	began := time.Now()
	err := cmd.Run()
	result := &smokeResult{Command: line, DurationSeconds: time.Since(began).Seconds()}
	if ctx.Err() != nil {
		return nil, ended(ctx, err)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		result.ExitStatus = exit.ExitCode()
		return result, nil
	}
	if err != nil {
		return nil, fmt.Errorf("smoke test: %w", err)
	}
	return result, nil
}
