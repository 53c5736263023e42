package cli

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"serin"
	"serin/internal/api"
)

// desk is a server on which live goes from version 2 to version 1.
type desk struct {
	done    []api.RollbackRequest // without the dry runs
	failure int                   // the HTTP status of a rollback, 0 for success
	asked   chan struct{}         // gets a value for each status
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "/functions/") {
		if d.asked != nil {
			d.asked <- struct{}{}
		}
		_ = json.NewEncoder(w).Encode(helloStatus())
		return
	}
	var in api.RollbackRequest
	_ = json.NewDecoder(r.Body).Decode(&in)
	if !in.DryRun {
		d.done = append(d.done, in)
		if d.failure != 0 {
			w.WriteHeader(d.failure)
			_, _ = io.WriteString(w, `{"message":"as the test wants"}`)
			return
		}
	}
	_ = json.NewEncoder(w).Encode(api.RollbackDocument{
		Function: "hello", Alias: "live", From: map[serin.VersionNumber]float64{2: 100},
		To: api.VersionRef{Version: 1}, RolledBack: !in.DryRun,
	})
}

func (d *desk) run(ctx context.Context, t *testing.T, stdin string, terminal *Terminal, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Chdir(t.TempDir())
	server := httptest.NewServer(d)
	defer server.Close()
	env := map[string]string{"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}
	var out, text strings.Builder
	code = Main(ctx, args, System{
		Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &text, Terminal: terminal,
		Getenv: func(name string) string { return env[name] },
	})
	return code, out.String(), text.String()
}

func TestRollback(t *testing.T) {
	here := &Terminal{Width: func() int { return 80 }}
	for name, c := range map[string]struct {
		desk     desk
		terminal *Terminal
		stdin    string
		args     string
		code     int
		done     int
		says     string
	}{
		"a person says yes":           {desk{}, here, "y\n", "", exitDone, 1, "↩ hello live → v1 100 %"},
		"a person says no":            {desk{}, here, "n\n", "", exitAborted, 0, "nothing was changed"},
		"a person says nothing":       {desk{}, here, "", "", exitAborted, 0, "nothing was changed"},
		"a person is not asked":       {desk{}, here, "", "-y", exitDone, 1, "does not undo: data"},
		"a program is not asked":      {desk{}, nil, "", "", exitDone, 1, "v1: first"},
		"a dry run":                   {desk{}, here, "y\n", "--dry-run", exitDone, 0, "hello live: v2 100 % → v1 100 %"},
		"the server fails":            {desk{failure: 500}, nil, "", "", exitRollbackFailed, 1, "act now"},
		"somebody moved the alias":    {desk{failure: 412}, nil, "", "", exitConflict, 1, "as the test wants"},
		"the version has been pruned": {desk{failure: 404}, nil, "", "", exitNotFound, 1, "as the test wants"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"rollback", "-f", "hello", "-m", "broken"}, strings.Fields(c.args)...)
			code, stdout, stderr := c.desk.run(t.Context(), t, c.stdin, c.terminal, args...)
			if code != c.code || stdout != "" || !strings.Contains(stderr, c.says) {
				t.Errorf("exit code %d, want %d; %s", code, c.code, stderr)
			}
			if len(c.desk.done) != c.done || c.done == 1 && c.desk.done[0].Reason != "broken" {
				t.Errorf("asked for %+v", c.desk.done)
			}
		})
	}
	if code, stdout, _ := (&desk{}).run(t.Context(), t, "", nil, "rollback", "-f", "hello", "--json"); code != exitDone || !strings.Contains(stdout, `"rolledBack": true`) {
		t.Errorf("exit code %d, %s", code, stdout)
	}
}

// status --watch ends with exit code 0 when it is interrupted, and repeats only what has changed.
func TestWatchStatus(t *testing.T) {
	for name, c := range map[string]struct {
		terminal *Terminal
		args     string
		shows    int
	}{
		"lines":    {nil, "", 1},
		"json":     {nil, "--json", 1},
		"terminal": {&Terminal{Width: func() int { return 80 }}, "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			d := &desk{asked: make(chan struct{})}
			ctx, interrupt := context.WithCancel(t.Context())
			go func() {
				<-d.asked
				<-d.asked
				interrupt()
				for range d.asked { // a status that is still being asked for
				}
			}()
			args := append([]string{"status", "--watch", "-f", "hello"}, strings.Fields(c.args)...)
			code, stdout, stderr := d.run(ctx, t, "", c.terminal, args...)
			close(d.asked)
			shown := strings.Count(stdout+stderr, "live → v1 75 %") + strings.Count(stderr, "traffic    set v1 75 %") + strings.Count(stdout, `"name":"live"`)
			if code != exitDone || shown < 1 || shown > c.shows {
				t.Errorf("exit code %d; shown %d times: %s%s", code, shown, stdout, stderr)
			}
		})
	}
}
