package serin

import "slices"

// AlarmValue is the state of a CloudWatch alarm.
type AlarmValue string

// States of an alarm, as AWS names them. AlarmGone is that of an alarm that does not exist.
const (
	AlarmOK      AlarmValue = "OK"
	AlarmOn      AlarmValue = "ALARM"
	AlarmUnknown AlarmValue = "INSUFFICIENT_DATA"
	AlarmGone    AlarmValue = ""
)

// AlarmState is what an alarm says.
type AlarmState struct {
	Name   string     `json:"name"`
	State  AlarmValue `json:"state"`
	Reason string     `json:"reason,omitempty"`
}

// signal shows the alarm among the signals of a release: without data it is blind.
func (a AlarmState) signal() SignalState {
	s := SignalState{Signal: "alarm " + a.Name, Live: true}
	switch a.State {
	case AlarmUnknown:
		s.Live, s.Why = false, "it has no data"
	case AlarmGone:
		s.Live, s.Why = false, "there is no such alarm"
	case AlarmOK, AlarmOn:
	}
	return s
}

// The largest values of [Policy.Alarms]; CodeDeploy takes as many.
const (
	maxAlarms    = 10
	maxAlarmName = 400 // bytes, also of an ARN
)

func (p Policy) checkAlarms() error {
	if len(p.Alarms) > maxAlarms {
		return Errorf(KindInvalid, "alarms: %d are too many; at most %d", len(p.Alarms), maxAlarms)
	}
	for i, name := range p.Alarms {
		if name == "" || len(name) > maxAlarmName {
			return Errorf(KindInvalid, "alarms: a name has 1 to %d bytes", maxAlarmName)
		}
		if slices.Contains(p.Alarms[:i], name) {
			return Errorf(KindInvalid, "alarms: %.100q is there twice", name)
		}
	}
	return nil
}
