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
	code := statusCode(answer)
	return code >= 500 && code <= 599
}

// statusCode returns the statusCode of an answer that is a response for an HTTP front end, 0 for another answer.
func statusCode(answer []byte) int {
	const member = "statusCode"
	if !bytes.Contains(answer, []byte(`"`+member+`"`)) {
		return 0 // the usual case, decided without parsing
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(answer), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if d.PeekKind() != '{' {
		return 0
	}
	if _, err := d.ReadToken(); err != nil {
		return 0
	}
	code := 0
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return 0
		}
		if name.String() != member {
			if d.SkipValue() != nil {
				return 0
			}
			continue
		}
		value, err := d.ReadValue()
		if err != nil {
			return 0
		}
		if code, err = strconv.Atoi(string(bytes.Trim(value, `"`))); err != nil {
			return 0
		}
	}
	return code
}
