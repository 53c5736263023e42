package control

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
)

const urlQualifierPattern = `((?!^\d+$)^[0-9a-zA-Z-_]+$)`

// CreateFunctionUrlConfig gives a function or an alias an HTTP endpoint.
func (c *Control) CreateFunctionUrlConfig(ctx context.Context, in *lambda.CreateFunctionUrlConfigInput, _ ...func(*lambda.Options)) (*lambda.CreateFunctionUrlConfigOutput, error) { //nolint:revive // named as in the SDK
	var v violations
	if in.AuthType == "" {
		v.missing("authType")
	}
	ch := urlChange(&v, in.AuthType, in.InvokeMode, in.Cors)
	ref, err := v.urlRef(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	var u *serin.FunctionURL
	f, err := c.updateOr(ctx, ref.Function, serin.ErrNoURLFunction(), func(f *serin.Function) (err error) {
		u, err = f.CreateURL(c.change(ctx, serin.CauseManual), ref.Qualifier, urlID(c.NewID()), ch)
		return err
	})
	if err != nil {
		return nil, err
	}
	shown := c.urlOutput(f, u, ref.Qualifier)
	return &lambda.CreateFunctionUrlConfigOutput{
		AuthType: shown.AuthType, Cors: shown.Cors, CreationTime: shown.CreationTime, FunctionArn: shown.FunctionArn,
		FunctionUrl: shown.FunctionUrl, InvokeMode: in.InvokeMode, // AWS shows what was sent
	}, nil
}

// UpdateFunctionUrlConfig changes an endpoint.
func (c *Control) UpdateFunctionUrlConfig(ctx context.Context, in *lambda.UpdateFunctionUrlConfigInput, _ ...func(*lambda.Options)) (*lambda.UpdateFunctionUrlConfigOutput, error) { //nolint:revive // named as in the SDK
	var v violations
	ch := urlChange(&v, in.AuthType, in.InvokeMode, in.Cors)
	ref, err := v.urlRef(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	var u *serin.FunctionURL
	f, err := c.updateOr(ctx, ref.Function, serin.ErrNoURLFunction(), func(f *serin.Function) (err error) {
		u, err = f.UpdateURL(c.change(ctx, serin.CauseManual), ref.Qualifier, ch)
		return err
	})
	if err != nil {
		return nil, err
	}
	shown := c.urlOutput(f, u, ref.Qualifier)
	return &lambda.UpdateFunctionUrlConfigOutput{
		AuthType: shown.AuthType, Cors: shown.Cors, CreationTime: shown.CreationTime, FunctionArn: shown.FunctionArn,
		FunctionUrl: shown.FunctionUrl, InvokeMode: shown.InvokeMode, LastModifiedTime: shown.LastModifiedTime,
	}, nil
}

// GetFunctionUrlConfig returns the endpoint of a function or an alias.
func (c *Control) GetFunctionUrlConfig(_ context.Context, in *lambda.GetFunctionUrlConfigInput, _ ...func(*lambda.Options)) (*lambda.GetFunctionUrlConfigOutput, error) { //nolint:revive // named as in the SDK
	var v violations
	ref, err := v.urlRef(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	f, err := c.functionOr(ref.Function, serin.ErrNoResource())
	if err != nil {
		return nil, err
	}
	u, err := f.URLAt(ref.Qualifier)
	if err != nil {
		return nil, err
	}
	shown := c.urlOutput(f, u, ref.Qualifier)
	return &lambda.GetFunctionUrlConfigOutput{
		AuthType: shown.AuthType, Cors: shown.Cors, CreationTime: shown.CreationTime, FunctionArn: shown.FunctionArn,
		FunctionUrl: shown.FunctionUrl, InvokeMode: shown.InvokeMode, LastModifiedTime: shown.LastModifiedTime,
	}, nil
}

// DeleteFunctionUrlConfig removes the endpoint of a function or an alias.
func (c *Control) DeleteFunctionUrlConfig(ctx context.Context, in *lambda.DeleteFunctionUrlConfigInput, _ ...func(*lambda.Options)) (*lambda.DeleteFunctionUrlConfigOutput, error) { //nolint:revive // named as in the SDK
	var v violations
	ref, err := v.urlRef(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	_, err = c.updateOr(ctx, ref.Function, serin.ErrNoResource(), func(f *serin.Function) error { return f.DeleteURL(ref.Qualifier) })
	if err != nil {
		return nil, err
	}
	return &lambda.DeleteFunctionUrlConfigOutput{}, nil
}

// ListFunctionUrlConfigs returns the endpoints of a function and its aliases.
func (c *Control) ListFunctionUrlConfigs(_ context.Context, in *lambda.ListFunctionUrlConfigsInput, _ ...func(*lambda.Options)) (*lambda.ListFunctionUrlConfigsOutput, error) { //nolint:revive // named as in the SDK
	var v violations
	v.functionName(in.FunctionName)
	v.maxAttached(in.MaxItems)
	ref, err := v.refOr(c, in.FunctionName)
	if err != nil {
		return nil, err
	}
	f, err := c.functionOr(ref.Function, serin.ErrNoURLFunction())
	if err != nil {
		return nil, err
	}
	page, next, err := attachedPage(f, func(a serin.Attachments) bool { return a.URL != nil }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &lambda.ListFunctionUrlConfigsOutput{NextMarker: next}
	for _, q := range page {
		out.FunctionUrlConfigs = append(out.FunctionUrlConfigs, c.urlOutput(f, f.At(q).URL, q))
	}
	return out, nil
}

// urlOutput is the shape of an endpoint.
func (c *Control) urlOutput(f *serin.Function, u *serin.FunctionURL, qualifier string) types.FunctionUrlConfig {
	arn := f.ARN
	if qualifier != "" && qualifier != serin.Latest.String() {
		arn = f.QualifiedARN(qualifier)
	}
	out := types.FunctionUrlConfig{
		AuthType: types.FunctionUrlAuthType(u.AuthType), InvokeMode: types.InvokeMode(u.InvokeMode),
		FunctionArn: &arn, FunctionUrl: new(c.FunctionURL(u.ID)),
		CreationTime: new(urlTime(u.CreatedAt)), LastModifiedTime: new(urlTime(u.LastModified)),
	}
	if cors := u.CORS; cors != nil {
		out.Cors = &types.Cors{
			AllowCredentials: cors.AllowCredentials, AllowHeaders: cors.AllowHeaders, AllowMethods: cors.AllowMethods,
			AllowOrigins: cors.AllowOrigins, ExposeHeaders: cors.ExposeHeaders, MaxAge: int32s(cors.MaxAge),
		}
	}
	return out
}

// urlTime writes a time in the ISO form that endpoints have, unlike functions.
func urlTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// urlID turns an id that has not been used before into the 32 letters and digits of a host name.
func urlID(fresh string) string {
	sum := sha256.Sum256([]byte(fresh))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:20]))
}

// urlRef returns what an operation on endpoints is about. Versions have none, so their numbers break the API
// model, also in the name of the function.
func (v *violations) urlRef(c *Control, name, qualifier *string) (serin.Ref, error) {
	v.functionName(name)
	v.urlQualifier(deref(qualifier), qualifier != nil)
	ref, err := v.refWith(c, name, qualifier)
	if err == nil {
		v.urlQualifier(ref.Qualifier, ref.Qualifier != "")
		err = v.err()
	}
	return ref, err
}

func (v *violations) urlQualifier(q string, given bool) {
	if given && (patterns.digits.MatchString(q) || !patterns.word.MatchString(q)) {
		v.add("qualifier", clip(q), "Member must satisfy regular expression pattern: "+urlQualifierPattern)
	}
	if utf8.RuneCountInString(q) > 128 {
		v.add("qualifier", clip(q), atMost(128))
	}
}

func urlChange(v *violations, auth types.FunctionUrlAuthType, mode types.InvokeMode, cors *types.Cors) serin.FunctionURLChange {
	v.oneOf("authType", string(auth), "NONE", "AWS_IAM")
	v.oneOf("invokeMode", string(mode), "BUFFERED", "RESPONSE_STREAM")
	ch := serin.FunctionURLChange{AuthType: serin.AuthType(auth), InvokeMode: serin.InvokeMode(mode)}
	if cors != nil {
		v.cors(cors)
		ch.CORS = &serin.CORS{
			AllowCredentials: cors.AllowCredentials, AllowHeaders: cors.AllowHeaders, AllowMethods: cors.AllowMethods,
			AllowOrigins: cors.AllowOrigins, ExposeHeaders: cors.ExposeHeaders, MaxAge: ints(cors.MaxAge),
		}
	}
	return ch
}

// cors checks the lists of a CORS configuration. The model bounds them; that their elements can stand in the
// headers of an answer is a rule of Serin's.
func (v *violations) cors(cors *types.Cors) {
	v.between("cors.maxAge", cors.MaxAge, 0, 86_400)
	v.corsList("cors.allowMethods", cors.AllowMethods, 6, 0, 6, corsMethod)
	v.corsList("cors.allowOrigins", cors.AllowOrigins, 100, 1, 253, corsOrigin)
	v.corsList("cors.allowHeaders", cors.AllowHeaders, 100, 0, 1024, corsHeader)
	v.corsList("cors.exposeHeaders", cors.ExposeHeaders, 100, 0, 1024, corsHeader)
}

// What a CORS list may hold.
var (
	corsMethod = regexp.MustCompile(`^(\*|GET|PUT|HEAD|POST|PATCH|DELETE)$`)
	corsOrigin = regexp.MustCompile(`^(\*|[!-~]+)$`)
	corsHeader = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
)

func (v *violations) corsList(path string, list []string, most, shortest, longest int, allowed *regexp.Regexp) {
	shown := clip("[" + strings.Join(list, ", ") + "]")
	if len(list) > most {
		v.add(path, shown, atMost(most))
	}
	tooLong := func(s string) bool { n := utf8.RuneCountInString(s); return n < shortest || n > longest }
	switch {
	case slices.ContainsFunc(list, tooLong):
		v.add(path, shown, "Member must satisfy constraint: ["+atMost(longest)+", "+atLeast(shortest)+", Member must satisfy regular expression pattern: .*, Member must not be null]")
	case slices.ContainsFunc(list, func(s string) bool { return !allowed.MatchString(s) }):
		v.add(path, shown, "Member must satisfy constraint: [Member must satisfy regular expression pattern: "+allowed.String()+"]")
	}
}
