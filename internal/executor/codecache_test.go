package executor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// awaitCode waits until the package of a function has been looked at, and returns its code.
func awaitCode(tb testing.TB, e *Executor, s *Spec) *code {
	tb.Helper()
	in, err := e.Resolve(tb.Context(), s.Runtime)
	if err != nil {
		tb.Fatal(err)
	}
	name := codeName(&in, s)
	for deadline := time.Now().Add(time.Minute); ; {
		e.codes.mu.Lock()
		done := e.codes.visited[name]
		e.codes.mu.Unlock()
		switch {
		case done:
			return e.codeOf(&in, s)
		case time.Now().After(deadline):
			tb.Fatal("the function was not compiled")
		}
		<-time.After(10 * time.Millisecond)
	}
}

// padding makes a file worth compiling ahead.
func padding() string { return "// " + strings.Repeat("x", leastSource) + "\n" }

// TestCompiledAhead compares what a function sees of itself when its code was compiled ahead with when it was not.
func TestCompiledAhead(t *testing.T) {
	e := newExecutor(t, Config{})
	needNamespaces(t, e)
	s := nodeSpec(t, "")
	needInterpreter(t, e, s.Runtime)
	s.CodeDir = writeFiles(t, map[string]string{
		"index.js": `'use strict'; const where = () => new Error('here').stack.split('\n')[1]; const lib = require('./lib');
exports.handler = async () => ({
  where: where(), lib: lib.where(), libFile: lib.file, keys: Object.keys(module).sort(), loaded: module.loaded, main: require.main === process.mainModule,
  resolved: require.resolve('./lib'), cached: Object.keys(require.cache).filter((name) => name.startsWith('/var/task/')), same: require('./lib') === lib, self: this === undefined,
  paths: require.resolve.paths('x').slice(0, 2), late: (await lib.late()).default,
  source: lib.where.toString(), compile: require('module').prototype._compile.name,
});
` + padding(),
		"lib/index.js": padding() + `
exports.where = () => new Error('there').stack.split('\n')[1].split('(')[1];
exports.file = [__filename, __dirname, module.id];
exports.late = require('./late').late;
`,
		"lib/late.js": "exports.late = () => import('../other.mjs');\n" + padding(),
		"other.mjs":   "export default 'other';\n" + padding(),
	})
	first := invoke(t, e, s, `{}`)
	if code := awaitCode(t, e, s); code == nil || len(code.files) != 2 {
		t.Fatalf("code %+v of two files", code)
	}
	readyZygote(t, e, s.Runtime)
	again := *s
	again.Revision += "again"
	second := invoke(t, e, &again, `{}`)
	if !second.Cold || !bytes.Contains(first.Payload, []byte("lib/index.js")) || !bytes.Equal(first.Payload, second.Payload) {
		t.Errorf("compiled ahead\n%s\nand not\n%s", second.Payload, first.Payload)
	}
}

// TestDamagedCode runs a function whose compiled code is not what V8 takes.
func TestDamagedCode(t *testing.T) {
	e := newExecutor(t, Config{})
	needNamespaces(t, e)
	s := nodeSpec(t, "exports.handler = async () => 1;\n"+padding())
	needInterpreter(t, e, s.Runtime)
	invoke(t, e, s, `{}`)
	if awaitCode(t, e, s) == nil {
		t.Fatal("there is no code")
	}
	in, err := e.Resolve(t.Context(), s.Runtime)
	if err != nil {
		t.Fatal(err)
	}
	for n, content := range []string{"", "x", "[]\n", `[{"name":"/var/task/index.js","length":9}]` + "\nnot code.", `[{"name":"/var/task/index.js","length":0}]` + "\n"} {
		if err := os.WriteFile(filepath.Join(e.codes.dir, codeName(&in, s)), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		readyZygote(t, e, s.Runtime)
		again := *s
		again.Revision += strings.Repeat("again", n+1)
		if r := invoke(t, e, &again, `{}`); string(r.Payload) != "1" {
			t.Errorf("%q: %s", content, r.Payload)
		}
	}
}

func TestReceiveCode(t *testing.T) {
	part := func(length int, data string) string {
		return string(binary.LittleEndian.AppendUint32(nil, uint32(length))) + data
	}
	c := &code{files: []codeFile{{Name: "a"}, {Name: "bad"}, {Name: "b"}}}
	if err := c.receive(strings.NewReader(part(2, "xx") + part(0, "") + part(3, "yyy"))); err != nil {
		t.Fatal(err)
	}
	if string(c.data) != "xxyyy" || len(c.files) != 2 || c.files[1] != (codeFile{Name: "b", Length: 3}) {
		t.Errorf("code %+v", c)
	}
	for _, text := range []string{"", part(2, "x"), part(mostCode+1, "x")} {
		c := &code{files: []codeFile{{Name: "a"}}}
		if err := c.receive(strings.NewReader(text)); err == nil || errors.Is(err, io.EOF) && text != "" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestTrimCode(t *testing.T) {
	c := codeCache{dir: t.TempDir()}
	for n, name := range []string{"old", "middle", "new"} {
		path := filepath.Join(c.dir, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(int64(1000+n), 0)
		if err := errors.Join(f.Truncate(mostCodes/2), f.Close(), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.trim(); err != nil {
		t.Fatal(err)
	}
	if exists(filepath.Join(c.dir, "old")) || !exists(filepath.Join(c.dir, "middle")) || !exists(filepath.Join(c.dir, "new")) {
		t.Error("the oldest code should go, and nothing else")
	}
}
