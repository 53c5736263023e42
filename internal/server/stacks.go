package server

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/google/uuid"

	"serin"
	"serin/internal/cloudformation"
	"serin/internal/resource"
	"serin/internal/s3"
	"serin/internal/sam"
)

// buckets are what templates know of S3. Errors become those of a caller.
type buckets struct{ *s3.Service }

func (b buckets) CreateBucket(ctx context.Context, name string) error {
	err := b.Service.CreateBucket(ctx, name)
	if there, known := b.BucketExists(ctx, name); err != nil && known == nil && there {
		return serin.Errorf(serin.KindConflict, "%s already exists", name)
	}
	return refused(err)
}

func (b buckets) DeleteBucket(ctx context.Context, name string) error {
	if there, err := b.BucketExists(ctx, name); err == nil && !there {
		return nil
	}
	return refused(b.Service.DeleteBucket(ctx, name))
}

func refused(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w", serin.Errorf(serin.KindInvalid, "S3: %s", err))
}

// newStacks makes the service that deploys templates, with the resource types of the services that there are.
func (s *server) newStacks(place serin.Place) *cloudformation.Service {
	return cloudformation.New(cloudformation.Config{
		Place: place, Store: s.store, Lenient: s.LenientTemplates, Linger: 2 * time.Second, Now: time.Now, NewID: uuid.NewString, Log: s.Log,
		Transforms: map[string]func(map[string]any, map[string]string) (map[string]any, error){sam.Name: sam.Transform},
		Types: resource.New(resource.Config{
			Place: place, Lambda: s.control, Alarms: s.alarms, Parameters: s.supporting.parameters, Buckets: buckets{s.objects}, Logs: s.logsAPI,
		}),
		Object: func(ctx context.Context, bucket, key string, limit int64) ([]byte, error) {
			return s.objects.ReadObject(ctx, bucket, key, "", limit)
		},
		Parameter: func(ctx context.Context, name string) (string, error) {
			out, err := s.supporting.parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: new(true)})
			if serin.KindOf(err) != 0 {
				return "", serin.Errorf(serin.KindValidation, "Unable to fetch parameters [%s] from parameter store for this account.", name)
			}
			if err != nil {
				return "", err
			}
			return *out.Parameter.Value, nil
		},
	})
}
