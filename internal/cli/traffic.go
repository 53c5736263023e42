package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

const (
	demoTraffic     = "demo"   // --traffic demo: made-up events
	maxInFlight     = 16       // requests of the traffic at a time, each of which may need an environment
	maxEvent        = 6 << 20  // bytes, the limit of a synchronous invocation
	maxTrafficFile  = 64 << 20 // bytes
	defaultRate     = 100.0    // requests per second
	maxRate         = 100_000.0
	requestDeadline = 15 * time.Minute // the longest time limit of a function
)

// traffic sends requests through an alias while a release runs.
type traffic struct {
	events   [][]byte // nil stands for made-up events
	rate     float64  // requests per second
	inFlight int      // at most this many at a time

	sent, failed, refused atomic.Int64
}

// newTraffic reads where the events come from: "demo", or a file with one JSON document per line.
func newTraffic(from string, perSecond float64) (*traffic, error) {
	if !(perSecond > 0 && perSecond <= maxRate) {
		return nil, usagef("rate: %v is not above 0 and at most %v requests per second", perSecond, maxRate)
	}
	t := &traffic{rate: perSecond, inFlight: maxInFlight}
	if from == demoTraffic {
		return t, nil
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, usagef("traffic: %w", err)
	}
	defer f.Close()
	if t.events, err = readEvents(io.LimitReader(f, maxTrafficFile+1)); err != nil {
		return nil, usagef("traffic: %s, %w", from, err)
	}
	return t, nil
}

// readEvents reads JSON documents, one per line; empty lines are skipped. All of it must be valid, and at
// least one must be there.
func readEvents(r io.Reader) ([][]byte, error) {
	var events [][]byte
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEvent)
	total := 0
	for n := 1; lines.Scan(); n++ {
		text := bytes.TrimSpace(lines.Bytes())
		if total += len(text) + 1; total > maxTrafficFile {
			return nil, fmt.Errorf("line %d: more than %d bytes", n, maxTrafficFile)
		}
		if len(text) == 0 {
			continue
		}
		if !json.Valid(text) {
			return nil, fmt.Errorf("line %d: not JSON: %.80q", n, text)
		}
		events = append(events, bytes.Clone(text))
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("no events")
	}
	return events, nil
}

// event returns the nth event.
func (t *traffic) event(n int) []byte {
	if t.events == nil {
		return fmt.Appendf(nil, `{"source":"serin demo traffic","n":%d}`, n)
	}
	return t.events[n%len(t.events)]
}

// run sends requests to an alias at the rate until the context ends, and returns when the last answer is
// there. A server that is slow gets fewer requests, not a queue of them.
func (t *traffic) run(ctx context.Context, c *lambda.Client, function, alias string) {
	var requests sync.WaitGroup
	defer requests.Wait()
	slots := make(chan struct{}, t.inFlight)
	interval := time.Duration(float64(time.Second) / t.rate)
	timer := time.NewTimer(0)
	defer timer.Stop()
	next := time.Now()
	for n := 0; ; n++ {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		requests.Go(func() {
			defer func() { <-slots }()
			t.send(context.WithoutCancel(ctx), c, function, alias, n)
		})
		next = next.Add(interval)
		if late := time.Since(next); late > 100*time.Millisecond {
			next = next.Add(late) // do not make up for a pause in a burst
		}
		timer.Reset(time.Until(next))
	}
}

// send invokes once. What the function answers is the server's to count.
func (t *traffic) send(ctx context.Context, c *lambda.Client, function, alias string, n int) {
	ctx, cancel := context.WithTimeout(ctx, requestDeadline)
	defer cancel()
	out, err := c.Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Qualifier: &alias, Payload: t.event(n)}, once)
	switch {
	case err != nil:
		t.refused.Add(1)
	case out.FunctionError != nil:
		t.failed.Add(1)
		fallthrough
	default:
		t.sent.Add(1)
	}
}

// once turns off retries: invoking again is up to the caller.
func once(o *lambda.Options) { o.Retryer = aws.NopRetryer{} }

// start runs the traffic in the background. stop ends it and says what was sent.
func (t *traffic) start(ctx context.Context, c *lambda.Client, function, alias string) (stop func() string) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	began := time.Now()
	var running sync.WaitGroup
	running.Go(func() { t.run(ctx, c, function, alias) })
	return func() string {
		cancel()
		took := time.Since(began)
		running.Wait()
		return t.summary(took)
	}
}

func (t *traffic) summary(took time.Duration) string {
	sent := int(t.sent.Load())
	text := fmt.Sprintf("traffic: %s in %s (%.0f/s), %s answered with an error", counted(sent, "request"),
		seconds(took.Seconds()), float64(sent)/max(took.Seconds(), 0.001), count(int(t.failed.Load())))
	if refused := int(t.refused.Load()); refused > 0 {
		text += fmt.Sprintf("; %s more were not answered", count(refused))
	}
	return text
}
