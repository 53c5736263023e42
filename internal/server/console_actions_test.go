package server_test

import (
	"bytes"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

var hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// carried returns what the form on a page carries unseen.
func carried(page string) url.Values {
	form := url.Values{}
	for _, m := range hiddenInput.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&#43;", "+", "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(m[2]))
	}
	return form
}

// act fills in a form, confirms it if that is asked for, and wants to be sent somewhere.
func (v *visitor) act(path string, fields url.Values) (location string) {
	v.tb.Helper()
	form := carried(v.wants(http.StatusOK, "GET", path, nil))
	maps.Copy(form, fields)
	status, h, body := v.do("POST", path, form)
	if status == http.StatusOK {
		status, h, body = v.do("POST", path, carried(body))
	}
	if status != http.StatusSeeOther {
		v.tb.Fatalf("%s %v: %d\n%s", path, fields, status, body)
	}
	return h.Get("Location")
}

// upload sends a form with a package.
func (v *visitor) upload(path string, fields map[string]string, zip []byte) (int, string) {
	v.tb.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for name, value := range fields {
		must(v.tb, form.WriteField(name, value))
	}
	part, err := form.CreateFormFile("package", "code.zip")
	must(v.tb, err)
	_, err = part.Write(zip)
	must(v.tb, err)
	must(v.tb, form.Close())
	req, err := http.NewRequestWithContext(v.tb.Context(), http.MethodPost, v.endpoint+path, &b)
	must(v.tb, err)
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("Accept", "text/html")
	resp, err := v.http.Do(req)
	must(v.tb, err)
	defer resp.Body.Close()
	var body bytes.Buffer
	_, err = body.ReadFrom(resp.Body)
	must(v.tb, err)
	return resp.StatusCode, body.String()
}

// await returns a page when it shows something.
func (v *visitor) await(path, what string) string {
	v.tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); ; {
		body := v.wants(http.StatusOK, "GET", path, nil)
		if strings.Contains(body, what) {
			return body
		}
		select {
		case <-tick.C:
		case <-deadline:
			v.tb.Fatalf("%s never shows %q:\n%s", path, what, body)
		}
	}
}

func aliasOf(tb testing.TB, r *running, function, alias string) *lambda.GetAliasOutput {
	tb.Helper()
	a, err := r.GetAlias(tb.Context(), &lambda.GetAliasInput{FunctionName: &function, Name: &alias})
	must(tb, err)
	return a
}

// Everything that can be done in the console, from an upload to a rollback, and who did it.
func TestConsoleActions(t *testing.T) {
	needs(t, "python3")
	r := start(t)
	v := visit(t, r)
	v.login(r)
	status, body := v.upload("/console/new", map[string]string{"name": "shop", "runtime": "python3.12", "handler": "app.handler"}, zipped(t, "app.py", reporting))
	if status != http.StatusSeeOther {
		t.Fatalf("create: %d %s", status, body)
	}
	v.act("/console/functions/shop/publish", url.Values{"description": {"first"}})
	v.act("/console/functions/shop/configuration", url.Values{
		"description": {"now with cart"}, "handler": {"app.handler"}, "runtime": {"python3.12"}, "memory": {"256"}, "timeout": {"5"}, "storage": {"512"},
		"environment": {"TABLE=items\nMODE=a=b\n"},
	})
	cfg, err := r.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("shop")})
	must(t, err)
	if *cfg.MemorySize != 256 || cfg.Environment.Variables["MODE"] != "a=b" || *cfg.Description != "now with cart" {
		t.Errorf("configuration: %+v", cfg)
	}
	revision := carried(v.wants(http.StatusOK, "GET", "/console/functions/shop/configuration", nil)).Get("revision")
	if status, body := v.upload("/console/functions/shop/code", map[string]string{"revision": revision, "publish": "1", "description": "second"}, zipped(t, "app.py", reporting+"\n# 2\n")); status != http.StatusSeeOther {
		t.Fatalf("upload: %d %s", status, body)
	}
	v.act("/console/functions/shop/aliases", url.Values{"name": {"live"}, "version": {"1"}, "additional": {""}, "percent": {"0"}})
	v.act("/console/functions/shop/aliases/live", url.Values{"version": {"1"}, "additional": {"2"}, "percent": {"12.5"}})
	if a := aliasOf(t, r, "shop", "live"); *a.FunctionVersion != "1" || a.RoutingConfig.AdditionalVersionWeights["2"] != 0.125 {
		t.Errorf("alias: %+v", a)
	}
	v.act("/console/functions/shop/aliases/live", url.Values{"version": {"2"}, "additional": {""}, "percent": {"0"}})
	v.act("/console/functions/shop/aliases/live/rollback", url.Values{"reason": {"cart is broken"}})
	if a := aliasOf(t, r, "shop", "live"); *a.FunctionVersion != "1" {
		t.Errorf("after the rollback: %+v", a)
	}
	body = v.wants(http.StatusOK, "POST", "/console/functions/shop/test", url.Values{"qualifier": {"live"}, "event": {`{"a":1}`}, "do": {"invoke"}})
	if !strings.Contains(body, "succeeded") || !strings.Contains(body, "v1 ·") {
		t.Errorf("invocation: %s", body)
	}
	v.wants(http.StatusOK, "POST", "/console/functions/shop/test", url.Values{"qualifier": {"live"}, "event": {`{"saved":true}`}, "name": {"a cart"}, "do": {"save"}})
	if body := v.wants(http.StatusOK, "GET", "/console/functions/shop/test?event=a+cart", nil); !strings.Contains(body, "&#34;saved&#34;: true") {
		t.Errorf("the saved event: %s", body)
	}
	location := v.act("/console/functions/shop/ship", url.Values{"version": {"2"}, "alias": {"live"}, "pace": {"hand"}, "steps": {"5, 100"}, "maxwait": {"30m"}, "message": {"again"}})
	v.act(location+"/hold", url.Values{"reason": {"lunch"}})
	v.act(location+"/resume", nil)
	v.act(location+"/abort", url.Values{"reason": {"enough"}})
	body = v.await("/console/functions/shop", "aborted by root: enough") // the release does what it was told as soon as it can
	for _, want := range []string{"by root", "created", "configured", "uploaded", "published", "invoked", "cart is broken", "rollback", "aborted", "first", "second"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not tell of %q", want)
		}
	}
	v.wants(http.StatusOK, "GET", location, nil)
	if cert := v.wants(http.StatusOK, "GET", location+"/certificate", nil, "Accept", "text/html"); !strings.Contains(cert, `"release"`) {
		t.Errorf("certificate: %.200s", cert)
	}
	if body := v.wants(http.StatusOK, "GET", "/console/functions/shop/compare?from=1&to=2", nil); !strings.Contains(body, "Environment TABLE") || !strings.Contains(body, "256 MB") {
		t.Errorf("comparison: %s", body)
	}
}

// The resource editor takes what CloudFormation takes, and what people write who know the API.
func TestConsoleAliasResource(t *testing.T) {
	r := start(t)
	r.create(t, "MyLambdaFunction", reporting, 2)
	v := visit(t, r)
	v.login(r)
	v.act("/console/functions/MyLambdaFunction/aliases", url.Values{"name": {"prod"}, "version": {"2"}, "additional": {""}})
	const path = "/console/functions/MyLambdaFunction/aliases/prod"
	review := func(status int, resource string) string {
		form := carried(v.wants(http.StatusOK, "GET", path, nil))
		form.Set("use", "resource")
		form.Set("resource", resource)
		return v.wants(status, "POST", path, form)
	}
	list := `{"Type":"AWS::Lambda::Alias","Properties":{"FunctionName":"MyLambdaFunction","FunctionVersion":"2","Name":"prod","RoutingConfig":{"AdditionalVersionWeights":[{"FunctionVersion":"1","FunctionWeight":0.1}]}}}`
	body := review(http.StatusOK, list)
	if strings.Contains(body, "as the API has it") || !strings.Contains(body, "v2 90 %, v1 10 %") {
		t.Errorf("list form: %s", body)
	}
	asMap := strings.Replace(list, `[{"FunctionVersion":"1","FunctionWeight":0.1}]`, `{"1":0.1}`, 1)
	if body = review(http.StatusOK, asMap); !strings.Contains(body, "CloudFormation wants a list") {
		t.Errorf("map form: %s", body)
	}
	v.wants(http.StatusSeeOther, "POST", path, carried(body))
	if a := aliasOf(t, r, "MyLambdaFunction", "prod"); *a.FunctionVersion != "2" || a.RoutingConfig.AdditionalVersionWeights["1"] != 0.1 {
		t.Errorf("alias: %+v", a)
	}
	for resource, want := range map[string]string{
		"{": "", `{"Type":"AWS::Lambda::Function","Properties":{}}`: "AWS::Lambda::Alias", strings.Replace(list, "0.1", "1.5", 1): "from 0 to 1",
		strings.Replace(list, `"prod"`, `"beta"`, 1): "about", strings.Replace(asMap, `{"1":0.1}`, `{"1":0.1,"3":0.2}`, 1): "at most one",
		strings.Replace(list, `"FunctionVersion":"1"`, `"FunctionVersion":"99"`, 1): "not found",
	} {
		status, _, body := v.do("POST", path, func() url.Values {
			form := carried(v.wants(http.StatusOK, "GET", path, nil))
			form.Set("use", "resource")
			form.Set("resource", resource)
			return form
		}())
		if status < 400 || status >= 500 || !strings.Contains(body, want) {
			t.Errorf("%s: %d\n%s", resource, status, body)
		}
	}
}

// An alias that somebody else has changed while a form was open is not overwritten.
func TestConsoleConflict(t *testing.T) {
	r := start(t)
	r.create(t, "shop", reporting, 3)
	v := visit(t, r)
	v.login(r)
	v.act("/console/functions/shop/aliases", url.Values{"name": {"live"}, "version": {"1"}})
	const path = "/console/functions/shop/aliases/live"
	form := carried(v.wants(http.StatusOK, "GET", path, nil))
	rollback := carried(v.wants(http.StatusOK, "GET", path+"/rollback?to=3", nil))
	_, err := r.UpdateAlias(t.Context(), &lambda.UpdateAliasInput{FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: aws.String("2")})
	must(t, err)
	form.Set("version", "3")
	form.Set("confirm", "yes")
	for what, body := range map[string]string{
		"form":     v.wants(http.StatusPreconditionFailed, "POST", path, form),
		"rollback": v.wants(http.StatusPreconditionFailed, "POST", path+"/rollback", rollback),
	} {
		if !strings.Contains(body, "changed by somebody else") || !strings.Contains(body, "It is now v2 100 %") || !strings.Contains(body, "by root") {
			t.Errorf("%s: %s", what, body)
		}
	}
	if a := aliasOf(t, r, "shop", "live"); *a.FunctionVersion != "2" {
		t.Errorf("the other change was overwritten: %+v", a)
	}
	settings := carried(v.wants(http.StatusOK, "GET", "/console/functions/shop/configuration", nil))
	describe(t, r, "shop", "by somebody else")
	for name, value := range map[string]string{"description": "mine", "handler": "app.handler", "runtime": "python3.12", "memory": "128", "timeout": "3", "storage": "512", "confirm": "yes"} {
		settings.Set(name, value)
	}
	v.wants(http.StatusPreconditionFailed, "POST", "/console/functions/shop/configuration", settings)
	if status, _ := v.upload("/console/functions/shop/code", map[string]string{"revision": settings.Get("revision")}, zipped(t, "app.py", reporting)); status != http.StatusPreconditionFailed {
		t.Errorf("upload over another change: %d", status)
	}
}

// Who may only look changes nothing, and sees no values of variables.
func TestConsoleReadOnly(t *testing.T) {
	r := start(t)
	r.create(t, "shop", reporting, 1)
	_, err := r.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("shop"), Environment: &types.Environment{Variables: map[string]string{"TOKEN": "hunter2"}},
	})
	must(t, err)
	v := visit(t, r)
	v.login(r, "readonly", "1")
	for _, path := range []string{"/console/functions/shop/configuration", "/console/functions/shop/compare?from=1&to=$LATEST", "/console/functions/shop"} {
		if body := v.wants(http.StatusOK, "GET", path, nil); strings.Contains(body, "hunter2") || !strings.Contains(body, `data-role="reader"`) {
			t.Errorf("%s shows a secret, or is for writers", path)
		}
	}
	for _, path := range []string{"/console/new", "/console/functions/shop/publish", "/console/functions/shop/aliases", "/console/functions/shop/ship", "/console/functions/shop/configuration", "/console/functions/shop/code", "/console/functions/shop/test", "/console/functions/shop/aliases/live/rollback", "/console/releases/1/abort"} {
		if body := v.wants(http.StatusForbidden, "POST", path, url.Values{"confirm": {"yes"}}); !strings.Contains(body, "read-only") {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestConsoleBadForms(t *testing.T) {
	r := start(t)
	r.create(t, "shop", reporting, 1)
	v := visit(t, r)
	v.login(r)
	for _, tt := range []struct {
		path string
		form url.Values
		want string
	}{
		{"functions/shop/aliases", url.Values{"name": {"live"}, "version": {"99"}}, "not found"},
		{"functions/shop/aliases", url.Values{"name": {"live"}, "version": {"x"}}, "no version"},
		{"functions/shop/aliases", url.Values{"name": {"<b>"}, "version": {"1"}, "confirm": {"yes"}}, "&lt;b&gt;"},
		{"functions/shop/aliases", url.Values{"name": {"live"}, "version": {"1"}, "additional": {"1"}, "percent": {"NaN"}}, "from 0 to 100"},
		{"functions/shop/ship", url.Values{"version": {"$LATEST"}, "alias": {"live"}, "pace": {"evidence"}, "steps": {"5,100"}}, "published version"},
		{"functions/shop/ship", url.Values{"version": {"1"}, "alias": {"live"}, "pace": {"evidence"}, "steps": {"50, 10"}}, "steps"},
		{"functions/shop/ship", url.Values{"version": {"1"}, "alias": {"live"}, "pace": {"warp"}, "steps": {"100"}}, "pace"},
		{"functions/shop/configuration", url.Values{"memory": {"much"}}, "not a number"},
		{"functions/shop/configuration", url.Values{"memory": {"128"}, "timeout": {"3"}, "storage": {"512"}, "environment": {"A"}}, "KEY=value"},
		{"functions/shop/test", url.Values{"qualifier": {"live"}, "event": {"{}"}, "do": {"invoke"}}, "not found"},
		{"functions/shop/test", url.Values{"qualifier": {"$LATEST"}, "event": {"{"}, "do": {"invoke"}}, "json"},
		{"functions/shop/test", url.Values{"event": {"{"}, "name": {"x"}, "do": {"save"}}, "not JSON"},
		{"functions/nobody/publish", url.Values{}, "not found"},
		{"releases/nobody/abort", url.Values{}, "not found"},
		{"releases/nobody/explode", url.Values{}, "no page"},
	} {
		status, _, body := v.do("POST", "/console/"+tt.path, tt.form)
		if status < 400 || status >= 500 || !strings.Contains(body, tt.want) {
			t.Errorf("%s %v: %d\n%s", tt.path, tt.form, status, body)
		}
	}
	v.wants(http.StatusRequestEntityTooLarge, "POST", "/console/functions/shop/publish", url.Values{"description": {strings.Repeat("x", 2<<20)}})
	if status, _ := v.upload("/console/functions/shop/code", nil, []byte("no zip")); status != http.StatusBadRequest {
		t.Errorf("a package that is none: %d", status)
	}
}

// A log line that looks like a page is text; what a pattern lacks is said.
func TestConsoleLogsAndAlarms(t *testing.T) {
	r := start(t)
	r.create(t, "shop", "def handler(event, context):\n    print('<script>alert(1)</script> ERROR of the cart')\n", 0)
	_, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop")})
	must(t, err)
	v := visit(t, r)
	v.login(r)
	body := v.await("/console/functions/shop/logs?pattern=ERROR", "ERROR of the cart")
	if strings.Contains(body, "<script>alert") || !strings.Contains(body, "&lt;script&gt;alert(1)") {
		t.Errorf("a log line is run: %s", body)
	}
	v.wants(http.StatusOK, "GET", "/console/functions/shop/logs?pattern="+url.QueryEscape(`{ $.a = `), nil)
	if body := v.wants(http.StatusOK, "GET", "/console/functions/shop/logs?pattern=nobody", nil); !strings.Contains(body, "Nothing matches") {
		t.Errorf("no line: %s", body)
	}
	if body := v.wants(http.StatusOK, "GET", "/console/alarms", nil); !strings.Contains(body, "No alarms") {
		t.Errorf("alarms: %s", body)
	}
}
