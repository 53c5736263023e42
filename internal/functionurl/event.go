package functionurl

import (
	"encoding/base64"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"serin"
)

// event is a request in payload format 2.0 (AWS documentation, 2025).
type event struct {
	Version        string            `json:"version"`
	RouteKey       string            `json:"routeKey"`
	RawPath        string            `json:"rawPath"`
	RawQueryString string            `json:"rawQueryString"`
	Cookies        []string          `json:"cookies,omitempty"`
	Headers        map[string]string `json:"headers"`
	Query          map[string]string `json:"queryStringParameters,omitempty"`
	Context        requestContext    `json:"requestContext"`
	Path           map[string]string `json:"pathParameters,omitempty"`
	Variables      map[string]string `json:"stageVariables,omitempty"`
	Body           string            `json:"body,omitempty"`
	Base64         bool              `json:"isBase64Encoded"`
}

type requestContext struct {
	AccountID    string      `json:"accountId"`
	APIID        string      `json:"apiId"`
	Authorizer   *authorizer `json:"authorizer,omitempty"`
	DomainName   string      `json:"domainName"`
	DomainPrefix string      `json:"domainPrefix"`
	HTTP         httpContext `json:"http"`
	RequestID    string      `json:"requestId"`
	RouteKey     string      `json:"routeKey"`
	Stage        string      `json:"stage"`
	Time         string      `json:"time"`
	TimeEpoch    int64       `json:"timeEpoch"` // milliseconds
}

type httpContext struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// authorizer says who signed the request.
type authorizer struct {
	IAM identity `json:"iam"`
}

type identity struct {
	AccessKey       string  `json:"accessKey"`
	AccountID       string  `json:"accountId"`
	CallerID        string  `json:"callerId"`
	CognitoIdentity *string `json:"cognitoIdentity"` // always null
	PrincipalOrgID  *string `json:"principalOrgId"`  // always null
	UserARN         string  `json:"userArn"`
	UserID          string  `json:"userId"`
}

// defaultName stands where API Gateway, whose format this is, has the names of routes and stages.
const defaultName = "$default"

// event returns the JSON of the event that a request becomes.
func (h *Handler) event(r *http.Request, x *exchange) []byte {
	now := h.Now().UTC()
	source := sourceIP(r)
	e := event{
		Version: "2.0", RouteKey: defaultName, RawPath: x.path, RawQueryString: r.URL.RawQuery,
		Cookies: cookies(r.Header), Headers: headers(r, x, source), Query: parameters(r.URL.RawQuery),
		Context: requestContext{
			AccountID: "anonymous", APIID: x.ID, DomainName: x.ID + h.domain, DomainPrefix: x.ID,
			HTTP: httpContext{
				Method: r.Method, Path: x.path, Protocol: r.Proto, SourceIP: source, UserAgent: r.UserAgent(),
			},
			RequestID: x.requestID, RouteKey: defaultName, Stage: defaultName,
			Time: now.Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: now.UnixMilli(),
		},
	}
	if x.route != nil {
		h.inAPI(&e, x)
	}
	if x.actor != "" {
		// Every key is one of the account itself.
		account := h.Place.Account
		e.Context.AccountID = account
		e.Context.Authorizer = &authorizer{identity{
			AccessKey: x.actor, AccountID: account, CallerID: account, UserID: account, UserARN: "arn:aws:iam::" + account + ":root",
		}}
	}
	if isText(r.Header) && utf8.Valid(x.body) {
		e.Body = string(x.body)
	} else if len(x.body) > 0 {
		e.Body, e.Base64 = base64.StdEncoding.EncodeToString(x.body), true
	}
	return jsonText(e)
}

func sourceIP(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}

// cookies returns the cookies of a request, as they came.
func cookies(h http.Header) []string {
	var all []string
	for _, line := range h["Cookie"] {
		for cookie := range strings.SplitSeq(line, ";") {
			if cookie = strings.TrimSpace(cookie); cookie != "" {
				all = append(all, cookie)
			}
		}
	}
	return all
}

// headers returns the headers that the function sees: those of the request but cookies and what is meant for
// the connection, with those that a front end adds. What could sign another request is kept back.
func headers(r *http.Request, x *exchange, source string) map[string]string {
	all := make(map[string]string, len(r.Header)+5)
	hop := hopByHop(r.Header)
	for name, values := range r.Header {
		if !hop[name] && name != "Cookie" {
			all[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	if x.AuthType == serin.AuthTypeIAM {
		delete(all, "authorization")
		delete(all, "x-amz-security-token")
	}
	forwarded := source
	if before := all["x-forwarded-for"]; before != "" {
		forwarded = before + ", " + source
	}
	_, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		port = "80"
	}
	all["host"] = r.Host
	all["x-forwarded-for"] = forwarded
	all["x-forwarded-port"] = port
	all["x-forwarded-proto"] = "http"
	all["x-amzn-trace-id"] = x.traceID
	return all
}

// hopByHop returns the names of the headers that are meant for one connection (RFC 9110, 7.6.1).
func hopByHop(h http.Header) map[string]bool {
	hop := map[string]bool{
		"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
		"Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	}
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			hop[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	return hop
}

// parameters returns the parameters of a query, those with several values joined by commas. What is malformed
// is left out; the raw query has it.
func parameters(raw string) map[string]string {
	if raw == "" {
		return nil
	}
	// What could be read is returned beside the error.
	query, _ := url.ParseQuery(raw)
	all := make(map[string]string, len(query))
	for name, values := range query {
		all[name] = strings.Join(values, ",")
	}
	return all
}

// isText reports whether a body is passed on as it is, and not in base64. As on API Gateway, whose rule this
// is, forms are not text.
func isText(h http.Header) bool {
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return false
	}
	// What stands before a malformed parameter is returned beside the error.
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	switch kind {
	case "application/json", "application/javascript", "application/xml":
		return true
	default:
		return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml")
	}
}
