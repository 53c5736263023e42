package s3

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/rclone/gofakes3"

	"serin/internal/store"
)

// CreateBucket creates a bucket.
//
// Errors: gofakes3.ErrBucketAlreadyExists; ErrInvalidBucketName.
func (s *Service) CreateBucket(ctx context.Context, name string) error {
	if err := gofakes3.ValidateBucketName(name); err != nil {
		return err
	}
	body, err := json.Marshal(bucket{Created: s.Now().UTC()})
	if err != nil {
		return err
	}
	err = s.Store.SaveDocuments(ctx, store.Document{Kind: kindBucket, Name: name, Body: body})
	if errors.Is(err, store.ErrExists) {
		return gofakes3.ResourceError(gofakes3.ErrBucketAlreadyExists, name)
	}
	return err
}

// DeleteBucket deletes an empty bucket: one without a version of any key.
func (s *Service) DeleteBucket(ctx context.Context, name string) error {
	s.deleting.Lock()
	defer s.deleting.Unlock()
	_, d, err := s.loadBucket(ctx, name)
	if err != nil {
		return err
	}
	for _, err := range s.Store.Documents(ctx, kindObject, name+"/") {
		if err != nil {
			return err
		}
		return gofakes3.ErrorMessage(gofakes3.ErrBucketNotEmpty, "The bucket you tried to delete is not empty")
	}
	d.Body = nil
	err = s.Store.SaveDocuments(ctx, d)
	if errors.Is(err, store.ErrStale) { // its settings changed meanwhile
		return gofakes3.ErrSlowDown
	}
	return err
}

// BucketExists reports whether there is a bucket.
func (s *Service) BucketExists(ctx context.Context, name string) (bool, error) {
	_, _, err := s.loadBucket(ctx, name)
	if gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchBucket) {
		return false, nil
	}
	return err == nil, err
}

// ListBuckets returns all buckets.
func (s *Service) ListBuckets(ctx context.Context) ([]gofakes3.BucketInfo, error) {
	var all []gofakes3.BucketInfo
	for d, err := range s.Store.Documents(ctx, kindBucket, "") {
		if err != nil {
			return nil, err
		}
		var b bucket
		if err := json.Unmarshal(d.Body, &b); err != nil {
			return nil, err
		}
		all = append(all, gofakes3.BucketInfo{Name: d.Name, CreationDate: gofakes3.NewContentTime(b.Created)})
	}
	return all, nil
}

// Setting returns what was put for a sub-resource of a bucket, such as policy or encryption, and "" if nothing was.
func (s *Service) Setting(ctx context.Context, bucketName, name string) (string, error) {
	b, _, err := s.loadBucket(ctx, bucketName)
	if err != nil {
		return "", err
	}
	return b.Settings[name], nil
}

// PutSetting keeps what is put for a sub-resource of a bucket; "" removes it.
func (s *Service) PutSetting(ctx context.Context, bucketName, name, text string) error {
	return s.changeBucket(ctx, bucketName, func(b *bucket) error {
		if text == "" {
			delete(b.Settings, name)
			return nil
		}
		if b.Settings == nil {
			b.Settings = map[string]string{}
		}
		b.Settings[name] = text
		return nil
	})
}

// SetVersioning turns the versioning of a bucket on or, if it has been on, suspends it.
func (s *Service) SetVersioning(ctx context.Context, bucketName string, enabled bool) error {
	return s.changeBucket(ctx, bucketName, func(b *bucket) error {
		switch {
		case enabled:
			b.Versioning = string(gofakes3.VersioningEnabled)
		case b.Versioning != "":
			b.Versioning = string(gofakes3.VersioningSuspended)
		}
		return nil
	})
}

// VersioningConfiguration implements gofakes3.VersionedBackend.
func (s *Service) VersioningConfiguration(bucketName string) (gofakes3.VersioningConfiguration, error) {
	b, _, err := s.loadBucket(context.Background(), bucketName)
	if err != nil {
		return gofakes3.VersioningConfiguration{}, err
	}
	return gofakes3.VersioningConfiguration{Status: gofakes3.VersioningStatus(b.Versioning)}, nil
}

// SetVersioningConfiguration implements gofakes3.VersionedBackend.
func (s *Service) SetVersioningConfiguration(bucketName string, v gofakes3.VersioningConfiguration) error {
	return s.SetVersioning(context.Background(), bucketName, v.Enabled())
}
