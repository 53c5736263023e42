package executor

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// replySubscribed answers a subscription.
var replySubscribed = reply(http.StatusOK, "OK", `"OK"`)

// handleSubscribe subscribes an extension to telemetry, or to logs.
func (s *session) handleSubscribe(c *conn, logs bool) bool {
	id := c.req.extension.id
	body, ok, goOn := s.body(c)
	if !ok {
		return goOn
	}
	x := &s.extensions
	x.mu.Lock()
	e, refusal := s.identify(id)
	closed := x.closed || x.journal == nil
	x.mu.Unlock()
	api := "Telemetry"
	if logs {
		api = "Logs"
	}
	switch {
	case refusal != nil:
		return s.finish(c, refusal)
	case closed:
		return s.finish(c, forbiddenExtension(api+".SubscriptionClosed", api+" API subscription is closed already"))
	}
	sub, err := newSubscription(e.name, logs, body, x.dial)
	if err != nil {
		return s.finish(c, replyError(http.StatusBadRequest, "Bad Request", "ValidationError", err.Error()))
	}
	x.journal.subscribe(sub)
	return s.finish(c, replySubscribed)
}

// subscribe adds a subscription, which replaces an earlier one of the extension by the same API. It begins with what
// the platform has said of the initialisation.
func (j *journal) subscribe(s *subscription) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	now := time.Now()
	j.mu.Lock()
	j.taps = slices.DeleteFunc(j.taps, func(other *subscription) bool {
		if other.name != s.name || other.logs != s.logs {
			return false
		}
		other.cancel()
		return true
	})
	j.taps = append(j.taps, s)
	if j.initStart.kind != "" {
		s.platform(j.initAt, j.initStart)
	}
	j.mu.Unlock()
	go s.run(ctx)
	j.platform(now, subscriptionRecord(s))
}

// flush delivers telemetry now.
func (j *journal) flush() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.taps {
		signal(s.wake)
		signal(s.now)
	}
}

// unsubscribe ends all subscriptions.
func (j *journal) unsubscribe() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.taps {
		s.cancel()
	}
	j.taps = nil
}

type subscriptionValue struct {
	Name  string   `json:"name"`
	State string   `json:"state"`
	Types []string `json:"types"`
}

func subscriptionRecord(s *subscription) record {
	kind, title := "platform.telemetrySubscription", "TELEMETRY"
	if s.logs {
		kind, title = "platform.logsSubscription", "LOGS"
	}
	types := make([]string, len(s.types))
	for n, t := range s.types {
		types[n] = strings.ToUpper(t[:1]) + t[1:]
	}
	return record{
		kind: kind, level: levelInfo, value: subscriptionValue{s.name, "Subscribed", s.types},
		text: fmt.Appendf(nil, "%s\tName: %s\tState: Subscribed\tTypes: [%s]", title, s.name, strings.Join(types, ", ")),
	}
}
