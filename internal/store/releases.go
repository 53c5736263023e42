package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"serin"
)

const selectRelease = `SELECT version, document FROM releases`

// CreateRelease saves a new release, and what is to be told about it, and sets r.Version. At most one release of an
// alias is active (G8).
//
// Errors: [ErrExists] if the alias has an active release or the id is taken, and those of every write.
func (s *Store) CreateRelease(ctx context.Context, r *serin.Release, notices ...Notice) error {
	document, err := encodeRelease(r)
	if err != nil {
		return releaseErr(r.ID, err)
	}
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		// A change of the function that asks for its active releases comes before or after, and does not pass by.
		if _, err := t.lock(ctx, r.Function); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		n, err := affected(ctx, t, `INSERT INTO releases (id, function, alias, active, version, document)
			VALUES ($1, $2, $3, $4, 1, $5) ON CONFLICT DO NOTHING`, r.ID, r.Function, r.Alias, r.Active(), document)
		if err == nil && n == 0 {
			return ErrExists
		}
		if err == nil {
			err = t.insertNotices(ctx, notices)
		}
		return err
	})
	if err != nil {
		return releaseErr(r.ID, err)
	}
	r.Version = 1
	return nil
}

// SaveRelease saves a release that has been read or saved before, and counts r.Version up. A release that
// has ended stays ended. counts, JSON text or "", is what the release's evidence has taken in since the last save;
// it is saved in the same transaction, as is what is to be told of the save.
//
// Errors: [ErrStale] if somebody else has saved it since, or if it would make an ended release active,
// [ErrNotFound], and those of every write; r.Version is then what it was.
func (s *Store) SaveRelease(ctx context.Context, r *serin.Release, counts string, notices ...Notice) error {
	document, err := encodeRelease(r)
	if err == nil {
		err = checkText("counts of the release", counts)
	}
	if err != nil {
		return releaseErr(r.ID, err)
	}
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := affected(ctx, t, `UPDATE releases SET version = version + 1, active = $3, document = $4
			WHERE id = $1 AND version = $2 AND (active OR NOT $3)`, r.ID, r.Version, r.Active(), document)
		if err == nil && n == 1 && counts != "" {
			_, err = t.ExecContext(ctx, `INSERT INTO release_counts (release, version, document) VALUES ($1, $2, $3)`, r.ID, r.Version+1, counts)
		}
		if err == nil && n == 1 {
			err = t.insertNotices(ctx, notices)
		}
		if err != nil || n == 1 {
			return err
		}
		var version int64
		err = queryRow(ctx, t, `SELECT version FROM releases WHERE id = $1`, []any{r.ID}, &version)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		return cmpErr(err, ErrStale)
	})
	if err != nil {
		return releaseErr(r.ID, err)
	}
	r.Version++
	return nil
}

// ReleaseCounts is what was counted before one save of a release.
type ReleaseCounts struct {
	Version  int64 // of the release after that save
	Document string
}

// ReleaseCounts returns everything that was counted for a release, the oldest first.
func (s *Store) ReleaseCounts(ctx context.Context, id string) ([]ReleaseCounts, error) {
	var all []ReleaseCounts
	if !isText(id) {
		return nil, nil
	}
	err := scanAll(ctx, s.engine.reader(), `SELECT version, document FROM release_counts WHERE release = $1 ORDER BY version`,
		[]any{id}, func(rows *sql.Rows) error {
			var c ReleaseCounts
			err := rows.Scan(&c.Version, &c.Document)
			all = append(all, c)
			return err
		})
	if err != nil {
		return nil, releaseErr(id, fmt.Errorf("counts: %w", err))
	}
	return all, nil
}

// Release returns a release.
//
// Errors: [ErrNotFound].
func (s *Store) Release(ctx context.Context, id string) (*serin.Release, error) {
	if !isText(id) {
		return nil, releaseErr(id, ErrNotFound)
	}
	all, err := s.releases(ctx, selectRelease+` WHERE id = $1`, id)
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, releaseErr(id, err)
	}
	return all[0], nil
}

// ActiveReleases returns the releases that have not ended, the oldest first.
func (s *Store) ActiveReleases(ctx context.Context) ([]*serin.Release, error) {
	all, err := s.releases(ctx, selectRelease+` WHERE active ORDER BY seq`)
	if err != nil {
		return nil, fmt.Errorf("read active releases: %w", err)
	}
	return all, nil
}

// Releases returns the newest releases of an alias: at most newest of them, the oldest first. An empty alias
// stands for all aliases of the function, an empty function for all functions.
func (s *Store) Releases(ctx context.Context, function, alias string, newest int) ([]*serin.Release, error) {
	var all []*serin.Release
	err := newestRows(ctx, s.engine.reader(), selectRelease, function, alias, newest, scanReleases(&all))
	if err != nil {
		return nil, fmt.Errorf("read releases: %w", err)
	}
	slices.Reverse(all)
	return all, nil
}

func (s *Store) releases(ctx context.Context, query string, args ...any) ([]*serin.Release, error) {
	var all []*serin.Release
	err := scanAll(ctx, s.engine.reader(), query, args, scanReleases(&all))
	return all, err
}

// activeReleases returns the active releases of a function.
func (t *tx) activeReleases(ctx context.Context, function string) ([]*serin.Release, error) {
	var all []*serin.Release
	err := scanAll(ctx, t, selectRelease+` WHERE active AND function = $1 ORDER BY seq`, []any{function}, scanReleases(&all))
	return all, err
}

func scanReleases(all *[]*serin.Release) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		var version int64
		var document sql.RawBytes
		if err := rows.Scan(&version, &document); err != nil {
			return err
		}
		r := &serin.Release{}
		if err := decode(document, r); err != nil {
			return err
		}
		r.Version = version
		*all = append(*all, r)
		return nil
	}
}

func encodeRelease(r *serin.Release) (string, error) {
	for what, s := range map[string]string{"release id": r.ID, "function name": r.Function, "alias name": r.Alias} {
		if err := checkText(what, s); err != nil {
			return "", err
		}
	}
	return encode(r)
}

func releaseErr(id string, err error) error { return fmt.Errorf("release %q: %w", id, err) }
