package control

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/uuid"

	"serin"
	"serin/internal/executor"
	"serin/internal/metrics"
	"serin/internal/router"
	"serin/internal/store"
)

// start returns a Control on an empty store.
func start(t *testing.T) *Control {
	t.Helper()
	data := t.TempDir()
	st, err := store.Open(t.Context(), store.Config{Dir: data})
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	ex, err := executor.New(executor.Config{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, ex.Close(context.Background())) })
	return follow(t, st, ex)
}

// follow returns a Control on a store, as a server has it after its start.
func follow(t *testing.T, st *store.Store, ex *executor.Executor) *Control {
	t.Helper()
	place := serin.Place{Region: "us-east-1", Account: "123456789012"}
	c := New(Config{
		Concurrency: 1000,
		Place:       place, Store: st, Table: router.New(place), Executor: ex, Recorder: metrics.New(time.Now),
		Retire:  func(func(executor.Key) bool) {},
		CodeURL: func(sha256hex string) string { return "http://localhost/" + sha256hex },
		Now:     time.Now, NewID: uuid.NewString, Log: slog.New(slog.DiscardHandler),
	})
	must(t, c.Load(t.Context()))
	ctx, stop := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() {
		if err := c.Follow(ctx); err != nil {
			t.Errorf("follow the change feed: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		following.Wait()
	})
	return c
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// refused checks that an error is for the caller and of a kind.
func refused(t *testing.T, what string, err error, kind serin.Kind) {
	t.Helper()
	if e, ok := errors.AsType[*serin.Error](err); !ok || e.Kind != kind {
		t.Errorf("%s: error %v, want one of kind %d", what, err, kind)
	}
}

// packed is a package with one file, uncompressed, so that its size follows from the content's.
func packed(tb testing.TB, content string) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.CreateHeader(&zip.FileHeader{Name: "bootstrap", Method: zip.Store})
	must(tb, err)
	_, err = io.WriteString(f, content)
	must(tb, err)
	must(tb, z.Close())
	return b.Bytes()
}

const role = "arn:aws:iam::123456789012:role/r"

func creation(name string, code []byte) *lambda.CreateFunctionInput {
	return &lambda.CreateFunctionInput{
		FunctionName: &name, Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Role: aws.String(role),
		Code: &types.FunctionCode{ZipFile: code},
	}
}

// create makes a function with published versions.
func (c *Control) create(t *testing.T, name string, versions int) {
	t.Helper()
	_, err := c.CreateFunction(t.Context(), creation(name, packed(t, name)))
	must(t, err)
	for range versions {
		c.touch(t, name)
		_, err := c.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: &name})
		must(t, err)
	}
}

// touch updates $LATEST, so that it can be published.
func (c *Control) touch(t *testing.T, name string) {
	t.Helper()
	_, err := c.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: &name})
	must(t, err)
}

func (c *Control) delete(t *testing.T, name, qualifier string) error {
	t.Helper()
	in := &lambda.DeleteFunctionInput{FunctionName: &name}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}
	_, err := c.DeleteFunction(t.Context(), in)
	return err
}

// G7: what an active release may have to go back to is not deleted.
func TestDeleteIsRefusedWhileAReleaseIsActive(t *testing.T) {
	c := start(t)
	c.create(t, "shop", 3)
	c.create(t, "bakery", 1)
	// No alias routes to the versions, so it is the release alone that keeps them.
	r := &serin.Release{ID: "r1", Function: "shop", Alias: "live", Baseline: 1, Canary: 2, Phase: serin.PhaseHeld}
	must(t, c.Store.CreateRelease(t.Context(), r))

	refused(t, "the function", c.delete(t, "shop", ""), serin.KindConflict)
	refused(t, "the baseline", c.delete(t, "shop", "1"), serin.KindConflict)
	refused(t, "the canary", c.delete(t, "shop", "2"), serin.KindConflict)
	must(t, c.delete(t, "shop", "3"))
	must(t, c.delete(t, "bakery", "1"))
	must(t, c.delete(t, "bakery", ""))
	f, _ := c.Table.Function("shop")
	if len(f.Versions) != 2 {
		t.Errorf("%d versions are left, want 1 and 2", len(f.Versions))
	}

	r.Phase = serin.PhaseEnded
	must(t, c.Store.SaveRelease(t.Context(), r, ""))
	must(t, c.delete(t, "shop", "1"))
	must(t, c.delete(t, "shop", ""))
}

// fill makes the account's code storage as full as if other functions left only room bytes.
func (c *Control) fill(room int) { c.codeSize.Store(maxCodeStorage - int64(room)) }

func TestCodeStorage(t *testing.T) {
	c := start(t)
	small, large := packed(t, "x"), packed(t, "xx")
	shop := aws.String("shop")
	_, err := c.CreateFunction(t.Context(), creation("shop", small))
	must(t, err)

	publish := func() error {
		_, err := c.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: shop})
		return err
	}
	update := func(code []byte, andPublish bool) error {
		_, err := c.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: shop, ZipFile: code, Publish: andPublish})
		return err
	}
	latest := func() serin.Code {
		f, _ := c.Table.Function("shop")
		return f.Latest.Code
	}
	before := latest()

	c.fill(len(large) - 1)
	_, err = c.CreateFunction(t.Context(), creation("bakery", large))
	refused(t, "a function that does not fit", err, serin.KindStorage)
	if _, err := c.Store.OpenBlob(t.Context(), blobKey(serin.Code{SHA256: codeOf(t, large).SHA256})); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the package of a refused function is stored: %v", err)
	}
	withVersion := creation("bakery", small)
	withVersion.Publish = true
	_, err = c.CreateFunction(t.Context(), withVersion)
	refused(t, "a function whose version does not fit", err, serin.KindStorage)

	c.fill(len(small) - 1)
	refused(t, "a version that does not fit", publish(), serin.KindStorage)
	c.fill(0)
	refused(t, "larger code", update(large, false), serin.KindStorage)
	refused(t, "code with a version", update(small, true), serin.KindStorage)
	if after := latest(); after != before {
		t.Errorf("refused updates have changed the code from %v to %v", before, after)
	}

	must(t, update(small, false)) // takes the place of what it replaces
	c.touch(t, "shop")
	c.fill(len(small))
	must(t, publish())
	if room := maxCodeStorage - c.codeSize.Load(); room != 0 {
		t.Errorf("a version left %d bytes, want none", room)
	}
	must(t, publish()) // nothing has changed: it adds nothing
	must(t, c.delete(t, "shop", "1"))
	must(t, publish())
	must(t, c.delete(t, "shop", ""))
	if room := maxCodeStorage - c.codeSize.Load(); room != int64(2*len(small)) {
		t.Errorf("deleting a function with two packages left room for %d bytes, want %d", room, 2*len(small))
	}
}

func codeOf(t *testing.T, zip []byte) serin.Code {
	t.Helper()
	code, err := checkCode(zip)
	must(t, err)
	return code
}

// What a server knows after a restart is what it knew before.
func TestLoad(t *testing.T) {
	c := start(t)
	c.create(t, "shop", 2)
	c.create(t, "bakery", 0)
	again := follow(t, c.Store, c.Executor)
	before, err := c.GetAccountSettings(t.Context(), nil)
	must(t, err)
	after, err := again.GetAccountSettings(t.Context(), nil)
	must(t, err)
	size := int64(3*len(packed(t, "shop")) + len(packed(t, "bakery")))
	if *after.AccountUsage != *before.AccountUsage || after.AccountUsage.TotalCodeSize != size || after.AccountUsage.FunctionCount != 2 {
		t.Errorf("usage before %+v, after %+v, want %d bytes in 2 functions", before.AccountUsage, after.AccountUsage, size)
	}
}
