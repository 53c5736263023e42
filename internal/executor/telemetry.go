package executor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"serin/internal/sandbox"
)

const (
	// maxBacklog is how much telemetry may wait for a subscriber, in bytes, before what comes is dropped.
	maxBacklog = 4 << 20
	// deliveryAttempts is how often a batch is sent before it is dropped, and deliveryPause the time between.
	deliveryAttempts = 3
	deliveryPause    = 100 * time.Millisecond
)

// dialer connects to a port of a sandbox.
type dialer func(ctx context.Context, port uint16) (net.Conn, error)

// subscriptionRequest is the body of a request to subscribe to telemetry, or to logs, its forerunner.
type subscriptionRequest struct {
	Schema    string   `json:"schemaVersion"`
	Types     []string `json:"types"`
	Buffering struct {
		Items   *int `json:"maxItems"`
		Bytes   *int `json:"maxBytes"`
		Timeout *int `json:"timeoutMs"`
	} `json:"buffering"`
	Destination struct {
		Protocol string `json:"protocol"`
		URI      string `json:"URI"`
		Port     int    `json:"port"`
		Method   string `json:"method"`
		Encoding string `json:"encoding"`
	} `json:"destination"`
}

// subscription is what an extension wants to know. Its goroutine delivers batches; adding to it never waits.
type subscription struct {
	name    string
	logs    bool // by the Logs API
	objects bool // a line that is a JSON object is delivered as one
	types   []string
	items   int // of a batch
	bytes   int
	every   time.Duration
	send    func(ctx context.Context, batch [][]byte) error
	cancel  context.CancelFunc

	wake, now chan struct{} // there is something to deliver; at once
	mu        sync.Mutex
	waiting   [][]byte
	size      int // of waiting
	lost      logLoss
}

// newSubscription checks a request. The error is for the extension.
func newSubscription(name string, logs bool, body []byte, dial dialer) (*subscription, error) {
	var r subscriptionRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, err
	}
	s := &subscription{
		name: name, logs: logs, objects: !logs && r.Schema >= "2022-12-13", types: r.Types,
		wake: make(chan struct{}, 1), now: make(chan struct{}, 1),
	}
	if len(r.Types) == 0 || len(r.Types) > 3 {
		return nil, errors.New("types must name one to three of platform, function and extension")
	}
	for _, t := range r.Types {
		if t != "platform" && t != "function" && t != "extension" {
			return nil, fmt.Errorf("types: %.100q is none of platform, function and extension", t)
		}
	}
	timeout := 0
	for _, limit := range []struct {
		to               *int
		asked            *int
		name             string
		least, most, def int
	}{
		{&s.items, r.Buffering.Items, "maxItems", 1000, 10000, 10000},
		{&s.bytes, r.Buffering.Bytes, "maxBytes", 256 << 10, 1 << 20, 256 << 10},
		{&timeout, r.Buffering.Timeout, "timeoutMs", 25, 30000, 1000},
	} {
		*limit.to = limit.def
		if limit.asked != nil {
			*limit.to = *limit.asked
		}
		if *limit.to < limit.least || *limit.to > limit.most {
			return nil, fmt.Errorf("buffering.%s must be %d to %d", limit.name, limit.least, limit.most)
		}
	}
	s.every = time.Duration(timeout) * time.Millisecond
	return s, s.connect(&r, dial)
}

// connect finds the destination.
func (s *subscription) connect(r *subscriptionRequest, dial dialer) error {
	d := &r.Destination
	switch {
	case strings.EqualFold(d.Protocol, "tcp"):
		port, err := strconv.ParseUint(strconv.Itoa(d.Port), 10, 16)
		if err != nil || port == 0 {
			return errors.New("destination.port must be 1 to 65535")
		}
		s.send = tcpSender(dial, uint16(port))
		return nil
	case !strings.EqualFold(d.Protocol, "http"):
		return errors.New("destination.protocol must be HTTP or TCP")
	case d.Encoding != "" && !strings.EqualFold(d.Encoding, "json"):
		return errors.New("destination.encoding must be JSON")
	case d.Method != "" && d.Method != http.MethodPost && d.Method != http.MethodPut:
		return errors.New("destination.method must be POST or PUT")
	}
	u, err := url.Parse(d.URI)
	if err != nil || u.Scheme != "http" || u.Hostname() != "sandbox" && u.Hostname() != "sandbox.localdomain" || u.User != nil {
		return errors.New("destination.URI must begin with http://sandbox.localdomain:PORT")
	}
	number := u.Port()
	if number == "" {
		number = "80"
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil || port == 0 {
		return errors.New("destination.URI must have a port of 1 to 65535")
	}
	method := d.Method
	if method == "" {
		method = http.MethodPost
	}
	s.send = httpSender(dial, uint16(port), method, u.String())
	return nil
}

// httpSender sends batches as JSON arrays.
func httpSender(dial dialer, port uint16, method, address string) func(context.Context, [][]byte) error {
	client := &http.Client{
		Transport: &http.Transport{
			DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, port) },
			DisableCompression:     true,
			MaxIdleConns:           1,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, batch [][]byte) error {
		if batch == nil {
			client.CloseIdleConnections()
			return nil
		}
		body := slices.Concat([]byte("["), bytes.Join(batch, []byte(",")), []byte("]"))
		request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", jsonType)
		reply, err := client.Do(request)
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		// What is left unread costs the connection, nothing else.
		_, _ = io.Copy(io.Discard, io.LimitReader(reply.Body, 64<<10))
		if reply.StatusCode/100 != 2 {
			return fmt.Errorf("status %d", reply.StatusCode)
		}
		return nil
	}
}

// tcpSender sends events as lines.
func tcpSender(dial dialer, port uint16) func(context.Context, [][]byte) error {
	var conn net.Conn
	return func(ctx context.Context, batch [][]byte) (err error) {
		if batch == nil {
			if conn != nil {
				err = conn.Close()
			}
			return err
		}
		if conn == nil {
			if conn, err = dial(ctx, port); err != nil {
				conn = nil
				return err
			}
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) }) // ends the write
		defer stop()
		if _, err = conn.Write(append(bytes.Join(batch, []byte("\n")), '\n')); err != nil {
			_ = conn.Close() // it is of no use any more
			conn = nil
		}
		return err
	}
}

// wants reports whether records of a type are delivered.
func (s *subscription) wants(kind string) bool { return slices.Contains(s.types, kind) }

// platform adds what the platform says.
func (s *subscription) platform(at time.Time, r record) {
	if !s.wants("platform") || r.legacy && !s.logs || s.logs && strings.HasPrefix(r.kind, "platform.init") {
		return
	}
	s.add(r.object(at))
}

// line adds a line of a process.
func (s *subscription) line(at time.Time, kind string, line []byte) {
	if !s.wants(kind) {
		return
	}
	if s.objects && isObject(line) {
		s.add(object(at, kind, json.RawMessage(line)))
		return
	}
	s.add(object(at, kind, string(line)))
}

// add queues an event, or drops it when too much is waiting.
func (s *subscription) add(event []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size+len(event) > maxBacklog {
		s.lost.records++
		s.lost.bytes += len(event)
		return
	}
	s.waiting = append(s.waiting, event)
	s.size += len(event)
	signal(s.wake)
	if len(s.waiting) >= s.items || s.size >= s.bytes {
		signal(s.now)
	}
}

// signal tells a goroutine that may know already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take takes a batch; nil if nothing waits.
func (s *subscription) take() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost.records > 0 {
		lost := lossRecord(s.lost, "The subscriber has not taken them fast enough, or not at all.").object(time.Now())
		s.lost = logLoss{}
		s.waiting = append(s.waiting, lost)
		s.size += len(lost)
	}
	n, size := 0, 0
	for n < len(s.waiting) && n < s.items && (n == 0 || size+len(s.waiting[n]) <= s.bytes) {
		size += len(s.waiting[n])
		n++
	}
	if n == 0 {
		return nil
	}
	batch := s.waiting[:n:n]
	s.waiting = slices.Clone(s.waiting[n:])
	s.size -= size
	return batch
}

// putBack queues a batch again, in front.
func (s *subscription) putBack(batch [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.Concat(batch, s.waiting)
	for _, event := range batch {
		s.size += len(event)
	}
}

// run delivers until ctx ends.
func (s *subscription) run(ctx context.Context) {
	defer func() { _ = s.send(ctx, nil) }() // closes the connection
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		timer := time.NewTimer(s.every)
		select {
		case <-ctx.Done():
		case <-s.now:
		case <-timer.C:
		}
		timer.Stop()
		for batch := s.take(); batch != nil && ctx.Err() == nil; batch = s.take() {
			err := s.deliver(ctx, batch)
			if errors.Is(err, sandbox.ErrFrozen) {
				s.putBack(batch)
			}
			if err != nil {
				break // until the next event: with it a frozen environment goes on
			}
		}
	}
}

// deliver sends a batch, a few times if need be.
func (s *subscription) deliver(ctx context.Context, batch [][]byte) error {
	for attempt := 1; ; attempt++ {
		err := s.send(ctx, batch)
		if err == nil || errors.Is(err, sandbox.ErrFrozen) || ctx.Err() != nil {
			return err
		}
		if attempt == deliveryAttempts {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.lost.records += len(batch)
			for _, event := range batch {
				s.lost.bytes += len(event)
			}
			return err
		}
		timer := time.NewTimer(deliveryPause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}
