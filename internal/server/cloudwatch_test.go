package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"
)

// failing is a function that fails if the event says so.
const failing = `
def handler(event, context):
    if event.get("fail"):
        raise ValueError("as told")
    return "ok"
`

// sums are what a reader of metrics found, by metric, resource and version, such as "Errors/f:prod/3". The resource "-"
// stands for all functions and "function" for all of one.
type sums map[string]float64

// TestMetricsOfACanaryAddUp sends a load through an alias between two versions, and through the versions themselves,
// and compares what was sent with the sums that clients of all three protocols read, to the unit.
func TestMetricsOfACanaryAddUp(t *testing.T) {
	r := start(t)
	r.create(t, "f", failing, 2)
	ctx := t.Context()
	_, err := r.CreateAlias(ctx, &lambda.CreateAliasInput{
		FunctionName: aws.String("f"), Name: aws.String("prod"), FunctionVersion: aws.String("1"),
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 0.3}},
	})
	must(t, err)
	began := time.Now()
	want := sendThroughCanary(t, r, 400)
	readers := map[string]func(*testing.T, *running, string, string, string, time.Time) float64{
		"CBOR": sumByCBOR, "query": sumByQuery,
	}
	if _, err := exec.LookPath("aws"); err == nil {
		readers["command line"] = sumByCommandLine
	} else {
		needs(t, "aws")
	}
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			got, want := sums{}, maps.Clone(want)
			if name == "command line" { // which takes a second for each
				maps.DeleteFunc(want, func(key string, _ float64) bool { return !strings.Contains(key, "f:prod/") })
			}
			for key := range want {
				var metric, resource, version string
				_, err := fmt.Sscan(strings.ReplaceAll(key, "/", " "), &metric, &resource, &version)
				must(t, err)
				got[key] = waitFor(t, want[key], func() float64 { return read(t, r, metric, resource, version, began) })
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-sent +measured:\n%s", diff)
			}
		})
	}
}

// sendThroughCanary invokes in parallel and returns the sums to be measured. "-" stands for no resource and no version.
func sendThroughCanary(t *testing.T, r *running, n int) sums {
	t.Helper()
	var mu sync.Mutex
	sent := sums{"Invocations/f:2/2": 0} // nothing is written for a version that was called by its number
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 3))
			for range n / 8 {
				qualifier, fail := []string{"", "prod", "prod", "prod", "2", "$LATEST"}[random.IntN(6)], random.IntN(4) == 0
				in := &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: fmt.Appendf(nil, `{"fail":%v}`, fail)}
				resource := "f"
				if qualifier != "" {
					in.Qualifier, resource = &qualifier, "f:"+qualifier
				}
				out, err := r.Invoke(context.WithoutCancel(t.Context()), in)
				if err != nil {
					t.Error(err)
					return
				}
				sets := []string{"-/-", "function/-", resource + "/-"}
				if qualifier == "prod" {
					sets = append(sets, resource+"/"+*out.ExecutedVersion)
				}
				mu.Lock()
				for _, set := range sets {
					sent["Invocations/"+set]++
					sent["Errors/"+set] += map[bool]float64{true: 1}[out.FunctionError != nil]
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return sent
}

// waitFor reads until the value is what is wanted, or has not become it in five seconds: points appear after a second.
func waitFor(t *testing.T, want float64, read func() float64) float64 {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		if got := read(); got == want || time.Now().After(deadline) {
			return got
		}
		select {
		case <-t.Context().Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// dimensions are those of a set in the notation of [sendThroughCanary].
func dimensions(resource, version string) map[string]string {
	d := map[string]string{}
	if resource != "-" {
		d["FunctionName"] = "f"
	}
	if resource != "-" && resource != "function" {
		d["Resource"] = resource
	}
	if version != "-" {
		d["ExecutedVersion"] = version
	}
	return d
}

func sumByCBOR(t *testing.T, r *running, metric, resource, version string, began time.Time) float64 {
	t.Helper()
	c := cloudwatch.New(cloudwatch.Options{
		Region: r.Region, BaseEndpoint: &r.Endpoint, RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: r.AccessKeyID, SecretAccessKey: r.SecretAccessKey}, nil
		}),
	})
	var ds []cwtypes.Dimension
	for name, value := range dimensions(resource, version) {
		ds = append(ds, cwtypes.Dimension{Name: &name, Value: &value})
	}
	out, err := c.GetMetricStatistics(t.Context(), &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String("AWS/Lambda"), MetricName: &metric, Dimensions: ds, Period: aws.Int32(60),
		StartTime: aws.Time(began.Add(-time.Minute)), EndTime: aws.Time(time.Now().Add(time.Minute)), Statistics: []cwtypes.Statistic{cwtypes.StatisticSum},
	})
	must(t, err)
	var sum float64
	for _, d := range out.Datapoints {
		sum += *d.Sum
	}
	return sum
}

var sumElement = regexp.MustCompile(`<Sum>([^<]*)</Sum>`)

// sumByQuery asks as Debian's aws command does, in a form.
func sumByQuery(t *testing.T, r *running, metric, resource, version string, began time.Time) float64 {
	t.Helper()
	form := url.Values{
		"Action": {"GetMetricStatistics"}, "Version": {"2010-08-01"}, "Namespace": {"AWS/Lambda"}, "MetricName": {metric}, "Period": {"60"},
		"StartTime": {began.Add(-time.Minute).UTC().Format(time.RFC3339)}, "EndTime": {time.Now().Add(time.Minute).UTC().Format(time.RFC3339)},
		"Statistics.member.1": {"Sum"},
	}
	ds := dimensions(resource, version)
	for i, name := range slices.Sorted(maps.Keys(ds)) {
		form.Set(fmt.Sprintf("Dimensions.member.%d.Name", i+1), name)
		form.Set(fmt.Sprintf("Dimensions.member.%d.Value", i+1), ds[name])
	}
	signed := wireRequest{body: form.Encode(), secret: r.SecretAccessKey, key: r.AccessKeyID, region: r.Region}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.Endpoint+"/", strings.NewReader(signed.body))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	must(t, signed.sign(t.Context(), req))
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, body)
	}
	var sum float64
	for _, m := range sumElement.FindAllSubmatch(body, -1) {
		n, err := strconv.ParseFloat(string(m[1]), 64)
		must(t, err)
		sum += n
	}
	return sum
}

func sumByCommandLine(t *testing.T, r *running, metric, resource, version string, began time.Time) float64 {
	t.Helper()
	args := []string{
		"--endpoint-url", r.Endpoint, "--region", r.Region, "--output", "json", "cloudwatch", "get-metric-statistics",
		"--namespace", "AWS/Lambda", "--metric-name", metric, "--period", "60", "--statistics", "Sum",
		"--start-time", began.Add(-time.Minute).UTC().Format(time.RFC3339), "--end-time", time.Now().Add(time.Minute).UTC().Format(time.RFC3339),
	}
	if ds := dimensions(resource, version); len(ds) > 0 {
		args = append(args, "--dimensions")
		for name, value := range ds {
			args = append(args, "Name="+name+",Value="+value)
		}
	}
	cmd := exec.CommandContext(t.Context(), "aws", args...)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+r.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+r.SecretAccessKey)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("aws: %v", err)
	}
	var reply struct{ Datapoints []struct{ Sum float64 } }
	must(t, json.Unmarshal(out, &reply))
	var sum float64
	for _, d := range reply.Datapoints {
		sum += d.Sum
	}
	return sum
}
