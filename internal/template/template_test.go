package template_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/template"
)

// read decodes and checks a template.
func read(source string) (*template.Template, error) {
	tree, err := template.Decode(source)
	if err != nil {
		return nil, err
	}
	return template.New(tree)
}

func must[T any](tb testing.TB) func(T, error) T {
	tb.Helper()
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// What is wrong with a template is said in CloudFormation's words.
func TestRefusals(t *testing.T) {
	one := "Resources: {A: {Type: T}}\n"
	for _, c := range []struct{ source, want string }{
		{"", "Template format error: unsupported structure."},
		{"just text", "Template format error: unsupported structure."},
		{"- a", "Template format error: unsupported structure."},
		{"a: b: c", "Template format error: YAML not well-formed."},
		{"Resources:\n  A: [", "Template format error: YAML not well-formed."},
		{"Resources:\n  A: {Type: T}\n  A: {Type: U}", "Template format error: YAML not well-formed. (line 3, column 3)"},
		{"--- {}\n--- {}", "There is more than one document."},
		{"{\"Resources\": {\"A\": nope}}", "Template format error: JSON not well-formed. (line 1, column 22)"},
		{"{\n\"Resources\":", "Template format error: JSON not well-formed. (line 2, column 12)"},
		{"{} {}", "JSON not well-formed."},
		{"a: &x [1]\nb: *x", "Template error: YAML aliases are not allowed in CloudFormation templates (line 2, column 4)"},
		{"a: {<<: {b: 1}}", "hash merges are not allowed"},
		{"a: !Wrong x", "Template error: unknown tag !Wrong (line 1, column 4)"},
		{"Resources: {A: {Type: T, Properties: {B: null}}}", "[/Resources/A/Properties/B] 'null' values are not allowed in templates"},
		{strings.Repeat("[", 300) + strings.Repeat("]", 300), "nested deeper"},
		{strings.Repeat("{\"a\":", 300) + "1" + strings.Repeat("}", 300), "nested deeper"},
		{strings.Repeat("x", template.MaxSize+1), "Template may not exceed 1000000 bytes in size."},
		{"{}", "Template format error: At least one Resources member must be defined."},
		{"Resources: {}", "Template format error: At least one Resources member must be defined."},
		{"Resources: {A: {Properties: {}}}", "Template format error: [/Resources/A] Every Resources object must contain a Type member."},
		{"Resources: {A: {Type: T, Invalid: 1}}", "Invalid template resource property 'Invalid'"},
		{"Resources: {a-b: {Type: T}}", "Template format error: Resource name a-b is non alphanumeric."},
		{"Resources: {A: {Type: T, DeletionPolicy: Keep}}", "Unrecognized DeletionPolicy Keep"},
		{"Nonsense: 1\n" + one, "Invalid template property or properties [Nonsense]"},
		{"AWSTemplateFormatVersion: 2012-01-01\n" + one, "2012-01-01 is not a supported value"},
		{"Parameters: {P: {}}\n" + one, "Every Parameters object must contain a Type member."},
		{"Parameters: {P: {Type: Text}}\n" + one, "Unrecognized parameter type: Text"},
		{"Parameters: {P: {Type: String, Wrong: 1}}\n" + one, "Invalid template parameter property 'Wrong'"},
		{"Outputs: {O: {Description: d}}\n" + one, "Every Outputs member must contain a Value object"},
		{"Resources: {A: {Type: T, DependsOn: B}}", "Unresolved resource dependencies [B] in the Resources block of the template"},
		{"Resources: {A: {Type: T, Properties: {P: !Sub '${B.Arn}-${AWS::Region}'}}}", "Unresolved resource dependencies [B] in the Resources block"},
		{"Outputs: {O: {Value: !Ref B}}\n" + one, "Unresolved resource dependencies [B] in the Outputs block"},
		{"Conditions: {C: !Equals [!Ref A, x]}\n" + one, "Unresolved dependencies [A]. Cannot reference resources in the Conditions block"},
		{"Resources: {A: {Type: T, Condition: C}}", "Unresolved condition dependency C in the Resources block"},
		{"Mappings: {M: x}\n" + one, "Every Mappings attribute must be a map of maps"},
		{manyResources(501), "Number of resources, 501, is greater than maximum allowed, 500"},
	} {
		_, err := read(c.source)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: got %v, want %s", c.source, err, c.want)
		}
		if err != nil && serin.KindOf(err) != serin.KindValidation {
			t.Errorf("%.60q: %v is of kind %d", c.source, err, serin.KindOf(err))
		}
	}
}

func manyResources(n int) string {
	var b strings.Builder
	b.WriteString("Resources:\n")
	for i := range n {
		fmt.Fprintf(&b, "  A%d: {Type: T}\n", i)
	}
	return b.String()
}

func TestCircles(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{`Resources: {A: {Type: T, DependsOn: B}, B: {Type: T, Properties: {X: !GetAtt A.Arn}}, C: {Type: T, DependsOn: [A]}}`, "Circular dependency between resources: [A, B]"},
		{`Resources: {A: {Type: T, DependsOn: A}}`, "Circular dependency between resources: [A]"},
		{`Resources: {A: {Type: T, Properties: {X: !Sub "${B}"}}, B: {Type: T, UpdatePolicy: {P: !Ref C}}, C: {Type: T, DependsOn: A}}`, "[A, B, C]"},
		{`Resources: {A: {Type: T, Properties: {X: !Sub ["${B}", {B: x}]}}, B: {Type: T, DependsOn: A}}`, ""},
		{`{"Parameters": {"P": {"Type": "String", "Default": "x"}}, "Conditions": {"C": {"Fn::Equals": [{"Ref": "P"}, "y"]}},
		  "Resources": {"A": {"Type": "T", "Properties": {"X": {"Fn::If": ["C", {"Ref": "B"}, "x"]}}}, "B": {"Type": "T", "DependsOn": "A"}}}`, ""},
	} {
		tpl := must[*template.Template](t)(read(c.source))
		s := &template.Scope{Parameters: must[template.Parameters](t)(tpl.Bind(t.Context(), nil, nil))}
		conditions := must[map[string]bool](t)(tpl.EvaluateConditions(s))
		_, err := tpl.Dependencies(conditions)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.source, err, c.want)
		}
	}
}

const sample = `
AWSTemplateFormatVersion: 2010-09-09
Transform: AWS::LanguageExtensions
Parameters:
  Stage: {Type: String, Default: dev, AllowedValues: [dev, prod]}
  Count: {Type: Number, Default: 3, MinValue: 1, MaxValue: 9}
  Zones: {Type: CommaDelimitedList, Default: "a, b ,c"}
  Secret: {Type: String, NoEcho: true, MinLength: 2, MaxLength: 4, Default: abc}
  Stored: {Type: "AWS::SSM::Parameter::Value<String>", Default: /name}
  Name: {Type: String, AllowedPattern: "[a-z]+", ConstraintDescription: small letters, Default: x}
Mappings:
  Sizes: {dev: {Memory: 128, List: [x, y]}, prod: {Memory: 1024}}
Conditions:
  Prod: !Equals [!Ref Stage, prod]
  Dev: !Not [!Condition Prod]
  Both: !And [!Condition Prod, !Equals [!Ref Count, "3"]]
  Any: !Or [!Condition Both, !Condition Dev]
Resources:
  A: {Type: T}
  B: {Type: T, Condition: Prod}
`

func sampleScope(tb testing.TB, given map[string]string) (*template.Template, *template.Scope) {
	tb.Helper()
	tpl := must[*template.Template](tb)(read(sample))
	bound := must[template.Parameters](tb)(tpl.Bind(tb.Context(), given, func(_ context.Context, name string) (string, error) { return "value of " + name, nil }))
	s := &template.Scope{
		Parameters: bound, Pseudo: map[string]any{"AWS::Region": "eu-central-1"},
		Ref: func(id string) (any, error) { return "id-" + id, nil },
		GetAtt: func(id, attribute string) (any, error) {
			if attribute == "Late" {
				return template.Unknown{}, nil
			}
			return id + "/" + attribute, nil
		},
		Import:  func(name string) (any, error) { return "import of " + name, nil },
		Dynamic: func(service, reference string) (string, error) { return service + "=" + reference, nil },
	}
	s.Conditions = must[map[string]bool](tb)(tpl.EvaluateConditions(s))
	return tpl, s
}

func TestIntrinsics(t *testing.T) {
	tpl, s := sampleScope(t, nil)
	if diff := cmp.Diff(map[string]bool{"Prod": false, "Dev": true, "Both": false, "Any": true}, s.Conditions); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		source string
		want   any
	}{
		{`!Ref Stage`, "dev"},
		{`!Ref Count`, "3"},
		{`!Ref Zones`, []any{"a", "b", "c"}},
		{`!Ref Stored`, "value of /name"},
		{`!Ref A`, "id-A"},
		{`!Ref AWS::Region`, "eu-central-1"},
		{`[1, !Ref AWS::NoValue, {x: !Ref AWS::NoValue, y: true}]`, []any{json.Number("1"), map[string]any{"y": true}}},
		{`!GetAtt A.Arn`, "A/Arn"},
		{`!GetAtt A.Outputs.X`, "A/Outputs.X"},
		{`{Fn::GetAtt: [A, !Ref Stage]}`, "A/dev"},
		{`!Sub "${AWS::Region}-${A}-${A.Arn}-${!Literal}-${Stage}"`, "eu-central-1-id-A-A/Arn-${Literal}-dev"},
		{`!Sub ["${X}${Stage}", {X: !Ref Count}]`, "3dev"},
		{`!Join ["-", [a, !Ref Stage, 1]]`, "a-dev-1"},
		{`!Join [",", !Ref Zones]`, "a,b,c"},
		{`!Select [1, !Split [",", "x,y,z"]]`, "y"},
		{`!Select ["0", !Ref Zones]`, "a"},
		{`!If [Dev, yes, !GetAtt Nowhere.X]`, "yes"},
		{`!If [Prod, 1, !Ref AWS::NoValue]`, nil},
		{`!FindInMap [Sizes, !Ref Stage, Memory]`, json.Number("128")},
		{`!FindInMap [Sizes, dev, List]`, []any{"x", "y"}},
		{`!FindInMap [Sizes, none, Memory, {DefaultValue: 5}]`, json.Number("5")},
		{`!Base64 {Fn::Sub: "${Stage}"}`, "ZGV2"},
		{`Fn::ImportValue: !Sub "${Stage}-x"`, "import of dev-x"},
		{`"a{{resolve:ssm:/p:1}}b"`, "assm=/p:1b"},
		{`!Sub "{{resolve:ssm:/${Stage}}}"`, "ssm=/dev"},
		{`!Length [1, 2]`, json.Number("2")},
		{`!ToJsonString {a: [1, !Ref Stage]}`, `{"a":[1,"dev"]}`},
		{`!GetAZs ""`, []any{"eu-central-1a", "eu-central-1b", "eu-central-1c"}},
		{`!Cidr [10.0.0.0/16, 2, 8]`, []any{"10.0.0.0/24", "10.0.1.0/24"}},
		{`!Sub "x${A.Late}"`, template.Unknown{}},
		{`!Join ["", [a, !GetAtt A.Late]]`, template.Unknown{}},
		{`{a: !GetAtt A.Late}`, map[string]any{"a": template.Unknown{}}},
		{`012345678901`, "012345678901"},
		{`0x1F`, "0x1F"},
		{`yes`, "yes"},
		{`2012-10-17`, "2012-10-17"},
	} {
		got, err := tpl.Evaluate(value(t, c.source), s)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", c.source, err, diff)
		}
	}
	for _, c := range []struct{ source, want string }{
		{`!Select [5, [a]]`, "Template error: Fn::Select  cannot select nonexistent value at index 5"},
		{`!Select [a]`, "Fn::Select requires a list argument with two elements"},
		{`!Join [a]`, "every Fn::Join object requires two parameters"},
		{`!Split ["", x]`, "every Fn::Split object requires two parameters"},
		{`!FindInMap [Sizes, dev, Disk]`, "Template error: Unable to get mapping for Sizes::dev::Disk"},
		{`!FindInMap [None, dev, Disk]`, "Mapping named 'None' is not present"},
		{`!Sub "${A b}"`, "variable names in Fn::Sub syntax"},
		{`!Sub "${A"`, "closing }"},
		{`!Sub [x]`, "One or more Fn::Sub intrinsic functions"},
		{`!If [None, 1, 2]`, "Unresolved condition dependency None"},
		{`!If [Dev, 1]`, "Fn::If requires a list argument with three elements"},
		{`!GetAtt Nowhere.Arn`, "Template error: instance of Fn::GetAtt references undefined resource Nowhere"},
		{`!GetAtt A`, "every Fn::GetAtt object requires two non-empty parameters"},
		{`!Base64 [a]`, "every Fn::Base64 object must have a String-typed value."},
		{`Fn::Nonsense: 1`, "the function Fn::Nonsense cannot be used here"},
		{`"{{resolve:ssm"`, "is not of the form"},
		{`!Cidr [10.0.0.0/24, 300, 8]`, "every Fn::Cidr object"},
		{`!Cidr [10.0.0.0/24, 2, 99]`, "every Fn::Cidr object"},
	} {
		if _, err := tpl.Evaluate(value(t, c.source), s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.source, err, c.want)
		}
	}
}

// value decodes a value with short forms.
func value(tb testing.TB, source string) any {
	tb.Helper()
	tree := must[map[string]any](tb)(template.Decode("V:\n  " + source))
	return tree["V"]
}

func TestParameters(t *testing.T) {
	tpl := must[*template.Template](t)(read(sample))
	lookup := func(_ context.Context, name string) (string, error) {
		if name == "/none" {
			return "", errors.New("no such parameter")
		}
		return "v", nil
	}
	for _, c := range []struct {
		given map[string]string
		want  string
	}{
		{nil, ""},
		{map[string]string{"Stage": "test"}, "Parameter 'Stage' must be one of AllowedValues"},
		{map[string]string{"Count": "0"}, "Parameter 'Count' must be a number not less than 1"},
		{map[string]string{"Count": "10"}, "Parameter 'Count' must be a number not greater than 9"},
		{map[string]string{"Count": "many"}, "Parameter 'Count' must be a number"},
		{map[string]string{"Secret": "a"}, "Parameter 'Secret' must contain at least 2 characters"},
		{map[string]string{"Secret": "abcde"}, "Parameter 'Secret' must contain at most 4 characters"},
		{map[string]string{"Name": "X1"}, "Parameter Name failed to satisfy constraint: small letters"},
		{map[string]string{"Stored": "/none"}, "no such parameter"},
		{map[string]string{"B": "1", "A": "1"}, "Parameters: [A, B] do not exist in the template"},
	} {
		_, err := tpl.Bind(t.Context(), c.given, lookup)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v: got %v, want %q", c.given, err, c.want)
		}
	}
	tpl = must[*template.Template](t)(read("Parameters: {Input: {Type: String}, More: {Type: String}}\nResources: {A: {Type: T}}"))
	if _, err := tpl.Bind(t.Context(), nil, nil); err == nil || err.Error() != "Parameters: [Input, More] must have values" {
		t.Errorf("missing parameters: %v", err)
	}
}

func TestRules(t *testing.T) {
	tpl := must[*template.Template](t)(read(`
Parameters: {V: {Type: String, Default: "5"}}
Rules:
  Check: {Assertions: [{Assert: {Fn::Not: [{Fn::Contains: [["1", "2"], !Ref V]}]}, AssertDescription: too old}]}
  Skipped: {RuleCondition: !Equals [!Ref V, none], Assertions: [{Assert: !Equals [a, b]}]}
Resources: {A: {Type: T}}`))
	for v, want := range map[string]string{"5": "", "2": "too old"} {
		s := &template.Scope{Parameters: must[template.Parameters](t)(tpl.Bind(t.Context(), map[string]string{"V": v}, nil))}
		if err := tpl.CheckRules(s); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("V=%s: %v", v, err)
		}
	}
}

// A short template cannot become a large value.
func TestValuesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("Parameters: {P: {Type: String}}\nResources: {A: {Type: T, Properties: {X: !Sub \"")
	b.WriteString(strings.Repeat("${P}", 2000) + "\"}}}")
	tpl := must[*template.Template](t)(read(b.String()))
	s := &template.Scope{Parameters: must[template.Parameters](t)(tpl.Bind(t.Context(), map[string]string{"P": strings.Repeat("x", 4096)}, nil))}
	if _, err := tpl.Evaluate(tpl.Resources["A"].Properties, s); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

// Whatever the text, it is refused in words or can be evaluated.
func FuzzTemplate(f *testing.F) {
	f.Add(sample)
	f.Add(`{"Resources":{"A":{"Type":"T","Properties":{"X":{"Fn::Sub":["${A}",{"A":"b"}]}}}},"Outputs":{"O":{"Value":{"Fn::GetAtt":["A","Arn"]}}}}`)
	f.Add("Resources: {A: {Type: T, Properties: {X: !Select [0, !Split [',', 'a,b']], Y: !Cidr [10.0.0.0/8, 256, 31]}}}")
	f.Add("a: &a [x]\nb: [*a, *a]")
	f.Fuzz(func(t *testing.T, source string) {
		tpl, err := read(source)
		if err != nil {
			if serin.KindOf(err) != serin.KindValidation {
				t.Fatalf("%v", err)
			}
			return
		}
		s := &template.Scope{Pseudo: map[string]any{"AWS::Region": "r"}, Ref: func(id string) (any, error) { return id, nil }, GetAtt: func(id, a string) (any, error) { return id + a, nil }}
		if s.Parameters, err = tpl.Bind(t.Context(), nil, nil); err != nil {
			return
		}
		if s.Conditions, err = tpl.EvaluateConditions(s); err != nil {
			return
		}
		_, _ = tpl.Dependencies(s.Conditions)
		_ = tpl.CheckRules(s)
		for _, r := range tpl.Resources {
			_, _ = tpl.Evaluate(r.Properties, s)
		}
	})
}
