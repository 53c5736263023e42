package serin_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"serin"
)

func layerRef(name string, unzipped int64) serin.LayerRef {
	return serin.LayerRef{ARN: place.LayerVersionARN(name, 1), Code: serin.Code{SHA256: name, Size: 10, UnzippedSize: unzipped}}
}

// Code and layers together have a limit, whichever of them comes last.
func TestLayersCountAsCode(t *testing.T) {
	c := stamper()
	f := shop(t, c, 0)
	layers := func(refs ...serin.LayerRef) func(*serin.Function) error {
		return func(f *serin.Function) error {
			return f.UpdateConfiguration(c, func(cfg *serin.Configuration) { cfg.Layers = refs }, "")
		}
	}
	code := func(unzipped int64) func(*serin.Function) error {
		return func(f *serin.Function) error {
			return f.UpdateCode(c, serin.Code{SHA256: "c", UnzippedSize: unzipped}, "", "")
		}
	}
	tooLarge := func(actual int64) string {
		return fmt.Sprintf("Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. The actual size is %d bytes.", actual)
	}
	const most = 262144000
	ok(t, code(most)(f))
	refused(t, f, serin.KindInvalid, tooLarge(most+1), layers(layerRef("a", 1)))
	ok(t, code(most-3)(f))
	ok(t, layers(layerRef("a", 1), layerRef("b", 2))(f))
	refused(t, f, serin.KindInvalid, tooLarge(most+1), code(most-2))
	refused(t, f, serin.KindInvalid, tooLarge(most+1), layers(layerRef("a", 1), layerRef("b", 2), layerRef("c", 1)))
	ok(t, layers()(f))
	ok(t, code(most)(f))
}

// A version keeps the layers that $LATEST had, through its JSON document.
func TestLayersAreFrozen(t *testing.T) {
	c := stamper()
	f := shop(t, c, 0)
	refs := []serin.LayerRef{layerRef("b", 1), layerRef("a", 2)}
	ok(t, f.UpdateConfiguration(c, func(cfg *serin.Configuration) { cfg.Layers = refs }, ""))
	f.Settle(c, "")
	v := publish(t, f, c, serin.Publication{})
	ok(t, f.UpdateConfiguration(c, func(cfg *serin.Configuration) { cfg.Layers = nil }, ""))
	text, err := json.Marshal(v)
	ok(t, err)
	var read serin.Version
	ok(t, json.Unmarshal(text, &read))
	if d := cmp.Diff(refs, read.Config.Layers); d != "" || f.Latest.Config.Layers != nil {
		t.Errorf("layers of version 1 (-want +got):\n%s$LATEST has %v", d, f.Latest.Config.Layers)
	}
}

func TestLayerVersionPolicy(t *testing.T) {
	c := stamper()
	v := &serin.LayerVersion{Layer: "l", Number: 1}
	arn := place.LayerVersionARN("l", 1)
	public := serin.Statement{SID: "s", Principal: "*", Action: "lambda:GetLayerVersion"}
	next, text, err := v.AddPermission(c, arn, "", public)
	ok(t, err)
	if want := public.Document(arn); text != want || v.Policy != nil {
		t.Errorf("statement %s, want %s; the old value has the policy %v", text, want, v.Policy)
	}
	if _, _, err := next.AddPermission(c, arn, "", public); err == nil {
		t.Error("a statement was added twice")
	}
	gone, err := next.RemovePermission(c, "s", next.Policy.RevisionID)
	ok(t, err)
	if _, _, err := gone.PolicyDocument(arn); err == nil || next.Policy == nil {
		t.Error("the last statement left a policy, or the old value lost its own")
	}
}

func TestLayerSuits(t *testing.T) {
	silent := &serin.LayerVersion{}
	python := &serin.LayerVersion{Runtimes: []string{"python3.12"}, Architectures: []string{"arm64"}}
	for _, c := range []struct {
		v                     *serin.LayerVersion
		runtime, architecture string
		want                  bool
	}{
		{silent, "", "", true},
		{silent, "python3.12", "", false},
		{python, "", "", true},
		{python, "python3.12", "arm64", true},
		{python, "python3.12", "x86_64", false},
		{python, "nodejs22.x", "arm64", false},
	} {
		if got := c.v.Suits(c.runtime, c.architecture); got != c.want {
			t.Errorf("%v suits %s on %s: %t", c.v, c.runtime, c.architecture, got)
		}
	}
}

func FuzzParseLayer(f *testing.F) {
	for _, s := range []string{"l", "arn:aws:lambda:us-east-1:123456789012:layer:l", "arn:aws:lambda:eu-west-1:0:layer:l:7", "a:b", "::::::", ":::::::", "arn:aws:lambda:us-east-1:123456789012:layer:l:99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, name, number := place.ParseLayer(s)
		if at == place && number > 0 {
			if again, other, n := place.ParseLayer(place.LayerVersionARN(name, number)); again != at || other != name || n != number {
				t.Errorf("%q is version %d of %q at %v, and then version %d of %q at %v", s, number, name, at, n, other, again)
			}
		}
	})
}
