package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"go.yaml.in/yaml/v3"

	"serin"
	"serin/internal/api"
	"serin/internal/server"
)

const grafana = "../../deploy/grafana"

// quietExpressions have nothing to say of a server that is well, by the alert that they are of.
var quietExpressions = []string{
	"SerinDown", "SerinConcurrencyNearLimit", "SerinReleaseConflict", "SerinReleaseHeld", "SerinEventQueueOld", "SerinStoreSlow",
}

// sellsBut2 answers in every version but the second, and to what does not ask for a failure.
const sellsBut2 = `
def handler(event, context):
    if context.function_version == "2" or event.get("fail"):
        raise KeyError("tenant")
    return {"version": context.function_version}
`

// Prometheus itself reads the page, and every expression of the dashboard and of the alerts gives what it should: after
// a release that was rolled back, while another one runs, under traffic, failures, throttles and lost events.
func TestPrometheus(t *testing.T) {
	needs(t, "prometheus")
	needs(t, "promtool")
	for _, check := range [][]string{{"check", "rules", "serin.rules.yml"}, {"test", "rules", "serin.rules_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), "promtool", check...)
		cmd.Dir = grafana
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", check, err, out)
		}
	}
	data := t.TempDir()
	r := start(t, func(c *server.Config) { c.Data = data })
	r.create(t, "shop", sellsBut2, 3)
	_, err := r.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: aws.String("1")})
	must(t, err)
	r.onEvents(t, "shop", 0, "", "")
	r.create(t, "closed", reporting, 0)
	_, err = r.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("closed"), ReservedConcurrentExecutions: aws.Int32(0)})
	must(t, err)

	stop := make(chan struct{})
	var traffic sync.WaitGroup
	defer traffic.Wait()
	defer close(stop)
	traffic.Go(func() { r.traffic(t, stop) })
	policy := serin.DefaultPolicy()
	policy.Steps = []float64{50, 100}
	failed, err := r.serin().Start(t.Context(), api.StartRequest{Function: "shop", Alias: "live", Version: 2, Policy: policy})
	must(t, err)
	for failed.Phase != serin.PhaseEnded {
		failed, err = r.serin().Wait(t.Context(), failed.ReleaseID, failed.Saved)
		must(t, err)
	}
	policy.Pace = serin.PaceHand
	_, err = r.serin().Start(t.Context(), api.StartRequest{Function: "shop", Alias: "live", Version: 3, Policy: policy})
	must(t, err)

	p := prometheus(t, r, filepath.Join(data, "metrics-token"))
	want := expressions(t)
	missing := want
	for deadline := time.Now().Add(time.Minute); len(missing) > 0 && time.Now().Before(deadline); <-time.After(500 * time.Millisecond) {
		missing = slices.DeleteFunc(slices.Clone(missing), func(e expression) bool {
			return len(p.query(t, e.text)) > 0 || slices.Contains(quietExpressions, e.of)
		})
	}
	for _, e := range missing {
		t.Errorf("%s: no result: %s", e.of, e.text)
	}
	for _, e := range want {
		if got := p.query(t, e.text); slices.Contains(quietExpressions, e.of) && len(got) > 0 {
			t.Errorf("%s: %s gives %v, want nothing", e.of, e.text, got)
		}
		for _, name := range regexp.MustCompile(`\b(serin|go|process)_\w+`).FindAllString(e.text, -1) {
			if len(p.query(t, name)) == 0 {
				t.Errorf("%s: nothing is called %s", e.of, name)
			}
		}
	}
	p.checkExemplars(t)
}

// traffic invokes the alias, fails, is throttled, loses events and starts cold until it is stopped.
func (r *running) traffic(t *testing.T, stop <-chan struct{}) {
	t.Helper()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-time.After(10 * time.Millisecond):
		}
		payload := []byte("{}")
		if i%5 == 0 {
			payload = []byte(`{"fail": true}`)
		}
		if _, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop:live"), Payload: payload}); err != nil {
			t.Error(err)
			return
		}
		if i%20 == 0 {
			_, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop"), InvocationType: types.InvocationTypeEvent, Payload: []byte(`{"fail": true}`)})
			if err != nil {
				t.Error(err)
			}
			if _, err = r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("closed")}); err == nil {
				t.Error("a closed function runs")
			}
			// What is new starts cold.
			_, err = r.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("shop"), Description: aws.String(strconv.Itoa(i))})
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// expression is PromQL of an alert or of a panel.
type expression struct{ of, text string }

// expressions are all of the rules and of the dashboard, with its variables replaced.
func expressions(t *testing.T) (all []expression) {
	t.Helper()
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	text, err := os.ReadFile(filepath.Join(grafana, "serin.rules.yml"))
	must(t, err)
	must(t, yaml.Unmarshal(text, &rules))
	for _, g := range rules.Groups {
		for _, rule := range g.Rules {
			all = append(all, expression{rule.Alert, rule.Expr})
		}
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Annotations struct{ List []struct{ Name, Expr string } }
	}
	text, err = os.ReadFile(filepath.Join(grafana, "serin.json"))
	must(t, err)
	must(t, json.Unmarshal(text, &dashboard))
	variables := strings.NewReplacer("$instance", ".*", "$function", ".*", "$__rate_interval", "30s")
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all = append(all, expression{panel.Title, variables.Replace(target.Expr)})
		}
	}
	for _, a := range dashboard.Annotations.List {
		// It marks the moment of an end, so what it is about is asked for without it.
		all = append(all, expression{a.Name, strings.Replace(variables.Replace(a.Expr), " > 0", "", 1)})
	}
	if len(all) < 40 {
		t.Fatalf("%d expressions", len(all))
	}
	return all
}

// prometheusServer is a Prometheus that runs.
type prometheusServer struct{ endpoint string }

// prometheus starts Debian's Prometheus with the configuration of the project, scraping a server every half second.
func prometheus(t *testing.T, r *running, token string) *prometheusServer {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join(grafana, "prometheus.yml"))
	must(t, err)
	config := strings.NewReplacer(
		"scrape_interval: 15s", "scrape_interval: 500ms\n  scrape_timeout: 500ms\n  evaluation_interval: 1s",
		"serin.rules.yml", absolute(t, filepath.Join(grafana, "serin.rules.yml")),
		"/var/lib/serin/metrics-token", token, "127.0.0.1:4750", strings.TrimPrefix(r.Endpoint, "http://")).Replace(string(text))
	must(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600))
	cmd := exec.CommandContext(t.Context(), "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0", "--enable-feature=exemplar-storage")
	stderr, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(stderr)
	address := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
	var seen []string
	p := &prometheusServer{}
	for lines.Scan() {
		seen = append(seen, lines.Text())
		if m := address.FindStringSubmatch(lines.Text()); m != nil {
			p.endpoint = "http://" + m[1]
		}
		if strings.Contains(lines.Text(), "Server is ready") && p.endpoint != "" {
			go func() { // or it would stand still when the pipe is full
				_, _ = io.Copy(io.Discard, stderr)
			}()
			t.Cleanup(func() { _ = cmd.Wait() })
			return p
		}
	}
	t.Fatalf("prometheus did not start: %s", strings.Join(seen, "\n"))
	return nil
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	abs, err := filepath.Abs(name)
	must(t, err)
	return abs
}

// query returns the samples of an expression that are numbers.
func (p *prometheusServer) query(t *testing.T, text string) (samples []string) {
	t.Helper()
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Value  []any
			}
		}
	}
	p.get(t, "/api/v1/query?query="+url.QueryEscape(text), &answer)
	if answer.Status != "success" {
		t.Fatalf("%s: %s", text, answer.Error)
	}
	for _, s := range answer.Data.Result {
		if value := s.Value[1].(string); value != "NaN" {
			samples = append(samples, fmt.Sprint(s.Metric, value))
		}
	}
	return samples
}

func (p *prometheusServer) get(t *testing.T, path string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.endpoint+path, http.NoBody)
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	must(t, json.NewDecoder(resp.Body).Decode(into))
}

// checkExemplars looks for a request id among what Prometheus has kept of durations.
func (p *prometheusServer) checkExemplars(t *testing.T) {
	t.Helper()
	var answer struct {
		Data []struct {
			Exemplars []struct{ Labels map[string]string }
		}
	}
	from := time.Now().Add(-time.Hour).Unix()
	p.get(t, fmt.Sprintf("/api/v1/query_exemplars?query=serin_invocation_duration_seconds_bucket&start=%d&end=%d", from, from+7200), &answer)
	for _, series := range answer.Data {
		for _, e := range series.Exemplars {
			if len(e.Labels["request_id"]) == 36 {
				return
			}
		}
	}
	t.Errorf("no exemplar names a request: %+v", answer)
}
