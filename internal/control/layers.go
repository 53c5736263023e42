package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
	"serin/internal/store"
)

const layerNamePattern = `(arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+`

var layerNameExpression = whole(layerNamePattern)

// PublishLayerVersion makes a new version of a layer, and the layer if need be.
func (c *Control) PublishLayerVersion(ctx context.Context, in *lambda.PublishLayerVersionInput, _ ...func(*lambda.Options)) (*lambda.PublishLayerVersionOutput, error) {
	var v violations
	v.description(in.Description)
	v.text("licenseInfo", in.LicenseInfo, 512, nil, "")
	v.layerRuntimes(in.CompatibleRuntimes)
	v.layerArchitectures(in.CompatibleArchitectures)
	if in.Content == nil {
		v.missing("content")
	}
	name, err := v.layer(c, in.LayerName)
	if err != nil {
		return nil, err
	}
	code, err := c.layerCode(ctx, in.Content)
	if err != nil {
		return nil, err
	}
	made, err := c.Store.PublishLayerVersion(ctx, name, func(n int64) (*serin.LayerVersion, error) {
		return &serin.LayerVersion{
			Layer: name, Number: n, Code: code, Description: deref(in.Description), License: in.LicenseInfo,
			Runtimes: texts(in.CompatibleRuntimes), Architectures: texts(in.CompatibleArchitectures), CreatedAt: c.now(),
		}, nil
	})
	if err != nil {
		return nil, err
	}
	c.recountLayers(ctx)
	return new(lambda.PublishLayerVersionOutput(*c.layerOutput(made))), nil
}

// layerCode checks the package of a layer and stores it.
func (c *Control) layerCode(ctx context.Context, in *types.LayerVersionContentInput) (serin.Code, error) {
	if in.ZipFile == nil && in.S3Bucket == nil && in.S3Key == nil {
		return serin.Code{}, serin.Errorf(serin.KindInvalid, "Please provide a source for layer content.")
	}
	zip, err := c.codePackage(ctx, codeSource{zip: in.ZipFile, bucket: in.S3Bucket, key: in.S3Key, version: in.S3ObjectVersion})
	if err != nil {
		return serin.Code{}, err
	}
	code, err := checkCode(zip)
	if err != nil {
		return code, err
	}
	if err := c.countLayers(ctx); err != nil {
		return code, err
	}
	if err := c.room(code.Size); err != nil {
		return code, err
	}
	return code, c.storeCode(ctx, zip)
}

// countLayers brings the size of all layers up to date with what other servers have done.
func (c *Control) countLayers(ctx context.Context) error {
	size, err := c.Store.LayerSize(ctx)
	if err == nil {
		c.layerSize.Store(size)
	}
	return err
}

// recountLayers follows a change that has been made, which no failure to count can undo.
func (c *Control) recountLayers(ctx context.Context) {
	if err := c.countLayers(ctx); err != nil {
		c.Log.WarnContext(ctx, "cannot count the code of layers; the next change of a layer does", "error", err)
	}
}

// DeleteLayerVersion removes a layer version. Functions that use it keep their copy. One that does not exist is
// no error.
func (c *Control) DeleteLayerVersion(ctx context.Context, in *lambda.DeleteLayerVersionInput, _ ...func(*lambda.Options)) (*lambda.DeleteLayerVersionOutput, error) {
	var v violations
	name, number, err := v.layerVersion(c, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	if err := c.Store.DeleteLayerVersion(ctx, name, number); err != nil {
		return nil, err
	}
	c.recountLayers(ctx)
	return &lambda.DeleteLayerVersionOutput{}, nil
}

// GetLayerVersion returns a layer version with a URL of its package.
func (c *Control) GetLayerVersion(ctx context.Context, in *lambda.GetLayerVersionInput, _ ...func(*lambda.Options)) (*lambda.GetLayerVersionOutput, error) {
	var v violations
	name, number, err := v.layerVersion(c, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	return c.getLayerVersion(ctx, name, number)
}

// GetLayerVersionByArn returns a layer version with a URL of its package.
func (c *Control) GetLayerVersionByArn(ctx context.Context, in *lambda.GetLayerVersionByArnInput, _ ...func(*lambda.Options)) (*lambda.GetLayerVersionByArnOutput, error) {
	var v violations
	v.required("arn", in.Arn)
	v.text("arn", in.Arn, 140, layerVersionExpression, layerVersionPattern)
	if err := v.err(); err != nil {
		return nil, err
	}
	at, name, number := c.Place.ParseLayer(*in.Arn)
	if err := c.layerHere(at, *in.Arn); err != nil {
		return nil, err
	}
	out, err := c.getLayerVersion(ctx, name, number)
	if err != nil {
		return nil, err
	}
	return (*lambda.GetLayerVersionByArnOutput)(out), nil
}

func (c *Control) getLayerVersion(ctx context.Context, name string, number int64) (*lambda.GetLayerVersionOutput, error) {
	found, err := c.Store.LayerVersion(ctx, name, number)
	if errors.Is(err, store.ErrNotFound) {
		return nil, serin.ErrNoResource()
	}
	if err != nil {
		return nil, err
	}
	return c.layerOutput(found), nil
}

// ListLayerVersions returns the versions of a layer, the newest first. A layer that does not exist has none.
func (c *Control) ListLayerVersions(ctx context.Context, in *lambda.ListLayerVersionsInput, _ ...func(*lambda.Options)) (*lambda.ListLayerVersionsOutput, error) {
	var v violations
	v.layerFilters(in.CompatibleRuntime, in.CompatibleArchitecture, in.MaxItems)
	name, err := v.layer(c, in.LayerName)
	if err != nil {
		return nil, err
	}
	all, err := c.Store.LayerVersions(ctx, name)
	if err != nil {
		return nil, err
	}
	all = suitable(all, in.CompatibleRuntime, in.CompatibleArchitecture)
	number := func(v *serin.LayerVersion) string { return strconv.FormatInt(v.Number, 10) }
	page, next, err := paginate(all, in.Marker, in.MaxItems, number, newestFirst)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListLayerVersionsOutput{NextMarker: next}
	for _, v := range page {
		out.LayerVersions = append(out.LayerVersions, c.layerItem(v))
	}
	return out, nil
}

// ListLayers returns the layers that have versions, each with the newest one that suits.
func (c *Control) ListLayers(ctx context.Context, in *lambda.ListLayersInput, _ ...func(*lambda.Options)) (*lambda.ListLayersOutput, error) {
	var v violations
	v.layerFilters(in.CompatibleRuntime, in.CompatibleArchitecture, in.MaxItems)
	if err := v.err(); err != nil {
		return nil, err
	}
	all, err := c.Store.LayerVersions(ctx, "")
	if err != nil {
		return nil, err
	}
	newest := slices.CompactFunc(suitable(all, in.CompatibleRuntime, in.CompatibleArchitecture),
		func(a, b *serin.LayerVersion) bool { return a.Layer == b.Layer })
	name := func(v *serin.LayerVersion) string { return v.Layer }
	// The order of the database depends on its locale.
	slices.SortFunc(newest, func(a, b *serin.LayerVersion) int { return strings.Compare(a.Layer, b.Layer) })
	page, next, err := paginate(newest, in.Marker, in.MaxItems, name, strings.Compare)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListLayersOutput{NextMarker: next}
	for _, v := range page {
		out.Layers = append(out.Layers, types.LayersListItem{
			LayerName: &v.Layer, LayerArn: new(c.Place.LayerARN(v.Layer)), LatestMatchingVersion: new(c.layerItem(v)),
		})
	}
	return out, nil
}

func suitable(all []*serin.LayerVersion, runtime types.Runtime, architecture types.Architecture) []*serin.LayerVersion {
	return slices.DeleteFunc(all, func(v *serin.LayerVersion) bool { return !v.Suits(string(runtime), string(architecture)) })
}

// newestFirst orders numbers of versions descending.
func newestFirst(a, b string) int {
	if len(a) != len(b) {
		return len(b) - len(a)
	}
	return strings.Compare(b, a)
}

func (c *Control) layerOutput(v *serin.LayerVersion) *lambda.GetLayerVersionOutput {
	item := c.layerItem(v)
	return &lambda.GetLayerVersionOutput{
		CompatibleArchitectures: item.CompatibleArchitectures, CompatibleRuntimes: item.CompatibleRuntimes,
		CreatedDate: item.CreatedDate, Description: item.Description, LayerArn: new(c.Place.LayerARN(v.Layer)),
		LayerVersionArn: item.LayerVersionArn, LicenseInfo: item.LicenseInfo, Version: v.Number,
		Content: &types.LayerVersionContentOutput{
			CodeSha256: &v.Code.SHA256, CodeSize: v.Code.Size, Location: new(c.CodeURL(blobKey(v.Code))),
		},
	}
}

func (c *Control) layerItem(v *serin.LayerVersion) types.LayerVersionsListItem {
	return types.LayerVersionsListItem{
		CompatibleArchitectures: typed[types.Architecture](v.Architectures), CompatibleRuntimes: typed[types.Runtime](v.Runtimes),
		CreatedDate: new(v.CreatedAt.UTC().Format(timeLayout)), Description: &v.Description,
		LayerVersionArn: new(c.Place.LayerVersionARN(v.Layer, v.Number)), LicenseInfo: v.License, Version: v.Number,
	}
}

// texts and typed convert lists of the SDK's enumerations; nil stays nil.
func texts[T ~string](list []T) []string {
	if list == nil {
		return nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

func typed[T ~string](list []string) []T {
	if list == nil {
		return nil
	}
	out := make([]T, len(list))
	for i, s := range list {
		out[i] = T(s)
	}
	return out
}

// layer returns the violations as an error, or else the name of the layer.
func (v *violations) layer(c *Control, nameOrARN *string) (string, error) {
	v.required("layerName", nameOrARN)
	v.text("layerName", nameOrARN, 140, layerNameExpression, layerNamePattern)
	if err := v.err(); err != nil {
		return "", err
	}
	at, name, _ := c.Place.ParseLayer(*nameOrARN)
	return name, c.layerHere(at, *nameOrARN)
}

func (v *violations) layerVersion(c *Control, nameOrARN *string, number *int64) (string, int64, error) {
	if number == nil {
		v.missing("versionNumber")
	}
	name, err := v.layer(c, nameOrARN)
	if err == nil && *number < 1 {
		err = serin.Errorf(serin.KindInvalid, "Layer Version Cannot be less than 1")
	}
	return name, deref(number), err
}

// layerHere refuses layers of other places.
func (c *Control) layerHere(at serin.Place, arn string) error {
	switch {
	case at.Region != c.Place.Region:
		return serin.Errorf(serin.KindNotFound, "Layers from '%s' are not reachable in this region ('%s')", at.Region, c.Place.Region)
	case at.Account != c.Place.Account:
		return deniedLayer(arn)
	default:
		return nil
	}
}

func deniedLayer(arn string) error {
	return serin.Errorf(serin.KindDenied, "User is not authorized to perform: lambda:GetLayerVersion on resource: %s", arn)
}

func (v *violations) layerFilters(runtime types.Runtime, architecture types.Architecture, maxItems *int32) {
	v.oneOf("compatibleRuntime", string(runtime), texts(types.Runtime("").Values())...)
	v.oneOf("compatibleArchitecture", string(architecture), "x86_64", "arm64")
	v.maxAttached(maxItems)
}

// layerRuntimes accepts every runtime of AWS, also those that Serin does not run: it is only a note.
func (v *violations) layerRuntimes(list []types.Runtime) {
	const path = "compatibleRuntimes"
	shown := clip(fmt.Sprint("[", strings.Join(texts(list), ", "), "]"))
	all := types.Runtime("").Values()
	if len(list) > 15 {
		v.add(path, shown, atMost(15))
	}
	if slices.ContainsFunc(list, func(r types.Runtime) bool { return !slices.Contains(all, r) }) {
		v.add(path, shown, "Member must satisfy enum value set: ["+strings.Join(texts(all), ", ")+"]")
	}
}

func (v *violations) layerArchitectures(list []types.Architecture) {
	const path = "compatibleArchitectures"
	shown := clip(fmt.Sprint("[", strings.Join(texts(list), ", "), "]"))
	if len(list) > 2 {
		v.add(path, shown, atMost(2))
	}
	if slices.ContainsFunc(list, func(a types.Architecture) bool { return !slices.Contains(a.Values(), a) }) {
		v.add(path, shown, "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64]]")
	}
}
