package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"serin"
	"serin/internal/recording"
)

const (
	demoTraffic     = "demo" // --traffic demo: made-up events
	maxEvent        = recording.MaxEvent
	maxInFlight     = 16    // requests of the traffic at a time, each of which may need an environment
	defaultRate     = 100.0 // requests per second
	maxRate         = 100_000.0
	requestDeadline = 15 * time.Minute // the longest time limit of a function
)

// traffic sends requests through an alias while a release runs. The server knows them as synthetic: they are evidence,
// and the verdict says how much of it they are.
type traffic struct {
	tape     *recording.Tape // nil stands for made-up events
	rate     float64         // requests per second; 0 for the timing of the tape
	inFlight int             // at most this many at a time

	sent, failed, refused atomic.Int64
}

// newTraffic reads where the events come from: "demo", or a file that package recording reads. Without a rate, 0, a
// recording has its own timing.
func newTraffic(from string, perSecond float64) (*traffic, error) {
	t := &traffic{rate: perSecond, inFlight: maxInFlight}
	if from != demoTraffic {
		tape, err := readTape(from)
		if err != nil {
			return nil, usagef("traffic: %w", err)
		}
		t.tape = tape
		if _, timed := tape.Due(0); timed {
			return t, nil
		}
	}
	t.rate = cmp.Or(t.rate, defaultRate)
	return t, nil
}

func readTape(name string) (*recording.Tape, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tape, err := recording.Read(io.LimitReader(f, recording.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s, %w", name, err)
	}
	return tape, nil
}

// event returns the nth event.
func (t *traffic) event(n int) []byte {
	if t.tape == nil {
		return fmt.Appendf(nil, `{"source":"serin demo traffic","n":%d}`, n)
	}
	return t.tape.Entries[n%len(t.tape.Entries)].Event
}

// due returns when the nth event is due after the first.
func (t *traffic) due(n int) time.Duration {
	if t.rate == 0 {
		due, _ := t.tape.Due(n)
		return due
	}
	return time.Duration(float64(n) / t.rate * float64(time.Second))
}

// kind is what the requests say of themselves.
func (t *traffic) kind() string {
	if t.tape == nil {
		return demoTraffic
	}
	return "replay"
}

// run sends requests to an alias until the context ends, and returns when the last answer is there. A server that is
// slow gets fewer requests, not a queue of them.
func (t *traffic) run(ctx context.Context, c *lambda.Client, function, alias string) {
	var requests sync.WaitGroup
	defer requests.Wait()
	slots := make(chan struct{}, t.inFlight)
	timer := time.NewTimer(t.due(0))
	defer timer.Stop()
	began := time.Now()
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
		next := began.Add(t.due(n + 1))
		if late := time.Since(next); late > 100*time.Millisecond {
			began = began.Add(late) // do not make up for a pause in a burst
		}
		timer.Reset(time.Until(next))
	}
}

// send invokes once. What the function answers is the server's to count.
func (t *traffic) send(ctx context.Context, c *lambda.Client, function, alias string, n int) {
	ctx, cancel := context.WithTimeout(ctx, requestDeadline)
	defer cancel()
	out, err := c.Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Qualifier: &alias, Payload: t.event(n)}, once, synthetic(t.kind()))
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

// synthetic marks a request as one that no user has made.
func synthetic(kind string) func(*lambda.Options) {
	return func(o *lambda.Options) {
		o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue(serin.SyntheticHeader, kind))
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
