package s3

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's ETag
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/rclone/gofakes3"
)

// PutObject writes an object. Its bytes are on disk before the key names them.
func (s *Service) PutObject(ctx context.Context, bucketName, key string, meta map[string]string, input io.Reader, size int64) (gofakes3.PutObjectResult, error) {
	v, err := s.receive(input, size)
	if err != nil {
		return gofakes3.PutObjectResult{}, err
	}
	v.Meta = maps.Clone(meta)
	delete(v.Meta, "Last-Modified")
	if sum := trailerOf(ctx); sum.name != "" { // known only now, after the body
		v.Meta[sum.name] = sum.value()
	}
	if v, err = s.save(ctx, bucketName, key, v); err != nil {
		return gofakes3.PutObjectResult{}, err
	}
	return gofakes3.PutObjectResult{VersionID: gofakes3.VersionID(v.ID)}, nil
}

// receive writes the bytes of an object or a part. size is -1 if it is not known.
func (s *Service) receive(input io.Reader, size int64) (version, error) {
	if size > s.MaxObject {
		return version{}, s.tooLarge()
	}
	digest := md5.New() //nolint:gosec // S3's ETag
	file, n, err := s.files.write(io.TeeReader(io.LimitReader(input, s.MaxObject+1), digest))
	if err != nil {
		return version{}, plain(err)
	}
	switch {
	case n > s.MaxObject:
		err = s.tooLarge()
	case size >= 0 && n != size:
		err = gofakes3.ErrIncompleteBody
	}
	if err != nil {
		return version{}, plain(errors.Join(err, s.files.remove(file)))
	}
	return version{File: file, Size: n, MD5: digest.Sum(nil), Modified: s.Now().UTC()}, nil
}

func (s *Service) tooLarge() error {
	return gofakes3.ErrorMessagef(gofakes3.ErrEntityTooLarge,
		"Your proposed upload exceeds the maximum allowed object size of %d bytes (serin serve --max-object).", s.MaxObject)
}

// save makes a written version the newest of its key. If that fails its file is removed.
func (s *Service) save(ctx context.Context, bucketName, key string, v version) (version, error) {
	err := s.changeObject(ctx, bucketName, key, func(b *bucket, o *object) error {
		if gofakes3.HasWriteConditions(ctx) {
			newest := o.find("")
			exists := newest != nil && !newest.Deleted
			etag := ""
			if exists {
				etag = hex.EncodeToString(newest.MD5)
			}
			if err := gofakes3.CheckWriteConditions(ctx, exists, etag); err != nil {
				return err
			}
		}
		v.ID = ""
		o.push(b, &v)
		return nil
	})
	if err != nil {
		s.remove(ctx, v.File)
	}
	return v, err
}

// push puts a version on top. Without versioning it replaces the one that is called null.
func (o *object) push(b *bucket, v *version) {
	if b.Versioning == string(gofakes3.VersioningEnabled) {
		v.ID = newID()
	} else {
		o.Versions = slices.DeleteFunc(o.Versions, func(old version) bool { return old.ID == "" })
	}
	o.Versions = slices.Insert(o.Versions, 0, *v)
}

// GetObject returns the newest version of an object.
func (s *Service) GetObject(ctx context.Context, bucketName, key string, r *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	v, err := s.newest(ctx, bucketName, key)
	if err != nil {
		return nil, err
	}
	return s.open(key, v, r)
}

// HeadObject returns the newest version of an object without its bytes.
func (s *Service) HeadObject(ctx context.Context, bucketName, key string) (*gofakes3.Object, error) {
	v, err := s.newest(ctx, bucketName, key)
	if err != nil {
		return nil, err
	}
	return v.head(key), nil
}

func (s *Service) newest(ctx context.Context, bucketName, key string) (*version, error) {
	o, _, err := s.loadObject(ctx, bucketName, key)
	if err != nil {
		return nil, err
	}
	v := o.find("")
	if v == nil || v.Deleted {
		return nil, errNoKey()
	}
	return v, nil
}

// head returns a version without its bytes.
func (v *version) head(key string) *gofakes3.Object {
	meta := maps.Clone(v.Meta)
	if meta == nil {
		meta = map[string]string{}
	}
	meta["Last-Modified"] = v.Modified.Format(http.TimeFormat)
	return &gofakes3.Object{
		Name: key, Metadata: meta, Size: v.Size, Contents: http.NoBody, Hash: v.MD5,
		VersionID: gofakes3.VersionID(v.ID), IsDeleteMarker: v.Deleted, PartSizes: v.Parts,
	}
}

// open returns a version with its bytes or a range of them.
func (s *Service) open(key string, v *version, r *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	out := v.head(key)
	if v.Deleted {
		return out, nil
	}
	within, err := r.Range(v.Size)
	if err != nil {
		return nil, err
	}
	file, err := s.files.open(v.File)
	if errors.Is(err, os.ErrNotExist) { // replaced since
		return nil, gofakes3.ErrSlowDown
	}
	if err != nil {
		return nil, err
	}
	out.Range = within
	section := io.NewSectionReader(file, 0, v.Size)
	if within != nil {
		section = io.NewSectionReader(file, within.Start, within.Length)
	}
	out.Contents = struct {
		io.Reader
		io.Closer
	}{section, file}
	return out, nil
}

// DeleteObject deletes an object; if the bucket keeps versions, by a delete marker.
func (s *Service) DeleteObject(ctx context.Context, bucketName, key string) (gofakes3.ObjectDeleteResult, error) {
	var out gofakes3.ObjectDeleteResult
	err := s.changeObject(ctx, bucketName, key, func(b *bucket, o *object) error {
		out = gofakes3.ObjectDeleteResult{}
		if b.Versioning == "" {
			o.Versions = nil
			return nil
		}
		marker := version{Deleted: true, Modified: s.Now().UTC()}
		o.push(b, &marker)
		out = gofakes3.ObjectDeleteResult{IsDeleteMarker: true, VersionID: gofakes3.VersionID(marker.ID)}
		return nil
	})
	return out, err
}

// DeleteMulti deletes the newest versions of many keys.
func (s *Service) DeleteMulti(ctx context.Context, bucketName string, keys ...string) (gofakes3.MultiDeleteResult, error) {
	var out gofakes3.MultiDeleteResult
	for _, key := range keys {
		if _, err := s.DeleteObject(ctx, bucketName, key); err != nil {
			refused := gofakes3.ErrorResultFromError(err)
			refused.Key = key
			out.Error = append(out.Error, refused)
			continue
		}
		out.Deleted = append(out.Deleted, gofakes3.ObjectID{Key: key})
	}
	return out, nil
}

// CopyObject copies the newest version of an object.
func (s *Service) CopyObject(ctx context.Context, fromBucket, fromKey, toBucket, toKey string, meta map[string]string) (gofakes3.CopyObjectResult, error) {
	source, err := s.GetObject(ctx, fromBucket, fromKey, nil)
	if err != nil {
		return gofakes3.CopyObjectResult{}, err
	}
	v, err := s.receive(source.Contents, source.Size)
	if err = errors.Join(err, source.Contents.Close()); err != nil {
		return gofakes3.CopyObjectResult{}, err
	}
	v.Meta = maps.Clone(meta)
	delete(v.Meta, "Last-Modified")
	if v, err = s.save(ctx, toBucket, toKey, v); err != nil {
		return gofakes3.CopyObjectResult{}, err
	}
	return gofakes3.CopyObjectResult{ETag: strconv.Quote(hex.EncodeToString(v.MD5)), LastModified: gofakes3.NewContentTime(v.Modified)}, nil
}

// SetObjectTagging implements gofakes3.ObjectTaggingBackend.
func (s *Service) SetObjectTagging(ctx context.Context, bucketName, key, tagging string) error {
	return s.changeObject(ctx, bucketName, key, func(_ *bucket, o *object) error {
		v := o.find("")
		if v == nil || v.Deleted {
			return errNoKey()
		}
		if v.Meta == nil {
			v.Meta = map[string]string{}
		}
		if v.Meta[gofakes3.TaggingMetadataKey] = tagging; tagging == "" {
			delete(v.Meta, gofakes3.TaggingMetadataKey)
		}
		return nil
	})
}

// GetObjectVersion implements gofakes3.VersionedBackend.
func (s *Service) GetObjectVersion(bucketName, key string, id gofakes3.VersionID, r *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	v, err := s.versionOf(bucketName, key, id)
	if err != nil {
		return nil, err
	}
	return s.open(key, v, r)
}

// HeadObjectVersion implements gofakes3.VersionedBackend.
func (s *Service) HeadObjectVersion(bucketName, key string, id gofakes3.VersionID) (*gofakes3.Object, error) {
	v, err := s.versionOf(bucketName, key, id)
	if err != nil {
		return nil, err
	}
	return v.head(key), nil
}

func (s *Service) versionOf(bucketName, key string, id gofakes3.VersionID) (*version, error) {
	o, _, err := s.loadObject(context.Background(), bucketName, key)
	if err != nil {
		return nil, err
	}
	if v := o.find(string(id)); v != nil {
		return v, nil
	}
	return nil, errNoVersion()
}

// DeleteObjectVersion implements gofakes3.VersionedBackend.
func (s *Service) DeleteObjectVersion(bucketName, key string, id gofakes3.VersionID) (gofakes3.ObjectDeleteResult, error) {
	return s.DeleteVersion(context.Background(), bucketName, key, string(id))
}

// DeleteVersion removes one version of a key for good. One that is not there is no error.
func (s *Service) DeleteVersion(ctx context.Context, bucketName, key, id string) (gofakes3.ObjectDeleteResult, error) {
	var out gofakes3.ObjectDeleteResult
	id = strings.TrimSuffix(id, "null")
	err := s.changeObject(ctx, bucketName, key, func(_ *bucket, o *object) error {
		out = gofakes3.ObjectDeleteResult{}
		o.Versions = slices.DeleteFunc(o.Versions, func(v version) bool {
			if v.ID != id {
				return false
			}
			out = gofakes3.ObjectDeleteResult{IsDeleteMarker: v.Deleted, VersionID: gofakes3.VersionID(id)}
			return true
		})
		return nil
	})
	return out, err
}
