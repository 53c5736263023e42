package server

import (
	"context"
	"time"

	"serin"
	"serin/internal/overview"
)

// pruneEvery is how often versions that nothing needs are removed.
const pruneEvery = time.Hour

// keepPruning removes versions that nothing needs, if the configuration says so, until the context ends.
func (s *server) keepPruning(ctx context.Context) error {
	if s.KeepVersions == 0 {
		<-ctx.Done()
		return nil
	}
	retention := serin.DefaultRetention()
	retention.Keep = s.KeepVersions
	ctx = serin.WithActor(ctx, "retention")
	for {
		if _, err := s.overview.Prune(ctx, overview.PruneRequest{Retention: retention}); err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "cannot remove old versions; tries again in an hour", "error", err)
		}
		select {
		case <-time.After(pruneEvery):
		case <-ctx.Done():
			return nil
		}
	}
}
