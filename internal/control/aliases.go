package control

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
	"serin/internal/store"
)

// CreateAlias adds an alias to a function.
func (c *Control) CreateAlias(ctx context.Context, in *lambda.CreateAliasInput, _ ...func(*lambda.Options)) (*lambda.CreateAliasOutput, error) {
	var v violations
	v.functionName(in.FunctionName)
	v.aliasName(in.Name)
	v.required("functionVersion", in.FunctionVersion)
	v.version("functionVersion", in.FunctionVersion)
	v.description(in.Description)
	v.weights(in.RoutingConfig)
	ref, err := v.refOr(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	up, err := c.aliasUpdate(ref.Function, in.Description, in.FunctionVersion, in.RoutingConfig, nil)
	if err != nil {
		return nil, err
	}
	var a *serin.Alias
	f, err := c.update(ctx, ref.Function, *in.FunctionVersion, func(f *serin.Function) (err error) {
		a, err = f.CreateAlias(c.change(ctx, serin.CauseManual), *in.Name, up)
		return err
	})
	if err != nil {
		return nil, err
	}
	return (*lambda.CreateAliasOutput)(aliasOutput(f, a)), nil
}

// UpdateAlias changes an alias.
func (c *Control) UpdateAlias(ctx context.Context, in *lambda.UpdateAliasInput, _ ...func(*lambda.Options)) (*lambda.UpdateAliasOutput, error) {
	var v violations
	v.functionName(in.FunctionName)
	v.aliasName(in.Name)
	v.version("functionVersion", in.FunctionVersion)
	v.description(in.Description)
	v.weights(in.RoutingConfig)
	ref, err := v.refOr(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	up, err := c.aliasUpdate(ref.Function, in.Description, in.FunctionVersion, in.RoutingConfig, in.RevisionId)
	if err != nil {
		return nil, err
	}
	f, a, err := c.moveAlias(ctx, ref.Function, *in.Name, c.change(ctx, serin.CauseManual), up)
	if err != nil {
		return nil, err
	}
	return aliasOutput(f, a), nil
}

func (c *Control) moveAlias(ctx context.Context, function, name string, why serin.Change, up serin.AliasUpdate) (*serin.Function, *serin.Alias, error) {
	var a *serin.Alias
	f, err := c.update(ctx, function, name, func(f *serin.Function) (err error) {
		a, err = f.UpdateAlias(why, name, up)
		return err
	})
	return f, a, err
}

// Alias returns an alias of a function as the routing table shows it.
//
// Errors: KindNotFound.
func (c *Control) Alias(function, name string) (*serin.Function, *serin.Alias, error) {
	f, err := c.function(function, name)
	if err != nil {
		return nil, nil, err
	}
	a := f.Aliases[name]
	if a == nil {
		return nil, nil, serin.Errorf(serin.KindNotFound, "Cannot find alias arn: %s", f.QualifiedARN(name))
	}
	return f, a, nil
}

// MoveAlias points an alias at a routing, creating the alias if the move has no RevisionID and the alias does
// not exist. It is the one way by which releases and rollbacks move traffic.
//
// Errors: KindPrecondition if the alias was changed meanwhile, and those of UpdateAlias.
func (c *Control) MoveAlias(ctx context.Context, m serin.AliasMove) error {
	why := c.change(ctx, m.Cause)
	why.Reason, why.Release = m.Reason, m.Release
	if m.Actor != "" {
		why.Actor = m.Actor
	}
	weights := map[serin.VersionNumber]float64{}
	if m.To.Weighted() {
		weights[m.To.Additional] = m.To.Weight
	}
	up := serin.AliasUpdate{Version: &m.To.Version, Weights: &weights, RevisionID: m.RevisionID}
	_, err := c.update(ctx, m.Function, m.Alias, func(f *serin.Function) error {
		if f.Aliases[m.Alias] == nil && m.RevisionID == "" {
			_, err := f.CreateAlias(why, m.Alias, up)
			return err
		}
		_, err := f.UpdateAlias(why, m.Alias, up)
		return err
	})
	return err
}

// DeleteAlias removes an alias. An alias that does not exist is no error.
func (c *Control) DeleteAlias(ctx context.Context, in *lambda.DeleteAliasInput, _ ...func(*lambda.Options)) (*lambda.DeleteAliasOutput, error) {
	var v violations
	v.functionName(in.FunctionName)
	v.aliasName(in.Name)
	ref, err := v.refOr(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	_, err = c.update(ctx, ref.Function, "", func(f *serin.Function) error {
		f.DeleteAlias(c.change(ctx, serin.CauseManual), *in.Name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &lambda.DeleteAliasOutput{}, nil
}

// GetAlias returns an alias.
func (c *Control) GetAlias(_ context.Context, in *lambda.GetAliasInput, _ ...func(*lambda.Options)) (*lambda.GetAliasOutput, error) {
	var v violations
	v.functionName(in.FunctionName)
	v.aliasName(in.Name)
	ref, err := v.refOr(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if _, err := c.function(ref.Function, *in.Name); err != nil {
		return nil, serin.Errorf(serin.KindNotFound, "Cannot find alias arn: %s", c.Place.FunctionARN(ref.Function, *in.Name))
	}
	f, a, err := c.Alias(ref.Function, *in.Name)
	if err != nil {
		return nil, err
	}
	return (*lambda.GetAliasOutput)(aliasOutput(f, a)), nil
}

// ListAliases returns the aliases of a function in the order of their names.
func (c *Control) ListAliases(_ context.Context, in *lambda.ListAliasesInput, _ ...func(*lambda.Options)) (*lambda.ListAliasesOutput, error) {
	var v violations
	v.functionName(in.FunctionName)
	v.version("functionVersion", in.FunctionVersion)
	v.maxItems(in.MaxItems)
	ref, err := v.refOr(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	f, err := c.function(ref.Function, "")
	if err != nil {
		return nil, err
	}
	var out lambda.ListAliasesOutput
	names := slices.Sorted(maps.Keys(f.Aliases))
	if in.FunctionVersion != nil {
		names = slices.DeleteFunc(names, func(n string) bool { return f.Aliases[n].Routing.Version.String() != *in.FunctionVersion })
	}
	page, next, err := paginate(names, in.Marker, in.MaxItems, func(n string) string { return n }, strings.Compare)
	if err != nil {
		return nil, err
	}
	out.NextMarker = next
	for _, n := range page {
		a := aliasOutput(f, f.Aliases[n])
		out.Aliases = append(out.Aliases, types.AliasConfiguration{
			AliasArn: a.AliasArn, Description: a.Description, FunctionVersion: a.FunctionVersion,
			Name: a.Name, RevisionId: a.RevisionId, RoutingConfig: a.RoutingConfig,
		})
	}
	return &out, nil
}

func (c *Control) aliasUpdate(function string, description, version *string, routing *types.AliasRoutingConfiguration, revision *string) (serin.AliasUpdate, error) {
	up := serin.AliasUpdate{Description: description, RevisionID: deref(revision)}
	if version != nil {
		n, ok := serin.ParseVersion(*version)
		if !ok { // digits, but no number that was ever given
			return up, c.notFound(function, *version)
		}
		up.Version = &n
	}
	if routing != nil {
		weights := make(map[serin.VersionNumber]float64, len(routing.AdditionalVersionWeights))
		for key, w := range routing.AdditionalVersionWeights {
			n, ok := serin.ParseVersion(key)
			if !ok {
				return up, c.notFound(function, key)
			}
			weights[n] = w
		}
		up.Weights = &weights
	}
	return up, nil
}

// History returns the newest moves of an alias, oldest first.
func (c *Control) History(ctx context.Context, function, alias string, newest int) ([]serin.Move, error) {
	return c.Store.History(ctx, function, alias, newest)
}

// rollbackHistory is how far back LastGood looks.
const rollbackHistory = 10_000

// LastGood returns the version that a rollback of the alias goes to: see [serin.LastGood].
//
// Errors: KindNotFound if there is none.
func (c *Control) LastGood(ctx context.Context, function, alias string) (serin.VersionNumber, error) {
	f, _, err := c.Alias(function, alias)
	if err != nil {
		return 0, err
	}
	moves, err := c.Store.History(ctx, function, alias, rollbackHistory)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	n, ok := serin.LastGood(moves, func(n serin.VersionNumber) bool { _, ok := f.Version(n); return ok })
	if !ok {
		return 0, serin.Errorf(serin.KindNotFound,
			"No version of %s held all traffic of alias %s before and ended healthy, so there is nothing to roll back to. Choose one with --to VERSION.", function, alias)
	}
	return n, nil
}
