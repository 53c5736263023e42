package console

import (
	"testing"
	"time"
)

// clock is a time that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestSessionsEnd(t *testing.T) {
	now := &clock{time.Unix(1e9, 0)}
	s := newSessions(now.now)
	secret := "first"
	ask := func(id string) (string, bool) { return secret, id == "key" }
	holder := (&Console{Config: Config{Secret: ask, Name: func(string) string { return "" }}})
	who, ok := holder.keyHolder("key", "first")
	if !ok || who.Actor != "key" {
		t.Fatalf("%+v, %v", who, ok)
	}
	cookie, _ := s.begin(who)
	display := who
	display.ReadOnly = true
	wall, _ := s.begin(display)
	if _, ok := s.find(cookie, ask); !ok {
		t.Fatal("the session has not begun")
	}
	now.at = now.at.Add(sessionLife)
	if _, ok := s.find(cookie, ask); ok {
		t.Error("the session outlasts its life")
	}
	if found, ok := s.find(wall, ask); !ok || !found.ReadOnly {
		t.Error("the display was logged out")
	}
	secret = "second"
	if _, ok := s.find(wall, ask); ok {
		t.Error("the session outlasts its key")
	}
	secret = "first"
	if _, ok := s.find(wall, ask); ok {
		t.Error("a session that has ended is back")
	}
}

func TestLinksExpire(t *testing.T) {
	now := &clock{time.Unix(1e9, 0)}
	s := newSessions(now.now)
	late, _ := s.link(session{Actor: "ana"})
	now.at = now.at.Add(linkLife)
	if _, ok := s.redeem(late); ok {
		t.Error("a link outlasts its minute")
	}
	once, _ := s.link(session{Actor: "ana"})
	if who, ok := s.redeem(once); !ok || who.Actor != "ana" {
		t.Error("the link does not work")
	}
	if _, ok := s.redeem(once); ok {
		t.Error("the link works twice")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	now := &clock{time.Unix(1e9, 0)}
	s := newSessions(now.now)
	for range maxOpenLinks + 10 {
		s.link(session{})
		now.at = now.at.Add(time.Microsecond)
	}
	if len(s.links) > maxOpenLinks {
		t.Errorf("%d links", len(s.links))
	}
}

func TestLoginLimitByAddress(t *testing.T) {
	now := &clock{time.Unix(1e9, 0)}
	l := newLoginLimit(now.now)
	for range loginBurst {
		if !l.allow("192.0.2.1:1000") {
			t.Fatal("refused too early")
		}
	}
	if l.allow("192.0.2.1:2000") {
		t.Error("another port is another person")
	}
	if !l.allow("192.0.2.2:1000") || !l.allow("[2001:db8::1]:1000") || !l.allow("no address") {
		t.Error("others are refused, too")
	}
	now.at = now.at.Add(loginEvery)
	if !l.allow("192.0.2.1:3000") {
		t.Error("refused for ever")
	}
}

func FuzzLocalPath(f *testing.F) {
	for _, path := range []string{"/console/", "//x/console/", "/console/..//x", `/console/\x`, "https://x/console/", "%", "/console/?next=//x"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := localPath(path)
		if len(got) < len(Prefix) || got[:len(Prefix)] != Prefix {
			t.Errorf("localPath(%q) = %q", path, got)
		}
	})
}
