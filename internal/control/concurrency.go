package control

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"serin"
)

// PutFunctionConcurrency reserves concurrency for a function.
func (c *Control) PutFunctionConcurrency(ctx context.Context, in *lambda.PutFunctionConcurrencyInput, _ ...func(*lambda.Options)) (*lambda.PutFunctionConcurrencyOutput, error) {
	var v violations
	v.functionName(in.FunctionName)
	if in.ReservedConcurrentExecutions == nil {
		v.missing("reservedConcurrentExecutions")
	}
	v.between("reservedConcurrentExecutions", in.ReservedConcurrentExecutions, 0, 1<<31-1)
	function, err := c.wholeFunction(&v, in.FunctionName)
	if err != nil {
		return nil, err
	}
	c.budget.Lock()
	defer c.budget.Unlock()
	_, err = c.update(ctx, function, serin.Latest.String(), func(f *serin.Function) error {
		return f.ReserveConcurrency(int(*in.ReservedConcurrentExecutions), c.unreserved(function))
	})
	if err != nil {
		return nil, err
	}
	return &lambda.PutFunctionConcurrencyOutput{ReservedConcurrentExecutions: in.ReservedConcurrentExecutions}, nil
}

// DeleteFunctionConcurrency removes the reservation of a function.
func (c *Control) DeleteFunctionConcurrency(ctx context.Context, in *lambda.DeleteFunctionConcurrencyInput, _ ...func(*lambda.Options)) (*lambda.DeleteFunctionConcurrencyOutput, error) {
	var v violations
	v.functionName(in.FunctionName)
	function, err := c.wholeFunction(&v, in.FunctionName)
	if err != nil {
		return nil, err
	}
	_, err = c.update(ctx, function, serin.Latest.String(), func(f *serin.Function) error {
		f.ReleaseConcurrency()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &lambda.DeleteFunctionConcurrencyOutput{}, nil
}

// GetFunctionConcurrency returns the reservation of a function. A qualifier in the name makes no difference:
// all versions share one reservation.
func (c *Control) GetFunctionConcurrency(_ context.Context, in *lambda.GetFunctionConcurrencyInput, _ ...func(*lambda.Options)) (*lambda.GetFunctionConcurrencyOutput, error) {
	var v violations
	v.functionName(in.FunctionName)
	ref, err := v.refOr(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	f, err := c.function(ref.Function, "")
	if err != nil {
		return nil, err
	}
	return &lambda.GetFunctionConcurrencyOutput{ReservedConcurrentExecutions: int32s(f.Reserved)}, nil
}

// wholeFunction resolves the name of an operation that versions and aliases do not have.
func (c *Control) wholeFunction(v *violations, name *string) (string, error) {
	ref, err := v.refOr(c, name)
	if err == nil && ref.Qualifier != "" {
		err = serin.Errorf(serin.KindInvalid, "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.")
	}
	return ref.Function, err
}

// unreserved returns what the account's concurrency has left beside the claims of all functions but one. Who
// decides by it holds the lock on the budget; several servers that share a database may pass it together.
func (c *Control) unreserved(except string) int {
	left := c.Concurrency - c.Table.Claims()
	if f, ok := c.Table.Function(except); ok {
		left += f.ConcurrencyClaim()
	}
	return left
}
