package functionurl

import (
	"net/http"
	"testing"

	"serin"
)

func TestCORS(t *testing.T) {
	settings := func(change func(*serin.CORS)) *serin.CORS {
		c := &serin.CORS{
			AllowOrigins: []string{"https://shop.example", "https://*.shop.example"}, AllowMethods: []string{"GET", "PUT"},
			AllowHeaders: []string{"x-key"}, ExposeHeaders: []string{"x-left"}, MaxAge: new(300),
		}
		if change != nil {
			change(c)
		}
		return c
	}
	const varies = "Vary: Access-Control-Request-Method|Vary: Access-Control-Request-Headers"
	for name, tt := range map[string]struct {
		cors           *serin.CORS
		method, origin string
		asks, headers  string // of a preflight
		want           string
		invoked        bool
	}{
		"no settings":         {nil, "OPTIONS", "https://shop.example", "GET", "", "", true},
		"preflight":           {settings(nil), "OPTIONS", "https://shop.example", "GET", "x-key", "Access-Control-Allow-Headers: x-key|Access-Control-Allow-Methods: GET,PUT|Access-Control-Allow-Origin: https://shop.example|Access-Control-Max-Age: 300|" + varies + "|Vary: Origin", false},
		"subdomain":           {settings(nil), "GET", "https://de.shop.example", "", "", "Access-Control-Allow-Origin: https://de.shop.example|Access-Control-Expose-Headers: x-left|Vary: Origin", true},
		"foreign preflight":   {settings(nil), "OPTIONS", "https://evil.example", "GET", "x-key", varies + "|Vary: Origin", false},
		"foreign":             {settings(nil), "GET", "https://evil.example", "", "", "Vary: Origin", true},
		"not a prefix":        {settings(nil), "GET", "https://shop.example.evil", "", "", "Vary: Origin", true},
		"no origin":           {settings(nil), "GET", "", "", "", "Vary: Origin", true},
		"OPTIONS of a client": {settings(nil), "OPTIONS", "", "", "", "Vary: Origin", true},
		"everybody": {
			settings(func(c *serin.CORS) { c.AllowOrigins, c.AllowMethods = []string{"*"}, []string{"*"} }), "OPTIONS", "https://a.example", "PATCH", "",
			"Access-Control-Allow-Headers: x-key|Access-Control-Allow-Methods: PATCH|Access-Control-Allow-Origin: *|Access-Control-Max-Age: 300|" + varies, false,
		},
		"everybody with credentials": {
			settings(func(c *serin.CORS) { c.AllowOrigins, c.AllowCredentials = []string{"*"}, new(true) }), "GET", "https://a.example", "", "",
			"Access-Control-Allow-Credentials: true|Access-Control-Allow-Origin: https://a.example|Access-Control-Expose-Headers: x-left|Vary: Origin", true,
		},
		"patterns of headers": {
			settings(func(c *serin.CORS) { c.AllowHeaders = []string{"X-*", "date"} }), "OPTIONS", "https://shop.example", "GET", "x-a, date, y, x-b\x00",
			"Access-Control-Allow-Headers: x-a,date|Access-Control-Allow-Methods: GET,PUT|Access-Control-Allow-Origin: https://shop.example|Access-Control-Max-Age: 300|" + varies + "|Vary: Origin", false,
		},
	} {
		w := newWorld(t)
		w.url.CORS = tt.cors
		w.answer.Payload = []byte(`{"statusCode":200}`)
		if tt.cors != nil { // what the function says does not count then
			w.answer.Payload = []byte(`{"statusCode":200,"headers":{"access-control-allow-origin":"*"}}`)
		}
		header := []string{}
		for _, h := range [][2]string{{"Origin", tt.origin}, {"Access-Control-Request-Method", tt.asks}, {"Access-Control-Request-Headers", tt.headers}} {
			if h[1] != "" {
				header = append(header, h[0], h[1])
			}
		}
		got := w.ask(tt.method, "/", "", header...)
		if got.Code != http.StatusOK || (w.invoked != nil) != tt.invoked {
			t.Errorf("%s: %d, invoked: %v", name, got.Code, w.invoked != nil)
		}
		got.Header().Del("Content-Type")
		got.Header().Set("Content-Length", "0")
		if h := shown(t, got); h != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, h, tt.want)
		}
	}
}

// Browsers do not sign a preflight.
func TestPreflightNeedsNoSignature(t *testing.T) {
	w := newWorld(t)
	w.url.AuthType, w.url.CORS = serin.AuthTypeIAM, &serin.CORS{AllowOrigins: []string{"*"}, AllowHeaders: []string{"authorization"}}
	got := w.ask("OPTIONS", "/", "", "Origin", "https://a.example", "Access-Control-Request-Method", "GET")
	if got.Code != http.StatusOK || got.Header().Get("Access-Control-Allow-Headers") != "authorization" || w.invoked != nil {
		t.Errorf("%d %v", got.Code, got.Header())
	}
	refused := w.ask("GET", "/", "", "Origin", "https://a.example")
	if refused.Code != http.StatusForbidden || refused.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("the refusal cannot be read by the page: %d %v", refused.Code, refused.Header())
	}
}
