package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"serin"
)

// checkFlags are the flags of ship that say what the server checks.
type checkFlags struct {
	events, requests []string
	before, after    []string
	limit            serin.Duration
}

func (c *checkFlags) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&c.events, "smoke-event", nil, "`FILE` with an event that the version must answer without an error before it gets traffic; may be repeated")
	f.StringArrayVar(&c.requests, "smoke-http", nil, "HTTP `REQUEST` like \"GET /health\" or \"GET /old 404\" that the version must answer; may be repeated")
	f.StringArrayVar(&c.before, "before-traffic", nil, "hook, a `FUNCTION` or URL, that must succeed before the version gets traffic; may be repeated")
	f.StringArrayVar(&c.after, "after-traffic", nil, "hook, a `FUNCTION` or URL, that must succeed when the version has all traffic; may be repeated")
	f.Var((*durationValue)(&c.limit), "check-timeout", "how long each of these may take (default 1m)")
}

// checks returns what the flags ask for. Files of serin.yaml are relative to its directory.
func (c *checkFlags) checks(dir string, fromProject bool) (before, after []serin.Check, err error) {
	for _, name := range c.events {
		if fromProject && !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		text, err := readFile(name, maxProjectFile)
		if err != nil {
			return nil, nil, err
		}
		if !json.Valid(text) {
			return nil, nil, usagef("%s is not JSON, or has more than %d bytes", name, maxProjectFile)
		}
		before = append(before, serin.Check{Event: text, Name: "event " + filepath.Base(name), Timeout: c.limit})
	}
	for _, request := range c.requests {
		check, err := httpCheck(request)
		if err != nil {
			return nil, nil, err
		}
		check.Timeout = c.limit
		before = append(before, check)
	}
	for _, target := range c.before {
		before = append(before, hook(target, c.limit))
	}
	for _, target := range c.after {
		after = append(after, hook(target, c.limit))
	}
	return before, after, nil
}

func hook(target string, limit serin.Duration) serin.Check {
	if strings.Contains(target, "://") {
		return serin.Check{URL: target, Timeout: limit}
	}
	return serin.Check{Function: target, Timeout: limit}
}

// httpCheck makes an event in payload format 2.0 of a request like GET /health?deep=1 200.
func httpCheck(text string) (serin.Check, error) {
	fields := strings.Fields(text)
	if len(fields) == 1 {
		fields = []string{http.MethodGet, fields[0]}
	}
	if len(fields) == 2 {
		fields = append(fields, strconv.Itoa(http.StatusOK))
	}
	bad := usagef("smoke-http: %.100q is not like \"GET /health\" or \"GET /old 404\"", text)
	if len(fields) != 3 {
		return serin.Check{}, bad
	}
	method, target := strings.ToUpper(fields[0]), fields[1]
	status, err := strconv.Atoi(fields[2])
	u, wrong := url.ParseRequestURI(target)
	if err != nil || wrong != nil || u.Host != "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return serin.Check{}, bad
	}
	query := map[string]string{}
	for name, values := range u.Query() {
		query[name] = strings.Join(values, ",")
	}
	event, err := json.Marshal(map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": u.EscapedPath(), "rawQueryString": u.RawQuery,
		"headers": map[string]string{"host": "smoke.serin", "user-agent": "serin-smoke"}, "queryStringParameters": query,
		"requestContext": map[string]any{
			"http": map[string]string{
				"method": method, "path": u.EscapedPath(), "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "serin-smoke",
			},
			"requestId": "serin-smoke", "stage": "$default", "timeEpoch": time.Now().UnixMilli(),
		},
		"isBase64Encoded": false,
	})
	name := method + " " + target
	if status != http.StatusOK {
		name += " " + fields[2]
	}
	return serin.Check{Event: event, Status: status, Name: name}, err
}

// checkLine tells how a check went.
func checkLine(c *serin.CheckRun) string {
	if !c.Passed {
		return fmt.Sprintf("✖ check failed: %s: %s", clean(c.Name), clean(c.Detail))
	}
	return fmt.Sprintf("✔ check passed in %s: %s", seconds(c.EndedAt.Sub(c.StartedAt).Seconds()), clean(c.Name))
}

func failedCheck(runs []serin.CheckRun) bool { return slices.ContainsFunc(runs, serin.CheckRun.Failed) }
