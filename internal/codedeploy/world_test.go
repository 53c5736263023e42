package codedeploy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	sdk "github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"serin"
	"serin/internal/codedeploy"
	"serin/internal/metrics"
	"serin/internal/release"
	"serin/internal/store"
)

var place = serin.Place{Region: "us-east-1", Account: "000000000000"}

// aliases keeps one function, shop with versions 1 to 3, in memory, with the rules of the domain.
type aliases struct {
	mu       sync.Mutex
	function *serin.Function
	moves    []string
	revision atomic.Int64
}

func newAliases(t *testing.T) *aliases {
	t.Helper()
	a := &aliases{}
	c := a.change(serin.CauseManual)
	f := serin.NewFunction(c, place, "shop", serin.Configuration{}, serin.Code{}, nil, 0)
	for range 3 {
		f.Changed = true
		f.Settle(c, "")
		if _, err := f.PublishVersion(c, serin.Publication{}); err != nil {
			t.Fatal(err)
		}
	}
	a.function = f
	return a
}

func (a *aliases) change(cause serin.Cause) serin.Change {
	return serin.Change{At: time.Now(), Cause: cause, NewRevision: func() string { return strconv.FormatInt(a.revision.Add(1), 10) }}
}

func (a *aliases) Alias(function, name string) (*serin.Function, *serin.Alias, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if al := a.function.Aliases[name]; al != nil && function == "shop" {
		return a.function, al, nil
	}
	return nil, nil, serin.Errorf(serin.KindNotFound, "no alias")
}

func (a *aliases) MoveAlias(_ context.Context, m serin.AliasMove) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.function.Clone()
	up := serin.AliasUpdate{Version: &m.To.Version, Weights: &map[serin.VersionNumber]float64{}, RevisionID: m.RevisionID}
	if m.To.Weighted() {
		(*up.Weights)[m.To.Additional] = m.To.Weight
	}
	var err error
	if f.Aliases[m.Alias] == nil {
		_, err = f.CreateAlias(a.change(m.Cause), m.Alias, up)
	} else {
		_, err = f.UpdateAlias(a.change(m.Cause), m.Alias, up)
	}
	if err == nil {
		a.function = f
		a.moves = append(a.moves, text(m.To))
	}
	return err
}

func (a *aliases) LastGood(context.Context, string, string) (serin.VersionNumber, error) {
	return 0, serin.Errorf(serin.KindNotFound, "nothing to roll back to")
}

func text(r serin.Routing) string {
	if r.Weighted() {
		return fmt.Sprintf("%s+%s@%v", r.Version, r.Additional, r.Weight)
	}
	return r.Version.String()
}

// world is the service with everything around it, in fake time.
type world struct {
	*codedeploy.Service

	t        *testing.T
	ctx      context.Context
	aliases  *aliases
	recorder *metrics.Recorder
	store    *store.Store
	releases *release.Controller
	stop     context.CancelFunc
	stopped  sync.WaitGroup
	ids      atomic.Int64
	log      slog.Handler

	mu     sync.Mutex
	events []hookEvent
	// report is what a hook reports when it gets an event; nil reports nothing.
	report func(e hookEvent) types.LifecycleEventStatus
	// alarms are those that there are; nobody can say what their state is while deaf.
	alarms map[string]cloudwatchtypes.StateValue
	deaf   bool
}

func (w *world) DescribeAlarms(_ context.Context, in *cloudwatch.DescribeAlarmsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deaf {
		return nil, errors.New("nobody knows")
	}
	out := &cloudwatch.DescribeAlarmsOutput{}
	for _, name := range in.AlarmNames {
		if state, ok := w.alarms[name]; ok {
			out.MetricAlarms = append(out.MetricAlarms, cloudwatchtypes.MetricAlarm{AlarmName: &name, StateValue: state})
		}
	}
	return out, nil
}

func (w *world) alarm(name string, state cloudwatchtypes.StateValue) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alarms[name] = state
}

type hookEvent struct {
	DeploymentID string `json:"DeploymentId"`
	ExecutionID  string `json:"LifecycleEventHookExecutionId"`
	function     string
}

func inBubble(t *testing.T, test func(*world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, ctx: serin.WithActor(context.Background(), "ana"), aliases: newAliases(t), recorder: metrics.New(time.Now), store: s, log: slog.DiscardHandler, alarms: map[string]cloudwatchtypes.StateValue{}}
		w.run()
		w.live(serin.Routing{Version: 1})
		test(w)
		w.kill()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// run starts the service and the release engine; after kill they are the next ones.
func (w *world) run() {
	w.releases = release.New(release.Config{
		Store: w.store, Aliases: w.aliases, Recorder: w.recorder, Now: time.Now, NewID: w.newID, Log: slog.New(w.log),
		VersionARN: place.FunctionARN,
		Await: func(ctx context.Context, r *serin.Release, run serin.CheckRun, function string) error {
			return w.Await(ctx, r, run, function)
		},
	})
	w.Service = codedeploy.New(codedeploy.Config{
		Place: place, Store: w.store, Releases: w.releases, Alarms: w, Alias: w.aliases.Alias, InvokeEvent: w.invoke, Now: time.Now, NewID: w.newID, Log: slog.New(w.log),
	})
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	for _, run := range []func(context.Context) error{w.releases.Run, w.Run} {
		w.stopped.Go(func() {
			if err := run(ctx); err != nil {
				w.t.Error(err)
			}
		})
	}
	synctest.Wait()
}

func (w *world) kill() {
	w.stop()
	w.stopped.Wait()
}

func (w *world) newID() string { return "id-" + strconv.FormatInt(w.ids.Add(1), 10) }

func (w *world) invoke(_ context.Context, function, _ string, payload []byte) error {
	if function == "missing" {
		return serin.Errorf(serin.KindNotFound, "Function not found: missing")
	}
	e := hookEvent{function: function}
	if err := json.Unmarshal(payload, &e); err != nil {
		return err
	}
	w.mu.Lock()
	w.events = append(w.events, e)
	report := w.report
	w.mu.Unlock()
	if report == nil {
		return nil
	}
	_, err := w.put(e, report(e))
	if is(err, "LifecycleEventAlreadyCompletedException") { // the event came twice
		return nil
	}
	return err
}

func (w *world) put(e hookEvent, status types.LifecycleEventStatus) (*sdk.PutLifecycleEventHookExecutionStatusOutput, error) {
	return w.PutLifecycleEventHookExecutionStatus(w.ctx, &sdk.PutLifecycleEventHookExecutionStatusInput{
		DeploymentId: &e.DeploymentID, LifecycleEventHookExecutionId: &e.ExecutionID, Status: status,
	})
}

func (w *world) live(r serin.Routing) {
	w.t.Helper()
	if err := w.aliases.MoveAlias(context.Background(), serin.AliasMove{Function: "shop", Alias: "live", To: r}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) routing() string {
	_, a, _ := w.aliases.Alias("shop", "live")
	return text(a.Routing)
}

func must[T any](t *testing.T, out T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// spec is an AppSpec file.
func spec(current, target string, hooks ...string) *types.RevisionLocation {
	file := map[string]any{"version": 0.0, "Resources": []any{map[string]any{"MyFn": map[string]any{
		"Type": "AWS::Lambda::Function", "Properties": map[string]any{"Name": "shop", "Alias": "live", "CurrentVersion": current, "TargetVersion": target},
	}}}}
	events := []string{"BeforeAllowTraffic", "AfterAllowTraffic"}
	var list []any
	for i, hook := range hooks {
		if hook != "" {
			list = append(list, map[string]any{events[i]: hook})
		}
	}
	if list != nil {
		file["Hooks"] = list
	}
	content, _ := json.Marshal(file)
	return &types.RevisionLocation{RevisionType: types.RevisionLocationTypeAppSpecContent, AppSpecContent: &types.AppSpecContent{Content: aws.String(string(content))}}
}

var allRollbacks = &types.AutoRollbackConfiguration{Enabled: true, Events: types.AutoRollbackEvent("").Values()}

// group creates the application app with the group group.
func (w *world) group(config string, rollback *types.AutoRollbackConfiguration) {
	w.t.Helper()
	_, err := w.CreateApplication(w.ctx, &sdk.CreateApplicationInput{ApplicationName: aws.String("app"), ComputePlatform: types.ComputePlatformLambda})
	must(w.t, 0, err)
	_, err = w.CreateDeploymentGroup(w.ctx, &sdk.CreateDeploymentGroupInput{
		ApplicationName: aws.String("app"), DeploymentGroupName: aws.String("group"), ServiceRoleArn: aws.String("arn:aws:iam::000000000000:role/r"),
		DeploymentConfigName: aws.String(config), AutoRollbackConfiguration: rollback,
	})
	must(w.t, 0, err)
}

func (w *world) deploy(revision *types.RevisionLocation) string {
	w.t.Helper()
	out, err := w.CreateDeployment(w.ctx, &sdk.CreateDeploymentInput{
		ApplicationName: aws.String("app"), DeploymentGroupName: aws.String("group"), Revision: revision, Description: aws.String("spring"),
	})
	return *must(w.t, out, err).DeploymentId
}

func (w *world) get(id string) *types.DeploymentInfo {
	w.t.Helper()
	out, err := w.GetDeployment(w.ctx, &sdk.GetDeploymentInput{DeploymentId: &id})
	return must(w.t, out, err).DeploymentInfo
}

func (w *world) target(id string) *types.LambdaTarget {
	w.t.Helper()
	out, err := w.GetDeploymentTarget(w.ctx, &sdk.GetDeploymentTargetInput{DeploymentId: &id, TargetId: aws.String("shop:live")})
	return must(w.t, out, err).DeploymentTarget.LambdaTarget
}

// ended waits until a deployment has ended.
func (w *world) ended(id string) *types.DeploymentInfo {
	w.t.Helper()
	for range 200_000 {
		info := w.get(id)
		if info.CompleteTime != nil {
			return info
		}
		time.Sleep(10 * time.Second)
	}
	w.t.Fatalf("deployment %s does not end: %+v", id, w.get(id))
	return nil
}

// eventually waits until something holds.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		time.Sleep(time.Second)
	}
	w.t.Fatalf("never: %s", what)
}

func (w *world) received() []hookEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]hookEvent(nil), w.events...)
}
