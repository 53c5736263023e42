package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A bare resource becomes a template, and weights as a map become the list, which is said.
func TestApplyReadsBareResources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "live alias.json")
	text := `{"Type": "AWS::Lambda::Alias", "Properties": {"Name": "live", "FunctionName": "f", "FunctionVersion": "2", "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.1}}}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	j := application{app: &app{System: System{Stderr: &said}}}
	if err := j.read(file, []string{"A=b=c"}); err != nil {
		t.Fatal(err)
	}
	want := `{"Resources":{"Resource":{"Properties":{"FunctionName":"f","FunctionVersion":"2","Name":"live","RoutingConfig":{"AdditionalVersionWeights":[{"FunctionVersion":"1","FunctionWeight":0.1}]}},"Type":"AWS::Lambda::Alias"}}}`
	if j.body != want || j.stack != "live-alias" || *j.parameters[0].ParameterValue != "b=c" {
		t.Errorf("stack %s, parameters %v:\n%s", j.stack, j.parameters, j.body)
	}
	if !strings.Contains(said.String(), `[{"FunctionVersion": "1", "FunctionWeight": 0.1}]`) {
		t.Errorf("said %q", said.String())
	}
	for _, c := range []struct{ text, parameter, want string }{
		{"{", "", "JSON not well-formed"},
		{"{}", "nonsense", "is not KEY=VALUE"},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var given []string
		if c.parameter != "" {
			given = []string{c.parameter}
		}
		if err := j.read(file, given); err == nil || !strings.Contains(err.Error(), c.want) || exitCode(err) != exitUsage {
			t.Errorf("%s: %v, exit code %d", c.text, err, exitCode(err))
		}
	}
}
