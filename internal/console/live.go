package console

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"serin"
)

const (
	refreshEvery = time.Second
	heartbeat    = 15 * time.Second // keeps proxies from closing a stream, and notices sessions that have ended
	maxStreams   = 2000
	behind       = 4 // messages that a page may be behind before its stream is ended
)

// fragment is an element of a page that changes while it is shown.
type fragment struct {
	ID   string `json:"id"`
	HTML string `json:"html"`
}

// render makes the fragments of a topic as they are now. It may leave out those that it knows not to have changed.
type render func(ctx context.Context) ([]fragment, error)

// hub renders what pages show, once for all who look at the same, and tells them what has changed.
type hub struct {
	log   *slog.Logger
	first chan struct{} // told when the first page opens

	mu      sync.Mutex
	topics  map[string]*topic
	streams int
}

type topic struct {
	render  render
	every   time.Duration
	due     time.Time
	shown   map[string]string // the newest HTML by id
	readers map[chan []byte]struct{}
}

func newHub(log *slog.Logger) *hub {
	return &hub{log: log, first: make(chan struct{}, 1), topics: map[string]*topic{}}
}

// run renders until the context ends. Nothing is done while nobody looks.
func (h *hub) run(ctx context.Context) error {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		if h.idle() {
			select {
			case <-ctx.Done():
				return nil
			case <-h.first:
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			for name, t := range h.due(now) {
				h.refresh(ctx, name, t)
			}
		}
	}
}

func (h *hub) idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.topics) == 0
}

func (h *hub) due(now time.Time) map[string]*topic {
	h.mu.Lock()
	defer h.mu.Unlock()
	due := map[string]*topic{}
	for name, t := range h.topics {
		if !now.Before(t.due) {
			t.due = now.Add(t.every - refreshEvery/2)
			due[name] = t
		}
	}
	return due
}

// refresh renders a topic and sends its readers what has changed. Who cannot keep up is cut off, comes back and gets
// everything.
func (h *hub) refresh(ctx context.Context, name string, t *topic) {
	all, err := t.render(ctx)
	if err != nil {
		if serin.KindOf(err) != serin.KindNotFound && ctx.Err() == nil { // what was deleted has no fragments
			h.log.ErrorContext(ctx, "console: cannot render", "topic", name, "error", err)
		}
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var changed []fragment
	for _, f := range all {
		if t.shown[f.ID] != f.HTML {
			t.shown[f.ID] = f.HTML
			changed = append(changed, f)
		}
	}
	message := encode(changed)
	if message == nil {
		return
	}
	for reader := range t.readers {
		select {
		case reader <- message:
		default:
			h.leave(name, reader)
		}
	}
}

// encode makes an event of fragments, nil of none.
func encode(all []fragment) []byte {
	if len(all) == 0 {
		return nil
	}
	document, err := json.Marshal(all)
	if err != nil { // strings always encode
		return nil
	}
	return fmt.Appendf(nil, "event: fragments\ndata: %s\n\n", document)
}

// join makes somebody a reader of a topic, who is first told all that is known of it. The channel is closed when the
// reader has fallen behind.
func (h *hub) join(name string, every time.Duration, make1 func() render) (<-chan []byte, func(), error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams >= maxStreams {
		return nil, nil, serin.Errorf(serin.KindThrottled, "Too many pages are open; this one does not update itself.")
	}
	t := h.topics[name]
	if t == nil {
		t = &topic{render: make1(), every: every, shown: map[string]string{}, readers: map[chan []byte]struct{}{}}
		h.topics[name] = t
	}
	reader := make(chan []byte, behind)
	var known []fragment
	for id, text := range t.shown {
		known = append(known, fragment{id, text})
	}
	if message := encode(known); message != nil {
		reader <- message
	}
	t.readers[reader] = struct{}{}
	h.streams++
	select {
	case h.first <- struct{}{}:
	default:
	}
	return reader, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.leave(name, reader)
	}, nil
}

// leave removes a reader, and a topic without readers. The caller holds the lock.
func (h *hub) leave(name string, reader chan []byte) {
	t := h.topics[name]
	if t == nil {
		return
	}
	if _, ok := t.readers[reader]; !ok {
		return
	}
	delete(t.readers, reader)
	close(reader)
	h.streams--
	if len(t.readers) == 0 {
		delete(h.topics, name)
	}
}

// serveLive streams the fragments of a topic until the page is closed, the session ends or the server stops.
func (c *Console) serveLive(w http.ResponseWriter, v *visit) error {
	name := v.URL.Query().Get("topic")
	every, make1, err := c.topic(name)
	if err != nil {
		return err
	}
	messages, leave, err := c.hub.join(name, every, make1)
	if err != nil {
		return err
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	message := []byte("retry: 2000\n\n")
	for {
		// A page that does not read must not keep the stream for ever.
		_ = out.SetWriteDeadline(time.Now().Add(heartbeat)) // not every writer can
		if _, err := w.Write(message); err != nil {
			return nil // the page was closed
		}
		if err := out.Flush(); err != nil {
			return nil // the page was closed
		}
		var open bool
		select {
		case <-v.Context().Done():
			return nil
		case <-c.Stopping.Done():
			return nil
		case message, open = <-messages:
			if !open {
				return nil
			}
		case <-beat.C:
			message = []byte(": still here\n\n")
			if _, err := c.session(v.Request); err != nil {
				message = []byte("event: ended\ndata: \n\n")
				_, _ = w.Write(message)
				_ = out.Flush()
				return nil
			}
		}
	}
}
