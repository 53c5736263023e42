// Package control holds the use cases on functions, versions and aliases.
//
// Methods carry the names of the AWS operations and the signatures of the SDK's client, so that one
// interface fits this server in process, this server over HTTP, and AWS. A method checks the constraints
// of the API model (validate.go), then runs the rules of the domain inside one transaction of the store,
// and returns when the routing table shows the change, so that no invocation that starts after the reply is
// routed by what was before (G2). Reads are served from the routing table.
package control

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"serin"
	"serin/internal/executor"
	"serin/internal/metrics"
	"serin/internal/router"
	"serin/internal/store"
)

// Config is what a [Control] works on.
type Config struct {
	Place    serin.Place
	Store    *store.Store
	Table    *router.Table
	Executor *executor.Executor // says which interpreters there are
	Recorder *metrics.Recorder
	// Retire is told when versions or revisions can no longer be invoked; keep says which still can.
	Retire func(keep func(executor.Key) bool)
	// CodeURL returns a URL from which the caller may download a code package for a while.
	CodeURL func(sha256hex string) string
	// ReadObject, if set, returns an object of S3, of at most limit bytes, that is the package of a function or a layer.
	ReadObject func(ctx context.Context, bucket, key, version string, limit int64) ([]byte, error)
	// FunctionURL returns the address of the function URL with an id.
	FunctionURL func(id string) string
	// Provisioned says how far the provisioned concurrency of a version or an alias is: the environments that are
	// there and those of them that are ready, and as AWS names them a status and, if that is FAILED, a reason.
	Provisioned func(function, qualifier string) (allocated, available int, status, reason string)
	// Changed, if set, is told of each function that has changed, after the routing table shows it.
	Changed func(function string)
	// Concurrency is how many invocations of the account may run at a time.
	Concurrency int
	// MountsLayers says that execution environments see the layers of their version. A server that does not mount
	// them refuses functions with layers.
	MountsLayers bool
	Now          func() time.Time
	NewID        func() string // fresh UUIDs
	Log          *slog.Logger
}

// Control carries out operations on functions. It is safe for concurrent use.
type Control struct {
	Config
	codeSize  atomic.Int64 // bytes of code over all functions and versions, kept by Follow
	layerSize atomic.Int64 // bytes of all layer versions, as of when this server last looked
	budget    sync.Mutex   // held while the concurrency of the account is shared out anew
}

// New returns a Control. Call [Control.Load] and then keep [Control.Follow] running before using it.
func New(cfg Config) *Control { return &Control{Config: cfg} }

func (c *Control) change(ctx context.Context, cause serin.Cause) serin.Change {
	return serin.Change{At: c.now(), Actor: serin.ActorFrom(ctx), Cause: cause, NewRevision: c.NewID, Provenance: serin.ProvenanceFrom(ctx)}
}

// update runs rules on a function in one transaction and waits until the routing table shows the result.
// name is the function as the caller spelt it; missing is the qualifier that the error for a missing function
// carries.
func (c *Control) update(ctx context.Context, function, missing string, rules func(*serin.Function) error) (*serin.Function, error) {
	f, seq, err := c.Store.UpdateFunction(ctx, function, c.withinStorage(rules))
	if err != nil {
		return nil, c.missing(err, function, missing)
	}
	return f, c.Table.Wait(ctx, seq)
}

// withinStorage adds to rules that they may not take the code of all functions over the account's limit. Two
// functions that grow at the same moment may pass it together, by what one of them adds.
func (c *Control) withinStorage(rules func(*serin.Function) error) func(*serin.Function) error {
	return func(f *serin.Function) error {
		before := codeSize(f)
		if err := rules(f); err != nil {
			return err
		}
		return c.room(codeSize(f) - before)
	}
}

// room refuses code that does not fit the account's limit any more.
func (c *Control) room(growth int64) error {
	if growth > 0 && c.codeSize.Load()+c.layerSize.Load()+growth > maxCodeStorage {
		return serin.Errorf(serin.KindStorage, "Code storage limit exceeded. Delete versions that nothing needs.")
	}
	return nil
}

// ref resolves how a caller spelt a function. The control plane accepts no qualifier on operations that
// change the function itself.
func (c *Control) ref(name, qualifier *string) (serin.Ref, error) {
	return c.Place.ParseRef(deref(name), deref(qualifier))
}

// function returns a function from the routing table. missing is as for update.
func (c *Control) function(name, missing string) (*serin.Function, error) {
	f, ok := c.Table.Function(name)
	if !ok {
		return nil, c.notFound(name, missing)
	}
	return f, nil
}

func (c *Control) notFound(name, qualifier string) error {
	return serin.Errorf(serin.KindNotFound, "Function not found: %s", c.Place.FunctionARN(name, qualifier))
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
