package s3

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/rclone/gofakes3"
)

// maxUploads bounds the multipart uploads that are under way.
const maxUploads = 1000

// upload is a multipart upload under way. Its parts are files that no document names.
type upload struct {
	meta map[string]string

	mu    sync.Mutex
	ended bool
	parts map[int]version
}

// CreateMultipartUpload implements gofakes3.MultipartBackend.
func (s *Service) CreateMultipartUpload(_ context.Context, _, _ string, meta map[string]string) (gofakes3.UploadID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.uploads) >= maxUploads {
		return "", gofakes3.ErrorMessage(gofakes3.ErrSlowDown, "Too many multipart uploads are under way. Complete or abort some of them.")
	}
	id := gofakes3.UploadID(newID())
	s.uploads[id] = &upload{meta: meta, parts: map[int]version{}}
	return id, nil
}

func (s *Service) upload(id gofakes3.UploadID) (*upload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.uploads[id]
	if !ok {
		return nil, gofakes3.ErrNoSuchUpload
	}
	return u, nil
}

// UploadPart implements gofakes3.MultipartBackend.
func (s *Service) UploadPart(ctx context.Context, _, _ string, id gofakes3.UploadID, number int, size int64, body io.Reader) (string, error) {
	u, err := s.upload(id)
	if err != nil {
		return "", err
	}
	v, err := s.receive(body, size)
	if err != nil {
		return "", err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		s.remove(ctx, v.File)
		return "", gofakes3.ErrNoSuchUpload
	}
	if old, ok := u.parts[number]; ok {
		s.remove(ctx, old.File)
	}
	u.parts[number] = v
	return quoted(v.MD5), nil
}

func quoted(md5 []byte) string { return `"` + hex.EncodeToString(md5) + `"` }

// CompleteMultipartUpload makes the parts one object. Its ETag is the MD5 of all of it, as that of an object that came in one piece.
func (s *Service) CompleteMultipartUpload(ctx context.Context, bucketName, key string, id gofakes3.UploadID, in *gofakes3.CompleteMultipartUploadRequest) (gofakes3.VersionID, string, error) {
	u, err := s.upload(id)
	if err != nil {
		return "", "", err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	chosen, err := u.choose(in)
	if err != nil {
		return "", "", err
	}
	v, err := s.join(chosen)
	if err != nil {
		return "", "", err
	}
	v.Meta = u.meta
	delete(v.Meta, "Last-Modified")
	if v, err = s.save(ctx, bucketName, key, v); err != nil {
		return "", "", err
	}
	s.forget(ctx, id, u)
	return gofakes3.VersionID(v.ID), quoted(v.MD5), nil
}

// choose returns the parts that a request names, in their order.
func (u *upload) choose(in *gofakes3.CompleteMultipartUploadRequest) ([]version, error) {
	if u.ended {
		return nil, gofakes3.ErrNoSuchUpload
	}
	if len(in.Parts) == 0 {
		return nil, gofakes3.ErrMalformedXML
	}
	if !slices.IsSortedFunc(in.Parts, func(a, b gofakes3.CompletedPart) int { return a.PartNumber - b.PartNumber }) {
		return nil, gofakes3.ErrInvalidPartOrder
	}
	chosen := make([]version, len(in.Parts))
	for i, part := range in.Parts {
		v, ok := u.parts[part.PartNumber]
		if !ok || strings.Trim(part.ETag, `"`) != hex.EncodeToString(v.MD5) || i > 0 && part.PartNumber == in.Parts[i-1].PartNumber {
			return nil, gofakes3.ErrInvalidPart
		}
		chosen[i] = v
	}
	return chosen, nil
}

// join writes the parts into one file.
func (s *Service) join(parts []version) (version, error) {
	var size int64
	readers := make([]io.Reader, len(parts))
	sizes := make([]int64, len(parts))
	for i, part := range parts {
		file, err := s.files.open(part.File)
		if err != nil {
			return version{}, err
		}
		defer file.Close()
		readers[i], sizes[i] = file, part.Size
		size += part.Size
	}
	v, err := s.receive(io.MultiReader(readers...), size)
	v.Parts = sizes
	return v, err
}

// AbortMultipartUpload implements gofakes3.MultipartBackend.
func (s *Service) AbortMultipartUpload(ctx context.Context, _, _ string, id gofakes3.UploadID) error {
	u, err := s.upload(id)
	if errors.Is(err, gofakes3.ErrNoSuchUpload) {
		return nil
	}
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	s.forget(ctx, id, u)
	return nil
}

// forget ends an upload, whose lock the caller holds.
func (s *Service) forget(ctx context.Context, id gofakes3.UploadID, u *upload) {
	u.ended = true
	for _, part := range u.parts {
		s.remove(ctx, part.File)
	}
	u.parts = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploads, id)
}
