package recording

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"serin"
)

// Bounds of recordings.
const (
	MaxFor        = 24 * time.Hour
	maxRecordings = 100
	maxQueued     = 256      // invocations that wait to be written
	maxWaiting    = 32 << 20 // bytes of them
)

// Recorder records invocations. It is safe for concurrent use.
type Recorder struct {
	root *os.Root
	now  func() time.Time
	log  *slog.Logger

	active atomic.Pointer[map[key]*session] // nil while nothing is recorded
	mu     sync.Mutex                       // of changes of active, and of the directory
	closed bool
	all    sync.WaitGroup
}

type key struct{ function, alias string }

// Request asks for a recording. See [Header].
type Request struct {
	Function    string         `json:"function"`
	Alias       string         `json:"alias"`
	For         serin.Duration `json:"for"`
	Sample      float64        `json:"sample"` // above 0 and at most 1
	Redact      []string       `json:"redact,omitempty"`
	KeepSecrets bool           `json:"keepSecrets,omitempty"`
	Answers     bool           `json:"answers,omitempty"` // record what is answered, too
	MaxBytes    int64          `json:"maxBytes,omitempty"`
}

// Status is a recording as it stands.
type Status struct {
	Header
	Active  bool      `json:"active"`
	EndedAt time.Time `json:"endedAt,omitzero"`
	Why     string    `json:"why,omitempty"` // it ended
	Entries int       `json:"entries"`
	Missed  int       `json:"missed"` // drawn, and not taken: too large, or faster than they could be written
	Bytes   int64     `json:"bytes"`
}

// Call is an invocation that has ended. Nobody keeps what it points to.
type Call struct {
	Start         time.Time
	Duration      time.Duration
	Version       string
	Event, Answer []byte
	Error         string
}

// Open opens the directory of recordings, which it makes if need be.
func Open(dir string, now func() time.Time, log *slog.Logger) (*Recorder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	return &Recorder{root: root, now: now, log: log}, nil
}

// On reports whether anything is recorded. It is all that an invocation costs while nothing is.
func (r *Recorder) On() bool { return r != nil && r.active.Load() != nil }

// Observe offers an invocation of an alias. It never waits.
func (r *Recorder) Observe(function, alias string, c *Call) {
	active := r.active.Load()
	if active == nil {
		return
	}
	if s := (*active)[key{function, alias}]; s != nil && rand.Float64() < s.header.Sample {
		s.offer(c)
	}
}

// Start begins a recording.
//
// Errors: KindInvalid, KindConflict if the alias is being recorded, or if there are too many recordings.
func (r *Recorder) Start(in Request, by string) (Status, error) {
	in.MaxBytes = cmp.Or(in.MaxBytes, MaxFile)
	paths, err := ParsePaths(in.Redact)
	switch {
	case err != nil:
		return Status{}, err
	case !(in.Sample > 0 && in.Sample <= 1):
		return Status{}, serin.Errorf(serin.KindInvalid, "sample: %v is not above 0 and at most 1", in.Sample)
	case time.Duration(in.For) < time.Second || time.Duration(in.For) > MaxFor:
		return Status{}, serin.Errorf(serin.KindInvalid, "for: %s is not between 1s and %s", in.For, MaxFor)
	case in.MaxBytes < 1<<10 || in.MaxBytes > MaxFile:
		return Status{}, serin.Errorf(serin.KindInvalid, "maxBytes: %d is not between %d and %d", in.MaxBytes, 1<<10, MaxFile)
	}
	now := r.now().UTC()
	s := &session{
		recorder: r, paths: paths, answers: in.Answers, queue: make(chan Call, maxQueued), stopped: make(chan struct{}),
		header: Header{
			Format: Version, ID: now.Format("20060102-150405-") + strings.ToLower(randomText()), Function: in.Function, Alias: in.Alias,
			StartedAt: now, Until: now.Add(time.Duration(in.For)), Sample: in.Sample, Redact: in.Redact, KeepSecrets: in.KeepSecrets,
			MaxBytes: in.MaxBytes, By: by,
		},
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.room(s); err != nil {
		return Status{}, err
	}
	if err := s.open(); err != nil {
		return Status{}, fmt.Errorf("recording: %w", err)
	}
	r.change(func(active map[key]*session) { active[s.key()] = s })
	r.all.Go(s.run)
	return s.status(), nil
}

// room refuses a session for which there is none. The caller holds the lock.
func (r *Recorder) room(s *session) error {
	if r.closed {
		return serin.Errorf(serin.KindConflict, "The server is shutting down.")
	}
	if active := r.active.Load(); active != nil && (*active)[s.key()] != nil {
		return serin.Errorf(serin.KindConflict, "%s:%s is being recorded already, as %s; stop it with: serin record stop %[3]s",
			s.header.Function, s.header.Alias, (*active)[s.key()].header.ID)
	}
	all, err := r.list()
	if err == nil && len(all) >= maxRecordings {
		return serin.Errorf(serin.KindConflict, "There are %d recordings; delete some first: serin record delete ID", len(all))
	}
	return err
}

// change replaces the map of what is recorded. The caller holds the lock.
func (r *Recorder) change(do func(map[key]*session)) {
	next := map[key]*session{}
	if active := r.active.Load(); active != nil {
		next = maps.Clone(*active)
	}
	do(next)
	if len(next) == 0 {
		r.active.Store(nil)
		return
	}
	r.active.Store(&next)
}

// ended takes a session away.
func (r *Recorder) ended(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.change(func(active map[key]*session) {
		if active[s.key()] == s {
			delete(active, s.key())
		}
	})
}

// find returns the session of a recording that goes on, nil for none.
func (r *Recorder) find(id string) *session {
	if active := r.active.Load(); active != nil {
		for _, s := range *active {
			if s.header.ID == id {
				return s
			}
		}
	}
	return nil
}

// Stop ends a recording before its time. One that has ended already is no error.
//
// Errors: KindNotFound.
func (r *Recorder) Stop(id string) (Status, error) {
	if s := r.find(id); s != nil {
		s.stop("stopped")
		<-s.stopped
	}
	return r.Get(id)
}

var validID = regexp.MustCompile(`^[0-9]{8}-[0-9]{6}-[0-9a-z]{8}$`)

func notFound(id string) error {
	return serin.Errorf(serin.KindNotFound, "There is no recording %.100q; see: serin record list", id)
}

// Get returns a recording.
//
// Errors: KindNotFound.
func (r *Recorder) Get(id string) (Status, error) {
	if s := r.find(id); s != nil {
		return s.status(), nil
	}
	if !validID.MatchString(id) {
		return Status{}, notFound(id)
	}
	text, err := r.root.ReadFile(id + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return Status{}, notFound(id)
	}
	var status Status
	if err == nil {
		err = json.Unmarshal(text, &status)
	}
	if err != nil {
		return status, fmt.Errorf("recording %s: %w", id, err)
	}
	if status.Active { // by a server that was killed
		status.Active, status.Why = false, "the server ended"
		if info, err := r.root.Stat(id + ".jsonl"); err == nil {
			status.Bytes = info.Size()
		}
	}
	return status, nil
}

// List returns all recordings, the newest first.
func (r *Recorder) List() ([]Status, error) {
	names, err := r.list()
	all := []Status{}
	for _, id := range names {
		status, err := r.Get(id)
		if serin.KindOf(err) == serin.KindNotFound { // deleted meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, status)
	}
	slices.SortFunc(all, func(a, b Status) int { return b.StartedAt.Compare(a.StartedAt) })
	return all, err
}

func (r *Recorder) list() ([]string, error) {
	files, err := fs.Glob(r.root.FS(), "*.jsonl")
	for i := range files {
		files[i] = strings.TrimSuffix(files[i], ".jsonl")
	}
	return files, err
}

// File opens what was recorded. The caller closes it.
//
// Errors: KindNotFound.
func (r *Recorder) File(id string) (io.ReadCloser, error) {
	if !validID.MatchString(id) {
		return nil, notFound(id)
	}
	f, err := r.root.Open(id + ".jsonl")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(id)
	}
	return f, err
}

// Delete removes a recording, ending it if need be.
//
// Errors: KindNotFound.
func (r *Recorder) Delete(id string) error {
	if _, err := r.Stop(id); err != nil {
		return err
	}
	return errors.Join(r.root.Remove(id+".jsonl"), r.root.Remove(id+".json"))
}

// Run waits for the context to end and then ends every recording.
func (r *Recorder) Run(ctx context.Context) error {
	<-ctx.Done()
	r.mu.Lock()
	r.closed = true
	active := r.active.Load()
	r.mu.Unlock()
	if active != nil {
		for _, s := range *active {
			s.stop("the server ended")
		}
	}
	r.all.Wait()
	return r.root.Close()
}

func randomText() string {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyz"
	var b [8]byte
	for i := range b {
		b[i] = letters[rand.IntN(len(letters))]
	}
	return string(b[:])
}

// session is one recording that goes on.
type session struct {
	recorder *Recorder
	header   Header
	paths    []Path
	answers  bool
	queue    chan Call
	waiting  atomic.Int64 // bytes in the queue
	missed   atomic.Int64
	entries  atomic.Int64
	bytes    atomic.Int64

	once    sync.Once
	why     atomic.Pointer[string] // it ends
	ending  chan struct{}
	stopped chan struct{}
	file    *os.File
}

func (s *session) key() key { return key{s.header.Function, s.header.Alias} }

func (s *session) stop(why string) {
	s.once.Do(func() {
		s.why.Store(&why)
		close(s.ending)
	})
}

// offer takes a copy of an invocation if there is room for it.
func (s *session) offer(c *Call) {
	size := int64(len(c.Event) + len(c.Answer))
	if size > MaxEvent || s.waiting.Add(size) > maxWaiting {
		if size <= MaxEvent {
			s.waiting.Add(-size)
		}
		s.missed.Add(1)
		return
	}
	taken := *c
	taken.Event = bytes.Clone(c.Event)
	if taken.Answer = nil; s.answers {
		taken.Answer = bytes.Clone(c.Answer)
	}
	select {
	case s.queue <- taken:
	default:
		s.waiting.Add(-size)
		s.missed.Add(1)
	}
}

// open makes the files.
func (s *session) open() error {
	s.ending = make(chan struct{})
	var err error
	if s.file, err = s.recorder.root.OpenFile(s.header.ID+".jsonl", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return err
	}
	line, err := json.Marshal(s.header)
	if err == nil {
		err = s.write(line)
	}
	if err == nil {
		err = s.note(s.status())
	}
	return err
}

func (s *session) write(line []byte) error {
	n, err := s.file.Write(append(line, '\n'))
	s.bytes.Add(int64(n))
	return err
}

// run writes what was taken until the end of the recording.
func (s *session) run() {
	defer close(s.stopped)
	timer := time.AfterFunc(s.header.Until.Sub(s.recorder.now()), func() { s.stop("its time is over") })
	defer timer.Stop()
	for done := false; !done; {
		select {
		case c := <-s.queue:
			s.take(&c)
		case <-s.ending:
			done = true
		}
	}
	s.recorder.ended(s)
	for { // what was taken before it ended
		select {
		case c := <-s.queue:
			s.take(&c)
			continue
		default:
		}
		break
	}
	err := errors.Join(s.file.Sync(), s.file.Close())
	status := s.status()
	status.Active, status.EndedAt = false, s.recorder.now().UTC()
	if err = errors.Join(err, s.note(status)); err != nil {
		s.recorder.log.Error("cannot finish recording", "recording", s.header.ID, "error", err)
	}
}

// take writes an invocation without what must not be kept.
func (s *session) take(c *Call) {
	s.waiting.Add(-int64(len(c.Event) + len(c.Answer)))
	line, err := s.encode(c)
	if err != nil {
		s.missed.Add(1)
		return
	}
	if s.bytes.Load()+int64(len(line))+1 > s.header.MaxBytes {
		s.missed.Add(1)
		s.stop("it is full")
		return
	}
	if err := s.write(line); err != nil {
		s.stop("it cannot be written: " + err.Error())
		return
	}
	s.entries.Add(1)
}

func (s *session) encode(c *Call) ([]byte, error) {
	e := Entry{
		At: max(0, c.Start.Sub(s.header.StartedAt).Seconds()), Version: c.Version, Error: c.Error,
		MS: float64(c.Duration.Microseconds()) / 1000,
	}
	var err error
	if e.Event, err = Redact(c.Event, s.paths, !s.header.KeepSecrets); err != nil {
		return nil, err
	}
	if len(c.Answer) > 0 {
		if e.Answer, err = Redact(c.Answer, s.paths, !s.header.KeepSecrets); err != nil {
			e.Answer = nil // what is not JSON cannot be redacted
		}
	}
	return json.Marshal(e)
}

func (s *session) status() Status {
	status := Status{
		Header: s.header, Active: true, Entries: int(s.entries.Load()), Missed: int(s.missed.Load()), Bytes: s.bytes.Load(),
	}
	if why := s.why.Load(); why != nil {
		status.Why = *why
	}
	return status
}

// note writes the status beside the recording, at once or not at all.
func (s *session) note(status Status) error {
	text, err := json.Marshal(status)
	if err != nil {
		return err
	}
	name := s.header.ID + ".json"
	if err := s.recorder.root.WriteFile(name+".new", text, 0o600); err != nil {
		return err
	}
	return s.recorder.root.Rename(name+".new", name)
}

// Dir is where a server keeps recordings below its data directory.
func Dir(data string) string { return filepath.Join(data, "recordings") }
