package cli

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func before() snapshot {
	return snapshotOf(&types.FunctionConfiguration{
		CodeSha256: new("9c1e00aa55="), Runtime: "python3.12", Handler: new("app.handler"), Role: new("arn:aws:iam::000000000000:role/r"),
		MemorySize: new(int32(128)), Timeout: new(int32(3)), Architectures: []types.Architecture{"x86_64"},
		Environment:      &types.EnvironmentResponse{Variables: map[string]string{"KEEP": "1", "SECRET": "hunter2"}},
		EphemeralStorage: &types.EphemeralStorage{Size: new(int32(512))},
		TracingConfig:    &types.TracingConfigResponse{Mode: "PassThrough"},
		LoggingConfig:    &types.LoggingConfig{LogFormat: "Text", LogGroup: new("/aws/lambda/hello")},
		Layers:           []types.Layer{{Arn: new("arn:aws:lambda:us-east-1:000000000000:layer:base:1")}},
	})
}

func TestChanges(t *testing.T) {
	for name, c := range map[string]struct {
		want    wanted
		code    string
		changed []string
		update  *lambda.UpdateFunctionConfigurationInput
	}{
		"nothing stated": {
			wanted{},
			"9c1e00aa55=",
			[]string{},
			&lambda.UpdateFunctionConfigurationInput{},
		},
		"the same stated": {
			wanted{runtime: "python3.12", memory: 128, timeout: 3, env: map[string]string{"SECRET": "hunter2", "KEEP": "1"}},
			"9c1e00aa55=",
			[]string{},
			&lambda.UpdateFunctionConfigurationInput{},
		},
		"other code": {
			wanted{},
			"77ab11bb66=",
			[]string{"code 9c1e00…→77ab11…"},
			&lambda.UpdateFunctionConfigurationInput{},
		},
		"code that begins alike": {
			wanted{},
			"9c1e00zzzz=",
			[]string{"code 9c1e00aa55=→9c1e00zzzz="},
			&lambda.UpdateFunctionConfigurationInput{},
		},
		"settings": {
			wanted{runtime: "python3.13", handler: "app.main", role: "arn:aws:iam::000000000000:role/s", memory: 256, timeout: 10},
			"9c1e00aa55=",
			[]string{
				"runtime python3.12→python3.13", "handler app.handler→app.main",
				"role arn:aws:iam::000000000000:role/r→arn:aws:iam::000000000000:role/s", "memory 128 MB→256 MB", "timeout 3 s→10 s",
			},
			&lambda.UpdateFunctionConfigurationInput{
				Runtime: "python3.13", Handler: new("app.main"), Role: new("arn:aws:iam::000000000000:role/s"),
				MemorySize: new(int32(256)), Timeout: new(int32(10)),
			},
		},
		"a whole environment": {
			wanted{env: map[string]string{"SECRET": "other", "TABLE": "t"}},
			"9c1e00aa55=",
			[]string{"env KEEP removed", "env SECRET changed (value hidden)", "env TABLE added: t"},
			&lambda.UpdateFunctionConfigurationInput{Environment: &types.Environment{Variables: map[string]string{"SECRET": "other", "TABLE": "t"}}},
		},
		"an empty environment": {
			wanted{env: map[string]string{}},
			"9c1e00aa55=",
			[]string{"env KEEP removed", "env SECRET removed (value hidden)"},
			&lambda.UpdateFunctionConfigurationInput{Environment: &types.Environment{Variables: map[string]string{}}},
		},
		"one variable more": {
			wanted{env: map[string]string{"TABLE": "t"}, envAdds: true},
			"9c1e00aa55=",
			[]string{"env TABLE added: t"},
			&lambda.UpdateFunctionConfigurationInput{Environment: &types.Environment{Variables: map[string]string{"KEEP": "1", "SECRET": "hunter2", "TABLE": "t"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			after := before().with(c.want)
			after.code = c.code
			if diff := cmp.Diff(c.changed, texts(before().changes(after))); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			c.update.FunctionName = new("hello")
			if diff := cmp.Diff(c.update, updateInput("hello", before(), after), cmpopts.IgnoreUnexported(lambda.UpdateFunctionConfigurationInput{}, types.Environment{})); diff != "" {
				t.Errorf("update (-want +got):\n%s", diff)
			}
		})
	}
}

// What somebody else has changed since the last version is told, too, though ship did not ask for it.
func TestChangesOfOthers(t *testing.T) {
	after := snapshotOf(&types.FunctionConfiguration{
		CodeSha256: new("9c1e00aa55="), Runtime: "python3.12", Handler: new("app.handler"), Role: new("arn:aws:iam::000000000000:role/r"),
		MemorySize: new(int32(128)), Timeout: new(int32(3)), Architectures: []types.Architecture{"arm64"},
		Environment:      &types.EnvironmentResponse{Variables: map[string]string{"KEEP": "1", "SECRET": "hunter2"}},
		EphemeralStorage: &types.EphemeralStorage{Size: new(int32(1024))},
		TracingConfig:    &types.TracingConfigResponse{Mode: "Active"},
		LoggingConfig:    &types.LoggingConfig{LogFormat: "JSON", LogGroup: new("/aws/lambda/hello"), ApplicationLogLevel: "INFO"},
		DeadLetterConfig: &types.DeadLetterConfig{TargetArn: new("arn:q")},
		VpcConfig:        &types.VpcConfigResponse{SubnetIds: []string{"subnet-1"}},
		SnapStart:        &types.SnapStartResponse{ApplyOn: "None"},
		KMSKeyArn:        new("arn:k"),
		Layers:           []types.Layer{{Arn: new("arn:aws:lambda:us-east-1:000000000000:layer:base:2")}},
	})
	want := []string{
		"architecture x86_64→arm64", "ephemeral storage 512 MB→1024 MB", "layers base:1→base:2",
		"logging Text /aws/lambda/hello→JSON /aws/lambda/hello INFO", "tracing PassThrough→Active",
		"KMS key arn:k", "SnapStart None", "VPC subnet-1", "dead-letter target arn:q",
	}
	if diff := cmp.Diff(want, texts(before().changes(after))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCreateInput(t *testing.T) {
	if _, err := createInput("hello", "000000000000", wanted{}, nil); exitCode(err) != exitUsage {
		t.Errorf("without a runtime: %v", err)
	}
	if _, err := createInput("hello", "000000000000", wanted{runtime: "java21"}, nil); exitCode(err) != exitUsage {
		t.Errorf("without a handler that could be guessed: %v", err)
	}
	for runtime, handler := range map[string]string{
		"provided.al2023": "bootstrap", "nodejs22.x": "index.handler", "python3.13": "lambda_function.lambda_handler",
	} {
		in, err := createInput("hello", "123456789012", wanted{runtime: runtime, memory: 256}, []byte("zip"))
		if err != nil || *in.Handler != handler || *in.Role != "arn:aws:iam::123456789012:role/serin" || *in.MemorySize != 256 || in.Timeout != nil {
			t.Errorf("%s: %+v, %v", runtime, in, err)
		}
	}
}

func TestDescribeVersion(t *testing.T) {
	if got := describeVersion("fix cart\n\nat length"); got != "fix cart" {
		t.Errorf("%q", got)
	}
	if got := describeVersion("x" + strings.Repeat("é", 300)); len(got) != 255 || !utf8.ValidString(got) {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}
