package control

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"serin"
)

// Of functions that are created under one name at the same time exactly one comes to be.
func TestConcurrentCreates(t *testing.T) {
	c := start(t)
	const callers, rounds = 8, 5
	for round := range rounds {
		name := "shop" + strconv.Itoa(round)
		var wg sync.WaitGroup
		won := make(chan string, callers)
		for i := range callers {
			wg.Go(func() {
				out, err := c.CreateFunction(t.Context(), creation(name, packed(t, strings.Repeat("x", i+1))))
				if err == nil {
					won <- *out.CodeSha256
					return
				}
				refused(t, "a name that is being taken", err, serin.KindConflict)
			})
		}
		wg.Wait()
		close(won)
		if len(won) != 1 {
			t.Fatalf("%d of %d creates of %s have succeeded", len(won), callers, name)
		}
		f, ok := c.Table.Function(name)
		if winner := <-won; !ok || f.Latest.Code.SHA256 != winner {
			t.Errorf("the function is not that of the create that succeeded")
		}
	}
}

// A version is $LATEST as it was at one moment, while code and configuration are being changed. Who publishes with
// the RevisionId that goes with what was read gets exactly that.
func TestPublishIsNotTorn(t *testing.T) {
	c := start(t)
	shop := aws.String("shop")
	c.create(t, "shop", 0)
	sizes := map[string]int64{} // by CodeSha256
	var packages [][]byte
	for i := range 20 {
		packages = append(packages, packed(t, strings.Repeat("x", i+1)))
		sizes[codeOf(t, packages[i]).SHA256] = int64(len(packages[i]))
	}
	sizes[codeOf(t, packed(t, "shop")).SHA256] = int64(len(packed(t, "shop")))

	const wanted = 15
	var over atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; !over.Load(); i++ {
			_, err := c.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: shop, ZipFile: packages[i%len(packages)]})
			report(t, err)
		}
	})
	wg.Go(func() {
		for i := 0; !over.Load(); i++ {
			text := strconv.Itoa(i)
			_, err := c.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: shop, Description: &text})
			report(t, err)
		}
	})
	versions := map[string]*lambda.PublishVersionOutput{}
	for attempts := 0; len(versions) < wanted && attempts < 100*wanted && !t.Failed(); attempts++ {
		in := &lambda.PublishVersionInput{FunctionName: shop}
		read, err := c.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: shop})
		must(t, err)
		exact := attempts%2 == 0
		if exact {
			in.RevisionId = read.RevisionId
		}
		v, err := c.PublishVersion(t.Context(), in)
		if exact && isKind(err, serin.KindPrecondition) {
			continue
		}
		must(t, err)
		if exact && (*v.CodeSha256 != *read.CodeSha256 || *v.Description != *read.Description) {
			t.Errorf("version %s has code %s and description %s, but was published from %s and %s",
				*v.Version, *v.CodeSha256, *v.Description, *read.CodeSha256, *read.Description)
		}
		if sizes[*v.CodeSha256] != v.CodeSize {
			t.Errorf("version %s has %d bytes of code %s", *v.Version, v.CodeSize, *v.CodeSha256)
		}
		versions[*v.Version] = v
	}
	over.Store(true)
	wg.Wait()
	if len(versions) < wanted {
		t.Errorf("only %d versions were published", len(versions))
	}
	for number, published := range versions {
		now, err := c.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: shop, Qualifier: &number})
		must(t, err)
		if !reflect.DeepEqual(published, (*lambda.PublishVersionOutput)(now)) {
			t.Errorf("version %s has changed after it was published: it was %+v and is %+v", number, published, now)
		}
	}
}

// report is must for other goroutines.
func report(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, t.Context().Err()) {
		t.Error(err)
	}
}

func isKind(err error, kind serin.Kind) bool {
	e, ok := errors.AsType[*serin.Error](err)
	return ok && e.Kind == kind
}
