package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

const (
	projectFile    = "serin.yaml"
	maxProjectFile = 64 << 10 // bytes
	defaultAlias   = "live"
)

// setting is one entry of serin.yaml: a value of the flag of that name. So a setting and its flag mean the
// same and are checked by the same code.
type setting struct {
	key    string
	line   int
	values []string // several for env and for listKeys
}

// projectKeys are the keys of serin.yaml and the flags of ship that they set.
var projectKeys = map[string]string{
	"function": "function", "alias": "alias", "runtime": "runtime", "handler": "handler", "role": "role",
	"memory": "memory", "timeout": "timeout", "env": "env", "build": "build", "package": "package",
	"preset": "preset", "steps": "steps", "pace": "pace", "watch": "watch", "holdback": "holdback", "bake": "bake", "maxWait": "max-wait", "onBlind": "on-blind", "alpha": "alpha",
	"maxHarm": "max-harm", "signals": "signals", "alarms": "alarm", "maxSlowdown": "max-slowdown", "smokeEvent": "smoke-event", "smokeHttp": "smoke-http", "beforeTraffic": "before-traffic",
	"afterTraffic": "after-traffic", "checkTimeout": "check-timeout", "smoke": "smoke", "traffic": "traffic", "trafficRate": "traffic-rate", "rate": "rate", "routingKey": "routing-key", "pins": "pins", "keep": "keep",
}

// listKeys are those that may have several values, each of which sets the flag once more.
var listKeys = []string{"alarms", "smokeEvent", "smokeHttp", "beforeTraffic", "afterTraffic"}

// commaKeys are those whose list is one value of the flag.
var commaKeys = []string{"steps", "signals"}

// readProject returns the settings of the serin.yaml in a directory, none if there is no such file.
func readProject(dir string) ([]setting, error) {
	name := filepath.Join(dir, projectFile)
	text, err := readFile(name, maxProjectFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case len(text) > maxProjectFile:
		return nil, usagef("%s is larger than %d bytes", name, maxProjectFile)
	}
	settings, err := parseProject(text)
	if err != nil {
		return nil, usagef("%s, %w", name, err)
	}
	return settings, nil
}

// parseProject reads a serin.yaml. Unknown keys are errors, and so is whatever is not as simple as it can be.
func parseProject(text []byte) ([]setting, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	if document.Kind == 0 { // nothing but comments
		return nil, nil
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: want lines like function: hello", root.Line)
	}
	var settings []setting
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if _, known := projectKeys[key.Value]; !known {
			return nil, fmt.Errorf("line %d: %.100q is not a setting; there are %s", key.Line, key.Value, strings.Join(sortedKeys(projectKeys), ", "))
		}
		if seen[key.Value] {
			return nil, fmt.Errorf("line %d: %s is there twice", key.Line, key.Value)
		}
		seen[key.Value] = true
		values, err := settingValues(key.Value, value)
		if err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", value.Line, key.Value, err)
		}
		settings = append(settings, setting{key: key.Value, line: key.Line, values: values})
	}
	return settings, nil
}

// settingValues returns the texts of a value: one, those of a list joined or one by one, K=V for env.
func settingValues(key string, value *yaml.Node) ([]string, error) {
	switch {
	case key == "env" && value.Kind == yaml.MappingNode:
		values := []string{}
		for i := 0; i+1 < len(value.Content); i += 2 {
			text, err := scalar(value.Content[i+1])
			if err != nil {
				return nil, err
			}
			values = append(values, value.Content[i].Value+"="+text)
		}
		return values, nil
	case key == "env":
		return nil, errors.New("want a map of names to values")
	case (slices.Contains(commaKeys, key) || slices.Contains(listKeys, key)) && value.Kind == yaml.SequenceNode:
		values := []string{}
		for _, item := range value.Content {
			text, err := scalar(item)
			if err != nil {
				return nil, err
			}
			values = append(values, text)
		}
		if slices.Contains(commaKeys, key) {
			return []string{strings.Join(values, ",")}, nil
		}
		return values, nil
	}
	text, err := scalar(value)
	return []string{text}, err
}

func scalar(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return "", errors.New("want one value")
	}
	return n.Value, nil
}

// presetFirst applies the preset before everything else that it may set, wherever it is named: the command line
// changes what serin.yaml's preset says, and flags that go with a preset on the command line change that. A preset
// on the command line takes the place of the pace of serin.yaml.
func presetFirst(flags *pflag.FlagSet, settings []setting) error {
	preset := flags.Lookup("preset")
	name := preset.Value.String()
	if s, ok := find(settings, "preset"); ok && !preset.Changed {
		name = s.values[0]
	}
	if name == "" {
		return nil
	}
	said := map[string]string{}
	for _, key := range []string{"steps", "bake", "pace"} {
		if flag := flags.Lookup(key); flag.Changed {
			said[key] = flag.Value.String()
		} else if preset.Changed {
			flag.Changed = true // what serin.yaml says is not asked any more
		}
	}
	if err := flags.Set("preset", name); err != nil {
		return usagef("%w", err)
	}
	for key, value := range said {
		if err := flags.Set(key, value); err != nil {
			return usagef("%w", err)
		}
	}
	return nil
}

// applyProject sets the flags that the command line did not set. env is left out: its flags add to it.
func applyProject(flags *pflag.FlagSet, settings []setting) error {
	for _, s := range settings {
		name := projectKeys[s.key]
		if flag := flags.Lookup(name); s.key == "env" || flag == nil || flag.Changed {
			continue
		}
		for _, value := range s.values {
			if err := flags.Set(name, value); err != nil {
				return usagef("%s, line %d: %w", projectFile, s.line, err)
			}
		}
	}
	return nil
}

func find(settings []setting, key string) (setting, bool) {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.key == key })
	if i < 0 {
		return setting{}, false
	}
	return settings[i], true
}

// subject is the alias that a command is about.
type subject struct{ function, alias string }

func (s *subject) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.function, "function", "f", "", "function (default from serin.yaml)")
	cmd.Flags().StringVarP(&s.alias, "alias", "a", "", "alias (default from serin.yaml, then "+defaultAlias+")")
}

// complete fills in what the flags left out from the serin.yaml of the current directory. The function stays
// empty if nothing names it.
func (s *subject) complete() error {
	settings, err := readProject(".")
	if err != nil {
		return err
	}
	if named, ok := find(settings, "function"); ok && s.function == "" {
		s.function = named.values[0]
	}
	if named, ok := find(settings, "alias"); ok && s.alias == "" {
		s.alias = named.values[0]
	}
	s.alias = cmp.Or(s.alias, defaultAlias)
	return nil
}

// required is complete for commands that need a function.
func (s *subject) required() error {
	if err := s.complete(); err != nil {
		return err
	}
	if s.function == "" {
		return usagef("which function? Say --function NAME, or run this where its %s is", projectFile)
	}
	return nil
}

func (s *subject) String() string { return s.function + " " + s.alias }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
