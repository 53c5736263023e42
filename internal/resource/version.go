package resource

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
)

// versionProperties are those of AWS::Lambda::Version.
type versionProperties struct {
	CodeSha256                   *string
	Description                  *string
	FunctionName                 string `cfn:"required"`
	FunctionScalingConfig        any    `cfn:"refused"`
	ProvisionedConcurrencyConfig *provisionedConcurrency
	RuntimePolicy                *runtimeManagement
}

type provisionedConcurrency struct {
	ProvisionedConcurrentExecutions int32 `cfn:"required"`
}

// versionType handles AWS::Lambda::Version: a version is published when the resource is made, and at no other time.
type versionType struct{ Config }

func (c Config) version() *Type {
	v := versionType{c}
	return define(Type{Name: "AWS::Lambda::Version", Attributes: []string{"Version", "FunctionArn"}},
		functions[versionProperties]{create: v.create, delete: v.remove})
}

func (v versionType) create(ctx context.Context, c *call[versionProperties]) (Result, error) {
	before, err := v.newest(ctx, c.new.FunctionName)
	if err != nil {
		return Result{}, err
	}
	out, err := v.Lambda.PublishVersion(ctx, &lambda.PublishVersionInput{
		FunctionName: &c.new.FunctionName, CodeSha256: c.new.CodeSha256, Description: c.new.Description,
	})
	if err != nil {
		return Result{}, err
	}
	number := deref(out.Version)
	if number == before && !c.Resumed {
		return Result{}, serin.Errorf(serin.KindConflict,
			"Resource handler returned message: \"Version already exists: [%s]. Please modify the function to create a new version. (Service: Lambda, Status Code: 409)\" (HandlerErrorCode: AlreadyExists)", deref(out.FunctionArn))
	}
	r := Result{PhysicalID: deref(out.FunctionArn), Attributes: map[string]any{"Version": number, "FunctionArn": deref(out.FunctionArn)}}
	if p := c.new.ProvisionedConcurrencyConfig; p != nil {
		_, err = v.Lambda.PutProvisionedConcurrencyConfig(ctx, &lambda.PutProvisionedConcurrencyConfigInput{
			FunctionName: &c.new.FunctionName, Qualifier: &number, ProvisionedConcurrentExecutions: &p.ProvisionedConcurrentExecutions,
		})
	}
	if m := c.new.RuntimePolicy; m != nil && err == nil {
		_, err = v.Lambda.PutRuntimeManagementConfig(ctx, &lambda.PutRuntimeManagementConfigInput{
			FunctionName: &c.new.FunctionName, Qualifier: &number, RuntimeVersionArn: m.RuntimeVersionArn, UpdateRuntimeOn: m.UpdateRuntimeOn,
		})
	}
	return r, err
}

// newest returns the number of the newest published version, "" if there is none.
func (v versionType) newest(ctx context.Context, function string) (string, error) {
	var marker *string
	number := ""
	for {
		out, err := v.Lambda.ListVersionsByFunction(ctx, &lambda.ListVersionsByFunctionInput{FunctionName: &function, Marker: marker})
		if err != nil {
			return "", err
		}
		if n := len(out.Versions); n > 0 {
			number = deref(out.Versions[n-1].Version)
		}
		if marker = out.NextMarker; marker == nil {
			return number, nil
		}
	}
}

func (v versionType) remove(ctx context.Context, c *call[versionProperties]) (Result, error) {
	ref, err := v.Place.ParseRef(c.PhysicalID, "")
	if err != nil || ref.Qualifier == "" {
		return Result{}, nil //nolint:nilerr // it has never been published
	}
	_, err = v.Lambda.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &ref.Function, Qualifier: &ref.Qualifier})
	return Result{}, err
}

// layerProperties are those of AWS::Lambda::LayerVersion.
type layerProperties struct {
	CompatibleArchitectures []types.Architecture
	CompatibleRuntimes      []types.Runtime
	Content                 layerContent `cfn:"required"`
	Description             *string
	LayerName               *string
	LicenseInfo             *string
}

type layerContent struct {
	S3Bucket            string `cfn:"required"`
	S3Key               string `cfn:"required"`
	S3ObjectVersion     *string
	S3ObjectStorageMode *string `cfn:"stored"`
}

// layerType handles AWS::Lambda::LayerVersion.
type layerType struct{ Config }

func (c Config) layer() *Type {
	l := layerType{c}
	return define(Type{Name: "AWS::Lambda::LayerVersion", NameProperty: "LayerName", Attributes: []string{"LayerVersionArn"}},
		functions[layerProperties]{create: l.create, delete: l.remove})
}

func (l layerType) create(ctx context.Context, c *call[layerProperties]) (Result, error) {
	in := &lambda.PublishLayerVersionInput{
		LayerName: &c.PhysicalID, Description: c.new.Description, LicenseInfo: c.new.LicenseInfo,
		Content: &types.LayerVersionContentInput{S3Bucket: &c.new.Content.S3Bucket, S3Key: &c.new.Content.S3Key, S3ObjectVersion: c.new.Content.S3ObjectVersion},
	}
	in.CompatibleArchitectures, in.CompatibleRuntimes = c.new.CompatibleArchitectures, c.new.CompatibleRuntimes
	out, err := l.Lambda.PublishLayerVersion(ctx, in)
	if err != nil {
		return Result{}, err
	}
	arn := deref(out.LayerVersionArn)
	return Result{PhysicalID: arn, Attributes: map[string]any{"LayerVersionArn": arn}}, nil
}

func (l layerType) remove(ctx context.Context, c *call[layerProperties]) (Result, error) {
	name, number, ok := layerOf(c.PhysicalID)
	if !ok {
		return Result{}, nil // it has never been published
	}
	_, err := l.Lambda.DeleteLayerVersion(ctx, &lambda.DeleteLayerVersionInput{LayerName: &name, VersionNumber: &number})
	return Result{}, err
}

// layerOf splits the ARN of a layer version.
func layerOf(arn string) (name string, number int64, ok bool) {
	i := strings.LastIndexByte(arn, ':')
	if i < 0 || strings.Count(arn, ":") != 7 {
		return "", 0, false
	}
	if _, err := fmt.Sscan(arn[i+1:], &number); err != nil {
		return "", 0, false
	}
	return arn[:i], number, true
}

// layerPermissionProperties are those of AWS::Lambda::LayerVersionPermission.
type layerPermissionProperties struct {
	Action          string  `cfn:"required"`
	LayerVersionArn string  `cfn:"required"`
	OrganizationId  *string //nolint:revive // named as in templates
	Principal       string  `cfn:"required"`
}

// layerPermissionType handles AWS::Lambda::LayerVersionPermission.
type layerPermissionType struct{ Config }

func (c Config) layerPermission() *Type {
	l := layerPermissionType{c}
	return define(Type{Name: "AWS::Lambda::LayerVersionPermission", Attributes: []string{"Id"}},
		functions[layerPermissionProperties]{create: l.create, delete: l.remove})
}

func (l layerPermissionType) create(ctx context.Context, c *call[layerPermissionProperties]) (Result, error) {
	name, number, ok := layerOf(c.new.LayerVersionArn)
	if !ok {
		return Result{}, serin.Errorf(serin.KindInvalid, "%s is not the ARN of a layer version", clip(c.new.LayerVersionArn))
	}
	_, err := l.Lambda.AddLayerVersionPermission(ctx, &lambda.AddLayerVersionPermissionInput{
		LayerName: &name, VersionNumber: &number, StatementId: &c.PhysicalID, Action: &c.new.Action, Principal: &c.new.Principal, OrganizationId: c.new.OrganizationId,
	})
	if err != nil && !c.mine(err) {
		return Result{}, err
	}
	return Result{PhysicalID: c.PhysicalID, Attributes: map[string]any{"Id": c.PhysicalID}}, nil
}

func (l layerPermissionType) remove(ctx context.Context, c *call[layerPermissionProperties]) (Result, error) {
	name, number, ok := layerOf(c.old.LayerVersionArn)
	if !ok {
		return Result{}, nil
	}
	_, err := l.Lambda.RemoveLayerVersionPermission(ctx, &lambda.RemoveLayerVersionPermissionInput{LayerName: &name, VersionNumber: &number, StatementId: &c.PhysicalID})
	return Result{}, err
}
