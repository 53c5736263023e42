package executor

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/sandbox"
)

// readyZygote waits for a zygote of the runtime.
func readyZygote(t *testing.T, e *Executor, runtime string) *zygote {
	t.Helper()
	in, err := e.Resolve(t.Context(), runtime)
	if err != nil {
		t.Fatal(err)
	}
	var z *zygote
	eventually(t, "a zygote is ready", func() bool {
		e.zygotes.mu.Lock()
		defer e.zygotes.mu.Unlock()
		if list := e.zygotes.ready[in.Path]; len(list) > 0 {
			z = list[0]
		}
		return z != nil
	})
	return z
}

// usedBy reports whether an environment runs a process.
func usedBy(e *Executor, p *sandbox.Process) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for env := range e.envs {
		if env.process == p {
			return true
		}
	}
	return false
}

// selfPortraits are functions that say all that they can see of how they were started.
func selfPortraits(t *testing.T) []*Spec {
	t.Helper()
	return []*Spec{
		nodeSpec(t, `
const { AWS_LAMBDA_LOG_STREAM_NAME: _, ...env } = process.env;
const output = require('fs').readFileSync('/proc/self/fdinfo/1').toString().match(/flags.*/);
exports.handler = async () => ({
  env, output, cwd: process.cwd(), argv: process.argv, execArgv: process.execArgv, main: require.main.filename, mainIs: require.main === process.mainModule,
  paths: require('module').globalPaths, child: require('child_process').execFileSync('sh', ['-c', 'test -e /proc/$$/fd/3; echo $?']).toString(), zone: new Date(0).toString(),
});`),
		pythonSpec(t, `
import os, subprocess, sys, time
def handler(event, context):
    env = {k: v for k, v in os.environ.items() if k != "AWS_LAMBDA_LOG_STREAM_NAME"}
    return {"env": env, "cwd": os.getcwd(), "argv": sys.argv, "path": sys.path, "main": sys.modules["__main__"].__file__, "zone": time.tzname,
            "output": [line for line in open("/proc/self/fdinfo/1") if line.startswith("flags")],
            "child": subprocess.run(["sh", "-c", "test -e /proc/$$/fd/3; echo $?"], close_fds=False, stdout=subprocess.PIPE).stdout.decode(),
            "modules": sorted(sys.modules)}`),
	}
}

func TestZygoteIsLikeAnInterpreter(t *testing.T) {
	for _, s := range selfPortraits(t) {
		t.Run(s.Runtime, func(t *testing.T) {
			e := newExecutor(t, Config{})
			needNamespaces(t, e)
			needInterpreter(t, e, s.Runtime)
			s.Env = map[string]string{"TZ": "Asia/Tokyo", "NODE_ENV": "production", "MINE": "é"}
			bare := invoke(t, e, s, `{}`)
			z := readyZygote(t, e, s.Runtime)
			again := *s
			again.Revision += "again"
			born := invoke(t, e, &again, `{}`)
			if !usedBy(e, z.process) {
				t.Error("the zygote was not used")
			}
			var want, got map[string]any
			if err := json.Unmarshal(bare.Payload, &want); err != nil {
				t.Fatalf("%v: %s", err, bare.Payload)
			}
			if err := json.Unmarshal(born.Payload, &got); err != nil {
				t.Fatalf("%v: %s", err, born.Payload)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("a zygote differs from an interpreter of one's own (-bare +zygote):\n%s", diff)
			}
			if got["child"] != "1\n" {
				t.Error("a child of the function gets the connection to the Runtime API")
			}
			if !born.Cold || born.InitDuration <= 0 || born.MaxMemoryMB < 5 {
				t.Errorf("result %+v", born)
			}
			if next := readyZygote(t, e, s.Runtime); next == z {
				t.Error("the zygote is still there for others")
			}
		})
	}
}

func TestZygoteFails(t *testing.T) {
	e := newExecutor(t, Config{})
	needNamespaces(t, e)
	s := nodeSpec(t, `exports.handler = async () => 1;`)
	needInterpreter(t, e, s.Runtime)
	invoke(t, e, s, `{}`)
	readyZygote(t, e, s.Runtime)
	bad := nodeSpec(t, `throw new Error('not today');`)
	if r := invoke(t, e, bad, `{}`); r.Outcome != serin.OutcomeInitError || !json.Valid(r.Payload) {
		t.Errorf("a function that fails to initialise: %+v", r)
	}
	gone := readyZygoteAfter(t, e, s)
	gone.place.Kill()
	<-gone.process.Done()
	again := *s
	again.Revision += "again"
	if r := invoke(t, e, &again, `{}`); string(r.Payload) != "1" {
		t.Errorf("after the end of the zygote: %s", r.Payload)
	}
}

// readyZygoteAfter runs a new environment of a function and waits for a zygote.
func readyZygoteAfter(t *testing.T, e *Executor, s *Spec) *zygote {
	t.Helper()
	one := *s
	one.Revision += "one"
	invoke(t, e, &one, `{}`)
	return readyZygote(t, e, s.Runtime)
}

func TestTakesZygote(t *testing.T) {
	layers := writeFiles(t, map[string]string{"lib/libx.so": ""})
	for _, test := range []struct {
		name string
		in   Interpreter
		spec Spec
		want bool
	}{
		{"node", Interpreter{family: "nodejs"}, Spec{}, true},
		{"python", Interpreter{family: "python", shown: []string{"/home/me/python"}}, Spec{}, true},
		{"own executable", Interpreter{family: "provided"}, Spec{}, false},
		{"interpreter below /opt", Interpreter{family: "python", shown: []string{"/opt/python3"}}, Spec{}, false},
		{"harmless", Interpreter{family: "nodejs"}, Spec{Env: map[string]string{"NODE_ENV": "x", "TZ": "UTC", "PATH": "/x"}}, true},
		{"options", Interpreter{family: "nodejs"}, Spec{Env: map[string]string{"NODE_OPTIONS": "--max-http-header-size=1"}}, false},
		{"python path", Interpreter{family: "python"}, Spec{Env: map[string]string{"PYTHONPATH": "/x"}}, false},
		{"linker", Interpreter{family: "python"}, Spec{Env: map[string]string{"LD_PRELOAD": "/x"}}, false},
		{"wrapper", Interpreter{family: "python"}, Spec{Env: map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/opt/w"}}, false},
		{"libraries in a layer", Interpreter{family: "python"}, Spec{LayersDir: layers}, false},
		{"other layers", Interpreter{family: "python"}, Spec{LayersDir: layers + "/lib"}, true},
	} {
		if got := test.in.takesZygote(&test.spec); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
