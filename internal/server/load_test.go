package server_test

import (
	"io"
	"maps"
	"math"
	"net/http"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// binomialInterval returns the values that a binomial count of n trials with probability p takes, except with a
// probability of at most tail on each side. It is exact: the tails of the distribution, summed.
func binomialInterval(n int, p, tail float64) (low, high int) {
	chance := func(k int) float64 {
		all, _ := math.Lgamma(float64(n + 1))
		in, _ := math.Lgamma(float64(k + 1))
		out, _ := math.Lgamma(float64(n - k + 1))
		return math.Exp(all - in - out + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	}
	for below := 0.0; below+chance(low) <= tail; low++ {
		below += chance(low)
	}
	high = n
	for above := 0.0; above+chance(high) <= tail; high-- {
		above += chance(high)
	}
	return low, high
}

func TestBinomialInterval(t *testing.T) {
	// Two throws of a coin: 0 and 2 have a chance of 1/4 each.
	if low, high := binomialInterval(2, 0.5, 0.2); low != 0 || high != 2 {
		t.Errorf("[%d, %d]", low, high)
	}
	if low, high := binomialInterval(2, 0.5, 0.3); low != 1 || high != 1 {
		t.Errorf("[%d, %d]", low, high)
	}
}

// Under load, the share of a canary's requests is its weight: within what a fair coin would do but once in 10⁹ runs.
func TestCanarySplitUnderLoad(t *testing.T) {
	const (
		weight   = 0.1
		requests = 3000
		callers  = 24
	)
	r := start(t)
	c := browser(r)
	r.create(t, "shop", streamed, 2)
	low, high := binomialInterval(requests, weight, 0.5e-9)
	for name, mode := range map[string]types.InvokeMode{"buffered": types.InvokeModeBuffered, "streamed": types.InvokeModeResponseStream} {
		t.Run(name, func(t *testing.T) {
			_, err := r.CreateAlias(t.Context(), &lambda.CreateAliasInput{
				FunctionName: aws.String("shop"), Name: &name, FunctionVersion: aws.String("1"),
				RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": weight}},
			})
			must(t, err)
			url := r.url(t, &lambda.CreateFunctionUrlConfigInput{
				FunctionName: aws.String("shop"), Qualifier: &name, AuthType: types.FunctionUrlAuthTypeNone, InvokeMode: mode,
			})
			r.open(t, "shop", &name)
			seen := load(t, c, url+"http", requests, callers)
			t.Logf("%d requests of %d callers at a time: %v; version 2 may have %d to %d", requests, callers, seen, low, high)
			if seen["1"]+seen["2"] != requests || seen["2"] < low || seen["2"] > high {
				t.Errorf("versions %v of %d requests, want %d to %d for version 2", seen, requests, low, high)
			}
			if counted, errs := r.counted(t, "shop", name); !maps.Equal(counted, seen) || errs != 0 {
				t.Errorf("counted %v and %d errors, the callers saw %v", counted, errs, seen)
			}
		})
	}
}

// load sends requests from many callers at a time and returns how many each version has answered.
func load(t *testing.T, c *http.Client, url string, requests, callers int) map[string]int {
	t.Helper()
	tickets := make(chan struct{}, requests)
	for range requests {
		tickets <- struct{}{}
	}
	close(tickets)
	var mu sync.Mutex
	var all sync.WaitGroup
	seen := map[string]int{}
	for range callers {
		all.Go(func() {
			for range tickets {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := c.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				text, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusCreated || string(text) != "first last" {
					t.Errorf("%d %q %v", resp.StatusCode, text, err)
				}
				mu.Lock()
				seen[resp.Header.Get("X-Version")]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return seen
}
