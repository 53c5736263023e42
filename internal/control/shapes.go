package control

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
)

// aliasOutput is the shape of an alias. All alias operations answer with these members.
func aliasOutput(f *serin.Function, a *serin.Alias) *lambda.UpdateAliasOutput {
	out := &lambda.UpdateAliasOutput{
		AliasArn:        new(f.QualifiedARN(a.Name)),
		Description:     new(a.Description),
		FunctionVersion: new(a.Routing.Version.String()),
		Name:            new(a.Name),
		RevisionId:      new(a.RevisionID),
	}
	if a.Routing.Weighted() {
		out.RoutingConfig = &types.AliasRoutingConfiguration{
			AdditionalVersionWeights: map[string]float64{a.Routing.Additional.String(): a.Routing.Weight},
		}
	}
	return out
}

// view says which of the shapes of a function configuration is wanted: AWS shows different members and
// ARNs depending on the operation.
type view struct {
	qualifier string // of the ARN; "" gives the unqualified one
	list      bool   // an entry of a list: no state, no runtime version
}

// configuration is the shape of one version.
func (c *Control) configuration(f *serin.Function, v *serin.Version, w view) *types.FunctionConfiguration {
	cfg := v.Config
	arn := f.ARN
	if w.qualifier != "" {
		arn = f.QualifiedARN(w.qualifier)
	}
	out := &types.FunctionConfiguration{
		Architectures:    []types.Architecture{types.Architecture(cfg.Architecture)},
		CodeSha256:       new(v.Code.SHA256),
		CodeSize:         v.Code.Size,
		Description:      new(cfg.Description),
		EphemeralStorage: &types.EphemeralStorage{Size: new(int32(cfg.EphemeralStorage))},
		FunctionArn:      &arn,
		FunctionName:     new(f.Name),
		Handler:          new(cfg.Handler),
		LastModified:     new(v.LastModified.UTC().Format(timeLayout)),
		LoggingConfig:    loggingOutput(cfg.Logging),
		MemorySize:       new(int32(cfg.MemorySize)),
		PackageType:      types.PackageTypeZip,
		RevisionId:       new(v.RevisionID),
		Role:             new(cfg.Role),
		Runtime:          types.Runtime(cfg.Runtime),
		SnapStart:        &types.SnapStartResponse{ApplyOn: types.SnapStartApplyOn(cfg.SnapStart), OptimizationStatus: types.SnapStartOptimizationStatusOff},
		Timeout:          new(int32(cfg.Timeout)),
		TracingConfig:    &types.TracingConfigResponse{Mode: types.TracingMode(cfg.TracingMode)},
		Version:          new(v.Number.String()),
	}
	if cfg.Environment != nil {
		out.Environment = &types.EnvironmentResponse{Variables: cfg.Environment}
	}
	if cfg.DeadLetterTarget != "" {
		out.DeadLetterConfig = &types.DeadLetterConfig{TargetArn: &cfg.DeadLetterTarget}
	}
	if cfg.KMSKeyARN != "" {
		out.KMSKeyArn = &cfg.KMSKeyARN
	}
	if cfg.VPC != nil {
		out.VpcConfig = &types.VpcConfigResponse{
			SubnetIds: cfg.VPC.SubnetIDs, SecurityGroupIds: cfg.VPC.SecurityGroupIDs,
			VpcId: new(""), Ipv6AllowedForDualStack: &cfg.VPC.IPv6,
		}
	}
	for _, l := range cfg.Layers {
		out.Layers = append(out.Layers, types.Layer{Arn: new(l.ARN), CodeSize: l.Size})
	}
	if !w.list {
		c.addState(out, v)
	}
	return out
}

// timeLayout is how AWS writes LastModified: no colon in the offset.
const timeLayout = "2006-01-02T15:04:05.000-0700"

func (c *Control) addState(out *types.FunctionConfiguration, v *serin.Version) {
	out.State = types.State(v.State)
	if v.StateReason != "" {
		out.StateReason = &v.StateReason
	}
	out.LastUpdateStatus = types.LastUpdateStatus(v.UpdateStatus)
	switch v.State {
	case serin.StatePending:
		out.StateReasonCode = types.StateReasonCodeCreating
	case serin.StateFailed:
		out.StateReasonCode = types.StateReasonCodeInvalidRuntime
	case serin.StateActive:
	}
	if v.UpdateStatus == serin.UpdateInProgress {
		out.LastUpdateStatusReason = new("The function is being created.")
		out.LastUpdateStatusReasonCode = "Creating"
	}
	if arn := c.runtimeVersion(v.Config.Runtime); arn != "" {
		out.RuntimeVersionConfig = &types.RuntimeVersionConfig{RuntimeVersionArn: &arn}
	}
}

// managed reports whether the runtime is one whose bootstrap the platform brings.
func managed(runtime string) bool { return len(runtime) < 8 || runtime[:8] != "provided" }

func loggingOutput(l serin.Logging) *types.LoggingConfig {
	return &types.LoggingConfig{
		LogFormat: types.LogFormat(l.Format), LogGroup: &l.Group,
		ApplicationLogLevel: types.ApplicationLogLevel(l.ApplicationLevel), SystemLogLevel: types.SystemLogLevel(l.SystemLevel),
	}
}

// blobKey turns the CodeSha256 of AWS (base64) into the key of the package in the store (hexadecimal).
func blobKey(code serin.Code) string {
	raw, err := base64.StdEncoding.DecodeString(code.SHA256)
	if err != nil {
		return code.SHA256
	}
	return hex.EncodeToString(raw)
}

// compareVersions orders "$LATEST" first, then by number.
func compareVersions(a, b string) int {
	x, _ := serin.ParseVersion(a)
	y, _ := serin.ParseVersion(b)
	return cmp.Compare(x, y)
}

// now is the current time in the precision that AWS shows.
func (c *Control) now() time.Time { return c.Now().UTC().Truncate(time.Millisecond) }
