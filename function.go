package serin

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// ReasonUntyped marks the few errors whose body carries no Type member on AWS.
const ReasonUntyped = "untyped"

// beingCreated is the StateReason of what is Pending, as AWS words it.
const beingCreated = "The function is being created."

// Change says who changes a function, when and why. Every rule stamps what it writes with it.
type Change struct {
	At          time.Time
	Actor       string
	Cause       Cause
	Reason      string
	Release     string
	NewRevision func() string // returns a fresh UUID
	Provenance  *Provenance   // of what it publishes, nil if nobody said
}

// Function is a function with its versions and aliases: the unit of consistency. Its methods are the
// rules; they change the receiver only if they return no error. A Function that others can see is never
// changed: changes are made to a [Function.Clone].
type Function struct {
	Name      string            `json:"name"`
	ARN       string            `json:"arn"` // unqualified
	CreatedAt time.Time         `json:"createdAt"`
	Latest    *Version          `json:"latest"`
	Tags      map[string]string `json:"tags,omitempty"`
	// LastPublished is the highest version number ever given under this name, also before the function
	// was deleted and created again: a number is never used twice.
	LastPublished VersionNumber `json:"lastPublished"`
	// Changed says that $LATEST was updated since the last publish.
	Changed bool `json:"changed"`
	// Reserved is the concurrency that is set aside for all versions of the function together, and the most
	// that they get; nil for none. 0 stops the function.
	Reserved *int `json:"reservedConcurrency,omitempty"`
	// RecursiveLoop says what to do with a function that calls itself, "" for the default.
	RecursiveLoop string `json:"recursiveLoop,omitempty"`
	// Attached is what belongs to single qualifiers: see [Function.At]. Its values are replaced, never changed.
	Attached map[string]*Attachments `json:"attached,omitempty"`

	Versions []*Version        `json:"-"` // published ones, ascending
	Aliases  map[string]*Alias `json:"-"`

	moves []Move
}

// NewFunction returns a function in state Pending. lastPublished is the highest number ever given under
// the name, 0 for a new name.
func NewFunction(c Change, place Place, name string, cfg Configuration, code Code, tags map[string]string, lastPublished VersionNumber) *Function {
	return &Function{
		Name: name, ARN: place.FunctionARN(name, ""), CreatedAt: c.At, Tags: tags,
		LastPublished: lastPublished, Changed: true, Aliases: map[string]*Alias{},
		Latest: &Version{
			Number: Latest, Code: code, Config: cfg, RevisionID: c.NewRevision(), LastModified: c.At,
			State: StatePending, StateReason: beingCreated,
		},
	}
}

// Clone returns a copy that can be changed without touching the original. Versions and aliases are shared:
// they are replaced, never changed.
func (f *Function) Clone() *Function {
	c := *f
	c.Versions = slices.Clone(f.Versions)
	c.Aliases = maps.Clone(f.Aliases)
	c.Tags = maps.Clone(f.Tags)
	c.Attached = maps.Clone(f.Attached)
	c.moves = nil
	return &c
}

// Moves returns what the rules have changed about aliases since the function was cloned, oldest first. The
// store writes them into the alias history in the transaction that saves the function.
func (f *Function) Moves() []Move { return f.moves }

// QualifiedARN returns the function's ARN with a qualifier.
func (f *Function) QualifiedARN(qualifier string) string { return f.ARN + ":" + qualifier }

// Version returns a version of the function, or false.
func (f *Function) Version(n VersionNumber) (*Version, bool) {
	if n == Latest {
		return f.Latest, true
	}
	i, ok := slices.BinarySearchFunc(f.Versions, n, func(v *Version, n VersionNumber) int { return int(v.Number - n) })
	if !ok {
		return nil, false
	}
	return f.Versions[i], true
}

func (f *Function) version(n VersionNumber) (*Version, error) {
	v, ok := f.Version(n)
	if !ok {
		return nil, f.notFound(n.String())
	}
	return v, nil
}

func (f *Function) notFound(qualifier string) error {
	return Errorf(KindNotFound, "Function not found: %s", f.QualifiedARN(qualifier))
}

// Resolve returns the version that a qualifier names: "" and "$LATEST", a number, or an alias, for which
// it returns the primary version and the alias.
//
// Errors: KindNotFound.
func (f *Function) Resolve(qualifier string) (*Version, *Alias, error) {
	if qualifier == "" {
		return f.Latest, nil, nil
	}
	if n, ok := ParseVersion(qualifier); ok {
		v, err := f.version(n)
		return v, nil, err
	}
	a := f.Aliases[qualifier]
	if a == nil {
		return nil, nil, f.notFound(qualifier)
	}
	v, err := f.version(a.Routing.Version)
	return v, a, err
}

// UpdateCode replaces the code of $LATEST, which stays Active with its update in progress until
// [Function.Settle]. revisionID may be empty.
//
// Errors: KindPrecondition, KindInvalid for code that is too large beside the layers.
func (f *Function) UpdateCode(c Change, code Code, architecture, revisionID string) error {
	if err := f.checkRevision(revisionID); err != nil {
		return err
	}
	if err := CheckUnzipped(code, f.Latest.Config.Layers); err != nil {
		return err
	}
	f.updateLatest(c, func(v *Version) {
		v.Code = code
		if architecture != "" {
			v.Config.Architecture = architecture
		}
	})
	return nil
}

// UpdateConfiguration replaces the configuration of $LATEST by what change makes of a copy of it.
// revisionID may be empty.
//
// Errors: KindPrecondition, KindInvalid for layers that are too large beside the code.
func (f *Function) UpdateConfiguration(c Change, change func(*Configuration), revisionID string) error {
	if err := f.checkRevision(revisionID); err != nil {
		return err
	}
	cfg := f.Latest.Config
	change(&cfg)
	if err := CheckUnzipped(f.Latest.Code, cfg.Layers); err != nil {
		return err
	}
	f.updateLatest(c, func(v *Version) { v.Config = cfg })
	return nil
}

func (f *Function) updateLatest(c Change, change func(*Version)) {
	f.Changed = true
	f.Latest = f.Latest.with(func(v *Version) {
		change(v)
		v.RevisionID, v.LastModified = c.NewRevision(), c.At
		v.State, v.StateReason = StateActive, ""
		v.UpdateStatus = UpdateInProgress
	})
}

// Settle ends the transition of $LATEST and of versions that are Pending. failure is empty, or says why
// the code cannot run. Like on AWS the silent transition gives $LATEST a new RevisionID.
func (f *Function) Settle(c Change, failure string) {
	state := StateActive
	if failure != "" {
		state = StateFailed
	}
	settle := func(v *Version) {
		v.RevisionID = c.NewRevision()
		v.State, v.StateReason, v.UpdateStatus = state, failure, UpdateSuccessful
	}
	f.Latest = f.Latest.with(settle)
	for i, v := range f.Versions {
		if v.State == StatePending {
			f.Versions[i] = v.with(settle)
		}
	}
}

// Publication is a request to publish $LATEST. Empty members are not checked or not changed.
type Publication struct {
	Description *string
	CodeSHA256  string
	RevisionID  string
}

// PublishVersion freezes $LATEST as a new version, or returns the newest one if $LATEST has not been
// updated since it was published. Whether it "has been updated" is decided as AWS does (recorded): by
// whether an update was called, not by comparing content.
//
// Errors: KindPrecondition for another RevisionID, KindInvalid for another CodeSHA256, KindConflict while
// $LATEST is changing.
func (f *Function) PublishVersion(c Change, p Publication) (*Version, error) {
	if err := f.checkRevision(p.RevisionID); err != nil {
		return nil, err
	}
	if p.CodeSHA256 != "" && p.CodeSHA256 != f.Latest.Code.SHA256 {
		return nil, Errorf(KindInvalid, "CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.",
			p.CodeSHA256, f.Latest.Code.SHA256)
	}
	if f.Latest.State == StateFailed {
		return nil, Errorf(KindConflict, "The operation cannot be performed at this time. The function is currently in the following state: Failed. %s", f.Latest.StateReason)
	}
	if newest, ok := f.Version(f.LastPublished); ok && !f.Changed && f.LastPublished != Latest {
		return newest, nil
	}
	f.LastPublished++
	v := f.Latest.with(func(v *Version) {
		v.Number, v.RevisionID = f.LastPublished, c.NewRevision()
		v.PublishedBy, v.PublishedAt, v.Provenance = c.Actor, c.At, c.Provenance
		if p.Description != nil && *p.Description != "" {
			v.Config.Description = *p.Description
		}
		if v.UpdateStatus == UpdateInProgress { // it becomes active with the update that it is part of
			v.State, v.StateReason, v.UpdateStatus = StatePending, beingCreated, ""
		}
	})
	f.Versions = append(f.Versions, v)
	f.Changed = false
	f.Latest = f.Latest.with(func(v *Version) { v.RevisionID = c.NewRevision() })
	return v, nil
}

// DeleteVersion removes a published version. Removing one that does not exist is no error, as on AWS.
//
// Errors: KindInvalid for $LATEST, KindConflict while an alias routes to the version, also as the additional
// one.
func (f *Function) DeleteVersion(n VersionNumber) error {
	if n == Latest {
		return Errorf(KindInvalid, "$LATEST version cannot be deleted without deleting the function.")
	}
	var users []string
	for name, a := range f.Aliases {
		if a.Routing.Names(n) {
			users = append(users, name)
		}
	}
	if len(users) > 0 {
		slices.Sort(users)
		return Errorf(KindConflict, "Unable to delete version because the following aliases reference it: [%s]", strings.Join(users, ", "))
	}
	f.Versions = slices.DeleteFunc(f.Versions, func(v *Version) bool { return v.Number == n })
	f.detach(n.String())
	return nil
}

// MaxTags is how many tags a function may have.
const MaxTags = 50

// Tag adds tags or replaces their values.
//
// Errors: KindInvalid for more than [MaxTags].
func (f *Function) Tag(tags map[string]string) error {
	all := maps.Clone(f.Tags)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, tags)
	if len(all) > MaxTags {
		return Errorf(KindInvalid, "Number of tags exceeds resource tag limit.")
	}
	f.Tags = all
	return nil
}

// Untag removes tags; missing ones are no error.
func (f *Function) Untag(keys []string) {
	for _, k := range keys {
		delete(f.Tags, k)
	}
}

func (f *Function) checkRevision(id string) error {
	if id != "" && id != f.Latest.RevisionID {
		return errRevision()
	}
	return nil
}

func errRevision() error {
	return Errorf(KindPrecondition, "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
}
