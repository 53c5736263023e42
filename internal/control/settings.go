package control

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
)

// Limits of Lambda (AWS documentation, 2025).
const (
	maxEnvironment = 4096     // bytes of all variables together, as JSON
	maxCodeStorage = 75 << 30 // bytes
	maxFunction    = 64       // characters of a name
	maxMemory      = 10_240   // MB
)

// reservedVariables are set by the platform (AWS documentation, 2025).
var reservedVariables = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME",
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE",
	"AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
	"AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}

// settings are the members that CreateFunction and UpdateFunctionConfiguration share. Nil means absent.
type settings struct {
	description, handler, role, kmsKey *string
	runtime                            types.Runtime
	memory, timeout                    *int32
	environment                        *types.Environment
	storage                            *types.EphemeralStorage
	deadLetter                         *types.DeadLetterConfig
	tracing                            *types.TracingConfig
	snapStart                          *types.SnapStart
	logging                            *types.LoggingConfig
	vpc                                *types.VpcConfig
	tags                               map[string]string
	layerARNs                          []string
	layers                             []serin.LayerRef // what layerARNs name, once they have been looked up
	unsupported                        []string         // names of members that Serin does not have
}

func settingsOfCreate(in *lambda.CreateFunctionInput) settings {
	return settings{
		description: in.Description, handler: in.Handler, role: in.Role, kmsKey: in.KMSKeyArn, runtime: in.Runtime,
		memory: in.MemorySize, timeout: in.Timeout, environment: in.Environment, storage: in.EphemeralStorage,
		deadLetter: in.DeadLetterConfig, tracing: in.TracingConfig, snapStart: in.SnapStart, logging: in.LoggingConfig, vpc: in.VpcConfig,
		tags: in.Tags, layerARNs: in.Layers,
		unsupported: present(map[string]bool{
			"FileSystemConfigs": len(in.FileSystemConfigs) > 0, "ImageConfig": in.ImageConfig != nil,
			"PackageType Image": in.PackageType == types.PackageTypeImage, "CodeSigningConfigArn": in.CodeSigningConfigArn != nil,
			"CapacityProviderConfig": in.CapacityProviderConfig != nil, "DurableConfig": in.DurableConfig != nil,
			"TenancyConfig": in.TenancyConfig != nil, "PublishTo": in.PublishTo != "",
		}),
	}
}

func settingsOfUpdate(in *lambda.UpdateFunctionConfigurationInput) settings {
	return settings{
		description: in.Description, handler: in.Handler, role: in.Role, kmsKey: in.KMSKeyArn, runtime: in.Runtime,
		memory: in.MemorySize, timeout: in.Timeout, environment: in.Environment, storage: in.EphemeralStorage,
		deadLetter: in.DeadLetterConfig, tracing: in.TracingConfig, snapStart: in.SnapStart, logging: in.LoggingConfig, vpc: in.VpcConfig,
		layerARNs: in.Layers,
		unsupported: present(map[string]bool{
			"FileSystemConfigs": len(in.FileSystemConfigs) > 0, "ImageConfig": in.ImageConfig != nil,
			"CapacityProviderConfig": in.CapacityProviderConfig != nil, "DurableConfig": in.DurableConfig != nil,
		}),
	}
}

func present(members map[string]bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(members)), func(m string) bool { return !members[m] })
}

// constraints checks the settings against the API model.
func (s *settings) constraints(v *violations) {
	v.description(s.description)
	v.text("handler", s.handler, 128, patterns.handler, handlerPattern)
	v.text("role", s.role, maxARN, patterns.role, rolePattern)
	v.text("kMSKeyArn", s.kmsKey, maxARN, patterns.arn, arnPattern)
	v.between("memorySize", s.memory, 128, 32_768)
	v.between("timeout", s.timeout, 1, 900)
	if s.storage != nil {
		v.between("ephemeralStorage.size", s.storage.Size, 512, 10_240)
	}
	if s.deadLetter != nil {
		v.deadLetter(s.deadLetter.TargetArn)
	}
	if s.tracing != nil {
		v.oneOf("tracingConfig.mode", string(s.tracing.Mode), "Active", "PassThrough")
	}
	if s.snapStart != nil {
		v.oneOf("snapStart.applyOn", string(s.snapStart.ApplyOn), "PublishedVersions", "None")
	}
	if l := s.logging; l != nil {
		v.oneOf("loggingConfig.logFormat", string(l.LogFormat), "JSON", "Text")
		v.oneOf("loggingConfig.applicationLogLevel", string(l.ApplicationLogLevel), "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
		v.oneOf("loggingConfig.systemLogLevel", string(l.SystemLogLevel), "DEBUG", "INFO", "WARN")
		v.text("loggingConfig.logGroup", l.LogGroup, 512, patterns.logGroup, logGroupPattern)
	}
	if s.vpc != nil {
		v.list("vpcConfig.subnetIds", s.vpc.SubnetIds, 16)
		v.list("vpcConfig.securityGroupIds", s.vpc.SecurityGroupIds, 5)
	}
	if s.environment != nil {
		v.environment(s.environment.Variables)
	}
	v.layers(s.layerARNs)
	v.tags(s.tags)
}

// rules checks the settings against the rules of the service, which come after the constraints of the model.
func (s *settings) rules() error {
	if len(s.unsupported) > 0 {
		return notImplemented(strings.Join(s.unsupported, ", "))
	}
	if s.runtime != "" && !known(string(s.runtime)) {
		return serin.Errorf(serin.KindInvalid, "Value %s at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [%s] or be a valid ARN",
			clip(string(s.runtime)), strings.Join(supportedRuntimes(), ", "))
	}
	if deref(s.memory) > maxMemory { // the model allows more, for functions on managed instances
		return serin.Errorf(serin.KindInvalid, "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to %d", maxMemory)
	}
	return s.checkEnvironment()
}

// known reports whether Serin can run functions of a runtime at all, given the interpreter.
func known(runtime string) bool { return patterns.runtime.MatchString(runtime) }

func supportedRuntimes() []string {
	var all []string
	for _, r := range types.Runtime("").Values() {
		if known(string(r)) {
			all = append(all, string(r))
		}
	}
	slices.Sort(all)
	return all
}

func (s *settings) checkEnvironment() error {
	if s.environment == nil {
		return nil
	}
	var reserved []string
	for name := range s.environment.Variables {
		if slices.Contains(reservedVariables, name) {
			reserved = append(reserved, name)
		}
	}
	if len(reserved) > 0 {
		slices.Sort(reserved)
		return serin.Errorf(serin.KindInvalid, "Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: %s",
			strings.Join(reserved, ", "))
	}
	var b bytes.Buffer
	measure := json.NewEncoder(&b)
	measure.SetEscapeHTML(false)
	if err := measure.Encode(s.environment.Variables); err != nil {
		return fmt.Errorf("measure environment: %w", err)
	}
	if text := bytes.TrimSuffix(b.Bytes(), []byte("\n")); len(text) > maxEnvironment {
		return serin.Errorf(serin.KindInvalid, "Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: %s", text)
	}
	return nil
}

// apply puts the settings that are there into a configuration.
func (s *settings) apply(c *serin.Configuration) {
	set(&c.Description, s.description)
	set(&c.Handler, s.handler)
	set(&c.Role, s.role)
	set(&c.KMSKeyARN, s.kmsKey)
	if s.runtime != "" {
		c.Runtime = string(s.runtime)
	}
	setInt(&c.MemorySize, s.memory)
	setInt(&c.Timeout, s.timeout)
	if s.storage != nil {
		setInt(&c.EphemeralStorage, s.storage.Size)
	}
	if s.environment != nil {
		c.Environment = map[string]string{}
		maps.Copy(c.Environment, s.environment.Variables)
	}
	if s.deadLetter != nil {
		c.DeadLetterTarget = deref(s.deadLetter.TargetArn)
	}
	if s.layerARNs != nil {
		c.Layers = s.layers
	}
	if s.tracing != nil && s.tracing.Mode != "" {
		c.TracingMode = string(s.tracing.Mode)
	}
	if s.snapStart != nil && s.snapStart.ApplyOn != "" {
		c.SnapStart = string(s.snapStart.ApplyOn)
	}
	if s.vpc != nil {
		c.VPC = &serin.VPC{SubnetIDs: s.vpc.SubnetIds, SecurityGroupIDs: s.vpc.SecurityGroupIds, IPv6: deref(s.vpc.Ipv6AllowedForDualStack)}
		if len(s.vpc.SubnetIds)+len(s.vpc.SecurityGroupIds) == 0 {
			c.VPC = nil
		}
	}
	if s.logging != nil {
		applyLogging(&c.Logging, s.logging)
	}
}

// applyLogging changes where and how log lines go. Levels belong to the format JSON, where they default to INFO.
func applyLogging(to *serin.Logging, l *types.LoggingConfig) {
	set(&to.Group, l.LogGroup)
	to.Format = cmp.Or(string(l.LogFormat), to.Format)
	if to.Format != string(types.LogFormatJson) {
		to.ApplicationLevel, to.SystemLevel = "", ""
		return
	}
	to.ApplicationLevel = cmp.Or(string(l.ApplicationLogLevel), to.ApplicationLevel, string(types.ApplicationLogLevelInfo))
	to.SystemLevel = cmp.Or(string(l.SystemLogLevel), to.SystemLevel, string(types.SystemLogLevelInfo))
}

func set(to, from *string) {
	if from != nil {
		*to = *from
	}
}

func setInt(to *int, from *int32) {
	if from != nil {
		*to = int(*from)
	}
}

// checkCreate holds what CreateFunction asks for beyond the shared settings.
func (c *Control) checkCreate(ctx context.Context, in *lambda.CreateFunctionInput) (serin.Ref, error) {
	var v violations
	v.functionName(in.FunctionName)
	v.required("role", in.Role)
	if in.Code == nil {
		v.missing("code")
	}
	v.architectures(in.Architectures)
	v.oneOf("packageType", string(in.PackageType), "Zip", "Image")
	s := settingsOfCreate(in)
	s.constraints(&v)
	ref, err := v.refOr(c, in.FunctionName)
	if err != nil {
		return ref, err
	}
	if ref.Qualifier != "" || !patterns.word.MatchString(ref.Function) {
		return ref, serin.Errorf(serin.KindInvalid, "The function name of a new function must not have a qualifier or a dot: %s", ref.Function)
	}
	if len(ref.Function) > maxFunction {
		return ref, serin.Errorf(serin.KindInvalid, "1 validation error detected: Value '%s' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64", ref.Function)
	}
	if err := s.rules(); err != nil {
		return ref, err
	}
	if in.Runtime == "" || in.Handler == nil {
		return ref, serin.Errorf(serin.KindInvalid, "Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	return ref, c.checkDeadLetter(ctx, ref.Function, in.DeadLetterConfig)
}

// configurationOf is the configuration of a new function: AWS's defaults and what the request says.
func configurationOf(in *lambda.CreateFunctionInput, name string) serin.Configuration {
	cfg := serin.Configuration{
		MemorySize: 128, Timeout: 3, EphemeralStorage: 512, Architecture: string(types.ArchitectureX8664),
		TracingMode: string(types.TracingModePassThrough), SnapStart: string(types.SnapStartApplyOnNone),
		Logging: serin.Logging{Format: string(types.LogFormatText), Group: "/aws/lambda/" + name},
	}
	s := settingsOfCreate(in)
	s.apply(&cfg)
	if len(in.Architectures) > 0 {
		cfg.Architecture = string(in.Architectures[0])
	}
	return cfg
}
