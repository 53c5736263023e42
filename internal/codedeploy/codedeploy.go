// Package codedeploy is the API of AWS CodeDeploy for the Lambda compute platform: another door to the release engine.
//
// A deployment is a release under the deployment's id. What was asked for, and how it ended, are documents of the store;
// everything in between is read from the release ([view] is pure), so the two cannot disagree. A deployment is saved
// before its release is started, its stop before the release is told, and its end together with the rollback that it led
// to: whenever the server is killed, [Service.Run] goes on from what was saved. Methods have the signatures of the SDK's
// client.
package codedeploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"

	"serin"
	"serin/internal/release"
	"serin/internal/store"
)

type options = codedeploy.Options

// Releases is the release engine.
type Releases interface {
	Start(ctx context.Context, req release.Request) (*serin.Release, error)
	Get(ctx context.Context, id string) (*serin.Release, error)
	Wait(ctx context.Context, id string, after int64) (*serin.Release, error)
	Command(ctx context.Context, id string, in serin.Instruction) (*serin.Release, error)
}

// Alarms says what state alarms are in.
type Alarms interface {
	DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error)
}

// Config is what a [Service] works with.
type Config struct {
	Place    serin.Place
	Store    *store.Store
	Releases Releases
	Alarms   Alarms
	// Alias returns an alias and its function, or a KindNotFound error.
	Alias func(function, alias string) (*serin.Function, *serin.Alias, error)
	// InvokeEvent hands an event to a function, as an asynchronous invocation does.
	InvokeEvent func(ctx context.Context, function, qualifier string, payload []byte) error
	// ReadObject returns an object of S3 of at most limit bytes; nil reads none.
	ReadObject func(ctx context.Context, bucket, key, version string, limit int64) ([]byte, error)
	Now        func() time.Time
	NewID      func() string // a UUID
	Log        *slog.Logger
}

// Service serves CodeDeploy's operations.
type Service struct {
	Config

	mu       sync.Mutex
	ctx      context.Context // of Run; nil before
	wg       sync.WaitGroup
	driven   map[string]bool
	reported chan struct{} // closed and replaced when a hook has reported
}

// New returns a Service. Deployments move while [Service.Run] runs.
func New(cfg Config) *Service {
	return &Service{Config: cfg, driven: map[string]bool{}, reported: make(chan struct{})}
}

// Kinds of documents, and how their names are made.
const (
	kindApplication = "codedeploy-application" // name of the application
	kindGroup       = "codedeploy-group"       // application, group
	kindConfig      = "codedeploy-config"      // name of the configuration
	kindRevision    = "codedeploy-revision"    // application, digest of the revision
	kindDeployment  = "codedeploy-deployment"  // id
	kindHook        = "codedeploy-hook"        // execution id
)

// separator is between the parts of a document's name; no name of a user has it.
const separator = "\x1f"

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Millisecond) }

// record is a document as it was read, to be written back.
type record[T any] struct {
	store.Document

	value T
}

// load reads a document; one that is not there is [store.ErrNotFound].
func load[T any](ctx context.Context, s *Service, kind string, name ...string) (*record[T], error) {
	d, err := s.Store.Document(ctx, kind, strings.Join(name, separator))
	if err != nil {
		return nil, err
	}
	return read[T](d)
}

func read[T any](d store.Document) (*record[T], error) {
	r := &record[T]{Document: d}
	if err := json.Unmarshal(d.Body, &r.value); err != nil {
		return nil, fmt.Errorf("%s %q: %w", d.Kind, d.Name, err)
	}
	return r, nil
}

// all reads the documents of a kind whose names begin with the prefix, by name.
func all[T any](ctx context.Context, s *Service, kind, prefix string) ([]*record[T], error) {
	var found []*record[T]
	for d, err := range s.Store.Documents(ctx, kind, prefix) {
		if err != nil {
			return nil, err
		}
		r, err := read[T](d)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, nil
}

// fresh is a document that must not be there yet.
func fresh[T any](value T, kind string, name ...string) *record[T] {
	return &record[T]{Document: store.Document{Kind: kind, Name: strings.Join(name, separator)}, value: value}
}

// written is the document with its value as it is now.
func (r *record[T]) written() (store.Document, error) {
	d := r.Document
	var err error
	d.Body, err = json.Marshal(r.value)
	return d, err
}

// deleted is the document's deletion.
func (r *record[T]) deleted() store.Document {
	d := r.Document
	d.Body = nil
	return d
}

type writable interface {
	written() (store.Document, error)
}

// save writes documents: all or none.
func (s *Service) save(ctx context.Context, records ...writable) error {
	documents := make([]store.Document, len(records))
	for i, r := range records {
		var err error
		if documents[i], err = r.written(); err != nil {
			return err
		}
	}
	return s.Store.SaveDocuments(ctx, documents...)
}

// settled repeats what reads, decides and saves until nobody else saved in between.
func settled(ctx context.Context, change func() error) error {
	for {
		err := change()
		stale := errors.Is(err, store.ErrStale) || errors.Is(err, store.ErrExists)
		if !stale || ctx.Err() != nil {
			return err
		}
	}
}

// refuse makes the error of an exception of the SDK.
func refuse(exception, format string, args ...any) error {
	return &serin.Error{Kind: serin.KindInvalid, Reason: exception, Message: fmt.Sprintf(format, args...)}
}

// reasonOf returns the exception that an error stands for, or "".
func reasonOf(err error) string {
	if e, ok := errors.AsType[*serin.Error](err); ok {
		return e.Reason
	}
	return ""
}

// unsupported is the error for what Serin does not have.
func unsupported(format string, args ...any) error {
	return serin.Errorf(serin.KindNotImplemented, format, args...)
}

// maxName bounds names, in characters.
const maxName = 100

// checkName returns a name that may be kept. missing and invalid are the exceptions for none and for one that may not.
func checkName(name *string, what, missing, invalid string) (string, error) {
	switch {
	case name == nil || *name == "":
		return "", refuse(missing, "The %s must be specified.", what)
	case utf8.RuneCountInString(*name) > maxName:
		return "", refuse(invalid, "The %s is too long: at most %d characters.", what, maxName)
	case !utf8.ValidString(*name) || strings.ContainsFunc(*name, unicode.IsControl):
		return "", refuse(invalid, "The %s has characters that cannot be in a name.", what)
	}
	return *name, nil
}

// clip bounds what an error text repeats of a request.
func clip(s string) string {
	const most = 128
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// pageSize is how many elements a list has at most; AWS does not say.
const pageSize = 100

// page returns the elements after the token, and the token of the next page. Tokens are elements, and elements are in an
// order in which those after the token can be told.
func page(elements []string, token *string, after func(element, token string) bool) ([]string, *string, error) {
	if token != nil {
		if *token == "" || len(*token) > 4*maxName || !utf8.ValidString(*token) {
			return nil, nil, refuse("InvalidNextTokenException", "The next token is not valid.")
		}
		i := slices.IndexFunc(elements, func(e string) bool { return after(e, *token) })
		if i < 0 {
			i = len(elements)
		}
		elements = elements[i:]
	}
	if len(elements) <= pageSize {
		return slices.Clip(elements), nil, nil
	}
	elements = elements[:pageSize:pageSize]
	return elements, &elements[pageSize-1], nil
}

func byName(element, token string) bool { return element > token }

// batch refuses lists that are too long.
func batch[T any](names []T, most int, what string) error {
	if len(names) == 0 {
		return refuse("InvalidInputException", "The list of %s must not be empty.", what)
	}
	if len(names) > most {
		return refuse("BatchLimitExceededException", "The list of %s has %d elements; at most %d.", what, len(names), most)
	}
	return nil
}
