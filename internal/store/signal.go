package store

import "sync"

// signal wakes up everybody who waits for it.
type signal struct {
	mu   sync.Mutex
	next chan struct{}
}

// wait returns a channel that the next call of fire closes.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.next)
	s.next = make(chan struct{})
}
