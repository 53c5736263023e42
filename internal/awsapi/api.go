package awsapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/google/uuid"

	"serin"
	"serin/internal/cloudformation"
	"serin/internal/httpapi"
	"serin/internal/identity"
	"serin/internal/parameter"
	"serin/internal/repository"
)

const headerRequestID = "X-Amzn-Requestid"

// headerWarning carries what [serin.Warn] says; no AWS client minds it.
const headerWarning = "X-Serin-Warning"

// Config is what an [API] is made of. All of it is required but CloudWatch and what follows it.
type Config struct {
	// Auth decides who may call.
	Auth *Authenticator
	// Lambda serves the control plane.
	Lambda Lambda
	// Invoke serves the data plane. Its errors are those of the request ([serin.Error]); a function that
	// failed is a response.
	Invoke func(context.Context, InvokeRequest) (InvokeResponse, error)
	// CloudWatch serves the operations on metrics; without it they are not implemented.
	CloudWatch CloudWatch
	// HTTPAPIs serves API Gateway V2.
	HTTPAPIs *httpapi.Service
	// CodeDeploy serves deployments; without it they are not implemented.
	CodeDeploy CodeDeploy
	// Parameters, Identity and Repositories serve SSM, STS and IAM, and ECR; what is missing is not implemented.
	Parameters   *parameter.Service
	Identity     *identity.Service
	Repositories *repository.Service
	// Alarms serves the operations on alarms of the same service; without it they are not implemented.
	Alarms Alarms
	// CloudFormation serves the operations on stacks; without it they are not implemented.
	CloudFormation *cloudformation.Service
	// Logs serves the operations of CloudWatch Logs; without it they are not implemented.
	Logs Logs
	// S3 serves requests to S3, in path style, that have been authenticated; without it they are for no operation.
	S3 http.Handler
	// Log gets the cause of every error that the caller is not told.
	Log *slog.Logger
}

// API serves the AWS APIs. It is an [http.Handler] for every path that is not the server's own.
type API struct {
	auth     *Authenticator
	lambda   Lambda
	invoke   func(context.Context, InvokeRequest) (InvokeResponse, error)
	log      *slog.Logger
	routes   *route
	services []*service
	s3       http.Handler
}

// New makes an API.
func New(cfg Config) *API {
	a := &API{auth: cfg.Auth, lambda: cfg.Lambda, invoke: cfg.Invoke, log: cfg.Log, s3: cfg.S3}
	a.routes = newRoutes(a.lambdaOperations())
	if cfg.HTTPAPIs != nil {
		for _, op := range httpAPIOperations(cfg.HTTPAPIs) {
			a.routes.add(op)
		}
	}
	if cfg.CloudWatch != nil {
		a.services = append(a.services, newCloudWatch(cfg.CloudWatch, cfg.Alarms))
	}
	if cfg.CodeDeploy != nil {
		a.services = append(a.services, newCodeDeploy(cfg.CodeDeploy))
	}
	if cfg.Parameters != nil {
		a.services = append(a.services, newSSM(cfg.Parameters))
	}
	if cfg.Identity != nil {
		a.services = append(a.services, newSTS(cfg.Identity), newIAM(cfg.Identity))
	}
	if cfg.Repositories != nil {
		a.services = append(a.services, newECR(cfg.Repositories))
	}
	if cfg.CloudFormation != nil {
		a.services = append(a.services, newCloudFormation(cfg.CloudFormation))
	}
	if cfg.Logs != nil {
		a.services = append(a.services, newLogs(cfg.Logs))
	}
	return a
}

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := call{requestID: uuid.NewString()}
	w.Header().Set(headerRequestID, c.requestID)
	if a.s3 != nil {
		if bucket, ok := a.s3Target(r); ok {
			a.serveS3(w, r, bucket, c.requestID)
			return
		}
	}
	proto := protocolOf(r)
	if err := a.serve(w, r, proto, &c); err != nil {
		a.fail(w, r, proto, &c, err)
	}
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, proto protocol, c *call) error {
	var err error
	if c.query, err = queryOf(r.URL); err != nil {
		return err
	}
	limit := bodyLimit{bytes: maxOtherBody}
	if proto == awsQuery && signedService(r, c.query) == "cloudformation" {
		limit.bytes = maxTemplateBody
	}
	var op *operation
	if proto == restJSON {
		if op, c.labels = a.routes.find(r.Method, r.URL.EscapedPath(), c.query); op != nil {
			limit = op.limit
		}
	}
	actor, body, err := a.auth.authenticate(r, c.query, limit)
	if err != nil {
		return err
	}
	if op == nil && proto == restJSON {
		return frontEndError("UnknownOperationException", http.StatusNotFound, "No operation has this method and path.")
	}
	c.body = body
	ctx := serin.WithActor(r.Context(), a.auth.nameOf(r, actor))
	if session, ok := a.auth.sessionOf(r, actor); ok {
		ctx = identity.WithSession(ctx, session)
	}
	ctx = serin.WithWarnings(ctx, func(text string) { w.Header().Add(headerWarning, text) })
	if header := r.Header.Get(serin.HeaderProvenance); header != "" {
		p, err := serin.ParseProvenance(header)
		if err != nil {
			return err
		}
		ctx = serin.WithProvenance(ctx, p)
	}
	r = r.WithContext(ctx)
	if proto != restJSON {
		return a.serveRPC(w, r, proto, c)
	}
	return op.serve(w, r, c)
}

// fail answers with an error and logs what the caller does not learn from it.
func (a *API) fail(w http.ResponseWriter, r *http.Request, proto protocol, c *call, err error) {
	e := asWireError(err, c.requestID)
	if e.cause != nil {
		err = e.cause
	}
	switch {
	case r.Context().Err() != nil:
		a.log.DebugContext(r.Context(), "the caller went away", "request_id", c.requestID, "path", r.URL.Path, "error", err)
	case e.name == exceptions[serin.KindInternal].name, e.cause != nil:
		a.log.ErrorContext(r.Context(), "request failed", "request_id", c.requestID, "method", r.Method, "path", r.URL.Path, "error", err)
	default:
	}
	proto.writeError(w, r, e, c.requestID)
}

// queryOf parses the query of a request, once for everybody.
func queryOf(u *url.URL) (url.Values, error) {
	if u.RawQuery == "" {
		return nil, nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, serin.Errorf(serin.KindValidation, "The query string of the request is malformed.")
	}
	return query, nil
}
