// Package httpapi keeps HTTP APIs (API Gateway V2): routes in front of functions, versions and aliases, and finds the route of a request.
//
// An API is one document of the store with its routes, integrations, stages and deployments, so that every change of it is one transaction
// and every request sees one state of it. A stage with automatic deployment serves the routes as they are; another one serves those of
// the deployment that it names.
//
// Management methods carry the names and signatures of the SDK's client. What serves requests is internal/functionurl, whose events and
// answers are the same.
package httpapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"

	"serin"
	"serin/internal/store"
)

// Limits of AWS.
const (
	maxRoutes      = 300
	maxStages      = 10
	maxDeployments = 100
	defaultName    = "$default"
	defaultTimeout = 30000 // milliseconds
)

// Config is what a [Service] is made of. All of it is required.
type Config struct {
	Place serin.Place
	Store *store.Store
	// Endpoint returns the address of an API.
	Endpoint func(id string) string
	Now      func() time.Time
}

// Service is safe for concurrent use.
type Service struct {
	Config
	records store.Records[api]
}

// New returns a Service.
func New(cfg Config) *Service {
	return &Service{Config: cfg, records: store.Records[api]{Store: cfg.Store, Kind: "apigateway.http"}}
}

// api is a record.
type api struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Version     string            `json:"version,omitempty"`
	Disabled    bool              `json:"disabled,omitempty"`
	CORS        *serin.CORS       `json:"cors,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Created     time.Time         `json:"created"`

	Routing

	Stages      map[string]*stage     `json:"stages"`
	Deployments map[string]deployment `json:"deployments"`
}

// Routing is what an API does with requests.
type Routing struct {
	Routes       map[string]route       `json:"routes"`
	Integrations map[string]integration `json:"integrations"`
}

type route struct {
	Key       string `json:"key"`    // GET /orders/{id}, ANY /{proxy+}, $default
	Target    string `json:"target"` // integrations/ID
	Operation string `json:"operation,omitempty"`
}

type integration struct {
	URI         string `json:"uri"`
	Description string `json:"description,omitempty"`
	Timeout     int32  `json:"timeout"` // milliseconds
}

type stage struct {
	AutoDeploy  bool              `json:"autoDeploy"`
	Deployment  string            `json:"deployment,omitempty"`
	Description string            `json:"description,omitempty"`
	Variables   map[string]string `json:"variables,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Created     time.Time         `json:"created"`
	Updated     time.Time         `json:"updated"`
}

type deployment struct {
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created"`

	Routing
}

func fault(kind serin.Kind, reason, format string, args ...any) error {
	return &serin.Error{Kind: kind, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func bad(format string, args ...any) error {
	return fault(serin.KindInvalid, "BadRequestException", format, args...)
}

func missing(what, id string) error {
	return fault(serin.KindNotFound, "NotFoundException", "Invalid %s identifier specified %.100s", what, id)
}

// newID returns an id in the form of API Gateway's.
func newID() string { return strings.ToLower(rand.Text()[:10]) }

func (s *Service) load(ctx context.Context, id *string) (*api, error) {
	a, err := s.records.Get(ctx, deref(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, missing("API", deref(id))
	}
	return a, err
}

func (s *Service) change(ctx context.Context, id *string, change func(*api) error) error {
	_, err := s.records.Change(ctx, deref(id), change)
	if errors.Is(err, store.ErrNotFound) {
		return missing("API", deref(id))
	}
	return err
}

var (
	segmentForm = regexp.MustCompile(`^[A-Za-z0-9\-._~%!$&'()*+,;=:@]*$`)
	labelForm   = regexp.MustCompile(`^\{[A-Za-z0-9._:\-]+\+?\}$`)
	methods     = []string{"ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
)

// checkRouteKey checks METHOD /path, of which a segment may be {label} and the last one {label+}.
func checkRouteKey(key string) error {
	if key == defaultName {
		return nil
	}
	method, path, ok := strings.Cut(key, " ")
	if !ok || !slices.Contains(methods, method) || !strings.HasPrefix(path, "/") || len(key) > 1024 {
		return bad("The provided route key is not formatted properly for HTTP protocol. Format should be \"<HTTP METHOD> /<RESOURCE PATH>\" or \"$default\"")
	}
	if path == "/" {
		return nil
	}
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		label := labelForm.MatchString(segment)
		greedy := strings.HasSuffix(segment, "+}")
		if !label && !segmentForm.MatchString(segment) || segment == "" && i < len(segments)-1 {
			return bad("The provided route key is not valid: %.100q is no segment of a path.", segment)
		}
		if label && greedy && i < len(segments)-1 {
			return bad("The provided route key is not valid: {proxy+} must be the last segment.")
		}
	}
	return nil
}

// Match is a route that a request takes.
type Match struct {
	API        string
	Name       string // the function
	Qualifier  string
	RouteKey   string
	Stage      string
	Parameters map[string]string // of the path
	Variables  map[string]string // of the stage
	CORS       *serin.CORS
	Timeout    time.Duration
}

// ErrNoRoute says that an API has no route for a request.
var ErrNoRoute = errors.New("no route")

// CORSOf returns the CORS settings of an API.
//
// Errors: store.ErrNotFound.
func (s *Service) CORSOf(ctx context.Context, id string) (*serin.CORS, error) {
	a, err := s.records.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return a.CORS, nil
}

// Match finds the route of a request. The first segment of the path may name a stage.
//
// Errors: store.ErrNotFound if there is no such API, [ErrNoRoute].
func (s *Service) Match(ctx context.Context, id, method, path string) (Match, error) {
	a, err := s.records.Get(ctx, id)
	if err != nil {
		return Match{}, err
	}
	if a.Disabled {
		return Match{}, fmt.Errorf("API %s is disabled: %w", id, store.ErrNotFound)
	}
	name, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if st := a.Stages[name]; st != nil && name != defaultName {
		return s.matchStage(a, name, st, method, "/"+rest)
	}
	if st := a.Stages[defaultName]; st != nil {
		return s.matchStage(a, defaultName, st, method, path)
	}
	return Match{}, ErrNoRoute
}

func (s *Service) matchStage(a *api, name string, st *stage, method, path string) (Match, error) {
	routing := a.Routing
	if !st.AutoDeploy {
		routing = a.Deployments[st.Deployment].Routing
	}
	key, parameters, ok := routing.find(method, path)
	if !ok {
		return Match{}, ErrNoRoute
	}
	i, ok := routing.integrationOf(key)
	if !ok {
		return Match{}, ErrNoRoute
	}
	function, qualifier, err := s.functionOf(i.URI, st.Variables)
	if err != nil {
		return Match{}, err
	}
	return Match{
		API: a.ID, Name: function, Qualifier: qualifier, RouteKey: key, Stage: name, Parameters: parameters, Variables: st.Variables, CORS: a.CORS,
		Timeout: time.Duration(i.Timeout) * time.Millisecond,
	}, nil
}

func (r Routing) integrationOf(key string) (integration, bool) {
	for _, candidate := range r.Routes {
		if candidate.Key == key {
			i, ok := r.Integrations[strings.TrimPrefix(candidate.Target, "integrations/")]
			return i, ok
		}
	}
	return integration{}, false
}

// find returns the most specific route of a request: one with literal segments before one with labels before a greedy one, the method
// itself before ANY, and $default last.
func (r Routing) find(method, path string) (key string, parameters map[string]string, ok bool) {
	best := ""
	for _, candidate := range r.Routes {
		verb, pattern, isPath := strings.Cut(candidate.Key, " ")
		if !isPath || verb != method && verb != "ANY" {
			continue
		}
		values, rank, fits := fit(pattern, path)
		if !fits {
			continue
		}
		if verb == method {
			rank += "1"
		} else {
			rank += "0"
		}
		if best == "" || rank > best {
			best, key, parameters = rank, candidate.Key, values
		}
	}
	if best != "" {
		return key, parameters, true
	}
	for _, candidate := range r.Routes {
		if candidate.Key == defaultName {
			return defaultName, nil, true
		}
	}
	return "", nil, false
}

// fit returns the parameters of a path that fits a pattern, and a rank that compares bytewise: a digit for each segment, 3 for a literal
// one, 2 for a label, 1 for a greedy one.
func fit(pattern, path string) (parameters map[string]string, rank string, ok bool) {
	want, got := strings.Split(pattern, "/")[1:], strings.Split(path, "/")[1:]
	for i, segment := range want {
		switch {
		case i >= len(got):
			return nil, "", false
		case strings.HasSuffix(segment, "+}") && labelForm.MatchString(segment):
			rest := strings.Join(got[i:], "/")
			if rest == "" {
				return nil, "", false
			}
			return with(parameters, segment[1:len(segment)-2], rest), rank + "1", true
		case labelForm.MatchString(segment):
			if got[i] == "" {
				return nil, "", false
			}
			parameters, rank = with(parameters, segment[1:len(segment)-1], got[i]), rank+"2"
		case segment != got[i]:
			return nil, "", false
		default:
			rank += "3"
		}
	}
	return parameters, rank, len(want) == len(got)
}

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

var stageVariable = regexp.MustCompile(`\$\{stageVariables\.([A-Za-z0-9_]+)\}`)

// functionOf returns the function that an integration invokes: an ARN of Lambda, or one of API Gateway with such an ARN in it.
func (s *Service) functionOf(uri string, variables map[string]string) (name, qualifier string, err error) {
	for _, v := range stageVariable.FindAllStringSubmatch(uri, -1) {
		value, ok := variables[v[1]]
		if !ok {
			return "", "", bad("Invalid Integration URI: the stage has no variable %.100s.", v[1])
		}
		uri = strings.Replace(uri, v[0], value, 1)
	}
	if _, rest, ok := strings.Cut(uri, ":lambda:path/2015-03-31/functions/"); ok {
		uri = strings.TrimSuffix(rest, "/invocations")
	}
	if !strings.HasPrefix(uri, "arn:aws:lambda:") {
		return "", "", bad("Invalid Integration URI: Serin integrates functions alone, by their ARN.")
	}
	r, err := s.Place.ParseRef(uri, "")
	if err != nil {
		return "", "", bad("Invalid Integration URI: %.200s", uri)
	}
	return r.Function, r.Qualifier, nil
}

func (s *Service) shown(a *api) types.Api {
	out := types.Api{
		ApiId: &a.ID, Name: &a.Name, ProtocolType: types.ProtocolTypeHttp, RouteSelectionExpression: new("$request.method $request.path"),
		ApiEndpoint: new(strings.TrimSuffix(s.Endpoint(a.ID), "/")), ApiKeySelectionExpression: new("$request.header.x-api-key"), CreatedDate: &a.Created,
		DisableExecuteApiEndpoint: &a.Disabled, IpAddressType: types.IpAddressTypeIpv4, Tags: maps.Clone(a.Tags), CorsConfiguration: shownCORS(a.CORS),
	}
	if a.Description != "" {
		out.Description = &a.Description
	}
	if a.Version != "" {
		out.Version = &a.Version
	}
	if out.Tags == nil {
		out.Tags = map[string]string{}
	}
	return out
}

func shownCORS(c *serin.CORS) *types.Cors {
	if c == nil {
		return nil
	}
	out := &types.Cors{
		AllowCredentials: c.AllowCredentials, AllowHeaders: c.AllowHeaders, AllowMethods: c.AllowMethods, AllowOrigins: c.AllowOrigins, ExposeHeaders: c.ExposeHeaders,
	}
	if c.MaxAge != nil {
		out.MaxAge = new(int32(*c.MaxAge))
	}
	return out
}

func corsOf(c *types.Cors) (*serin.CORS, error) {
	if c == nil {
		return nil, nil
	}
	out := &serin.CORS{
		AllowCredentials: c.AllowCredentials, AllowHeaders: c.AllowHeaders, AllowMethods: c.AllowMethods, AllowOrigins: c.AllowOrigins, ExposeHeaders: c.ExposeHeaders,
	}
	if c.MaxAge != nil {
		out.MaxAge = new(int(*c.MaxAge))
	}
	if deref(c.AllowCredentials) && slices.Contains(c.AllowOrigins, "*") {
		return nil, bad("A wildcard origin is not allowed when AllowCredentials is true.")
	}
	for _, list := range [][]string{out.AllowHeaders, out.AllowMethods, out.AllowOrigins, out.ExposeHeaders} {
		for _, v := range list {
			if v == "" || len(v) > 256 || strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == ',' }) {
				return nil, bad("Invalid value in the CORS configuration: %.100q", v)
			}
		}
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
