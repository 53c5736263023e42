package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// The walk of a release engineer with nothing but the aws command line: publish twice, point an alias at
// version 2, give version 1 a tenth of the traffic, and take it back. The thousand invocations go through the SDK,
// because starting the command line a thousand times takes minutes.
func TestReleaseEngineerWalk(t *testing.T) {
	needs(t, "aws", "python3")
	b := build(t)
	b.serve()
	const source = "def handler(event, context):\n    return {\"version\": context.function_version}\n"
	writeZip(t, filepath.Join(b.dir, "code.zip"), "app.py", source)

	b.aws("lambda", "create-function", "--function-name", "MyLambdaFunction", "--runtime", "python3.11", "--handler", "app.handler",
		"--role", "arn:aws:iam::000000000000:role/lambda", "--zip-file", "fileb://code.zip")
	b.aws("lambda", "wait", "function-active-v2", "--function-name", "MyLambdaFunction")
	if v := b.aws("lambda", "publish-version", "--function-name", "MyLambdaFunction")["Version"]; v != "1" {
		t.Fatalf("first published version is %v", v)
	}
	b.aws("lambda", "update-function-configuration", "--function-name", "MyLambdaFunction", "--description", "second")
	b.aws("lambda", "wait", "function-updated-v2", "--function-name", "MyLambdaFunction")
	if v := b.aws("lambda", "publish-version", "--function-name", "MyLambdaFunction")["Version"]; v != "2" {
		t.Fatalf("second published version is %v", v)
	}
	b.aws("lambda", "create-alias", "--function-name", "MyLambdaFunction", "--name", "prod", "--function-version", "2")
	updated := b.aws("lambda", "update-alias", "--function-name", "MyLambdaFunction", "--name", "prod",
		"--routing-config", `{"AdditionalVersionWeights":{"1":0.1}}`)
	if w := updated["RoutingConfig"].(map[string]any)["AdditionalVersionWeights"].(map[string]any)["1"]; w != 0.1 {
		t.Fatalf("weights: %v", updated)
	}

	const n = 1000
	old := shareOfVersion1(t, b, n)
	low, high := binomialInterval(n, 0.1)
	t.Logf("version 1 got %d of %d invocations; 99.9 %% of all runs lie in [%d, %d]", old, n, low, high)
	if old < low || old > high {
		t.Errorf("version 1 got %d of %d invocations, outside [%d, %d]", old, n, low, high)
	}
	b.aws("lambda", "invoke", "--function-name", "MyLambdaFunction:prod", "out.json")

	b.aws("lambda", "update-alias", "--function-name", "MyLambdaFunction", "--name", "prod", "--routing-config", `{"AdditionalVersionWeights":{}}`)
	if old := shareOfVersion1(t, b, 300); old != 0 {
		t.Errorf("version 1 still got %d invocations after the update was acknowledged", old)
	}
}

// shareOfVersion1 invokes the alias and returns how many invocations ran version 1.
func shareOfVersion1(t *testing.T, b *built, n int) int {
	t.Helper()
	client := b.lambda()
	var left, old atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				out, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("MyLambdaFunction:prod"), Payload: []byte("{}")})
				if err != nil {
					t.Error(err)
					return
				}
				var said struct{ Version string }
				if err := json.Unmarshal(out.Payload, &said); err != nil || said.Version != *out.ExecutedVersion {
					t.Errorf("ExecutedVersion %s, but the function says %s", *out.ExecutedVersion, out.Payload)
				}
				if *out.ExecutedVersion == "1" {
					old.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return int(old.Load())
}

// binomialInterval is the smallest interval around the mean that a binomial(n, p) count leaves with a
// probability of at most 0.05 % on either side, from the exact distribution.
func binomialInterval(n int, p float64) (low, high int) {
	logFactorial := func(k int) float64 { v, _ := math.Lgamma(float64(k) + 1); return v }
	probability := func(k int) float64 {
		return math.Exp(logFactorial(n) - logFactorial(k) - logFactorial(n-k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	}
	const tail = 0.0005
	for sum := 0.0; ; low++ {
		if sum += probability(low); sum > tail {
			break
		}
	}
	high = n
	for sum := 0.0; ; high-- {
		if sum += probability(high); sum > tail {
			break
		}
	}
	return low, high
}

func writeZip(t *testing.T, path, name, content string) {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	w, err := z.Create(name)
	if err == nil {
		_, err = w.Write([]byte(content))
	}
	if err == nil {
		err = z.Close()
	}
	if err == nil {
		err = os.WriteFile(path, buf.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
