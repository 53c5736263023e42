package codedeploy

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"serin"
)

// maxBundle bounds a revision in S3, in bytes.
const maxBundle = 16 << 20

// readObject returns the AppSpec file of a revision in S3: the object, or appspec.yml, .yaml or .json in it.
func (s *Service) readObject(ctx context.Context, l *types.S3Location) (*string, error) {
	if l == nil || l.Bucket == nil || l.Key == nil {
		return nil, refuse("InvalidRevisionException", "A revision in S3 needs a bucket and a key.")
	}
	if s.ReadObject == nil {
		return nil, unsupported("This server has no S3: put the AppSpec file into the request (revisionType AppSpecContent).")
	}
	data, err := s.ReadObject(ctx, *l.Bucket, *l.Key, aws.ToString(l.Version), maxBundle)
	if serin.KindOf(err) == serin.KindInvalid {
		return nil, refuse("RevisionDoesNotExistException", "The revision cannot be read from S3. %s", err.Error())
	}
	if err != nil {
		return nil, err
	}
	kind := strings.ToLower(string(l.BundleType))
	switch kind {
	case "yaml", "json":
	case "zip":
		if data, err = unzipped(data); err != nil {
			return nil, err
		}
	default:
		return nil, refuse("InvalidRevisionException", "The bundleType of a function's revision must be YAML, JSON or zip, not %s.", clip(string(l.BundleType)))
	}
	return aws.String(string(data)), nil
}

func unzipped(data []byte) ([]byte, error) {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, refuse("InvalidRevisionException", "The bundle is not a zip file.")
	}
	i := slices.IndexFunc(archive.File, func(f *zip.File) bool {
		return slices.Contains([]string{"appspec.yml", "appspec.yaml", "appspec.json"}, f.Name)
	})
	if i < 0 {
		return nil, refuse("InvalidRevisionException", "The bundle has no appspec.yml, appspec.yaml or appspec.json.")
	}
	file, err := archive.File[i].Open()
	if err != nil {
		return nil, refuse("InvalidRevisionException", "The bundle's %s cannot be read.", archive.File[i].Name)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxAppSpec+1))
	if err != nil {
		return nil, refuse("InvalidRevisionException", "The bundle's %s cannot be read.", archive.File[i].Name)
	}
	return text, nil
}
