package server_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"serin"
	"serin/internal/api"
)

// A release gives its canary traffic only when an environment of it is initialised.
func TestCanaryIsWarm(t *testing.T) {
	r := start(t)
	r.create(t, "shop", "import time\ntime.sleep(0.5)\nloaded = time.time_ns()\ndef handler(event, context):\n    return loaded\n", 2)
	r.alias(t, "live", "1")
	c := api.NewClient(r.Endpoint, r.Region, r.AccessKeyID, r.SecretAccessKey)
	policy := serin.DefaultPolicy()
	policy.Steps = []float64{5, 100}
	release, err := c.Start(t.Context(), api.StartRequest{Function: "shop", Alias: "live", Version: 2, Policy: policy})
	must(t, err)
	for len(release.Steps) == 0 {
		release, err = c.Wait(t.Context(), release.ReleaseID, release.Saved)
		must(t, err)
	}
	out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop"), Qualifier: aws.String("2")})
	must(t, err)
	loaded, err := strconv.ParseInt(string(out.Payload), 10, 64)
	must(t, err)
	if step := release.Steps[0].StartedAt; !time.Unix(0, loaded).Before(step) {
		t.Errorf("the canary got traffic at %v and was loaded at %v", step, time.Unix(0, loaded))
	}
}
