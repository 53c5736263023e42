package control

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"serin"
)

func (c *Control) provision(t *testing.T, function, qualifier string, n int32) error {
	t.Helper()
	out, err := c.PutProvisionedConcurrencyConfig(t.Context(), &lambda.PutProvisionedConcurrencyConfigInput{
		FunctionName: &function, Qualifier: &qualifier, ProvisionedConcurrentExecutions: &n,
	})
	if err == nil && (out.Status != types.ProvisionedConcurrencyStatusEnumInProgress || *out.AvailableProvisionedConcurrentExecutions != 0 || *out.RequestedProvisionedConcurrentExecutions != n) {
		t.Errorf("the answer is %+v", out)
	}
	return err
}

func (c *Control) unreservedOfAccount(t *testing.T) int32 {
	t.Helper()
	out, err := c.GetAccountSettings(t.Context(), &lambda.GetAccountSettingsInput{})
	must(t, err)
	return *out.AccountLimit.UnreservedConcurrentExecutions
}

func TestProvisionedConcurrency(t *testing.T) {
	c := start(t)
	c.create(t, "shop", 2)
	_, err := c.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: aws.String("2")})
	must(t, err)
	status := map[string]string{"1": "READY", "live": "FAILED"}
	c.Provisioned = func(function, qualifier string) (int, int, string, string) {
		if function != "shop" {
			t.Errorf("asked about %s", function)
		}
		if status[qualifier] == "FAILED" {
			return 3, 1, "FAILED", "FUNCTION_ERROR_INIT_FAILURE"
		}
		return 4, 4, status[qualifier], ""
	}
	must(t, c.provision(t, "shop", "1", 4))
	must(t, c.provision(t, "shop", "live", 5))
	refused(t, "a version under a provisioned alias", c.provision(t, "shop", "2", 1), serin.KindConflict)
	if got := c.unreservedOfAccount(t); got != 991 {
		t.Errorf("%d are left for others, want 991", got)
	}

	list, err := c.ListProvisionedConcurrencyConfigs(t.Context(), &lambda.ListProvisionedConcurrencyConfigsInput{FunctionName: aws.String("shop")})
	must(t, err)
	var got []string
	for _, item := range list.ProvisionedConcurrencyConfigs {
		got = append(got, fmt.Sprint(*item.FunctionArn, " ", *item.RequestedProvisionedConcurrentExecutions, *item.AllocatedProvisionedConcurrentExecutions,
			*item.AvailableProvisionedConcurrentExecutions, " ", item.Status, " ", aws.ToString(item.StatusReason)))
	}
	const arn = "arn:aws:lambda:us-east-1:123456789012:function:shop:"
	if d := cmp.Diff([]string{arn + "1 4 4 4 READY ", arn + "live 5 3 1 FAILED FUNCTION_ERROR_INIT_FAILURE"}, got); d != "" {
		t.Error(d)
	}

	_, err = c.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("shop"), ReservedConcurrentExecutions: aws.Int32(8)})
	refused(t, "a reservation below what is provisioned", err, serin.KindInvalid)
	_, err = c.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("shop"), ReservedConcurrentExecutions: aws.Int32(9)})
	must(t, err)
	if got := c.unreservedOfAccount(t); got != 991 {
		t.Errorf("provisioned concurrency counts beside its reservation: %d are left", got)
	}
	refused(t, "more than is reserved", c.provision(t, "shop", "1", 5), serin.KindInvalid)

	for range 2 {
		_, err = c.DeleteProvisionedConcurrencyConfig(t.Context(), &lambda.DeleteProvisionedConcurrencyConfigInput{FunctionName: aws.String("shop"), Qualifier: aws.String("1")})
		must(t, err)
	}
	get := &lambda.GetProvisionedConcurrencyConfigInput{FunctionName: aws.String("shop"), Qualifier: aws.String("1")}
	_, err = c.GetProvisionedConcurrencyConfig(t.Context(), get)
	refused(t, "what was deleted", err, serin.KindNotProvisioned)
}

// However many reservations race, the account keeps what must stay unreserved.
func TestReservationsRace(t *testing.T) {
	c := start(t)
	const functions, each = 12, 100 // nine of them fit
	for i := range functions {
		c.create(t, fmt.Sprint("f", i), 0)
	}
	var made atomic.Int64
	var all sync.WaitGroup
	for i := range functions {
		all.Go(func() {
			_, err := c.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{
				FunctionName: aws.String(fmt.Sprint("f", i)), ReservedConcurrentExecutions: aws.Int32(each),
			})
			if err == nil {
				made.Add(1)
			} else if e, ok := errors.AsType[*serin.Error](err); !ok || e.Kind != serin.KindInvalid {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := c.unreservedOfAccount(t); made.Load() != 9 || got != 100 {
		t.Errorf("%d reservations of %d leave %d, want 9 and 100", made.Load(), each, got)
	}
}
