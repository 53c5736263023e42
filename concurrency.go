package serin

import "time"

// MinUnreserved is the concurrency that an account must keep for functions without a reservation (AWS
// documentation, 2025).
const MinUnreserved = 100

// Provisioned is a number of execution environments that are kept initialised for a version, or for the
// version that an alias routes to.
type Provisioned struct {
	Requested    int       `json:"requested"`
	LastModified time.Time `json:"lastModified"`
}

// ConcurrencyClaim returns how much of the account's concurrency the function keeps from others: what is
// reserved for it, or else what is provisioned, which counts within a reservation.
func (f *Function) ConcurrencyClaim() int {
	if f.Reserved != nil {
		return *f.Reserved
	}
	return f.provisioned("")
}

// provisioned is the sum over all qualifiers but one.
func (f *Function) provisioned(except string) int {
	total := 0
	for q, a := range f.Attached {
		if a.Provisioned != nil && q != except {
			total += a.Provisioned.Requested
		}
	}
	return total
}

// ReserveConcurrency reserves concurrency for the function. unreserved is what the account has left beside
// the claims of other functions.
//
// Errors: KindInvalid.
func (f *Function) ReserveConcurrency(n, unreserved int) error {
	if unreserved-n < MinUnreserved {
		return untyped("Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", MinUnreserved)
	}
	if total := f.provisioned(""); n < total {
		// The blanks are AWS's.
		return untyped(" ReservedConcurrentExecutions  %d should not be lower than function's total provisioned concurrency [%d].", n, total)
	}
	f.Reserved = &n
	return nil
}

// ReleaseConcurrency removes the reservation. Without one it does nothing.
func (f *Function) ReleaseConcurrency() { f.Reserved = nil }

// ProvisionConcurrency sets the provisioned concurrency of a version or an alias. unreserved is as for
// [Function.ReserveConcurrency].
//
// Errors: KindInvalid for $LATEST, for a weighted alias and for more than there is, KindNotFound for a missing
// version or alias, KindConflict for a version that has provisioned concurrency by another name.
func (f *Function) ProvisionConcurrency(c Change, qualifier string, n, unreserved int) (*Provisioned, error) {
	unpublished := Errorf(KindInvalid, "Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
	if attachedTo(qualifier) == latestName {
		return nil, unpublished
	}
	if err := f.checkQualifier(qualifier); err != nil {
		return nil, err
	}
	v, alias, _ := f.Resolve(qualifier)
	switch {
	case v.Number == Latest:
		return nil, unpublished
	case alias != nil && alias.Routing.Weighted():
		return nil, Errorf(KindInvalid, "Alias with weights can not be used with Provisioned Concurrency")
	}
	if err := f.checkProvisioned(qualifier, n, unreserved); err != nil {
		return nil, err
	}
	if err := f.checkOneProvisioned(qualifier, v.Number); err != nil {
		return nil, err
	}
	p := &Provisioned{Requested: n, LastModified: c.At}
	f.attach(qualifier, func(a *Attachments) { a.Provisioned = p })
	return p, nil
}

// checkProvisioned keeps provisioned concurrency within the function's reservation, or else within what the
// account can spare.
func (f *Function) checkProvisioned(qualifier string, n, unreserved int) error {
	total := f.provisioned(qualifier) + n
	if f.Reserved != nil {
		if total > *f.Reserved {
			return Errorf(KindInvalid, "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function")
		}
		return nil
	}
	if total > unreserved {
		return untyped("Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [%d].", unreserved-f.provisioned(qualifier))
	}
	if unreserved-total < MinUnreserved {
		return untyped("Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", MinUnreserved)
	}
	return nil
}

// checkOneProvisioned holds the rule that a version has provisioned concurrency by one name only: its number
// or one alias.
func (f *Function) checkOneProvisioned(qualifier string, n VersionNumber) error {
	for q, a := range f.Attached {
		if a.Provisioned == nil || q == qualifier {
			continue
		}
		v, _, err := f.Resolve(q)
		switch {
		case err != nil || v.Number != n:
		case f.Aliases[qualifier] != nil:
			return Errorf(KindConflict, "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")
		default:
			return Errorf(KindConflict, "Version is pointed by a Provisioned Concurrency alias")
		}
	}
	return nil
}

// ProvisionedAt returns the provisioned concurrency of a version or an alias.
//
// Errors: KindInvalid for $LATEST, KindNotFound for a missing version or alias, KindNotProvisioned.
func (f *Function) ProvisionedAt(qualifier string) (*Provisioned, error) {
	if err := f.checkProvisionable(qualifier); err != nil {
		return nil, err
	}
	p := f.At(qualifier).Provisioned
	if p == nil {
		return nil, Errorf(KindNotProvisioned, "No Provisioned Concurrency Config found for this function")
	}
	return p, nil
}

// UnprovisionConcurrency removes the provisioned concurrency of a version or an alias; if it has none it does
// nothing.
//
// Errors: KindInvalid for $LATEST, KindNotFound for a missing version or alias.
func (f *Function) UnprovisionConcurrency(qualifier string) error {
	if err := f.checkProvisionable(qualifier); err != nil {
		return err
	}
	f.attach(qualifier, func(a *Attachments) { a.Provisioned = nil })
	return nil
}

func (f *Function) checkProvisionable(qualifier string) error {
	if attachedTo(qualifier) == latestName {
		return Errorf(KindInvalid, "The function resource provided must be an alias or a published version.")
	}
	return f.checkQualifier(qualifier)
}

// untyped is a KindInvalid error of those few whose body carries no Type member on AWS.
func untyped(format string, args ...any) error {
	e := Errorf(KindInvalid, format, args...)
	e.Reason = ReasonUntyped
	return e
}
