package serin

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of layers (AWS documentation, 2025).
const (
	MaxLayers   = 5         // of one function
	MaxUnzipped = 250 << 20 // bytes of code and layers together
)

// LayerVersion is a package that functions find under /opt. It never changes, but for its policy; like a
// [Version] it is replaced then.
type LayerVersion struct {
	Layer         string          `json:"layer"`
	Number        int64           `json:"number"` // from 1, never used twice for one layer
	Code          Code            `json:"code"`
	Description   string          `json:"description,omitempty"`
	License       *string         `json:"license,omitempty"`
	Runtimes      []string        `json:"runtimes,omitzero"` // nil if not said, as are Architectures
	Architectures []string        `json:"architectures,omitzero"`
	CreatedAt     time.Time       `json:"createdAt"`
	Policy        *ResourcePolicy `json:"policy,omitempty"`
}

// Suits reports whether the layer version says that it works with a runtime and an architecture. Empty ones
// suit any layer version.
func (v *LayerVersion) Suits(runtime, architecture string) bool {
	return says(v.Runtimes, runtime) && says(v.Architectures, architecture)
}

func says(list []string, wanted string) bool { return wanted == "" || slices.Contains(list, wanted) }

// LayerRef is a layer version as part of a function's configuration. It holds all that running the function
// needs, so that deleting the layer version breaks no function.
type LayerRef struct {
	ARN string `json:"arn"`
	Code
}

// CheckUnzipped refuses code that is too large together with its layers.
//
// Errors: KindInvalid.
func CheckUnzipped(code Code, layers []LayerRef) error {
	if len(layers) == 0 {
		return nil // the code alone was checked when it was uploaded
	}
	total := code.UnzippedSize
	for _, l := range layers {
		total += l.UnzippedSize
	}
	if total > MaxUnzipped {
		return Errorf(KindInvalid, "Function code combined with layers exceeds the maximum allowed size of %d bytes. The actual size is %d bytes.", MaxUnzipped, total)
	}
	return nil
}

// AddPermission returns the layer version with one more statement in its policy, and the statement as AWS
// shows it. revisionID may be empty.
//
// Errors: KindPrecondition, KindConflict for a Sid in use, KindInvalid for a principal that is none,
// KindPolicyLength.
func (v *LayerVersion) AddPermission(c Change, arn, revisionID string, s Statement) (*LayerVersion, string, error) {
	p, err := v.Policy.with(c, layerPolicy, arn, revisionID, s)
	if err != nil {
		return nil, "", err
	}
	next := *v
	next.Policy = p
	return &next, s.Document(arn), nil
}

// RemovePermission returns the layer version without a statement of its policy. revisionID may be empty.
//
// Errors: KindNotFound for a missing policy or statement, KindPrecondition.
func (v *LayerVersion) RemovePermission(c Change, sid, revisionID string) (*LayerVersion, error) {
	p, err := v.Policy.without(c, layerPolicy, sid, revisionID)
	if err != nil {
		return nil, err
	}
	next := *v
	next.Policy = p
	return &next, nil
}

// PolicyDocument returns the policy of the layer version as AWS shows it, and its RevisionID.
//
// Errors: KindNotFound.
func (v *LayerVersion) PolicyDocument(arn string) (document, revisionID string, err error) {
	if v.Policy == nil {
		return "", "", errNoPolicy()
	}
	return v.Policy.Document(arn), v.Policy.RevisionID, nil
}

// LayerARN returns the ARN of a layer.
func (p Place) LayerARN(name string) string {
	return "arn:aws:lambda:" + p.Region + ":" + p.Account + ":layer:" + name
}

// LayerVersionARN returns the ARN of a layer version.
func (p Place) LayerVersionARN(name string, n int64) string {
	return p.LayerARN(name) + ":" + strconv.FormatInt(n, 10)
}

// ParseLayer reads the name of a layer, its ARN or the ARN of one of its versions. It returns where the layer
// is, and number 0 if no version is named, -1 if its number is too large ever to have been given. The caller
// has checked the pattern already; what an ARN lacks is taken to be of this place.
func (p Place) ParseLayer(nameOrARN string) (at Place, name string, number int64) {
	parts := strings.Split(nameOrARN, ":") // arn, partition, lambda, region, account, layer, name, perhaps number
	if len(parts) < 7 {
		return p, nameOrARN, 0
	}
	if len(parts) > 7 {
		var err error
		if number, err = strconv.ParseInt(parts[7], 10, 64); err != nil {
			number = -1
		}
	}
	return Place{Region: parts[3], Account: parts[4]}, parts[6], number
}
