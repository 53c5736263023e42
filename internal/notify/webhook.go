package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Webhook tells URLs of events, as CloudEvents that are signed like the notices of releases.
type Webhook struct {
	secret string
	now    func() time.Time
	client *http.Client
}

// NewWebhook returns a Webhook that signs with a secret, or does not sign if it is "".
func NewWebhook(secret string, now func() time.Time) *Webhook {
	return &Webhook{secret, now, newClient(nil)}
}

// newClient returns a client that goes where it was sent and nowhere else. A nil transport is the default one.
func newClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: transport, Timeout: within,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Event is what happened.
type Event struct {
	ID      string // the same however often it is told
	Source  string // who tells it: a URI reference
	Type    string
	Subject string // "" for none
	Time    time.Time
	Data    json.RawMessage
}

// Post tells a URL of an event once. Its errors do not give the URL away, which is often a secret.
func (w *Webhook) Post(ctx context.Context, to string, e Event) error {
	req, err := cloudEventRequest(ctx, to, w.secret, cloudEvent[json.RawMessage]{
		SpecVersion: specVersion, ID: e.ID, Source: e.Source, Type: e.Type, Subject: e.Subject, Time: e.Time,
		DataContentType: "application/json", Data: e.Data,
	}, w.now())
	if err != nil {
		return err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		if full, ok := errors.AsType[*url.Error](err); ok {
			err = full.Err
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // so that the connection can be used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the target answered %s", resp.Status)
	}
	return nil
}

const specVersion = "1.0"

// cloudEventRequest returns the request that tells a URL of an event.
func cloudEventRequest[T any](ctx context.Context, to, secret string, e cloudEvent[T], now time.Time) (*http.Request, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the URL is none")
	}
	req.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	req.Header.Set("User-Agent", "serin")
	if secret != "" {
		req.Header.Set(SignatureHeader, signature(secret, body, now))
	}
	return req, nil
}
