package console

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"serin/internal/store"
)

// What people do in the console and no alias shows is kept as documents, the newest first in the order of their names.
const (
	kindAudit = "audit"
	maxAudit  = 200 // entries of a function; older ones go
)

// entry is something that somebody did.
type entry struct {
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Action string    `json:"action"`
	Detail string    `json:"detail,omitempty"`
}

// note adds what was done to the audit log. What was done stays done if that fails; the server's log says so then.
func (c *Console) note(v *visit, function, action, detail string) {
	ctx := context.WithoutCancel(v.Context())
	e := entry{At: c.Now().UTC(), Actor: v.session.Actor, Action: action, Detail: detail}
	c.Log.InfoContext(ctx, "console: "+action, "function", function, "actor", e.Actor, "detail", detail) //nolint:sloglint // one message for each action
	body, err := json.Marshal(e)
	if err == nil {
		name := fmt.Sprintf("%s/%019d", function, math.MaxInt64-e.At.UnixNano())
		err = c.Overview.Control.Store.SaveDocuments(ctx, append(c.oldEntries(ctx, function), store.Document{Kind: kindAudit, Name: name, Body: body})...)
	}
	if err != nil {
		c.Log.ErrorContext(ctx, "console: an action is not in the audit log", "function", function, "actor", e.Actor, "action", action, "error", err)
	}
}

// oldEntries returns the entries that are to go, without their bodies.
func (c *Console) oldEntries(ctx context.Context, function string) []store.Document {
	var old []store.Document
	n := 0
	for d, err := range c.Overview.Control.Store.Documents(ctx, kindAudit, function+"/") {
		if err != nil {
			return nil // the next one removes them
		}
		if n++; n >= maxAudit {
			d.Body = nil
			old = append(old, d)
		}
	}
	return old
}

// audit returns the newest entries of a function, the newest first.
func (c *Console) audit(ctx context.Context, function string, newest int) ([]entry, error) {
	var all []entry
	for d, err := range c.Overview.Control.Store.Documents(ctx, kindAudit, function+"/") {
		if err != nil {
			return nil, err
		}
		var e entry
		if err := json.Unmarshal(d.Body, &e); err != nil {
			return nil, fmt.Errorf("audit log of %s: %w", function, err)
		}
		if all = append(all, e); len(all) == newest {
			break
		}
	}
	return all, nil
}
