package resource

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
)

// functionProperties are those of AWS::Lambda::Function.
type functionProperties struct {
	Architectures                []types.Architecture
	CapacityProviderConfig       any          `cfn:"refused"`
	Code                         functionCode `cfn:"required"`
	CodeSigningConfigArn         *string      `cfn:"refused"`
	DeadLetterConfig             *types.DeadLetterConfig
	Description                  *string
	DurableConfig                any `cfn:"refused"`
	Environment                  *types.Environment
	EphemeralStorage             *types.EphemeralStorage
	FileSystemConfigs            any     `cfn:"refused"`
	FunctionName                 *string `cfn:"replace"`
	FunctionScalingConfig        any     `cfn:"refused"`
	Handler                      *string
	ImageConfig                  any     `cfn:"refused"`
	KmsKeyArn                    *string // kept by Lambda; nothing is encrypted with it
	Layers                       []string
	LoggingConfig                *types.LoggingConfig
	MemorySize                   *int32
	PackageType                  types.PackageType `cfn:"replace"`
	PublishToLatestPublished     any               `cfn:"refused"`
	RecursiveLoop                types.RecursiveLoop
	ReservedConcurrentExecutions *int32
	Role                         *string `cfn:"required"`
	Runtime                      types.Runtime
	RuntimeManagementConfig      *runtimeManagement
	SnapStart                    *types.SnapStart
	Tags                         []Tag
	TenancyConfig                any `cfn:"refused"`
	Timeout                      *int32
	TracingConfig                *types.TracingConfig
	VpcConfig                    *types.VpcConfig
}

type functionCode struct {
	ImageUri            *string `cfn:"refused"` //nolint:revive // named as in templates
	S3Bucket            *string
	S3Key               *string
	S3ObjectVersion     *string
	S3ObjectStorageMode *string `cfn:"stored"`
	SourceKMSKeyArn     *string `cfn:"stored"`
	ZipFile             *string
}

type runtimeManagement struct {
	RuntimeVersionArn *string
	UpdateRuntimeOn   types.UpdateRuntimeOn `cfn:"required"`
}

// functions handles AWS::Lambda::Function.
type functionType struct{ Config }

func (c Config) function() *Type {
	f := functionType{c}
	return define(Type{
		Name: "AWS::Lambda::Function", NameProperty: "FunctionName", MaxName: 64,
		Attributes: []string{"Arn", "SnapStartResponse", "SnapStartResponse.ApplyOn", "SnapStartResponse.OptimizationStatus"},
	}, functions[functionProperties]{create: f.create, update: f.update, delete: f.remove})
}

func (f functionType) create(ctx context.Context, c *call[functionProperties]) (Result, error) {
	p := &c.new
	code, err := p.code()
	if err != nil {
		return Result{}, err
	}
	in := &lambda.CreateFunctionInput{FunctionName: &c.PhysicalID, Code: code, Tags: c.tags(p.Tags), KMSKeyArn: p.KmsKeyArn}
	name, tags := in.FunctionName, in.Tags
	copyFields(in, p)
	in.FunctionName, in.Tags = name, tags
	if _, err := f.Lambda.CreateFunction(ctx, in); err != nil && (!c.mine(err) || !f.ours(ctx, c)) {
		return Result{}, err
	}
	return f.result(c, p), f.settings(ctx, c)
}

// ours reports whether a function that is there belongs to the resource.
func (f functionType) ours(ctx context.Context, c *call[functionProperties]) bool {
	out, err := f.Lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &c.PhysicalID})
	return err == nil && out.Tags["aws:cloudformation:stack-id"] == c.StackID && out.Tags["aws:cloudformation:logical-id"] == c.LogicalID
}

func (f functionType) result(c *call[functionProperties], p *functionProperties) Result {
	snap := "None"
	if p.SnapStart != nil && p.SnapStart.ApplyOn != "" {
		snap = string(p.SnapStart.ApplyOn)
	}
	return Result{PhysicalID: c.PhysicalID, Attributes: map[string]any{
		"Arn": f.Place.FunctionARN(c.PhysicalID, ""), "SnapStartResponse.ApplyOn": snap, "SnapStartResponse.OptimizationStatus": "Off",
		"SnapStartResponse": map[string]any{"ApplyOn": snap, "OptimizationStatus": "Off"},
	}}
}

// settings makes what belongs to the function but not to its configuration.
func (f functionType) settings(ctx context.Context, c *call[functionProperties]) error {
	name := &c.PhysicalID
	if n := c.new.ReservedConcurrentExecutions; n != nil {
		if _, err := f.Lambda.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: name, ReservedConcurrentExecutions: n}); err != nil {
			return err
		}
	} else if c.old.ReservedConcurrentExecutions != nil {
		if _, err := f.Lambda.DeleteFunctionConcurrency(ctx, &lambda.DeleteFunctionConcurrencyInput{FunctionName: name}); err != nil {
			return err
		}
	}
	if m := c.new.RuntimeManagementConfig; m != nil {
		in := &lambda.PutRuntimeManagementConfigInput{FunctionName: name, RuntimeVersionArn: m.RuntimeVersionArn, UpdateRuntimeOn: m.UpdateRuntimeOn}
		if _, err := f.Lambda.PutRuntimeManagementConfig(ctx, in); err != nil {
			return err
		}
	}
	if loop := c.new.RecursiveLoop; loop != "" {
		if _, err := f.Lambda.PutFunctionRecursionConfig(ctx, &lambda.PutFunctionRecursionConfigInput{FunctionName: name, RecursiveLoop: loop}); err != nil {
			return err
		}
	}
	return nil
}

func (f functionType) update(ctx context.Context, c *call[functionProperties]) (Result, error) {
	p, name := &c.new, &c.PhysicalID
	if !reflect.DeepEqual(configurationOf(p), configurationOf(&c.old)) {
		in := configurationOf(p)
		in.FunctionName = name
		if _, err := f.Lambda.UpdateFunctionConfiguration(ctx, in); err != nil {
			return Result{}, err
		}
	}
	if !reflect.DeepEqual(p.Code, c.old.Code) || !slices.Equal(p.Architectures, c.old.Architectures) || p.Code.ZipFile != nil && p.entry() != c.old.entry() {
		code, err := p.code()
		if err != nil {
			return Result{}, err
		}
		in := &lambda.UpdateFunctionCodeInput{FunctionName: name, Architectures: p.Architectures}
		copyFields(in, code)
		if len(in.Architectures) == 0 {
			in.Architectures = []types.Architecture{types.ArchitectureX8664}
		}
		if _, err := f.Lambda.UpdateFunctionCode(ctx, in); err != nil {
			return Result{}, err
		}
	}
	if err := f.retag(ctx, c); err != nil {
		return Result{}, err
	}
	return f.result(c, p), f.settings(ctx, c)
}

func (f functionType) retag(ctx context.Context, c *call[functionProperties]) error {
	next, arn := c.tags(c.new.Tags), new(f.Place.FunctionARN(c.PhysicalID, ""))
	out, err := f.Lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &c.PhysicalID})
	if err != nil || maps.Equal(next, out.Tags) {
		return err
	}
	var gone []string
	for key := range out.Tags {
		if _, stays := next[key]; !stays {
			gone = append(gone, key)
		}
	}
	if len(gone) > 0 {
		if _, err := f.Lambda.UntagResource(ctx, &lambda.UntagResourceInput{Resource: arn, TagKeys: gone}); err != nil {
			return err
		}
	}
	_, err = f.Lambda.TagResource(ctx, &lambda.TagResourceInput{Resource: arn, Tags: next})
	return err
}

// configurationOf is the whole configuration: what a template no longer says goes back to its default.
func configurationOf(p *functionProperties) *lambda.UpdateFunctionConfigurationInput {
	in := &lambda.UpdateFunctionConfigurationInput{
		Description: new(""), MemorySize: new(int32(128)), Timeout: new(int32(3)), Environment: &types.Environment{Variables: map[string]string{}},
		DeadLetterConfig: &types.DeadLetterConfig{TargetArn: new("")}, EphemeralStorage: &types.EphemeralStorage{Size: new(int32(512))},
		KMSKeyArn: new(""), Layers: []string{}, TracingConfig: &types.TracingConfig{Mode: types.TracingModePassThrough},
		SnapStart: &types.SnapStart{ApplyOn: types.SnapStartApplyOnNone}, LoggingConfig: &types.LoggingConfig{LogFormat: types.LogFormatText},
		VpcConfig: &types.VpcConfig{SubnetIds: []string{}, SecurityGroupIds: []string{}},
	}
	defaults := *in
	copyFields(in, p)
	v, d := reflect.ValueOf(in).Elem(), reflect.ValueOf(&defaults).Elem()
	for f := range v.Type().Fields() {
		if f.IsExported() && v.FieldByIndex(f.Index).IsZero() {
			v.FieldByIndex(f.Index).Set(d.FieldByIndex(f.Index))
		}
	}
	if p.KmsKeyArn != nil {
		in.KMSKeyArn = p.KmsKeyArn
	}
	in.FunctionName = nil
	return in
}

func (f functionType) remove(ctx context.Context, c *call[functionProperties]) (Result, error) {
	_, err := f.Lambda.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &c.PhysicalID})
	return Result{}, err
}

// entry is the name of the file that inline code becomes.
func (p *functionProperties) entry() string {
	switch {
	case strings.HasPrefix(string(p.Runtime), "nodejs"):
		return "index.js"
	case strings.HasPrefix(string(p.Runtime), "python"):
		return "index.py"
	default:
		return ""
	}
}

const maxInline = 4 << 20 // characters of inline code, of CloudFormation's documentation in 2025

// code returns the package of the function. Inline code becomes one of one file.
func (p *functionProperties) code() (*types.FunctionCode, error) {
	out := &types.FunctionCode{S3Bucket: p.Code.S3Bucket, S3Key: p.Code.S3Key, S3ObjectVersion: p.Code.S3ObjectVersion}
	if p.Code.ZipFile == nil {
		return out, nil
	}
	name := p.entry()
	if name == "" {
		return nil, serin.Errorf(serin.KindInvalid, "ZipFile can only be used when Runtime is set to one of the nodejs and python runtimes.")
	}
	if len(*p.Code.ZipFile) > maxInline {
		return nil, serin.Errorf(serin.KindInvalid, "ZipFile has %d bytes; at most %d.", len(*p.Code.ZipFile), maxInline)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	header := &zip.FileHeader{Name: name, Method: zip.Deflate}
	header.SetMode(0o644)
	w, err := z.CreateHeader(header) // without a time, so that the same text is the same package
	if err == nil {
		_, err = w.Write([]byte(*p.Code.ZipFile))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("pack inline code: %w", err)
	}
	out.ZipFile = b.Bytes()
	return out, nil
}
