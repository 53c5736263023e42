package server_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"serin/internal/api"
	"serin/internal/server"
)

// visitor is a browser as far as a server can tell.
type visitor struct {
	tb       testing.TB
	endpoint string
	http     *http.Client
}

func visit(tb testing.TB, r *running) *visitor {
	tb.Helper()
	jar, err := cookiejar.New(nil)
	must(tb, err)
	return &visitor{tb, r.Endpoint, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// do sends a request as a browser does for a page of the same site, and returns the status, the header and the text.
func (v *visitor) do(method, path string, form url.Values, header ...string) (int, http.Header, string) {
	v.tb.Helper()
	req, err := http.NewRequestWithContext(v.tb.Context(), method, v.endpoint+path, strings.NewReader(form.Encode()))
	must(v.tb, err)
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := v.http.Do(req)
	must(v.tb, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(v.tb, err)
	return resp.StatusCode, resp.Header, string(body)
}

// login logs in with the server's key.
func (v *visitor) login(r *running, extra ...string) {
	v.tb.Helper()
	form := url.Values{"key": {r.AccessKeyID}, "secret": {r.SecretAccessKey}}
	for i := 0; i < len(extra); i += 2 {
		form.Set(extra[i], extra[i+1])
	}
	if status, h, body := v.do("POST", "/console/login", form); status != http.StatusSeeOther || h.Get("Location") != "/console/" {
		v.tb.Fatalf("login: %d %s", status, body)
	}
}

func (v *visitor) wants(status int, method, path string, form url.Values, header ...string) string {
	v.tb.Helper()
	got, _, body := v.do(method, path, form, header...)
	if got != status {
		v.tb.Fatalf("%s %s: %d, want %d\n%s", method, path, got, status, body)
	}
	return body
}

// G9 for the console: who is not logged in sees nothing but the login, whatever they make up.
func TestConsoleNeedsLogin(t *testing.T) {
	r := start(t)
	v := visit(t, r)
	for _, path := range []string{"/console/", "/console/functions/shop", "/console/settings", "/console/releases/1/certificate", "/console/nothing"} {
		status, h, _ := v.do("GET", path, nil)
		if status != http.StatusSeeOther || !strings.HasPrefix(h.Get("Location"), "/console/login?next=") {
			t.Errorf("%s: %d to %s", path, status, h.Get("Location"))
		}
		if status, _, _ := v.do("GET", path, nil, "Accept", "*/*"); status != http.StatusUnauthorized {
			t.Errorf("%s, asked by a script: %d", path, status)
		}
		if status, _, _ := v.do("GET", path, nil, "Cookie", "serin_AAAAAAAA=forged; session=forged"); status != http.StatusSeeOther {
			t.Errorf("%s with a forged cookie: %d", path, status)
		}
	}
	body := v.wants(http.StatusForbidden, "POST", "/console/login", url.Values{"key": {r.AccessKeyID}, "secret": {"wrong"}})
	if strings.Contains(body, "wrong") || !strings.Contains(body, "No access key") {
		t.Errorf("a wrong secret: %s", body)
	}
	v.wants(http.StatusForbidden, "POST", "/console/login", url.Values{"key": {"AKIANOBODY"}, "secret": {""}})

	v.login(r)
	status, h, _ := v.do("GET", "/console/", nil)
	if status != http.StatusOK || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("logged in: %d %v", status, h)
	}
	// A cookie that was tampered with.
	endpoint, err := url.Parse(r.Endpoint + "/console/")
	must(t, err)
	cookie := v.http.Jar.Cookies(endpoint)[0]
	other := visit(t, r)
	if status, _, _ := other.do("GET", "/console/", nil, "Cookie", cookie.Name+"="+cookie.Value[1:]+"A"); status != http.StatusSeeOther {
		t.Errorf("a cookie that was tampered with: %d", status)
	}
	v.wants(http.StatusSeeOther, "POST", "/console/logout", url.Values{})
	if status, _, _ := other.do("GET", "/console/", nil, "Cookie", cookie.Name+"="+cookie.Value); status != http.StatusSeeOther {
		t.Errorf("after the logout: %d", status)
	}
}

func TestConsoleCookieAndRedirects(t *testing.T) {
	r := start(t)
	v := visit(t, r)
	for next, want := range map[string]string{
		"/console/functions/shop?versions=all": "/console/functions/shop?versions=all", "https://example.com/console/": "/console/", "//example.com/console/": "/console/",
		`/\example.com`: "/console/", "/2015-03-31/functions": "/console/", "": "/console/",
	} {
		_, h, _ := v.do("POST", "/console/login", url.Values{"key": {r.AccessKeyID}, "secret": {r.SecretAccessKey}, "next": {next}})
		if h.Get("Location") != want {
			t.Errorf("next=%s leads to %s", next, h.Get("Location"))
		}
		cookie, err := http.ParseSetCookie(h.Get("Set-Cookie"))
		if err != nil || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/console/" || cookie.Secure {
			t.Errorf("cookie %+v, %v", cookie, err)
		}
	}
	_, h, _ := v.do("POST", "/console/login", url.Values{"key": {r.AccessKeyID}, "secret": {r.SecretAccessKey}}, "X-Forwarded-Proto", "https")
	if cookie, err := http.ParseSetCookie(h.Get("Set-Cookie")); err != nil || !cookie.Secure {
		t.Errorf("behind TLS: %+v, %v", cookie, err)
	}
	if status, h, _ := v.do("GET", "/", nil); status != http.StatusSeeOther || h.Get("Location") != "/console/" {
		t.Errorf("a browser at the root: %d", status)
	}
}

// A request that another site makes a browser send does nothing, with the cookie of somebody who is logged in.
func TestConsoleRefusesForeignPages(t *testing.T) {
	r := start(t)
	v := visit(t, r)
	v.login(r)
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "http://evil.example"}} {
		body := v.wants(http.StatusForbidden, "POST", "/console/logout", url.Values{}, header...)
		if !strings.Contains(body, "another site") {
			t.Errorf("%v: %s", header, body)
		}
	}
	v.wants(http.StatusOK, "GET", "/console/", nil) // still logged in
}

func TestConsoleLink(t *testing.T) {
	r := start(t)
	c := api.NewClient(r.Endpoint, r.Region, r.AccessKeyID, r.SecretAccessKey)
	c.Actor = "ana"
	link, err := c.ConsoleLink(t.Context(), api.ConsoleLinkRequest{})
	must(t, err)
	path, secret, ok := strings.Cut(link.Path, "#")
	if !ok || path != "/console/login" || len(secret) < 40 {
		t.Fatalf("link %q", link.Path)
	}
	v := visit(t, r)
	v.wants(http.StatusSeeOther, "POST", "/console/login", url.Values{"link": {secret}})
	if body := v.wants(http.StatusOK, "GET", "/console/", nil); !strings.Contains(body, "ana with key root") {
		t.Errorf("the session is not ana's: %s", body)
	}
	visit(t, r).wants(http.StatusForbidden, "POST", "/console/login", url.Values{"link": {secret}}) // once
	visit(t, r).wants(http.StatusForbidden, "POST", "/console/login", url.Values{"link": {secret + "A"}})
	stranger := api.NewClient(r.Endpoint, r.Region, r.AccessKeyID, "wrong")
	if _, err := stranger.ConsoleLink(context.Background(), api.ConsoleLinkRequest{}); err == nil {
		t.Error("a stranger got a link")
	}
}

func TestConsoleLimitsLogins(t *testing.T) {
	r := start(t)
	v := visit(t, r)
	refused := false
	for range 20 {
		status, h, _ := v.do("POST", "/console/login", url.Values{"key": {r.AccessKeyID}, "secret": {"guess"}})
		refused = refused || status == http.StatusTooManyRequests && h.Get("Retry-After") != ""
	}
	if !refused {
		t.Error("secrets can be guessed without end")
	}
}

// Without authentication the console is there for this machine alone.
func TestConsoleWithoutAuthentication(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Auth = server.AuthNone })
	v := visit(t, r)
	v.wants(http.StatusOK, "GET", "/console/", nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.Endpoint+"/console/", nil)
	must(t, err)
	req.Host = "rebound.example"
	resp, err := v.http.Do(req)
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("under another name: %d", resp.StatusCode)
	}
}

// What functions say about themselves is text.
func TestConsoleShowsText(t *testing.T) {
	r := start(t)
	r.create(t, "shop", reporting, 0)
	const script = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`
	describe(t, r, "shop", script)
	v := visit(t, r)
	v.login(r)
	for _, path := range []string{"/console/", "/console/functions/shop", "/console/?q=" + url.QueryEscape(script)} {
		body := v.wants(http.StatusOK, "GET", path, nil)
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img src=x") {
			t.Errorf("%s runs what a description says", path)
		}
	}
	if body := v.wants(http.StatusOK, "GET", "/console/functions/shop", nil); !strings.Contains(body, "&lt;script&gt;alert(1)") {
		t.Error("the description is not shown")
	}
	v.wants(http.StatusNotFound, "GET", "/console/functions/nobody", nil)
	v.wants(http.StatusNotFound, "GET", "/console/releases/nobody", nil)
	v.wants(http.StatusNotFound, "GET", "/console/live?topic=function?nobody", nil)
	v.wants(http.StatusOK, "GET", "/console/?page=-5&only=%00", nil)
}

func describe(tb testing.TB, r *running, name, description string) {
	tb.Helper()
	_, err := r.UpdateFunctionConfiguration(tb.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: &name, Description: &description})
	must(tb, err)
}
