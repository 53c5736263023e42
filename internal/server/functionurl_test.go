package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin/internal/api"
	"serin/internal/server"
)

// web answers over HTTP with what it was asked, as the request says.
const web = `
import json
def handler(event, context):
    path = event["rawPath"]
    if path == "/fail":
        raise ValueError("no")
    if path == "/plain":
        return {"version": context.function_version}
    if path == "/broken":
        return {"statusCode": 200, "body": {}}
    if path == "/unavailable":
        return {"statusCode": 503, "headers": {"x-version": context.function_version}}
    if path == "/echo":
        return {"statusCode": 201, "headers": {"content-type": "image/png"}, "body": event["body"],
                "isBase64Encoded": event["isBase64Encoded"], "cookies": ["seen=" + c for c in event.get("cookies", [])]}
    return {"statusCode": 200, "headers": {"x-version": context.function_version}, "body": json.dumps(event)}
`

// browser is an HTTP client that finds every name below localhost at the server.
func browser(r *running) *http.Client {
	_, address, _ := strings.Cut(r.Endpoint, "://")
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 20, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}}
}

type page struct {
	status int
	header http.Header
	body   string
}

// fetch sends a request, signed if secret is not empty.
func fetch(tb testing.TB, c *http.Client, key server.Ready, secret, method, url, body string, header ...string) page {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, strings.NewReader(body))
	must(tb, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	if secret != "" {
		sum := sha256.Sum256([]byte(body))
		must(tb, v4.NewSigner().SignHTTP(tb.Context(), aws.Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: secret}, req,
			hex.EncodeToString(sum[:]), "lambda", key.Region, time.Now()))
	}
	resp, err := c.Do(req)
	must(tb, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(tb, err)
	return page{resp.StatusCode, resp.Header, string(text)}
}

// byPath is the path form of a function URL.
func byPath(r *running, url string) string {
	_, host, _ := strings.Cut(url, "://")
	id, _, _ := strings.Cut(host, ".")
	return r.Endpoint + "/url/" + id + "/"
}

// open lets everybody call the URL of a qualifier.
func (r *running) open(tb testing.TB, function string, qualifier *string) {
	tb.Helper()
	r.permit(tb, &lambda.AddPermissionInput{
		FunctionName: &function, Qualifier: qualifier, StatementId: aws.String("url"), Principal: aws.String("*"),
		Action: aws.String("lambda:InvokeFunctionUrl"), FunctionUrlAuthType: types.FunctionUrlAuthTypeNone,
	})
	r.permit(tb, &lambda.AddPermissionInput{
		FunctionName: &function, Qualifier: qualifier, StatementId: aws.String("function"), Principal: aws.String("*"),
		Action: aws.String("lambda:InvokeFunction"), InvokedViaFunctionUrl: aws.Bool(true),
	})
}

func (r *running) permit(tb testing.TB, in *lambda.AddPermissionInput) {
	tb.Helper()
	_, err := r.AddPermission(tb.Context(), in)
	must(tb, err)
}

func (r *running) url(tb testing.TB, in *lambda.CreateFunctionUrlConfigInput) string {
	tb.Helper()
	out, err := r.CreateFunctionUrlConfig(tb.Context(), in)
	must(tb, err)
	return *out.FunctionUrl
}

func refusedURL(tb testing.TB, what string, p page) {
	tb.Helper()
	const text = `{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}`
	if p.status != http.StatusForbidden || p.body != text || p.header.Get("X-Amzn-Errortype") != "AccessDeniedException" {
		tb.Errorf("%s: %d %v %s", what, p.status, p.header, p.body)
	}
}

func TestFunctionURL(t *testing.T) {
	r := start(t)
	c := browser(r)
	r.create(t, "shop", web, 0)
	url := r.url(t, &lambda.CreateFunctionUrlConfigInput{
		FunctionName: aws.String("shop"), AuthType: types.FunctionUrlAuthTypeNone,
		Cors: &types.Cors{AllowOrigins: []string{"https://a.example"}, AllowMethods: []string{"GET"}},
	})
	get := func(url string, header ...string) page { return fetch(t, c, r.Ready, "", "GET", url, "", header...) }

	refusedURL(t, "no policy", get(url))
	r.permit(t, &lambda.AddPermissionInput{
		FunctionName: aws.String("shop"), StatementId: aws.String("half"), Principal: aws.String("*"),
		Action: aws.String("lambda:InvokeFunctionUrl"), FunctionUrlAuthType: types.FunctionUrlAuthTypeNone,
	})
	refusedURL(t, "half a policy", get(url))
	r.open(t, "shop", nil)
	refusedURL(t, "another id", get(strings.Replace(url, "http://", "http://x", 1)))

	for name, base := range map[string]string{"by host": url, "by path": byPath(r, url)} {
		p := get(base+"a%20b?q=1&q=2", "Cookie", "a=1; b=2", "X-Custom", "yes")
		var event struct {
			RawPath, RawQueryString string
			Cookies                 []string
			Headers                 map[string]string
			RequestContext          struct{ AccountID, DomainName, RequestID string }
		}
		if p.status != 200 || json.Unmarshal([]byte(p.body), &event) != nil {
			t.Fatalf("%s: %d %s", name, p.status, p.body)
		}
		if event.RawPath != "/a%20b" || event.RawQueryString != "q=1&q=2" || strings.Join(event.Cookies, "|") != "a=1|b=2" ||
			event.Headers["x-custom"] != "yes" || event.RequestContext.AccountID != "anonymous" ||
			!strings.HasSuffix(event.RequestContext.DomainName, ".lambda-url.us-east-1.localhost") ||
			event.RequestContext.RequestID != p.header.Get("X-Amzn-Requestid") || p.header.Get("X-Version") != "$LATEST" {
			t.Errorf("%s: %v\n%s", name, p.header, p.body)
		}
		if p := fetch(t, c, r.Ready, "", "POST", base+"echo", "\x00\xff", "Content-Type", "image/png", "Cookie", "k=v"); p.status != 201 ||
			p.body != "\x00\xff" || p.header.Get("Content-Type") != "image/png" || p.header.Get("Set-Cookie") != "seen=k=v" {
			t.Errorf("%s, base64: %d %v %q", name, p.status, p.header, p.body)
		}
		if p := get(base + "plain"); p.status != 200 || p.body != `{"version": "$LATEST"}` || p.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s, inferred: %d %v %s", name, p.status, p.header, p.body)
		}
		for _, path := range []string{"fail", "broken"} {
			if p := get(base + path); p.status != 502 || p.body != `{"Message":"Internal Server Error"}` {
				t.Errorf("%s, %s: %d %s", name, path, p.status, p.body)
			}
		}
		if p := get(base, "Origin", "https://a.example"); p.header.Get("Access-Control-Allow-Origin") != "https://a.example" || p.header.Get("Vary") != "Origin" {
			t.Errorf("%s, CORS: %v", name, p.header)
		}
		if p := fetch(t, c, r.Ready, "", "OPTIONS", base, "", "Origin", "https://a.example", "Access-Control-Request-Method", "GET"); p.status != 200 ||
			p.body != "" || p.header.Get("Access-Control-Allow-Methods") != "GET" {
			t.Errorf("%s, preflight: %d %v %s", name, p.status, p.header, p.body)
		}
		if p := fetch(t, c, r.Ready, "", "POST", base, strings.Repeat("x", 6<<20+1), "Content-Type", "text/plain"); p.status != 413 {
			t.Errorf("%s, too large: %d %s", name, p.status, p.body)
		}
	}
	// A function URL has all paths to itself, those of the server too.
	if p := get(url + "healthz"); p.header.Get("X-Version") != "$LATEST" {
		t.Errorf("/healthz of a function URL: %d %s", p.status, p.body)
	}
	_, err := r.DeleteFunctionUrlConfig(t.Context(), &lambda.DeleteFunctionUrlConfigInput{FunctionName: aws.String("shop")})
	must(t, err)
	refusedURL(t, "deleted", get(url))
}

func TestFunctionURLWithSignatures(t *testing.T) {
	for _, auth := range []string{server.AuthSigV4, server.AuthNone} {
		r := start(t, func(c *server.Config) { c.Auth = auth })
		c := browser(r)
		r.create(t, "shop", web, 0)
		url := r.url(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("shop"), AuthType: types.FunctionUrlAuthTypeAwsIam})
		for name, base := range map[string]string{"by host": url, "by path": byPath(r, url)} {
			unsigned := fetch(t, c, r.Ready, "", "GET", base, "")
			if auth == server.AuthNone {
				if unsigned.status != 200 || !strings.Contains(unsigned.body, `\"accountId\": \"anonymous\"`) && !strings.Contains(unsigned.body, `"accountId": "anonymous"`) {
					t.Errorf("%s, nobody has to sign: %d %s", name, unsigned.status, unsigned.body)
				}
				continue
			}
			refusedURL(t, name+", unsigned", unsigned)
			if p := fetch(t, c, r.Ready, "wrong", "GET", base, ""); p.status != 403 || p.header.Get("X-Amzn-Errortype") != "InvalidSignatureException" {
				t.Errorf("%s, a wrong secret: %d %v", name, p.status, p.header)
			}
			p := fetch(t, c, r.Ready, r.SecretAccessKey, "POST", base+"a?q=1", "text", "Content-Type", "text/plain")
			if p.status != 200 || !strings.Contains(p.body, `"accessKey": "`+r.AccessKeyID+`"`) || !strings.Contains(p.body, `"body": "text"`) ||
				strings.Contains(p.body, "Signature=") {
				t.Errorf("%s, signed: %d %s", name, p.status, p.body)
			}
		}
	}
}

// The weights of an alias apply to its URL, a release would count its requests, and it goes with the alias.
// counted returns the requests of each version of an alias, and the errors of all, as the server counted them.
func (r *running) counted(tb testing.TB, function, alias string) (requests map[string]int, errors int) {
	tb.Helper()
	status, err := api.NewClient(r.Endpoint, r.Region, r.AccessKeyID, r.SecretAccessKey).Status(tb.Context(), function)
	must(tb, err)
	requests = map[string]int{}
	for _, v := range status.Versions {
		for _, m := range v.Metrics {
			if m.Alias == alias {
				requests[v.Version.String()] += m.Requests
				errors += m.Errors
			}
		}
	}
	return requests, errors
}

func TestFunctionURLOfAnAlias(t *testing.T) {
	r := start(t)
	c := browser(r)
	r.create(t, "shop", web, 2)
	const weight, requests = 0.3, 400
	live := aws.String("live")
	_, err := r.CreateAlias(t.Context(), &lambda.CreateAliasInput{
		FunctionName: aws.String("shop"), Name: live, FunctionVersion: aws.String("1"),
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": weight}},
	})
	must(t, err)
	url := r.url(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("shop"), Qualifier: live, AuthType: types.FunctionUrlAuthTypeNone})
	r.open(t, "shop", nil)
	refusedURL(t, "the policy of the function is not the alias's", fetch(t, c, r.Ready, "", "GET", url, ""))
	r.open(t, "shop", live)

	seen, failed := map[string]int{}, 0
	for i := range requests {
		path, want := "", 200
		if i%10 == 0 {
			path, want = "unavailable", 503
			failed++
		}
		p := fetch(t, c, r.Ready, "", "GET", url+path, "")
		if p.status != want {
			t.Fatalf("%d %s", p.status, p.body)
		}
		seen[p.header.Get("X-Version")]++
	}
	// Five standard deviations: exceeded once in about 1.7 million runs.
	bound := 5 * math.Sqrt(requests*weight*(1-weight))
	if got := float64(seen["2"]); seen["1"]+seen["2"] != requests || math.Abs(got-requests*weight) > bound {
		t.Errorf("versions %v, want %v ± %.0f of %d for version 2", seen, requests*weight, bound, requests)
	}
	counted, errors := r.counted(t, "shop", "live")
	if !maps.Equal(counted, seen) || errors != failed {
		t.Errorf("counted %v and %d errors, want %v and %d", counted, errors, seen, failed)
	}
	// An answer that is no response is a 502 for the caller, and so an error of the version.
	if p := fetch(t, c, r.Ready, "", "GET", url+"broken", ""); p.status != http.StatusBadGateway {
		t.Errorf("an answer that is no response: %d", p.status)
	}
	if _, errors := r.counted(t, "shop", "live"); errors != failed+1 {
		t.Errorf("counted %d errors after an answer that is no response, want %d", errors, failed+1)
	}

	_, err = r.DeleteAlias(t.Context(), &lambda.DeleteAliasInput{FunctionName: aws.String("shop"), Name: live})
	must(t, err)
	refusedURL(t, "deleted alias, by host", fetch(t, c, r.Ready, "", "GET", url, ""))
	refusedURL(t, "deleted alias, by path", fetch(t, c, r.Ready, "", "GET", byPath(r, url), ""))
}

func TestFunctionURLAfterARestart(t *testing.T) {
	data := t.TempDir()
	on := func(c *server.Config) { c.Data = data }
	r := start(t, on)
	r.create(t, "shop", web, 0)
	url := r.url(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("shop"), AuthType: types.FunctionUrlAuthTypeNone})
	r.open(t, "shop", nil)
	r.stop()
	again := start(t, on)
	if p := fetch(t, browser(again), again.Ready, "", "GET", url, ""); p.status != 200 {
		t.Errorf("%d %s", p.status, p.body)
	}
}
