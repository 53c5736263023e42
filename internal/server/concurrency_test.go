package server_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin/internal/server"
)

// spans is a function that tells when it ran.
const spans = `
import time
def handler(event, context):
    began = time.time_ns()
    time.sleep(event.get("sleep", 0.005))
    return [began, time.time_ns()]
`

// mostAtOnce returns how many of the spans overlap at most.
func mostAtOnce(all [][2]int64) int {
	most := 0
	for _, a := range all {
		n := 0
		for _, b := range all {
			if b[0] <= a[0] && a[0] < b[1] {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// However many requests come at a time, exactly as many run as are reserved, and each gets an answer: with a
// queue its own, and without one that or a 429.
func TestThousandRequestsToTenReserved(t *testing.T) {
	const sent, reserved = 1000, 10
	for _, wait := range []time.Duration{0, 5 * time.Minute} {
		r := start(t, func(c *server.Config) { c.QueueWait = wait })
		r.create(t, "shop", spans, 0)
		_, err := r.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("shop"), ReservedConcurrentExecutions: aws.Int32(reserved)})
		must(t, err)
		type answer struct {
			span      [2]int64
			throttled bool
			err       error
		}
		answers := make(chan answer)
		for range sent {
			go func() {
				var a answer
				out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop")})
				var body *types.TooManyRequestsException
				switch {
				case errors.As(err, &body):
					a.throttled = true
					if body.Reason != types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded || body.ErrorMessage() != "Rate Exceeded." {
						a.err = body
					}
				case err != nil:
					a.err = err
				default:
					a.err = json.Unmarshal(out.Payload, &a.span)
				}
				answers <- a
			}()
		}
		var admitted [][2]int64
		throttled := 0
		for range sent {
			switch a := <-answers; {
			case a.err != nil:
				t.Fatal(a.err)
			case a.throttled:
				throttled++
			default:
				admitted = append(admitted, a.span)
			}
		}
		most := mostAtOnce(admitted)
		t.Logf("queue-wait %v: %d sent, %d admitted, %d throttled, at most %d at a time", wait, sent, len(admitted), throttled, most)
		if len(admitted)+throttled != sent || len(admitted) < reserved || most > reserved {
			t.Errorf("%d admitted and %d throttled of %d, %d at a time", len(admitted), throttled, sent, most)
		}
		if wait > 0 && throttled > 0 {
			t.Errorf("%d throttled although they may wait", throttled)
		}
		if wait == 0 && throttled == 0 {
			t.Error("none was throttled")
		}
	}
}

// The account has a limit of its own, which GetAccountSettings tells.
func TestAccountConcurrency(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Concurrency = 102 })
	r.create(t, "shop", spans, 0)
	_, err := r.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("shop"), ReservedConcurrentExecutions: aws.Int32(3)})
	if want := "below its minimum value of [100]"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
	_, err = r.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("shop"), ReservedConcurrentExecutions: aws.Int32(2)})
	must(t, err)
	out, err := r.GetAccountSettings(t.Context(), &lambda.GetAccountSettingsInput{})
	must(t, err)
	if l := out.AccountLimit; l.ConcurrentExecutions != 102 || *l.UnreservedConcurrentExecutions != 100 {
		t.Errorf("limits %+v", *l)
	}

	small := start(t, func(c *server.Config) { c.Concurrency = 1 })
	small.create(t, "shop", spans, 0)
	answers := make(chan error, 5)
	for range 5 {
		go func() {
			_, err := small.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop"), Payload: []byte(`{"sleep": 1}`)})
			answers <- err
		}()
	}
	throttled := 0
	for range 5 {
		err := <-answers
		var body *types.TooManyRequestsException
		if errors.As(err, &body) && body.Reason == types.ThrottleReasonConcurrentInvocationLimitExceeded {
			throttled++
		} else {
			must(t, err)
		}
	}
	if throttled != 4 {
		t.Errorf("%d of 5 were throttled by a limit of 1", throttled)
	}
}

func TestBadLimits(t *testing.T) {
	for want, cfg := range map[string]server.Config{
		"--concurrency -1":     {Concurrency: -1},
		"--concurrency 100001": {Concurrency: 100_001},
		"--queue-wait -1s":     {QueueWait: -time.Second},
		"--queue-wait 15m1s":   {QueueWait: 15*time.Minute + time.Second},
		"--keep-warm -1s":      {KeepWarm: -time.Second},
	} {
		cfg.Listen, cfg.Auth, cfg.Data = "127.0.0.1:0", server.AuthSigV4, t.TempDir()
		if err := server.Run(t.Context(), cfg, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %s", err, want)
		}
	}
}
