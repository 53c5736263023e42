package capacity

import (
	"context"
	"time"

	"serin"
	"serin/internal/executor"
)

const (
	// recently is how far back the concurrency of a version is looked at.
	recently = time.Minute
	// prewarmFor is how long a canary may take to get warm.
	prewarmFor = 10 * time.Second
)

// Prewarm initialises environments of a version for a share, 0 to 1, of the concurrency that another version of the
// function has had in the last minute: at least one. It takes at most 10 seconds, and no environment from anybody.
//
// Errors: [executor.InitError] for a function that cannot be initialised, KindThrottled if there is no room, KindNotFound.
func (k *Keeper) Prewarm(ctx context.Context, function string, version, like serin.VersionNumber, share float64) error {
	f, v, err := k.version(function, version)
	if err != nil {
		return err
	}
	n := 1
	if other, ok := f.Version(like); ok {
		n = max(n, portion(k.concurrency(keyOf(f, other)), share))
	}
	ctx, cancel := context.WithTimeout(ctx, prewarmFor)
	defer cancel()
	spec, err := k.Spec(ctx, f, v)
	if err != nil {
		return err
	}
	return k.Executor.Warm(ctx, spec, n)
}

// KeepWarm keeps as many environments of a version as it has needed in the last minute from expiring, for as long as
// [Config] says. They make room if the server needs it for invocations.
func (k *Keeper) KeepWarm(function string, version serin.VersionNumber) {
	f, v, err := k.version(function, version)
	if err != nil || k.Config.KeepWarm == 0 {
		return
	}
	key := keyOf(f, v)
	k.Executor.Hold(key, max(1, k.concurrency(key)))
	k.mu.Lock()
	defer k.mu.Unlock()
	if old := k.held[key]; old != nil {
		old.Stop()
	}
	var timer *time.Timer
	timer = time.AfterFunc(k.Config.KeepWarm, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.held[key] == timer { // nobody has asked again meanwhile
			delete(k.held, key)
			k.Executor.Hold(key, 0)
		}
	})
	k.held[key] = timer
}

func (k *Keeper) concurrency(key executor.Key) int {
	return k.Executor.Concurrency(key, time.Now().Add(-recently))
}

func (k *Keeper) version(function string, n serin.VersionNumber) (*serin.Function, *serin.Version, error) {
	f, ok := k.Table.Function(function)
	if !ok {
		return nil, nil, serin.Errorf(serin.KindNotFound, "Function not found: %s", function)
	}
	v, ok := f.Version(n)
	if !ok {
		return nil, nil, serin.Errorf(serin.KindNotFound, "Function not found: %s", f.QualifiedARN(n.String()))
	}
	return f, v, nil
}
