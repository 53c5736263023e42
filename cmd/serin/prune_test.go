package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"serin"
	"serin/internal/api"
)

// G7 and G3: the server is killed while it prunes, again and again. After each restart the alias routes to a version that
// runs, a rollback finds its version, and what was acknowledged as removed is gone.
func TestKillWhilePruning(t *testing.T) {
	needs(t, "python3")
	b := build(t)
	b.serve()
	install(t, b)
	move := func(version string) {
		t.Helper()
		if _, err := b.lambda().UpdateAlias(t.Context(), &lambda.UpdateAliasInput{FunctionName: new("shop"), Name: new("live"), FunctionVersion: &version}); err != nil {
			t.Fatal(err)
		}
	}
	move("2") // so that version 1 is the last good one
	zip := filepath.Join(b.dir, "code.zip")
	for round := range 4 {
		for n := range 15 {
			writeZip(t, zip, "app.py", fmt.Sprintf("# %d %d\ndef handler(event, context):\n    return context.function_version\n", round, n))
			code, err := os.ReadFile(zip)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.lambda().UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: new("shop"), ZipFile: code, Publish: true}); err != nil {
				t.Fatal(err)
			}
		}
		in := api.PruneRequest{Function: "shop", Retention: serin.Retention{Keep: 1}}
		acknowledged := make(chan *api.PruneDocument, 1)
		go func() {
			d, _ := b.api().Prune(t.Context(), in) // an error is the kill
			acknowledged <- d
		}()
		var done *api.PruneDocument
		select { // somewhere in the middle, or right after
		case done = <-acknowledged:
			b.kill()
		case <-time.After(time.Duration(round) * 4 * time.Millisecond):
			b.kill()
			done = <-acknowledged
		}
		b.serve()
		out, err := b.lambda().Invoke(t.Context(), &lambda.InvokeInput{FunctionName: new("shop:live")})
		if err != nil || out.FunctionError != nil || string(out.Payload) != `"2"` {
			t.Fatalf("round %d: live answers %s, %v", round, out.Payload, err)
		}
		plan, err := b.api().Rollback(t.Context(), api.RollbackRequest{Function: "shop", Alias: "live", DryRun: true})
		if err != nil || plan.To.Version != 1 {
			t.Fatalf("round %d: a rollback: %+v, %v", round, plan, err)
		}
		now, err := b.api().Prune(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if removed := len(now.Functions[0].Removed); done != nil && removed != 0 {
			t.Errorf("round %d: %d versions are back", round, removed)
		}
	}
	if _, err := b.api().Rollback(t.Context(), api.RollbackRequest{Function: "shop", Alias: "live"}); err != nil {
		t.Fatal(err)
	}
	if out, err := b.lambda().Invoke(t.Context(), &lambda.InvokeInput{FunctionName: new("shop:live")}); err != nil || string(out.Payload) != `"1"` {
		t.Errorf("after the rollback: %v, %v", out, err)
	}
}
