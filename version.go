package serin

import "time"

// State says whether a version can be invoked.
type State string

// States of a version, as AWS names them.
const (
	StatePending State = "Pending"
	StateActive  State = "Active"
	StateFailed  State = "Failed"
)

// UpdateStatus says how the last update of $LATEST went.
type UpdateStatus string

// Update states, as AWS names them. A version fresh from CreateFunction has none.
const (
	UpdateInProgress UpdateStatus = "InProgress"
	UpdateSuccessful UpdateStatus = "Successful"
)

// Code identifies a code package.
type Code struct {
	// SHA256 is the base64 of the digest of the zip file, the CodeSha256 of AWS.
	SHA256 string `json:"sha256"`
	// Size is the size of the zip file in bytes.
	Size int64 `json:"size"`
	// UnzippedSize is the size of the files in it, in bytes.
	UnzippedSize int64 `json:"unzippedSize,omitempty"`
}

// Configuration is what publishing freezes beside the code. A nil map or slice was never set; an empty
// one was set to nothing, and AWS shows the difference.
type Configuration struct {
	Description      string            `json:"description,omitempty"`
	Runtime          string            `json:"runtime"`
	Handler          string            `json:"handler,omitempty"`
	Role             string            `json:"role"`
	MemorySize       int               `json:"memorySize"`       // MB
	Timeout          int               `json:"timeout"`          // seconds
	EphemeralStorage int               `json:"ephemeralStorage"` // MB
	Environment      map[string]string `json:"environment,omitzero"`
	Architecture     string            `json:"architecture"`
	DeadLetterTarget string            `json:"deadLetterTarget,omitempty"`
	KMSKeyARN        string            `json:"kmsKeyArn,omitempty"`
	TracingMode      string            `json:"tracingMode"`
	SnapStart        string            `json:"snapStart"`
	Logging          Logging           `json:"logging"`
	VPC              *VPC              `json:"vpc,omitempty"`
	Layers           []LayerRef        `json:"layers,omitempty"` // in the order in which they are laid over each other
}

// Logging is where and how a function's log lines go.
type Logging struct {
	Format           string `json:"format"` // Text or JSON
	Group            string `json:"group"`
	ApplicationLevel string `json:"applicationLevel,omitempty"`
	SystemLevel      string `json:"systemLevel,omitempty"`
}

// VPC is the network configuration of a function. Serin keeps and returns it; the network that a
// function sees is the server's.
type VPC struct {
	SubnetIDs        []string `json:"subnetIds,omitempty"`
	SecurityGroupIDs []string `json:"securityGroupIds,omitempty"`
	IPv6             bool     `json:"ipv6,omitempty"`
}

// Version is one version of a function: $LATEST or a published one. Versions are values shared between
// goroutines: nobody changes one after it has become part of a [Function]; a change makes a new one.
type Version struct {
	Number       VersionNumber `json:"number"`
	Code         Code          `json:"code"`
	Config       Configuration `json:"config"`
	RevisionID   string        `json:"revisionId"`
	LastModified time.Time     `json:"lastModified"`
	State        State         `json:"state"`
	StateReason  string        `json:"stateReason,omitempty"`
	UpdateStatus UpdateStatus  `json:"updateStatus,omitempty"`
	// PublishedBy, PublishedAt and Provenance say who published the version and from what. $LATEST has none.
	PublishedBy string      `json:"publishedBy,omitempty"`
	PublishedAt time.Time   `json:"publishedAt,omitzero"`
	Provenance  *Provenance `json:"provenance,omitempty"`
}

// with returns a changed copy.
func (v *Version) with(change func(*Version)) *Version {
	c := *v
	change(&c)
	return &c
}
