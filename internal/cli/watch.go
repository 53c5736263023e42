package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"serin/internal/api"
)

const watchEvery = time.Second

// watcher shows the status of a function, or of all, until its context ends. On a terminal it is repainted in place, and
// an alias that is released looks as it does to whoever runs ship; elsewhere lines are printed when they change.
type watcher struct {
	*app
	screen *screen // nil without a terminal
	asJSON bool

	paces map[string]*pace // by release
	last  []line
	words []string // what was printed last, without a terminal
}

// watchStatus shows the status until the context ends, which is no error.
func (a *app) watchStatus(ctx context.Context, conn *connection, function string, asJSON bool) error {
	w := &watcher{app: a, asJSON: asJSON, paces: map[string]*pace{}}
	if a.Terminal != nil && !asJSON {
		w.screen = &screen{to: a.Stderr, width: a.Terminal.Width, color: a.color()}
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		document, words, err := lookAt(ctx, conn, function)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (w.last == nil || !passing(err)):
			return err
		case err != nil: // it may be restarting
			err = w.silence("no answer: " + explain(err))
		default:
			err = w.show(document, words)
		}
		if err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// show shows a status. words is the status as it is printed.
func (w *watcher) show(document any, words []string) error {
	w.last = plainLines(words)
	if d, ok := document.(*api.StatusDocument); ok && w.screen != nil {
		w.last = w.lines(d, now())
	}
	changed := !slices.Equal(words, w.words)
	w.words = words
	switch {
	case w.screen != nil:
		w.screen.paint(w.last)
		return nil
	case !changed:
		return nil
	case w.asJSON:
		return w.printLine(document)
	default:
		return errors.Join(w.printLines(words), w.printLines([]string{""}))
	}
}

// silence says that there is no newer status than the last one, and why.
func (w *watcher) silence(why string) error {
	switch {
	case w.screen != nil:
		w.screen.paint(append(slices.Clone(w.last), line{why, bad}))
		return nil
	case w.asJSON || slices.Equal(w.words, []string{why}):
		return nil
	default:
		w.words = []string{why}
		return w.printLines([]string{why, ""})
	}
}

// lines is what the screen shows of a function.
func (w *watcher) lines(d *api.StatusDocument, at time.Time) []line {
	all := plainLines(functionHead(d))
	for i := range d.Aliases {
		a := &d.Aliases[i]
		if a.Release == nil {
			all = append(all, plainLines(aliasLines(d, a))...)
			continue
		}
		p := w.paces[a.Release.ReleaseID]
		if p == nil {
			p = &pace{}
			w.paces[a.Release.ReleaseID] = p
		}
		_, canary := totals(a.Release)
		p.count(canary.Requests, at)
		all = append(all, line{})
		all = append(all, view{release: a.Release, status: d, pace: p.perSecond, now: at}.lines()...)
		for _, text := range untoldLines(a.Release) {
			all = append(all, line{text, bad})
		}
	}
	return all
}

func plainLines(words []string) []line {
	all := make([]line, len(words))
	for i, text := range words {
		all[i] = line{text: text}
	}
	return all
}
