package codedeploy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const yamlSpec = `version: 0.0
Resources:
  - MyFn:
      Type: AWS::Lambda::Function
      Properties:
        Name: shop
        Alias: live
        CurrentVersion: "1"
        TargetVersion: 2
Hooks:
  - BeforeAllowTraffic: CodeDeployHook_pre
  - AfterAllowTraffic: CodeDeployHook_post
`

const jsonSpec = `{"version": 0.0, "resources": [{"f": {"type": "AWS::Lambda::Function", "properties": {
"name": "shop", "alias": "live", "currentversion": 1, "targetversion": "2"}}}], "hooks": [{"BeforeAllowTraffic": "CodeDeployHook_pre"}, {"afterAllowTraffic": "CodeDeployHook_post"}]}`

func TestParseAppSpec(t *testing.T) {
	want := &appSpec{Function: "shop", Alias: "live", Current: "1", Target: "2", Before: "CodeDeployHook_pre", After: "CodeDeployHook_post"}
	for name, text := range map[string]string{"YAML": yamlSpec, "JSON": jsonSpec} {
		got, err := parseAppSpec(text)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: %v %s", name, err, d)
		}
	}
	if got, err := parseAppSpec(want.text()); err != nil || got.Target != "2" {
		t.Errorf("%+v, %v", got, err)
	}
	for text, reason := range map[string]string{
		"":             "empty",
		"{":            "neither YAML nor JSON",
		"version: 1.0": "version",
		"version: 0.0": "Resources",
		strings.Replace(yamlSpec, "AWS::Lambda::Function", "AWS::ECS::Service", 1):                      "AWS::ECS::Service",
		strings.Replace(yamlSpec, "        Alias: live\n", "", 1):                                       "Name, Alias",
		strings.Replace(yamlSpec, "AfterAllowTraffic", "AfterInstall", 1):                               "AfterInstall",
		strings.Replace(yamlSpec, "AfterAllowTraffic", "BeforeAllowTraffic", 1):                         "BeforeAllowTraffic",
		strings.Replace(yamlSpec, "Hooks:", "  - Other:\n      Type: AWS::Lambda::Function\nHooks:", 1): "exactly one function",
		strings.Repeat("#", maxAppSpec+1):                                                               "at most",
	} {
		if _, err := parseAppSpec(text); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%.60q: %v, want %q", text, err, reason)
		}
	}
}

func FuzzParseAppSpec(f *testing.F) {
	for _, seed := range []string{yamlSpec, jsonSpec, "a: &a [*a]", "version: 0.0\nResources: [{}]", "- - -", "? ? ?"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := parseAppSpec(text)
		if err != nil {
			return
		}
		again, err := parseAppSpec(spec.text())
		if err != nil && !strings.Contains(spec.text(), `\`) {
			t.Fatalf("%q cannot be written again: %v", text, err)
		}
		if err == nil && (again.Function != spec.Function || again.Target != spec.Target) && !strings.Contains(spec.text(), `\`) {
			t.Fatalf("%+v became %+v", spec, again)
		}
	})
}
