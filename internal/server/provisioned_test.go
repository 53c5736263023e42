package server_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin/internal/server"
)

// telling is a function that tells what it is.
const telling = `
import os, time
def handler(event, context):
    time.sleep(event.get("sleep", 0))
    if event.get("exit"):
        os._exit(1)
    return {"type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], "version": context.function_version}
`

type identity struct{ Type, Version string }

func (r *running) tell(tb testing.TB, qualifier, event string) identity {
	tb.Helper()
	out, err := r.Invoke(tb.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop"), Qualifier: &qualifier, Payload: []byte(event)})
	must(tb, err)
	var t identity
	if out.FunctionError != nil {
		return t
	}
	must(tb, json.Unmarshal(out.Payload, &t))
	return t
}

func (r *running) provision(tb testing.TB, qualifier string, n int32) {
	tb.Helper()
	_, err := r.PutProvisionedConcurrencyConfig(tb.Context(), &lambda.PutProvisionedConcurrencyConfigInput{
		FunctionName: aws.String("shop"), Qualifier: &qualifier, ProvisionedConcurrentExecutions: &n,
	})
	must(tb, err)
}

// awaitProvisioned waits until the provisioned concurrency of a qualifier has a status.
func (r *running) awaitProvisioned(tb testing.TB, qualifier string, want types.ProvisionedConcurrencyStatusEnum) *lambda.GetProvisionedConcurrencyConfigOutput {
	tb.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(30 * time.Second); ; {
		out, err := r.GetProvisionedConcurrencyConfig(tb.Context(), &lambda.GetProvisionedConcurrencyConfigInput{FunctionName: aws.String("shop"), Qualifier: &qualifier})
		must(tb, err)
		if out.Status == want {
			return out
		}
		select {
		case <-ticker.C:
		case <-deadline:
			tb.Fatalf("provisioned concurrency is %s, %s", out.Status, aws.ToString(out.StatusReason))
		}
	}
}

func (r *running) alias(tb testing.TB, name, version string) {
	tb.Helper()
	_, err := r.CreateAlias(tb.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("shop"), Name: &name, FunctionVersion: &version})
	must(tb, err)
}

func (r *running) route(tb testing.TB, version string, weights map[string]float64) {
	tb.Helper()
	_, err := r.UpdateAlias(tb.Context(), &lambda.UpdateAliasInput{
		FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: &version,
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: weights},
	})
	must(tb, err)
}

const provisioned, onDemand = "provisioned-concurrency", "on-demand"

func TestProvisionedConcurrency(t *testing.T) {
	data := t.TempDir()
	on := func(c *server.Config) { c.Data = data }
	r := start(t, on)
	r.create(t, "shop", telling, 2)
	r.alias(t, "live", "1")
	r.provision(t, "live", 2)
	out := r.awaitProvisioned(t, "live", types.ProvisionedConcurrencyStatusEnumReady)
	if *out.AllocatedProvisionedConcurrentExecutions != 2 || *out.AvailableProvisionedConcurrentExecutions != 2 {
		t.Errorf("ready with %d allocated and %d available", *out.AllocatedProvisionedConcurrentExecutions, *out.AvailableProvisionedConcurrentExecutions)
	}
	first := r.tell(t, "live", `{}`)
	if first.Type != provisioned {
		t.Errorf("the first invocation ran %s", first.Type)
	}

	// One more than there are at a time runs on demand.
	types3 := make(chan string, 3)
	for range 3 {
		go func() { types3 <- r.tell(t, "live", `{"sleep": 1}`).Type }()
	}
	if got := strings.Join([]string{<-types3, <-types3, <-types3}, " "); strings.Count(got, provisioned) != 2 || strings.Count(got, onDemand) != 1 {
		t.Errorf("three at a time ran %s", got)
	}

	// What crashes is replaced.
	r.tell(t, "live", `{"exit": true}`)
	r.awaitProvisioned(t, "live", types.ProvisionedConcurrencyStatusEnumReady)
	if got := r.tell(t, "live", `{}`); got.Type != provisioned {
		t.Errorf("after a crash: %+v", got)
	}

	// The alias moves, and its environments follow; while it is weighted, both versions have some.
	r.route(t, "1", map[string]float64{"2": 0.5})
	r.awaitProvisioned(t, "live", types.ProvisionedConcurrencyStatusEnumReady)
	for _, v := range []string{"1", "2"} {
		if got := r.tell(t, v, `{}`); got.Type != provisioned {
			t.Errorf("version %s of a weighted alias ran %s", v, got.Type)
		}
	}
	r.route(t, "2", nil)
	r.awaitProvisioned(t, "live", types.ProvisionedConcurrencyStatusEnumReady)
	if got := r.tell(t, "live", `{}`); got.Type != provisioned || got.Version != "2" {
		t.Errorf("after the move: %+v", got)
	}
	if got := r.tell(t, "1", `{}`); got.Type != onDemand {
		t.Errorf("the version that the alias has left: %+v", got)
	}

	// It comes back with the server, and goes with the alias.
	r.stop()
	r = start(t, on)
	r.awaitProvisioned(t, "live", types.ProvisionedConcurrencyStatusEnumReady)
	if got := r.tell(t, "live", `{}`); got.Type != provisioned {
		t.Errorf("after a restart: %+v", got)
	}
	_, err := r.DeleteAlias(t.Context(), &lambda.DeleteAliasInput{FunctionName: aws.String("shop"), Name: aws.String("live")})
	must(t, err)
	for r.tell(t, "2", `{}`).Type == provisioned { // what the alias had ends soon
	}
}

func TestProvisionedConcurrencyFails(t *testing.T) {
	r := start(t)
	r.create(t, "shop", "raise RuntimeError('no start')\n", 1)
	r.provision(t, "1", 1)
	out := r.awaitProvisioned(t, "1", types.ProvisionedConcurrencyStatusEnumFailed)
	if got := aws.ToString(out.StatusReason); got != "FUNCTION_ERROR_INIT_FAILURE" || *out.AvailableProvisionedConcurrentExecutions != 0 {
		t.Errorf("%s with %d available", got, *out.AvailableProvisionedConcurrentExecutions)
	}
}
