package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"serin"
	"serin/internal/api"
)

// A release looks the same to whoever watches the status as to whoever runs ship.
func TestGoldenWatch(t *testing.T) {
	status := helloStatus()
	w := &watcher{app: &app{}, paces: map[string]*pace{}}
	w.lines(status, began.Add(60*time.Second))
	release := running(counts(serin.Counts{Requests: 3171, Errors: 3}, serin.Counts{Requests: 352}), secondStep, seen(api.Observed{Requests: 352, Duration: ms(30, 43)}))
	status.Aliases[1].Release = release
	at := began.Add(70 * time.Second)
	got := w.lines(status, at)
	var texts []string
	for _, l := range got {
		texts = append(texts, strings.TrimRight(l.text, " "))
	}
	golden(t, "watch", texts)

	all := "\n" + strings.Join(texts, "\n") + "\n"
	var ship []string
	for _, l := range (view{release: release, status: status, pace: 4, now: at}).lines() {
		ship = append(ship, strings.TrimRight(l.text, " "))
	}
	if want := "\n" + strings.Join(ship, "\n") + "\n"; !strings.Contains(all, want) {
		t.Errorf("ship shows%s\nstatus --watch shows%s", want, all)
	}
}

// What is painted over takes as many lines as were painted, and colours are left out where nobody wants them.
func TestWatchPaints(t *testing.T) {
	for _, color := range []bool{true, false} {
		var out bytes.Buffer
		w := &watcher{app: &app{}, paces: map[string]*pace{}, screen: &screen{to: &out, width: func() int { return 60 }, color: color}}
		status := helloStatus()
		if err := w.show(status, statusLines(status)); err != nil {
			t.Fatal(err)
		}
		first := out.String()
		out.Reset()
		if err := w.silence("no answer: it restarts\x1b[31m"); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(first, "\r\n"); !strings.HasPrefix(out.String(), "\x1b["+count(n)+"A\r\x1b[J") {
			t.Errorf("after %d lines: %q", n, out.String())
		}
		if strings.Contains(first, "\x1b[1m") != color || strings.Contains(out.String(), "\x1b[1;31mno answer") != color {
			t.Errorf("colours %v: %q", color, first)
		}
		for l := range strings.SplitSeq(first, "\r\n") {
			if !color && len([]rune(l)) > 60 {
				t.Errorf("a line of %d columns: %s", len([]rune(l)), l)
			}
		}
	}
}
