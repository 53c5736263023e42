package functionurl

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"serin"
)

// isPreflight reports whether a browser asks if it may send a request from another origin (Fetch Standard,
// 4.9). Browsers do not sign what they ask.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// answerPreflight says what a page may do.
func answerPreflight(answer, request http.Header, c *serin.CORS) {
	answer.Add("Vary", "Access-Control-Request-Method")
	answer.Add("Vary", "Access-Control-Request-Headers")
	if !allowOrigin(answer, request, c) {
		return
	}
	setList(answer, "Access-Control-Allow-Methods", allowed(c.AllowMethods, request.Get("Access-Control-Request-Method")))
	setList(answer, "Access-Control-Allow-Headers", allowed(c.AllowHeaders, request.Get("Access-Control-Request-Headers")))
	if c.MaxAge != nil {
		answer.Set("Access-Control-Max-Age", strconv.Itoa(*c.MaxAge))
	}
}

// decorate adds to the answer of a request what lets a page read it. c may be nil.
func decorate(answer, request http.Header, c *serin.CORS) {
	if c != nil && allowOrigin(answer, request, c) {
		setList(answer, "Access-Control-Expose-Headers", c.ExposeHeaders)
	}
}

// allowOrigin tells a page of an allowed origin that it is one.
func allowOrigin(answer, request http.Header, c *serin.CORS) bool {
	credentials := c.AllowCredentials != nil && *c.AllowCredentials
	everybody := slices.Contains(c.AllowOrigins, "*")
	if !everybody || credentials {
		answer.Add("Vary", "Origin") // the answer depends on it
	}
	origin := request.Get("Origin")
	matches := func(pattern string) bool { return matchesPattern(pattern, origin) }
	if origin == "" || !slices.ContainsFunc(c.AllowOrigins, matches) {
		return false
	}
	if everybody && !credentials {
		origin = "*"
	}
	answer.Set("Access-Control-Allow-Origin", origin)
	if credentials {
		answer.Set("Access-Control-Allow-Credentials", "true")
	}
	return true
}

// allowed returns the list of what a page may use. Of a list with patterns, which mean nothing to browsers or not
// the same, it returns what the page asks for and a pattern allows.
func allowed(list []string, asked string) []string {
	if !slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, "*") }) {
		return list
	}
	var names []string
	for name := range strings.SplitSeq(asked, ",") {
		name = strings.TrimSpace(name)
		if isToken(name) && slices.ContainsFunc(list, func(p string) bool { return matchesPattern(p, name) }) {
			names = append(names, name)
		}
	}
	return names
}

func setList(h http.Header, name string, list []string) {
	if len(list) > 0 {
		h.Set(name, strings.Join(list, ","))
	}
}

// matchesPattern reports whether s is the pattern, in which one * stands for any text. Neither origins nor the names
// of headers depend on the case of their letters.
func matchesPattern(pattern, s string) bool {
	pattern, s = strings.ToLower(pattern), strings.ToLower(s)
	before, after, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == s
	}
	return len(s) >= len(before)+len(after) && strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
}
