package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"serin"
	"serin/internal/api"
	"serin/internal/server"
)

// with adds a header to a request of the SDK.
func with(name, value string) func(*lambda.Options) {
	return func(o *lambda.Options) { o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue(name, value)) }
}

// canary points the alias live of shop at version 1 with a share for version 2, making it if need be.
func (r *running) canary(tb testing.TB, weight float64) {
	tb.Helper()
	routing := &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": weight}}
	_, err := r.UpdateAlias(tb.Context(), &lambda.UpdateAliasInput{FunctionName: aws.String("shop"), Name: aws.String("live"), RoutingConfig: routing})
	if err != nil {
		_, err = r.CreateAlias(tb.Context(), &lambda.CreateAliasInput{
			FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: aws.String("1"), RoutingConfig: routing,
		})
	}
	must(tb, err)
}

func (r *running) serin() *api.Client {
	return api.NewClient(r.Endpoint, r.Region, r.AccessKeyID, r.SecretAccessKey)
}

func (r *running) sticky(tb testing.TB, alias, key string, pins serin.PinPolicy) {
	tb.Helper()
	k, err := serin.ParseRoutingKey(key)
	must(tb, err)
	_, err = r.serin().UpdateRouting(tb.Context(), "shop", alias, api.RoutingRequest{RoutingKey: &k, Pins: &pins})
	must(tb, err)
}

// Every way to invoke a function sends a key to the same version, also after a restart, and nobody leaves the canary
// while it grows.
func TestStickyRouting(t *testing.T) {
	data := t.TempDir()
	on := func(c *server.Config) { c.Data = data }
	r := start(t, on)
	r.create(t, "shop", web, 2)
	r.canary(t, 0)
	r.sticky(t, "live", "header:x-user", serin.PinsSigned)
	url := r.url(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("shop"), Qualifier: aws.String("live"), AuthType: types.FunctionUrlAuthTypeNone})
	r.open(t, "shop", aws.String("live"))
	const users = 40
	user := func(i int) string { return "user-" + strconv.Itoa(i) }
	canary := map[int]bool{}
	for _, weight := range []float64{0.1, 0.5, 0, 0.5, 0.8} {
		if weight == 0.8 {
			r.stop()
			r = start(t, on)
		}
		r.canary(t, weight)
		c := browser(r)
		on := map[int]bool{}
		for i := range users {
			out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop:live"), Payload: []byte(`{"rawPath":"/plain"}`)}, with("X-User", user(i)))
			must(t, err)
			on[i] = *out.ExecutedVersion == "2"
			if p := fetch(t, c, r.Ready, "", "GET", url, "", "X-User", user(i)); p.header.Get("X-Version") != *out.ExecutedVersion {
				t.Errorf("weight %v: Invoke sends %s to %s, the function URL to %s", weight, user(i), *out.ExecutedVersion, p.header.Get("X-Version"))
			}
			if canary[i] && weight > 0 && !on[i] {
				t.Errorf("weight %v: %s has left the canary", weight, user(i))
			}
			canary[i] = canary[i] || on[i]
		}
		n := 0
		for _, is := range on {
			if is {
				n++
			}
		}
		if weight == 0 && n > 0 || weight == 0.8 && (n < users/2 || n == users) {
			t.Errorf("weight %v: %d of %d users are on the canary", weight, n, users)
		}
	}
	status, err := r.serin().Status(t.Context(), "shop")
	must(t, err)
	if a := status.Aliases[0]; a.RoutingKey.String() != "header:X-User" || a.Pins != serin.PinsSigned {
		t.Errorf("after the restart: %+v", a)
	}
	history, err := r.serin().History(t.Context(), "shop", "live", 100)
	must(t, err)
	if !slices.ContainsFunc(history.Moves, func(m serin.Move) bool {
		return m.Cause == serin.CauseSettings && m.Settings.Key.String() == "header:X-User" && m.Actor != ""
	}) {
		t.Errorf("the history does not say who set the key: %+v", history.Moves)
	}
}

// An event that waits for its second attempt goes where its key goes then.
func TestStickyEvents(t *testing.T) {
	r := start(t)
	l := listen(t)
	r.create(t, "shop", reporting, 2)
	r.canary(t, 0.5)
	_, err := r.PutFunctionEventInvokeConfig(t.Context(), &lambda.PutFunctionEventInvokeConfigInput{
		FunctionName: aws.String("shop"), Qualifier: aws.String("live"),
		DestinationConfig: &types.DestinationConfig{OnSuccess: &types.OnSuccess{Destination: &l.url}},
	})
	must(t, err)
	for _, key := range []string{"header:x-user", "event:who.id"} {
		r.sticky(t, "live", key, serin.PinsSigned)
		want := map[string]string{}
		for i := range 20 {
			user := fmt.Sprintf("user-%d", i)
			event := []byte(`{"who":{"id":"` + user + `"}}`)
			out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop:live"), Payload: event}, with("X-User", user))
			must(t, err)
			want[user] = *out.ExecutedVersion
			_, err = r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop:live"), InvocationType: types.InvocationTypeEvent, Payload: event}, with("X-User", user))
			must(t, err)
		}
		for range want {
			got := l.next(t)
			var event struct{ Who struct{ ID string } }
			must(t, json.Unmarshal(got.RequestPayload, &event))
			if got.ResponseContext.ExecutedVersion != want[event.Who.ID] {
				t.Errorf("%s: the event of %s ran on %s, Invoke on %s", key, event.Who.ID, got.ResponseContext.ExecutedVersion, want[event.Who.ID])
			}
		}
	}
}

func TestPins(t *testing.T) {
	r := start(t)
	c := browser(r)
	r.create(t, "shop", web, 2)
	r.canary(t, 0)
	live := aws.String("live")
	url := r.url(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("shop"), Qualifier: live, AuthType: types.FunctionUrlAuthTypeNone})
	r.open(t, "shop", live)
	pinned := func(version string) (string, error) {
		out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop:live"), Payload: []byte(`{"rawPath":"/plain"}`)}, with(serin.PinHeader, version))
		if err != nil {
			return "", err
		}
		return *out.ExecutedVersion, nil
	}
	get := func(version string) page { return fetch(t, c, r.Ready, "", "GET", url, "", serin.PinHeader, version) }

	if v, err := pinned("2"); err != nil || v != "2" {
		t.Errorf("signed: version %s, %v", v, err)
	}
	if p := get("2"); p.status != http.StatusForbidden || !strings.Contains(p.body, "serin routing --pins") || p.header.Get("X-Amzn-Errortype") != "AccessDeniedException" {
		t.Errorf("anonymous: %d %v %s", p.status, p.header, p.body)
	}
	r.sticky(t, "live", "none", serin.PinsAnyone)
	if p := get("2"); p.status != http.StatusOK || p.header.Get("X-Version") != "2" {
		t.Errorf("anonymous, allowed: %d %v %s", p.status, p.header, p.body)
	}
	if p := get("9"); p.status != http.StatusBadRequest || !strings.Contains(p.body, "shop has no version 9") {
		t.Errorf("a version that does not exist: %d %s", p.status, p.body)
	}
	r.sticky(t, "live", "none", serin.PinsOff)
	if _, err := pinned("2"); err == nil || !strings.Contains(err.Error(), "AccessDeniedException") {
		t.Errorf("off: %v", err)
	}
	// What was pinned is nobody's evidence.
	if counted, _ := r.counted(t, "shop", "live"); counted["2"] != 0 {
		t.Errorf("pinned requests count as the alias's: %v", counted)
	}
}

func TestRoutingRequests(t *testing.T) {
	r := start(t)
	r.create(t, "shop", reporting, 1)
	key := serin.RoutingKey{Source: serin.KeyFromCookie, Name: "a"}
	for _, tt := range []struct {
		function, alias string
		in              api.RoutingRequest
		want            serin.Kind
	}{
		{"shop", "live", api.RoutingRequest{}, serin.KindNotFound},
		{"shop", "1", api.RoutingRequest{}, serin.KindInvalid},
		{"nope", "live", api.RoutingRequest{}, serin.KindNotFound},
		{"shop", "$LATEST", api.RoutingRequest{RoutingKey: &key}, serin.KindInvalid},
		{"shop", "$LATEST", api.RoutingRequest{Pins: new(serin.PinPolicy("all"))}, serin.KindInvalid},
		{"shop", "$LATEST", api.RoutingRequest{Pins: new(serin.PinsOff)}, 0},
	} {
		if d, err := r.serin().UpdateRouting(t.Context(), tt.function, tt.alias, tt.in); serin.KindOf(err) != tt.want {
			t.Errorf("%s:%s %+v: %+v, %v", tt.function, tt.alias, tt.in, d, err)
		}
	}
	if d, err := r.serin().Routing(t.Context(), "shop", "$LATEST"); err != nil || d.Pins != serin.PinsOff {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := r.serin().Routing(t.Context(), "shop", "live"); serin.KindOf(err) != serin.KindNotFound {
		t.Error(err)
	}
}
