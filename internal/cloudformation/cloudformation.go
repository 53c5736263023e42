// Package cloudformation deploys templates: stacks, change sets, events, exports.
//
// The pure part is internal/template, what resources do is internal/resource; here is what happens in which order, and
// what of it is known after a kill.
//
// A stack is a document in the store; so is each of its resources, each event and each template. The status of a stack
// is the phase of its operation, and every phase is a function that can begin anew: it looks at the resources, does
// what is left, and names the next status. So a server that was killed goes on where it was:
//
//	CREATE_IN_PROGRESS, UPDATE_IN_PROGRESS      deploy    every resource of the template, in the order of its dependencies
//	UPDATE_COMPLETE_CLEANUP_IN_PROGRESS         clean up  what the template no longer has, and what was replaced
//	ROLLBACK_IN_PROGRESS, DELETE_IN_PROGRESS    remove    all resources, those that need others first
//	UPDATE_ROLLBACK_IN_PROGRESS                 revert    what the operation changed goes back to how it was before
//	UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS  clean up  what the operation had made
//
// Before a resource is touched, its document says what is going to be done and how it was before; after it, what came of
// it. What was under way at a kill is done again with the same identifiers.
//
// Methods carry the names of the AWS operations and the signatures of the SDK's client. Texts are CloudFormation's where
// clients or people match them.
package cloudformation

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"serin"
	"serin/internal/resource"
	"serin/internal/store"
)

// Config is what a [Service] works on.
type Config struct {
	Place serin.Place
	Store *store.Store
	Types resource.Registry
	// Object returns an object of S3; nil if there is no S3.
	Object func(ctx context.Context, bucket, key string, limit int64) ([]byte, error)
	// Parameter returns the value of an SSM parameter; nil if there is no SSM.
	Parameter func(ctx context.Context, name string) (string, error)
	// Transforms are what templates may ask for by name, each a function from tree to tree.
	Transforms map[string]func(tree map[string]any, parameters map[string]string) (map[string]any, error)
	// Lenient accepts the weights of an alias as the map of Lambda's API, too.
	Lenient bool
	// Linger is how long a call that begins an operation waits for its end before it returns, so that clients which poll
	// twice a minute need not wait for what takes milliseconds here.
	Linger time.Duration
	Now    func() time.Time
	NewID  func() string // fresh UUIDs
	Log    *slog.Logger
}

// Service carries out the operations of CloudFormation. It is safe for concurrent use.
type Service struct {
	Config

	mu      sync.Mutex
	ctx     context.Context // of Run; nil before
	wg      sync.WaitGroup
	running map[string]*operation // by stack id
	last    time.Time             // of the newest event
}

// New returns a Service. Operations on stacks move while [Service.Run] runs.
func New(cfg Config) *Service { return &Service{Config: cfg, running: map[string]*operation{}} }

// Run goes on with the operations that were under way, and drives those that begin later, until the context ends.
func (s *Service) Run(ctx context.Context) error {
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	for st, err := range s.stacks(ctx) {
		if err != nil {
			if ctx.Err() == nil {
				return err
			}
			break
		}
		if inProgress(st.Status) {
			s.Log.InfoContext(ctx, "resuming operation on a stack", "stack", st.Name, "status", st.Status)
			s.drive(st)
		}
	}
	<-ctx.Done()
	s.wg.Wait()
	return nil
}

// drive carries out the operation that a stack is in.
func (s *Service) drive(st *stack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil || s.ctx.Err() != nil || s.running[st.ID] != nil {
		return // Run will find it in the store
	}
	o := &operation{Service: s, stack: st, cancelled: make(chan struct{}), ended: make(chan struct{})}
	if st.Cancelled {
		close(o.cancelled)
	}
	s.running[st.ID] = o
	ctx := serin.WithActor(s.ctx, "cloudformation")
	s.wg.Go(func() {
		defer close(o.ended)
		err := o.run(ctx)
		s.mu.Lock()
		delete(s.running, st.ID)
		s.mu.Unlock()
		if err != nil && !errors.Is(err, context.Canceled) {
			s.Log.ErrorContext(ctx, "operation on a stack stopped; it goes on when the server starts again", "stack", st.Name, "status", o.stack.Status, "error", err)
		}
	})
}

// linger waits a little for the operation that a stack is in.
func (s *Service) linger(ctx context.Context, stackID string) {
	s.mu.Lock()
	o := s.running[stackID]
	s.mu.Unlock()
	if o == nil || s.Linger <= 0 {
		return
	}
	late := time.NewTimer(s.Linger)
	defer late.Stop()
	select {
	case <-o.ended:
	case <-late.C:
	case <-ctx.Done():
	}
}

func inProgress(status string) bool {
	return strings.HasSuffix(status, "_IN_PROGRESS") && status != statusReview
}

func validation(format string, args ...any) error {
	return serin.Errorf(serin.KindValidation, format, args...)
}

// Names of exceptions of the service, in the Reason of a [serin.Error].
const (
	ReasonAlreadyExists       = "AlreadyExistsException"
	ReasonChangeSetNotFound   = "ChangeSetNotFound"
	ReasonInvalidChangeSet    = "InvalidChangeSetStatus"
	ReasonCapabilities        = "InsufficientCapabilitiesException"
	ReasonTokenAlreadyExists  = "TokenAlreadyExistsException"
	ReasonLimitExceeded       = "LimitExceededException"
	ReasonOperationInProgress = "OperationInProgressException"
)

func exception(reason, format string, args ...any) error {
	e := serin.Errorf(serin.KindInvalid, format, args...)
	e.Reason = reason
	if reason == ReasonChangeSetNotFound {
		e.Kind = serin.KindNotFound
	}
	return e
}
