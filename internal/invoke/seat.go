package invoke

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"serin"
	"serin/internal/metrics"
	"serin/internal/router"
)

// seat is the place of one invocation among those of an alias that a release watches. The zero value is that of every
// other invocation, and costs nothing.
type seat struct {
	tap     *metrics.Tap
	taken   bool // the invocation runs the canary
	undrawn bool // it would have been free to, but the canary has enough in flight
}

// seat finds the place of an invocation. While the canary has as much in flight as it may have, the route becomes one to
// the baseline, whatever was drawn.
func (i *Invoker) seat(route *router.Route) seat {
	if route.Alias == nil || !route.Alias.Routing.Weighted() {
		return seat{}
	}
	s := seat{tap: i.Recorder.Tap(route.Function.Name, route.Alias.Name)}
	if s.tap == nil || route.Key != 0 { // a key stays with its version
		return s
	}
	routing := route.Alias.Routing
	canary := route.Version.Number == routing.Additional
	if s.tap.Enter() {
		if s.taken = canary; !canary {
			s.tap.Leave()
		}
		return s
	}
	if baseline, ok := route.Function.Version(routing.Version); ok {
		route.Version, s.undrawn = baseline, true
	}
	return s
}

func (s *seat) leave() {
	if s.taken {
		s.tap.Leave()
	}
}

// judge adds to the sample what the release wants to know of how the invocation ended.
func (s *seat) judge(sample *metrics.Sample, answer []byte, header http.Header, proxied bool) {
	if s.tap == nil {
		return
	}
	sample.Undrawn, sample.Synthetic = s.undrawn, len(header[serin.SyntheticHeader]) > 0
	sample.HTTP = proxied || bytes.Contains(answer, []byte(`"statusCode"`))
	if sample.Outcome.Failed() {
		sample.Failure = failure(sample.Outcome, answer)
	}
	if s.taken {
		s.tap.Judged(sample.Outcome.Failed())
	}
}

const (
	maxFailure     = 160      // bytes of how an error presents itself
	maxFailureRead = 64 << 10 // bytes of an answer that are looked at for it
)

// failure is how an error presents itself, such as KeyError 'tenant': without what differs from request to request, so
// that the same errors are counted together.
func failure(o serin.Outcome, answer []byte) string {
	if o == serin.OutcomeServerError {
		if code := statusCode(answer); code != 0 {
			return "HTTP " + strconv.Itoa(code)
		}
		return "no HTTP response"
	}
	var body struct{ ErrorType, ErrorMessage string }
	if len(answer) > maxFailureRead || json.Unmarshal(answer, &body) != nil || body.ErrorType == "" && body.ErrorMessage == "" {
		return ""
	}
	return general(strings.TrimSpace(body.ErrorType + " " + body.ErrorMessage))
}

// general replaces what looks like a number or an id by #, and cuts the text.
func general(text string) string {
	var b strings.Builder
	for word := range strings.FieldsSeq(text) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(generalWord(word))
		if b.Len() > maxFailure {
			break
		}
	}
	cut := b.String()
	if len(cut) > maxFailure {
		cut = cut[:maxFailure]
		for !utf8.ValidString(cut) {
			cut = cut[:len(cut)-1]
		}
	}
	return cut
}

// generalWord replaces runs of digits by #, and so a word of hexadecimal digits and dashes that has a digit, like an id.
func generalWord(word string) string {
	core := strings.Trim(word, `.,:;()[]{}'"`)
	if len(core) >= 8 && strings.Trim(core, "0123456789abcdefABCDEF-") == "" && strings.ContainsAny(core, "0123456789") {
		return strings.Replace(word, core, "#", 1)
	}
	var b strings.Builder
	digits := false
	for _, r := range word {
		isDigit := r >= '0' && r <= '9'
		switch {
		case isDigit && !digits:
			b.WriteByte('#')
		case !isDigit && r >= ' ' && r != 0x7f && r != utf8.RuneError:
			b.WriteRune(r)
		}
		digits = isDigit
	}
	return b.String()
}
