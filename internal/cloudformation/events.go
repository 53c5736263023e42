package cloudformation

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"serin/internal/store"
)

// event is a line of what has happened to a stack.
type event struct {
	ID          string    `json:"id"`
	StackID     string    `json:"stackId"`
	StackName   string    `json:"stackName"`
	LogicalID   string    `json:"logicalId"`
	PhysicalID  string    `json:"physicalId,omitempty"`
	Type        string    `json:"type"`
	Status      string    `json:"status"`
	Reason      string    `json:"reason,omitempty"`
	At          time.Time `json:"at"`
	Properties  string    `json:"properties,omitempty"`
	ClientToken string    `json:"clientToken,omitempty"`
	Operation   string    `json:"operation,omitempty"`
}

// maxReason bounds the reason of an event, in bytes.
const maxReason = 4096

// tick returns the time of a new event, later than that of any other.
func (s *Service) tick() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now().UTC()
	if !now.After(s.last) {
		now = s.last.Add(time.Microsecond)
	}
	s.last = now
	return now
}

// eventDocument makes the document of an event.
func (s *Service) eventDocument(e event) (store.Document, error) {
	e.At = s.tick()
	if len(e.Reason) > maxReason {
		e.Reason = e.Reason[:maxReason]
	}
	if e.ID = s.NewID(); e.Type != typeStack {
		e.ID = fmt.Sprintf("%s-%s-%s", e.LogicalID, e.Status, e.At.Format("2006-01-02T15:04:05.000Z"))
	}
	body, err := json.Marshal(e)
	return store.Document{Kind: kindEvent, Name: fmt.Sprintf("%s/%020d", e.StackID, e.At.UnixNano()), Body: body}, err
}

// stackEvent is the event of what a stack's status is now.
func (s *Service) stackEvent(st *stack) (store.Document, error) {
	return s.eventDocument(event{
		StackID: st.ID, StackName: st.Name, LogicalID: st.Name, PhysicalID: st.ID, Type: typeStack, Status: st.Status, Reason: st.Reason,
		ClientToken: st.ClientToken, Operation: st.Operation,
	})
}

// events returns the events of a stack, the oldest first.
func (s *Service) events(ctx context.Context, stackID string) ([]event, error) {
	var all []event
	for d, err := range s.Store.Documents(ctx, kindEvent, stackID+"/") {
		if err != nil {
			return nil, err
		}
		var e event
		if err := decode(d.Body, &e); err != nil {
			return nil, fmt.Errorf("event %s: %w", d.Name, err)
		}
		all = append(all, e)
	}
	return all, nil
}
