package alarm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/uuid"

	"serin"
	"serin/internal/cloudwatch"
	"serin/internal/store"
)

// Kinds of documents in the store.
const (
	kindAlarm   = "alarm"
	kindHistory = "alarm history"
	kindAction  = "alarm action"
)

// Config is what a [Service] works with.
type Config struct {
	Place   serin.Place
	Store   *store.Store
	Metrics *cloudwatch.Service
	// Shared says that other servers write to the store too.
	Shared bool
	// The ways to act. Invoke hands an event to a function, which is named by its ARN; Post sends a document to a URL;
	// RollBack ends the release that moves an alias, if there is one, and says what it did.
	Invoke   func(ctx context.Context, alarmARN, functionARN string, event []byte) error
	Post     func(ctx context.Context, url, id string, event []byte) error
	RollBack func(ctx context.Context, function, alias, reason string) (did string, err error)
	Now      func() time.Time
	Log      *slog.Logger
}

// Service serves the operations on alarms. It is safe for concurrent use.
type Service struct {
	Config
	writes sync.Mutex // held from reading documents until they are saved and shown

	mu   sync.RWMutex
	book map[string]*entry
	// watchers are told that the state of an alarm has changed.
	changed chan struct{}

	acts      chan struct{} // there may be something to do
	composite chan struct{} // composite alarms may have to change
	evaluated map[string]evaluation
}

// evaluation is up to where an alarm of a configuration has been evaluated. Passes alone use it.
type evaluation struct{ end, configured time.Time }

// New returns a Service. Load comes before everything else.
func New(cfg Config) *Service {
	return &Service{
		Config: cfg, book: map[string]*entry{}, changed: make(chan struct{}), acts: make(chan struct{}, 1), composite: make(chan struct{}, 1),
		evaluated: map[string]evaluation{},
	}
}

// Load reads every alarm.
func (s *Service) Load(ctx context.Context) error {
	s.writes.Lock()
	defer s.writes.Unlock()
	book := map[string]*entry{}
	for d, err := range s.Store.Documents(ctx, kindAlarm, "") {
		if err != nil {
			return err
		}
		e, err := s.read(d)
		if err != nil {
			s.Log.ErrorContext(ctx, "an alarm cannot be evaluated", "alarm", d.Name, "error", err)
			continue
		}
		book[d.Name] = e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book = book
	return nil
}

func (s *Service) read(d store.Document) (*entry, error) {
	var a Alarm
	if err := json.Unmarshal(d.Body, &a); err != nil {
		return nil, err
	}
	if (a.Metric == nil) == (a.Composite == nil) {
		return nil, errors.New("the document is no alarm")
	}
	return compile(&a, s.Place)
}

// alarms returns every alarm in the order of names.
func (s *Service) alarms() []*entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.book), func(a, b *entry) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
}

func (s *Service) alarm(name string) (*entry, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.book[name]
	return e, ok
}

// write is what is saved together of one alarm.
type write struct {
	alarm   *Alarm // nil to delete it
	history []history
	actions []pending
}

// maxAttempts bounds how often a change is tried that other servers' changes get in the way of.
const maxAttempts = 10

// update changes alarms: all of them or none. change gets each as it is in the store, or nil if there is none, and may
// change it; it returns nil to leave it as it is.
func (s *Service) update(ctx context.Context, names []string, change func(name string, a *Alarm) (*write, error)) error {
	s.writes.Lock()
	defer s.writes.Unlock()
	for range maxAttempts {
		err := s.updateOnce(ctx, names, change)
		if !errors.Is(err, store.ErrStale) && !errors.Is(err, store.ErrExists) {
			return err
		}
	}
	return refuse(reasonConcurrency, "More than one process tried to modify the alarm at the same time.")
}

func (s *Service) updateOnce(ctx context.Context, names []string, change func(name string, a *Alarm) (*write, error)) error {
	var documents []store.Document
	next := map[string]*entry{}
	for _, name := range names {
		d, err := s.Store.Document(ctx, kindAlarm, name)
		var a *Alarm
		switch {
		case errors.Is(err, store.ErrNotFound):
			d = store.Document{Kind: kindAlarm, Name: name}
		case err != nil:
			return err
		default:
			a = &Alarm{}
			if err := json.Unmarshal(d.Body, a); err != nil {
				return fmt.Errorf("alarm %q: %w", name, err)
			}
		}
		w, err := change(name, a)
		if err != nil {
			return err
		}
		if w == nil {
			continue
		}
		added, e, err := s.documents(d, w)
		if err != nil {
			return err
		}
		documents, next[name] = append(documents, added...), e
	}
	if len(documents) == 0 {
		return nil
	}
	if err := s.Store.SaveDocuments(ctx, documents...); err != nil {
		return err
	}
	s.show(next)
	return nil
}

// documents returns what a write saves, and the alarm as it is used then.
func (s *Service) documents(d store.Document, w *write) ([]store.Document, *entry, error) {
	var e *entry
	d.Body = nil
	if w.alarm != nil {
		var err error
		if e, err = compile(w.alarm, s.Place); err != nil {
			return nil, nil, err
		}
		d.Body = json.RawMessage(jsonText(w.alarm))
	}
	all := []store.Document{d}
	for i := range w.history {
		h := &w.history[i]
		all = append(all, store.Document{Kind: kindHistory, Name: h.key(uuid.NewString()), Body: json.RawMessage(jsonText(h))})
	}
	for i := range w.actions {
		p := &w.actions[i]
		all = append(all, store.Document{Kind: kindAction, Name: timeKey(p.At) + uuid.NewString(), Body: json.RawMessage(jsonText(p))})
	}
	return all, e, nil
}

// show makes saved alarms the ones that are used.
func (s *Service) show(next map[string]*entry) {
	s.mu.Lock()
	for name, e := range next {
		if e == nil {
			delete(s.book, name)
		} else {
			s.book[name] = e
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	wake(s.acts)
	wake(s.composite)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// transition puts an alarm into a state and returns what is saved with that: its history, and the actions if the state
// is another one than before.
func (a *Alarm) transition(state types.StateValue, reason, data string, now time.Time, place serin.Place) *write {
	before := a.State
	a.State = State{Value: state, Reason: reason, Data: data, Updated: now, Transitioned: before.Transitioned}
	w := &write{alarm: a}
	if state != before.Value {
		a.State.Transitioned = now
		w.history = append(w.history, a.stateUpdate(before, now))
		if a.ActionsEnabled {
			for _, action := range a.actions(state) {
				w.actions = append(w.actions, pending{Alarm: a.Name, AlarmARN: a.ARN, Kind: a.kind(), Action: action, Event: a.event(before, place), At: now, Reason: reason, State: state})
			}
		}
	}
	return w
}
