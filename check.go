package serin

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

// When says at which end of a release a check runs.
type When string

// The two ends of a release.
const (
	BeforeTraffic When = "before" // while the canary gets nothing
	AfterTraffic  When = "after"  // when the canary gets everything, or all but the holdback
)

// Check is something that must hold for a release to go on. What cannot be found out in time does not hold.
type Check struct {
	// Function is a hook: a function (NAME, NAME:QUALIFIER or an ARN) that is invoked with a [CheckEvent] and must not
	// fail.
	Function string `json:"function,omitempty"`
	// URL is a hook: the CheckEvent is posted to it, and the answer must have a 2xx status.
	URL string `json:"url,omitempty"`
	// Event is an event for the version under test, which must answer without an error.
	Event json.RawMessage `json:"event,omitempty"`
	// Reports says that the function reports to CodeDeploy's API how the check went: what it returns counts for nothing.
	Reports bool `json:"reports,omitempty"`
	// Status is the HTTP status that the answer to Event must have; 0 stands for any below 500.
	Status int `json:"status,omitempty"`
	// Name says what the check is, for people; "" for what it does.
	Name string `json:"name,omitempty"`
	// Timeout is how long the check may take, 0 for a minute.
	Timeout Duration `json:"timeout,omitzero"`
}

// Bounds of checks.
const (
	maxChecks       = 10       // at each end
	maxCheckEvent   = 32 << 10 // bytes
	maxCheckText    = 2000     // bytes of a name or a target
	maxCheckTimeout = Duration(time.Hour)
	checkTimeout    = Duration(time.Minute)
)

// String names the check.
func (c Check) String() string {
	switch {
	case c.Name != "":
		return c.Name
	case c.Function != "":
		return "function " + c.Function
	case c.URL != "":
		if u, err := url.Parse(c.URL); err == nil { // the rest is often a secret
			return "hook at " + u.Host
		}
		return "hook"
	default:
		return "event"
	}
}

// Limit is how long the check may take.
func (c Check) Limit() time.Duration {
	if c.Timeout == 0 {
		return time.Duration(checkTimeout)
	}
	return time.Duration(c.Timeout)
}

func (c Check) validate() error {
	kinds := 0
	for _, set := range []bool{c.Function != "", c.URL != "", len(c.Event) > 0} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return Errorf(KindInvalid, "checks: %.100q must have one of a function, a URL and an event", c.String())
	}
	switch u, err := url.Parse(c.URL); {
	case len(c.Function) > maxCheckText || len(c.URL) > maxCheckText || len(c.Name) > maxCheckText:
		return Errorf(KindInvalid, "checks: a name is longer than %d bytes", maxCheckText)
	case c.URL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https"):
		return Errorf(KindInvalid, "checks: %.100q is not an http or https URL", c.URL)
	case len(c.Event) > maxCheckEvent:
		return Errorf(KindInvalid, "checks: the event of %.100q has %d bytes; at most %d", c.String(), len(c.Event), maxCheckEvent)
	case len(c.Event) > 0 && !json.Valid(c.Event):
		return Errorf(KindInvalid, "checks: the event of %.100q is not JSON", c.String())
	case c.Status != 0 && (c.Status < 100 || c.Status > 599 || len(c.Event) == 0):
		return Errorf(KindInvalid, "checks: %d is not a status that the answer to an event can have", c.Status)
	case c.Reports && c.Function == "":
		return Errorf(KindInvalid, "checks: %.100q cannot report; only a function can", c.String())
	case c.Timeout < 0 || c.Timeout > maxCheckTimeout:
		return Errorf(KindInvalid, "checks: the time limit %s is not between 0s and 1h", c.Timeout)
	}
	return nil
}

func validateChecks(all []Check) error {
	if len(all) > maxChecks {
		return Errorf(KindInvalid, "checks: %d are too many; at most %d before and after the traffic", len(all), maxChecks)
	}
	for _, c := range all {
		if err := c.validate(); err != nil {
			return err
		}
	}
	return nil
}

// CheckRun is one run of a check. It is saved before the check begins, so that a server which was killed meanwhile runs
// it again, under the same ID.
type CheckRun struct {
	ID        string    `json:"id"` // the same however often it is run
	When      When      `json:"when"`
	Name      string    `json:"name"`
	StartedAt time.Time `json:"startedAt"`
	EndedAt   time.Time `json:"endedAt,omitzero"`
	Passed    bool      `json:"passed"`
	Detail    string    `json:"detail,omitempty"` // why it has not passed
}

// Failed reports whether the run has ended and not passed.
func (c CheckRun) Failed() bool { return !c.EndedAt.IsZero() && !c.Passed }

// CheckEvent is what hooks are told.
type CheckEvent struct {
	CheckID    string        `json:"checkId"` // the same if the hook is called again
	ReleaseID  string        `json:"releaseId"`
	When       When          `json:"when"`
	Function   string        `json:"function"`
	Alias      string        `json:"alias"`
	Version    VersionNumber `json:"version"` // under test
	VersionARN string        `json:"versionArn"`
	Baseline   VersionNumber `json:"baseline"`
	Deadline   time.Time     `json:"deadline"`
}

// checkID names the run of the n-th check, counted from 0.
func checkID(release string, when When, n int) string {
	return fmt.Sprintf("%s-%s-%d", release, when, n+1)
}

// NewCheckRun returns the run that the release needs next at one end, or false if all its checks have passed there, one
// has failed, or one runs.
func (r *Release) NewCheckRun(when When, now time.Time) (CheckRun, bool) {
	runs := r.CheckRuns(when)
	checks := r.Policy.Checks(when)
	if n := len(runs); n > 0 && !runs[n-1].Passed || n >= len(checks) {
		return CheckRun{}, false
	}
	return CheckRun{ID: checkID(r.ID, when, len(runs)), When: when, Name: checks[len(runs)].String(), StartedAt: now}, true
}

// CheckRuns returns the runs at one end.
func (r *Release) CheckRuns(when When) []CheckRun {
	var runs []CheckRun
	for _, c := range r.Checks {
		if c.When == when {
			runs = append(runs, c)
		}
	}
	return runs
}

// Checks returns the checks at one end.
func (p Policy) Checks(when When) []Check {
	if when == BeforeTraffic {
		return p.Before
	}
	return p.After
}
