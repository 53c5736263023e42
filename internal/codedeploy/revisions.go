package codedeploy

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"serin"
	"serin/internal/store"
)

// revision is a revision that an application knows.
type revision struct {
	Location types.RevisionLocation    `json:"location"`
	Info     types.GenericRevisionInfo `json:"info"`
}

const (
	maxDescription   = 1000 // characters
	maxRevisionBatch = 25
)

// readRevision returns the AppSpec of a location, and its text.
func (s *Service) readRevision(ctx context.Context, location *types.RevisionLocation) (*appSpec, error) {
	if location == nil {
		return nil, refuse("RevisionRequiredException", "The revision must be specified.")
	}
	var content, sum *string
	var err error
	switch location.RevisionType {
	case types.RevisionLocationTypeAppSpecContent:
		if location.AppSpecContent != nil {
			content, sum = location.AppSpecContent.Content, location.AppSpecContent.Sha256
		}
	case types.RevisionLocationTypeString:
		if older := location.String_; older != nil { //nolint:staticcheck // deprecated, and sent all the same
			content, sum = older.Content, older.Sha256
		}
	case types.RevisionLocationTypeS3:
		if content, err = s.readObject(ctx, location.S3Location); err != nil {
			return nil, err
		}
	case types.RevisionLocationTypeGitHub:
		return nil, refuse("InvalidRevisionException", "Functions are not deployed from GitHub: put the AppSpec file into the request (revisionType AppSpecContent).")
	default:
		return nil, refuse("InvalidRevisionException", "The revisionType must be AppSpecContent, String or S3, not %s.", clip(string(location.RevisionType)))
	}
	if content == nil {
		return nil, refuse("InvalidRevisionException", "The revision has no content.")
	}
	if sum != nil && !strings.EqualFold(*sum, digest(*content)) {
		return nil, refuse("InvalidRevisionException", "The sha256 of the revision is not that of its content, which is %s.", digest(*content))
	}
	spec, err := parseAppSpec(*content)
	if e, ok := errors.AsType[*serin.Error](err); ok {
		return nil, refuse("InvalidRevisionException", "The AppSpec file cannot be read: %s.", e.Message)
	}
	return spec, err
}

// revisionKey tells revisions apart.
func revisionKey(location *types.RevisionLocation) string {
	same := *location
	content := func(text *string) *string {
		if text == nil {
			return nil
		}
		return aws.String(digest(*text))
	}
	switch {
	case same.AppSpecContent != nil:
		same.AppSpecContent = &types.AppSpecContent{Sha256: content(same.AppSpecContent.Content)}
	case same.String_ != nil: //nolint:staticcheck // deprecated, and sent all the same
		same.String_ = &types.RawString{Sha256: content(same.String_.Content)} //nolint:staticcheck // the same
	}
	text, _ := json.Marshal(same) // text and enumerations only
	return digest(string(text))
}

// used returns the record of a revision that a group has begun to use.
func (s *Service) used(ctx context.Context, application, group string, location *types.RevisionLocation, now time.Time) (*record[revision], error) {
	r, err := s.registered(ctx, application, location, now)
	if err != nil {
		return nil, err
	}
	if r.value.Info.FirstUsedTime == nil {
		r.value.Info.FirstUsedTime = &now
	}
	r.value.Info.LastUsedTime = &now
	if !slices.Contains(r.value.Info.DeploymentGroups, group) {
		r.value.Info.DeploymentGroups = append(r.value.Info.DeploymentGroups, group)
	}
	return r, nil
}

// registered returns the record of a revision, new or not.
func (s *Service) registered(ctx context.Context, application string, location *types.RevisionLocation, now time.Time) (*record[revision], error) {
	r, err := load[revision](ctx, s, kindRevision, application, revisionKey(location))
	if errors.Is(err, store.ErrNotFound) {
		return fresh(revision{Location: *location, Info: types.GenericRevisionInfo{RegisterTime: &now}}, kindRevision, application, revisionKey(location)), nil
	}
	return r, err
}

func checkDescription(text *string) error {
	if text != nil && len([]rune(*text)) > maxDescription {
		return refuse("DescriptionTooLongException", "The description is too long: at most %d characters.", maxDescription)
	}
	return nil
}

// RegisterApplicationRevision makes a revision known to an application.
func (s *Service) RegisterApplicationRevision(ctx context.Context, in *codedeploy.RegisterApplicationRevisionInput, _ ...func(*options)) (*codedeploy.RegisterApplicationRevisionOutput, error) {
	if err := checkDescription(in.Description); err != nil {
		return nil, err
	}
	if _, err := s.readRevision(ctx, in.Revision); err != nil {
		return nil, err
	}
	return &codedeploy.RegisterApplicationRevisionOutput{}, settled(ctx, func() error {
		app, err := s.application(ctx, in.ApplicationName)
		if err != nil {
			return err
		}
		r, err := s.registered(ctx, app.Name, in.Revision, s.now())
		if err != nil {
			return err
		}
		r.value.Info.Description = in.Description
		return s.save(ctx, r)
	})
}

// GetApplicationRevision returns a revision of an application.
func (s *Service) GetApplicationRevision(ctx context.Context, in *codedeploy.GetApplicationRevisionInput, _ ...func(*options)) (*codedeploy.GetApplicationRevisionOutput, error) {
	app, err := s.application(ctx, in.ApplicationName)
	if err != nil {
		return nil, err
	}
	r, err := s.revision(ctx, app.Name, in.Revision)
	if err != nil {
		return nil, err
	}
	return &codedeploy.GetApplicationRevisionOutput{ApplicationName: &app.Name, Revision: &r.value.Location, RevisionInfo: &r.value.Info}, nil
}

func (s *Service) revision(ctx context.Context, application string, location *types.RevisionLocation) (*record[revision], error) {
	if location == nil {
		return nil, refuse("RevisionRequiredException", "The revision must be specified.")
	}
	r, err := load[revision](ctx, s, kindRevision, application, revisionKey(location))
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse("RevisionDoesNotExistException", "The application %s has no such revision.", application)
	}
	return r, err
}

// BatchGetApplicationRevisions returns revisions of an application.
func (s *Service) BatchGetApplicationRevisions(ctx context.Context, in *codedeploy.BatchGetApplicationRevisionsInput, _ ...func(*options)) (*codedeploy.BatchGetApplicationRevisionsOutput, error) {
	if err := batch(in.Revisions, maxRevisionBatch, "revisions"); err != nil {
		return nil, err
	}
	app, err := s.application(ctx, in.ApplicationName)
	if err != nil {
		return nil, err
	}
	out := &codedeploy.BatchGetApplicationRevisionsOutput{ApplicationName: &app.Name, Revisions: []types.RevisionInfo{}}
	for i := range in.Revisions {
		r, err := s.revision(ctx, app.Name, &in.Revisions[i])
		if reasonOf(err) == "RevisionDoesNotExistException" {
			out.ErrorMessage = aws.String(err.Error())
			continue
		}
		if err != nil {
			return nil, err
		}
		out.Revisions = append(out.Revisions, types.RevisionInfo{RevisionLocation: &r.value.Location, GenericRevisionInfo: &r.value.Info})
	}
	return out, nil
}

// ListApplicationRevisions lists the revisions of an application.
func (s *Service) ListApplicationRevisions(ctx context.Context, in *codedeploy.ListApplicationRevisionsInput, _ ...func(*options)) (*codedeploy.ListApplicationRevisionsOutput, error) {
	app, err := s.application(ctx, in.ApplicationName)
	if err != nil {
		return nil, err
	}
	by, err := sortKey(in.SortBy)
	if err != nil {
		return nil, err
	}
	found, err := all[revision](ctx, s, kindRevision, app.Name+separator)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(found, func(a, b *record[revision]) int {
		order := aws.ToTime(by(&a.value.Info)).Compare(aws.ToTime(by(&b.value.Info)))
		if in.SortOrder == types.SortOrderDescending {
			return -order
		}
		return order
	})
	keys := []string{}
	locations := map[string]types.RevisionLocation{}
	for _, r := range found {
		deployed := r.value.Info.FirstUsedTime != nil
		if !inBucket(r.value.Location.S3Location, in) || in.Deployed == types.ListStateFilterActionInclude && !deployed || in.Deployed == types.ListStateFilterActionExclude && deployed {
			continue
		}
		keys = append(keys, r.Name)
		locations[r.Name] = r.value.Location
	}
	seen := false
	keys, next, err := page(keys, in.NextToken, func(element, token string) bool {
		after := seen
		seen = seen || element == token
		return after
	})
	if err != nil {
		return nil, err
	}
	out := &codedeploy.ListApplicationRevisionsOutput{NextToken: next, Revisions: []types.RevisionLocation{}}
	for _, key := range keys {
		out.Revisions = append(out.Revisions, locations[key])
	}
	return out, nil
}

func inBucket(l *types.S3Location, in *codedeploy.ListApplicationRevisionsInput) bool {
	return in.S3Bucket == nil || l != nil && aws.ToString(l.Bucket) == *in.S3Bucket && strings.HasPrefix(aws.ToString(l.Key), aws.ToString(in.S3KeyPrefix))
}

func sortKey(by types.ApplicationRevisionSortBy) (func(*types.GenericRevisionInfo) *time.Time, error) {
	switch by {
	case "", types.ApplicationRevisionSortByRegisterTime:
		return func(i *types.GenericRevisionInfo) *time.Time { return i.RegisterTime }, nil
	case types.ApplicationRevisionSortByFirstUsedTime:
		return func(i *types.GenericRevisionInfo) *time.Time { return i.FirstUsedTime }, nil
	case types.ApplicationRevisionSortByLastUsedTime:
		return func(i *types.GenericRevisionInfo) *time.Time { return i.LastUsedTime }, nil
	default:
		return nil, refuse("InvalidSortByException", "%s is not registerTime, firstUsedTime or lastUsedTime.", clip(string(by)))
	}
}
