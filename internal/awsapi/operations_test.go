package awsapi

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"
)

// modelOperations are the operations that the SDK's client has a method for.
func modelOperations() []string {
	var names []string
	for m := range reflect.TypeFor[*lambda.Client]().Methods() {
		if m.Type.NumIn() == 4 && m.Type.IsVariadic() && m.Type.In(1) == reflect.TypeFor[context.Context]() {
			names = append(names, m.Name)
		}
	}
	return names
}

func TestEveryOperationOfTheModelIsKnown(t *testing.T) {
	a := openAPI(&fakeLambda{}, noInvoke)
	var got []string
	for _, op := range a.lambdaOperations() {
		got = append(got, op.name)
	}
	slices.Sort(got)
	want := modelOperations()
	if len(want) < 85 {
		t.Fatalf("the SDK has %d operations: this test no longer finds them", len(want))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("operations (-SDK +table):\n%s", diff)
	}
}

// Every operation is found under its own path with labels that hold an ARN, with and without a
// trailing slash, and nothing that is refused reaches the backend.
func TestRouting(t *testing.T) {
	backend := &fakeLambda{}
	a := openAPI(backend, noInvoke)
	const label = "arn%3Aaws%3Alambda%3Aeu-central-1%3A0%3Afunction%3Af%2Fx:%24LATEST"
	const decoded = "arn:aws:lambda:eu-central-1:0:function:f/x:$LATEST"
	for _, op := range a.lambdaOperations() {
		path := op.path
		for _, name := range op.labels {
			path = strings.Replace(path, "{"+name+"}", label, 1)
		}
		for _, suffix := range []string{"", "/"} {
			got, labels := a.routes.find(op.method, path+suffix, op.selectors)
			if got == nil || got.name != op.name {
				t.Errorf("%s %s%s: found %+v, want %s", op.method, path, suffix, got, op.name)
				continue
			}
			for i := range op.labels {
				if labels[i] != decoded {
					t.Errorf("%s: label %s is %q", op.name, op.labels[i], labels[i])
				}
			}
		}
		if !refused(op.name) {
			continue
		}
		target := path
		if len(op.selectors) > 0 {
			target += "?" + op.selectors.Encode()
		}
		w := do(a, httptest.NewRequest(op.method, target, strings.NewReader("{}")))
		want := `{"Type":"Service","message":"Serin does not have the operation ` + op.name + ` of AWS Lambda."}`
		if w.Code != http.StatusNotImplemented || w.Body.String() != want || w.Header().Get("x-amzn-ErrorType") != "NotImplementedException" {
			t.Errorf("%s: %d %s %v", op.name, w.Code, w.Body, w.Header())
		}
	}
	if in, _ := backend.seen(); in != nil {
		t.Errorf("a refused operation reached the backend: %T", in)
	}
}

func refused(name string) bool {
	for _, s := range refusedOperations {
		if s.ID().Name == name {
			return true
		}
	}
	return false
}

// Operations of one path that a constant in the query tells apart.
func TestRoutingBySelector(t *testing.T) {
	backend := &fakeLambda{}
	a := openAPI(backend, noInvoke)
	for target, want := range map[string]any{
		"/2018-10-31/layers":                                                &lambda.ListLayersInput{},
		"/2018-10-31/layers?find=LayerVersion&Arn=x":                        &lambda.GetLayerVersionByArnInput{},
		"/2018-10-31/layers?find=Other":                                     &lambda.ListLayersInput{},
		"/2019-09-30/functions/f/provisioned-concurrency?List=ALL":          &lambda.ListProvisionedConcurrencyConfigsInput{},
		"/2019-09-30/functions/f/provisioned-concurrency?Qualifier=1":       &lambda.GetProvisionedConcurrencyConfigInput{},
		"/2019-09-30/functions/f/provisioned-concurrency/?Marker&List=ALL&": &lambda.ListProvisionedConcurrencyConfigsInput{},
	} {
		backend.answers(nil, nil)
		w := do(a, httptest.NewRequest(http.MethodGet, target, nil))
		if in, _ := backend.seen(); reflect.TypeOf(in) != reflect.TypeOf(want) {
			t.Errorf("GET %s: %s reached the backend as %T, want %T", target, w.Body, in, want)
		}
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	a := openAPI(&fakeLambda{}, noInvoke)
	for _, request := range []string{
		"GET /", "GET /nothing", "GET /2015-03-31", "GET /2015-03-31/functions//aliases", "GET /2015-03-31/functions/f//",
		"PATCH /2015-03-31/functions/f", "DELETE /2015-03-31/functions", "GET /2015-03-31/functions/f/invocations",
		"POST /2015-03-31/functions/f/aliases/live", "HEAD /2015-03-31/functions", "GET /2015-03-31/functions/f/aliases/a/b",
		"POST /service/x", "GET /index.html", "OPTIONS /2015-03-31/functions",
	} {
		method, target, _ := strings.Cut(request, " ")
		w := do(a, httptest.NewRequest(method, target, nil))
		if w.Code != http.StatusNotFound || w.Header().Get("Content-Type") != "application/json" ||
			w.Header().Get("x-amzn-ErrorType") != "UnknownOperationException" || w.Header().Get("x-amzn-RequestId") == "" ||
			w.Body.String() != `{"message":"No operation has this method and path."}` {
			t.Errorf("%s: %d %q %v", request, w.Code, w.Body, w.Header())
		}
	}
}

// One exercise calls one operation through the SDK's client.
type exercise struct {
	name      string
	roundTrip func(*testing.T, *lambda.Client, *fakeLambda)
	fail      func(context.Context, *lambda.Client) error
}

func exerciseOf[In, Out any](name string, method func(*lambda.Client, context.Context, *In, ...options) (*Out, error)) exercise {
	return exercise{
		name: name,
		roundTrip: func(t *testing.T, client *lambda.Client, backend *fakeLambda) {
			t.Helper()
			in, out := filled[In](), filled[Out]()
			if o, ok := any(out).(*lambda.DeleteFunctionOutput); ok {
				o.StatusCode = http.StatusAccepted // travels as the status of the reply
			}
			backend.answers(out, nil)
			got, err := method(client, t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			seen, actor := backend.seen()
			if diff := cmp.Diff(any(in), seen, sdkTypes); diff != "" {
				t.Errorf("input (-sent +received):\n%s", diff)
			}
			if diff := cmp.Diff(out, got, sdkTypes); diff != "" {
				t.Errorf("output (-sent +received):\n%s", diff)
			}
			if actor != testKey {
				t.Errorf("the actor is %q", actor)
			}
		},
		fail: func(ctx context.Context, client *lambda.Client) error {
			_, err := method(client, ctx, filled[In]())
			return err
		},
	}
}

func exercises() []exercise {
	return []exercise{
		exerciseOf("CreateFunction", (*lambda.Client).CreateFunction),
		exerciseOf("GetFunction", (*lambda.Client).GetFunction),
		exerciseOf("GetFunctionConfiguration", (*lambda.Client).GetFunctionConfiguration),
		exerciseOf("ListFunctions", (*lambda.Client).ListFunctions),
		exerciseOf("UpdateFunctionCode", (*lambda.Client).UpdateFunctionCode),
		exerciseOf("UpdateFunctionConfiguration", (*lambda.Client).UpdateFunctionConfiguration),
		exerciseOf("DeleteFunction", (*lambda.Client).DeleteFunction),
		exerciseOf("PublishVersion", (*lambda.Client).PublishVersion),
		exerciseOf("ListVersionsByFunction", (*lambda.Client).ListVersionsByFunction),
		exerciseOf("CreateAlias", (*lambda.Client).CreateAlias),
		exerciseOf("GetAlias", (*lambda.Client).GetAlias),
		exerciseOf("UpdateAlias", (*lambda.Client).UpdateAlias),
		exerciseOf("DeleteAlias", (*lambda.Client).DeleteAlias),
		exerciseOf("ListAliases", (*lambda.Client).ListAliases),
		exerciseOf("TagResource", (*lambda.Client).TagResource),
		exerciseOf("UntagResource", (*lambda.Client).UntagResource),
		exerciseOf("ListTags", (*lambda.Client).ListTags),
		exerciseOf("GetAccountSettings", (*lambda.Client).GetAccountSettings),
		exerciseOf("AddPermission", (*lambda.Client).AddPermission),
		exerciseOf("RemovePermission", (*lambda.Client).RemovePermission),
		exerciseOf("GetPolicy", (*lambda.Client).GetPolicy),
		exerciseOf("PutFunctionConcurrency", (*lambda.Client).PutFunctionConcurrency),
		exerciseOf("GetFunctionConcurrency", (*lambda.Client).GetFunctionConcurrency),
		exerciseOf("DeleteFunctionConcurrency", (*lambda.Client).DeleteFunctionConcurrency),
		exerciseOf("PutProvisionedConcurrencyConfig", (*lambda.Client).PutProvisionedConcurrencyConfig),
		exerciseOf("GetProvisionedConcurrencyConfig", (*lambda.Client).GetProvisionedConcurrencyConfig),
		exerciseOf("DeleteProvisionedConcurrencyConfig", (*lambda.Client).DeleteProvisionedConcurrencyConfig),
		exerciseOf("ListProvisionedConcurrencyConfigs", (*lambda.Client).ListProvisionedConcurrencyConfigs),
		exerciseOf("PutFunctionEventInvokeConfig", (*lambda.Client).PutFunctionEventInvokeConfig),
		exerciseOf("UpdateFunctionEventInvokeConfig", (*lambda.Client).UpdateFunctionEventInvokeConfig),
		exerciseOf("GetFunctionEventInvokeConfig", (*lambda.Client).GetFunctionEventInvokeConfig),
		exerciseOf("DeleteFunctionEventInvokeConfig", (*lambda.Client).DeleteFunctionEventInvokeConfig),
		exerciseOf("ListFunctionEventInvokeConfigs", (*lambda.Client).ListFunctionEventInvokeConfigs),
		exerciseOf("CreateFunctionUrlConfig", (*lambda.Client).CreateFunctionUrlConfig),
		exerciseOf("UpdateFunctionUrlConfig", (*lambda.Client).UpdateFunctionUrlConfig),
		exerciseOf("GetFunctionUrlConfig", (*lambda.Client).GetFunctionUrlConfig),
		exerciseOf("DeleteFunctionUrlConfig", (*lambda.Client).DeleteFunctionUrlConfig),
		exerciseOf("ListFunctionUrlConfigs", (*lambda.Client).ListFunctionUrlConfigs),
		exerciseOf("PutRuntimeManagementConfig", (*lambda.Client).PutRuntimeManagementConfig),
		exerciseOf("GetRuntimeManagementConfig", (*lambda.Client).GetRuntimeManagementConfig),
		exerciseOf("PutFunctionRecursionConfig", (*lambda.Client).PutFunctionRecursionConfig),
		exerciseOf("GetFunctionRecursionConfig", (*lambda.Client).GetFunctionRecursionConfig),
		exerciseOf("GetFunctionCodeSigningConfig", (*lambda.Client).GetFunctionCodeSigningConfig),
		exerciseOf("PublishLayerVersion", (*lambda.Client).PublishLayerVersion),
		exerciseOf("GetLayerVersion", (*lambda.Client).GetLayerVersion),
		exerciseOf("GetLayerVersionByArn", (*lambda.Client).GetLayerVersionByArn),
		exerciseOf("ListLayers", (*lambda.Client).ListLayers),
		exerciseOf("ListLayerVersions", (*lambda.Client).ListLayerVersions),
		exerciseOf("DeleteLayerVersion", (*lambda.Client).DeleteLayerVersion),
		exerciseOf("AddLayerVersionPermission", (*lambda.Client).AddLayerVersionPermission),
		exerciseOf("RemoveLayerVersionPermission", (*lambda.Client).RemoveLayerVersionPermission),
		exerciseOf("GetLayerVersionPolicy", (*lambda.Client).GetLayerVersionPolicy),
	}
}

// Every member of every implemented operation survives the way from the SDK's client to the backend and back.
func TestRoundTrip(t *testing.T) {
	backend := &fakeLambda{}
	client := sdkClient(signedServer(t, backend, noInvoke))
	for _, e := range exercises() {
		t.Run(e.name, func(t *testing.T) { e.roundTrip(t, client, backend) })
	}
	if got, want := len(exercises())+len(refusedOperations)+2, len(modelOperations()); got != want {
		t.Errorf("%d operations are exercised, refused, Invoke or InvokeWithResponseStream; the model has %d", got, want)
	}
}

// What the wire looks like where the SDK's client would not notice a difference.
func TestWireFormOfOutputs(t *testing.T) {
	backend := &fakeLambda{}
	a := openAPI(backend, noInvoke)
	for _, c := range []struct {
		request string
		out     any
		status  int
		body    string
	}{
		{"GET /2016-08-19/account-settings/", &lambda.GetAccountSettingsOutput{AccountUsage: &types.AccountUsage{}}, 200, `{"AccountUsage":{"TotalCodeSize":0,"FunctionCount":0}}`},
		{"GET /2016-08-19/account-settings", &lambda.GetAccountSettingsOutput{AccountUsage: &types.AccountUsage{FunctionCount: 2}}, 200, `{"AccountUsage":{"FunctionCount":2,"TotalCodeSize":0}}`},
		{"GET /2015-03-31/functions/", &lambda.ListFunctionsOutput{}, 200, `{"Functions":[]}`},
		{"GET /2015-03-31/functions/f/versions", &lambda.ListVersionsByFunctionOutput{}, 200, `{"Versions":[]}`},
		{"GET /2015-03-31/functions/f/aliases", &lambda.ListAliasesOutput{}, 200, `{"Aliases":[]}`},
		{"GET /2017-03-31/tags/arn%3Aaws", &lambda.ListTagsOutput{}, 200, `{"Tags":{}}`},
		{"GET /2018-10-31/layers", &lambda.ListLayersOutput{}, 200, `{"Layers":[]}`},
		{"GET /2018-10-31/layers/l/versions", &lambda.ListLayerVersionsOutput{}, 200, `{"LayerVersions":[]}`},
		{"GET /2019-09-30/functions/f/provisioned-concurrency?List=ALL", &lambda.ListProvisionedConcurrencyConfigsOutput{}, 200, `{"ProvisionedConcurrencyConfigs":[]}`},
		{"GET /2019-09-25/functions/f/event-invoke-config/list", &lambda.ListFunctionEventInvokeConfigsOutput{}, 200, `{"FunctionEventInvokeConfigs":[]}`},
		{"GET /2021-10-31/functions/f/urls", &lambda.ListFunctionUrlConfigsOutput{}, 200, `{"FunctionUrlConfigs":[]}`},
		{"GET /2020-06-30/functions/f/code-signing-config", &lambda.GetFunctionCodeSigningConfigOutput{}, 200, `{}`},
		{"GET /2019-09-30/functions/f/concurrency", &lambda.GetFunctionConcurrencyOutput{}, 200, `{}`},
		{"DELETE /2017-10-31/functions/f/concurrency", &lambda.DeleteFunctionConcurrencyOutput{}, 204, ""},
		{"DELETE /2015-03-31/functions/f", &lambda.DeleteFunctionOutput{}, 204, ""},
		{"DELETE /2015-03-31/functions/f", &lambda.DeleteFunctionOutput{StatusCode: 202}, 202, "{}"},
		{"DELETE /2015-03-31/functions/f/aliases/live", &lambda.DeleteAliasOutput{}, 204, ""},
		{"POST /2017-03-31/tags/arn%3Aaws", &lambda.TagResourceOutput{}, 204, ""},
		{"POST /2015-03-31/functions/f/aliases", &lambda.CreateAliasOutput{}, 201, "{}"},
	} {
		backend.answers(c.out, nil)
		method, target, _ := strings.Cut(c.request, " ")
		w := do(a, httptest.NewRequest(method, target, nil))
		if w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%s: %d %s, want %d %s", c.request, w.Code, w.Body, c.status, c.body)
		}
		if contentType := w.Header().Get("Content-Type"); (contentType != "") != (c.body != "") {
			t.Errorf("%s: Content-Type %q with body %q", c.request, contentType, c.body)
		}
	}
}

// A body that is not what the operation takes is refused with a text in the caller's terms.
func TestMalformedBodies(t *testing.T) {
	backend := &fakeLambda{}
	a := openAPI(backend, noInvoke)
	for body, want := range map[string]string{
		`{`:                                      "malformed JSON at byte 1",
		`{} x`:                                   "malformed JSON at byte 3",
		"{\"Role\":\"\xff\"}":                    "malformed JSON at byte 9",
		`[]`:                                     "it is not a JSON object",
		`"x"`:                                    "it is not a JSON object",
		`{"Timeout":3,"Timeout":4}`:              "member /Timeout is given twice",
		`{"Timeout":"3"}`:                        "member /Timeout does not take this string",
		`{"Timeout":3.5}`:                        "member /Timeout does not take this number",
		`{"Timeout":3000000000}`:                 "member /Timeout does not take this number",
		`{"Publish":[]}`:                         "member /Publish does not take this array",
		`{"Role":true}`:                          "member /Role does not take this boolean",
		`{"Environment":{"Variables":{"A":{}}}}`: "member /Environment/Variables/A does not take this object",
		`{"Code":{"ZipFile":"a*"}}`:              "member /Code/ZipFile is not valid base64",
		`{"Code":{"ZipFile":7}}`:                 "member /Code/ZipFile does not take this number",
		`{"Environment":{"Variables":{"` + strings.Repeat("x", 200) + `":1}}}`: "member /Environment/Variables/" + strings.Repeat("x", 128-23) + "… does not take this number",
	} {
		w := do(a, httptest.NewRequest(http.MethodPost, "/2015-03-31/functions", strings.NewReader(body)))
		wantBody := `{"Type":"User","message":"Could not parse request body into json: ` + want + `"}`
		if w.Code != http.StatusBadRequest || w.Body.String() != wantBody || w.Header().Get("x-amzn-ErrorType") != "InvalidRequestContentException" {
			t.Errorf("%s: %d %s\nwant %s", body, w.Code, w.Body, wantBody)
		}
	}
	if in, _ := backend.seen(); in != nil {
		t.Errorf("a malformed request reached the backend: %+v", in)
	}
}

// Unknown members are ignored, null is absent, and a body does not reach members that travel elsewhere.
func TestTolerantBodies(t *testing.T) {
	backend := &fakeLambda{}
	a := openAPI(backend, noInvoke)
	body := `{"Description":null,"FunctionName":"other","Name":"other","FunctionVersion":"7","New":{"x":[1]},"description":"no"}`
	w := do(a, httptest.NewRequest(http.MethodPut, "/2015-03-31/functions/f%3Alive/aliases/live", strings.NewReader(body)))
	if w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	in, actor := backend.seen()
	f, live, seven := "f:live", "live", "7"
	want := &lambda.UpdateAliasInput{FunctionName: &f, Name: &live, FunctionVersion: &seven}
	if diff := cmp.Diff(any(want), in, sdkTypes); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
	if actor != Anonymous {
		t.Errorf("the actor is %q", actor)
	}

	for _, body := range []string{"", "null", "{}"} {
		w := do(a, httptest.NewRequest(http.MethodPost, "/2015-03-31/functions/f/versions", strings.NewReader(body)))
		if w.Code != http.StatusCreated {
			t.Errorf("body %q: %d %s", body, w.Code, w.Body)
		}
	}
}

func TestMalformedQuery(t *testing.T) {
	a := openAPI(&fakeLambda{}, noInvoke)
	for target, want := range map[string]string{
		"/2015-03-31/functions?MaxItems=many":        `{"message":"1 validation error detected: Value 'many' at 'maxItems' failed to satisfy constraint: Member must be an integer"}`,
		"/2015-03-31/functions?MaxItems=":            `{"message":"1 validation error detected: Value '' at 'maxItems' failed to satisfy constraint: Member must be an integer"}`,
		"/2015-03-31/functions?MaxItems=99999999999": `{"message":"1 validation error detected: Value '99999999999' at 'maxItems' failed to satisfy constraint: Member must be an integer"}`,
		"/2018-10-31/layers/l/versions/one":          `{"message":"1 validation error detected: Value 'one' at 'versionNumber' failed to satisfy constraint: Member must be an integer"}`,
		"/2015-03-31/functions?Marker=%zz":           `{"message":"The query string of the request is malformed."}`,
		"/2015-03-31/functions?a;b":                  `{"message":"The query string of the request is malformed."}`,
	} {
		w := do(a, httptest.NewRequest(http.MethodGet, target, nil))
		if w.Code != http.StatusBadRequest || w.Body.String() != want || w.Header().Get("x-amzn-ErrorType") != "ValidationException" {
			t.Errorf("%s: %d %s, want %s", target, w.Code, w.Body, want)
		}
	}
}

// Nothing that arrives as a body or a query makes an operation panic, and what is refused is the
// caller's fault.
func FuzzDecode(f *testing.F) {
	backend := &fakeLambda{}
	a := openAPI(backend, noInvoke)
	operations := a.lambdaOperations()
	for i := range operations {
		f.Add(uint8(i), `{"FunctionName":"f","Code":{"ZipFile":"aGk="},"Environment":{"Variables":{"A":"b"}},"Tags":{"a":"b"}}`, "Qualifier=1&MaxItems=5&tagKeys=a&tagKeys=b", "f")
	}
	f.Add(uint8(0), "{\"Code\":\"\xff\"}", "%", "%2F")
	f.Add(uint8(8), `{"RoutingConfig":{"AdditionalVersionWeights":{"1":1e999}}}`, "MaxItems=-1", ":")
	f.Fuzz(func(t *testing.T, n uint8, body, query, label string) {
		op := operations[int(n)%len(operations)]
		r := httptest.NewRequest(op.method, "/", io.NopCloser(strings.NewReader(body)))
		path := op.path
		for _, name := range op.labels {
			path = strings.Replace(path, "{"+name+"}", label, 1)
		}
		r.URL.Path, r.URL.RawPath, r.URL.RawQuery = path, "", query
		w := do(a, r)
		expected := w.Code == http.StatusNotImplemented && refused(op.name) || strings.HasPrefix(op.name, "Invoke")
		if w.Code >= http.StatusInternalServerError && !expected {
			t.Errorf("%s %s?%s %q: %d %s", op.method, path, query, body, w.Code, w.Body)
		}
	})
}
