package httpapi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"serin"
)

func TestMostSpecificRouteWins(t *testing.T) {
	r := Routing{Routes: map[string]route{}}
	for i, key := range []string{
		"GET /", "GET /orders", "ANY /orders", "GET /orders/{id}", "GET /orders/new", "GET /orders/{id}/items/{item}", "ANY /{proxy+}", "GET /files/{path+}", "$default",
	} {
		if err := checkRouteKey(key); err != nil {
			t.Fatal(err)
		}
		r.Routes[fmt.Sprint(i)] = route{Key: key}
	}
	for request, want := range map[string]string{
		"GET /":                  "GET / map[]",
		"POST /":                 "$default map[]",
		"GET /orders":            "GET /orders map[]",
		"PUT /orders":            "ANY /orders map[]",
		"GET /orders/new":        "GET /orders/new map[]",
		"GET /orders/7":          "GET /orders/{id} map[id:7]",
		"POST /orders/7":         "ANY /{proxy+} map[proxy:orders/7]",
		"GET /orders/7/items/a":  "GET /orders/{id}/items/{item} map[id:7 item:a]",
		"GET /files/a/b/c":       "GET /files/{path+} map[path:a/b/c]",
		"GET /other/a b/%2F/é//": "ANY /{proxy+} map[proxy:other/a b/%2F/é//]",
	} {
		method, path, _ := strings.Cut(request, " ")
		key, parameters, ok := r.find(method, path)
		if got := fmt.Sprint(key, " ", parameters); !ok || got != want {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
	}
	delete(r.Routes, "8")
	if key, _, ok := r.find("POST", "/"); ok {
		t.Errorf("without a default route: %s", key)
	}
}

func TestRouteKeysAreChecked(t *testing.T) {
	for _, key := range []string{"", "GET", "GET orders", "get /", "TRACE /", "GET /{a+}/b", "GET /{a", "GET /a b", "GET //a", "GET /{}", "GET /{a}{b}", "GET /" + strings.Repeat("a", 1024)} {
		if err := checkRouteKey(key); serin.KindOf(err) != serin.KindInvalid {
			t.Errorf("%.40q: %v", key, err)
		}
	}
}

func TestIntegrationURIs(t *testing.T) {
	s := New(Config{Place: serin.Place{Region: "us-east-1", Account: "000000000000"}})
	for uri, want := range map[string]string{
		"arn:aws:lambda:us-east-1:000000000000:function:f":                                                                                               "f|",
		"arn:aws:lambda:us-east-1:000000000000:function:f:live":                                                                                          "f|live",
		"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f:live/invocations":                "f|live",
		"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f:${stageVariables.a}/invocations": "f|beta",
		"https://example.org": "error",
		"arn:aws:lambda:us-east-1:000000000000:function:f:${stageVariables.none}": "error",
		"": "error",
	} {
		name, qualifier, err := s.functionOf(uri, map[string]string{"a": "beta"})
		got := name + "|" + qualifier
		if err != nil {
			got = "error"
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", uri, diff)
		}
	}
}

// A path fits a pattern only if the pattern with the parameters in it is the path.
func FuzzRoutes(f *testing.F) {
	f.Add("GET /orders/{id}", "/orders/7")
	f.Add("ANY /{proxy+}", "/a/b")
	f.Add("GET /a/{b}/{c+}", "/a//")
	f.Add("GET /", "/")
	f.Fuzz(func(t *testing.T, key, path string) {
		if checkRouteKey(key) != nil || !strings.HasPrefix(path, "/") {
			return
		}
		_, pattern, _ := strings.Cut(key, " ")
		parameters, _, ok := fit(pattern, path)
		if !ok || key == defaultName {
			return
		}
		segments := strings.Split(pattern, "/")
		for i, segment := range segments {
			if labelForm.MatchString(segment) {
				segments[i] = parameters[strings.TrimSuffix(strings.Trim(segment, "{}"), "+")]
			}
		}
		if strings.Join(segments, "/") != path && strings.Count(pattern, "{") == len(parameters) {
			t.Errorf("%s fits %s with %v", path, key, parameters)
		}
	})
}
