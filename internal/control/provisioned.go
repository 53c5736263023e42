package control

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
)

const provisionedQualifier = `(|[a-zA-Z0-9$_-]+)`

var provisionedPattern = whole(provisionedQualifier)

// provisionedLayout is how AWS writes the LastModified of provisioned concurrency (AWS documentation, 2025).
const provisionedLayout = "2006-01-02T15:04:05-0700"

// PutProvisionedConcurrencyConfig keeps execution environments initialised for a version or an alias. It
// returns before they are.
func (c *Control) PutProvisionedConcurrencyConfig(ctx context.Context, in *lambda.PutProvisionedConcurrencyConfigInput, _ ...func(*lambda.Options)) (*lambda.PutProvisionedConcurrencyConfigOutput, error) {
	var v violations
	if in.ProvisionedConcurrentExecutions == nil {
		v.missing("provisionedConcurrentExecutions")
	}
	v.between("provisionedConcurrentExecutions", in.ProvisionedConcurrentExecutions, 1, 1<<31-1)
	ref, err := v.provisioned(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	c.budget.Lock()
	defer c.budget.Unlock()
	var p *serin.Provisioned
	_, err = c.updateOr(ctx, ref.Function, c.notProvisionable(ref), func(f *serin.Function) (err error) {
		p, err = f.ProvisionConcurrency(c.change(ctx, serin.CauseManual), ref.Qualifier, int(*in.ProvisionedConcurrentExecutions), c.unreserved(ref.Function))
		return err
	})
	if err != nil {
		return nil, err
	}
	return &lambda.PutProvisionedConcurrencyConfigOutput{
		RequestedProvisionedConcurrentExecutions: in.ProvisionedConcurrentExecutions,
		AllocatedProvisionedConcurrentExecutions: new(int32(0)), AvailableProvisionedConcurrentExecutions: new(int32(0)),
		Status: types.ProvisionedConcurrencyStatusEnumInProgress, LastModified: new(p.LastModified.Format(provisionedLayout)),
	}, nil
}

// GetProvisionedConcurrencyConfig returns the provisioned concurrency of a version or an alias and how far it is.
func (c *Control) GetProvisionedConcurrencyConfig(_ context.Context, in *lambda.GetProvisionedConcurrencyConfigInput, _ ...func(*lambda.Options)) (*lambda.GetProvisionedConcurrencyConfigOutput, error) {
	var v violations
	ref, err := v.provisioned(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	f, err := c.functionOr(ref.Function, c.notProvisionable(ref))
	if err != nil {
		return nil, err
	}
	if _, err := f.ProvisionedAt(ref.Qualifier); err != nil {
		return nil, err
	}
	item := c.provisionedItem(f, ref.Qualifier)
	return &lambda.GetProvisionedConcurrencyConfigOutput{
		RequestedProvisionedConcurrentExecutions: item.RequestedProvisionedConcurrentExecutions,
		AllocatedProvisionedConcurrentExecutions: item.AllocatedProvisionedConcurrentExecutions,
		AvailableProvisionedConcurrentExecutions: item.AvailableProvisionedConcurrentExecutions,
		Status:                                   item.Status, StatusReason: item.StatusReason, LastModified: item.LastModified,
	}, nil
}

// DeleteProvisionedConcurrencyConfig ends the provisioned concurrency of a version or an alias.
func (c *Control) DeleteProvisionedConcurrencyConfig(ctx context.Context, in *lambda.DeleteProvisionedConcurrencyConfigInput, _ ...func(*lambda.Options)) (*lambda.DeleteProvisionedConcurrencyConfigOutput, error) {
	var v violations
	ref, err := v.provisioned(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	_, err = c.updateOr(ctx, ref.Function, c.notProvisionable(ref), func(f *serin.Function) error {
		return f.UnprovisionConcurrency(ref.Qualifier)
	})
	if err != nil {
		return nil, err
	}
	return &lambda.DeleteProvisionedConcurrencyConfigOutput{}, nil
}

// ListProvisionedConcurrencyConfigs returns all provisioned concurrency of a function.
func (c *Control) ListProvisionedConcurrencyConfigs(_ context.Context, in *lambda.ListProvisionedConcurrencyConfigsInput, _ ...func(*lambda.Options)) (*lambda.ListProvisionedConcurrencyConfigsOutput, error) {
	var v violations
	v.functionName(in.FunctionName)
	v.maxAttached(in.MaxItems)
	ref, err := v.refOr(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	f, err := c.function(ref.Function, "")
	if err != nil {
		return nil, err
	}
	page, next, err := attachedPage(f, func(a serin.Attachments) bool { return a.Provisioned != nil }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListProvisionedConcurrencyConfigsOutput{NextMarker: next}
	for _, q := range page {
		out.ProvisionedConcurrencyConfigs = append(out.ProvisionedConcurrencyConfigs, c.provisionedItem(f, q))
	}
	return out, nil
}

// provisionedItem is the shape of the provisioned concurrency of a qualifier that has some.
func (c *Control) provisionedItem(f *serin.Function, qualifier string) types.ProvisionedConcurrencyConfigListItem {
	p := f.At(qualifier).Provisioned
	item := types.ProvisionedConcurrencyConfigListItem{
		FunctionArn:                              new(f.QualifiedARN(qualifier)),
		RequestedProvisionedConcurrentExecutions: new(int32(p.Requested)),
		LastModified:                             new(p.LastModified.Format(provisionedLayout)),
	}
	allocated, available, status, reason := c.Provisioned(f.Name, qualifier)
	item.AllocatedProvisionedConcurrentExecutions = new(int32(allocated))
	item.AvailableProvisionedConcurrentExecutions = new(int32(available))
	item.Status = types.ProvisionedConcurrencyStatusEnum(status)
	if reason != "" {
		item.StatusReason = &reason
	}
	return item
}

func (v *violations) provisioned(c *Control, name, qualifier *string) (serin.Ref, error) {
	v.functionName(name)
	v.required("qualifier", qualifier)
	v.text("qualifier", qualifier, 128, provisionedPattern, provisionedQualifier)
	return v.refWith(c, name, qualifier)
}

// notProvisionable is the error for a function that does not exist.
func (c *Control) notProvisionable(ref serin.Ref) error {
	return serin.NoSuchQualifier(c.Place.FunctionARN(ref.Function, ""), ref.Qualifier)
}
