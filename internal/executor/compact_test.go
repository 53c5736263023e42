package executor

import (
	"encoding/binary"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// compactResponse answers an invocation and asks for the next one.
func compactResponse(id, body string) string {
	message := append([]byte{compactAnswer, byte(len(id))}, binary.LittleEndian.AppendUint32(nil, uint32(len(body)))...)
	return string(message) + id + body
}

func TestCompactMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSession(t)
		p := connectBy(t, s.admitInherited)
		p.send("\x01")
		for _, piece := range []int{1, 5, 8, 10, 1000} {
			wantReady(t, s)
			until := deliverTo(t, s, "i", `"in"`)
			p.want(`compact[i "in"]`)
			for message := compactResponse("i", "the answer"); message != ""; {
				n := min(piece, len(message))
				p.send("%s", message[:n])
				message = message[n:]
			}
			wantAnswer(t, s, until, "the answer")
			s.acknowledge()
			time.Sleep(time.Hour)
		}
		p.want("") // an answer that is accepted is not acknowledged
	})
}

func TestCompactBesideHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSession(t)
		p := connectBy(t, s.admitInherited)
		p.send("\x01")
		wantReady(t, s)
		until := deliverTo(t, s, "i", "1")
		p.send("POST /2018-06-01/runtime/invocation/i/error HTTP/1.1\r\nContent-Length: 5\r\n\r\n\"bad\"\x01")
		wantAnswer(t, s, until, `"bad"`)
		s.acknowledge()
		wantReady(t, s)
		deliverTo(t, s, "j", "2")
		p.want("compact[i 1] 202 compact[j 2]")
	})
}

func TestCompactRefused(t *testing.T) {
	for name, test := range map[string]struct {
		message, replies string
		answer           string
	}{
		"another id": {compactResponse("other", "x"), "400 compact[i 1]", ""},
		"too large":  {compactResponse("i", strings.Repeat("x", maxPayload+1)), "413", string(tooLargeErrorPayload)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := bubbleSession(t)
				p := connectBy(t, s.admitInherited)
				p.send("\x01")
				wantReady(t, s)
				until := deliverTo(t, s, "i", "1")
				p.want("compact[i 1]")
				go p.write("%s", test.message)
				if test.answer != "" {
					wantAnswer(t, s, until, test.answer)
					s.acknowledge()
				} else if s.awaitAnswer(until) == nil {
					t.Error("there is an answer")
				}
				p.want(test.replies)
			})
		})
	}
}

// TestCompactIsForInheritedConnections shows that a connection over the network speaks HTTP only.
func TestCompactIsForInheritedConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSession(t)
		p := connect(t, s)
		p.send("\x01\r\n\r\n")
		p.want("400 closed")
	})
}
