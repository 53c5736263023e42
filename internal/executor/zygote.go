package executor

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"serin/internal/sandbox"
)

// zygote is an interpreter that was started, in a sandbox of its own, before anybody knew for which function. It waits
// on a socket, its descriptor 3, to be told, and goes on there with the Runtime API. It becomes the runtime of one environment of one function, once, and has
// run nothing but the bootstrap until then.
type zygote struct {
	place   *sandbox.Sandbox
	process *sandbox.Process
	output  *outputPipe
	socket  net.Conn
}

// zygotes keeps zygotes of the interpreters that have been used.
type zygotes struct {
	mu     sync.Mutex
	closed bool
	ready  map[string][]*zygote // by the path of the interpreter
	making map[string]int
}

// zygoteVariable tells a bootstrap that it is to be a zygote. A function cannot set it: see variables.
const zygoteVariable = "_SERIN_ZYGOTE=1"

// specialiseTime is how long a zygote may take to receive what it is to be.
const specialiseTime = 5 * time.Second

// fixed are the beginnings of the names of variables that interpreters, or the libraries in them, read when they start:
// a function that sets one gets an interpreter of its own.
func fixed() []string {
	return []string{
		"AWS_LAMBDA_EXEC_WRAPPER", "NODE_", "PYTHON", "LD_", "UV_", "OPENSSL_", "SSL_", "ICU_", "MALLOC_", "GLIBC_", "LANG", "LC_", "LOCPATH",
	}
}

// takesZygote reports whether a zygote of the interpreter can become the runtime of the function.
func (in *Interpreter) takesZygote(s *Spec) bool {
	if !in.hasZygotes() {
		return false
	}
	for name := range s.Env {
		for _, start := range fixed() {
			if strings.HasPrefix(name, start) && name != "NODE_ENV" {
				return false
			}
		}
	}
	// The dynamic linker remembers that there was no such directory.
	return s.LayersDir == "" || !exists(filepath.Join(s.LayersDir, "lib"))
}

// hasZygotes reports whether there can be zygotes of the interpreter: a layer would hide one that is below /opt.
func (in *Interpreter) hasZygotes() bool {
	for _, dir := range in.shown {
		if strings.HasPrefix(dir, "/opt/") || strings.HasPrefix(dir, "/var/task/") {
			return false
		}
	}
	return in.family == "nodejs" || in.family == "python"
}

// takeZygote returns a zygote that can become the runtime of the function, or nil.
func (e *Executor) takeZygote(in *Interpreter, s *Spec) *zygote {
	if !in.takesZygote(s) {
		return nil
	}
	if names, err := s.extensionFiles(); err != nil || len(names) > 0 {
		return nil // one that fails is replaced, which would end extensions that have been started
	}
	e.zygotes.mu.Lock()
	defer e.zygotes.mu.Unlock()
	for list := e.zygotes.ready[in.Path]; len(list) > 0; {
		z := list[0]
		list = list[1:]
		e.zygotes.ready[in.Path] = list
		select {
		case <-z.process.Done():
			go z.end()
		default:
			return z
		}
	}
	return nil
}

// wantZygotes makes zygotes of an interpreter, if there are too few. It is called when an environment is ready rather
// than when it takes one, as making another would slow it down.
func (e *Executor) wantZygotes(in *Interpreter) {
	if e.cfg.Zygotes <= 0 || !in.hasZygotes() || !e.Isolates() {
		return
	}
	e.zygotes.mu.Lock()
	defer e.zygotes.mu.Unlock()
	for !e.zygotes.closed && len(e.zygotes.ready[in.Path])+e.zygotes.making[in.Path] < e.cfg.Zygotes {
		e.zygotes.making[in.Path]++
		e.background.Go(func() {
			z, err := e.newZygote(in)
			e.zygotes.mu.Lock()
			defer e.zygotes.mu.Unlock()
			e.zygotes.making[in.Path]--
			switch {
			case err != nil:
				e.log.Warn("cannot start an interpreter ahead", "interpreter", in.Path, "error", err)
			case e.zygotes.closed:
				z.end()
			default:
				e.zygotes.ready[in.Path] = append(e.zygotes.ready[in.Path], z)
			}
		})
	}
}

// closeZygotes ends the zygotes; there will be no more.
func (e *Executor) closeZygotes() {
	e.zygotes.mu.Lock()
	defer e.zygotes.mu.Unlock()
	e.zygotes.closed = true
	for _, list := range e.zygotes.ready {
		for _, z := range list {
			z.end()
		}
	}
	clear(e.zygotes.ready)
}

// newZygote starts a zygote.
func (e *Executor) newZygote(in *Interpreter) (*zygote, error) {
	place, err := e.host.New()
	if err != nil {
		return nil, err
	}
	defer e.host.Refill()
	z := &zygote{place: place}
	if err := z.start(in); err != nil {
		place.Close()
		return nil, err
	}
	return z, nil
}

func (z *zygote) start(in *Interpreter) error {
	paths, err := z.place.Prepare(in.shown)
	if err != nil {
		return err
	}
	socket, theirs, err := socketPair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	output, err := newOutputPipe(nil, nil)
	if err != nil {
		_ = socket.Close()
		return err
	}
	defer output.write.Close()
	argv := in.command(&Spec{}, &paths)
	env := []string{zygoteVariable}
	for name, value := range in.variables(&paths) {
		env = append(env, name+"="+value)
	}
	z.process, err = z.place.Start(&sandbox.Command{Path: argv[0], Args: argv, Env: env, Dir: "/", Output: output.write, Extra: theirs})
	if err != nil {
		_ = socket.Close()
		_ = output.read.Close()
		return err
	}
	z.output, z.socket = output, socket
	return nil
}

// become makes the zygote, whose sandbox has been entered, the runtime of a function.
func (z *zygote) become(variables []string, dir string, ahead *code) error {
	if ahead == nil {
		ahead = &code{}
	}
	env := make(map[string]string, len(variables))
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	text, err := json.Marshal(struct {
		Env  map[string]string `json:"env"`
		Dir  string            `json:"dir"`
		Code []codeFile        `json:"code,omitempty"`
	}{env, dir, ahead.files})
	if err != nil {
		return fmt.Errorf("describe the function: %w", err)
	}
	frame := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(text)), uint32(len(text))) //nolint:gosec // a few KiB
	if err := z.socket.SetDeadline(time.Now().Add(specialiseTime)); err != nil {
		return err
	}
	if _, err := z.socket.Write(append(frame, text...)); err != nil {
		return err
	}
	if len(ahead.data) > 0 {
		if _, err := z.socket.Write(ahead.data); err != nil {
			return err
		}
	}
	return z.socket.SetDeadline(time.Time{})
}

// end ends a zygote that has become nothing. A nil zygote has ended.
func (z *zygote) end() {
	if z == nil {
		return
	}
	_ = z.socket.Close()
	z.place.Close()
	_ = z.output.read.Close()
}

// adopt makes a zygote the runtime of the environment.
func (env *environment) adopt(z *zygote, api *session) (*sandbox.Process, *outputPipe, error) {
	z.output.journal, z.output.source = env.journal, &env.journal.function
	go z.output.run()
	if err := z.become(env.variables(env.sandbox.Address, &env.paths), env.paths.Task, env.executor.codeOf(&env.interpreter, env.spec)); err != nil {
		z.output.close()
		_ = z.socket.Close()
		return nil, nil, os.NewSyscallError("specialise", err)
	}
	api.admitInherited(z.socket)
	return z.process, z.output, nil
}
