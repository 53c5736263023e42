package console

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

const (
	alarmsShown   = 500
	alarmsRefresh = 5 * time.Second
)

// alarmRow is an alarm at a glance.
type alarmRow struct {
	Name, Description, State, Reason, About string
	Composite                               bool
	Since                                   time.Time
	Actions                                 int
}

// Tone is the colour of the state.
func (r alarmRow) Tone() string {
	switch types.StateValue(r.State) {
	case types.StateValueAlarm:
		return "bad"
	case types.StateValueOk:
		return "good"
	case types.StateValueInsufficientData:
		return ""
	default:
		return ""
	}
}

func (c *Console) showAlarms(w http.ResponseWriter, v *visit) error {
	rows, err := c.alarms(v.Context())
	if err != nil {
		return err
	}
	return c.show(w, v, "alarms", view{Title: "Alarms", Tab: "alarms", Live: "alarms?", Data: rows})
}

// alarms returns the alarms of the account, those that ring first.
func (c *Console) alarms(ctx context.Context) ([]alarmRow, error) {
	in := &cloudwatch.DescribeAlarmsInput{AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm}, MaxRecords: aws.Int32(100)}
	var ringing, others []alarmRow
	for len(ringing)+len(others) < alarmsShown {
		out, err := c.Alarms.DescribeAlarms(ctx, in)
		if err != nil {
			return nil, err
		}
		var rows []alarmRow
		for i := range out.MetricAlarms {
			a := &out.MetricAlarms[i]
			row := alarmRow{
				Name: aws.ToString(a.AlarmName), Description: aws.ToString(a.AlarmDescription), State: string(a.StateValue), Reason: aws.ToString(a.StateReason),
				About: aws.ToString(a.MetricName), Since: aws.ToTime(a.StateTransitionedTimestamp), Actions: len(a.AlarmActions) + len(a.OKActions),
			}
			for _, d := range a.Dimensions {
				row.About += " " + aws.ToString(d.Name) + "=" + aws.ToString(d.Value)
			}
			rows = append(rows, row)
		}
		for i := range out.CompositeAlarms {
			a := &out.CompositeAlarms[i]
			rows = append(rows, alarmRow{
				Name: aws.ToString(a.AlarmName), Description: aws.ToString(a.AlarmDescription), State: string(a.StateValue), Reason: aws.ToString(a.StateReason),
				About: aws.ToString(a.AlarmRule), Composite: true, Since: aws.ToTime(a.StateTransitionedTimestamp), Actions: len(a.AlarmActions) + len(a.OKActions),
			})
		}
		for _, row := range rows {
			if row.State == string(types.StateValueAlarm) {
				ringing = append(ringing, row)
			} else {
				others = append(others, row)
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	return append(ringing, others...), nil
}

func (c *Console) alarmsTopic(ctx context.Context) ([]fragment, error) {
	rows, err := c.alarms(ctx)
	if err != nil {
		return nil, err
	}
	html, err := c.views.fragment("alarm-list", rows)
	return []fragment{{"alarm-list", html}}, err
}
