package awsapi

import (
	"net/http"

	"serin/internal/httpapi"
)

// httpAPIOperations are those of API Gateway V2.
func httpAPIOperations(a *httpapi.Service) []*operation {
	const (
		apis         = "/v2/apis"
		api          = apis + "/{ApiId}"
		integrations = api + "/integrations"
		routes       = api + "/routes"
		stages       = api + "/stages"
	)
	return []*operation{
		plainREST("CreateApi", http.MethodPost, apis, http.StatusCreated, a.CreateApi),
		plainREST("GetApis", http.MethodGet, apis, http.StatusOK, a.GetApis),
		plainREST("GetApi", http.MethodGet, api, http.StatusOK, a.GetApi),
		plainREST("DeleteApi", http.MethodDelete, api, http.StatusNoContent, a.DeleteApi),
		plainREST("CreateIntegration", http.MethodPost, integrations, http.StatusCreated, a.CreateIntegration),
		plainREST("GetIntegrations", http.MethodGet, integrations, http.StatusOK, a.GetIntegrations),
		plainREST("GetIntegration", http.MethodGet, integrations+"/{IntegrationId}", http.StatusOK, a.GetIntegration),
		plainREST("DeleteIntegration", http.MethodDelete, integrations+"/{IntegrationId}", http.StatusNoContent, a.DeleteIntegration),
		plainREST("CreateRoute", http.MethodPost, routes, http.StatusCreated, a.CreateRoute),
		plainREST("GetRoutes", http.MethodGet, routes, http.StatusOK, a.GetRoutes),
		plainREST("GetRoute", http.MethodGet, routes+"/{RouteId}", http.StatusOK, a.GetRoute),
		plainREST("DeleteRoute", http.MethodDelete, routes+"/{RouteId}", http.StatusNoContent, a.DeleteRoute),
		plainREST("CreateStage", http.MethodPost, stages, http.StatusCreated, a.CreateStage),
		plainREST("GetStages", http.MethodGet, stages, http.StatusOK, a.GetStages),
		plainREST("GetStage", http.MethodGet, stages+"/{StageName}", http.StatusOK, a.GetStage),
		plainREST("DeleteStage", http.MethodDelete, stages+"/{StageName}", http.StatusNoContent, a.DeleteStage),
		plainREST("CreateDeployment", http.MethodPost, api+"/deployments", http.StatusCreated, a.CreateDeployment),
	}
}
