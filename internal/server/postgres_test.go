package server_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"serin/internal/server"
	"serin/internal/store/storetest"
)

// The same server on PostgreSQL: what was acknowledged is routed by, and is there after a restart.
func TestOnPostgreSQL(t *testing.T) {
	url := storetest.StartPostgres(t).URL(t)
	data := t.TempDir()
	on := func(c *server.Config) { c.Data, c.Database = data, url }
	r := start(t, on)
	r.create(t, "shop", reporting, 2)
	_, err := r.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: aws.String("1")})
	must(t, err)
	for _, version := range []string{"2", "1", "2"} {
		_, err := r.UpdateAlias(t.Context(), &lambda.UpdateAliasInput{FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: &version})
		must(t, err)
		out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop:live")})
		must(t, err)
		if *out.ExecutedVersion != version {
			t.Errorf("version %s ran after the alias was moved to %s", *out.ExecutedVersion, version)
		}
	}
	before := r.everything(t)
	r.stop()
	if after := start(t, on).everything(t); after != before {
		t.Errorf("after the restart:\n%s\nbefore:\n%s", after, before)
	}
}
