package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/rogpeppe/go-internal/testscript"

	"serin/internal/api"
	"serin/internal/server"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"serin": main}) }

// TestScript runs testdata/script: what commands print and how they exit, against servers of their own.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, "xdg"))
			e.Setenv("GOPROXY", "off")
			for _, name := range []string{"GOMODCACHE", "GOCACHE"} {
				if value, err := exec.Command("go", "env", name).Output(); err == nil {
					e.Setenv(name, strings.TrimSpace(string(value)))
				}
			}
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "lambda-go" { // the module that the Go template needs is in the module cache
				return false, fmt.Errorf("unknown condition %s", name)
			}
			cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
			if err != nil {
				return false, nil //nolint:nilerr // no Go, no cache
			}
			_, err = os.Stat(filepath.Join(strings.TrimSpace(string(cache)), "cache/download/github.com/aws/aws-lambda-go/@v/v1.55.1.zip"))
			return err == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await": awaitReady, "terminate": terminate, "exits": exits, "json": jsonMember, "events": eventTypes,
			"release-active": releaseActive, "move-alias": moveAlias,
			"record-id": recordID,
		},
	})
}

// awaitReady (await FILE) waits for the ready file of a server and puts its members into $ENDPOINT, $LISTEN,
// $KEY, $SECRET and $REGION.
func awaitReady(ts *testscript.TestScript, _ bool, args []string) {
	var r server.Ready
	poll(ts, func() bool {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && json.Unmarshal(text, &r) == nil
	})
	ts.Setenv("ENDPOINT", r.Endpoint)
	ts.Setenv("LISTEN", strings.TrimPrefix(r.Endpoint, "http://"))
	ts.Setenv("KEY", r.AccessKeyID)
	ts.Setenv("SECRET", r.SecretAccessKey)
	ts.Setenv("REGION", r.Region)
}

// terminate (terminate FILE) sends SIGTERM to the server of a ready file.
func terminate(ts *testscript.TestScript, _ bool, args []string) {
	var r server.Ready
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
	ts.Check(syscall.Kill(r.PID, syscall.SIGTERM))
}

func poll(ts *testscript.TestScript, done func() bool) {
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("waited 20s in vain")
		}
	}
}

// exits (exits CODE PROGRAM ARG...) runs a program that must end with an exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// jsonMember (json FILE PATH VALUE) compares a member of a JSON document; in a file of several lines it is the
// last document. PATH is like steps.0.weight; a PATH that ends with len is the length of a list or map.
func jsonMember(ts *testscript.TestScript, neg bool, args []string) {
	text := strings.TrimSpace(ts.ReadFile(args[0]))
	var document any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	for decoder.More() {
		document = nil
		ts.Check(decoder.Decode(&document))
	}
	got := fmt.Sprint(lookUp(document, strings.Split(args[1], ".")))
	if (got == args[2]) == neg {
		ts.Fatalf("%s is %q, want %q", args[1], got, args[2])
	}
}

func lookUp(document any, path []string) any {
	for _, name := range path {
		switch at := document.(type) {
		case map[string]any:
			if name == "len" {
				return len(at)
			}
			document = at[name]
		case []any:
			if name == "len" {
				return len(at)
			}
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(at) {
				return nil
			}
			document = at[i]
		default:
			return nil
		}
	}
	return document
}

// eventTypes (events FILE TYPE...) compares the types of a stream of events; samples, of which there may be
// any number, are left out.
func eventTypes(ts *testscript.TestScript, _ bool, args []string) {
	var got []string
	for text := range strings.Lines(ts.ReadFile(args[0])) {
		var e struct{ Type string }
		ts.Check(json.Unmarshal([]byte(text), &e))
		if e.Type != "sample" {
			got = append(got, e.Type)
		}
	}
	if !slices.Equal(got, args[1:]) {
		ts.Fatalf("events %v, want %v", got, args[1:])
	}
}

// releaseActive (release-active FUNCTION [STEP]) waits until the alias live has an active release that has
// taken its first step, or as many as that.
func releaseActive(ts *testscript.TestScript, _ bool, args []string) {
	c := api.NewClient(ts.Getenv("ENDPOINT"), ts.Getenv("REGION"), ts.Getenv("KEY"), ts.Getenv("SECRET"))
	poll(ts, func() bool {
		status, err := c.Status(context.Background(), args[0])
		if err != nil || len(status.Aliases) != 1 || status.Aliases[0].Release == nil {
			return false
		}
		taken := len(status.Aliases[0].Release.Steps)
		return len(args) == 1 && taken > 0 || len(args) > 1 && strconv.Itoa(taken) == args[1]
	})
}

// moveAlias (move-alias FUNCTION VERSION) points the alias live at a version, as somebody else may do.
func moveAlias(ts *testscript.TestScript, _ bool, args []string) {
	c := lambda.New(lambda.Options{
		Region: ts.Getenv("REGION"), BaseEndpoint: new(ts.Getenv("ENDPOINT")),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: ts.Getenv("KEY"), SecretAccessKey: ts.Getenv("SECRET")}, nil
		}),
	})
	_, err := c.UpdateAlias(context.Background(), &lambda.UpdateAliasInput{
		FunctionName: &args[0], Name: new("live"), FunctionVersion: &args[1],
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{}},
	})
	ts.Check(err)
}

// recordID (record-id FILE NAME) puts the id of the first recording of a list into an environment variable.
func recordID(ts *testscript.TestScript, _ bool, args []string) {
	var all []struct{ ID string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &all))
	ts.Setenv(args[1], all[0].ID)
}
