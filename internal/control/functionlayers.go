package control

import (
	"context"
	"errors"
	"slices"
	"strings"

	"serin"
	"serin/internal/store"
)

const (
	layerVersionPattern    = `arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+`
	functionLayerPattern   = `(` + layerVersionPattern + `)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)`
	longestLayerVersionARN = 140
)

var (
	layerVersionExpression  = whole(layerVersionPattern)
	functionLayerExpression = whole(functionLayerPattern)
)

// layers checks the ARNs of a function's layers against the API model.
func (v *violations) layers(arns []string) {
	if slices.ContainsFunc(arns, func(arn string) bool {
		return len(arn) > longestLayerVersionARN || !functionLayerExpression.MatchString(arn)
	}) {
		v.add("layers", clip("["+strings.Join(arns, ", ")+"]"), "Member must satisfy constraint: ["+atMost(longestLayerVersionARN)+", "+atLeast(1)+
			", Member must satisfy regular expression pattern: "+functionLayerPattern+", Member must not be null]")
	}
}

// functionLayers looks up the layers of a function. What it returns holds all that running the function needs,
// so it does not matter what becomes of the layer versions.
//
// Errors: KindInvalid and KindDenied with the texts of AWS (recorded November 2023), KindNotImplemented on a
// server whose environments do not see layers.
func (c *Control) functionLayers(ctx context.Context, arns []string) ([]serin.LayerRef, error) {
	if len(arns) > 0 && !c.MountsLayers {
		return nil, notImplemented("Layers")
	}
	if len(arns) > serin.MaxLayers {
		return nil, serin.Errorf(serin.KindInvalid, "Cannot reference more than %d layers.", serin.MaxLayers)
	}
	var refs []serin.LayerRef
	seen := map[string]string{}
	for _, arn := range arns {
		at, name, number := c.Place.ParseLayer(arn)
		switch {
		case at.Region != c.Place.Region:
			return nil, serin.Errorf(serin.KindInvalid, "Layers are not in the same region as the function. Layers are expected to be in region %s.", c.Place.Region)
		case at.Account != c.Place.Account:
			return nil, deniedLayer(arn)
		}
		found, err := c.Store.LayerVersion(ctx, name, number)
		if err != nil {
			return nil, noLayerVersion(err, serin.KindInvalid, arn)
		}
		if first, ok := seen[name]; ok {
			return nil, serin.Errorf(serin.KindInvalid, "Two different versions of the same layer are not allowed to be referenced in the same function. %s and %s are versions of the same layer.", first, arn)
		}
		seen[name] = arn
		// The layer version may be deleted before the function is saved; its package stays.
		if err := c.Store.RenewBlob(ctx, blobKey(found.Code)); err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		refs = append(refs, serin.LayerRef{ARN: c.Place.LayerVersionARN(name, number), Code: found.Code})
	}
	return refs, nil
}
