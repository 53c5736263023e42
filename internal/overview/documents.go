package overview

import (
	"time"

	"serin"
	"serin/internal/evidence"
)

// ReleaseDocument is a release for programs. Weights and shares are percentages, rates are fractions. Its
// members are a contract: see the README.
type ReleaseDocument struct {
	ReleaseID string        `json:"releaseId"`
	Target    string        `json:"target"`
	Function  string        `json:"function"`
	Alias     string        `json:"alias"`
	From      VersionRef    `json:"from"`
	To        VersionRef    `json:"to"`
	Changed   []string      `json:"changed"`
	Steps     []serin.Step  `json:"steps"`
	Verdict   serin.Verdict `json:"verdict"`
	Outcome   serin.Ending  `json:"outcome,omitempty"` // absent while the release runs
	Reason    Reason        `json:"reason"`
	Evidence  Evidence      `json:"evidence"`
	// TrafficNow is the share of each version in percent.
	TrafficNow      map[serin.VersionNumber]float64 `json:"trafficNow"`
	RollbackTarget  *serin.VersionNumber            `json:"rollbackTarget,omitempty"`
	Actor           string                          `json:"actor,omitempty"`
	Message         string                          `json:"message,omitempty"`
	StartedAt       time.Time                       `json:"startedAt"`
	DurationSeconds float64                         `json:"durationSeconds"`

	Phase  serin.Phase  `json:"phase"`
	Step   int          `json:"step"` // index into policy.steps
	Policy serin.Policy `json:"policy"`
	Blind  bool         `json:"blind,omitempty"`
	// WatchUntil is when the watch over the promoted version ends.
	WatchUntil time.Time `json:"watchUntil,omitzero"`
	// HeldBy is who holds the release; empty if it is held because its evidence did not come in time.
	HeldBy string `json:"heldBy,omitempty"`
	// Log is what has happened, and Untold whom the server has not been able to tell.
	Log    []serin.ReleaseEvent `json:"log,omitempty"`
	Untold []Untold             `json:"untold,omitempty"`
	// Alarms is what the alarms that may veto said when they were looked at last.
	Alarms []serin.AlarmState `json:"alarms,omitempty"`
	// Checks are what was checked before and after the traffic.
	Checks []serin.CheckRun `json:"checks,omitempty"`
	// Signals is what was observed since the release began.
	Signals SignalsDocument `json:"signals"`
	// Judgements are the verdicts that changed something, with the counts that they rest on.
	Judgements []serin.Judgement `json:"judgements,omitempty"`
	// Conflict says that the release ended because somebody else changed the alias.
	Conflict bool `json:"conflict,omitempty"`
	// Saved grows with each saved state of the release; see Client.Wait.
	Saved int64 `json:"saved"`
}

// SignalsDocument is what was observed since a release began, also in requests that are no evidence.
type SignalsDocument struct {
	Baseline Observed            `json:"baseline"`
	Canary   Observed            `json:"canary"`
	States   []serin.SignalState `json:"states"` // what could have shown a difference, and what was blind
	// New are the errors that only the canary has shown, the most frequent first; Errors are all.
	New    []serin.Failure `json:"new"`
	Errors []serin.Failure `json:"errors"`
}

// Observed is what one version did.
type Observed struct {
	Requests   int            `json:"requests"`
	Errors     int            `json:"errors"`
	ByKind     map[string]int `json:"errorsByKind"`
	Throttles  int            `json:"throttles"`
	ColdStarts int            `json:"coldStarts"`
	Synthetic  int            `json:"synthetic,omitempty"` // of the requests, those that no user has made
	Duration   Milliseconds   `json:"duration"`            // of warm requests
	Init       Milliseconds   `json:"init"`
}

// Untold is a target of notices that does not take them.
type Untold struct {
	Target   string `json:"target"`
	Waiting  int    `json:"waiting"` // notices
	Failures int    `json:"failures"`
	Error    string `json:"error,omitempty"`
}

// VersionRef names a version and its code.
type VersionRef struct {
	Version    serin.VersionNumber `json:"version"`
	CodeSHA256 string              `json:"codeSha256,omitempty"`
}

// Reason says why a release is where it is. Baseline and Canary are rates of the signal: of errors, or of requests that
// exceeded the threshold with the strongest evidence.
type Reason struct {
	Signal       string  `json:"signal"`
	Text         string  `json:"text,omitempty"`
	Baseline     float64 `json:"baseline"`
	Canary       float64 `json:"canary"`
	HarmExcluded float64 `json:"harmExcluded"` // an increase of the rate above this is excluded; 1 means nothing is
}

// Evidence is the state of the sequential test.
type Evidence struct {
	EValue             float64 `json:"eValue"`
	Alpha              float64 `json:"alpha"`
	CanaryRequests     int     `json:"canaryRequests"`
	LowerBoundRequests float64 `json:"lowerBoundRequests,omitempty"` // no test could have told the difference in fewer
	NeededRequests     float64 `json:"neededRequests,omitempty"`     // canary requests that the present step is expected to need
	Tolerated          float64 `json:"tolerated,omitempty"`          // the harm that must be excluded to leave the present step
	// Low and High bound the difference of the rates with 95 % confidence; for people, not what decides.
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
	// Signals is what each signal that is judged says. The e-value of all is their mean, weighted with their shares.
	Signals []evidence.SignalJudgement `json:"signals,omitempty"`
	// RatioMismatch warns that the observed traffic does not follow the weights.
	RatioMismatch bool `json:"ratioMismatch,omitempty"`
}

// StartRequest asks for a release.
type StartRequest struct {
	Function string              `json:"function"`
	Alias    string              `json:"alias"`
	Version  serin.VersionNumber `json:"version"`
	Policy   serin.Policy        `json:"policy"`
	Message  string              `json:"message,omitempty"`
}

// RollbackRequest asks for a rollback. Without a version it goes to the last good one.
type RollbackRequest struct {
	Function string               `json:"function"`
	Alias    string               `json:"alias"`
	Version  *serin.VersionNumber `json:"version,omitempty"`
	Reason   string               `json:"reason,omitempty"`
	DryRun   bool                 `json:"dryRun,omitempty"`
}

// RollbackDocument says what a rollback does, or has done.
type RollbackDocument struct {
	Function   string                          `json:"function"`
	Alias      string                          `json:"alias"`
	From       map[serin.VersionNumber]float64 `json:"from"` // percent
	To         VersionRef                      `json:"to"`
	ReleaseID  string                          `json:"releaseId,omitempty"` // the release that it aborts
	RolledBack bool                            `json:"rolledBack"`
}

// RoutingRequest changes how the version of invocations of an alias is picked. Absent members keep what is there.
type RoutingRequest struct {
	RoutingKey *serin.RoutingKey `json:"routingKey,omitempty"` // "none" removes it
	Pins       *serin.PinPolicy  `json:"pins,omitempty"`
}

// RoutingDocument says how the version of invocations of an alias is picked, or of the function itself if the alias is
// "$LATEST".
type RoutingDocument struct {
	Function   string           `json:"function"`
	Alias      string           `json:"alias"`
	RoutingKey serin.RoutingKey `json:"routingKey"`
	Pins       serin.PinPolicy  `json:"pins"`
}

// StatusDocument is a function at a glance.
type StatusDocument struct {
	Function string          `json:"function"`
	ARN      string          `json:"arn"`
	Runtime  string          `json:"runtime"`
	State    serin.State     `json:"state"`
	Reason   string          `json:"stateReason,omitempty"`
	Aliases  []AliasStatus   `json:"aliases"`
	Versions []VersionStatus `json:"versions"` // $LATEST first, then newest first
	// CodeBytes is the code storage that the function uses; Storage is what all functions and layers do.
	CodeBytes int64   `json:"codeBytes"`
	Storage   Storage `json:"storage"`
	// Events is absent if the function has had none.
	Events *EventMetrics `json:"events,omitempty"`
}

// EventMetrics counts the asynchronous invocations of a function since the server started.
type EventMetrics struct {
	Received            int          `json:"received"`
	Age                 Milliseconds `json:"age"` // from acceptance to each attempt
	Dropped             int          `json:"dropped"`
	Lost                int          `json:"lost"` // those dropped that nobody was told of
	DestinationFailures int          `json:"destinationFailures"`
	DeadLetterFailures  int          `json:"deadLetterFailures"`
}

// AliasStatus is where an alias's traffic goes.
type AliasStatus struct {
	Name       string                          `json:"name"`
	RevisionID string                          `json:"revisionId"`
	Set        map[serin.VersionNumber]float64 `json:"set"`      // percent
	Observed   map[serin.VersionNumber]float64 `json:"observed"` // percent of the requests since the routing changed
	Requests   int                             `json:"requests"` // since the routing changed, or the server started
	Since      time.Time                       `json:"since"`    // from when they were counted
	LastMove   *serin.Move                     `json:"lastMove,omitempty"`
	RoutingKey serin.RoutingKey                `json:"routingKey,omitzero"`
	Pins       serin.PinPolicy                 `json:"pins"` // who may pin requests to a version
	// RollbackTarget is where serin rollback would go.
	RollbackTarget *serin.VersionNumber `json:"rollbackTarget,omitempty"`
	Release        *ReleaseDocument     `json:"release,omitempty"`
}

// VersionStatus is what one version is doing.
type VersionStatus struct {
	Version      serin.VersionNumber `json:"version"`
	Description  string              `json:"description,omitempty"`
	CodeSHA256   string              `json:"codeSha256"`
	CodeBytes    int64               `json:"codeBytes"`
	LastModified time.Time           `json:"lastModified"`
	State        serin.State         `json:"state"`
	// PublishedBy is empty, and Provenance absent, if nobody said; $LATEST has neither.
	PublishedBy string            `json:"publishedBy,omitempty"`
	PublishedAt time.Time         `json:"publishedAt,omitzero"`
	Provenance  *serin.Provenance `json:"provenance,omitempty"`
	Metrics     []VersionMetrics  `json:"metrics"` // by alias; "" stands for direct calls
}

// VersionMetrics counts what a version did since the server started. Times are milliseconds.
type VersionMetrics struct {
	Alias     string         `json:"alias"`
	Requests  int            `json:"requests"`
	Errors    int            `json:"errors"`
	ByKind    map[string]int `json:"errorsByKind"`
	Throttles int            `json:"throttles"`
	Duration  Milliseconds   `json:"duration"`
	Init      Milliseconds   `json:"init"`
}

// Milliseconds summarises durations.
type Milliseconds struct {
	Count int     `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// FunctionSummary is one line of the list of functions.
type FunctionSummary struct {
	Function string                                     `json:"function"`
	Runtime  string                                     `json:"runtime"`
	Aliases  map[string]map[serin.VersionNumber]float64 `json:"aliases"` // percent
	Versions int                                        `json:"versions"`
}

// HistoryDocument is the history of a function's aliases, newest first.
type HistoryDocument struct {
	Function string            `json:"function"`
	Alias    string            `json:"alias,omitempty"`
	Moves    []serin.Move      `json:"moves"`
	Releases []ReleaseDocument `json:"releases"`
}
