package executor

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"serin"
	"serin/internal/sandbox"
)

// The bootstraps: what runs a handler of a managed runtime. They are written next to each other into
// the runtime directory.
var (
	//go:embed runtime/bootstrap.cjs
	nodeBootstrap []byte
	//go:embed runtime/streaming.cjs
	nodeStreaming []byte
	//go:embed runtime/zygote.cjs
	nodeZygote []byte
	//go:embed runtime/compile.cjs
	nodeCompile []byte
	//go:embed runtime/code.cjs
	nodeCode []byte
	//go:embed runtime/bootstrap.py
	pythonBootstrap []byte
)

// Interpreter says what runs the functions of a runtime.
type Interpreter struct {
	// Runtime is the Lambda identifier, such as "nodejs22.x".
	Runtime string
	// Path is the interpreter; it is empty for a runtime that brings its own executable.
	Path string
	// Version is the interpreter's version, such as "20.20.2".
	Version string
	// Warning is not empty if the version is not the one that the identifier asks for.
	Warning string

	family    string   // nodejs, python or provided
	wanted    string   // the version in the identifier: "22", "3.12"
	libraries []string // of Python: where installed packages are
	shown     []string // directories of the interpreter that are not in /usr
}

// probeTime limits how long an interpreter may take to say what it is.
const probeTime = 10 * time.Second

// family is a kind of managed runtime.
type family struct {
	pattern  *regexp.Regexp // of the identifiers; the group is the version
	programs []string       // to look for, in this order
	// probe prints a JSON object with executable, version and libraries.
	probe []string
	// release returns the part of an interpreter's version that an identifier names.
	release func(version string) string
}

func families() map[string]family {
	return map[string]family{
		"nodejs": {
			pattern:  regexp.MustCompile(`^nodejs(\d+)(?:\.x|\.\d+)?$`),
			programs: []string{"node"},
			probe:    []string{"-p", `JSON.stringify({executable: process.execPath, version: process.versions.node, prefixes: [path.dirname(path.dirname(fs.realpathSync(process.execPath)))]})`},
			release:  func(v string) string { major, _, _ := strings.Cut(v, "."); return major },
		},
		"python": {
			pattern:  regexp.MustCompile(`^python(3\.\d+)$`),
			programs: []string{"python3"},
			probe: []string{"-c", `import sys, json; print(json.dumps({"executable": sys.executable, "version": "%d.%d.%d" % sys.version_info[:3],
 "prefixes": [sys.base_prefix, sys.prefix], "libraries": [p for p in sys.path if p.endswith(("site-packages", "dist-packages"))]}))`},
			release: func(v string) string { return v[:max(0, strings.LastIndex(v, "."))] },
		},
	}
}

// interpreters finds interpreters and remembers them.
type interpreters struct {
	families map[string]family
	override map[string]string // by family

	mu    sync.Mutex
	found map[string]probed // by family
}

// probed is what an interpreter says of itself.
type probed struct {
	Executable string
	Version    string
	Libraries  []string
	// Prefixes are the directories that the interpreter is installed in.
	Prefixes []string
}

func newInterpreters(override map[string]string) *interpreters {
	return &interpreters{families: families(), override: override, found: map[string]probed{}}
}

// Resolve says which interpreter runs the functions of a runtime. The error is a [serin.Error] that names an
// unknown runtime or an interpreter that the machine does not have.
func (e *Executor) Resolve(ctx context.Context, runtime string) (Interpreter, error) {
	return e.interpreters.resolve(ctx, runtime)
}

func (i *interpreters) resolve(ctx context.Context, runtime string) (Interpreter, error) {
	switch runtime {
	case "provided.al2023", "provided.al2":
		version := strings.TrimPrefix(runtime, "provided.")
		return Interpreter{Runtime: runtime, Version: version, family: "provided", wanted: version}, nil
	}
	for name, f := range i.families {
		match := f.pattern.FindStringSubmatch(runtime)
		if match == nil {
			continue
		}
		p, err := i.probe(ctx, name, f)
		if err != nil {
			return Interpreter{}, &serin.Error{
				Kind:    serin.KindInvalid,
				Message: fmt.Sprintf("Runtime %s needs %s on the machine that runs it: %v.", runtime, strings.Join(f.programs, " or "), err),
			}
		}
		in := Interpreter{
			Runtime: runtime, Path: p.Executable, Version: p.Version,
			family: name, wanted: match[1], libraries: p.Libraries, shown: shown(p.Prefixes),
		}
		if got := f.release(p.Version); got != in.wanted {
			in.Warning = fmt.Sprintf("Runtime %s runs on %s %s (%s).", runtime, f.programs[0], p.Version, p.Executable)
		}
		return in, nil
	}
	return Interpreter{}, serin.Errorf(serin.KindInvalid,
		"Value %s at 'runtime' is not a runtime that this server has: use nodejs*, python3.*, provided.al2023 or provided.al2.", runtime)
}

// probe returns what the interpreter of a family says of itself. What is first on the PATH may be a shim
// that looks the interpreter up for every start.
func (i *interpreters) probe(ctx context.Context, name string, f family) (probed, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if p, ok := i.found[name]; ok {
		return p, nil
	}
	programs := f.programs
	if program := i.override[name]; program != "" {
		programs = []string{program}
	}
	var failure error
	for _, program := range programs {
		p, err := ask(ctx, program, f.probe)
		if err == nil {
			i.found[name] = p
			return p, nil
		}
		failure = err
	}
	return probed{}, failure
}

func ask(ctx context.Context, program string, args []string) (probed, error) {
	var p probed
	path, err := exec.LookPath(program)
	if err != nil {
		return p, fmt.Errorf("%s was not found", program)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).Output()
	if err != nil {
		return p, fmt.Errorf("%s does not run: %w", path, err)
	}
	if err := json.Unmarshal(out, &p); err != nil || !filepath.IsAbs(p.Executable) || p.Version == "" {
		return p, fmt.Errorf("%s does not answer like an interpreter", path)
	}
	return p, nil
}

// shown returns which of the directories that an interpreter is installed in sandboxes do not show anyway.
func shown(prefixes []string) []string {
	var dirs []string
	for _, dir := range prefixes {
		dir = filepath.Clean(dir)
		// An interpreter that is installed right below the root has its files in directories of the system.
		system := dir == "/usr" || strings.HasPrefix(dir, "/usr/") || strings.Count(dir, "/") < 2
		if filepath.IsAbs(dir) && !system && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// command returns the program and the arguments that run a function.
func (in *Interpreter) command(s *Spec, paths *sandbox.Paths) []string {
	var argv []string
	switch in.family {
	case "nodejs":
		argv = []string{in.Path, filepath.Join(paths.Runtime, "bootstrap.cjs")}
	case "python":
		// -S saves what site.py does at every start: the bootstrap is told its result. -u writes output at once.
		argv = []string{in.Path, "-S", "-u", filepath.Join(paths.Runtime, "bootstrap.py"), strings.Join(in.libraries, ":")}
	default:
		if s.LayersDir != "" && !exists(filepath.Join(s.CodeDir, "bootstrap")) {
			return []string{filepath.Join(paths.Layers, "bootstrap")}
		}
		return []string{filepath.Join(paths.Task, "bootstrap")}
	}
	if wrapper := s.Env["AWS_LAMBDA_EXEC_WRAPPER"]; wrapper != "" {
		argv = append([]string{wrapper}, argv...)
	}
	return argv
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
