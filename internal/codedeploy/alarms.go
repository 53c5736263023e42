package codedeploy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
)

// alarmed is who ends a deployment that an alarm stops.
const alarmed = "CodeDeploy's alarms"

// veto says which alarms stop a deployment, or "": those in the state ALARM and, unless the configuration ignores that,
// those whose state cannot be found out. An alarm without enough data stops nothing, as on AWS.
func (s *Service) veto(ctx context.Context, c *types.AlarmConfiguration) string {
	if c == nil || !c.Enabled || len(c.Alarms) == 0 || s.Alarms == nil {
		return ""
	}
	var names, firing []string
	for _, a := range c.Alarms {
		names = append(names, aws.ToString(a.Name))
	}
	out, err := s.Alarms.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{
		AlarmNames: names, AlarmTypes: []cloudwatchtypes.AlarmType{cloudwatchtypes.AlarmTypeMetricAlarm, cloudwatchtypes.AlarmTypeCompositeAlarm},
	})
	if ctx.Err() != nil { // the server ends
		return ""
	}
	if err != nil {
		if c.IgnorePollAlarmFailure {
			return ""
		}
		return fmt.Sprintf("The state of the alarms %s cannot be found out: %s", strings.Join(names, ", "), err.Error())
	}
	found := map[string]cloudwatchtypes.StateValue{}
	for _, a := range out.MetricAlarms {
		found[aws.ToString(a.AlarmName)] = a.StateValue
	}
	for _, a := range out.CompositeAlarms {
		found[aws.ToString(a.AlarmName)] = a.StateValue
	}
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return found[name] != "" })
	for _, name := range names {
		if found[name] == cloudwatchtypes.StateValueAlarm {
			firing = append(firing, name)
		}
	}
	switch {
	case len(firing) > 0:
		return "One or more alarms have been activated according to the Amazon CloudWatch metrics you selected, and the affected deployments have been stopped. Activated alarms: " +
			strings.Join(firing, ", ")
	case len(missing) > 0 && !c.IgnorePollAlarmFailure:
		return fmt.Sprintf("There is no alarm %s.", strings.Join(missing, ", "))
	default:
		return ""
	}
}
