// Package capacity keeps execution environments ready ahead of the invocations that need them.
//
// Provisioned concurrency is desired state that the store keeps with a version or an alias. A [Keeper] brings the
// environments of this server in line with it, level-triggered like the routing table: whenever a function has
// changed, it computes from the table how many environments each version shall have, and one goroutine for each such
// version goes on until they are there, and again when one of them has gone. So the same code starts them, follows an
// alias, replaces what has crashed and restores everything after a restart. Each server of a cluster keeps
// the whole number.
//
// While an alias splits its traffic, so are its environments, rounded up: neither version of a release has to do
// without.
//
// Releases ask for the rest, see [Keeper.Prewarm] and [Keeper.KeepWarm]: a canary is warm before its first request, and
// what it has replaced stays warm for as long as somebody may want it back.
package capacity

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	"serin"
	"serin/internal/executor"
	"serin/internal/router"
)

// Config is what a [Keeper] works with.
type Config struct {
	Table    *router.Table
	Executor *executor.Executor
	// Spec returns what the executor has to know about a version.
	Spec func(context.Context, *serin.Function, *serin.Version) (*executor.Spec, error)
	// KeepWarm is how long a version that a release has replaced stays warm; 0 for not at all.
	KeepWarm time.Duration
	Log      *slog.Logger
}

// Keeper keeps environments ready. It is safe for concurrent use.
type Keeper struct {
	Config
	wake chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	changed map[string]bool // functions that have to be looked at
	kept    map[string]map[executor.Key]*provision
	held    map[executor.Key]*time.Timer
}

// New returns a Keeper. It works while [Keeper.Run] runs.
func New(cfg Config) *Keeper {
	return &Keeper{
		Config: cfg, wake: make(chan struct{}, 1), changed: map[string]bool{},
		kept: map[string]map[executor.Key]*provision{}, held: map[executor.Key]*time.Timer{},
	}
}

// Run keeps what the routing table asks for until the context ends. It then starts nothing any more; what is there
// stays.
func (k *Keeper) Run(ctx context.Context) error {
	for f := range k.Table.Functions() {
		k.Changed(f.Name)
	}
	for {
		select {
		case <-k.wake:
			for name := range k.take() {
				k.align(ctx, name)
			}
		case <-ctx.Done():
			k.wg.Wait()
			k.mu.Lock()
			defer k.mu.Unlock()
			for _, timer := range k.held {
				timer.Stop()
			}
			return nil
		}
	}
}

// Changed says that a function may have changed.
func (k *Keeper) Changed(function string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f, ok := k.Table.Function(function); k.kept[function] == nil && (!ok || len(f.Attached) == 0) {
		return // nothing is kept of it, and nothing can be wanted
	}
	k.changed[function] = true
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *Keeper) take() map[string]bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := k.changed
	k.changed = map[string]bool{}
	return all
}

// align starts and stops what provides for the versions of a function.
func (k *Keeper) align(ctx context.Context, function string) {
	f, _ := k.Table.Function(function)
	wanted := map[executor.Key]int{}
	if f != nil {
		wanted = shares(f)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	all := k.kept[function]
	if all == nil {
		all = map[executor.Key]*provision{}
		k.kept[function] = all
	}
	for key, p := range all {
		if n := wanted[key]; n != p.n {
			all[key] = k.provide(ctx, p, f, key, n)
		}
	}
	for key, n := range wanted {
		if all[key] == nil {
			all[key] = k.provide(ctx, nil, f, key, n)
		}
	}
	if len(all) == 0 {
		delete(k.kept, function)
	}
}

// forget drops a provision that has come to its end, unless another has taken its place.
func (k *Keeper) forget(key executor.Key, p *provision) {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := k.kept[key.Function]
	if all[key] == p {
		delete(all, key)
	}
	if len(all) == 0 {
		delete(k.kept, key.Function)
	}
}

// shares returns how many provisioned environments each version of a function shall have.
func shares(f *serin.Function) map[executor.Key]int {
	all := map[executor.Key]int{}
	for qualifier := range f.Attached {
		for v, n := range sharesOf(f, qualifier) {
			if v.State == serin.StateActive {
				all[keyOf(f, v)] += n
			}
		}
	}
	return all
}

// sharesOf returns how many environments of each version the provisioned concurrency of a qualifier asks for.
func sharesOf(f *serin.Function, qualifier string) map[*serin.Version]int {
	p := f.At(qualifier).Provisioned
	v, alias, err := f.Resolve(qualifier)
	if p == nil || err != nil {
		return nil
	}
	if alias == nil {
		return map[*serin.Version]int{v: p.Requested}
	}
	all := map[*serin.Version]int{}
	for number, weight := range alias.Routing.Weights() {
		if v, ok := f.Version(number); ok && weight > 0 && number != serin.Latest {
			all[v] = portion(p.Requested, weight)
		}
	}
	return all
}

// portion is a share of n, rounded up; a weight of 0.07 is one of 7 %, not the next number above it.
func portion(n int, share float64) int { return int(math.Ceil(float64(n)*share - 1e-9)) }

func keyOf(f *serin.Function, v *serin.Version) executor.Key {
	return executor.Key{Function: f.Name, Version: v.Number.String(), Revision: v.RevisionID}
}
