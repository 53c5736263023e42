package server_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin/internal/sandbox"
	"serin/internal/server"
)

// running is a server in this process and a client of it.
type running struct {
	server.Ready
	*lambda.Client
	stop func() // shuts down and waits
}

// start runs a server on a free port until the test ends.
func start(tb testing.TB, change ...func(*server.Config)) *running {
	tb.Helper()
	cfg := server.Config{
		Listen: "127.0.0.1:0", Data: tb.TempDir(), Region: "us-east-1", Account: "000000000000", Auth: server.AuthSigV4,
		Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan server.Ready, 1), make(chan error, 1)
	go func() { done <- server.Run(ctx, cfg, func(r server.Ready) { ready <- r }) }()
	r := &running{stop: sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("server: %v", err)
		}
	})}
	select {
	case r.Ready = <-ready:
	case err := <-done:
		cancel()
		tb.Fatalf("server did not start: %v", err)
	}
	tb.Cleanup(r.stop)
	r.Client = client(r.Ready, r.SecretAccessKey)
	return r
}

func client(r server.Ready, secret string) *lambda.Client {
	return lambda.New(lambda.Options{
		Region: r.Region, BaseEndpoint: &r.Endpoint, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: r.AccessKeyID, SecretAccessKey: secret}, nil
		}),
		HTTPClient: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}},
	})
}

// zipped is a package of one file.
func zipped(tb testing.TB, name, content string) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(0o755)
	w, err := z.CreateHeader(h)
	must(tb, err)
	_, err = io.WriteString(w, content)
	must(tb, err)
	must(tb, z.Close())
	return b.Bytes()
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

const role = "arn:aws:iam::000000000000:role/r"

// reporting is a function that answers with the version that it believes to be.
const reporting = `
def handler(event, context):
    return {"version": context.function_version, "arn": context.invoked_function_arn}
`

// create makes a python function with published versions.
func (r *running) create(tb testing.TB, name, source string, versions int) {
	tb.Helper()
	needs(tb, "python3")
	ctx := tb.Context()
	_, err := r.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: &name, Runtime: types.RuntimePython312, Handler: aws.String("app.handler"), Role: aws.String(role),
		Code: &types.FunctionCode{ZipFile: zipped(tb, "app.py", source)},
	})
	must(tb, err)
	for i := range versions {
		_, err := r.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: &name, Description: aws.String(strconv.Itoa(i))})
		must(tb, err)
		_, err = r.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &name})
		must(tb, err)
	}
}

func needs(tb testing.TB, program string) {
	tb.Helper()
	if _, err := exec.LookPath(program); err != nil {
		lacking(tb, program+" is not installed")
	}
}

// lacking ends a test that needs what the machine does not have: it is skipped, or fails where nothing may be missing.
func lacking(tb testing.TB, why string) {
	tb.Helper()
	if os.Getenv("SERIN_TEST_STRICT") != "" {
		tb.Fatal(why)
	}
	tb.Skip(why)
}

// G2: while alias updates and invocations race, an invocation that started after an update was acknowledged
// never runs what only an older routing would have run.
func TestAliasUpdateIsSeenByLaterInvocations(t *testing.T) {
	r := start(t)
	const versions, updates, invocations, callers = 3, 150, 300, 4
	r.create(t, "shop", reporting, versions)
	_, err := r.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: aws.String("1")})
	must(t, err)

	// acknowledged counts updates that have been answered, begun those that were sent. Update n routes to
	// version n%versions+1.
	var acknowledged, begun, invoked atomic.Int64
	var over atomic.Bool
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for !over.Load() {
				oldest := acknowledged.Load()
				out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop"), Qualifier: aws.String("live")})
				newest := begun.Load()
				if err != nil {
					t.Error(err)
					return
				}
				invoked.Add(1)
				allowed := false
				for n := oldest; n <= newest; n++ {
					allowed = allowed || *out.ExecutedVersion == strconv.FormatInt(n%versions+1, 10)
				}
				if !allowed {
					t.Errorf("update %d was acknowledged before the call and %d begun after it, but version %s ran", oldest, newest, *out.ExecutedVersion)
				}
				if !strings.Contains(string(out.Payload), `"version": "`+*out.ExecutedVersion+`"`) {
					t.Errorf("ExecutedVersion %s, but the function says %s", *out.ExecutedVersion, out.Payload)
				}
			}
		})
	}
	for n := int64(1); !t.Failed() && (n <= updates || invoked.Load() < invocations); n++ {
		begun.Store(n)
		_, err := r.UpdateAlias(t.Context(), &lambda.UpdateAliasInput{
			FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: aws.String(strconv.FormatInt(n%versions+1, 10)),
		})
		must(t, err)
		acknowledged.Store(n)
	}
	over.Store(true)
	wg.Wait()
}

// G9: without valid credentials nothing answers but health.
func TestEveryPathNeedsCredentials(t *testing.T) {
	r := start(t)
	for _, path := range []string{
		"/", "/2015-03-31/functions", "/2015-03-31/functions/shop/invocations", "/serin/v1/functions", "/serin/v1/releases/x",
		"/serin/v1/code/" + strings.Repeat("0", 64), "/serin/v1/nope", "/nope", "/console/", "/metrics",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			req, err := http.NewRequestWithContext(t.Context(), method, r.Endpoint+path, strings.NewReader("{}"))
			must(t, err)
			resp, err := http.DefaultClient.Do(req)
			must(t, err)
			resp.Body.Close()
			// The mux may say 405 for a method that a path does not have; it says so to everybody.
			asks := path == "/metrics" || path == "/console/" // for a token, or to log in
			refused := resp.StatusCode == http.StatusForbidden || asks && resp.StatusCode == http.StatusUnauthorized
			if !refused && resp.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s without credentials: %s", method, path, resp.Status)
			}
		}
	}
	_, err := client(r.Ready, "wrong").ListFunctions(t.Context(), &lambda.ListFunctionsInput{})
	if err == nil || !strings.Contains(err.Error(), "InvalidSignatureException") {
		t.Errorf("a wrong secret: %v", err)
	}
}

func TestRestartRestoresEverything(t *testing.T) {
	data := t.TempDir()
	on := func(c *server.Config) { c.Data = data }
	r := start(t, on)
	r.create(t, "shop", reporting, 2)
	_, err := r.CreateAlias(t.Context(), &lambda.CreateAliasInput{
		FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: aws.String("1"),
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 1}},
	})
	must(t, err)
	before := r.everything(t)
	r.stop()
	if _, err := server.Running(data); err == nil {
		t.Error("a stopped server counts as running")
	}

	again := start(t, on)
	if got, err := server.Running(data); err != nil || got != again.Ready {
		t.Errorf("Running = %+v, %v; want %+v", got, err, again.Ready)
	}
	if again.SecretAccessKey != r.SecretAccessKey {
		t.Error("the root key changed")
	}
	if after := again.everything(t); after != before {
		t.Errorf("after the restart:\n%s\nbefore:\n%s", after, before)
	}
	out, err := again.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop:live")})
	must(t, err)
	if *out.ExecutedVersion != "2" {
		t.Errorf("version %s ran", *out.ExecutedVersion)
	}
}

// everything describes all versions and aliases of the function shop.
func (r *running) everything(tb testing.TB) string {
	tb.Helper()
	var b strings.Builder
	versions, err := r.ListVersionsByFunction(tb.Context(), &lambda.ListVersionsByFunctionInput{FunctionName: aws.String("shop")})
	must(tb, err)
	for _, v := range versions.Versions {
		b.WriteString(*v.FunctionArn + " " + *v.CodeSha256 + " " + *v.RevisionId + " " + *v.LastModified + " " + *v.Description + "\n")
	}
	aliases, err := r.ListAliases(tb.Context(), &lambda.ListAliasesInput{FunctionName: aws.String("shop")})
	must(tb, err)
	for _, a := range aliases.Aliases {
		b.WriteString(*a.AliasArn + " " + *a.FunctionVersion + " " + *a.RevisionId + "\n")
	}
	return b.String()
}

func TestSecondServerOnTheSameDataIsRefused(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Data = filepath.Join(c.Data, "new", "dir") })
	_ = r
	data := t.TempDir()
	start(t, func(c *server.Config) { c.Data = data })
	err := server.Run(t.Context(), server.Config{
		Listen: "127.0.0.1:0", Data: data, Region: "us-east-1", Account: "000000000000", Auth: server.AuthSigV4, Log: slog.New(slog.DiscardHandler),
	}, nil)
	if err == nil || !strings.Contains(err.Error(), data) {
		t.Errorf("a second server: %v", err)
	}
}

func TestAuthNoneIsForLoopbackOnly(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "[::]:0"} {
		err := server.Run(t.Context(), server.Config{Listen: listen, Data: t.TempDir(), Auth: server.AuthNone, Log: slog.New(slog.DiscardHandler)}, nil)
		if err == nil || !strings.Contains(err.Error(), "--auth none") {
			t.Errorf("--listen %s --auth none: %v", listen, err)
		}
	}
	r := start(t, func(c *server.Config) { c.Auth = server.AuthNone })
	if _, err := client(r.Ready, "anything").ListFunctions(t.Context(), &lambda.ListFunctionsInput{}); err != nil {
		t.Error(err)
	}
}

func TestCodeDownload(t *testing.T) {
	r := start(t)
	r.create(t, "shop", reporting, 1)
	out, err := r.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("shop"), Qualifier: aws.String("1")})
	must(t, err)
	get := func(url string) (int, []byte) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		must(t, err)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		return resp.StatusCode, body
	}
	status, body := get(*out.Code.Location)
	if want := zipped(t, "app.py", reporting); status != http.StatusOK || !bytes.Equal(body, want) {
		t.Errorf("download: %d, %d bytes; want %d", status, len(body), len(want))
	}
	if status, _ := get(strings.Replace(*out.Code.Location, "X-Amz-Signature=", "X-Amz-Signature=0", 1)); status != http.StatusForbidden {
		t.Errorf("download with a forged signature: %d", status)
	}
}

// A function that is being invoked when the server is told to stop still gets to answer.
func TestShutdownFinishesInvocations(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Isolation = sandbox.IsolationNone }) // the function writes where the test looks
	marker := filepath.Join(t.TempDir(), "started")
	r.create(t, "slow", `
import time
def handler(event, context):
    open(event["marker"], "w").close()
    time.sleep(1)
    return "done"
`, 0)
	got := make(chan error, 1)
	go func() {
		out, err := r.Invoke(context.Background(), &lambda.InvokeInput{FunctionName: aws.String("slow"), Payload: []byte(`{"marker":"` + marker + `"}`)})
		if err == nil && string(out.Payload) != `"done"` {
			err = errors.New(string(out.Payload))
		}
		got <- err
	}()
	for {
		if _, err := os.Stat(marker); err == nil {
			break
		}
		select {
		case err := <-got:
			t.Fatalf("answered before it was started: %v", err)
		default:
		}
	}
	r.stop()
	if err := <-got; err != nil {
		t.Errorf("the running invocation: %v", err)
	}
}

// A data directory that is named from where the server was started holds code that functions find from where they run.
func TestRelativeDataDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	r := start(t, func(c *server.Config) { c.Data = "data" })
	r.create(t, "shop", reporting, 0)
	out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop")})
	must(t, err)
	if out.FunctionError != nil {
		t.Errorf("%s", out.Payload)
	}
}
