package logs

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
)

// Group is a log group.
type Group struct {
	Name        string
	Created     int64 // milliseconds since 1970
	StoredBytes int64
	Settings
}

// Settings are what can be set on a group.
type Settings struct {
	RetentionDays int               `json:"retentionDays,omitempty"` // 0: the store's
	Tags          map[string]string `json:"tags,omitempty"`
	MetricFilters []MetricFilter    `json:"metricFilters,omitempty"`
}

// MetricFilter makes points of a metric of the events of a group that match a pattern.
type MetricFilter struct {
	Name            string           `json:"name"`
	Pattern         string           `json:"pattern"`
	Created         int64            `json:"created"` // milliseconds since 1970
	Transformations []Transformation `json:"transformations"`
}

// Transformation says what a metric filter writes.
type Transformation struct {
	Namespace  string            `json:"namespace"`
	Metric     string            `json:"metric"`
	Value      string            `json:"value"` // a number, or a selector of one
	Default    *float64          `json:"default,omitempty"`
	Unit       string            `json:"unit,omitempty"`
	Dimensions map[string]string `json:"dimensions,omitempty"` // names to selectors
}

// Stream is a log stream. First, Last and LastIngested are in milliseconds since 1970, and 0 as long as it has no event.
type Stream struct {
	Name                             string
	Created, First, Last, LastIngest int64
}

// CreateGroup makes a group. ErrExists says that it is there.
func (s *Store) CreateGroup(ctx context.Context, name string, tags map[string]string) error {
	settings, err := json.Marshal(Settings{Tags: tags})
	if err != nil {
		return err
	}
	return s.changeOne(ctx, ErrExists, `INSERT INTO log_groups (name, created, settings) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, name, s.milli(), string(settings))
}

// CreateStream makes a stream of a group that is there. ErrNotFound, ErrExists.
func (s *Store) CreateStream(ctx context.Context, group, name string) error {
	id, err := s.groupID(ctx, group)
	if err != nil {
		return err
	}
	return s.changeOne(ctx, ErrExists, `INSERT INTO streams (grp, name, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, id, name, s.milli())
}

// changeOne runs a statement that changes one row; none is the error if it changes none.
func (s *Store) changeOne(ctx context.Context, none error, statement string, args ...any) error {
	result, err := s.writer.ExecContext(ctx, statement, args...)
	if err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(none, err)
	}
	return nil
}

// DeleteGroup deletes a group and all that is in it. What is appended later makes a new one. ErrNotFound.
func (s *Store) DeleteGroup(ctx context.Context, name string) error {
	return s.remove(ctx, name, "", `DELETE FROM chunks WHERE grp = ?1`, `DELETE FROM streams WHERE grp = ?1`, `DELETE FROM log_groups WHERE id = ?1`)
}

// DeleteStream deletes a stream and its events. ErrNotFound.
func (s *Store) DeleteStream(ctx context.Context, group, name string) error {
	return s.remove(ctx, group, name, `DELETE FROM chunks WHERE stream = ?2`, `DELETE FROM streams WHERE id = ?2`)
}

func (s *Store) remove(ctx context.Context, group, stream string, statements ...string) error {
	if err := s.Flush(ctx); err != nil {
		return err
	}
	s.flushing.Lock()
	defer s.flushing.Unlock()
	id, err := s.groupID(ctx, group)
	if err != nil {
		return err
	}
	var streamID int64
	if stream != "" {
		err := s.readers.QueryRowContext(ctx, `SELECT id FROM streams WHERE grp = ? AND name = ?`, id, stream).Scan(&streamID)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("log stream: %w", ErrNotFound)
		}
		if err != nil {
			return fmt.Errorf("logs: %w", err)
		}
	}
	clear(s.streams)
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	// After a commit this does nothing.
	defer func() { _ = tx.Rollback() }()
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement, id, streamID); err != nil {
			return fmt.Errorf("logs: %w", err)
		}
	}
	return tx.Commit()
}

func (s *Store) groupID(ctx context.Context, name string) (id int64, err error) {
	err = s.readers.QueryRowContext(ctx, `SELECT id FROM log_groups WHERE name = ?`, name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("log group: %w", ErrNotFound)
	}
	if err != nil {
		return 0, fmt.Errorf("logs: %w", err)
	}
	return id, nil
}

// Group returns a group. ErrNotFound.
func (s *Store) Group(ctx context.Context, name string) (Group, error) {
	groups, err := s.groups(ctx, `WHERE name = ?`, name)
	if err == nil && len(groups) == 0 {
		err = fmt.Errorf("log group: %w", ErrNotFound)
	}
	if err != nil {
		return Group{}, err
	}
	return groups[0], nil
}

// Groups returns up to limit groups whose names begin with a prefix and have a pattern in them, in any case of letters, after a name.
func (s *Store) Groups(ctx context.Context, prefix, pattern, after string, limit int) ([]Group, error) {
	if err := s.Flush(ctx); err != nil {
		return nil, err
	}
	return s.groups(ctx, `WHERE substr(name, 1, length(?1)) = ?1 AND instr(lower(name), lower(?2)) > 0 AND name > ?3 ORDER BY name LIMIT ?4`, prefix, pattern, after, limit)
}

func (s *Store) groups(ctx context.Context, condition string, args ...any) (groups []Group, err error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT name, created, stored, settings FROM log_groups `+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var g Group
		var settings []byte
		err := rows.Scan(&g.Name, &g.Created, &g.StoredBytes, &settings)
		if err == nil {
			err = json.Unmarshal(settings, &g.Settings)
		}
		if err != nil {
			return nil, fmt.Errorf("logs: %w", err)
		}
		groups = append(groups, g)
	}
	return groups, rows.Err()
}

// UpdateGroup changes the settings of a group. ErrNotFound, or the error of change.
func (s *Store) UpdateGroup(ctx context.Context, name string, change func(*Settings) error) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	g, err := s.Group(ctx, name)
	if err != nil {
		return err
	}
	g.Tags = maps.Clone(g.Tags)
	if err := change(&g.Settings); err != nil {
		return err
	}
	settings, err := json.Marshal(g.Settings)
	if err != nil {
		return err
	}
	return s.changeOne(ctx, ErrNotFound, `UPDATE log_groups SET settings = ? WHERE name = ?`, string(settings), name)
}

// StreamQuery says which streams of a group are asked for: by name or by the time of the last event, after a place.
type StreamQuery struct {
	Group, Prefix string
	ByTime        bool // those without events by the time when they were made
	Descending    bool
	AfterTime     int64
	AfterName     string // "" from the beginning
	Limit         int
}

// Streams returns streams. ErrNotFound says that the group is missing.
func (s *Store) Streams(ctx context.Context, q StreamQuery) (streams []Stream, err error) {
	if err := s.Flush(ctx); err != nil {
		return nil, err
	}
	group, err := s.groupID(ctx, q.Group)
	if err != nil {
		return nil, err
	}
	than, direction := ">", ""
	if q.Descending {
		than, direction = "<", " DESC"
	}
	condition, order := "?3 = '' OR name "+than+" ?3", "name"+direction
	if q.ByTime {
		condition = "?3 = '' OR (coalesce(last, created), name) " + than + " (?4, ?3)"
		order = "coalesce(last, created)" + direction + ", name" + direction
	}
	rows, err := s.readers.QueryContext(ctx, `SELECT name, created, coalesce(first, 0), coalesce(last, 0), coalesce(ingested, 0) FROM streams
		WHERE grp = ?1 AND substr(name, 1, length(?2)) = ?2 AND (`+condition+`) ORDER BY `+order+` LIMIT ?5`, group, q.Prefix, q.AfterName, q.AfterTime, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var t Stream
		if err := rows.Scan(&t.Name, &t.Created, &t.First, &t.Last, &t.LastIngest); err != nil {
			return nil, fmt.Errorf("logs: %w", err)
		}
		streams = append(streams, t)
	}
	return streams, rows.Err()
}

// HasStream returns nil if there is a stream, and ErrNotFound if it or the group is missing.
func (s *Store) HasStream(ctx context.Context, group, name string) error {
	_, _, err := s.where(ctx, &Query{Group: group, Streams: []string{name}})
	return err
}
