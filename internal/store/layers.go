package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"serin"
)

const selectLayerVersion = `SELECT layer, number, document FROM layer_versions`

// PublishLayerVersion saves the layer version that build makes of the next number of the layer, which is 1 for
// a new layer. For build the same holds as for build of [Store.CreateFunction].
//
// Errors: those of every write.
func (s *Store) PublishLayerVersion(ctx context.Context, layer string, build func(number int64) (*serin.LayerVersion, error)) (*serin.LayerVersion, error) {
	if err := checkText("layer name", layer); err != nil {
		return nil, err
	}
	var v *serin.LayerVersion
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		var number int64
		// Of two transactions that publish the same layer one waits here for the other.
		err := queryRow(ctx, t, `INSERT INTO layers (name, last_version) VALUES ($1, 1)
			ON CONFLICT (name) DO UPDATE SET last_version = layers.last_version + 1 RETURNING last_version`, []any{layer}, &number)
		if err != nil {
			return err
		}
		if v, err = build(number); err != nil {
			return err
		}
		return t.saveLayerVersion(ctx, layer, number, v)
	})
	if err != nil {
		return nil, layerErr(layer, err)
	}
	return v, nil
}

// UpdateLayerVersion saves the layer version that change makes of the one there is. For change the same holds
// as for build of [Store.CreateFunction], and it must not change what it gets.
//
// Errors: [ErrNotFound], and those of every write.
func (s *Store) UpdateLayerVersion(ctx context.Context, layer string, number int64, change func(*serin.LayerVersion) (*serin.LayerVersion, error)) error {
	if !isText(layer) {
		return layerErr(layer, ErrNotFound)
	}
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		old, err := layerVersion(ctx, t, t.forUpdate, layer, number)
		if err != nil {
			return err
		}
		v, err := change(old)
		if err != nil {
			return err
		}
		return t.saveLayerVersion(ctx, layer, number, v)
	})
	if err != nil {
		return layerErr(layer, err)
	}
	return nil
}

func (t *tx) saveLayerVersion(ctx context.Context, layer string, number int64, v *serin.LayerVersion) error {
	if v.Layer != layer || v.Number != number {
		return fmt.Errorf("a change may not rename version %d, here to version %d of %q", number, v.Number, v.Layer)
	}
	document, err := encode(v)
	if err == nil {
		_, err = t.ExecContext(ctx, `INSERT INTO layer_versions (layer, number, size, document) VALUES ($1, $2, $3, $4)
			ON CONFLICT (layer, number) DO UPDATE SET document = excluded.document`, layer, number, v.Code.Size, document)
	}
	return err
}

// DeleteLayerVersion removes a layer version. Its number is never given again, and its package stays for the
// functions that use it. One that does not exist is no error.
//
// Errors: those of every write.
func (s *Store) DeleteLayerVersion(ctx context.Context, layer string, number int64) error {
	if !isText(layer) {
		return nil
	}
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.ExecContext(ctx, `DELETE FROM layer_versions WHERE layer = $1 AND number = $2`, layer, number)
		return err
	})
	if err != nil {
		return layerErr(layer, err)
	}
	return nil
}

// LayerVersion returns a layer version.
//
// Errors: [ErrNotFound].
func (s *Store) LayerVersion(ctx context.Context, layer string, number int64) (*serin.LayerVersion, error) {
	if !isText(layer) {
		return nil, layerErr(layer, ErrNotFound)
	}
	v, err := layerVersion(ctx, s.engine.reader(), "", layer, number)
	if err != nil {
		return nil, layerErr(layer, err)
	}
	return v, nil
}

// LayerVersions returns the versions of a layer, or of all layers if the name is empty: by layer, for each the
// newest version first.
func (s *Store) LayerVersions(ctx context.Context, layer string) ([]*serin.LayerVersion, error) {
	if !isText(layer) {
		return nil, nil
	}
	where, args := "", []any(nil)
	if layer != "" {
		where, args = " WHERE layer = $1", []any{layer}
	}
	all, err := layerVersions(ctx, s.engine.reader(), selectLayerVersion+where+` ORDER BY layer, number DESC`, args...)
	if err != nil {
		return nil, fmt.Errorf("read layers: %w", err)
	}
	return all, nil
}

// LayerSize returns the bytes of all layer versions' packages together. Each counts, also if it is the same
// as another.
func (s *Store) LayerSize(ctx context.Context) (int64, error) {
	var total int64
	err := queryRow(ctx, s.engine.reader(), `SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM layer_versions`, nil, &total)
	if err != nil {
		return 0, fmt.Errorf("read layers: %w", err)
	}
	return total, nil
}

func layerVersion(ctx context.Context, q querier, lock, layer string, number int64) (*serin.LayerVersion, error) {
	all, err := layerVersions(ctx, q, selectLayerVersion+` WHERE layer = $1 AND number = $2`+lock, layer, number)
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func layerVersions(ctx context.Context, q querier, query string, args ...any) ([]*serin.LayerVersion, error) {
	var all []*serin.LayerVersion
	err := scanAll(ctx, q, query, args, func(rows *sql.Rows) error {
		var layer string
		var number int64
		var document sql.RawBytes
		if err := rows.Scan(&layer, &number, &document); err != nil {
			return err
		}
		v := &serin.LayerVersion{}
		if err := decode(document, v); err != nil {
			return fmt.Errorf("version %d of layer %q: %w", number, layer, err)
		}
		if v.Layer != layer || v.Number != number {
			return fmt.Errorf("%w: the document of version %d of layer %q is that of another one", ErrCorrupt, number, layer)
		}
		all = append(all, v)
		return nil
	})
	return all, err
}

// checkLayers decodes every layer version.
func (s *Store) checkLayers(ctx context.Context) error {
	_, err := s.LayerVersions(ctx, "")
	var beyond int64
	lost := queryRow(ctx, s.engine.reader(), `SELECT COUNT(*) FROM layer_versions v JOIN layers l ON l.name = v.layer
		WHERE v.number > l.last_version`, nil, &beyond)
	if lost == nil && beyond > 0 {
		lost = fmt.Errorf("%w: %d layer versions have numbers that were never given", ErrCorrupt, beyond)
	}
	return errors.Join(err, lost)
}

func layerErr(layer string, err error) error { return fmt.Errorf("layer %q: %w", layer, err) }
