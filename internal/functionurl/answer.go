package functionurl

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxHeaders bounds the headers of an answer, in bytes of names and values.
const maxHeaders = 64 << 10

// answer is the response that a function asks for.
type answer struct {
	status  int // 200 to 599
	header  http.Header
	cookies []string
	body    []byte
}

// parseAnswer reads what a function returned: an object with a statusCode in the form of payload format 2.0, or any
// other JSON, which is the body of a successful response.
func parseAnswer(payload []byte) (*answer, error) {
	if !json.Valid(payload) {
		return nil, errors.New("not JSON")
	}
	a := &answer{status: http.StatusOK, header: http.Header{}}
	var members map[string]json.RawMessage
	if bytes.TrimLeft(payload, " \t\r\n")[0] == '{' {
		if err := json.Unmarshal(payload, &members); err != nil {
			return nil, err
		}
	}
	status, ok := members["statusCode"]
	if !ok {
		a.header.Set("Content-Type", "application/json")
		a.body = payload
		return a, nil
	}
	if err := a.parseHead(status, members, "application/json"); err != nil {
		return nil, err
	}
	if err := a.parseBody(members["body"], members["isBase64Encoded"]); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return a, nil
}

// parseHead reads everything but the body.
func (a *answer) parseHead(status json.RawMessage, members map[string]json.RawMessage, contentType string) (err error) {
	// Some frameworks write the number as text.
	if a.status, err = strconv.Atoi(strings.Trim(string(status), `"`)); err != nil || a.status < 200 || a.status > 599 {
		return fmt.Errorf("statusCode is %.40q", status)
	}
	if err := a.parseHeaders(members["headers"]); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	if a.header.Get("Content-Type") == "" {
		a.header.Set("Content-Type", contentType)
	}
	if err := a.parseCookies(members["cookies"]); err != nil {
		return fmt.Errorf("cookies: %w", err)
	}
	return nil
}

func (a *answer) parseHeaders(raw json.RawMessage) error {
	var headers map[string]json.RawMessage
	if err := decode(raw, &headers); err != nil {
		return err
	}
	size := 0
	for name, raw := range headers {
		value := string(raw)
		switch raw[0] {
		case 'n': // null is none
			continue
		case '{', '[':
			return fmt.Errorf("%.40q is no text", name)
		case '"':
			if err := json.Unmarshal(raw, &value); err != nil {
				return err
			}
		}
		if !isToken(name) || !isFieldValue(value) {
			return fmt.Errorf("%.40q cannot be sent", name)
		}
		if size += len(name) + len(value); size > maxHeaders {
			return errors.New("too large")
		}
		a.header.Add(name, value) // two spellings of a name are two values
	}
	for name := range hopByHop(a.header) {
		a.header.Del(name)
	}
	a.header.Del("Content-Length") // that of the body is sent
	return nil
}

func (a *answer) parseCookies(raw json.RawMessage) error {
	if err := decode(raw, &a.cookies); err != nil {
		return err
	}
	size := 0
	for _, c := range a.cookies {
		if !isFieldValue(c) {
			return fmt.Errorf("%.40q cannot be sent", c)
		}
		if size += len(c); size > maxHeaders {
			return errors.New("too large")
		}
	}
	return nil
}

func (a *answer) parseBody(body, encoded json.RawMessage) (err error) {
	var text string
	var inBase64 bool
	if err := errors.Join(decode(body, &text), decode(encoded, &inBase64)); err != nil {
		return err
	}
	if a.body = []byte(text); inBase64 {
		a.body, err = base64.StdEncoding.DecodeString(text)
	}
	return err
}

// decode decodes a member that may be absent.
func decode(raw json.RawMessage, into any) error {
	if raw == nil {
		return nil
	}
	return json.Unmarshal(raw, into)
}

// isToken reports whether s can be the name of a header (RFC 9110, 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

// isFieldValue reports whether s can be the value of a header (RFC 9110, 5.5).
func isFieldValue(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

// sandbox is the policy of pages that are served by path. Without allow-same-origin a page has an origin of its
// own.
const sandbox = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts"

// write sends the answer.
func (a *answer) write(w http.ResponseWriter, r *http.Request, x *exchange) {
	a.setHeader(w.Header(), x)
	if !a.hasBody() {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		// A caller that has gone away cannot be told so.
		_, _ = w.Write(a.body)
	}
}

// hasBody reports whether HTTP allows the answer a body.
func (a *answer) hasBody() bool {
	return a.status != http.StatusNoContent && a.status != http.StatusNotModified
}

// setHeader sets the headers of the answer, except those that are not the function's to set.
func (a *answer) setHeader(header http.Header, x *exchange) {
	for name, values := range a.header {
		switch {
		case strings.HasPrefix(name, "X-Amzn-Requestid"), strings.HasPrefix(name, "X-Amzn-Trace-Id"): // the platform's
		case x.CORS != nil && strings.HasPrefix(name, "Access-Control-"): // the settings of the URL count
		case name == "Vary":
			for _, v := range values {
				if !slices.Contains(header["Vary"], v) {
					header.Add("Vary", v)
				}
			}
		default:
			header[name] = values
		}
	}
	for _, c := range a.cookies {
		header.Add("Set-Cookie", c)
	}
	if x.byPath {
		header.Add("Content-Security-Policy", sandbox)
	}
}
