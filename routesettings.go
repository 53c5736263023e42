package serin

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
)

// RouteSettings say how the version of an invocation is picked, beyond the weights of its alias. AWS has no such
// thing; they belong to an alias or to the function itself, like [Attachments], and are replaced, never changed.
type RouteSettings struct {
	Key  RoutingKey `json:"key,omitzero"`
	Pins PinPolicy  `json:"pins,omitempty"` // "" stands for PinsSigned
}

// RouteSettingsUpdate is a change of route settings; nil members keep what is there.
type RouteSettingsUpdate struct {
	Key  *RoutingKey
	Pins *PinPolicy
}

// PinPolicy says whose requests may name the version that answers them, in a header: see [PinHeader].
type PinPolicy string

// Pin policies.
const (
	PinsOff    PinPolicy = "off"
	PinsSigned PinPolicy = "signed" // whoever signs requests may
	PinsAnyone PinPolicy = "anyone" // also those who call a function URL without a signature
)

// PinHeader is the header of a request that names the version which is to answer it, whatever the weights say. Such a
// request is no evidence for or against a version.
const PinHeader = "X-Serin-Version"

// ReasonPin is the reason of the errors about that header.
const ReasonPin = "pin"

// ParsePinPolicy reads a [PinPolicy].
//
// Errors: KindInvalid.
func ParsePinPolicy(text string) (PinPolicy, error) {
	switch p := PinPolicy(text); p {
	case PinsOff, PinsSigned, PinsAnyone:
		return p, nil
	default:
		return "", Errorf(KindInvalid, "%.100q does not say who may pin requests to a version: want %s, %s or %s", text, PinsOff, PinsSigned, PinsAnyone)
	}
}

// Allows reports whether a caller may pin a request.
func (p PinPolicy) Allows(anonymous bool) bool {
	return p == PinsAnyone || !anonymous && p != PinsOff
}

// KeySource says where a routing key is found.
type KeySource string

// Sources of routing keys.
const (
	KeyFromHeader KeySource = "header" // of the HTTP request that invokes the function
	KeyFromCookie KeySource = "cookie" // of that request
	KeyFromEvent  KeySource = "event"  // a path within the JSON payload: see [ParsePath]
)

// RoutingKey says what of an invocation keeps invocations together: those with the same value run the same version
// for as long as an alias routes to the same two versions with growing weight. The zero value is none: every
// invocation is a draw of its own.
//
// Its text is SOURCE:NAME, like header:X-User-Id, cookie:session or event:detail.user.id.
type RoutingKey struct {
	Source KeySource
	Name   string
}

// maxKeyName bounds the name of a header or a cookie and a path, in bytes.
const maxKeyName = 256

// noKey is the text of the zero RoutingKey.
const noKey = "none"

// ParseRoutingKey reads the text of a routing key, "none" or "" for none.
//
// Errors: KindInvalid.
func ParseRoutingKey(text string) (RoutingKey, error) {
	if text == "" || text == noKey {
		return RoutingKey{}, nil
	}
	source, name, _ := strings.Cut(text, ":")
	k := RoutingKey{Source: KeySource(source), Name: name}
	if len(name) > maxKeyName {
		return RoutingKey{}, Errorf(KindInvalid, "The routing key is longer than %d bytes", maxKeyName)
	}
	switch k.Source {
	case KeyFromHeader, KeyFromCookie:
		if !isToken(name) {
			return RoutingKey{}, Errorf(KindInvalid, "%.100q is no name of a %s", name, source)
		}
		if k.Source == KeyFromHeader {
			k.Name = textproto.CanonicalMIMEHeaderKey(name)
		}
	case KeyFromEvent:
		if _, err := ParsePath(name); err != nil {
			return RoutingKey{}, err
		}
	default:
		return RoutingKey{}, Errorf(KindInvalid,
			"%.100q is no routing key: want header:NAME, cookie:NAME, event:PATH (like event:detail.user.id), or none", text)
	}
	return k, nil
}

// isToken reports whether s is a token of RFC 9110, 5.6.2, as names of headers and cookies are.
func isToken(s string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte(marks, c) < 0 {
			return false
		}
	}
	return s != ""
}

// String returns the text that [ParseRoutingKey] reads.
func (k RoutingKey) String() string {
	if k == (RoutingKey{}) {
		return noKey
	}
	return string(k.Source) + ":" + k.Name
}

// MarshalText returns the text of the key.
func (k RoutingKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (k *RoutingKey) UnmarshalText(text []byte) (err error) {
	*k, err = ParseRoutingKey(string(text))
	return err
}

// PathStep is one step into a JSON document: to the member Name of an object, or to element Index of an array.
type PathStep struct {
	Name  string
	Index int // -1 for a step to a member
}

const (
	maxPathSteps = 16
	maxPathIndex = 9999
)

// ParsePath reads a path into a JSON document, a small part of JSONPath: names joined by dots, [N] for element N of
// an array, ["NAME"] for names with dots or brackets in them, and a $ in front if you like:
// detail.user.id, Records[0].userId, $.headers["x.user"]. There are no escapes, wildcards or filters: a path leads to
// one value.
//
// Errors: KindInvalid.
func ParsePath(text string) ([]PathStep, error) {
	bad := func(why string) ([]PathStep, error) {
		return nil, Errorf(KindInvalid, "%.100q is no path into an event: %s; want one like detail.user.id or Records[0].userId", text, why)
	}
	if len(text) > maxKeyName {
		return bad(fmt.Sprintf("it is longer than %d bytes", maxKeyName))
	}
	rest, rooted := strings.CutPrefix(text, "$")
	if !rooted && !strings.HasPrefix(rest, "[") {
		rest = "." + rest
	}
	var steps []PathStep
	for rest != "" {
		step, after, why := cutStep(rest)
		if why != "" {
			return bad(why)
		}
		steps, rest = append(steps, step), after
	}
	switch {
	case len(steps) == 0:
		return bad("it leads nowhere")
	case len(steps) > maxPathSteps:
		return bad(fmt.Sprintf("it has more than %d steps", maxPathSteps))
	}
	return steps, nil
}

// cutStep cuts the first step off a path. why says what is wrong with it, "" for nothing.
func cutStep(path string) (step PathStep, rest, why string) {
	if name, ok := strings.CutPrefix(path, "."); ok {
		end := strings.IndexAny(name, ".[")
		if end < 0 {
			end = len(name)
		}
		if end == 0 || strings.ContainsAny(name[:end], "]\"$*") {
			return step, "", "a name is missing, or needs [\"…\"]"
		}
		return PathStep{Name: name[:end], Index: -1}, name[end:], ""
	}
	if name, ok := strings.CutPrefix(path, `["`); ok {
		name, rest, ok = strings.Cut(name, `"]`)
		if !ok || name == "" || strings.ContainsAny(name, `"\`) {
			return step, "", `["NAME"] is not complete`
		}
		return PathStep{Name: name, Index: -1}, rest, ""
	}
	digits, rest, ok := strings.Cut(strings.TrimPrefix(path, "["), "]")
	index, err := strconv.Atoi(digits)
	if !ok || path[0] != '[' || err != nil || index < 0 || index > maxPathIndex || strconv.Itoa(index) != digits {
		return step, "", fmt.Sprintf("want [N] with N from 0 to %d", maxPathIndex)
	}
	return PathStep{Index: index}, rest, ""
}

// KeyHash stands for the value of a routing key: it tells values apart and does not show them. 0 is none.
type KeyHash uint64

// HashKey returns the hash of a value, 0 for "". It is the same on every server and for ever, for it is kept with
// events that wait. It does not allocate for values of up to 512 bytes.
func HashKey(value string) KeyHash {
	if value == "" {
		return 0
	}
	var space [512]byte
	sum := sha256.Sum256(append(space[:0], value...))
	return KeyHash(max(1, binary.BigEndian.Uint64(sum[:])))
}

// Draw returns the number in [0, 1) that decides for a key between the versions of a weighted alias: the additional
// version gets the draws below its weight.
//
// The draw depends on the key, the alias and the two versions, and on nothing else. So while a release moves an alias
// from one version to another, a key's draw stays the same, and the keys below a weight are among the keys below every
// larger one: whoever was on the canary stays there as its weight grows, comes back to it after it has shrunk and
// grown again, and nobody ever changes sides without a change of the weight. The pair of versions is the salt of the
// release: the next release draws anew, so it is not always the same people who get what is new first. It is the
// first 53 bits of a SHA-256, hence uniform and independent between keys, aliases and releases.
func (f *Function) Draw(a *Alias, key KeyHash) float64 {
	var space [512]byte
	b := binary.BigEndian.AppendUint64(space[:0], uint64(key))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Routing.Version))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Routing.Additional))
	b = append(append(append(b, f.ARN...), ':'), a.Name...)
	sum := sha256.Sum256(b)
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}

// UpdateRouteSettings changes how the version of invocations of an alias, or of the function itself, is picked, and
// returns the settings.
//
// Errors: KindNotFound for a missing alias, KindInvalid for a version, and for a routing key of what is one version.
func (f *Function) UpdateRouteSettings(c Change, qualifier string, up RouteSettingsUpdate) (RouteSettings, error) {
	qualifier = attachedTo(qualifier)
	alias := f.Aliases[qualifier]
	if _, isVersion := ParseVersion(qualifier); alias == nil && isVersion && qualifier != latestName {
		return RouteSettings{}, Errorf(KindInvalid, "Version %s is routed to, and does not route: name an alias", qualifier)
	}
	if err := f.checkQualifier(qualifier); err != nil {
		return RouteSettings{}, err
	}
	old := f.RouteSettingsAt(qualifier)
	s := old
	if up.Key != nil {
		s.Key = *up.Key
	}
	if up.Pins != nil {
		s.Pins = *up.Pins
	}
	if alias == nil && s.Key != (RoutingKey{}) {
		return RouteSettings{}, Errorf(KindInvalid, "%s is one version, so there is nothing that a routing key could pick: name an alias", latestName)
	}
	if s == old {
		return s, nil
	}
	f.attach(qualifier, func(a *Attachments) {
		a.Route = &s
		if s == (RouteSettings{}) {
			a.Route = nil
		}
	})
	at := &Routing{Version: Latest}
	if alias != nil {
		at = &alias.Routing
	}
	f.moves = append(f.moves, Move{
		Function: f.Name, Alias: qualifier, At: c.At, Actor: c.Actor, Cause: CauseSettings, Reason: c.Reason,
		From: at, To: at, Settings: &s,
	})
	return s, nil
}

// RouteSettingsAt returns the settings of an alias, or of the function itself for "" and "$LATEST".
func (f *Function) RouteSettingsAt(qualifier string) RouteSettings {
	if len(f.Attached) > 0 {
		if a := f.Attached[attachedTo(qualifier)]; a != nil && a.Route != nil {
			return *a.Route
		}
	}
	return RouteSettings{}
}
