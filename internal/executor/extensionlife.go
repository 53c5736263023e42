package executor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"serin/internal/sandbox"
)

// doomed reports whether an environment that starts is to end.
func (env *environment) doomed() bool { return env.executor.killing.Load() || env.unwanted.Load() }

// awaitReady returns when the runtime and the extensions have asked for an invocation.
func (env *environment) awaitReady(until time.Time) error {
	if err := env.api.awaitReady(until); err != nil {
		return err
	}
	return env.api.extensions.awaitSettled(until)
}

// launch starts the external extensions and waits until all have registered. It reports whether they have; if
// not, the extensions of the session say why. An error is the server's.
func (env *environment) launch(api *session, until time.Time) (ready bool, err error) {
	x := &api.extensions
	x.mu.Lock()
	x.spec, x.journal, x.dial = env.spec, env.journal, env.sandbox.Dial
	x.mu.Unlock()
	names, err := env.spec.extensionFiles()
	if err != nil || len(names) == 0 {
		return err == nil, err
	}
	if len(names) > maxExtensions {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.fail(&initFailure{
			errorType: "Extension.LaunchError", message: fmt.Sprintf("%d extensions are in /opt/extensions, the limit is %d", len(names), maxExtensions),
		})
		return false, nil
	}
	variables := extensionVariables(env.variables(env.sandbox.Address, &env.paths))
	for _, name := range names {
		if err := env.launchOne(x, name, variables); err != nil {
			return false, err
		}
	}
	if env.doomed() {
		env.sandbox.Kill()
	}
	switch err := x.awaitRegistered(until); {
	case err == nil:
		return true, nil
	case errors.Is(err, errTime):
		x.mu.Lock()
		defer x.mu.Unlock()
		x.fail(&initFailure{timeout: true, repeatable: true})
	}
	return false, nil
}

// launchOne starts an external extension.
func (env *environment) launchOne(x *extensions, name string, variables []string) error {
	program := filepath.Join(env.paths.Layers, "extensions", name)
	e := &extension{name: name, state: extensionStarted}
	x.mu.Lock()
	defer x.mu.Unlock()
	var err error
	if e.process, e.output, err = env.spawn(&sandbox.Command{Args: []string{program}, Env: variables}, &lineSource{extension: true}); err != nil {
		return err
	}
	x.list = append(x.list, e)
	env.executor.background.Go(func() {
		<-e.process.Done()
		x.exited(e)
	})
	return nil
}

// extensionFiles names the external extensions: every file that a layer has in its directory extensions.
func (s *Spec) extensionFiles() ([]string, error) {
	if s.LayersDir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(filepath.Join(s.LayersDir, "extensions"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, entry := range entries {
		if !entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, err
}

// extensionVariables leaves out the environment variables that only a runtime has.
func extensionVariables(all []string) []string {
	return slices.DeleteFunc(all, func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		switch name {
		case "AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_XRAY_CONTEXT_MISSING",
			"AWS_XRAY_DAEMON_ADDRESS", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "_AWS_XRAY_DAEMON_ADDRESS",
			"_AWS_XRAY_DAEMON_PORT", "_HANDLER":
			return true
		default:
			return false
		}
	})
}

// runNothing stands in for a runtime that is not started because an extension has failed.
func (env *environment) runNothing() (*sandbox.Process, *outputPipe, error) {
	output, err := newOutputPipe(env.journal, &env.journal.function)
	if err != nil {
		return nil, nil, err
	}
	go output.run()
	_ = output.write.Close()
	return sandbox.NotStarted(), output, nil
}

// settleExtensions ends the registration of extensions, when the initialisation has ended, and logs what became of them.
func (env *environment) settleExtensions() {
	env.api.extensions.close()
	if len(env.api.extensions.list) == 0 || !env.journal.wanted() {
		return
	}
	now := time.Now()
	for _, r := range env.api.extensions.records() {
		env.journal.platform(now, r)
	}
}

// extensionFailure returns what an extension did that ended the runtime, or nil.
func (env *environment) extensionFailure() *initFailure {
	<-env.process.Done()
	if env.process.End().OutOfMemory {
		return nil // it has ended the extensions too
	}
	return env.api.extensions.failed()
}
