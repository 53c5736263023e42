package control

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"serin"
)

// layer publishes a version of a layer and returns its ARN.
func (c *Control) layer(t *testing.T, name, content string) string {
	t.Helper()
	out, err := c.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
		LayerName: &name, Content: &types.LayerVersionContentInput{ZipFile: packed(t, content)},
	})
	must(t, err)
	return *out.LayerVersionArn
}

func (c *Control) setLayers(t *testing.T, arns []string) error {
	t.Helper()
	_, err := c.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("shop"), Layers: arns})
	return err
}

// shown returns the layers that a version of the function shows.
func (c *Control) shown(t *testing.T, qualifier string) []string {
	t.Helper()
	out, err := c.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("shop"), Qualifier: &qualifier})
	must(t, err)
	var all []string
	for _, l := range out.Layers {
		all = append(all, fmt.Sprint(*l.Arn, " ", l.CodeSize))
	}
	return all
}

// A function keeps what it needs of its layers, whatever becomes of the layer versions.
func TestFunctionLayers(t *testing.T) {
	c := start(t)
	c.MountsLayers = true
	a1, b1 := c.layer(t, "a", "one"), c.layer(t, "b", "three")
	sizes := []string{fmt.Sprint(b1, " ", len(packed(t, "three"))), fmt.Sprint(a1, " ", len(packed(t, "one")))}

	in := creation("shop", packed(t, "code"))
	in.Layers, in.Publish = []string{b1, a1}, true
	created, err := c.CreateFunction(t.Context(), in)
	must(t, err)
	if len(created.Layers) != 2 {
		t.Errorf("the answer shows the layers %v", created.Layers)
	}
	for _, q := range []string{"$LATEST", "1"} {
		if d := cmp.Diff(sizes, c.shown(t, q)); d != "" {
			t.Errorf("layers of %s (-want +got):\n%s", q, d)
		}
	}
	f, _ := c.Table.Function("shop")
	v, _ := f.Version(1)
	want := []serin.LayerRef{{ARN: b1, Code: codeOf(t, packed(t, "three"))}, {ARN: a1, Code: codeOf(t, packed(t, "one"))}}
	if d := cmp.Diff(want, v.Config.Layers); d != "" {
		t.Errorf("what an execution environment gets to know (-want +got):\n%s", d)
	}

	for _, name := range []string{"a", "b"} {
		_, err := c.DeleteLayerVersion(t.Context(), &lambda.DeleteLayerVersionInput{LayerName: &name, VersionNumber: aws.Int64(1)})
		must(t, err)
	}
	c.touch(t, "shop") // layers that are not mentioned stay
	if d := cmp.Diff(sizes, c.shown(t, "$LATEST")); d != "" {
		t.Errorf("after the deletion (-want +got):\n%s", d)
	}
	for _, l := range want {
		blob, err := c.Store.OpenBlob(t.Context(), blobKey(l.Code))
		must(t, err)
		must(t, blob.Close())
	}
	a2 := c.layer(t, "a", "two")
	must(t, c.setLayers(t, []string{a2}))
	if got := c.shown(t, "$LATEST"); len(got) != 1 || !strings.HasPrefix(got[0], a2+" ") || !strings.HasSuffix(a2, ":a:2") {
		t.Errorf("layers %v, want version 2 of a", got)
	}
	must(t, c.setLayers(t, []string{}))
	if d := cmp.Diff(sizes, c.shown(t, "1")); d != "" || c.shown(t, "$LATEST") != nil {
		t.Errorf("layers of version 1 (-want +got):\n%s$LATEST has %v", d, c.shown(t, "$LATEST"))
	}
}

func TestFunctionLayersAreChecked(t *testing.T) {
	c := start(t)
	c.MountsLayers = true
	c.create(t, "shop", 0)
	a1 := c.layer(t, "a", "one")
	a2 := c.layer(t, "a", "two")
	five := []string{a1}
	for i := range 5 {
		five = append(five, c.layer(t, fmt.Sprint("l", i), "x"))
	}
	elsewhere := strings.Replace(a1, "us-east-1", "eu-west-1", 1)
	foreign := strings.Replace(a1, "123456789012", "000000000000", 1)
	for _, test := range []struct {
		arns    []string
		kind    serin.Kind
		message string
	}{
		{[]string{a1, a2}, serin.KindInvalid, "Two different versions of the same layer are not allowed to be referenced in the same function. " + a1 + " and " + a2 + " are versions of the same layer."},
		{[]string{a1, a1}, serin.KindInvalid, "Two different versions of the same layer are not allowed to be referenced in the same function. " + a1 + " and " + a1 + " are versions of the same layer."},
		{[]string{five[1], a1 + "9"}, serin.KindInvalid, "Layer version " + a1 + "9 does not exist."},
		{[]string{elsewhere}, serin.KindInvalid, "Layers are not in the same region as the function. Layers are expected to be in region us-east-1."},
		{[]string{foreign}, serin.KindDenied, "User is not authorized to perform: lambda:GetLayerVersion on resource: " + foreign},
		{five, serin.KindInvalid, "Cannot reference more than 5 layers."},
	} {
		err := c.setLayers(t, test.arns)
		refused(t, fmt.Sprint(test.arns), err, test.kind)
		if err != nil && err.Error() != test.message {
			t.Errorf("%v: %s\nwant %s", test.arns, err, test.message)
		}
	}
	must(t, c.setLayers(t, five[:5]))
	if got := c.shown(t, "$LATEST"); len(got) != 5 {
		t.Errorf("layers %v", got)
	}
}

// A layer version takes part in the account's code storage, on its way in and for what comes later.
func TestLayersCountAsStorage(t *testing.T) {
	c := start(t)
	small := packed(t, "x")
	c.fill(len(small) - 1)
	_, err := c.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
		LayerName: aws.String("a"), Content: &types.LayerVersionContentInput{ZipFile: small},
	})
	refused(t, "a layer version that does not fit", err, serin.KindStorage)
	c.fill(2*len(small) - 1)
	c.layer(t, "a", "x")
	_, err = c.CreateFunction(t.Context(), creation("shop", small))
	refused(t, "a function that does not fit beside it", err, serin.KindStorage)
	_, err = c.DeleteLayerVersion(t.Context(), &lambda.DeleteLayerVersionInput{LayerName: aws.String("a"), VersionNumber: aws.Int64(1)})
	must(t, err)
	_, err = c.CreateFunction(t.Context(), creation("shop", small))
	must(t, err)
}
