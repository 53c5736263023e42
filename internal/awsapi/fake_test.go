package awsapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/google/go-cmp/cmp"

	"serin"
)

const (
	testKey    = "AKIDSERINTEST"
	testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYSERINTEST"
	testRegion = "eu-central-1"
)

// fakeLambda records what it is asked and answers what it is told to.
type fakeLambda struct {
	mu    sync.Mutex
	in    any
	actor string
	out   any
	err   error
}

func (f *fakeLambda) answers(out any, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.in, f.actor, f.out, f.err = nil, "", out, err
}

func (f *fakeLambda) seen() (in any, actor string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.in, f.actor
}

func answer[Out any](ctx context.Context, f *fakeLambda, in any) (*Out, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.in, f.actor = in, serin.ActorFrom(ctx)
	if f.err != nil {
		return nil, f.err
	}
	out, ok := f.out.(*Out)
	if !ok {
		out = new(Out)
	}
	return out, nil
}

type options = func(*lambda.Options)

func (f *fakeLambda) CreateFunction(ctx context.Context, in *lambda.CreateFunctionInput, _ ...options) (*lambda.CreateFunctionOutput, error) {
	return answer[lambda.CreateFunctionOutput](ctx, f, in)
}

func (f *fakeLambda) GetFunction(ctx context.Context, in *lambda.GetFunctionInput, _ ...options) (*lambda.GetFunctionOutput, error) {
	return answer[lambda.GetFunctionOutput](ctx, f, in)
}

func (f *fakeLambda) GetFunctionConfiguration(ctx context.Context, in *lambda.GetFunctionConfigurationInput, _ ...options) (*lambda.GetFunctionConfigurationOutput, error) {
	return answer[lambda.GetFunctionConfigurationOutput](ctx, f, in)
}

func (f *fakeLambda) ListFunctions(ctx context.Context, in *lambda.ListFunctionsInput, _ ...options) (*lambda.ListFunctionsOutput, error) {
	return answer[lambda.ListFunctionsOutput](ctx, f, in)
}

func (f *fakeLambda) UpdateFunctionCode(ctx context.Context, in *lambda.UpdateFunctionCodeInput, _ ...options) (*lambda.UpdateFunctionCodeOutput, error) {
	return answer[lambda.UpdateFunctionCodeOutput](ctx, f, in)
}

func (f *fakeLambda) UpdateFunctionConfiguration(ctx context.Context, in *lambda.UpdateFunctionConfigurationInput, _ ...options) (*lambda.UpdateFunctionConfigurationOutput, error) {
	return answer[lambda.UpdateFunctionConfigurationOutput](ctx, f, in)
}

func (f *fakeLambda) DeleteFunction(ctx context.Context, in *lambda.DeleteFunctionInput, _ ...options) (*lambda.DeleteFunctionOutput, error) {
	return answer[lambda.DeleteFunctionOutput](ctx, f, in)
}

func (f *fakeLambda) PublishVersion(ctx context.Context, in *lambda.PublishVersionInput, _ ...options) (*lambda.PublishVersionOutput, error) {
	return answer[lambda.PublishVersionOutput](ctx, f, in)
}

func (f *fakeLambda) ListVersionsByFunction(ctx context.Context, in *lambda.ListVersionsByFunctionInput, _ ...options) (*lambda.ListVersionsByFunctionOutput, error) {
	return answer[lambda.ListVersionsByFunctionOutput](ctx, f, in)
}

func (f *fakeLambda) CreateAlias(ctx context.Context, in *lambda.CreateAliasInput, _ ...options) (*lambda.CreateAliasOutput, error) {
	return answer[lambda.CreateAliasOutput](ctx, f, in)
}

func (f *fakeLambda) GetAlias(ctx context.Context, in *lambda.GetAliasInput, _ ...options) (*lambda.GetAliasOutput, error) {
	return answer[lambda.GetAliasOutput](ctx, f, in)
}

func (f *fakeLambda) UpdateAlias(ctx context.Context, in *lambda.UpdateAliasInput, _ ...options) (*lambda.UpdateAliasOutput, error) {
	return answer[lambda.UpdateAliasOutput](ctx, f, in)
}

func (f *fakeLambda) DeleteAlias(ctx context.Context, in *lambda.DeleteAliasInput, _ ...options) (*lambda.DeleteAliasOutput, error) {
	return answer[lambda.DeleteAliasOutput](ctx, f, in)
}

func (f *fakeLambda) ListAliases(ctx context.Context, in *lambda.ListAliasesInput, _ ...options) (*lambda.ListAliasesOutput, error) {
	return answer[lambda.ListAliasesOutput](ctx, f, in)
}

func (f *fakeLambda) TagResource(ctx context.Context, in *lambda.TagResourceInput, _ ...options) (*lambda.TagResourceOutput, error) {
	return answer[lambda.TagResourceOutput](ctx, f, in)
}

func (f *fakeLambda) UntagResource(ctx context.Context, in *lambda.UntagResourceInput, _ ...options) (*lambda.UntagResourceOutput, error) {
	return answer[lambda.UntagResourceOutput](ctx, f, in)
}

func (f *fakeLambda) ListTags(ctx context.Context, in *lambda.ListTagsInput, _ ...options) (*lambda.ListTagsOutput, error) {
	return answer[lambda.ListTagsOutput](ctx, f, in)
}

func (f *fakeLambda) GetAccountSettings(ctx context.Context, in *lambda.GetAccountSettingsInput, _ ...options) (*lambda.GetAccountSettingsOutput, error) {
	return answer[lambda.GetAccountSettingsOutput](ctx, f, in)
}

// invoker is the data plane of a test.
type invoker func(context.Context, InvokeRequest) (InvokeResponse, error)

func noInvoke(context.Context, InvokeRequest) (InvokeResponse, error) {
	return InvokeResponse{}, fmt.Errorf("no function in this test")
}

func testAuth(now func() time.Time) *Authenticator {
	return NewAuthenticator(AuthConfig{
		Region: testRegion,
		Now:    now,
		Credentials: func(id string) (string, bool) {
			return testSecret, id == testKey
		},
	})
}

// openAPI is an API without authentication.
func openAPI(backend Lambda, invoke invoker) *API {
	return New(Config{
		Auth: NewAuthenticator(AuthConfig{NoAuth: true}), Lambda: backend,
		Invoke: invoke, Log: slog.New(slog.DiscardHandler),
	})
}

// signedServer is an API with authentication on a real listener.
func signedServer(t *testing.T, backend Lambda, invoke invoker) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(New(Config{
		Auth: testAuth(time.Now), Lambda: backend, Invoke: invoke, Log: slog.New(slog.DiscardHandler),
	}))
	t.Cleanup(srv.Close)
	return srv
}

// sdkClient is the SDK's own client, without retries.
func sdkClient(srv *httptest.Server) *lambda.Client {
	return lambda.New(lambda.Options{
		BaseEndpoint: aws.String(srv.URL),
		Region:       testRegion,
		Retryer:      aws.NopRetryer{},
		HTTPClient:   srv.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}, nil
		}),
	})
}

// awkward holds everything that path, query, header and JSON treat specially.
const awkward = `arn:aws:lambda:eu-central-1:000000000000:function:f-1:$LATEST/a%2Fb c+d&e=f;g?h#i"j\k<l>é…` + "\u2028"

// fill sets every exported field below v to something that is not its zero value.
func fill(v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		if t, ok := reflect.TypeAssert[*time.Time](v.Addr()); ok {
			*t = time.UnixMilli(int64(1_764_038_460_123 + n)).UTC()
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "ResultMetadata" {
				fill(v.Field(i), n+i)
			}
		}
	case reflect.String:
		v.SetString(fmt.Sprint(n, awkward))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(n + 1))
	case reflect.Float64:
		v.SetFloat(float64(n) + 0.2)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n+i)
		}
	case reflect.Uint8:
		v.SetUint(uint64(n*89+200) % 256)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, n+i)
			fill(value, n+i)
			v.SetMapIndex(key, value)
		}
	default:
		panic("fill: " + v.Type().String())
	}
}

func filled[T any]() *T {
	v := new(T)
	fill(reflect.ValueOf(v).Elem(), 0)
	return v
}

// sdkTypes compares types of the SDK, but for what its client learned from the transport.
var sdkTypes = cmp.Options{
	cmp.Exporter(func(reflect.Type) bool { return true }),
	cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".ResultMetadata" }, cmp.Ignore()),
}

// do sends a request straight to a handler, to localhost if the request names no other host.
func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	if r.Host == "example.com" {
		r.Host = "localhost"
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
