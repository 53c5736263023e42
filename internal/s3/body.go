package s3

import (
	"context"
	"errors"

	"github.com/rclone/gofakes3"

	"serin"
)

// trailerKey is how the checksum in the trailer of a request comes to the object that is written.
type trailerKey struct{}

type trailer struct {
	name  string // X-Amz-Checksum-Crc32
	value func() string
}

// WithTrailer tells the object that is written with the context about a checksum that follows its bytes: the name of the header and
// the value, which is asked for after the last byte has been read and verified.
func WithTrailer(ctx context.Context, name string, value func() string) context.Context {
	return context.WithValue(ctx, trailerKey{}, trailer{name, value})
}

func trailerOf(ctx context.Context) trailer {
	t, _ := ctx.Value(trailerKey{}).(trailer)
	return t
}

// BadDigest is the error for a body that is not what its sender says it is. A reader of a body returns it.
func BadDigest(message string) error {
	return gofakes3.ErrorMessage(gofakes3.ErrBadDigest, message)
}

// Malformed is the error for a body that is not in the coding that its headers name.
func Malformed(message string) error {
	return gofakes3.ErrorMessage(gofakes3.ErrInvalidRequest, message)
}

// plain returns the error of S3 that err is or wraps, which gofakes3 looks for without unwrapping, or else err.
func plain(err error) error {
	if e, ok := errors.AsType[gofakes3.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*serin.Error](err); ok && e.Kind == serin.KindInvalid {
		return gofakes3.ErrorMessage(gofakes3.ErrInvalidArgument, e.Message)
	}
	return err
}
