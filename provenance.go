package serin

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Provenance says where a version comes from, in the words of whoever published it. Members may be empty; plain AWS
// clients say nothing, and their versions have none.
type Provenance struct {
	Commit  string `json:"commit,omitempty"` // of git, hexadecimal
	Dirty   bool   `json:"dirty,omitempty"`  // the files differed from the commit
	Author  string `json:"author,omitempty"` // of the commit
	Message string `json:"message,omitempty"`
	RunURL  string `json:"runUrl,omitempty"` // of the CI job
}

// HeaderProvenance carries [Provenance.Encode] in a request that publishes: AWS's requests have no member for it.
const HeaderProvenance = "Serin-Provenance"

const (
	maxProvenance   = 16 << 10 // bytes on the wire
	maxProvenanceOf = 2 << 10  // bytes of one member
)

// Encode returns the provenance as the value of [HeaderProvenance]. What is too long is cut, and what no terminal shows
// is left out.
func (p Provenance) Encode() string {
	for _, member := range []*string{&p.Commit, &p.Author, &p.RunURL, &p.Message} {
		text := strings.ToValidUTF8((*member)[:min(len(*member), maxProvenanceOf/2)], "")
		*member = strings.Map(func(r rune) rune {
			if r < ' ' && r != '\n' || r == 0x7f {
				return -1
			}
			return r
		}, text)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(p) // strings and a bool
	return base64.StdEncoding.EncodeToString(text.Bytes())
}

// ParseProvenance reads what [Provenance.Encode] writes.
//
// Errors: KindValidation.
func ParseProvenance(header string) (*Provenance, error) {
	if len(header) > maxProvenance {
		return nil, Errorf(KindValidation, "%s is longer than %d bytes", HeaderProvenance, maxProvenance)
	}
	text, err := base64.StdEncoding.DecodeString(header)
	var p Provenance
	if err != nil || json.Unmarshal(text, &p) != nil {
		return nil, Errorf(KindValidation, "%s is not the base64 of a JSON object with the strings commit, author, message, runUrl and the boolean dirty", HeaderProvenance)
	}
	for _, member := range []string{p.Commit, p.Author, p.Message, p.RunURL} {
		if len(member) > maxProvenanceOf || !utf8.ValidString(member) || strings.ContainsRune(member, 0) {
			return nil, Errorf(KindValidation, "%s: a member is longer than %d bytes, or is no text", HeaderProvenance, maxProvenanceOf)
		}
	}
	return &p, nil
}

type provenanceKey struct{}

// WithProvenance returns a context under which versions are published with a provenance.
func WithProvenance(ctx context.Context, p *Provenance) context.Context {
	return context.WithValue(ctx, provenanceKey{}, p)
}

// ProvenanceFrom returns the provenance of the context, nil if it has none.
func ProvenanceFrom(ctx context.Context) *Provenance {
	p, _ := ctx.Value(provenanceKey{}).(*Provenance)
	return p
}
