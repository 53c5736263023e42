package executor

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"serin/internal/sandbox"
)

// Large JavaScript files take longer to compile than an interpreter takes to start. So the files of a package are
// compiled ahead, once, in a sandbox that has the package and runs nothing of it: V8 trusts code that it is given, and
// one environment of a version must not decide what another one runs. Zygotes get the code with their function.

const (
	// leastSource and mostSource bound the files that are compiled ahead, in bytes: smaller ones compile in no time.
	leastSource, mostSource = 64 << 10, 16 << 20
	// mostSources is how many files of a package are compiled ahead, the largest first.
	mostSources = 32
	// mostCode bounds the code of a package, in bytes.
	mostCode = 96 << 20
	// mostCodes bounds the code of all packages on disk, in bytes. The oldest goes first.
	mostCodes = 1 << 30
	// compileTime is how long a package may take.
	compileTime = time.Minute
	// compileMemoryMB is the memory of the sandbox, in MiB.
	compileMemoryMB = 1024
)

// codeCache keeps compiled code in files: the description as a line of JSON, and then the code.
type codeCache struct {
	dir     string
	turn    sync.Mutex // of compiling
	mu      sync.Mutex
	visited map[string]bool // by name; false while a package is compiled
}

// codeFile describes a part of the code.
type codeFile struct {
	Name   string `json:"name"` // absolute, in the sandbox
	Length int    `json:"length"`
}

// code is what is known ahead of a package.
type code struct {
	files []codeFile
	data  []byte
}

// codeName names the code of a package, whose directory is never used for another one, for an interpreter.
func codeName(in *Interpreter, s *Spec) string {
	sum := sha256.Sum256([]byte(in.Path + "\x00" + in.Version + "\x00" + s.CodeDir))
	return hex.EncodeToString(sum[:])
}

// codeOf returns the code of a function, or nil.
func (e *Executor) codeOf(in *Interpreter, s *Spec) *code {
	if in.family != "nodejs" {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(e.codes.dir, codeName(in, s)))
	if err != nil {
		return nil
	}
	line, data, _ := strings.Cut(string(raw), "\n")
	c := &code{data: []byte(data)}
	if json.Unmarshal([]byte(line), &c.files) != nil {
		return nil
	}
	return c
}

// wantCode compiles the package of a function ahead, unless that was tried. It does not wait for it.
func (e *Executor) wantCode(in *Interpreter, s *Spec) {
	if e.cfg.Zygotes <= 0 || in.family != "nodejs" || !in.takesZygote(s) || !e.Isolates() {
		return
	}
	name := codeName(in, s)
	e.codes.mu.Lock()
	defer e.codes.mu.Unlock()
	if _, ok := e.codes.visited[name]; ok {
		return
	}
	e.codes.visited[name] = false
	e.background.Go(func() {
		e.codes.turn.Lock()
		defer e.codes.turn.Unlock()
		if err := e.compile(in, s, name); err != nil && !e.killing.Load() {
			e.log.Warn("cannot compile a function ahead", "function", s.Function, "version", s.Version, "error", err)
		}
		e.codes.mu.Lock()
		defer e.codes.mu.Unlock()
		e.codes.visited[name] = true
	})
}

// compile makes the code of a package, if it has large files and there is none yet.
func (e *Executor) compile(in *Interpreter, s *Spec, name string) error {
	target := filepath.Join(e.codes.dir, name)
	if exists(target) || e.killing.Load() {
		return nil
	}
	sources, err := largeSources(s.CodeDir)
	if err != nil || len(sources) == 0 {
		return err
	}
	c, err := e.compileIn(in, s, sources)
	if err != nil {
		return err
	}
	line, err := json.Marshal(c.files)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(e.codes.dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(target+".new", append(append(line, '\n'), c.data...), 0o600); err != nil {
		return err
	}
	return errors.Join(os.Rename(target+".new", target), e.codes.trim())
}

// largeSources lists the files of a package that are worth compiling ahead, as paths relative to it.
func largeSources(dir string) ([]string, error) {
	type source struct {
		path string
		size int64
	}
	var all []source
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !slices.Contains([]string{".js", ".cjs"}, filepath.Ext(path)) {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() >= leastSource && info.Size() <= mostSource {
			all = append(all, source{path, info.Size()})
		}
		return err
	})
	slices.SortFunc(all, func(a, b source) int {
		return cmp.Or(cmp.Compare(b.size, a.size), strings.Compare(a.path, b.path))
	})
	var paths []string
	for _, one := range all[:min(len(all), mostSources)] {
		relative, err := filepath.Rel(dir, one.path)
		if err != nil {
			return nil, err
		}
		paths = append(paths, relative)
	}
	return paths, err
}

// compileIn compiles files of a package in a sandbox.
func (e *Executor) compileIn(in *Interpreter, s *Spec, sources []string) (*code, error) {
	place, err := e.host.New()
	if err != nil {
		return nil, err
	}
	defer place.Close()
	paths, err := place.Enter(&sandbox.Contents{Task: s.CodeDir, Show: in.shown, TmpMB: 1, MemoryMB: compileMemoryMB})
	if err != nil {
		return nil, err
	}
	socket, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, errors.Join(err, theirs.Close())
	}
	args := []string{in.Path, filepath.Join(paths.Runtime, "compile.cjs")}
	c := &code{}
	for _, path := range sources {
		name := filepath.Join(paths.Task, path)
		args = append(args, name)
		c.files = append(c.files, codeFile{Name: name})
	}
	_, err = place.Start(&sandbox.Command{Path: in.Path, Args: args, Dir: "/", Output: null, Extra: theirs})
	if err := errors.Join(err, null.Close(), theirs.Close()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), compileTime)
	defer cancel()
	defer context.AfterFunc(ctx, place.Kill)()
	return c, c.receive(socket)
}

// receive reads the code of each file.
func (c *code) receive(from io.Reader) error {
	r := bufio.NewReader(from)
	for n := range c.files {
		var length [4]byte
		if _, err := io.ReadFull(r, length[:]); err != nil {
			return fmt.Errorf("the compiler has ended: %w", err)
		}
		size := int(binary.LittleEndian.Uint32(length[:]))
		if len(c.data)+size > mostCode {
			return fmt.Errorf("the code of the package is larger than %d bytes", mostCode)
		}
		start := len(c.data)
		c.data = append(c.data, make([]byte, size)...)
		if _, err := io.ReadFull(r, c.data[start:]); err != nil {
			return fmt.Errorf("the compiler has ended: %w", err)
		}
		c.files[n].Length = size
	}
	kept := c.files[:0]
	for _, f := range c.files {
		if f.Length > 0 {
			kept = append(kept, f)
		}
	}
	c.files = kept
	return nil
}

// trim removes the oldest code when there is too much.
func (c *codeCache) trim() error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	var infos []fs.FileInfo
	var total int64
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			infos = append(infos, info)
			total += info.Size()
		}
	}
	slices.SortFunc(infos, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	var errs []error
	for _, info := range infos {
		if total <= mostCodes {
			break
		}
		total -= info.Size()
		errs = append(errs, os.Remove(filepath.Join(c.dir, info.Name())))
	}
	return errors.Join(errs...)
}
