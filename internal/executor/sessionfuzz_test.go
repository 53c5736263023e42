package executor

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzSession lets three connections say anything while an owner delivers invocations. Nothing may panic or
// hang, and an answer must be there when the session says so.
func FuzzSession(f *testing.F) {
	const next, respond = nextRequest, "POST /2018-06-01/runtime/invocation/1/response HTTP/1.1\r\nContent-Length: 1\r\n\r\n1"
	f.Add([]byte(next), []byte(respond), []byte(next+respond))
	f.Add([]byte(next+respond+next+respond), []byte("GET /2018-06-01/runtime/invocation/next HTTP/1.0\n\n"), []byte(respond+next+respond))
	f.Add([]byte("POST /2018-06-01/runtime/init/error HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"), []byte(next), []byte(next))
	f.Add([]byte(next+"POST /2018-06-01/runtime/invocation/1/error HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n"), []byte(next), []byte(respond))
	stream := streamHead + chunk("piece")
	f.Add([]byte(next), []byte(stream), []byte(next+stream+"0\r\nLambda-Runtime-Function-Error-Type: x\r\n\r\n"+next))
	f.Add([]byte(next+stream+"\n\n0\r\n\r\n"+next+respond), []byte(stream+"xx\r\n\r\n"), []byte(respond))
	register := "POST /2020-01-01/extension/register HTTP/1.1\r\nLambda-Extension-Name: x\r\nContent-Length: 21\r\n\r\n{\"events\":[\"INVOKE\"]}"
	f.Add([]byte(register+next), []byte(register+register+next+respond), []byte(next+register+respond))
	f.Add([]byte("GET /2020-01-01/extension/event/next HTTP/1.1\r\nLambda-Extension-Identifier: y\r\n\r\n"+next), []byte(respond), []byte(
		"POST /2020-01-01/extension/exit/error HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"))
	f.Add([]byte("\x01"+compactResponse("1", "1")+compactResponse("1", "2")+"\x01"), []byte(next), []byte(respond))
	f.Add([]byte("\x01"+respond+"\n\n\x01"+compactResponse("2", "1")), []byte("\x01"), []byte("\x02\xff\xff\xff\xff\xff1"))
	f.Add([]byte("\x01\n\n\x02\xff\xff\xff\xff\xff1"), []byte(next), []byte(respond))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		synctest.Test(t, func(t *testing.T) {
			s := bubbleSession(t)
			var writers sync.WaitGroup
			defer writers.Wait()
			defer s.close()
			for n, data := range [][]byte{a, b, c} {
				admit := s.admit
				if n == 0 {
					admit = s.admitInherited
				}
				p := connectBy(t, admit)
				writers.Go(func() {
					for _, piece := range bytes.SplitAfter(data, []byte("\n\n")) {
						_, _ = p.c.Write(piece) // fails when the server has closed the connection
						time.Sleep(10 * time.Millisecond)
					}
				})
			}
			for i := range 4 {
				if s.awaitReady(time.Now().Add(50*time.Millisecond)) != nil {
					continue
				}
				d := &delivery{Invocation: &Invocation{RequestID: "1", Payload: []byte("{}")}, deadline: time.Now().Add(50 * time.Millisecond)}
				if i%2 == 0 {
					d.Stream = func(ResponseHead) io.Writer { return io.Discard }
				}
				if s.deliver(d) && s.awaitAnswer(d.deadline) == nil {
					if s.take() == nil {
						t.Error("there is no answer")
					}
					s.acknowledge()
				}
			}
		})
	})
}
