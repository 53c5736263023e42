package console

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"sync"
	"time"
)

const (
	sessionLife  = 12 * time.Hour
	displayLife  = 30 * 24 * time.Hour // of a read-only session: nobody logs a wall in every morning
	linkLife     = time.Minute
	maxSessions  = 10_000
	maxOpenLinks = 1000
)

// session is somebody who is logged in.
type session struct {
	Actor    string // what histories call them
	ReadOnly bool
	keyID    string   // the key that it began with; "" without authentication
	secret   [32]byte // SHA-256 of the key's secret: the session ends when the key gets another one
	ends     time.Time
}

// token is the SHA-256 of what a cookie or a link carries; who reads the server's memory cannot log in with it.
type token [sha256.Size]byte

// sessions are those of this process. They are not kept: a restart logs everybody out.
type sessions struct {
	now    func() time.Time
	cookie string // a name of this process alone: cookies do not tell ports apart, and two servers may share a host

	mu    sync.Mutex
	open  map[token]session
	links map[token]session // that begin when their link is used
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, cookie: "serin_" + rand.Text()[:8], open: map[token]session{}, links: map[token]session{}}
}

// begin returns the cookie of a new session.
func (s *sessions) begin(of session) (cookie string, ends time.Time) {
	of.ends = s.now().Add(sessionLife)
	if of.ReadOnly {
		of.ends = s.now().Add(displayLife)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return put(s.open, of, maxSessions, s.now()), of.ends
}

// link returns the secret of a link that begins a session, once.
func (s *sessions) link(of session) (secret string, ends time.Time) {
	of.ends = s.now().Add(linkLife)
	s.mu.Lock()
	defer s.mu.Unlock()
	return put(s.links, of, maxOpenLinks, s.now()), of.ends
}

// redeem takes the session of a link, which is then used up.
func (s *sessions) redeem(secret string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := token(sha256.Sum256([]byte(secret)))
	found, ok := s.links[key]
	delete(s.links, key)
	return found, ok && s.now().Before(found.ends)
}

// find returns the session of a cookie. secret says what the secret of a key is now.
func (s *sessions) find(cookie string, secret func(string) (string, bool)) (session, bool) {
	key := token(sha256.Sum256([]byte(cookie)))
	s.mu.Lock()
	found, ok := s.open[key]
	s.mu.Unlock()
	if !ok {
		return session{}, false
	}
	if !s.now().Before(found.ends) || !found.keyHolds(secret) {
		s.end(cookie)
		return session{}, false
	}
	return found, true
}

func (s *sessions) end(cookie string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, token(sha256.Sum256([]byte(cookie))))
}

// keyHolds says whether the key that the session began with is still the same.
func (s *session) keyHolds(secret func(string) (string, bool)) bool {
	now, ok := secret(s.keyID)
	sum := sha256.Sum256([]byte(now))
	return ok && subtle.ConstantTimeCompare(sum[:], s.secret[:]) == 1
}

// put adds a session under a fresh secret. What has ended goes first if there is no room, then what ends soonest.
func put(all map[token]session, of session, most int, now time.Time) string {
	if len(all) >= most {
		var soonest token
		for key, s := range all {
			if !now.Before(s.ends) {
				delete(all, key)
			} else if at, ok := all[soonest]; !ok || s.ends.Before(at.ends) {
				soonest = key
			}
		}
		if len(all) >= most {
			delete(all, soonest)
		}
	}
	secret := rand.Text() + rand.Text()
	all[sha256.Sum256([]byte(secret))] = of
	return secret
}
