package serin

// Outcome says how one invocation ended. Everything but [OutcomeOK] counts as an error of the version
// that ran it.
type Outcome int

// How an invocation can end.
const (
	// OutcomeOK is an answer without an error.
	OutcomeOK Outcome = iota
	// OutcomeFunctionError is an error that the function reported.
	OutcomeFunctionError
	// OutcomeTimeout is a function that ran into its time limit.
	OutcomeTimeout
	// OutcomeCrash is a runtime process that ended during an invocation.
	OutcomeCrash
	// OutcomeInitError is an execution environment that could not be initialised.
	OutcomeInitError
	// OutcomeServerError is a proxy-shaped answer whose statusCode is 500 or more.
	OutcomeServerError

	outcomeCount
)

// OutcomeCount is the number of outcomes; it sizes arrays that are indexed by an [Outcome].
const OutcomeCount = int(outcomeCount)

// String returns the name that metrics and documents use.
func (o Outcome) String() string {
	switch o {
	case OutcomeOK:
		return "ok"
	case OutcomeFunctionError:
		return "function error"
	case OutcomeTimeout:
		return "timeout"
	case OutcomeCrash:
		return "crash"
	case OutcomeInitError:
		return "init error"
	case OutcomeServerError:
		return "5xx"
	default:
		return "unknown"
	}
}

// Failed reports whether the outcome counts as an error.
func (o Outcome) Failed() bool { return o != OutcomeOK }
