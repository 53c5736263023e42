package recording

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// redacted takes the place of what is not kept.
const redacted = "[redacted]"

// Redact returns a JSON document in which the values at paths, and with secrets those of members whose names say that
// they are secret, are replaced by "[redacted]". Everything else stays as it is, in its order.
//
// Errors: a document that is not JSON.
func Redact(document []byte, paths []Path, secrets bool) ([]byte, error) {
	var out bytes.Buffer
	lax := []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	r := redactor{in: jsontext.NewDecoder(bytes.NewReader(document), lax...), out: jsontext.NewEncoder(&out, lax...), paths: paths, secrets: secrets}
	if err := r.value(nil); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

type redactor struct {
	in      *jsontext.Decoder
	out     *jsontext.Encoder
	paths   []Path
	secrets bool
}

// value copies the value at a place.
func (r *redactor) value(place []string) error {
	if len(place) > 0 && (anyMatches(r.paths, place) || r.secrets && secretMember(place[len(place)-1])) {
		if err := r.in.SkipValue(); err != nil {
			return err
		}
		return r.out.WriteToken(jsontext.String(redacted))
	}
	begin := r.in.PeekKind()
	if begin != jsontext.KindBeginObject && begin != jsontext.KindBeginArray {
		v, err := r.in.ReadValue()
		if err != nil {
			return err
		}
		if r.secrets && bytes.Contains(v, []byte("-----BEGIN ")) {
			return r.out.WriteToken(jsontext.String(redacted))
		}
		return r.out.WriteValue(v)
	}
	if err := r.copyToken(); err != nil {
		return err
	}
	for n := 0; r.in.PeekKind() != jsontext.KindEndObject && r.in.PeekKind() != jsontext.KindEndArray; n++ {
		step := strconv.Itoa(n)
		if begin == jsontext.KindBeginObject {
			name, err := r.in.ReadToken()
			if err != nil {
				return err
			}
			step = name.String()
			if err := r.out.WriteToken(jsontext.String(step)); err != nil {
				return err
			}
		}
		if err := r.value(append(slices.Clip(place), step)); err != nil {
			return err
		}
	}
	return r.copyToken()
}

func (r *redactor) copyToken() error {
	t, err := r.in.ReadToken()
	if err != nil {
		return err
	}
	return r.out.WriteToken(t)
}

// secretMember reports whether the name of a member of an event says that its value is secret. Unlike names of
// environment variables, key alone says nothing: it names objects in S3 and rows in tables.
func secretMember(name string) bool {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r == '_' || r == '-' || r == '.' || r == ' ':
			return -1
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return r
	}, name)
	for _, part := range []string{
		"secret", "password", "passwd", "passphrase", "token", "credential", "privatekey", "apikey", "accesskey", "authorization", "cookie", "bearer",
	} {
		if strings.Contains(plain, part) {
			return true
		}
	}
	return false
}
