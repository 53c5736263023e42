package logs

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
)

// ID names an event for good, and says where it stands in the order of events.
type ID struct {
	At    int64 // milliseconds since 1970
	chunk int64
	index int64
}

// idDigits is the length of the text of an ID, as on AWS.
const idDigits = 56

// String returns the 56 digits that CloudWatch Logs would show.
func (id ID) String() string { return fmt.Sprintf("%020d%020d%016d", id.At, id.chunk, id.index) }

// ParseID reads what [ID.String] wrote.
func ParseID(s string) (ID, bool) {
	if len(s) != idDigits {
		return ID{}, false
	}
	var id ID
	for i, field := range []struct {
		text string
		to   *int64
	}{{s[:20], &id.At}, {s[20:40], &id.chunk}, {s[40:], &id.index}} {
		n, err := strconv.ParseUint(field.text, 10, 63)
		if err != nil || i == 0 && n > 1<<48 {
			return ID{}, false
		}
		*field.to = int64(n)
	}
	return id, true
}

// Compare orders events.
func (id ID) Compare(other ID) int {
	return cmp.Or(cmp.Compare(id.At, other.At), cmp.Compare(id.chunk, other.chunk), cmp.Compare(id.index, other.index))
}

// Event is a log event.
type Event struct {
	ID        ID
	Group     string
	Stream    string
	Ingested  int64  // milliseconds since 1970
	RequestID string // of the invocation that wrote it; "" if none did, or if it came by PutLogEvents
	Message   []byte
}

// Chunk is what a stream got within a short time.
type Chunk struct {
	Group, Stream string

	id       int64
	ingested int64
	data     []byte
	events   []placed
}

// Events returns the events in order of time. What they hold is the chunk's.
func (c *Chunk) Events() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		start := 0
		for i := range c.events {
			if !yield(c.event(i, start)) {
				return
			}
			start = c.events[i].end
		}
	}
}

// event returns an event that starts at a place in the chunk's memory.
func (c *Chunk) event(i, start int) Event {
	e := &c.events[i]
	return Event{
		ID: ID{e.at, c.id, int64(i)}, Group: c.Group, Stream: c.Stream, Ingested: c.ingested, RequestID: e.requestID, Message: c.data[start:e.end:e.end],
	}
}

// sort puts the events in order of time; those of one time stay in order.
func (b *builder) sort() {
	byTime := func(x, y placed) int { return cmp.Compare(x.at, y.at) }
	if slices.IsSortedFunc(b.events, byTime) {
		return
	}
	type event struct {
		placed

		line []byte
	}
	all := make([]event, len(b.events))
	start := 0
	for i, e := range b.events {
		all[i] = event{e, b.data[start:e.end]}
		start = e.end
	}
	slices.SortStableFunc(all, func(x, y event) int { return byTime(x.placed, y.placed) })
	data := make([]byte, 0, len(b.data))
	for i := range all {
		data = append(data, all[i].line...)
		b.events[i] = placed{all[i].at, all[i].requestID, len(data)}
	}
	b.data = data
}

// A chunk before it is packed is a list of events:
//
//	time     uvarint  milliseconds since the event before, or since 1970
//	request  uvarint  0: none; 1: as the event before; else 2 + its length, and its bytes
//	message  uvarint  its length, and its bytes
func (b *builder) encode(to []byte) []byte {
	var at int64
	var request string
	start := 0
	for _, e := range b.events {
		to = binary.AppendUvarint(to, uint64(e.at-at))
		switch e.requestID {
		case "":
			to = append(to, 0)
		case request:
			to = append(to, 1)
		default:
			to = binary.AppendUvarint(to, uint64(len(e.requestID))+2)
			to = append(to, e.requestID...)
			request = e.requestID
		}
		to = binary.AppendUvarint(to, uint64(e.end-start))
		to = append(to, b.data[start:e.end]...)
		at, start = e.at, e.end
	}
	return to
}

var errDamaged = errors.New("a chunk of log events is damaged")

// decode reads a chunk. Its events are in the memory of plain, which it overwrites.
func (c *Chunk) decode(plain []byte) error {
	c.data, c.events = plain[:0], c.events[:0]
	var at int64
	var request string
	for rest := plain; len(rest) > 0; {
		var delta, kind uint64
		var ok bool
		if delta, rest, ok = number(rest); !ok {
			return errDamaged
		}
		if kind, rest, ok = number(rest); !ok {
			return errDamaged
		}
		e := placed{at: at + int64(delta)}
		switch kind {
		case 0:
		case 1:
			e.requestID = request
		default:
			if kind-2 > uint64(len(rest)) {
				return errDamaged
			}
			request, rest = string(rest[:kind-2]), rest[kind-2:]
			e.requestID = request
		}
		var length uint64
		if length, rest, ok = number(rest); !ok || length > uint64(len(rest)) {
			return errDamaged
		}
		c.data = append(c.data, rest[:length]...) // never ahead of what is read
		e.end = len(c.data)
		rest = rest[length:]
		c.events = append(c.events, e)
		at = e.at
	}
	return nil
}

func number(from []byte) (uint64, []byte, bool) {
	n, size := binary.Uvarint(from)
	if size <= 0 {
		return 0, nil, false
	}
	return n, from[size:], true
}

// After returns the place right behind an event, and Before the one right before it.
func (id ID) After() ID { return ID{id.At, id.chunk, id.index + 1} }

// Before returns the place right before an event.
func (id ID) Before() ID {
	if id.index > 0 {
		return ID{id.At, id.chunk, id.index - 1}
	}
	return ID{id.At, max(id.chunk-1, 0), lastIndex}
}
