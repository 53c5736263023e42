package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serin runs a command in a directory against the server and returns its exit code and what it said.
func (b *built) serin(dir string, args ...string) (code int, stdout, stderr string) {
	b.tb.Helper()
	var out, said strings.Builder
	cmd := exec.CommandContext(b.tb.Context(), b.binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &said
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+b.Endpoint, "AWS_ACCESS_KEY_ID="+b.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+b.SecretAccessKey,
		"AWS_REGION="+b.Region, "AWS_DEFAULT_REGION="+b.Region)
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), out.String(), said.String()
	}
	if err != nil {
		b.tb.Fatal(err)
	}
	return 0, out.String(), said.String()
}

// An alarm vetoes a release: at the start it keeps it from beginning, later it brings the old version back. Alarms
// outlast a server that is killed.
func TestAlarmsVeto(t *testing.T) {
	needs(t, "aws", "python3")
	b := build(t)
	b.serve()
	project := filepath.Join(b.dir, "hello")
	expect := func(want int, text string, args ...string) {
		t.Helper()
		code, stdout, stderr := b.serin(project, args...)
		if code != want || !strings.Contains(stdout+stderr, text) {
			t.Fatalf("serin %s: exit code %d, want %d with %q\n%s%s", strings.Join(args, " "), code, want, text, stdout, stderr)
		}
	}
	if code, _, stderr := b.serin(b.dir, "init", "hello", "--runtime", "python"); code != 0 {
		t.Fatal(stderr)
	}
	expect(0, "", "ship")
	b.aws("cloudwatch", "put-metric-alarm", "--alarm-name", "errors", "--namespace", "app", "--metric-name", "errors", "--statistic", "Sum", "--period", "60",
		"--evaluation-periods", "1", "--threshold", "1", "--comparison-operator", "GreaterThanThreshold")
	b.aws("cloudwatch", "put-composite-alarm", "--alarm-name", "any", "--alarm-rule", "ALARM(errors)")
	b.aws("cloudwatch", "wait", "alarm-exists", "--alarm-names", "errors")
	set := func(state string) {
		t.Helper()
		b.aws("cloudwatch", "set-alarm-state", "--alarm-name", "errors", "--state-value", state, "--state-reason", "told so")
	}
	set("ALARM")
	b.kill()
	b.serve()
	expect(14, `alarm "errors" is in ALARM: told so; no traffic was moved`, "ship", "--alarm", "errors", "--env", "AA=1", "--json")
	expect(14, `There is no alarm "gone"`, "ship", "--alarm", "gone", "--env", "AA=1", "--json")
	set("INSUFFICIENT_DATA")
	yaml, err := os.ReadFile(filepath.Join(project, "serin.yaml"))
	if err == nil {
		err = os.WriteFile(filepath.Join(project, "serin.yaml"), append(yaml, "\nalarms: [any]\n"...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.settled("any", "OK")
	done := make(chan struct{})
	go func() {
		defer close(done)
		expect(10, `is in ALARM: arn:aws:cloudwatch:us-east-1:000000000000:alarm:errors transitioned to ALARM`, "ship", "--env", "AA=1", "--json")
	}()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, stdout, _ := b.serin(project, "status", "--json"); strings.Contains(stdout, `"running"`) {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("no release began: %s", stdout)
		}
	}
	set("ALARM")
	<-done
}

// settled waits until a composite alarm is in a state.
func (b *built) settled(name, state string) {
	b.tb.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		found := b.aws("cloudwatch", "describe-alarms", "--alarm-names", name, "--alarm-types", "CompositeAlarm")["CompositeAlarms"].([]any)
		if len(found) == 1 && found[0].(map[string]any)["StateValue"] == state {
			return
		}
	}
	b.tb.Fatalf("alarm %s did not become %s", name, state)
}
