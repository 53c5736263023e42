package server_test

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin/internal/egress"
	"serin/internal/sandbox"
	"serin/internal/server"
)

// hostile is a function that does what the event says. It answers with what it got.
const hostile = `
import ctypes, errno, glob, json, os, signal, socket, subprocess, sys, time, urllib.request

libc = ctypes.CDLL(None, use_errno=True)

def call(number, *args):
    return "done" if libc.syscall(number, *args) >= 0 else errno.errorcode[ctypes.get_errno()]

def attempt(f):
    try:
        return str(f())[:200]
    except Exception as e:
        return errno.errorcode.get(getattr(e, "errno", None), type(e).__name__)

def search(what):
    found = []
    for pattern in ("/proc/[0-9]*/environ", "/proc/[0-9]*/cmdline", "/proc/[0-9]*/root", "/tmp/*", "/opt/*", "/run/*", "/home/*/*", "/mnt/*", "/var/*/*"):
        for name in glob.glob(pattern):
            own = name.split("/")[1:3] == ["proc", str(os.getpid())]
            try:
                with open(name, "rb") as f:
                    if what in f.read(1 << 20) and not own:
                        found.append(name)
            except OSError:
                pass
    return found

def forks():
    n = 0
    try:
        while True:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            n += 1
    except OSError as e:
        return [n < 1024, errno.errorcode[e.errno]]

def fill():
    n = 0
    with open("/tmp/full", "wb") as f:
        try:
            while True:
                n += f.write(b"x" * (1 << 20))
                f.flush()
        except OSError as e:
            return [n >> 20, errno.errorcode[e.errno]]

def handler(event, context):
    do = event["do"]
    if do == "search": return search(event["for"].encode()[::-1])
    if do == "processes": return sorted({open("/proc/%s/comm" % p).read().strip() for p in os.listdir("/proc") if p.isdigit()})
    if do == "look": return attempt(lambda: os.listdir(event["at"]))
    if do == "write": return [attempt(lambda: open(d + "/x", "w")) for d in event["to"]]
    if do == "calls": return {n: call(*a) for n, a in event["calls"].items()}
    if do == "ptrace": return [call(101, 16, p, 0, 0) for p in (1, os.getppid() or 1)]
    if do == "ids": return [attempt(lambda: os.setuid(0)), attempt(lambda: os.setgroups([0])), attempt(lambda: os.chroot("/tmp")), os.getuid() != 0]
    if do == "sudo": return [p for p in ("/bin/su", "/usr/bin/passwd", "/usr/bin/newgrp") if os.path.exists(p) and subprocess.run([p, "--help"], capture_output=True).returncode < 0]
    if do == "forks": return forks()
    if do == "memory":
        keep = []
        while True: keep.append(bytearray(1 << 20))
    if do == "fill": return fill()
    if do == "signal": return [attempt(lambda: os.kill(p, signal.SIGKILL)) for p in event["pids"]]
    if do == "connect": return attempt(lambda: socket.create_connection((event["host"], event["port"]), 5) and "connected")
    if do == "get": return attempt(lambda: urllib.request.urlopen(event["url"], timeout=5).status)
    if do == "raw": return [attempt(lambda: socket.socket(f, t)) for f, t in ((socket.AF_INET, socket.SOCK_RAW), (socket.AF_PACKET, socket.SOCK_RAW), (40, socket.SOCK_STREAM))]
    if do == "stay":
        subprocess.Popen(["sh", "-c", "sleep 1000; : " + event["mark"]], start_new_session=True)
        time.sleep(event["seconds"])
        return "left"
    if do == "descriptors": return sorted(os.readlink("/proc/self/fd/%s" % f) for f in os.listdir("/proc/self/fd") if os.path.lexists("/proc/self/fd/%s" % f))
`

// isolates skips the test unless functions get every protection here; where nothing may be missing it fails.
func isolates(tb testing.TB) {
	tb.Helper()
	h, err := sandbox.Open(sandbox.Config{Dir: filepath.Join(tb.TempDir(), "sandbox"), Runtime: tb.TempDir()})
	must(tb, err)
	missing := sandbox.Missing(h.Protections())
	must(tb, h.Close())
	if missing != "" {
		lacking(tb, "this machine does not grant: "+missing)
	}
}

// victimSecret is in the environment and the code of the function that the hostile one looks for.
const victimSecret = "hunter2-is-the-secret"

// reversed keeps the secret itself out of the event, where the hostile function would find it.
func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// G10: what hostile functions try, and what each gets.
func TestHostileFunctions(t *testing.T) {
	isolates(t)
	data := t.TempDir()
	r := start(t, func(c *server.Config) { c.Data = data })
	r.create(t, "victim", "import os\nopen('/tmp/victim', 'w').write('"+victimSecret+"')\ndef handler(e, c): return '"+victimSecret+"'", 0)
	_, err := r.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("victim"), Environment: &types.Environment{Variables: map[string]string{"SECRET": victimSecret}},
	})
	must(t, err)
	r.create(t, "hostile", hostile, 0)
	_, err = r.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("hostile"), Timeout: aws.Int32(60)})
	must(t, err)
	r.create(t, "roomy", hostile, 0)
	_, err = r.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("roomy"), Timeout: aws.Int32(60), MemorySize: aws.Int32(8192),
	})
	must(t, err)
	healthy := func(t *testing.T) {
		t.Helper()
		out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("victim"), Payload: []byte("{}")})
		must(t, err)
		if string(out.Payload) != `"`+victimSecret+`"` {
			t.Fatalf("the victim answers %s", out.Payload)
		}
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(r.Endpoint, "http://"))
	must(t, err)
	for _, attack := range []struct{ name, event, want string }{
		{"search for another function's secret in /proc and files", fmt.Sprintf(`{"do":"search","for":%q}`, reversed(victimSecret)), `^\[\]$`},
		{"list processes", `{"do":"processes"}`, `^\["machine", "python3?[0-9.]*"\]$`},
		{"read the data directory", fmt.Sprintf(`{"do":"look","at":%q}`, data), `^"ENOENT"$`},
		{"read the host's files", `{"do":"look","at":"/mnt"}`, `^"\[\]"$`},
		{"read root's home", `{"do":"look","at":"/root/.ssh"}`, `^"(ENOENT|EACCES)"$`},
		{"change the code, the runtime, programs", `{"do":"write","to":["/var/task","/var/runtime","/usr/bin","/etc","/opt",""]}`, `^\["EROFS", "EROFS", "EROFS", "EROFS", "EROFS", "EROFS"\]$`},
		{"ptrace", `{"do":"ptrace"}`, `^\["EPERM", "EPERM"\]$`},
		{"make namespaces, mount, load BPF, use keys, io_uring", `{"do":"calls","calls":{"unshare":[272,268435456],"mount":[165,0,0,0,0,0],"bpf":[321,0,0,0],"keyctl":[250,0,0],"io_uring":[425,1,0],"process_vm_readv":[310,1,0,0,0,0,0]}}`, `^\{("[a-z_]+": "EPERM"(, )?){6}\}$`},
		{"become root", `{"do":"ids"}`, `^\["EINVAL", "EPERM", "EPERM", true\]$`},
		{"send raw packets, talk to the hypervisor", `{"do":"raw"}`, `^\["(EPERM|EPROTONOSUPPORT)", "EPERM", "EPERM"\]$`},
		{"signal the server and everything", fmt.Sprintf(`{"do":"signal","pids":[%d,%d]}`, os.Getpid(), os.Getppid()), `^\["ESRCH", "ESRCH"\]$`},
		{"connect to the server's port", fmt.Sprintf(`{"do":"connect","host":"127.0.0.1","port":%s}`, port), `^"ECONNREFUSED"$`},
		{"connect to the machine by its name", fmt.Sprintf(`{"do":"connect","host":%q,"port":%s}`, egress.HostName, port), `^"gaierror"$`},
		{"ask for cloud credentials", `{"do":"connect","host":"169.254.169.254","port":80}`, `^"ECONNREFUSED"$`},
		{"look at inherited descriptors", `{"do":"descriptors"}`, `^\["/dev/null"(, "(pipe|socket|anon_inode):[^"]*")*(, "/proc/[0-9]+/fd")?\]$`},
		{"fork bomb", `{"do":"forks"}`, `^\[true, "(EAGAIN|ENOMEM)"\]$|Runtime exited with error: signal: killed`},
		{"fork bomb with 8 GB of memory", `{"do":"forks"}`, `^\[true, "EAGAIN"\]$`},
		{"memory bomb", `{"do":"memory"}`, `"errorType":"Runtime.ExitError","errorMessage":"RequestId: [-0-9a-f]{36} Error: Runtime exited with error: signal: killed"`},
		{"fill the disk, with 128 MB of memory and 512 MB of /tmp", `{"do":"fill"}`, `^\[5\d\d, "ENOSPC"\]$`},
	} {
		t.Run(attack.name, func(t *testing.T) {
			function := "hostile"
			if strings.Contains(attack.name, "8 GB") {
				function = "roomy"
			}
			out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &function, Payload: []byte(attack.event), LogType: types.LogTypeTail})
			must(t, err)
			t.Logf("got %s", out.Payload)
			if !regexp.MustCompile(attack.want).Match(out.Payload) {
				t.Errorf("got %s, want %s", out.Payload, attack.want)
			}
			if attack.name == "memory bomb" && !strings.Contains(decoded(t, out.LogResult), "Max Memory Used: 128 MB") {
				t.Errorf("the log does not tell of the memory:\n%s", decoded(t, out.LogResult))
			}
			healthy(t)
		})
	}
}

// TestFunctionReachesTheServerWithoutCredentials lets functions connect to everything: the server itself answers 403.
func TestFunctionReachesTheServerWithoutCredentials(t *testing.T) {
	isolates(t)
	everything, err := egress.ParsePolicy("all")
	must(t, err)
	r := start(t, func(c *server.Config) { c.Network = everything })
	r.create(t, "hostile", hostile, 0)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(r.Endpoint, "http://"))
	must(t, err)
	event := fmt.Sprintf(`{"do":"get","url":"http://%s:%s/2015-03-31/functions"}`, egress.HostName, port)
	out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("hostile"), Payload: []byte(event)})
	must(t, err)
	if string(out.Payload) != `"HTTPError"` {
		t.Fatalf("got %s", out.Payload)
	}
}

// TestNothingOutlivesTheDeadline leaves a process of a session of its own behind.
func TestNothingOutlivesTheDeadline(t *testing.T) {
	isolates(t)
	r := start(t)
	r.create(t, "hostile", hostile, 0)
	_, err := r.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("hostile"), Timeout: aws.Int32(1)})
	must(t, err)
	mark := fmt.Sprintf("mark-%d-%d", os.Getpid(), time.Now().UnixNano())
	event := fmt.Sprintf(`{"do":"stay","mark":%q,"seconds":60}`, mark)
	out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("hostile"), Payload: []byte(event)})
	must(t, err)
	if !strings.Contains(string(out.Payload), "Task timed out after 1.00 seconds") {
		t.Fatalf("got %s", out.Payload)
	}
	answered := time.Now()
	for alive(mark) {
		if time.Since(answered) > 5*time.Second {
			t.Fatal("a process of the function is left")
		}
	}
	t.Logf("gone %v after the answer", time.Since(answered))

	// Without a timeout it ends with the environment, here with the server.
	event = fmt.Sprintf(`{"do":"stay","mark":%q,"seconds":0}`, mark)
	_, err = r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("hostile"), Payload: []byte(event)})
	must(t, err)
	if !alive(mark) {
		t.Fatal("the function has started no process")
	}
	r.stop()
	if alive(mark) {
		t.Error("a process of the function has outlived the server")
	}
}

// alive reports whether a process has the mark in its command line.
func alive(mark string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if line, err := os.ReadFile(f); err == nil && strings.Contains(string(line), mark) {
			return true
		}
	}
	return false
}

// decoded is the end of a log as an answer carries it.
func decoded(tb testing.TB, encoded *string) string {
	tb.Helper()
	log, err := base64.StdEncoding.DecodeString(aws.ToString(encoded))
	must(tb, err)
	return string(log)
}
