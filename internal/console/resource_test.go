package console

import (
	"encoding/json"
	"testing"
)

func FuzzAliasResource(f *testing.F) {
	f.Add(`{"Type":"AWS::Lambda::Alias","Properties":{"FunctionVersion":"2","Name":"live","RoutingConfig":{"AdditionalVersionWeights":[{"FunctionVersion":"1","FunctionWeight":0.1}]}}}`)
	f.Add(`{"Type":"AWS::Lambda::Alias","Properties":{"FunctionVersion":"2","Name":"live","RoutingConfig":{"AdditionalVersionWeights":{"1":0.1}}}}`)
	f.Add("Type: AWS::Lambda::Alias\nProperties:\n  Name: live\n  FunctionVersion: 3\n")
	f.Add(`{"Type":"AWS::Lambda::Alias","Properties":[]}`)
	f.Add(`{"Type":"AWS::Lambda::Alias","Properties":{"RoutingConfig":{"AdditionalVersionWeights":[1,null]}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		in := aliasInput{Function: "shop", Name: "live", Version: "1", Resource: text}
		if _, err := in.readResource(); err != nil {
			return
		}
		// What was read and written again is the same.
		again := aliasInput{Function: "shop", Name: "live", Resource: aliasResource("shop", &in)}
		if !json.Valid([]byte(again.Resource)) {
			t.Fatalf("%q is no JSON", again.Resource)
		}
		if _, err := again.readResource(); err != nil {
			t.Fatalf("%s: %v", again.Resource, err)
		}
		if in.Version != again.Version || in.Additional != again.Additional {
			t.Errorf("%s and then %s", text, again.Resource)
		}
	})
}

func FuzzEnvironment(f *testing.F) {
	for _, text := range []string{"A=b\nC=d", "A=b\r\n", `{"A":"b\nc"}`, "=", "A", "A=1\nA=2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		env, err := parseEnvironment(text)
		if err != nil {
			return
		}
		for key := range env { // names that Lambda takes
			if key == "" || key[0] == '{' || key != string([]rune(key)) {
				return
			}
		}
		again, err := parseEnvironment(environmentText(env))
		if err != nil && len(env) > 0 {
			t.Fatalf("%q: %v", environmentText(env), err)
		}
		for key, value := range env {
			if again[key] != value && len(key) > 0 && key[0] > ' ' {
				t.Errorf("%q: %q became %q", key, value, again[key])
			}
		}
	})
}

func TestCommandsAreQuoted(t *testing.T) {
	if got := command("serin", "ship", "-m", "it's $(rm) \"now\""); got != `serin ship -m 'it'\''s $(rm) "now"'` {
		t.Error(got)
	}
}
