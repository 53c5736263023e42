package invoke

import (
	"sync"
	"sync/atomic"
	"testing"

	"serin"
)

// However many try at once, exactly as many as are reserved get in, and a place that is left is taken again.
func TestReservedConcurrencyIsExact(t *testing.T) {
	var r running
	f := &serin.Function{Name: "shop", Reserved: new(10)}
	for range 50 {
		var in, out atomic.Int64
		var entered, wg sync.WaitGroup
		entered.Add(100)
		for range 100 {
			wg.Go(func() {
				leave, err := r.enter(f)
				if err != nil {
					out.Add(1)
				} else {
					in.Add(1)
				}
				entered.Done()
				entered.Wait() // nobody leaves before all have tried
				if err == nil {
					leave.Add(-1)
				}
			})
		}
		wg.Wait()
		if in.Load() != 10 || out.Load() != 90 {
			t.Fatalf("%d in, %d out", in.Load(), out.Load())
		}
		if left := r.of("shop").Load(); left != 0 {
			t.Fatalf("%d are still counted", left)
		}
	}
	if _, err := r.enter(&serin.Function{Name: "off", Reserved: new(0)}); err == nil {
		t.Error("a reservation of 0 lets an invocation in")
	}
	if _, err := r.enter(&serin.Function{Name: "free"}); err != nil {
		t.Errorf("without a reservation: %v", err)
	}
}
