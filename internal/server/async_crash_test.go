package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin/internal/server"
	"serin/internal/store/storetest"
)

// Variables of the test binary when it is the server that a test kills.
const (
	processData     = "SERIN_TEST_SERVER_DATA"
	processDatabase = "SERIN_TEST_SERVER_DATABASE"
)

// crashRounds names the variable that says how often the server is killed.
const crashRounds = "SERIN_TEST_CRASH_ROUNDS"

func TestMain(m *testing.M) {
	if data := os.Getenv(processData); data != "" {
		err := server.Run(context.Background(), server.Config{
			Listen: "127.0.0.1:0", Data: data, Database: os.Getenv(processDatabase), Region: "us-east-1", Account: "000000000000",
			Auth: server.AuthSigV4, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		}, func(r server.Ready) { _ = json.NewEncoder(os.Stdout).Encode(r) })
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// process is a server in a process of its own.
type process struct {
	*running
	cmd *exec.Cmd
	log bytes.Buffer
}

// startProcess starts a server and waits until it serves.
func startProcess(tb testing.TB, data, database string) *process {
	tb.Helper()
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), processData+"="+data, processDatabase+"="+database)
	p.cmd.Stderr = &p.log
	output, err := p.cmd.StdoutPipe()
	must(tb, err)
	must(tb, p.cmd.Start())
	tb.Cleanup(p.kill)
	var ready server.Ready
	if err := json.NewDecoder(output).Decode(&ready); err != nil {
		tb.Fatalf("the server does not serve: %v\n%s", err, p.log.String())
	}
	p.running = &running{Ready: ready, Client: client(ready, ready.SecretAccessKey)}
	return p
}

// kill ends the server as a power cut would end its process.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// G4: of events that were accepted by a server that is killed again and again, each ran or went where those go that
// failed.
func TestEventsOutlastKills(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { killBetweenEvents(t, "", 20) })
	t.Run("postgres", func(t *testing.T) { killBetweenEvents(t, storetest.StartPostgres(t).URL(t), 10) })
}

func killBetweenEvents(t *testing.T, database string, rounds int) {
	t.Helper()
	if text := os.Getenv(crashRounds); text != "" {
		var err error
		rounds, err = strconv.Atoi(text)
		must(t, err)
	}
	data, host := t.TempDir(), listen(t)
	p := startProcess(t, data, database)
	p.create(t, "shop", "def handler(event, context):\n    return 1 // (event['n'] % 4)\n", 0)
	p.onEvents(t, "shop", 0, host.url, host.url)

	accepted, kills := events{open: map[int]bool{}}, 0
	for {
		accepted.sendUntilKilled(t, p)
		if kills++; kills == rounds {
			break
		}
		p = startProcess(t, data, database)
	}
	p = startProcess(t, data, database)
	sent, told := len(accepted.open), 0
	for len(accepted.open) > 0 && !t.Failed() {
		got := host.next(t)
		told++
		accepted.close(t, got)
	}
	if t.Failed() {
		t.Logf("log of the server:\n%s", p.log.String())
	}
	t.Logf("%d kills, %d events accepted, %d ends told so far", kills, sent, told)
	if sent < 5*kills {
		t.Error("the server was hardly sent anything before it was killed")
	}
}

// events are those that were accepted and of whose end nothing has been told.
type events struct {
	mu   sync.Mutex
	next int
	open map[int]bool
}

// sendUntilKilled sends events, kills the server at a random moment, and keeps those that it accepted.
func (e *events) sendUntilKilled(t *testing.T, p *process) {
	t.Helper()
	const senders, each = 4, 20
	time.AfterFunc(rand.N(400*time.Millisecond), func() { p.cmd.Process.Kill() })
	var group sync.WaitGroup
	for range senders {
		group.Go(func() {
			for range each {
				e.mu.Lock()
				e.next++
				n := e.next
				e.mu.Unlock()
				out, err := p.Invoke(context.Background(), &lambda.InvokeInput{
					FunctionName: new("shop"), InvocationType: types.InvocationTypeEvent, Payload: fmt.Appendf(nil, `{"n":%d}`, n),
				})
				if err != nil {
					return
				}
				if out.StatusCode != http.StatusAccepted {
					t.Errorf("event %d got status %d", n, out.StatusCode)
				}
				e.mu.Lock()
				e.open[n] = true
				e.mu.Unlock()
			}
		})
	}
	group.Wait()
	_ = p.cmd.Wait()
}

// close checks what was told of an event.
func (e *events) close(t *testing.T, got told) {
	t.Helper()
	var event struct{ N int }
	must(t, json.Unmarshal(got.RequestPayload, &event))
	want := "Success"
	if event.N%4 == 0 { // a division by zero
		want = "RetriesExhausted"
	}
	if got.RequestContext.Condition != want {
		t.Errorf("event %d ended with %s: %s", event.N, got.RequestContext.Condition, got.body)
	}
	delete(e.open, event.N)
}
