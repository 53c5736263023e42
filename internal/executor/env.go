package executor

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"serin/internal/sandbox"
)

// variables returns the environment variables of a runtime, as AWS Lambda sets them: first what a
// function may replace, then its own, then what is reserved. The Runtime API is at api.
func (env *environment) variables(api string, paths *sandbox.Paths) []string {
	s, cfg := env.spec, &env.executor.cfg
	code, runtimeDir := paths.Task, paths.Runtime
	v := env.interpreter.variables(paths)
	for name, value := range s.Env {
		if !strings.HasPrefix(name, "_") && !strings.ContainsAny(name, "=\x00") && !strings.Contains(value, "\x00") {
			v[name] = value
		}
	}
	maps.Copy(v, cfg.Credentials)
	maps.Copy(v, map[string]string{
		"_HANDLER":                        s.Handler,
		"_AWS_XRAY_DAEMON_ADDRESS":        "127.0.0.1",
		"_AWS_XRAY_DAEMON_PORT":           "2000",
		"AWS_REGION":                      cfg.Region,
		"AWS_DEFAULT_REGION":              cfg.Region,
		"AWS_LAMBDA_FUNCTION_NAME":        s.Function,
		"AWS_LAMBDA_FUNCTION_VERSION":     s.Version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(s.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  env.initializationType(),
		"AWS_LAMBDA_LOG_GROUP_NAME":       env.stream.Group,
		"AWS_LAMBDA_LOG_STREAM_NAME":      env.stream.Name,
		"AWS_LAMBDA_RUNTIME_API":          api,
		"LAMBDA_TASK_ROOT":                code,
		"LAMBDA_RUNTIME_DIR":              runtimeDir,
	})
	v["AWS_LAMBDA_LOG_FORMAT"] = "Text"
	if s.JSONLogs {
		v["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
		v["AWS_LAMBDA_LOG_LEVEL"] = levelNames[env.journal.application]
	}
	if env.interpreter.family != "provided" {
		v["AWS_EXECUTION_ENV"] = "AWS_Lambda_" + s.Runtime
	}
	list := make([]string, 0, len(v))
	for _, name := range slices.Sorted(maps.Keys(v)) {
		list = append(list, name+"="+v[name])
	}
	return list
}

// variables returns what is in the environment of a runtime whatever its function, and may be replaced by that.
func (in *Interpreter) variables(paths *sandbox.Paths) map[string]string {
	code, runtimeDir := paths.Task, paths.Runtime
	v := map[string]string{
		"LANG": "en_US.UTF-8",
		"TZ":   ":UTC",
		"PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"LD_LIBRARY_PATH": strings.Join([]string{
			runtimeDir, runtimeDir + "/lib", code, code + "/lib", "/opt/lib",
		}, ":"),
		"AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
		"AWS_XRAY_DAEMON_ADDRESS":  "127.0.0.1:2000",
	}
	if paths.Tmp != "/tmp" {
		v["TMPDIR"] = paths.Tmp
	}
	if in.Path != "" {
		v["PATH"] = filepath.Dir(in.Path) + ":" + v["PATH"]
	}
	switch in.family {
	case "nodejs":
		v["NODE_PATH"] = strings.Join([]string{
			"/opt/nodejs/node" + in.wanted + "/node_modules", "/opt/nodejs/node_modules",
			runtimeDir + "/node_modules", runtimeDir, code,
		}, ":")
	case "python":
		v["PYTHONPATH"] = runtimeDir
	}
	return v
}
