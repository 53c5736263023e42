package codedeploy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	sdk "github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
)

// An alarm of the group stops a deployment and puts the alias back: while it runs, and before it begins. One that has not
// enough data stops nothing; one whose state nobody knows does, unless the group ignores that.
func TestAlarms(t *testing.T) {
	on := func(ignore bool, names ...string) *types.AlarmConfiguration {
		c := &types.AlarmConfiguration{Enabled: true, IgnorePollAlarmFailure: ignore}
		for _, name := range names {
			c.Alarms = append(c.Alarms, types.Alarm{Name: &name})
		}
		return c
	}
	for name, c := range map[string]struct {
		group, override *types.AlarmConfiguration
		before, during  func(*world)
		stopped         string // what the message says, "" for a success
		moves           int    // of the alias, the first one being the test's
	}{
		"fires meanwhile":       {on(false, "errors", "quiet"), nil, nil, func(w *world) { w.alarm("errors", cloudwatchtypes.StateValueAlarm) }, "Activated alarms: errors", 3},
		"fires before":          {on(false, "errors"), nil, func(w *world) { w.alarm("errors", cloudwatchtypes.StateValueAlarm) }, nil, "Activated alarms: errors", 1},
		"does not fire":         {on(false, "errors", "quiet"), nil, nil, nil, "", 3},
		"is not there":          {on(false, "gone"), nil, nil, nil, "no alarm gone", 1},
		"is not there, ignored": {on(true, "gone"), nil, nil, nil, "", 3},
		"cannot be read":        {on(false, "errors"), nil, nil, func(w *world) { w.mu.Lock(); w.deaf = true; w.mu.Unlock() }, "cannot be found out", 3},
		"is overridden":         {on(false, "errors"), &types.AlarmConfiguration{}, func(w *world) { w.alarm("errors", cloudwatchtypes.StateValueAlarm) }, nil, "", 3},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				t := w.t // of the bubble
				w.alarm("errors", cloudwatchtypes.StateValueOk)
				w.alarm("quiet", cloudwatchtypes.StateValueInsufficientData)
				w.group("CodeDeployDefault.LambdaCanary10Percent5Minutes", allRollbacks)
				_, err := w.UpdateDeploymentGroup(w.ctx, &sdk.UpdateDeploymentGroupInput{
					ApplicationName: aws.String("app"), CurrentDeploymentGroupName: aws.String("group"), AlarmConfiguration: c.group,
				})
				must(t, 0, err)
				if c.before != nil {
					c.before(w)
				}
				out, err := w.CreateDeployment(w.ctx, &sdk.CreateDeploymentInput{
					ApplicationName: aws.String("app"), DeploymentGroupName: aws.String("group"), Revision: spec("1", "2"), OverrideAlarmConfiguration: c.override,
				})
				id := *must(t, out, err).DeploymentId
				if c.during != nil {
					w.eventually("the first step", func() bool { return w.routing() == "1+2@0.1" })
					c.during(w)
				}
				info := w.ended(id)
				if len(w.aliases.moves) != c.moves {
					t.Errorf("moves %v", w.aliases.moves)
				}
				if c.stopped == "" {
					if info.Status != types.DeploymentStatusSucceeded {
						t.Errorf("%s %+v", info.Status, info.ErrorInformation)
					}
					return
				}
				if e := info.ErrorInformation; info.Status != types.DeploymentStatusStopped || e.Code != types.ErrorCodeAlarmActive || !strings.Contains(*e.Message, c.stopped) {
					t.Errorf("%s %s %s", info.Status, e.Code, *e.Message)
				}
				if c.during != nil {
					checkRollback(w, info)
					if took := info.CompleteTime.Sub(*info.StartTime); took > time.Minute {
						t.Errorf("took %s", took)
					}
				}
			})
		})
	}
}
