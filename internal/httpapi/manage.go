package httpapi

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	apigw "github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"

	"serin"
	"serin/internal/store"
)

// CreateApi makes an API. With a target it gets a route for everything to that function, and a stage.
func (s *Service) CreateApi(ctx context.Context, in *apigw.CreateApiInput, _ ...func(*apigw.Options)) (*apigw.CreateApiOutput, error) { //nolint:revive // AWS's spelling
	now := s.Now().UTC().Truncate(time.Second)
	a := &api{
		ID: newID(), Name: deref(in.Name), Description: deref(in.Description), Version: deref(in.Version), Disabled: deref(in.DisableExecuteApiEndpoint), Tags: in.Tags, Created: now,
		Routing: Routing{Routes: map[string]route{}, Integrations: map[string]integration{}}, Stages: map[string]*stage{}, Deployments: map[string]deployment{},
	}
	var err error
	switch {
	case a.Name == "" || len(a.Name) > 128:
		return nil, bad("The Name must have 1 to 128 characters.")
	case in.ProtocolType != types.ProtocolTypeHttp:
		return nil, fault(serin.KindNotImplemented, "", "Serin does not have APIs of the protocol type %.20s: HTTP is the one that it has.", in.ProtocolType)
	}
	if a.CORS, err = corsOf(in.CorsConfiguration); err != nil {
		return nil, err
	}
	if in.Target != nil {
		if _, _, err := s.functionOf(*in.Target, nil); err != nil {
			return nil, err
		}
		key := defaultName
		if in.RouteKey != nil {
			key = *in.RouteKey
		}
		if err := checkRouteKey(key); err != nil {
			return nil, err
		}
		i := newID()
		a.Integrations[i] = integration{URI: *in.Target, Timeout: defaultTimeout}
		a.Routes[newID()] = route{Key: key, Target: "integrations/" + i}
		a.Stages[defaultName] = &stage{AutoDeploy: true, Created: now, Updated: now}
	}
	if err := s.records.Create(ctx, a.ID, a); err != nil {
		return nil, err
	}
	shown := s.shown(a)
	return &apigw.CreateApiOutput{
		ApiId: shown.ApiId, Name: shown.Name, ProtocolType: shown.ProtocolType, RouteSelectionExpression: shown.RouteSelectionExpression, ApiEndpoint: shown.ApiEndpoint,
		ApiKeySelectionExpression: shown.ApiKeySelectionExpression, CreatedDate: shown.CreatedDate, DisableExecuteApiEndpoint: shown.DisableExecuteApiEndpoint,
		IpAddressType: shown.IpAddressType, Tags: shown.Tags, CorsConfiguration: shown.CorsConfiguration, Description: shown.Description, Version: shown.Version,
	}, nil
}

// GetApi returns an API.
func (s *Service) GetApi(ctx context.Context, in *apigw.GetApiInput, _ ...func(*apigw.Options)) (*apigw.GetApiOutput, error) { //nolint:revive // AWS's spelling
	a, err := s.load(ctx, in.ApiId)
	if err != nil {
		return nil, err
	}
	shown := s.shown(a)
	return &apigw.GetApiOutput{
		ApiId: shown.ApiId, Name: shown.Name, ProtocolType: shown.ProtocolType, RouteSelectionExpression: shown.RouteSelectionExpression, ApiEndpoint: shown.ApiEndpoint,
		ApiKeySelectionExpression: shown.ApiKeySelectionExpression, CreatedDate: shown.CreatedDate, DisableExecuteApiEndpoint: shown.DisableExecuteApiEndpoint,
		IpAddressType: shown.IpAddressType, Tags: shown.Tags, CorsConfiguration: shown.CorsConfiguration, Description: shown.Description, Version: shown.Version,
	}, nil
}

// GetApis returns all APIs, in one page.
func (s *Service) GetApis(ctx context.Context, _ *apigw.GetApisInput, _ ...func(*apigw.Options)) (*apigw.GetApisOutput, error) {
	out := &apigw.GetApisOutput{Items: []types.Api{}}
	for a, err := range s.records.All(ctx, "") {
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, s.shown(a))
	}
	return out, nil
}

// DeleteApi deletes an API with all that belongs to it.
func (s *Service) DeleteApi(ctx context.Context, in *apigw.DeleteApiInput, _ ...func(*apigw.Options)) (*apigw.DeleteApiOutput, error) { //nolint:revive // AWS's spelling
	err := s.records.Delete(ctx, deref(in.ApiId), nil)
	if errors.Is(err, store.ErrNotFound) {
		return nil, missing("API", deref(in.ApiId))
	}
	return &apigw.DeleteApiOutput{}, err
}

// CreateIntegration lets an API invoke a function.
func (s *Service) CreateIntegration(ctx context.Context, in *apigw.CreateIntegrationInput, _ ...func(*apigw.Options)) (*apigw.CreateIntegrationOutput, error) {
	switch {
	case in.IntegrationType != types.IntegrationTypeAwsProxy || in.IntegrationSubtype != nil:
		return nil, fault(serin.KindNotImplemented, "", "Serin does not have integrations of the type %.40s: AWS_PROXY with a function is the one that it has.", in.IntegrationType)
	case in.PayloadFormatVersion != nil && *in.PayloadFormatVersion != "2.0":
		return nil, fault(serin.KindNotImplemented, "", "Serin does not have the payload format version %.10s: 2.0 is the one that it has.", *in.PayloadFormatVersion)
	case in.TimeoutInMillis != nil && (*in.TimeoutInMillis < 50 || *in.TimeoutInMillis > defaultTimeout):
		return nil, bad("Timeout should be between 50 ms and %d ms", defaultTimeout)
	}
	uri := deref(in.IntegrationUri)
	if !stageVariable.MatchString(uri) {
		if _, _, err := s.functionOf(uri, nil); err != nil {
			return nil, err
		}
	}
	id, made := newID(), integration{URI: uri, Description: deref(in.Description), Timeout: defaultTimeout}
	if in.TimeoutInMillis != nil {
		made.Timeout = *in.TimeoutInMillis
	}
	err := s.change(ctx, in.ApiId, func(a *api) error {
		if a.Integrations[id] = made; len(a.Integrations) > maxRoutes {
			return fault(serin.KindConflict, "TooManyRequestsException", "An API has at most %d integrations.", maxRoutes)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	shown := made.shown(id)
	return &apigw.CreateIntegrationOutput{
		IntegrationId: shown.IntegrationId, IntegrationType: shown.IntegrationType, IntegrationUri: shown.IntegrationUri, IntegrationMethod: shown.IntegrationMethod,
		ConnectionType: shown.ConnectionType, PayloadFormatVersion: shown.PayloadFormatVersion, TimeoutInMillis: shown.TimeoutInMillis, Description: shown.Description,
	}, nil
}

func (i integration) shown(id string) types.Integration {
	out := types.Integration{
		IntegrationId: &id, IntegrationType: types.IntegrationTypeAwsProxy, IntegrationUri: &i.URI, IntegrationMethod: new("POST"),
		ConnectionType: types.ConnectionTypeInternet, PayloadFormatVersion: new("2.0"), TimeoutInMillis: &i.Timeout,
	}
	if i.Description != "" {
		out.Description = &i.Description
	}
	return out
}

// GetIntegration returns an integration.
func (s *Service) GetIntegration(ctx context.Context, in *apigw.GetIntegrationInput, _ ...func(*apigw.Options)) (*apigw.GetIntegrationOutput, error) {
	a, err := s.load(ctx, in.ApiId)
	if err != nil {
		return nil, err
	}
	i, ok := a.Integrations[deref(in.IntegrationId)]
	if !ok {
		return nil, missing("Integration", deref(in.IntegrationId))
	}
	shown := i.shown(*in.IntegrationId)
	return &apigw.GetIntegrationOutput{
		IntegrationId: shown.IntegrationId, IntegrationType: shown.IntegrationType, IntegrationUri: shown.IntegrationUri, IntegrationMethod: shown.IntegrationMethod,
		ConnectionType: shown.ConnectionType, PayloadFormatVersion: shown.PayloadFormatVersion, TimeoutInMillis: shown.TimeoutInMillis, Description: shown.Description,
	}, nil
}

// GetIntegrations returns the integrations of an API.
func (s *Service) GetIntegrations(ctx context.Context, in *apigw.GetIntegrationsInput, _ ...func(*apigw.Options)) (*apigw.GetIntegrationsOutput, error) {
	a, err := s.load(ctx, in.ApiId)
	if err != nil {
		return nil, err
	}
	out := &apigw.GetIntegrationsOutput{Items: []types.Integration{}}
	for _, id := range slices.Sorted(maps.Keys(a.Integrations)) {
		out.Items = append(out.Items, a.Integrations[id].shown(id))
	}
	return out, nil
}

// DeleteIntegration deletes an integration that no route uses.
func (s *Service) DeleteIntegration(ctx context.Context, in *apigw.DeleteIntegrationInput, _ ...func(*apigw.Options)) (*apigw.DeleteIntegrationOutput, error) {
	id := deref(in.IntegrationId)
	err := s.change(ctx, in.ApiId, func(a *api) error {
		if _, ok := a.Integrations[id]; !ok {
			return missing("Integration", id)
		}
		for _, r := range a.Routes {
			if r.Target == "integrations/"+id {
				return fault(serin.KindConflict, "ConflictException", "Cannot delete Integration '%s' because it is referenced by Route '%s'.", id, r.Key)
			}
		}
		delete(a.Integrations, id)
		return nil
	})
	return &apigw.DeleteIntegrationOutput{}, err
}

// CreateRoute adds a route to an API.
func (s *Service) CreateRoute(ctx context.Context, in *apigw.CreateRouteInput, _ ...func(*apigw.Options)) (*apigw.CreateRouteOutput, error) {
	key := deref(in.RouteKey)
	if err := checkRouteKey(key); err != nil {
		return nil, err
	}
	if in.AuthorizerId != nil || in.AuthorizationType != "" && in.AuthorizationType != types.AuthorizationTypeNone {
		return nil, fault(serin.KindNotImplemented, "", "Serin does not have authorizers of HTTP APIs: AuthorizationType %.20s.", in.AuthorizationType)
	}
	id, made := newID(), route{Key: key, Target: deref(in.Target), Operation: deref(in.OperationName)}
	err := s.change(ctx, in.ApiId, func(a *api) error {
		for _, r := range a.Routes {
			if r.Key == key {
				return fault(serin.KindConflict, "ConflictException", "Route with key %s already exists for this API", key)
			}
		}
		if made.Target != "" {
			if _, ok := a.Integrations[strings.TrimPrefix(made.Target, "integrations/")]; !ok {
				return missing("Integration", made.Target)
			}
		}
		if a.Routes[id] = made; len(a.Routes) > maxRoutes {
			return fault(serin.KindConflict, "TooManyRequestsException", "An API has at most %d routes.", maxRoutes)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	shown := made.shown(id)
	return &apigw.CreateRouteOutput{
		RouteId: shown.RouteId, RouteKey: shown.RouteKey, Target: shown.Target, AuthorizationType: shown.AuthorizationType, ApiKeyRequired: shown.ApiKeyRequired, OperationName: shown.OperationName,
	}, nil
}

func (r route) shown(id string) types.Route {
	out := types.Route{RouteId: &id, RouteKey: &r.Key, AuthorizationType: types.AuthorizationTypeNone, ApiKeyRequired: new(false)}
	if r.Target != "" {
		out.Target = &r.Target
	}
	if r.Operation != "" {
		out.OperationName = &r.Operation
	}
	return out
}

// GetRoute returns a route.
func (s *Service) GetRoute(ctx context.Context, in *apigw.GetRouteInput, _ ...func(*apigw.Options)) (*apigw.GetRouteOutput, error) {
	a, err := s.load(ctx, in.ApiId)
	if err != nil {
		return nil, err
	}
	r, ok := a.Routes[deref(in.RouteId)]
	if !ok {
		return nil, missing("Route", deref(in.RouteId))
	}
	shown := r.shown(*in.RouteId)
	return &apigw.GetRouteOutput{
		RouteId: shown.RouteId, RouteKey: shown.RouteKey, Target: shown.Target, AuthorizationType: shown.AuthorizationType, ApiKeyRequired: shown.ApiKeyRequired, OperationName: shown.OperationName,
	}, nil
}

// GetRoutes returns the routes of an API.
func (s *Service) GetRoutes(ctx context.Context, in *apigw.GetRoutesInput, _ ...func(*apigw.Options)) (*apigw.GetRoutesOutput, error) {
	a, err := s.load(ctx, in.ApiId)
	if err != nil {
		return nil, err
	}
	out := &apigw.GetRoutesOutput{Items: []types.Route{}}
	for _, id := range slices.Sorted(maps.Keys(a.Routes)) {
		out.Items = append(out.Items, a.Routes[id].shown(id))
	}
	return out, nil
}

// DeleteRoute deletes a route.
func (s *Service) DeleteRoute(ctx context.Context, in *apigw.DeleteRouteInput, _ ...func(*apigw.Options)) (*apigw.DeleteRouteOutput, error) {
	err := s.change(ctx, in.ApiId, func(a *api) error {
		if _, ok := a.Routes[deref(in.RouteId)]; !ok {
			return missing("Route", deref(in.RouteId))
		}
		delete(a.Routes, *in.RouteId)
		return nil
	})
	return &apigw.DeleteRouteOutput{}, err
}
