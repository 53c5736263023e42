package invoke

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// serverError reports whether a function's answer is a response for an HTTP front end (API Gateway,
// function URL, load balancer) whose statusCode is 500 or more. Lambda itself counts such an invocation as a
// success; for the users of the function it is a failure.
func serverError(answer []byte) bool {
	const member = "statusCode"
	if !bytes.Contains(answer, []byte(`"`+member+`"`)) {
		return false // the usual case, decided without parsing
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(answer), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if d.PeekKind() != '{' {
		return false
	}
	if _, err := d.ReadToken(); err != nil {
		return false
	}
	code := 0
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return false
		}
		if name.String() != member {
			if d.SkipValue() != nil {
				return false
			}
			continue
		}
		value, err := d.ReadValue()
		if err != nil {
			return false
		}
		if code, err = strconv.Atoi(string(bytes.Trim(value, `"`))); err != nil {
			return false
		}
	}
	return code >= 500 && code <= 599
}
