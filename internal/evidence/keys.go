package evidence

// Keys reduces requests to the units that chose their version at random, for routing by sticky keys and for
// events that are tried again on the version that failed: all requests of a key share one draw of the coin,
// so a key that always fails would look like many failures of one version. Given that a key has failed, on
// whichever version, its first failure was on the canary with probability w at most if the canary is no worse.
//
// Memory is bounded: once there are as many keys as fit, others are passed over, without looking at versions.
// A Keys is not safe for concurrent use.
type Keys struct {
	seen, failed map[uint64]struct{}
	limit        int
}

// NewKeys returns the memory of up to limit keys that were seen and as many that failed.
func NewKeys(limit int) *Keys {
	return &Keys{seen: map[uint64]struct{}{}, failed: map[uint64]struct{}{}, limit: limit}
}

// Observe takes in a request by a hash of its key, or an attempt by a hash of its event's identity. It reports
// whether the request is the first of its key, and whether it is the key's first failure. Of a request
// that is the first, [Slice.Units] and the measurements count; a first failure counts in the tally's failures.
func (k *Keys) Observe(key uint64, failed bool) (first, firstFailure bool) {
	first = remember(k.seen, key, k.limit)
	if failed {
		firstFailure = remember(k.failed, key, k.limit)
	}
	return first, firstFailure
}

func remember(set map[uint64]struct{}, key uint64, limit int) bool {
	if _, known := set[key]; known || len(set) >= limit {
		return false
	}
	set[key] = struct{}{}
	return true
}
