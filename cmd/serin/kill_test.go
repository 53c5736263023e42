package main

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
	"serin/internal/api"
)

// install makes a function with two versions and an alias on the first.
func install(t *testing.T, b *built) {
	t.Helper()
	zip := filepath.Join(b.dir, "code.zip")
	writeZip(t, zip, "app.py", "def handler(event, context):\n    return context.function_version\n")
	code, err := os.ReadFile(zip)
	if err != nil {
		t.Fatal(err)
	}
	c := b.lambda()
	_, err = c.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String("shop"), Runtime: types.RuntimePython312, Handler: aws.String("app.handler"),
		Role: aws.String("arn:aws:iam::000000000000:role/r"), Code: &types.FunctionCode{ZipFile: code}, Publish: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("shop"), MemorySize: aws.Int32(256)}); err != nil {
		t.Fatal(err)
	}
	if _, err = c.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: aws.String("shop")}); err != nil {
		t.Fatal(err)
	}
	_, err = c.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: aws.String("1")})
	if err != nil {
		t.Fatal(err)
	}
}

// G8 and G3: a release survives having its server killed again and again, and what was acknowledged before a
// kill is there after it.
func TestKillAndRestart(t *testing.T) {
	needs(t, "python3")
	b := build(t)
	b.serve()
	install(t, b)
	policy := serin.DefaultPolicy()
	policy.Bake = serin.Duration(time.Second)
	started, err := b.api().Start(t.Context(), api.StartRequest{Function: "shop", Alias: "live", Version: 2, Policy: policy})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		noted := note(t, b)
		traffic(t, b, 700*time.Millisecond)
		b.kill()
		b.serve()
		if got := description(t, b); got != noted {
			t.Errorf("the description that was acknowledged before the kill was %q, after it is %q", noted, got)
		}
		if doc, err := b.api().Release(t.Context(), started.ReleaseID); err != nil || doc.Outcome == serin.EndingRolledBack {
			t.Fatalf("after a kill: %+v, %v", doc, err)
		}
	}
	for deadline := time.Now().Add(time.Minute); ; {
		traffic(t, b, 500*time.Millisecond)
		doc, err := b.api().Release(t.Context(), started.ReleaseID)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%+v, %v", doc, err)
		}
		if doc.Phase == serin.PhaseEnded {
			if doc.Outcome != serin.EndingPromoted || doc.TrafficNow[2] != 100 {
				t.Errorf("ended as %s with traffic %v: %s", doc.Outcome, doc.TrafficNow, doc.Reason.Text)
			}
			return
		}
	}
}

// note writes something and returns it when it has been acknowledged.
func note(t *testing.T, b *built) string {
	t.Helper()
	text := strconv.FormatUint(rand.Uint64(), 36)
	_, err := b.lambda().UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("shop"), Description: &text})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func description(t *testing.T, b *built) string {
	t.Helper()
	out, err := b.lambda().GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("shop")})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Description
}

// traffic invokes the alias for a while, as fast as the server answers.
func traffic(t *testing.T, b *built, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	client := b.lambda()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, _ = client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("shop:live")}) // the end of ctx is no fault
			}
		})
	}
	wg.Wait()
}
