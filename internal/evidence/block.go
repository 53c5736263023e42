package evidence

import (
	"fmt"
	"math"
)

// MaxBlockRequests is the largest number of requests of one version in one [Block] that is accepted.
// It is far above what an alias serves in a minute and bounds the work that one block can cause.
const MaxBlockRequests = 100_000_000

// maxTotalRequests bounds the totals over a whole release, so that sums of totals cannot overflow.
const maxTotalRequests = math.MaxInt / 4

// Block counts the requests of one label-blind slice of the traffic: a slice that was cut without looking
// at which version served a request, such as the last twenty requests or one CloudWatch minute, and within
// which the canary's weight did not change. A list of blocks is the certificate of a verdict: whoever adds
// the same blocks in the same order gets the same numbers.
type Block struct {
	CanaryRequests   int `json:"nc"`
	CanaryErrors     int `json:"xc"`
	BaselineRequests int `json:"nb"`
	BaselineErrors   int `json:"xb"`
}

// Validate returns an error unless 0 <= errors <= requests <= [MaxBlockRequests] holds for both versions.
func (b Block) Validate() error { return b.validate(MaxBlockRequests) }

func (b Block) validate(limit int) error {
	if err := validateCounts("canary", b.CanaryRequests, b.CanaryErrors, limit); err != nil {
		return err
	}
	return validateCounts("baseline", b.BaselineRequests, b.BaselineErrors, limit)
}

func validateCounts(version string, requests, errors, limit int) error {
	if requests < 0 || requests > limit {
		return fmt.Errorf("evidence: %s requests %d outside [0, %d]", version, requests, limit)
	}
	if errors < 0 || errors > requests {
		return fmt.Errorf("evidence: %s errors %d outside [0, %d requests]", version, errors, requests)
	}
	return nil
}

// Add returns the sum of two blocks, such as the blocks that two routers counted in the same slice of time.
// The sum is again a block only if both routers used the same weight throughout.
func (b Block) Add(other Block) Block {
	return Block{
		CanaryRequests:   b.CanaryRequests + other.CanaryRequests,
		CanaryErrors:     b.CanaryErrors + other.CanaryErrors,
		BaselineRequests: b.BaselineRequests + other.BaselineRequests,
		BaselineErrors:   b.BaselineErrors + other.BaselineErrors,
	}
}
