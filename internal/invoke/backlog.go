package invoke

import (
	"context"
	"encoding/json"
	"time"
)

// Backlog is what the queue of events holds.
type Backlog struct {
	Events int           // all, also those that run and those that wait to be tried again
	Due    int           // those that nobody has taken yet
	Age    time.Duration // since the oldest of them was accepted, 0 for none
}

// Backlog counts the events of all servers that share the store.
func (q *Queue) Backlog(ctx context.Context) (Backlog, error) {
	now := q.Now()
	stored, err := q.Store.Backlog(ctx, now)
	if err != nil {
		return Backlog{}, err
	}
	b := Backlog{Events: stored.Events, Due: stored.Due}
	var oldest event
	if stored.Document != "" && json.Unmarshal([]byte(stored.Document), &oldest) == nil {
		b.Age = max(now.Sub(oldest.Accepted), 0)
	}
	return b, nil
}
