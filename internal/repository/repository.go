// Package repository keeps the names and settings of image repositories (ECR), which deployment tools create and look for even if no
// function is an image. There is no registry behind them: no image can be pushed, and every list of images is empty.
//
// Methods carry the names and signatures of the SDK's client.
package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"serin"
	"serin/internal/store"
)

// Config is what a [Service] is made of. All of it is required.
type Config struct {
	Place serin.Place
	Store *store.Store
	Now   func() time.Time
}

// Service is safe for concurrent use.
type Service struct {
	Config
	records store.Records[repository]
}

// New returns a Service.
func New(cfg Config) *Service {
	return &Service{Config: cfg, records: store.Records[repository]{Store: cfg.Store, Kind: "ecr.repository"}}
}

// repository is a record.
type repository struct {
	Name       string            `json:"name"`
	Created    time.Time         `json:"created"`
	Mutability string            `json:"mutability"`
	ScanOnPush bool              `json:"scanOnPush,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	Policy     string            `json:"policy,omitempty"`
	Lifecycle  string            `json:"lifecycle,omitempty"`
}

const maxPolicy = 30720 // bytes

var nameForm = regexp.MustCompile(`^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-]+[a-z0-9]+)*$`)

func fault(reason, format string, args ...any) error {
	return &serin.Error{Kind: serin.KindInvalid, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func (s *Service) missing(err error, name *string) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault("RepositoryNotFoundException", "The repository with name '%.256s' does not exist in the registry with id '%s'", deref(name), s.Place.Account)
	}
	return err
}

func (s *Service) shown(r *repository) *types.Repository {
	return &types.Repository{
		CreatedAt: &r.Created, EncryptionConfiguration: &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256},
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: r.ScanOnPush}, ImageTagMutability: types.ImageTagMutability(r.Mutability),
		RegistryId: &s.Place.Account, RepositoryArn: new("arn:aws:ecr:" + s.Place.Region + ":" + s.Place.Account + ":repository/" + r.Name),
		RepositoryName: &r.Name, RepositoryUri: new(s.Place.Account + ".dkr.ecr." + s.Place.Region + ".localhost/" + r.Name),
	}
}

// CreateRepository keeps a repository.
func (s *Service) CreateRepository(ctx context.Context, in *ecr.CreateRepositoryInput, _ ...func(*ecr.Options)) (*ecr.CreateRepositoryOutput, error) {
	name := deref(in.RepositoryName)
	if len(name) < 2 || len(name) > 256 || !nameForm.MatchString(name) {
		return nil, fault("InvalidParameterException", "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression %s'", nameForm)
	}
	r := &repository{Name: name, Created: s.Now().UTC().Truncate(time.Second), Mutability: string(in.ImageTagMutability), Tags: map[string]string{}}
	if r.Mutability == "" {
		r.Mutability = string(types.ImageTagMutabilityMutable)
	}
	if in.ImageScanningConfiguration != nil {
		r.ScanOnPush = in.ImageScanningConfiguration.ScanOnPush
	}
	for _, tag := range in.Tags {
		r.Tags[deref(tag.Key)] = deref(tag.Value)
	}
	if err := s.records.Create(ctx, name, r); errors.Is(err, store.ErrExists) {
		return nil, fault("RepositoryAlreadyExistsException", "The repository with name '%s' already exists in the registry with id '%s'", name, s.Place.Account)
	} else if err != nil {
		return nil, err
	}
	return &ecr.CreateRepositoryOutput{Repository: s.shown(r)}, nil
}

// DescribeRepositories returns the repositories with the given names, or all.
func (s *Service) DescribeRepositories(ctx context.Context, in *ecr.DescribeRepositoriesInput, _ ...func(*ecr.Options)) (*ecr.DescribeRepositoriesOutput, error) {
	out := &ecr.DescribeRepositoriesOutput{Repositories: []types.Repository{}}
	for _, name := range in.RepositoryNames {
		r, err := s.records.Get(ctx, name)
		if err != nil {
			return nil, s.missing(err, &name)
		}
		out.Repositories = append(out.Repositories, *s.shown(r))
	}
	if len(in.RepositoryNames) > 0 {
		return out, nil
	}
	for r, err := range s.records.All(ctx, "") {
		if err != nil {
			return nil, err
		}
		out.Repositories = append(out.Repositories, *s.shown(r))
	}
	return out, nil
}

// DeleteRepository deletes a repository.
func (s *Service) DeleteRepository(ctx context.Context, in *ecr.DeleteRepositoryInput, _ ...func(*ecr.Options)) (*ecr.DeleteRepositoryOutput, error) {
	var last *repository
	err := s.records.Delete(ctx, deref(in.RepositoryName), func(r *repository) error {
		last = r
		return nil
	})
	if err != nil {
		return nil, s.missing(err, in.RepositoryName)
	}
	return &ecr.DeleteRepositoryOutput{Repository: s.shown(last)}, nil
}

// DescribeImages returns no images.
func (s *Service) DescribeImages(ctx context.Context, in *ecr.DescribeImagesInput, _ ...func(*ecr.Options)) (*ecr.DescribeImagesOutput, error) {
	if _, err := s.records.Get(ctx, deref(in.RepositoryName)); err != nil {
		return nil, s.missing(err, in.RepositoryName)
	}
	if len(in.ImageIds) > 0 {
		return nil, fault("ImageNotFoundException", "The image does not exist within the repository with name '%s' in the registry with id '%s': Serin keeps no images", deref(in.RepositoryName), s.Place.Account)
	}
	return &ecr.DescribeImagesOutput{ImageDetails: []types.ImageDetail{}}, nil
}

// change changes a repository.
func (s *Service) change(ctx context.Context, name *string, change func(*repository)) error {
	_, err := s.records.Change(ctx, deref(name), func(r *repository) error {
		change(r)
		return nil
	})
	return s.missing(err, name)
}

func checkPolicy(text string) error {
	var policy map[string]json.RawMessage
	if len(text) > maxPolicy || json.Unmarshal([]byte(text), &policy) != nil {
		return fault("InvalidParameterException", "Invalid parameter at 'policyText' failed to satisfy constraint: 'must be valid JSON of at most %d bytes'", maxPolicy)
	}
	return nil
}

// SetRepositoryPolicy keeps who may use a repository.
func (s *Service) SetRepositoryPolicy(ctx context.Context, in *ecr.SetRepositoryPolicyInput, _ ...func(*ecr.Options)) (*ecr.SetRepositoryPolicyOutput, error) {
	if err := checkPolicy(deref(in.PolicyText)); err != nil {
		return nil, err
	}
	err := s.change(ctx, in.RepositoryName, func(r *repository) { r.Policy = *in.PolicyText })
	return &ecr.SetRepositoryPolicyOutput{RegistryId: &s.Place.Account, RepositoryName: in.RepositoryName, PolicyText: in.PolicyText}, err
}

// GetRepositoryPolicy returns who may use a repository.
func (s *Service) GetRepositoryPolicy(ctx context.Context, in *ecr.GetRepositoryPolicyInput, _ ...func(*ecr.Options)) (*ecr.GetRepositoryPolicyOutput, error) {
	r, err := s.records.Get(ctx, deref(in.RepositoryName))
	if err != nil {
		return nil, s.missing(err, in.RepositoryName)
	}
	if r.Policy == "" {
		return nil, fault("RepositoryPolicyNotFoundException", "Repository policy does not exist for the repository with name '%s' in the registry with id '%s'", r.Name, s.Place.Account)
	}
	return &ecr.GetRepositoryPolicyOutput{RegistryId: &s.Place.Account, RepositoryName: &r.Name, PolicyText: &r.Policy}, nil
}

// PutLifecyclePolicy keeps which images expire.
func (s *Service) PutLifecyclePolicy(ctx context.Context, in *ecr.PutLifecyclePolicyInput, _ ...func(*ecr.Options)) (*ecr.PutLifecyclePolicyOutput, error) {
	if err := checkPolicy(deref(in.LifecyclePolicyText)); err != nil {
		return nil, err
	}
	err := s.change(ctx, in.RepositoryName, func(r *repository) { r.Lifecycle = *in.LifecyclePolicyText })
	return &ecr.PutLifecyclePolicyOutput{RegistryId: &s.Place.Account, RepositoryName: in.RepositoryName, LifecyclePolicyText: in.LifecyclePolicyText}, err
}

// GetLifecyclePolicy returns which images expire.
func (s *Service) GetLifecyclePolicy(ctx context.Context, in *ecr.GetLifecyclePolicyInput, _ ...func(*ecr.Options)) (*ecr.GetLifecyclePolicyOutput, error) {
	r, err := s.records.Get(ctx, deref(in.RepositoryName))
	if err != nil {
		return nil, s.missing(err, in.RepositoryName)
	}
	if r.Lifecycle == "" {
		return nil, fault("LifecyclePolicyNotFoundException", "Lifecycle policy does not exist for the repository with name '%s' in the registry with id '%s'", r.Name, s.Place.Account)
	}
	return &ecr.GetLifecyclePolicyOutput{RegistryId: &s.Place.Account, RepositoryName: &r.Name, LifecyclePolicyText: &r.Lifecycle}, nil
}

// ListTagsForResource returns the tags of a repository, which is given by its ARN.
func (s *Service) ListTagsForResource(ctx context.Context, in *ecr.ListTagsForResourceInput, _ ...func(*ecr.Options)) (*ecr.ListTagsForResourceOutput, error) {
	_, name, _ := strings.Cut(deref(in.ResourceArn), ":repository/")
	r, err := s.records.Get(ctx, name)
	if err != nil {
		return nil, s.missing(err, &name)
	}
	out := &ecr.ListTagsForResourceOutput{Tags: []types.Tag{}}
	for key, value := range r.Tags {
		out.Tags = append(out.Tags, types.Tag{Key: &key, Value: &value})
	}
	return out, nil
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
