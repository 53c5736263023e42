package awsapi

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/schemas"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// Maps are written in the order of their keys, also around other members and with lists within.
func TestMapsAreSorted(t *testing.T) {
	backend := &fakeLambda{}
	a := openAPI(backend, noInvoke)
	variables := map[string]string{}
	var names []string
	for _, name := range []string{"Z", "B", "C", "A", "Y", "b", "a", "D"} {
		variables[name] = strings.ToLower(name)
		names = append(names, fmt.Sprintf("%q:%q", name, strings.ToLower(name)))
	}
	slices.Sort(names)
	sorted := "{" + strings.Join(names, ",") + "}"
	for _, c := range []struct {
		request string
		out     any
		body    []string // parts of it
	}{
		{"GET /2017-03-31/tags/arn%3Aaws", &lambda.ListTagsOutput{Tags: variables}, []string{`{"Tags":` + sorted + `}`}},
		{
			"GET /2015-03-31/functions/f/configuration",
			&lambda.GetFunctionConfigurationOutput{
				Environment: &types.EnvironmentResponse{Variables: variables}, FunctionName: aws.String("f"), Runtime: types.RuntimeNodejs20x,
			},
			[]string{`"Environment":{"Variables":` + sorted + `}`, `"FunctionName":"f"`, `"Runtime":"nodejs20.x"`},
		},
		{
			"GET /2015-03-31/functions/f/aliases/live",
			&lambda.GetAliasOutput{Name: aws.String("live"), RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 0.25, "1": 0.5, "10": 0}}},
			[]string{`"AdditionalVersionWeights":{"1":0.5,"10":0,"2":0.25}`, `"Name":"live"`},
		},
	} {
		for range 10 {
			backend.answers(c.out, nil)
			method, target, _ := strings.Cut(c.request, " ")
			w := do(a, httptest.NewRequest(method, target, nil))
			for _, part := range c.body {
				if !strings.Contains(w.Body.String(), part) || !json.Valid(w.Body.Bytes()) {
					t.Fatalf("%s: %s, want %s", c.request, w.Body, part)
				}
			}
		}
	}
	// No operation that Serin has answers with lists in a map; they keep Go's order, and are whole.
	rec := httptest.NewRecorder()
	err := newEncoder(schemas.EventSourceMappingConfiguration).write(t.Context(), rec, 200, &lambda.GetEventSourceMappingOutput{
		SelfManagedEventSource: &types.SelfManagedEventSource{Endpoints: map[string][]string{"A": {"x", "y"}, "B": {"z"}}},
	})
	body := rec.Body.String()
	if err != nil || !json.Valid(rec.Body.Bytes()) || !strings.Contains(body, `"A":["x","y"]`) || !strings.Contains(body, `"B":["z"]`) {
		t.Errorf("lists in a map: %s, %v", body, err)
	}
}
