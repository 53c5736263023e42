package invoke

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"serin"
	"serin/internal/router"
)

// maxKeySearch is how far into a payload a routing key is looked for, in bytes. It bounds what routing costs.
const maxKeySearch = 64 << 10

// route picks the version of an invocation: the one that it is pinned to, the one of its routing key, or one by
// chance. Every invocation passes through here.
//
// Errors: KindNotFound; KindDenied and KindInvalid for a pin.
func (i *Invoker) route(in *Request, ref serin.Ref) (router.Route, error) {
	r, err := i.Table.Find(ref.Function, ref.Qualifier)
	if err != nil {
		return r, err
	}
	if pin := in.Header[serin.PinHeader]; len(pin) > 0 {
		return pinned(in, r, ref.Qualifier, pin[0])
	}
	if !r.Weighted() {
		return r, nil
	}
	if r.Key = in.routingKey(r.Function.RouteSettingsAt(ref.Qualifier).Key); r.Key == 0 {
		return r.Draw(rand.Float64())
	}
	return r.Draw(r.Function.Draw(r.Alias, r.Key))
}

// pinned is the route to the version that a request names. It is no draw, so it is not the alias's.
func pinned(in *Request, r router.Route, qualifier, version string) (router.Route, error) {
	name := r.Function.Name
	if qualifier != "" {
		name += ":" + qualifier
	}
	n, isVersion := serin.ParseVersion(version)
	switch _, qualified := serin.ParseVersion(qualifier); {
	case !isVersion:
		return r, errPin(serin.KindInvalid, "%.20q is not the number of a version.", version)
	case qualified && qualifier != version:
		return r, errPin(serin.KindInvalid, "the request is for %s, so it cannot be pinned to version %s.", name, n)
	case !r.Function.RouteSettingsAt(qualifier).Pins.Allows(in.Anonymous):
		return r, errPin(serin.KindDenied, "%s does not let this caller pin requests to a version. Its owner allows it by: serin routing --pins.", name)
	case in.Type == Event:
		return r, errPin(serin.KindInvalid, "the version of an asynchronous invocation is picked when it runs. Invoke the version itself: %s:%s.", r.Function.Name, n)
	}
	v, ok := r.Function.Version(n)
	if !ok {
		return r, errPin(serin.KindInvalid, "function %s has no version %s.", r.Function.Name, n)
	}
	return router.Route{Function: r.Function, Version: v}, nil
}

func errPin(kind serin.Kind, format string, args ...any) error {
	return &serin.Error{Kind: kind, Reason: serin.ReasonPin, Message: serin.PinHeader + ": " + fmt.Sprintf(format, args...)}
}

// routingKey returns the hash of an invocation's routing key, 0 if it has none.
func (in *Request) routingKey(k serin.RoutingKey) serin.KeyHash {
	switch {
	case in.Key != 0:
		return in.Key
	case k.Source == serin.KeyFromEvent:
		return serin.HashKey(eventValue(in.Payload, k.Name))
	default:
		return headerKey(in.Header, k)
	}
}

// headerKey returns the hash of a routing key that is in a header or a cookie, 0 for none.
func headerKey(h http.Header, k serin.RoutingKey) serin.KeyHash {
	switch k.Source {
	case serin.KeyFromHeader:
		if values := h[k.Name]; len(values) > 0 {
			return serin.HashKey(values[0])
		}
	case serin.KeyFromCookie:
		return serin.HashKey(cookie(h, k.Name))
	case serin.KeyFromEvent:
	}
	return 0
}

// cookie returns the first cookie of a name, "" for none.
func cookie(h http.Header, name string) string {
	for _, line := range h["Cookie"] {
		for part := range strings.SplitSeq(line, ";") {
			if got, value, _ := strings.Cut(strings.TrimSpace(part), "="); got == name {
				return value
			}
		}
	}
	return ""
}

// eventValue returns the string, number or truth value that a path leads to within the first [maxKeySearch] bytes of
// a JSON payload, "" for none. Of members of the same name the first counts.
func eventValue(payload []byte, path string) string {
	steps, err := serin.ParsePath(path)
	if err != nil {
		return ""
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(payload[:min(len(payload), maxKeySearch)]),
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for _, step := range steps {
		if !enter(d, step) {
			return ""
		}
	}
	switch d.PeekKind() {
	case jsontext.KindString, jsontext.KindNumber, jsontext.KindTrue, jsontext.KindFalse:
		value, err := d.ReadToken()
		if err != nil {
			return ""
		}
		return value.String()
	default:
		return ""
	}
}

// enter moves a decoder that is before an object or an array to before the value of a step.
func enter(d *jsontext.Decoder, step serin.PathStep) bool {
	begin := jsontext.KindBeginObject
	if step.Index >= 0 {
		begin = jsontext.KindBeginArray
	}
	if d.PeekKind() != begin {
		return false
	}
	if _, err := d.ReadToken(); err != nil {
		return false
	}
	for n := 0; ; n++ {
		if k := d.PeekKind(); k == jsontext.KindInvalid || k == jsontext.KindEndObject || k == jsontext.KindEndArray {
			return false
		}
		if step.Index == n {
			return true
		}
		if step.Index < 0 {
			name, err := d.ReadToken()
			if err != nil {
				return false
			}
			if name.String() == step.Name {
				return true
			}
		}
		if d.SkipValue() != nil {
			return false
		}
	}
}
