package s3

import "time"

// clock is a gofakes3.TimeSource.
type clock func() time.Time

// Now returns the time.
func (c clock) Now() time.Time { return c() }

// Since returns the time since t.
func (c clock) Since(t time.Time) time.Duration { return c().Sub(t) }
