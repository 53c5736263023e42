// Package s3 keeps buckets and objects: what deployment tools upload before they name it in a template or as a function's code.
//
// The rules are those of S3 for one account and one region: bucket names, versions, delete markers, listings with prefix and
// delimiter, conditional writes, multipart uploads. What encrypts, expires or opens a bucket on AWS (encryption, lifecycle, policies,
// tags, …) is kept and answered, and changes nothing here: every object is private to the holders of the server's keys.
//
// The bytes of an object are a file of their own below the data directory, written and synced before anything names it; the names are
// documents of the store, one for each key with all its versions, so that a write is one transaction. A file that no document names
// (after a crash, or a failed write) is removed at the next start. A multipart upload that is not complete ends with the server.
//
// The XML of S3 is gofakes3's, the front end of rclone's S3 server; signatures and the coding of bodies are internal/awsapi's.
package s3

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rclone/gofakes3"

	"serin"
	"serin/internal/store"
)

// Kinds of documents.
const (
	kindBucket = "s3.bucket" // by name
	kindObject = "s3.object" // by bucket/key
)

// maxVersions bounds the versions of one key: they are one document.
const maxVersions = 1000

// Config is what a [Service] is made of. All of it is required.
type Config struct {
	Dir    string // where the bytes of objects are; the service's alone
	Store  *store.Store
	Region string
	// MaxObject bounds the size of an object, in bytes.
	MaxObject int64
	Now       func() time.Time
	Log       *slog.Logger
}

// Service is safe for concurrent use.
type Service struct {
	Config
	files *files

	// deleting keeps writes of objects out while a bucket is found empty and deleted.
	deleting sync.RWMutex

	mu      sync.Mutex
	uploads map[gofakes3.UploadID]*upload
}

// Open opens the buckets and removes files that nothing names.
func Open(ctx context.Context, cfg Config) (*Service, error) {
	s := &Service{Config: cfg, uploads: map[gofakes3.UploadID]*upload{}}
	named := map[string]bool{}
	for d, err := range cfg.Store.Documents(ctx, kindObject, "") {
		if err != nil {
			return nil, err
		}
		var o object
		if err := json.Unmarshal(d.Body, &o); err != nil {
			return nil, fmt.Errorf("object %s: %w", d.Name, err)
		}
		for _, v := range o.Versions {
			named[v.File] = true
		}
	}
	var err error
	if s.files, err = openFiles(cfg.Dir, named); err != nil {
		return nil, err
	}
	return s, nil
}

// bucket is a document.
type bucket struct {
	Created    time.Time         `json:"created"`
	Versioning string            `json:"versioning,omitempty"` // Enabled or Suspended once it has been on
	Settings   map[string]string `json:"settings,omitempty"`   // by sub-resource, as they were put
}

// object is a document: all versions of a key, the newest first. Without versioning there is one.
type object struct {
	Versions []version `json:"versions"`
}

type version struct {
	ID       string            `json:"id,omitempty"` // "" is what S3 calls null
	File     string            `json:"file,omitempty"`
	Size     int64             `json:"size"`
	MD5      []byte            `json:"md5,omitempty"`
	Modified time.Time         `json:"modified"`
	Meta     map[string]string `json:"meta,omitempty"`
	Parts    []int64           `json:"parts,omitempty"`
	Deleted  bool              `json:"deleted,omitempty"` // a delete marker
}

// find returns the version with an id, or the newest if that is "".
func (o *object) find(id string) *version {
	for i := range o.Versions {
		if id == "" || o.Versions[i].ID == id || id == "null" && o.Versions[i].ID == "" {
			return &o.Versions[i]
		}
	}
	return nil
}

// loadBucket returns a bucket and its document.
func (s *Service) loadBucket(ctx context.Context, name string) (*bucket, store.Document, error) {
	d, err := s.Store.Document(ctx, kindBucket, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, d, gofakes3.ErrorMessage(gofakes3.ErrNoSuchBucket, "The specified bucket does not exist")
	}
	b := &bucket{}
	if err == nil {
		err = json.Unmarshal(d.Body, b)
	}
	return b, d, err
}

// loadObject returns the versions of a key, none if there is no such key, and the document that they are.
func (s *Service) loadObject(ctx context.Context, bucketName, key string) (*object, store.Document, error) {
	d, err := s.Store.Document(ctx, kindObject, bucketName+"/"+key)
	o := &object{}
	if errors.Is(err, store.ErrNotFound) {
		return o, d, nil
	}
	if err == nil {
		err = json.Unmarshal(d.Body, o)
	}
	return o, d, err
}

// attempts bounds how often a change is tried again because another one came in between.
const attempts = 20

// changeBucket changes a bucket in one transaction.
func (s *Service) changeBucket(ctx context.Context, name string, change func(*bucket) error) error {
	for range attempts {
		b, d, err := s.loadBucket(ctx, name)
		if err != nil {
			return err
		}
		if err := change(b); err != nil {
			return err
		}
		if d.Body, err = json.Marshal(b); err != nil {
			return err
		}
		if err = s.Store.SaveDocuments(ctx, d); !errors.Is(err, store.ErrStale) {
			return err
		}
	}
	return gofakes3.ErrSlowDown
}

// changeObject changes the versions of a key in one transaction and then removes the files that are no longer named.
func (s *Service) changeObject(ctx context.Context, bucketName, key string, change func(*bucket, *object) error) error {
	s.deleting.RLock()
	defer s.deleting.RUnlock()
	for range attempts {
		b, _, err := s.loadBucket(ctx, bucketName)
		if err != nil {
			return err
		}
		o, d, err := s.loadObject(ctx, bucketName, key)
		if err != nil {
			return err
		}
		before := o.files()
		if err := change(b, o); err != nil {
			return err
		}
		d.Body = nil
		if len(o.Versions) > maxVersions {
			return gofakes3.ErrorMessagef(gofakes3.ErrInvalidRequest, "The key has %d versions, which is the limit: delete some of them.", maxVersions)
		}
		if len(o.Versions) > 0 {
			if d.Body, err = json.Marshal(o); err != nil {
				return err
			}
		} else if d.Revision == 0 {
			return nil
		}
		err = s.Store.SaveDocuments(ctx, d)
		if errors.Is(err, store.ErrStale) || errors.Is(err, store.ErrExists) {
			continue
		}
		if err != nil {
			return plain(err)
		}
		after := o.files()
		for file := range before {
			if !after[file] {
				s.remove(ctx, file)
			}
		}
		return nil
	}
	return gofakes3.ErrSlowDown
}

func (o *object) files() map[string]bool {
	all := make(map[string]bool, len(o.Versions))
	for _, v := range o.Versions {
		if v.File != "" {
			all[v.File] = true
		}
	}
	return all
}

// remove removes a file that nothing names any more. If it stays, the next start removes it.
func (s *Service) remove(ctx context.Context, file string) {
	if err := s.files.remove(file); err != nil {
		s.Log.WarnContext(ctx, "the file of a deleted object stays until the next start", "file", file, "error", err)
	}
}

// ReadObject returns the bytes of an object of at most limit bytes; version may be "". Its errors are those of Lambda for code that
// cannot be read.
func (s *Service) ReadObject(ctx context.Context, bucketName, key, versionID string, limit int64) ([]byte, error) {
	data, err := s.readObject(ctx, bucketName, key, versionID, limit)
	if e, ok := errors.AsType[gofakes3.Error](err); ok {
		return nil, serin.Errorf(serin.KindInvalid, "Error occurred while GetObject. S3 Error Code: %s. S3 Error Message: %s", e.ErrorCode(), messageOf(e))
	}
	return data, err
}

func (s *Service) readObject(ctx context.Context, bucketName, key, versionID string, limit int64) ([]byte, error) {
	if _, _, err := s.loadBucket(ctx, bucketName); err != nil {
		return nil, err
	}
	o, _, err := s.loadObject(ctx, bucketName, key)
	if err != nil {
		return nil, err
	}
	v := o.find(versionID)
	switch {
	case v == nil && versionID != "" && len(o.Versions) > 0:
		return nil, errNoVersion()
	case v == nil || v.Deleted:
		return nil, errNoKey()
	case v.Size > limit:
		return nil, serin.Errorf(serin.KindInvalid, "The object s3://%s/%s has %d bytes, the most that can be used here are %d.", bucketName, key, v.Size, limit)
	default:
		return s.files.read(v.File, v.Size)
	}
}

// messageOf is what S3 says of an error.
func messageOf(e gofakes3.Error) string {
	if response, ok := errors.AsType[*gofakes3.ErrorResponse](e); ok {
		return response.Message
	}
	return cmp.Or(e.ErrorCode().Message(), string(e.ErrorCode()))
}

// Errors are made anew each time: gofakes3 writes the id of the request into them.
func errNoKey() error {
	return gofakes3.ErrorMessage(gofakes3.ErrNoSuchKey, "The specified key does not exist.")
}

func errNoVersion() error {
	return gofakes3.ErrorMessage(gofakes3.ErrNoSuchVersion, "The specified version does not exist.")
}

func newID() string { return uuid.NewString() }
