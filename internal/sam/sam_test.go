package sam_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"serin/internal/sam"
	"serin/internal/template"
)

// TestRecordings compares with what aws-sam-translator makes of the same templates (testdata/record.py).
func TestRecordings(t *testing.T) {
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal("no templates", err)
	}
	for _, name := range names {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		recorded, err := os.ReadFile(strings.TrimSuffix(name, ".yaml") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		want, err := template.Decode(string(recorded))
		if err != nil {
			t.Fatal(err)
		}
		tree, err := template.Decode(string(source))
		if err != nil {
			t.Fatal(err)
		}
		got, err := sam.Transform(tree, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(normal(t, want), normal(t, got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if again, err := sam.Transform(tree, nil); err != nil || cmp.Diff(normal(t, got), normal(t, again)) != "" {
			t.Errorf("%s: the template was changed: %v", name, err)
		}
	}
}

// normal returns a tree as JSON has it.
func normal(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct{ resources, want string }{
		"local code":         {`F: {Type: AWS::Serverless::Function, Properties: {CodeUri: ./src}}`, "'CodeUri' is not a valid S3 Uri"},
		"no code":            {`F: {Type: AWS::Serverless::Function, Properties: {Handler: a.b}}`, "Resource with id [F] is invalid. Either 'InlineCode'"},
		"preference alone":   {`F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, DeploymentPreference: {Type: AllAtOnce}}}`, "requires AutoPublishAlias"},
		"digits":             {`F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, AutoPublishAlias: "1"}}`, "'AutoPublishAlias' must be"},
		"unresolvable alias": {`F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, AutoPublishAlias: !GetAtt A.B}}`, "'AutoPublishAlias' must be"},
		"no type":            {`F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, AutoPublishAlias: a, DeploymentPreference: {}}}`, "property Type"},
		"unknown property":   {`F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Colour: red}}`, "property Colour not defined"},
		"queue":              {`F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Events: {Q: {Type: SQS, Properties: {}}}}}`, "no events of type SQS"},
		"rest api":           {`A: {Type: AWS::Serverless::Api, Properties: {StageName: a}}`, "REST APIs"},
		"table":              {`T: {Type: AWS::Serverless::SimpleTable}`, "does not expand AWS::Serverless::SimpleTable"},
		"connectors":         {`F: {Type: AWS::Lambda::Function, Connectors: {}}`, "Connectors are not supported"},
		"other api":          {`F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Events: {E: {Type: HttpApi, Properties: {ApiId: !Ref Nope, Path: /, Method: get}}}}}`, "ApiId must be a valid reference"},
		"route twice": {`F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Events: {E: {Type: HttpApi, Properties: {Path: /, Method: get}},
                  G: {Type: HttpApi, Properties: {Path: /, Method: GET}}}}}`, "multiple times"},
		"authorizer": {`F: {Type: AWS::Serverless::Function, Properties: {InlineCode: x, Events: {E: {Type: HttpApi, Properties: {Path: /, Method: get, Auth: {}}}}}}`, "authorizers"},
		"two errors": {"F: {Type: AWS::Serverless::Application}\n  G: {Type: AWS::Serverless::StateMachine}", "Number of errors found: 2."},
	} {
		tree, err := template.Decode("Transform: AWS::Serverless-2016-10-31\nResources:\n  " + c.resources + "\n")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if out, err := sam.Transform(tree, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v %v, want %s", name, out, err, c.want)
		}
	}
}

// The version has another logical id when the code or a setting that it runs with changes, and else the same.
func TestVersionsFollowTheCode(t *testing.T) {
	base := `{Type: AWS::Serverless::Function, Properties: {CodeUri: {Bucket: b, Key: !Ref Key}, Handler: a.b, AutoPublishAlias: live, MemorySize: 128`
	version := func(more string, parameters map[string]string) string {
		tree, err := template.Decode("Parameters: {Key: {Type: String, Default: one}}\nResources:\n  F: " + base + more + "}}\n")
		if err != nil {
			t.Fatal(err)
		}
		out, err := sam.Transform(tree, parameters)
		if err != nil {
			t.Fatal(err)
		}
		resources, _ := out["Resources"].(map[string]any)
		for id := range resources {
			if strings.HasPrefix(id, "FVersion") {
				return id
			}
		}
		t.Fatal("no version")
		return ""
	}
	first := version("", nil)
	for name, c := range map[string]struct {
		more       string
		parameters map[string]string
		same       bool
	}{
		"the same":       {"", map[string]string{"Key": "one"}, true},
		"description":    {", Description: d", nil, true},
		"other code":     {"", map[string]string{"Key": "two"}, false},
		"environment":    {", Environment: {Variables: {A: b}}", nil, false},
		"all properties": {", AutoPublishAliasAllProperties: true, Description: d", nil, false},
	} {
		if got := version(c.more, c.parameters); (got == first) != c.same {
			t.Errorf("%s: %s after %s", name, got, first)
		}
	}
}

func FuzzTransform(f *testing.F) {
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		source, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(source))
	}
	f.Add(`{"Resources": {"F": {"Type": "AWS::Serverless::Function", "Properties": {"Events": 1, "CodeUri": "s3://a/b", "Policies": [[]], "Tags": 1}}}}`)
	f.Add(`{"Outputs": {"O": {"Value": {"Fn::Sub": []}, "P": {"Fn::GetAtt": [1]}, "Q": {"Fn::GetAtt": "x"}}}, "Resources": {"L": {"Type": "A::B"}}}`)
	f.Add(`{"Globals": {"Function": {"Layers": 1}}, "Outputs": {"O": {"Value": {"Fn::Sub": []}}}, "Resources": {"L": {"Type": "AWS::Serverless::LayerVersion"}}}`)
	f.Fuzz(func(t *testing.T, source string) {
		tree, err := template.Decode(source)
		if err != nil {
			return
		}
		out, err := sam.Transform(tree, nil)
		if err != nil {
			return
		}
		resources, _ := out["Resources"].(map[string]any)
		for id, r := range resources {
			m, _ := r.(map[string]any)
			if kind, _ := m["Type"].(string); strings.HasPrefix(kind, "AWS::Serverless::") {
				t.Errorf("%s is still a %s", id, kind)
			}
		}
	})
}
