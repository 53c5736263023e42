package cli

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"serin"
	"serin/internal/recording"
)

func TestNewTraffic(t *testing.T) {
	file := filepath.Join(t.TempDir(), "events.jsonl")
	if err := os.WriteFile(file, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newTraffic(file, 10); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		from string
		rate float64
	}{{"no such file", 10}} {
		if _, err := newTraffic(c.from, c.rate); exitCode(err) != exitUsage {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// The traffic sends its events in turn through the alias, no more at a time than it may, and stops when it is
// told to.
func TestTraffic(t *testing.T) {
	const enough = 50
	var now, most, all atomic.Int64
	seen := make(chan string, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for n := now.Add(1); ; {
			old := most.Load()
			if n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		defer now.Add(-1)
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/2015-03-31/functions/hello/invocations" || r.URL.Query().Get("Qualifier") != "live" || r.Header.Get(serin.SyntheticHeader) != "replay" {
			t.Errorf("asked for %s", r.URL)
		}
		switch all.Add(1) % 3 {
		case 0:
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
		case 1:
			w.WriteHeader(http.StatusTooManyRequests)
		}
		seen <- string(body)
	}))
	defer server.Close()
	conn := newConnection(server.URL, defaultRegion, defaultAccount, aws.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "secret"})
	sent := &traffic{tape: &recording.Tape{Entries: []recording.Entry{{Event: []byte(`{"n":0}`)}, {Event: []byte(`{"n":1}`)}}}, rate: 2000, inFlight: 2}
	stop := sent.start(context.Background(), conn.lambda, "hello", "live")
	counts := map[string]int{}
	for range enough {
		counts[<-seen]++
	}
	summary := stop()
	if counts[`{"n":0}`] < enough/2-2 || counts[`{"n":1}`] < enough/2-2 {
		t.Errorf("events: %v", counts)
	}
	if most.Load() > 2 {
		t.Errorf("%d requests at a time", most.Load())
	}
	if got := sent.sent.Load() + sent.refused.Load(); got != all.Load() || sent.failed.Load() == 0 || sent.refused.Load() == 0 {
		t.Errorf("sent %d, refused %d, failed %d; the server saw %d", sent.sent.Load(), sent.refused.Load(), sent.failed.Load(), all.Load())
	}
	if !strings.HasPrefix(summary, "traffic: ") || !strings.Contains(summary, "more were not answered") {
		t.Error(summary)
	}
}

func TestDemoEvents(t *testing.T) {
	made := &traffic{}
	if a, b := string(made.event(0)), string(made.event(1)); a == b || !strings.HasPrefix(a, "{") {
		t.Errorf("%s, %s", a, b)
	}
}
