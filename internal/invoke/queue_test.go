package invoke

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"serin"
	"serin/internal/store"
)

func TestEventRunsOnce(t *testing.T) {
	inBubble(t, func(w *world) {
		w.function("f", w.on("", to(arn("done"), arn("failed"))), answers(` {"a":"<b>"} `))
		w.function("done", nil, answers("null"))
		w.send("f", "id-1", `{"n": 1, "n": 2}`)
		synctest.Wait()
		w.expect("the invocation", w.last("f"), call{0, Request{FunctionName: "f", Type: RequestResponse, TraceID: "trace", RequestID: "id-1", Payload: []byte(`{"n": 1, "n": 2}`), NoWait: true}})
		told := w.last("done")
		w.expect("the request id of the record", told.RequestID, "new-1")
		w.expect("the record", string(told.Payload), `{"version":"1.0","timestamp":"2000-01-01T00:00:00.000Z","requestContext":{"requestId":"id-1",`+
			`"functionArn":"arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST","condition":"Success","approximateInvokeCount":1},`+
			`"requestPayload":{"n":1,"n":2},"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":{"a":"<b>"}}`)
		w.wait(10 * minute)
		w.expect("invocations", w.timesOf("f"), []time.Duration{0})
		w.expect("records of a failure", w.timesOf("failed"), []time.Duration(nil))
		w.empty()
		stats := w.Recorder.Events("f")
		w.expect("counted", []int{stats.Received, stats.Age.Count, stats.Dropped}, []int{1, 1, 0})
	})
}

func TestFailingFunctionIsRetried(t *testing.T) {
	for retries, want := range map[int][]time.Duration{
		-1: {0, minute, 3 * minute}, // the default
		0:  {0}, 1: {0, minute}, 2: {0, minute, 3 * minute},
	} {
		inBubble(t, func(w *world) {
			ch := to(arn("done"), arn("failed:live"))
			if retries >= 0 {
				ch.Retries = &retries
			}
			w.function("f", all(w.on("", ch), deadLetter(arn("dead"))), fails)
			w.function("dead", nil, answers("null"))
			w.functions["failed"] = answers("null")
			w.send("f", "id-1", `{"n":1}`)
			w.wait(10 * minute)
			w.expect("invocations", w.timesOf("f"), want)
			for _, c := range w.calls[:len(want)] {
				w.expect("request id", c.RequestID, "id-1")
			}
			end := want[len(want)-1]
			told := w.last("failed")
			w.expect("the record came at", told.At, end)
			w.expect("to", told.Qualifier, "live")
			w.expect("the record", string(told.Payload), fmt.Sprintf(`{"version":"1.0","timestamp":%q,"requestContext":{"requestId":"id-1",`+
				`"functionArn":"arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST","condition":"RetriesExhausted","approximateInvokeCount":%d},"requestPayload":{"n":1},`+
				`"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"responsePayload":{"errorType":"E","errorMessage":"no"}}`,
				w.began.Add(end).UTC().Format("2006-01-02T15:04:05.000Z"), len(want)))
			dead := w.last("dead")
			w.expect("the dead letter", string(dead.Payload), `{"n":1}`)
			w.expect("its attributes", dead.ClientContext, `{"custom":{"ErrorCode":"200","ErrorMessage":"no","RequestID":"id-1"}}`)
			w.expect("records of success", w.timesOf("done"), []time.Duration(nil))
			w.empty()
			stats := w.Recorder.Events("f")
			w.expect("counted", []int{stats.Received, stats.Age.Count, stats.Dropped, stats.Lost}, []int{1, len(want), 1, 0})
		})
	}
}

// Without a destination an event that failed is gone, but not without a word.
func TestDroppedEventIsLogged(t *testing.T) {
	inBubble(t, func(w *world) {
		none := 0
		w.function("f", w.on("", serin.EventInvokeChange{Retries: &none}), fails)
		w.send("f", "id-1", `{}`)
		w.wait(second)
		w.empty()
		if got := w.log.find("level=WARN", "dropped", "request_id=id-1", "function=f", "condition=RetriesExhausted", "lost=true"); len(got) != 1 {
			t.Errorf("log lines: %q", got)
		}
		w.expect("lost", w.Recorder.Events("f").Lost, 1)
	})
}

// A retry that would come too late is not waited for.
func TestEventAge(t *testing.T) {
	inBubble(t, func(w *world) {
		age := 60
		ch := to("", arn("failed"))
		ch.EventAge = &age
		w.function("f", w.on("", ch), fails)
		w.function("failed", nil, answers("null"))
		w.send("f", "id-1", `{}`)
		w.wait(second)
		w.expect("invocations", w.timesOf("f"), []time.Duration{0})
		w.condition("failed", conditionAged, 1, 200)

		age = 61
		w.function("f", w.on("", ch), nil)
		w.send("f", "id-2", `{}`)
		w.wait(10 * minute)
		w.expect("invocations", w.timesOf("f")[1:], []time.Duration{second, second + minute})
		w.condition("failed", conditionAged, 2, 200) // the second retry would have been two minutes later
		w.empty()
	})
}

// Events that waited for too long while no server was running are not run any more.
func TestEventTooOldToRun(t *testing.T) {
	inBubble(t, func(w *world) {
		w.function("f", w.on("", to("", arn("failed"))), answers("null"))
		w.function("failed", nil, answers("null"))
		w.stop()
		w.send("f", "id-1", `{}`)
		w.wait(6 * time.Hour)
		w.run()
		w.wait(second)
		w.expect("invocations", w.timesOf("f"), []time.Duration(nil))
		w.condition("failed", conditionAged, 0, 0)
		w.empty()
	})
}

// Being throttled is not an attempt, and is waited out in growing steps.
func TestThrottledEvent(t *testing.T) {
	inBubble(t, func(w *world) {
		w.function("f", w.on("", to(arn("done"), "")), throttled)
		w.function("done", nil, answers("null"))
		w.send("f", "id-1", `{}`)
		w.wait(20 * minute)
		seconds := func(all ...int) []time.Duration {
			var times []time.Duration
			for _, s := range all {
				times = append(times, time.Duration(s)*second)
			}
			return times
		}
		w.expect("invocations", w.timesOf("f"), seconds(0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 1111))
		w.expect("counted as attempts", w.Recorder.Events("f").Dropped, 0)

		// From the first answer on it is as for any event.
		w.function("f", nil, fails)
		w.wait(4 * minute) // at 1411 s
		w.expect("invocations", w.timesOf("f")[12:], seconds(1411))
		w.function("f", nil, throttled)
		w.wait(minute)
		w.expect("invocations", w.timesOf("f")[13:], seconds(1471, 1472, 1474, 1478, 1486))
		w.function("f", nil, answers(`1`))
		w.wait(minute)
		w.condition("done", conditionSuccess, 2, 200)
		w.empty()
	})
}

func TestThrottledUntilTooOld(t *testing.T) {
	for age, least := range map[int]time.Duration{60: 58 * second, 21600: 6*time.Hour - 2*second} {
		inBubble(t, func(w *world) {
			ch := to("", arn("failed"))
			ch.EventAge = &age
			w.function("f", all(w.on("", ch), deadLetter(arn("dead"))), throttled)
			w.function("failed", nil, answers("null"))
			w.function("dead", nil, answers("null"))
			w.send("f", "id-1", `{}`)
			w.wait(7 * time.Hour)
			times := w.timesOf("f")
			if end := times[len(times)-1]; end < least || end >= time.Duration(age)*second {
				t.Errorf("the last attempt at an event of at most %d s came after %s", age, end)
			}
			w.condition("failed", conditionAged, 0, 429)
			w.expect("attributes", w.last("dead").ClientContext, `{"custom":{"ErrorCode":"429","ErrorMessage":"Rate Exceeded.","RequestID":"id-1"}}`)
			w.empty()
		})
	}
}

// An error of the server is no attempt either.
func TestServerErrorIsNoAttempt(t *testing.T) {
	inBubble(t, func(w *world) {
		times := 0
		w.function("f", w.on("", to(arn("done"), "")), func(context.Context, *Request) (*Response, error) {
			if times++; times <= 5 {
				return nil, fmt.Errorf("disk %d full", times)
			}
			return &Response{ExecutedVersion: "1", Payload: []byte(`{}`)}, nil
		})
		w.function("done", nil, answers("null"))
		w.send("f", "id-1", `{}`)
		w.wait(minute)
		w.expect("invocations", len(w.timesOf("f")), 6)
		w.condition("done", conditionSuccess, 1, 200)
		if got := w.log.find("level=WARN", "could not be run", "request_id=id-1", "disk"); len(got) != 5 {
			t.Errorf("%d log lines", len(got))
		}
	})
}

func TestZeroReservedConcurrency(t *testing.T) {
	inBubble(t, func(w *world) {
		stop := func(f *serin.Function) { f.Reserved = new(int) }
		w.function("f", all(w.on("", to("", arn("failed"))), deadLetter(arn("dead")), stop), answers("null"))
		w.function("failed", nil, answers("null"))
		w.function("dead", nil, answers("null"))
		w.send("f", "id-1", `{"n":1}`)
		w.wait(second)
		w.expect("invocations", w.timesOf("f"), []time.Duration(nil))
		w.expect("the record", string(w.last("failed").Payload), `{"version":"1.0","timestamp":"2000-01-01T00:00:00.000Z","requestContext":{"requestId":"id-1",`+
			`"functionArn":"arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST","condition":"ZeroReservedConcurrency","approximateInvokeCount":0},"requestPayload":{"n":1}}`)
		w.expect("the dead letter", string(w.last("dead").Payload), `{"n":1}`)
		w.empty()
	})
}

// A function that is gone is waited for like one that fails; its destinations outlive it.
func TestDeletedFunction(t *testing.T) {
	inBubble(t, func(w *world) {
		w.function("f", all(w.on("", to("", arn("failed"))), deadLetter(arn("dead"))), throttled)
		w.function("failed", nil, answers("null"))
		w.function("dead", nil, answers("null"))
		w.send("f", "id-1", `{}`)
		synctest.Wait()
		w.remove("f")
		w.wait(10 * minute)
		w.expect("attempts", w.timesOf("f"), []time.Duration{0, second, second + minute, second + 3*minute})
		w.condition("failed", conditionExhausted, 3, 404)
		w.expect("attributes", w.last("dead").ClientContext,
			`{"custom":{"ErrorCode":"404","ErrorMessage":"Function not found: arn:aws:lambda:us-east-1:000000000000:function:f","RequestID":"id-1"}}`)
		w.empty()

		// If it comes back in time, it gets the event.
		w.function("f", nil, throttled)
		w.send("f", "id-2", `{}`)
		synctest.Wait()
		w.remove("f")
		w.wait(30 * second)
		w.function("f", nil, answers("null"))
		w.wait(10 * minute)
		w.expect("lost", w.Recorder.Events("f").Lost, 0)
		w.empty()
	})
}

// The settings that count are those of when the event runs, and those of its own qualifier.
func TestSettingsOfQualifier(t *testing.T) {
	inBubble(t, func(w *world) {
		none, one := 0, 1
		w.function("f", func(f *serin.Function) {
			c := serin.Change{At: time.Now(), NewRevision: func() string { return "r" }}
			if _, err := f.PublishVersion(c, serin.Publication{}); err != nil {
				t.Fatal(err)
			}
			if _, err := f.CreateAlias(c, "live", serin.AliasUpdate{Version: new(serin.VersionNumber(1))}); err != nil {
				t.Fatal(err)
			}
			w.on("", serin.EventInvokeChange{Retries: &none})(f)
			w.on("live", to("", arn("failed")))(f)
		}, fails)
		w.function("failed", nil, answers("null"))
		w.send("f", "latest", `{}`)
		w.send("f:live", "alias", `{}`)
		w.wait(second)
		w.expect("invocations", len(w.timesOf("f")), 2)
		w.function("f", func(f *serin.Function) {
			ch := to("", arn("failed"))
			ch.Retries = &one
			w.on("live", ch)(f)
		}, nil)
		w.wait(10 * minute)
		w.expect("invocations", len(w.timesOf("f")), 3)
		w.expect("the last one", w.last("f").Qualifier, "live")
		w.condition("failed", conditionExhausted, 2, 200)
		if !strings.Contains(string(w.last("failed").Payload), arn("f:live")) {
			t.Errorf("the record does not name the alias: %s", w.last("failed").Payload)
		}
	})
}

func TestConcurrency(t *testing.T) {
	inBubble(t, func(w *world) { // which has room for eight
		var slow, reserved, quick gauge
		w.function("slow", nil, slow.during(10*minute))
		w.function("reserved", func(f *serin.Function) { f.Reserved = new(2) }, reserved.during(minute))
		w.function("quick", nil, quick.during(second))
		for i := range 80 { // more than the queue looks at
			w.send("slow", fmt.Sprint("slow", i), `{}`)
		}
		for i := range 20 {
			w.send("reserved", fmt.Sprint("reserved", i), `{}`)
		}
		w.wait(second)
		for i := range 20 {
			w.send("quick", fmt.Sprint("quick", i), `{}`)
		}
		w.wait(11 * second)
		w.expect("half of all for a slow function", slow.seen(), []int{4, 4})
		w.expect("what is reserved", reserved.seen(), []int{2, 2})
		w.expect("what is left for the others", quick.seen(), []int{2, 20})
		w.wait(4 * time.Hour)
		w.expect("at the end", slow.seen(), []int{4, 80})
		w.expect("at the end", reserved.seen(), []int{2, 20})
		w.empty()
	})
}

// However long an event runs, it does not run a second time meanwhile.
func TestLongEventRunsOnce(t *testing.T) {
	inBubble(t, func(w *world) {
		var g gauge
		w.function("f", nil, g.during(15*minute))
		w.send("f", "id-1", `{}`)
		w.wait(10*minute + 50*second)
		lanes, err := w.Store.EventLanes(context.Background())
		if err != nil || len(lanes) != 1 || lanes[0].Due.Before(time.Now().Add(leaseTime/2)) {
			t.Errorf("the lease has not been extended: %v, %v at %s", lanes, err, time.Now())
		}
		// And even if its lease is lost, as when the machine was asleep.
		if n, err := w.Store.ReleaseEvents(context.Background(), time.Now()); n != 1 || err != nil {
			t.Errorf("%d leases, %v", n, err)
		}
		w.send("f", "id-2", `{}`) // lets the queue look
		w.wait(time.Hour)
		w.expect("runs", g.seen()[1], 2)
		w.empty()
		if got := w.log.find("level=WARN"); len(got) > 0 {
			t.Errorf("log: %q", got)
		}
	})
}

// At shutdown what runs runs to its end, and what waits waits for the next start.
func TestQueueShutdown(t *testing.T) {
	inBubble(t, func(w *world) {
		var g gauge
		w.function("f", nil, g.during(minute))
		for i := range 10 {
			w.send("f", fmt.Sprint("id-", i), `{}`)
		}
		w.wait(second)
		w.stop()
		w.expect("time taken", time.Since(w.began), minute)
		w.expect("runs", g.seen()[1], 4)
		w.run()
		w.wait(time.Hour)
		w.expect("runs", g.seen()[1], 10)
		w.empty()
	})
}

// What an earlier server had begun when it was killed runs as soon as the next one starts.
func TestKilledServersEventsRunAtOnce(t *testing.T) {
	inBubble(t, func(w *world) {
		w.function("f", nil, answers("null"))
		w.stop()
		w.send("f", "id-1", `{}`)
		taken, err := w.Store.TakeEvents(context.Background(), []store.EventWant{{Lane: "f", Most: 1}}, time.Now(), time.Now().Add(time.Hour))
		if err != nil || len(taken) != 1 {
			t.Fatal(taken, err)
		}
		w.run()
		synctest.Wait()
		w.expect("invocations", w.timesOf("f"), []time.Duration{0})
		w.empty()
	})
}

func TestUnreadableEventIsKept(t *testing.T) {
	inBubble(t, func(w *world) {
		w.function("f", nil, answers("null"))
		if err := w.Store.Enqueue(context.Background(), store.Event{Lane: "f", Due: time.Now(), Document: "not JSON"}); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Hour)
		lanes, err := w.Store.EventLanes(context.Background())
		if err != nil || len(lanes) != 1 || len(w.timesOf("f")) > 0 {
			t.Errorf("%v, %v, %d invocations", lanes, err, len(w.calls))
		}
		if n := len(w.log.find("level=ERROR", "cannot read an event")); n < 10 || n > 13 {
			t.Errorf("%d log lines in an hour", n)
		}
	})
}

// What could not be saved is tried again until it is.
func TestSaveOutcome(t *testing.T) {
	inBubble(t, func(w *world) {
		w.running[1] = &leased{lane: "f"}
		taken, tries := store.TakenEvent{Lease: store.Lease{Event: 1}}, 0
		saved := w.save(context.Background(), taken, &event{}, func(context.Context, store.Lease) error {
			if tries++; tries < 5 {
				return store.ErrUncertain
			}
			return nil
		})
		w.expect("saved", []any{saved, tries, time.Since(w.began)}, []any{true, 5, 1500 * time.Millisecond})
		for _, err := range []error{store.ErrStale, store.ErrClosed} {
			if w.save(context.Background(), taken, &event{}, func(context.Context, store.Lease) error { return err }) {
				t.Errorf("saved in spite of %v", err)
			}
		}
		done := make(chan bool)
		go func() {
			done <- w.save(context.Background(), taken, &event{}, func(context.Context, store.Lease) error { return io.ErrClosedPipe })
		}()
		w.wait(time.Hour)
		w.stop()
		if <-done {
			t.Error("saved in spite of an error")
		}
		delete(w.running, 1)
		w.run()
	})
}
