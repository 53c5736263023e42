package store

import (
	"context"
	"errors"
	"fmt"
)

// Check examines everything that is stored: the files of the database, the feed, every function and its
// versions and aliases, every layer, and every code package. It reads all data and takes accordingly long. It
// returns everything that it found wrong, joined; corrupt data is [ErrCorrupt].
func (s *Store) Check(ctx context.Context) error {
	errs := []error{s.engine.check(ctx), s.checkFeed(ctx), s.checkFunctions(ctx), s.checkLayers(ctx), s.blobs.check(ctx)}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("check the store: %w", err)
	}
	return nil
}

func (s *Store) checkFeed(ctx context.Context) error {
	var count, last int64
	err := queryRow(ctx, s.engine.reader(), `SELECT COUNT(*), COALESCE(MAX(seq), 0) FROM changes`, nil, &count, &last)
	if err == nil && count != last {
		err = fmt.Errorf("%w: the last change is number %d and there are %d", ErrCorrupt, last, count)
	}
	return err
}

// checkFunctions decodes every function and looks for aliases without their versions.
func (s *Store) checkFunctions(ctx context.Context) error {
	var errs []error
	for e, err := range scanFunctions(ctx, s.engine.reader(), everyFunction) {
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for name, a := range e.function.Aliases {
			for v := range a.Routing.Weights() {
				if _, ok := e.function.Version(v); !ok {
					errs = append(errs, functionErr(e.name, fmt.Errorf("%w: alias %q routes to version %s, which does not exist", ErrCorrupt, name, v)))
				}
			}
		}
	}
	return errors.Join(errs...)
}
