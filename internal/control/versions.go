package control

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
	"serin/internal/bundle"
)

// PublishVersion freezes $LATEST as a new version.
func (c *Control) PublishVersion(ctx context.Context, in *lambda.PublishVersionInput, _ ...func(*lambda.Options)) (*lambda.PublishVersionOutput, error) {
	var v violations
	v.functionName(in.FunctionName)
	v.description(in.Description)
	ref, err := c.latestRef(&v, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if in.PublishTo != "" {
		return nil, notImplemented("PublishTo")
	}
	var published *serin.Version
	f, err := c.update(ctx, ref.Function, "", func(f *serin.Function) (err error) {
		published, err = f.PublishVersion(c.change(ctx, serin.CauseManual), serin.Publication{
			Description: in.Description, CodeSHA256: deref(in.CodeSha256), RevisionID: deref(in.RevisionId),
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return fill[lambda.PublishVersionOutput](c.configuration(f, published, view{qualifier: published.Number.String()})), nil
}

// ListVersionsByFunction returns $LATEST and then the published versions, oldest first.
func (c *Control) ListVersionsByFunction(_ context.Context, in *lambda.ListVersionsByFunctionInput, _ ...func(*lambda.Options)) (*lambda.ListVersionsByFunctionOutput, error) {
	var v violations
	v.namespacedName(in.FunctionName)
	v.maxItems(in.MaxItems)
	ref, err := v.refOr(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	f, err := c.function(ref.Function, "")
	if err != nil {
		return nil, err
	}
	all := append([]*serin.Version{f.Latest}, f.Versions...)
	page, next, err := paginate(all, in.Marker, in.MaxItems, func(v *serin.Version) string { return v.Number.String() }, compareVersions)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListVersionsByFunctionOutput{NextMarker: next}
	for _, v := range page {
		out.Versions = append(out.Versions, *c.configuration(f, v, view{qualifier: v.Number.String(), list: true}))
	}
	return out, nil
}

// GetFunction returns a version with its code, tags and concurrency.
func (c *Control) GetFunction(_ context.Context, in *lambda.GetFunctionInput, _ ...func(*lambda.Options)) (*lambda.GetFunctionOutput, error) {
	f, v, cfg, err := c.get(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	out := &lambda.GetFunctionOutput{
		Configuration: cfg,
		Code:          &types.FunctionCodeLocation{RepositoryType: new("S3"), Location: new(c.CodeURL(blobKey(v.Code)))},
	}
	if len(f.Tags) > 0 {
		out.Tags = f.Tags
	}
	if f.Reserved != nil && *cfg.FunctionArn == f.ARN { // AWS shows it without a qualifier only
		out.Concurrency = &types.Concurrency{ReservedConcurrentExecutions: int32s(f.Reserved)}
	}
	return out, nil
}

// GetFunctionConfiguration returns a version.
func (c *Control) GetFunctionConfiguration(_ context.Context, in *lambda.GetFunctionConfigurationInput, _ ...func(*lambda.Options)) (*lambda.GetFunctionConfigurationOutput, error) {
	_, _, cfg, err := c.get(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return fill[lambda.GetFunctionConfigurationOutput](cfg), nil
}

func (c *Control) get(name, qualifier *string) (*serin.Function, *serin.Version, *types.FunctionConfiguration, error) {
	var v violations
	v.namespacedName(name)
	v.qualifier(qualifier)
	if err := v.err(); err != nil {
		return nil, nil, nil, err
	}
	ref, err := c.ref(name, qualifier)
	if err != nil {
		return nil, nil, nil, err
	}
	f, err := c.function(ref.Function, ref.Qualifier)
	if err != nil {
		return nil, nil, nil, err
	}
	version, _, err := f.Resolve(ref.Qualifier)
	if err != nil {
		return nil, nil, nil, err
	}
	return f, version, c.configuration(f, version, view{qualifier: ref.Qualifier}), nil
}

// ListFunctions returns $LATEST of every function or, with FunctionVersion=ALL, every version.
func (c *Control) ListFunctions(_ context.Context, in *lambda.ListFunctionsInput, _ ...func(*lambda.Options)) (*lambda.ListFunctionsOutput, error) {
	var v violations
	v.maxItems(in.MaxItems)
	v.oneOf("functionVersion", string(in.FunctionVersion), string(types.FunctionVersionAll))
	if err := v.err(); err != nil {
		return nil, err
	}
	type entry struct {
		f *serin.Function
		v *serin.Version
	}
	key := func(e entry) string { return e.f.Name + ":" + e.v.Number.String() }
	var entries []entry
	for f := range c.Table.Functions() {
		entries = append(entries, entry{f, f.Latest})
		if in.FunctionVersion == types.FunctionVersionAll {
			for _, v := range f.Versions {
				entries = append(entries, entry{f, v})
			}
		}
	}
	page, next, err := paginate(entries, in.Marker, in.MaxItems, key, compareQualified)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListFunctionsOutput{NextMarker: next}
	for _, e := range page {
		w := view{list: true}
		if in.FunctionVersion == types.FunctionVersionAll {
			w.qualifier = e.v.Number.String()
		}
		out.Functions = append(out.Functions, *c.configuration(e.f, e.v, w))
	}
	return out, nil
}

// compareQualified orders "name:version" by name, then by version.
func compareQualified(a, b string) int {
	nameA, versionA, _ := strings.Cut(a, ":")
	nameB, versionB, _ := strings.Cut(b, ":")
	if n := strings.Compare(nameA, nameB); n != 0 {
		return n
	}
	return compareVersions(versionA, versionB)
}

// GetAccountSettings returns limits and usage. Every version of a function or a layer counts the whole size of
// its package, also when another version has the same one, as on AWS.
func (c *Control) GetAccountSettings(ctx context.Context, _ *lambda.GetAccountSettingsInput, _ ...func(*lambda.Options)) (*lambda.GetAccountSettingsOutput, error) {
	if err := c.countLayers(ctx); err != nil {
		return nil, err
	}
	count := len(slices.Collect(c.Table.Functions()))
	return &lambda.GetAccountSettingsOutput{
		AccountLimit: &types.AccountLimit{
			TotalCodeSize: maxCodeStorage, CodeSizeUnzipped: bundle.MaxUnzipped, CodeSizeZipped: bundle.MaxZipped,
			ConcurrentExecutions: int32(c.Concurrency), UnreservedConcurrentExecutions: new(int32(c.unreserved(""))),
		},
		AccountUsage: &types.AccountUsage{TotalCodeSize: c.codeSize.Load() + c.layerSize.Load(), FunctionCount: int64(count)},
	}, nil
}
