package codedeploy

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"serin/internal/store"
)

// application is an application as it is kept.
type application struct {
	ID      string            `json:"id"`
	Created time.Time         `json:"created"`
	Tags    map[string]string `json:"tags,omitempty"`
}

const maxBatch = 100

func applicationName(name *string) (string, error) {
	return checkName(name, "application name", "ApplicationNameRequiredException", "InvalidApplicationNameException")
}

// application reads an application that must exist.
func (s *Service) application(ctx context.Context, given *string) (*record[application], error) {
	name, err := applicationName(given)
	if err != nil {
		return nil, err
	}
	app, err := load[application](ctx, s, kindApplication, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse("ApplicationDoesNotExistException", "No application found for name: %s", name)
	}
	return app, err
}

// CreateApplication creates an application. Serin has one compute platform, so that is also what a request without one
// gets.
func (s *Service) CreateApplication(ctx context.Context, in *codedeploy.CreateApplicationInput, _ ...func(*options)) (*codedeploy.CreateApplicationOutput, error) {
	name, err := applicationName(in.ApplicationName)
	if err != nil {
		return nil, err
	}
	if err := checkPlatform(in.ComputePlatform); err != nil {
		return nil, err
	}
	tags, err := addTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	app := fresh(application{ID: s.NewID(), Created: s.now(), Tags: tags}, kindApplication, name)
	err = s.save(ctx, app)
	if errors.Is(err, store.ErrExists) {
		return nil, refuse("ApplicationAlreadyExistsException", "An application with the name %s already exists.", name)
	}
	if err != nil {
		return nil, err
	}
	return &codedeploy.CreateApplicationOutput{ApplicationId: &app.value.ID}, nil
}

func checkPlatform(p types.ComputePlatform) error {
	switch p {
	case "", types.ComputePlatformLambda:
		return nil
	case types.ComputePlatformServer, types.ComputePlatformEcs:
		return refuse("InvalidComputePlatformException", "Serin deploys functions: the compute platform must be Lambda, not %s.", p)
	default:
		return refuse("InvalidComputePlatformException", "%s is not a compute platform.", clip(string(p)))
	}
}

func applicationInfo(app *record[application]) *types.ApplicationInfo {
	return &types.ApplicationInfo{
		ApplicationId: &app.value.ID, ApplicationName: aws.String(app.Name), ComputePlatform: types.ComputePlatformLambda, CreateTime: &app.value.Created,
	}
}

// GetApplication returns an application.
func (s *Service) GetApplication(ctx context.Context, in *codedeploy.GetApplicationInput, _ ...func(*options)) (*codedeploy.GetApplicationOutput, error) {
	app, err := s.application(ctx, in.ApplicationName)
	if err != nil {
		return nil, err
	}
	return &codedeploy.GetApplicationOutput{Application: applicationInfo(app)}, nil
}

// BatchGetApplications returns applications.
func (s *Service) BatchGetApplications(ctx context.Context, in *codedeploy.BatchGetApplicationsInput, _ ...func(*options)) (*codedeploy.BatchGetApplicationsOutput, error) {
	if err := batch(in.ApplicationNames, maxBatch, "application names"); err != nil {
		return nil, err
	}
	out := &codedeploy.BatchGetApplicationsOutput{ApplicationsInfo: []types.ApplicationInfo{}}
	for _, name := range in.ApplicationNames {
		app, err := s.application(ctx, &name)
		if err != nil {
			return nil, err
		}
		out.ApplicationsInfo = append(out.ApplicationsInfo, *applicationInfo(app))
	}
	return out, nil
}

// ListApplications lists the names of all applications.
func (s *Service) ListApplications(ctx context.Context, in *codedeploy.ListApplicationsInput, _ ...func(*options)) (*codedeploy.ListApplicationsOutput, error) {
	apps, err := all[application](ctx, s, kindApplication, "")
	if err != nil {
		return nil, err
	}
	out := &codedeploy.ListApplicationsOutput{}
	out.Applications, out.NextToken, err = page(namesOf(apps), in.NextToken, byName)
	return out, err
}

// namesOf returns the last parts of the documents' names.
func namesOf[T any](records []*record[T]) []string {
	names := make([]string, len(records))
	for i, r := range records {
		names[i] = r.Name[strings.LastIndex(r.Name, separator)+1:]
	}
	return names
}

// UpdateApplication renames an application, and with it its groups, revisions and deployments.
func (s *Service) UpdateApplication(ctx context.Context, in *codedeploy.UpdateApplicationInput, _ ...func(*options)) (*codedeploy.UpdateApplicationOutput, error) {
	to, err := applicationName(in.NewApplicationName)
	if err != nil {
		return nil, err
	}
	return &codedeploy.UpdateApplicationOutput{}, settled(ctx, func() error {
		app, err := s.application(ctx, in.ApplicationName)
		if err != nil || app.Name == to {
			return err
		}
		if _, err := load[application](ctx, s, kindApplication, to); err == nil {
			return refuse("ApplicationAlreadyExistsException", "An application with the name %s already exists.", to)
		}
		documents, err := s.renamed(ctx, app, to)
		if err != nil {
			return err
		}
		return s.Store.SaveDocuments(ctx, documents...)
	})
}

func (s *Service) renamed(ctx context.Context, app *record[application], to string) ([]store.Document, error) {
	moved := func(d store.Document, name string) []store.Document {
		gone := d
		gone.Body, d.Name, d.Revision = nil, name, 0
		return []store.Document{gone, d}
	}
	documents := moved(app.Document, to)
	for _, kind := range []string{kindGroup, kindRevision} {
		for d, err := range s.Store.Documents(ctx, kind, app.Name+separator) {
			if err != nil {
				return nil, err
			}
			documents = append(documents, moved(d, to+strings.TrimPrefix(d.Name, app.Name))...)
		}
	}
	deployments, err := all[deployment](ctx, s, kindDeployment, "")
	if err != nil {
		return nil, err
	}
	for _, d := range deployments {
		if d.value.Application != app.Name {
			continue
		}
		d.value.Application = to
		document, err := d.written()
		if err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
	return documents, nil
}

// DeleteApplication deletes an application with its groups and revisions. Its deployments go on, and stay on record. One
// that is not there is no error.
func (s *Service) DeleteApplication(ctx context.Context, in *codedeploy.DeleteApplicationInput, _ ...func(*options)) (*codedeploy.DeleteApplicationOutput, error) {
	name, err := applicationName(in.ApplicationName)
	if err != nil {
		return nil, err
	}
	return &codedeploy.DeleteApplicationOutput{}, settled(ctx, func() error {
		app, err := load[application](ctx, s, kindApplication, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		documents := []store.Document{app.deleted()}
		for _, kind := range []string{kindGroup, kindRevision} {
			for d, err := range s.Store.Documents(ctx, kind, name+separator) {
				if err != nil {
					return err
				}
				d.Body = nil
				documents = append(documents, d)
			}
		}
		return s.Store.SaveDocuments(ctx, documents...)
	})
}
