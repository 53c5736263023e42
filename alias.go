package serin

// Routing is where an alias sends invocations: to Version, except for the share Weight, which goes to
// Additional. The two versions of a weighted routing are always published ones.
type Routing struct {
	Version    VersionNumber `json:"version"`
	Additional VersionNumber `json:"additional,omitzero"` // Latest means none
	Weight     float64       `json:"weight,omitzero"`     // 0 to 1
}

// Weighted reports whether the routing names a second version, even with a weight of 0.
func (r Routing) Weighted() bool { return r.Additional != Latest }

// Names reports whether the routing names the version.
func (r Routing) Names(v VersionNumber) bool {
	return r.Version == v || r.Weighted() && r.Additional == v
}

// Share returns the share of invocations that the version gets, 0 to 1.
func (r Routing) Share(v VersionNumber) float64 {
	switch {
	case r.Weighted() && v == r.Additional:
		return r.Weight
	case v == r.Version:
		return 1 - r.Weight
	default:
		return 0
	}
}

// Weights returns the share of each version that the routing names.
func (r Routing) Weights() map[VersionNumber]float64 {
	w := map[VersionNumber]float64{r.Version: r.Share(r.Version)}
	if r.Weighted() {
		w[r.Additional] = r.Weight
	}
	return w
}

// Alias is a named pointer to one version, or to two with weights. Like a [Version] it is replaced, never
// changed.
type Alias struct {
	Name        string  `json:"name"`
	Description string  `json:"description,omitempty"`
	Routing     Routing `json:"routing"`
	RevisionID  string  `json:"revisionId"`
}

// AliasUpdate is a change of an alias; nil members keep what is there.
type AliasUpdate struct {
	Description *string
	Version     *VersionNumber
	Weights     *map[VersionNumber]float64 // an empty map clears the weights
	RevisionID  string                     // if not empty, the update is refused unless it is the alias's
}

// CreateAlias adds an alias.
//
// Errors: KindNotFound for a missing version, KindConflict for a name in use, KindInvalid for weights that
// break a rule.
func (f *Function) CreateAlias(c Change, name string, up AliasUpdate) (*Alias, error) {
	a := &Alias{Name: name, RevisionID: c.NewRevision()}
	if err := f.apply(a, up); err != nil {
		return nil, err
	}
	if f.Aliases[name] != nil {
		return nil, Errorf(KindConflict, "Alias already exists: %s", f.QualifiedARN(name))
	}
	f.setAlias(c, name, a)
	return a, nil
}

// UpdateAlias changes an alias. Even an update that changes nothing gives a new RevisionID, as on AWS.
//
// Errors: KindNotFound for a missing alias or version, KindPrecondition for another RevisionID, KindInvalid
// for weights that break a rule.
func (f *Function) UpdateAlias(c Change, name string, up AliasUpdate) (*Alias, error) {
	old := f.Aliases[name]
	if old == nil {
		return nil, Errorf(KindNotFound, "Alias not found: %s", f.QualifiedARN(name))
	}
	if up.RevisionID != "" && up.RevisionID != old.RevisionID {
		return nil, errRevision()
	}
	a := *old
	a.RevisionID = c.NewRevision()
	if err := f.apply(&a, up); err != nil {
		return nil, err
	}
	f.setAlias(c, name, &a)
	return &a, nil
}

// DeleteAlias removes an alias. Removing one that does not exist is no error, as on AWS.
func (f *Function) DeleteAlias(c Change, name string) {
	if f.Aliases[name] != nil {
		f.setAlias(c, name, nil)
	}
}

func (f *Function) apply(a *Alias, up AliasUpdate) error {
	if up.Description != nil {
		a.Description = *up.Description
	}
	if up.Version != nil {
		a.Routing.Version = *up.Version
	}
	if up.Weights != nil {
		if len(*up.Weights) > 1 {
			return Errorf(KindInvalid, "Number of items in AdditionalVersionWeights cannot be greater than 1")
		}
		a.Routing.Additional, a.Routing.Weight = Latest, 0
		for v, w := range *up.Weights {
			a.Routing.Additional, a.Routing.Weight = v, w
		}
	}
	return f.checkRouting(a.Routing)
}

// checkRouting holds the rules of weighted aliases: facts recorded on AWS in November 2025, except for the
// texts about roles and dead-letter configurations, which are in its documentation.
func (f *Function) checkRouting(r Routing) error {
	if !r.Weighted() {
		_, err := f.version(r.Version)
		return err
	}
	switch r.Version {
	case Latest:
		return &Error{Kind: KindInvalid, Reason: ReasonUntyped, Message: "$LATEST is not supported for an alias pointing to more than 1 version"}
	case r.Additional:
		return Errorf(KindInvalid, "Invalid function version %[1]s. Function version %[1]s is already included in routing configuration.", r.Version)
	}
	primary, err := f.version(r.Version)
	if err != nil {
		return err
	}
	additional, err := f.version(r.Additional)
	if err != nil {
		return err
	}
	if primary.Config.Role != additional.Config.Role {
		return Errorf(KindInvalid, "Specified versions must be associated with the same execution role")
	}
	if primary.Config.DeadLetterTarget != additional.Config.DeadLetterTarget {
		return Errorf(KindInvalid, "Specified versions must have the same dead-letter queue configuration")
	}
	return nil
}

func (f *Function) setAlias(c Change, name string, a *Alias) {
	m := Move{Function: f.Name, Alias: name, At: c.At, Actor: c.Actor, Cause: c.Cause, Reason: c.Reason, Release: c.Release}
	if old := f.Aliases[name]; old != nil {
		m.From = &old.Routing
	}
	if a == nil {
		delete(f.Aliases, name)
		f.detach(name)
	} else {
		m.To = &a.Routing
		f.Aliases[name] = a
	}
	if m.From == nil || m.To == nil || *m.From != *m.To {
		f.moves = append(f.moves, m)
	}
}

// AliasMove says where an alias goes, on whose behalf and why.
type AliasMove struct {
	Function, Alias string
	To              Routing
	// RevisionID is the revision of the alias that the decision was made on; the move is refused if it is
	// not the current one. An empty one is not checked.
	RevisionID string
	Actor      string
	Cause      Cause
	Reason     string
	Release    string
}
