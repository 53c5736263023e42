package executor

import (
	"errors"
	"path/filepath"
	"syscall"

	"serin/internal/sandbox"
)

// initFailure is an initialisation that failed because of the function.
type initFailure struct {
	payload    []byte // for the caller; empty after a timeout
	errorType  string
	message    string // of the platform, or empty if the runtime has reported the error itself
	timeout    bool
	repeatable bool
}

// String says what went wrong.
func (f *initFailure) String() string {
	switch {
	case f.timeout:
		return "time is over"
	case f.message != "":
		return f.message
	default:
		return string(f.payload)
	}
}

// exitFailure describes the end of the runtime process during an initialisation.
func (env *environment) exitFailure() *initFailure {
	<-env.process.Done()
	end := env.process.End()
	f := &initFailure{errorType: "Runtime.ExitError", message: exitMessage(end), repeatable: true}
	errno, ok := errors.AsType[syscall.Errno](end.StartError)
	if !ok {
		return f
	}
	if wrapper := env.spec.Env["AWS_LAMBDA_EXEC_WRAPPER"]; wrapper != "" && env.interpreter.Path != "" {
		// The shell that starts a wrapper on AWS exits with this.
		f.message = "Runtime exited with error: exit status 127"
		return f
	}
	f.errorType, f.repeatable = "Runtime.InvalidEntrypoint", false
	program := env.interpreter.Path
	if program == "" {
		program = "/var/task/bootstrap"
		if !exists(filepath.Join(env.spec.CodeDir, "bootstrap")) && (env.spec.LayersDir == "" || !exists(filepath.Join(env.spec.LayersDir, "bootstrap"))) {
			f.message = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
			return f
		}
	}
	f.message = "fork/exec " + program + ": " + errno.Error()
	return f
}

// exitMessage says that a runtime has ended.
func exitMessage(end sandbox.Ending) string {
	if s := end.String(); s != "" {
		return "Runtime exited with error: " + s
	}
	return "Runtime exited without providing a reason"
}
