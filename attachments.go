package serin

import (
	"cmp"
	"slices"
	"strings"
)

// Attachments is what belongs to one qualifier of a function: to the function itself, to a version or to an
// alias. Unlike a [Configuration] it is not frozen by publishing, and a new version begins without. It goes
// with the version or alias that it belongs to. Like a [Version] it is replaced, never changed, and so is what
// it points to.
type Attachments struct {
	Policy            *ResourcePolicy    `json:"policy,omitempty"`
	EventInvoke       *EventInvoke       `json:"eventInvoke,omitempty"`
	URL               *FunctionURL       `json:"url,omitempty"`
	Provisioned       *Provisioned       `json:"provisioned,omitempty"`
	RuntimeManagement *RuntimeManagement `json:"runtimeManagement,omitempty"`
	Route             *RouteSettings     `json:"route,omitempty"`
}

// At returns what belongs to a qualifier: "" and "$LATEST" for the function itself, a number, or the name of an
// alias. All of it is nil for a qualifier that has nothing or does not exist. There is no inheritance: an alias
// has neither the function's attachments nor those of the version that it routes to.
func (f *Function) At(qualifier string) Attachments {
	if a := f.Attached[attachedTo(qualifier)]; a != nil {
		return *a
	}
	return Attachments{}
}

// attachedTo is the key of a qualifier in [Function.Attached].
func attachedTo(qualifier string) string {
	if qualifier == "" {
		return latestName
	}
	return qualifier
}

// AttachedTo returns the qualifiers whose attachments are wanted, in the order of [CompareQualifiers].
func (f *Function) AttachedTo(wanted func(Attachments) bool) []string {
	var all []string
	for q, a := range f.Attached {
		if wanted(*a) {
			all = append(all, q)
		}
	}
	slices.SortFunc(all, CompareQualifiers)
	return all
}

// attach replaces the attachments of a qualifier by what change makes of a copy of them.
func (f *Function) attach(qualifier string, change func(*Attachments)) {
	a := f.At(qualifier)
	change(&a)
	if a == (Attachments{}) {
		f.detach(attachedTo(qualifier))
		return
	}
	if f.Attached == nil {
		f.Attached = map[string]*Attachments{}
	}
	f.Attached[attachedTo(qualifier)] = &a
}

// detach removes what belongs to a qualifier.
func (f *Function) detach(qualifier string) { delete(f.Attached, qualifier) }

// CompareQualifiers orders "$LATEST" first, then versions by number, then aliases by name.
func CompareQualifiers(a, b string) int {
	x, isVersion := ParseVersion(a)
	y, alsoVersion := ParseVersion(b)
	switch {
	case isVersion && alsoVersion:
		return cmp.Compare(x, y)
	case isVersion:
		return -1
	case alsoVersion:
		return 1
	default:
		return strings.Compare(a, b)
	}
}

// checkQualifier returns nil if the qualifier is empty or names a version or an alias, and else the error of
// [NoSuchQualifier].
func (f *Function) checkQualifier(qualifier string) error {
	if _, _, err := f.Resolve(qualifier); err != nil {
		return NoSuchQualifier(f.ARN, qualifier)
	}
	return nil
}

// ErrNoResource is the error for something that belongs to a qualifier or a layer and does not exist.
func ErrNoResource() error {
	return Errorf(KindNotFound, "The resource you requested does not exist.")
}

// NoSuchQualifier is the error for a qualifier that names nothing, in the words of the operations on policies
// and on provisioned concurrency, which tell aliases from everything else (recorded on AWS, November 2023).
func NoSuchQualifier(functionARN, qualifier string) error {
	qualifier = attachedTo(qualifier)
	digits := strings.Trim(qualifier, "0123456789") == ""
	if digits || strings.Contains(qualifier, "$") {
		return Errorf(KindNotFound, "Function not found: %s:%s", functionARN, qualifier)
	}
	return Errorf(KindNotFound, "Cannot find alias arn: %s:%s", functionARN, qualifier)
}
