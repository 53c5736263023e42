package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// wanted is the configuration that flags and serin.yaml state. What they do not state stays as it is.
type wanted struct {
	runtime, handler, role string
	memory, timeout        int32             // 0 for not stated
	env                    map[string]string // nil for not stated
	// envAdds says that env adds to what is there rather than replacing it.
	envAdds bool
}

// snapshot is what comparing needs of a configuration: what publishing freezes beside the code, and the code.
type snapshot struct {
	code, runtime, handler, role, architecture string
	memory, timeout, storage                   int32
	layers                                     []string // ARNs of layer versions, in their order
	env                                        map[string]string
	other                                      map[string]string // further settings by name
}

func snapshotOf(c *types.FunctionConfiguration) snapshot {
	s := snapshot{
		code: deref(c.CodeSha256), runtime: string(c.Runtime), handler: deref(c.Handler), role: deref(c.Role),
		memory: deref(c.MemorySize), timeout: deref(c.Timeout), env: map[string]string{}, other: map[string]string{},
	}
	for _, a := range c.Architectures {
		s.architecture = string(a)
	}
	if c.EphemeralStorage != nil {
		s.storage = deref(c.EphemeralStorage.Size)
	}
	for _, l := range c.Layers {
		s.layers = append(s.layers, deref(l.Arn))
	}
	if c.Environment != nil {
		maps.Copy(s.env, c.Environment.Variables)
	}
	if d := c.DeadLetterConfig; d != nil {
		s.other["dead-letter target"] = deref(d.TargetArn)
	}
	if t := c.TracingConfig; t != nil {
		s.other["tracing"] = string(t.Mode)
	}
	if l := c.LoggingConfig; l != nil {
		s.other["logging"] = strings.Trim(fmt.Sprintf("%s %s %s %s", l.LogFormat, deref(l.LogGroup), l.ApplicationLogLevel, l.SystemLogLevel), " ")
	}
	if v := c.VpcConfig; v != nil {
		s.other["VPC"] = strings.Join(slices.Concat(v.SubnetIds, v.SecurityGroupIds), " ")
		if deref(v.Ipv6AllowedForDualStack) {
			s.other["VPC"] += " IPv6"
		}
	}
	s.other["KMS key"] = deref(c.KMSKeyArn)
	if p := c.SnapStart; p != nil {
		s.other["SnapStart"] = string(p.ApplyOn)
	}
	for _, f := range c.FileSystemConfigs {
		s.other["file system "+deref(f.LocalMountPath)] = deref(f.Arn)
	}
	if r := c.ImageConfigResponse; r != nil && r.ImageConfig != nil {
		s.other["image"] = strings.Join(slices.Concat(r.ImageConfig.EntryPoint, r.ImageConfig.Command, []string{deref(r.ImageConfig.WorkingDirectory)}), " ")
	}
	return s
}

// with returns the configuration as it is after the wanted settings are applied.
func (s snapshot) with(w wanted) snapshot {
	stated := func(to *string, value string) {
		if value != "" {
			*to = value
		}
	}
	stated(&s.runtime, w.runtime)
	stated(&s.handler, w.handler)
	stated(&s.role, w.role)
	if w.memory != 0 {
		s.memory = w.memory
	}
	if w.timeout != 0 {
		s.timeout = w.timeout
	}
	if w.env != nil {
		env := map[string]string{}
		if w.envAdds {
			maps.Copy(env, s.env)
		}
		maps.Copy(env, w.env)
		s.env = env
	}
	return s
}

func amount(n int32, unit string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// updateInput is the request that turns the configuration before into after.
func updateInput(function string, before, after snapshot) *lambda.UpdateFunctionConfigurationInput {
	in := &lambda.UpdateFunctionConfigurationInput{FunctionName: &function}
	if before.runtime != after.runtime {
		in.Runtime = types.Runtime(after.runtime)
	}
	if before.handler != after.handler {
		in.Handler = &after.handler
	}
	if before.role != after.role {
		in.Role = &after.role
	}
	if before.memory != after.memory {
		in.MemorySize = &after.memory
	}
	if before.timeout != after.timeout {
		in.Timeout = &after.timeout
	}
	if !maps.Equal(before.env, after.env) {
		in.Environment = &types.Environment{Variables: after.env}
	}
	return in
}

// createInput is the request for a new function.
func createInput(function, account string, w wanted, zip []byte) (*lambda.CreateFunctionInput, error) {
	if w.runtime == "" {
		return nil, usagef("%s is a new function; say what runs it: --runtime python3.13, nodejs22.x or provided.al2023", function)
	}
	handler := w.handler
	if handler == "" {
		switch {
		case strings.HasPrefix(w.runtime, "provided"):
			handler = "bootstrap"
		case strings.HasPrefix(w.runtime, "nodejs"):
			handler = "index.handler"
		case strings.HasPrefix(w.runtime, "python"):
			handler = "lambda_function.lambda_handler"
		default:
			return nil, usagef("%s is a new function; say where it begins: --handler FILE.FUNCTION", function)
		}
	}
	role := w.role
	if role == "" {
		role = "arn:aws:iam::" + account + ":role/serin"
	}
	in := &lambda.CreateFunctionInput{
		FunctionName: &function, Runtime: types.Runtime(w.runtime), Handler: &handler, Role: &role,
		Code: &types.FunctionCode{ZipFile: zip},
	}
	if w.memory != 0 {
		in.MemorySize = &w.memory
	}
	if w.timeout != 0 {
		in.Timeout = &w.timeout
	}
	if w.env != nil {
		in.Environment = &types.Environment{Variables: w.env}
	}
	return in, nil
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
