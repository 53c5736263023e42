package invoke

import (
	"maps"
	"sync"
	"sync/atomic"

	"serin"
)

// errReserved is what AWS answers when all of a function's reserved concurrency is in use (recorded).
var errReserved = &serin.Error{Kind: serin.KindThrottled, Reason: "ReservedFunctionConcurrentInvocationLimitExceeded", Message: "Rate Exceeded."}

// running counts the invocations of each function that are being carried out. The map is copied when a
// function is invoked for the first time, so that counting locks nothing.
type running struct {
	mu     sync.Mutex // serialises growth
	counts atomic.Pointer[map[string]*atomic.Int64]
}

func (r *running) of(function string) *atomic.Int64 {
	if all := r.counts.Load(); all != nil {
		if n, ok := (*all)[function]; ok {
			return n
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	next := map[string]*atomic.Int64{}
	if all := r.counts.Load(); all != nil {
		if n, ok := (*all)[function]; ok {
			return n
		}
		maps.Copy(next, *all)
	}
	n := new(atomic.Int64)
	next[function] = n
	r.counts.Store(&next)
	return n
}

// enter counts an invocation, unless all that is reserved for the function is in use. All versions and
// aliases of a function share its reservation. Whoever enters must leave.
//
// Errors: KindThrottled.
func (r *running) enter(f *serin.Function) (leave *atomic.Int64, err error) {
	n := r.of(f.Name)
	for {
		now := n.Load()
		if f.Reserved != nil && now >= int64(*f.Reserved) {
			return nil, errReserved
		}
		if n.CompareAndSwap(now, now+1) {
			return n, nil
		}
	}
}
