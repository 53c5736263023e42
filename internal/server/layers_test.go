package server_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// TestFunctionsUseLayers imports from two layers, of which the second wins, and keeps them in a published version when
// the layers are gone.
func TestFunctionsUseLayers(t *testing.T) {
	isolates(t)
	r := start(t)
	ctx := t.Context()
	layer := func(name, file, content string) string {
		out, err := r.PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{
			LayerName: &name, Content: &types.LayerVersionContentInput{ZipFile: zipped(t, file, content)},
		})
		must(t, err)
		return *out.LayerVersionArn
	}
	below := layer("below", "python/shared.py", "who = 'below'")
	above := layer("above", "python/shared.py", "who = 'above'")
	beside := layer("beside", "data/text", "beside")
	r.create(t, "layered", "import shared\ndef handler(e, c): return [shared.who, shared.__file__, open('/opt/data/text').read()]", 0)
	publish := func(arns ...string) string {
		_, err := r.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("layered"), Layers: arns})
		must(t, err)
		out, err := r.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: aws.String("layered")})
		must(t, err)
		return *out.Version
	}
	first, second := publish(below, above, beside), publish(above, below, beside)
	for _, name := range []string{"below", "above", "beside"} {
		_, err := r.DeleteLayerVersion(ctx, &lambda.DeleteLayerVersionInput{LayerName: &name, VersionNumber: aws.Int64(1)})
		must(t, err)
	}
	for version, want := range map[string]string{first: "above", second: "below"} {
		out, err := r.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("layered"), Qualifier: &version, Payload: []byte("{}")})
		must(t, err)
		if got := string(out.Payload); got != `["`+want+`", "/opt/python/shared.py", "beside"]` {
			t.Errorf("version %s answers %s", version, got)
		}
	}
}
