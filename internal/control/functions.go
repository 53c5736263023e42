package control

import (
	"cmp"
	"context"
	"errors"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
	"serin/internal/store"
)

// CreateFunction creates a function. It is Active when the call returns; the reply still shows Pending, as
// AWS's does, and the transition has already given it another RevisionId.
func (c *Control) CreateFunction(ctx context.Context, in *lambda.CreateFunctionInput, _ ...func(*lambda.Options)) (*lambda.CreateFunctionOutput, error) {
	ref, err := c.checkCreate(ctx, in)
	if err != nil {
		return nil, err
	}
	cfg := configurationOf(in, ref.Function)
	zip, err := c.codePackage(ctx, codeSource{in.Code.ZipFile, in.Code.S3Bucket, in.Code.S3Key, in.Code.S3ObjectVersion, in.Code.ImageUri})
	if err != nil {
		return nil, err
	}
	code, err := checkCode(zip)
	if err != nil {
		return nil, err
	}
	if cfg.Layers, err = c.functionLayers(ctx, in.Layers); err != nil {
		return nil, err
	}
	if err := serin.CheckUnzipped(code, cfg.Layers); err != nil {
		return nil, err
	}
	if _, exists := c.Table.Function(ref.Function); exists { // no package is stored for nothing
		return nil, alreadyExists(ref.Function)
	}
	if err := c.room(code.Size); err != nil {
		return nil, err
	}
	if err := c.storeCode(ctx, zip); err != nil {
		return nil, err
	}
	failure := c.runtimeFailure(ctx, cfg.Runtime)
	var reply *types.FunctionConfiguration
	_, seq, err := c.Store.CreateFunction(ctx, ref.Function, func(last serin.VersionNumber) (*serin.Function, error) {
		why := c.change(ctx, serin.CauseManual)
		f := serin.NewFunction(why, c.Place, ref.Function, cfg, code, nil, last)
		if err := f.Tag(in.Tags); err != nil {
			return nil, err
		}
		shown := f.Latest
		if in.Publish {
			v, err := f.PublishVersion(why, serin.Publication{})
			if err != nil {
				return nil, err
			}
			shown = v
		}
		reply = c.configuration(f, shown, view{})
		f.Settle(why, failure)
		return f, c.room(codeSize(f))
	})
	if errors.Is(err, store.ErrExists) {
		return nil, alreadyExists(ref.Function)
	}
	if err != nil {
		return nil, err
	}
	return fill[lambda.CreateFunctionOutput](reply), c.Table.Wait(ctx, seq)
}

// alreadyExists is worded as AWS does.
func alreadyExists(name string) error {
	return serin.Errorf(serin.KindConflict, "Function already exist: %s", name)
}

// UpdateFunctionCode replaces the code of $LATEST and, if asked, publishes it.
func (c *Control) UpdateFunctionCode(ctx context.Context, in *lambda.UpdateFunctionCodeInput, _ ...func(*lambda.Options)) (*lambda.UpdateFunctionCodeOutput, error) {
	var v violations
	v.functionName(in.FunctionName)
	v.architectures(in.Architectures)
	ref, err := c.latestRef(&v, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if in.PublishTo != "" {
		return nil, notImplemented("PublishTo")
	}
	current, err := c.function(ref.Function, "")
	if err != nil {
		return nil, err
	}
	zip, err := c.codePackage(ctx, codeSource{in.ZipFile, in.S3Bucket, in.S3Key, in.S3ObjectVersion, in.ImageUri})
	if err != nil {
		return nil, err
	}
	code, err := checkCode(zip)
	if err != nil {
		return nil, err
	}
	failure := c.runtimeFailure(ctx, current.Latest.Config.Runtime)
	var reply *types.FunctionConfiguration
	rules := func(f *serin.Function) error {
		why := c.change(ctx, serin.CauseManual)
		architecture := ""
		if len(in.Architectures) > 0 {
			architecture = string(in.Architectures[0])
		}
		if err := f.UpdateCode(why, code, architecture, deref(in.RevisionId)); err != nil {
			return err
		}
		reply = c.configuration(f, f.Latest, view{})
		if in.Publish {
			v, err := f.PublishVersion(why, serin.Publication{})
			if err != nil {
				return err
			}
			reply = c.configuration(f, v, view{qualifier: v.Number.String()})
		}
		f.Settle(why, failure)
		return nil
	}
	// A dry run ends after this; and no package is stored for what would be refused.
	if err := c.withinStorage(rules)(current.Clone()); err != nil {
		return nil, err
	}
	if in.DryRun {
		return fill[lambda.UpdateFunctionCodeOutput](reply), nil
	}
	if err := c.storeCode(ctx, zip); err != nil {
		return nil, err
	}
	if _, err := c.update(ctx, ref.Function, "", rules); err != nil {
		return nil, err
	}
	return fill[lambda.UpdateFunctionCodeOutput](reply), nil
}

// UpdateFunctionConfiguration changes the configuration of $LATEST; absent members keep what is there.
func (c *Control) UpdateFunctionConfiguration(ctx context.Context, in *lambda.UpdateFunctionConfigurationInput, _ ...func(*lambda.Options)) (*lambda.UpdateFunctionConfigurationOutput, error) {
	var v violations
	v.functionName(in.FunctionName)
	s := settingsOfUpdate(in)
	s.constraints(&v)
	ref, err := c.latestRef(&v, in.FunctionName)
	if err != nil {
		return nil, err
	}
	if err := s.rules(); err != nil {
		return nil, err
	}
	current, err := c.function(ref.Function, "")
	if err != nil {
		return nil, err
	}
	if err := c.checkDeadLetter(ctx, ref.Function, in.DeadLetterConfig); err != nil {
		return nil, err
	}
	if s.layers, err = c.functionLayers(ctx, in.Layers); err != nil {
		return nil, err
	}
	failure := c.runtimeFailure(ctx, cmp.Or(string(in.Runtime), current.Latest.Config.Runtime))
	var reply *types.FunctionConfiguration
	_, err = c.update(ctx, ref.Function, "", func(f *serin.Function) error {
		why := c.change(ctx, serin.CauseManual)
		if err := f.UpdateConfiguration(why, s.apply, deref(in.RevisionId)); err != nil {
			return err
		}
		reply = c.configuration(f, f.Latest, view{})
		f.Settle(why, failure)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return fill[lambda.UpdateFunctionConfigurationOutput](reply), nil
}

// DeleteFunction deletes a function or, with a qualifier, one version.
func (c *Control) DeleteFunction(ctx context.Context, in *lambda.DeleteFunctionInput, _ ...func(*lambda.Options)) (*lambda.DeleteFunctionOutput, error) {
	var v violations
	v.namespacedName(in.FunctionName)
	v.qualifier(in.Qualifier)
	if err := v.err(); err != nil {
		return nil, err
	}
	ref, err := c.ref(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if _, err := c.function(ref.Function, ""); err != nil {
		return nil, err
	}
	if ref.Qualifier == "" {
		return c.deleteFunction(ctx, ref.Function)
	}
	return c.deleteVersion(ctx, ref)
}

func (c *Control) deleteFunction(ctx context.Context, name string) (*lambda.DeleteFunctionOutput, error) {
	if err := c.unused(ctx, name, nil); err != nil {
		return nil, err
	}
	seq, err := c.Store.DeleteFunction(ctx, name, func(f *serin.Function) error {
		why := c.change(ctx, serin.CauseManual)
		for alias := range f.Aliases {
			f.DeleteAlias(why, alias) // for the history
		}
		return nil
	})
	if err != nil {
		return nil, c.missing(err, name, "")
	}
	return &lambda.DeleteFunctionOutput{StatusCode: 204}, c.Table.Wait(ctx, seq)
}

func (c *Control) deleteVersion(ctx context.Context, ref serin.Ref) (*lambda.DeleteFunctionOutput, error) {
	out := &lambda.DeleteFunctionOutput{StatusCode: 204}
	n, ok := serin.ParseVersion(ref.Qualifier)
	switch {
	case !ok && patterns.digits.MatchString(ref.Qualifier):
		return out, nil // a number that was never given
	case !ok:
		return nil, serin.Errorf(serin.KindInvalid, "Deletion of aliases is not currently supported.")
	}
	if err := c.unused(ctx, ref.Function, &n); err != nil {
		return nil, err
	}
	_, err := c.update(ctx, ref.Function, "", func(f *serin.Function) error { return f.DeleteVersion(n) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

// unused refuses to delete what an active release needs: the function, or one of the two versions. A
// release that starts at the same moment finds the version gone, and ends.
func (c *Control) unused(ctx context.Context, function string, n *serin.VersionNumber) error {
	active, err := c.Store.ActiveReleases(ctx)
	if err != nil {
		return err
	}
	for _, r := range active {
		if r.Function == function && (n == nil || *n == r.Baseline || *n == r.Canary) {
			return serin.Errorf(serin.KindConflict, "Unable to delete because release %s of alias %s is active. End it first: serin abort --function %s --alias %s",
				r.ID, r.Alias, function, r.Alias)
		}
	}
	return nil
}

// latestRef resolves the name of an operation that changes $LATEST.
func (c *Control) latestRef(v *violations, name *string) (serin.Ref, error) {
	ref, err := v.refOr(c, name)
	if err != nil {
		return ref, err
	}
	if ref.Qualifier != "" && ref.Qualifier != serin.Latest.String() {
		return ref, serin.Errorf(serin.KindInvalid, "Current operation does not support versions other than $LATEST")
	}
	return ref, nil
}

// runtimeFailure says why functions of a runtime cannot run on this machine, or returns "".
func (c *Control) runtimeFailure(ctx context.Context, runtime string) string {
	interpreter, err := c.Executor.Resolve(ctx, runtime)
	if err != nil {
		return err.Error()
	}
	if interpreter.Warning != "" {
		serin.Warn(ctx, interpreter.Warning)
	}
	return ""
}

func notImplemented(member string) error {
	return serin.Errorf(serin.KindNotImplemented, "Serin does not support %s yet.", member)
}

// fill copies a configuration into the output of an operation, which has members of the same names.
func fill[T any](cfg *types.FunctionConfiguration) *T {
	out := new(T)
	to, from := reflect.ValueOf(out).Elem(), reflect.ValueOf(cfg).Elem()
	for i := range from.NumField() {
		if name := from.Type().Field(i).Name; from.Type().Field(i).IsExported() {
			if field := to.FieldByName(name); field.IsValid() {
				field.Set(from.Field(i))
			}
		}
	}
	return out
}
