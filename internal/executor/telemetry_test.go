package executor

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin/internal/sandbox"
)

func TestTelemetry(t *testing.T) {
	for name, c := range map[string]struct {
		url   string
		lines []string
	}{
		"telemetry": {"/2022-07-01/telemetry", []string{
			`"type":"platform.initStart","record":{"initializationType":"on-demand","phase":"init"`,
			`"type":"platform.telemetrySubscription","record":{"name":"ext","state":"Subscribed","types":\["platform","function"\]}`,
			`"type":"platform.extension","record":{"name":"ext","state":"Ready","events":\["INVOKE","SHUTDOWN"\]}`,
			`"type":"platform.start","record":{"requestId":"`,
			`"type":"function","record":"ppp`, `"type":"function","record":"no newline"`,
			`"type":"platform.runtimeDone"`, `"type":"platform.report"`,
		}},
		"logs": {"/2020-08-15/logs", []string{
			`"type":"platform.logsSubscription"`, `"type":"platform.start"`, `"type":"function","record":"ppp`,
			`"type":"platform.end","record":{"requestId":"`, `"type":"platform.report"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logs logRecorder
			e := newExecutor(t, Config{Logs: logs.sink})
			s := withEnv(extendedSpec(t, "", "ext"), map[string]string{
				"EXTENSION_SUBSCRIBE": c.url,
				"EXTENSION_SUBSCRIPTION": `{"schemaVersion":"2022-12-13","types":["platform","function"],"buffering":{"timeoutMs":30000},` +
					`"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:4243/x"}}`,
			})
			if !e.Isolates() {
				t.Skip("skipped: the port is not the extension's own")
			}
			r := invoke(t, e, s, `{"do":"print","n":2}`)
			// What is buffered is delivered before the end.
			if err := e.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, line := range logs.lines(r.EnvironmentID) {
				if strings.HasPrefix(line, "ext: got ") || strings.HasPrefix(line, "ext: subscribe") {
					got = append(got, line)
				}
			}
			wantLines(t, got, append([]string{`ext: subscribe 200 "OK"`}, c.lines...)...)
		})
	}
}

// gathering is a subscription that sends to a function.
func gathering(t *testing.T, send func([]string) error) *subscription {
	t.Helper()
	s, err := newSubscription("x", false, []byte(`{"types":["function"],"destination":{"protocol":"TCP","port":1}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.send = func(_ context.Context, batch [][]byte) error {
		var lines []string
		for _, event := range batch {
			_, line, _ := strings.Cut(string(event), `"type":`)
			lines = append(lines, strings.TrimSuffix(line, "}"))
		}
		if batch == nil {
			return nil
		}
		return send(lines)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); synctest.Wait() })
	go s.run(ctx)
	return s
}

func TestSubscriptionBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type batch struct {
			at    time.Duration
			lines int
			bytes int
		}
		var got []batch
		start := time.Now()
		s := gathering(t, func(lines []string) error {
			got = append(got, batch{time.Since(start), len(lines), len(strings.Join(lines, ""))})
			return nil
		})
		line := func(n int) {
			for range n {
				s.line(start, "function", []byte("x"))
			}
			s.line(start, "extension", []byte("unwanted"))
		}
		line(3) // delivered when the time is over
		time.Sleep(2 * time.Second)
		synctest.Wait()
		line(10000) // more than a batch: at once
		synctest.Wait()
		if len(got) < 2 || got[0].at != time.Second || got[0].lines != 3 || got[1].at != 2*time.Second {
			t.Fatalf("batches %v", got)
		}
		s.line(start, "function", []byte(strings.Repeat("y", 200<<10)))
		s.line(start, "function", []byte(strings.Repeat("z", 100<<10)))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		total := 0
		for _, b := range got {
			total += b.lines
			if b.bytes > s.bytes {
				t.Errorf("a batch of %d bytes", b.bytes)
			}
		}
		if total != 10005 {
			t.Errorf("%d lines", total)
		}
	})
}

func TestSubscriptionLoses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		var fail error
		tries := 0
		s := gathering(t, func(lines []string) error {
			if tries++; fail == nil {
				got = append(got, lines...)
			}
			return fail
		})
		send := func(line string) {
			s.line(time.Now(), "function", []byte(line))
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		fail = errors.New("refused")
		send("one")
		if tries != deliveryAttempts {
			t.Errorf("%d attempts", tries)
		}
		fail = sandbox.ErrFrozen
		send("two")
		fail = nil
		send("three")
		want := []string{`"function","record":"two"`, lossPrefix + "1", `"function","record":"three"`}
		for n := range got {
			got[n], _, _ = strings.Cut(got[n], `,"droppedBytes"`)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}

		got, fail = nil, sandbox.ErrFrozen
		for range 10 {
			send(strings.Repeat("x", 1<<20))
		}
		fail = nil
		send("the end")
		size := 0
		for _, line := range got {
			size += len(line)
		}
		if size > maxBacklog+2<<20 || !strings.HasPrefix(got[len(got)-1], lossPrefix) {
			t.Errorf("%d bytes, the last event is %.100s", size, got[len(got)-1])
		}
	})
}

const lossPrefix = `"platform.logsDropped","record":{"droppedRecords":`

func TestSubscriptionTCP(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial := func(ctx context.Context, port uint16) (net.Conn, error) {
		if port != 4242 {
			t.Errorf("port %d", port)
		}
		return new(net.Dialer).DialContext(ctx, "tcp4", l.Addr().String())
	}
	s, err := newSubscription("x", false, []byte(`{"schemaVersion":"2022-12-13","types":["function"],"buffering":{"timeoutMs":25},"destination":{"protocol":"TCP","port":4242}}`), dial)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go s.run(ctx)
	s.line(time.Unix(0, 0), "function", []byte(`{"a": 1}`))
	s.line(time.Unix(0, 0), "function", []byte(`text`))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	lines := bufio.NewScanner(c)
	for _, want := range []string{
		`{"time":"1970-01-01T00:00:00.000Z","type":"function","record":{"a":1}}`,
		`{"time":"1970-01-01T00:00:00.000Z","type":"function","record":"text"}`,
	} {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("line %q, want %q (%v)", lines.Text(), want, lines.Err())
		}
	}
}

func TestSubscriptionRefused(t *testing.T) {
	for body, want := range map[string]string{
		`{`:                 "unexpected end",
		`{}`:                "types",
		`{"types":["all"]}`: "types",
		`{"types":["platform"],"buffering":{"maxItems":1}}`:                                                "maxItems",
		`{"types":["platform"],"buffering":{"maxBytes":9999999}}`:                                          "maxBytes",
		`{"types":["platform"],"buffering":{"timeoutMs":0}}`:                                               "timeoutMs",
		`{"types":["platform"]}`:                                                                           "protocol",
		`{"types":["platform"],"destination":{"protocol":"TCP","port":65536}}`:                             "port",
		`{"types":["platform"],"destination":{"protocol":"TCP","port":-1}}`:                                "port",
		`{"types":["platform"],"destination":{"protocol":"HTTP","URI":"http://169.254.169.254/"}}`:         "sandbox.localdomain",
		`{"types":["platform"],"destination":{"protocol":"HTTP","URI":"https://sandbox:1"}}`:               "sandbox.localdomain",
		`{"types":["platform"],"destination":{"protocol":"HTTP","URI":"http://sandbox:0"}}`:                "port",
		`{"types":["platform"],"destination":{"protocol":"HTTP","URI":"http://sandbox:1","method":"GET"}}`: "method",
	} {
		if _, err := newSubscription("x", false, []byte(body), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

// FuzzSubscription: what is accepted is within the limits.
func FuzzSubscription(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":"2022-12-13","types":["platform"],"buffering":{"maxItems":1000},"destination":{"protocol":"HTTP","URI":"http://sandbox:8080/a?b"}}`), true)
	f.Add([]byte(`{"types":["function","extension"],"destination":{"protocol":"TCP","port":8080}}`), false)
	f.Add([]byte(`{"types":[],"destination":{"protocol":"HTTP","URI":"http://[::1"}}`), false)
	f.Fuzz(func(t *testing.T, body []byte, logs bool) {
		s, err := newSubscription("x", logs, body, nil)
		if err != nil {
			return
		}
		if s.items > 10000 || s.bytes > 1<<20 || s.every < 25*time.Millisecond || s.every > 30*time.Second || s.send == nil || len(s.types) == 0 {
			t.Errorf("accepted %+v", s)
		}
	})
}
