package awsapi

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// signed reports whether the claim's signature is that of the request with a body of the given hash.
func (a *Authenticator) signed(r *http.Request, query url.Values, c claim, payloadHash string) bool {
	canonical := sha256.Sum256(canonicalRequest(make([]byte, 0, 1024), r, query, c, payloadHash))

	toSign := make([]byte, 0, 256)
	toSign = append(toSign, algorithm+"\n"...)
	toSign = append(toSign, c.date...)
	for i, part := range [...]string{c.scope.date, c.scope.region, c.scope.service, terminator} {
		toSign = append(toSign, "\n/"[min(i, 1)])
		toSign = append(toSign, part...)
	}
	toSign = append(toSign, '\n')
	toSign = hex.AppendEncode(toSign, canonical[:])

	key, cached := a.keys.get(c)
	want := hex.AppendEncode(make([]byte, 0, 2*sha256.Size), sign(key, toSign))
	if !hmac.Equal(want, []byte(c.signature)) {
		return false
	}
	if !cached {
		a.keys.put(c, key)
	}
	return true
}

// canonicalRequest appends the text that both sides hash.
func canonicalRequest(b []byte, r *http.Request, query url.Values, c claim, payloadHash string) []byte {
	b = append(b, r.Method...)
	b = append(b, '\n')
	path := r.URL.EscapedPath()
	if c.scope.service == signingS3 {
		path = r.URL.Path // to be escaped once; every other service escapes what is escaped a second time
	}
	b = appendEscaped(b, orDefault(path, "/"), "/")
	b = append(b, '\n')
	b = appendCanonicalQuery(b, query, c.presigned)
	b = append(b, '\n')
	for name := range strings.SplitSeq(c.signedHeaders, ";") {
		b = append(b, name...)
		b = append(b, ':')
		b = appendHeader(b, r, name)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(b, c.signedHeaders...)
	b = append(b, '\n')
	return append(b, payloadHash...)
}

// appendCanonicalQuery appends the parameters in order, each escaped, without a presigned URL's signature.
func appendCanonicalQuery(b []byte, query url.Values, presigned bool) []byte {
	if len(query) == 0 {
		return b
	}
	type parameter struct{ name, value string }
	parameters := make([]parameter, 0, len(query))
	for name, values := range query {
		if presigned && name == "X-Amz-Signature" {
			continue
		}
		escaped := string(appendEscaped(nil, name, ""))
		for _, value := range values {
			parameters = append(parameters, parameter{escaped, string(appendEscaped(nil, value, ""))})
		}
	}
	// The order is that of the escaped text.
	slices.SortFunc(parameters, func(p, q parameter) int {
		return cmp.Or(strings.Compare(p.name, q.name), strings.Compare(p.value, q.value))
	})
	for i, p := range parameters {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p.name...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	return b
}

// appendHeader appends the value of a signed header as its client saw it. net/http takes some headers
// out of the map that handlers get.
func appendHeader(b []byte, r *http.Request, name string) []byte {
	values := r.Header[textproto.CanonicalMIMEHeaderKey(name)]
	if values == nil {
		switch name {
		case "host":
			return appendTrimmed(b, r.Host)
		case "content-length":
			return strconv.AppendInt(b, r.ContentLength, 10)
		case "transfer-encoding":
			values = r.TransferEncoding
		default:
		}
	}
	for i, value := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, value)
	}
	return b
}

// appendTrimmed appends a header's value without outer blanks and with inner runs of them as one.
func appendTrimmed(b []byte, value string) []byte {
	value = strings.TrimSpace(value)
	for i := range len(value) {
		if value[i] != ' ' || value[i-1] != ' ' {
			b = append(b, value[i])
		}
	}
	return b
}

// appendEscaped appends s with every byte percent-encoded that is neither unreserved (RFC 3986) nor in keep.
func appendEscaped(b []byte, s, keep string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '_', c == '.', c == '~', strings.IndexByte(keep, c) >= 0:
			b = append(b, c)
		default:
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

// sign returns the HMAC-SHA256 of data under key.
func sign(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	// A hash takes every write.
	_, _ = h.Write(data)
	return h.Sum(nil)
}

// signingKeys remembers derived keys: four hashes less per request. Only a key that has verified a
// signature is remembered, so that strangers cannot fill it.
type signingKeys struct {
	mu   sync.RWMutex
	keys map[keyScope]derivedKey
}

// maxSigningKeys bounds the derived keys that are remembered: each access key has one per day and service.
const maxSigningKeys = 1024

type keyScope struct {
	accessKeyID string
	scope       scope
}

type derivedKey struct {
	secret string // what it was derived from, since the secret of an access key may change
	key    []byte
}

// get returns the signing key of a claim and whether it was remembered.
func (k *signingKeys) get(c claim) (key []byte, cached bool) {
	k.mu.RLock()
	derived, ok := k.keys[keyScope{c.accessKeyID, c.scope}]
	k.mu.RUnlock()
	if ok && derived.secret == c.secret {
		return derived.key, true
	}
	key = sign([]byte("AWS4"+c.secret), []byte(c.scope.date))
	for _, part := range [...]string{c.scope.region, c.scope.service, terminator} {
		key = sign(key, []byte(part))
	}
	return key, false
}

// put remembers the signing key of a claim.
func (k *signingKeys) put(c claim, key []byte) {
	// The parts of a claim are slices of a whole header, which must not live as long as the key.
	id := keyScope{strings.Clone(c.accessKeyID), scope{strings.Clone(c.scope.date), strings.Clone(c.scope.region), strings.Clone(c.scope.service)}}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil || len(k.keys) >= maxSigningKeys {
		k.keys = map[keyScope]derivedKey{}
	}
	k.keys[id] = derivedKey{secret: c.secret, key: key}
}
