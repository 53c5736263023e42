package awsapi

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	basicISO   = "20060102T150405Z"

	// headerNames are the bytes of a list of signed headers.
	headerNames = "abcdefghijklmnopqrstuvwxyz0123456789-_.;"

	// clockSkew is how far the date of a signature may be from the server's clock, either way.
	clockSkew = 5 * time.Minute
	// maxExpires is the longest validity of a presigned URL, in seconds: seven days.
	maxExpires = 7 * 24 * 60 * 60
)

// claim is what a request says about its signature, checked as far as that goes without the body.
type claim struct {
	signatureFields

	accessKeyID string
	secret      string
	scope       scope
	date        string // in basic ISO form, as it was signed
	presigned   bool
}

// signatureFields are the three parts of a signature as they travel.
type signatureFields struct {
	credential    string
	signedHeaders string
	signature     string // hexadecimal
}

// scope is what a signing key is derived for.
type scope struct {
	date, region, service string
}

// claimOf returns the claim of a request, or why the request can have no valid signature.
func (a *Authenticator) claimOf(r *http.Request, query url.Values) (claim, error) {
	c := claim{}
	expires := clockSkew
	var err error
	switch header := r.Header.Get("Authorization"); {
	case header != "":
		err = c.fromHeader(r.Header, header)
	case query.Has("X-Amz-Algorithm") || query.Has("X-Amz-Signature"):
		c.presigned = true
		expires, err = c.fromQuery(query)
	default:
		err = errMissingToken
	}
	if err != nil {
		return claim{}, err
	}
	parts := strings.SplitN(c.credential, "/", 6)
	if len(parts) != 5 {
		return claim{}, incompleteSignature(
			"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '%s'", clip(c.credential))
	}
	signedAt, err := time.Parse(basicISO, c.date)
	if err != nil || len(c.date) != len(basicISO) {
		return claim{}, incompleteSignature("Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", clip(c.date))
	}
	c.accessKeyID, c.scope = parts[0], scope{date: parts[1], region: parts[2], service: parts[3]}
	if c.secret, err = a.secretOf(r, c.accessKeyID); err != nil {
		return claim{}, err
	}
	if err := c.checkScope(parts[4], a.cfg.Region); err != nil {
		return claim{}, err
	}
	return c, checkDate(signedAt, a.cfg.Now().UTC(), expires)
}

// fromHeader reads an Authorization header: the algorithm, then Credential, SignedHeaders and Signature in
// any order, separated by commas.
func (c *claim) fromHeader(h http.Header, header string) error {
	name, rest, _ := strings.Cut(header, " ")
	if name != algorithm {
		return incompleteSignature("Unsupported AWS 'algorithm': '%s'.", clip(name))
	}
	var err error
	if c.signatureFields, err = parseFields(rest); err != nil {
		return err
	}
	var missing []string
	for _, field := range []struct{ name, value string }{
		{"Credential", c.credential}, {"Signature", c.signature}, {"SignedHeaders", c.signedHeaders},
	} {
		if field.value == "" {
			missing = append(missing, "Authorization header requires '"+field.name+"' parameter.")
		}
	}
	if c.date = dateOf(h); c.date == "" {
		missing = append(missing, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if missing != nil {
		return incompleteSignature("%s", strings.Join(missing, " "))
	}
	return nil
}

// parseFields reads what follows the algorithm in an Authorization header.
func parseFields(s string) (signatureFields, error) {
	var f signatureFields
	for part := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return f, incompleteSignature("'%s' not a valid key=value pair (missing equal-sign) in Authorization header.", clip(strings.TrimSpace(part)))
		}
		switch name {
		case "Credential":
			f.credential = value
		case "SignedHeaders":
			f.signedHeaders = value
		case "Signature":
			f.signature = value
		default:
		}
	}
	return f, nil
}

// dateOf returns the date that was signed, from X-Amz-Date or else from Date, in basic ISO form where
// it can be understood.
func dateOf(h http.Header) string {
	if date := h.Get("X-Amz-Date"); date != "" {
		return date
	}
	date := h.Get("Date")
	if t, err := http.ParseTime(date); err == nil {
		return t.UTC().Format(basicISO)
	}
	return date
}

// fromQuery reads the parameters of a presigned URL and returns for how long it is valid.
func (c *claim) fromQuery(query url.Values) (expires time.Duration, err error) {
	if name := query.Get("X-Amz-Algorithm"); name != algorithm {
		return 0, incompleteSignature("Unsupported AWS 'algorithm': '%s'.", clip(name))
	}
	c.credential = query.Get("X-Amz-Credential")
	c.signedHeaders = query.Get("X-Amz-SignedHeaders")
	c.signature = query.Get("X-Amz-Signature")
	c.date = query.Get("X-Amz-Date")
	for _, name := range []string{"X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature", "X-Amz-SignedHeaders"} {
		if query.Get(name) == "" {
			return 0, incompleteSignature("AWS query-string parameters must include '%s'. Re-examine the query-string parameters.", name)
		}
	}
	if !query.Has("X-Amz-Expires") {
		return clockSkew, nil
	}
	seconds, err := strconv.Atoi(query.Get("X-Amz-Expires"))
	if err != nil || seconds < 1 || seconds > maxExpires {
		return 0, incompleteSignature("X-Amz-Expires must be a number of seconds between 1 and %d.", maxExpires)
	}
	return time.Duration(seconds) * time.Second, nil
}

// checkScope checks what the signing key was derived for.
func (c *claim) checkScope(term, region string) error {
	switch {
	case c.scope.region != region:
		return invalidSignature("Credential should be scoped to a valid region.")
	case term != terminator:
		return invalidSignature("Credential should be scoped with a valid terminator: '%s', not '%s'.", terminator, clip(term))
	case c.scope.date != c.date[:len("20060102")]:
		return invalidSignature("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			clip(c.scope.date), c.date[:len("20060102")], c.date)
	case strings.Trim(c.signedHeaders, headerNames) != "":
		return incompleteSignature("SignedHeaders must be names in lower case, separated by semicolons. Got '%s'", clip(c.signedHeaders))
	case !signsHost(c.signedHeaders):
		return invalidSignature("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	default:
		return nil
	}
}

func signsHost(signedHeaders string) bool {
	for name := range strings.SplitSeq(signedHeaders, ";") {
		if name == "host" {
			return true
		}
	}
	return false
}

// checkDate refuses a signature that is older than it is valid for or that comes from the future.
func checkDate(signedAt, now time.Time, validFor time.Duration) error {
	if earliest := now.Add(-validFor); signedAt.Before(earliest) {
		return invalidSignature("Signature expired: %s is now earlier than %s (%s - %s)",
			signedAt.Format(basicISO), earliest.Format(basicISO), now.Format(basicISO), inWords(validFor))
	}
	if latest := now.Add(clockSkew); signedAt.After(latest) {
		return invalidSignature("Signature not yet current: %s is still later than %s (%s + %s)",
			signedAt.Format(basicISO), latest.Format(basicISO), now.Format(basicISO), inWords(clockSkew))
	}
	return nil
}

func inWords(d time.Duration) string {
	if d%time.Minute == 0 {
		return strconv.Itoa(int(d/time.Minute)) + " min."
	}
	return strconv.Itoa(int(d/time.Second)) + " sec."
}

// signedService returns the service that a request's signature names, which tells apart services that
// share a protocol without naming themselves. It is "" if there is none.
func signedService(r *http.Request, query url.Values) string {
	credential := query.Get("X-Amz-Credential")
	if _, rest, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		if f, err := parseFields(rest); err == nil {
			credential = f.credential
		}
	}
	if parts := strings.SplitN(credential, "/", 6); len(parts) == 5 {
		return parts[3]
	}
	return ""
}
