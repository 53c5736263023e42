package codedeploy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"serin"
)

// appSpec is what an AppSpec file says about a function: move Alias from version Current to version Target.
type appSpec struct {
	Function string `json:"function"`
	Alias    string `json:"alias"`
	Current  string `json:"current"`
	Target   string `json:"target"`
	Before   string `json:"before,omitempty"` // the hook before the traffic: a function's name or ARN
	After    string `json:"after,omitempty"`
}

// Bounds of AppSpec files.
const (
	maxAppSpec  = 256 << 10 // bytes
	maxSpecText = 2000      // bytes of a value
)

// parseAppSpec reads an AppSpec file in YAML or JSON. Names of members count in any case, as AWS documents them in two.
//
// Errors: KindInvalid that says what is wrong, for texts that are no such file.
func parseAppSpec(content string) (*appSpec, error) {
	if len(content) > maxAppSpec {
		return nil, serin.Errorf(serin.KindInvalid, "it has %d bytes; at most %d", len(content), maxAppSpec)
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(content), &document); err != nil {
		return nil, serin.Errorf(serin.KindInvalid, "it is neither YAML nor JSON: %s", clip(err.Error()))
	}
	if len(document.Content) != 1 {
		return nil, serin.Errorf(serin.KindInvalid, "it is empty")
	}
	root := document.Content[0]
	if v := scalar(member(root, "version")); v != "0.0" && v != "0" {
		return nil, serin.Errorf(serin.KindInvalid, "its version must be 0.0")
	}
	resources := member(root, "resources")
	if resources == nil || resources.Kind != yaml.SequenceNode || len(resources.Content) != 1 ||
		resources.Content[0].Kind != yaml.MappingNode || len(resources.Content[0].Content) != 2 {
		return nil, serin.Errorf(serin.KindInvalid, "its Resources must be a list with exactly one function")
	}
	resource := resources.Content[0].Content[1]
	if kind := scalar(member(resource, "type")); kind != "AWS::Lambda::Function" {
		return nil, serin.Errorf(serin.KindInvalid, "the type of its resource must be AWS::Lambda::Function, not %s", cmp.Or(clip(kind), "missing"))
	}
	spec := &appSpec{}
	for name, to := range map[string]*string{"name": &spec.Function, "alias": &spec.Alias, "currentversion": &spec.Current, "targetversion": &spec.Target} {
		*to = scalar(member(member(resource, "properties"), name))
		if *to == "" || len(*to) > maxSpecText {
			return nil, serin.Errorf(serin.KindInvalid, "its Properties need Name, Alias, CurrentVersion and TargetVersion")
		}
	}
	return spec, spec.readHooks(member(root, "hooks"))
}

func (a *appSpec) readHooks(hooks *yaml.Node) error {
	if hooks == nil || hooks.Tag == "!!null" {
		return nil
	}
	if hooks.Kind != yaml.SequenceNode {
		return serin.Errorf(serin.KindInvalid, "its Hooks must be a list")
	}
	for _, hook := range hooks.Content {
		if hook.Kind != yaml.MappingNode {
			return serin.Errorf(serin.KindInvalid, "each of its Hooks must name an event and a function")
		}
		for i := 0; i+1 < len(hook.Content); i += 2 {
			function := scalar(hook.Content[i+1])
			to := map[string]*string{"beforeallowtraffic": &a.Before, "afterallowtraffic": &a.After}[strings.ToLower(hook.Content[i].Value)]
			if to == nil || *to != "" || function == "" || len(function) > maxSpecText {
				return serin.Errorf(serin.KindInvalid, "its Hooks are BeforeAllowTraffic and AfterAllowTraffic, each with one function; %s is not", clip(hook.Content[i].Value))
			}
			*to = function
		}
	}
	return nil
}

// member returns a member of a mapping, or nil. Aliases of YAML are not followed.
func member(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if strings.EqualFold(n.Content[i].Value, name) {
			return n.Content[i+1]
		}
	}
	return nil
}

// scalar returns the text of a value, or "".
func scalar(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

// text is the file that says the same.
func (a *appSpec) text() string {
	text := fmt.Sprintf("version: 0.0\nResources:\n  - Function:\n      Type: AWS::Lambda::Function\n      Properties:\n"+
		"        Name: %q\n        Alias: %q\n        CurrentVersion: %q\n        TargetVersion: %q\n", a.Function, a.Alias, a.Current, a.Target)
	return text
}

func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}
