package invoke

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Bounds of a request that delivers a record.
const (
	postTimeout      = 15 * time.Second
	maxPostResponse  = 64 << 10 // bytes that are read of an answer, so that the connection can be used again
	maxPostHeader    = 64 << 10
	maxIdlePerHost   = perHost
	idleConnection   = time.Minute
	postContentType  = "application/json"
	headerRequestID  = "Serin-Request-Id" // of the event that is told of: the same whenever it is told again
	headerAttributes = "Serin-"           // and the name of an attribute of a dead letter
)

func newTransport() http.RoundTripper {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: maxIdlePerHost, IdleConnTimeout: idleConnection,
		MaxResponseHeaderBytes: maxPostHeader,
	}
}

// newClient returns a client that goes where it was sent and nowhere else.
func newClient(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: t, Timeout: postTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// post delivers a record or a dead letter to a URL. Anything but success is tried again as a function that could not be
// run would be.
func (q *Queue) post(ctx context.Context, e *event, payload []byte) verdict {
	status, err := q.postOnce(ctx, e, payload)
	if err == nil {
		return verdict{condition: conditionSuccess}
	}
	e.Last = &answer{StatusCode: status, Message: err.Error()}
	q.Log.InfoContext(ctx, "a destination did not take a record", append(e.log(), "error", err)...)
	return e.backOff(q.Now())
}

func (q *Queue) postOnce(ctx context.Context, e *event, payload []byte) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(payload))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", postContentType)
	req.Header.Set("User-Agent", "serin")
	if s := e.Source; s != nil {
		req.Header.Set(headerRequestID, headerText(s.RequestID))
		for name, value := range s.Attributes {
			req.Header.Set(headerAttributes+name, headerText(value))
		}
	}
	resp, err := q.client.Do(req)
	if err != nil {
		if full, ok := errors.AsType[*url.Error](err); ok {
			err = full.Err // without the URL, which is often a secret
		}
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxPostResponse) // whatever it says, it has been decided
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return resp.StatusCode, fmt.Errorf("the server answered %s", resp.Status)
	}
	return resp.StatusCode, nil
}

// headerText makes one line of a text.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

func isURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }
