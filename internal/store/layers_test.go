package store_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"serin"
	"serin/internal/store"
	"serin/internal/store/storetest"
)

// TestLayers holds the two engines to one behaviour.
func TestLayers(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { conformLayers(t, sqliteDatabase()) })
	t.Run("postgres", func(t *testing.T) { conformLayers(t, postgresDatabase(storetest.StartPostgres(t))) })
}

func conformLayers(t *testing.T, d database) {
	t.Helper()
	for name, run := range map[string]func(suite){
		"Versions": testLayerVersions, "AbortedPublish": testAbortedLayerPublish, "PublishRace": testLayerPublishRace,
		"Policy": testLayerPolicy, "HostileText": testLayerText, "CheckFindsDamage": testCheckFindsLayerDamage, "Migration": testMigration,
	} {
		t.Run(name, func(t *testing.T) { run(suite{T: t, database: d, cfg: d.config(t)}) })
	}
}

// layer builds a layer version of that size.
func layer(name string, size int64) func(int64) (*serin.LayerVersion, error) {
	return func(n int64) (*serin.LayerVersion, error) {
		license := "MIT <>&"
		return &serin.LayerVersion{
			Layer: name, Number: n, Code: serin.Code{SHA256: "c2hh", Size: size, UnzippedSize: 2 * size}, Description: "d",
			License: &license, Runtimes: []string{}, Architectures: []string{"arm64"}, CreatedAt: byTester("").At,
		}, nil
	}
}

func publishLayer(tb testing.TB, s *store.Store, name string, size int64) *serin.LayerVersion {
	tb.Helper()
	v, err := s.PublishLayerVersion(tb.Context(), name, layer(name, size))
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func layerVersions(tb testing.TB, s *store.Store, name string) []*serin.LayerVersion {
	tb.Helper()
	all, err := s.LayerVersions(tb.Context(), name)
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// numbers renders layer versions.
func numbers(all []*serin.LayerVersion) []string {
	var list []string
	for _, v := range all {
		list = append(list, serin.Place{}.LayerVersionARN(v.Layer, v.Number)[len("arn:aws:lambda:::layer:"):])
	}
	return list
}

func layerSize(tb testing.TB, s *store.Store) int64 {
	tb.Helper()
	size, err := s.LayerSize(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return size
}

func testLayerVersions(t suite) {
	s, ctx := open(t, t.cfg), t.Context()
	expect(t, "layers of an empty store", layerVersions(t, s, ""), nil)
	expect(t, "their size", layerSize(t, s), 0)
	_, err := s.LayerVersion(ctx, "a", 1)
	expectErr(t, "a missing layer", err, store.ErrNotFound)

	first := publishLayer(t, s, "b", 100)
	publishLayer(t, s, "a", 1)
	publishLayer(t, s, "b", 10)
	s = reopen(t, s, t.cfg)
	read, err := s.LayerVersion(ctx, "b", 1)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "version 1", read, first)
	_, err = s.LayerVersion(ctx, "b", 3)
	expectErr(t, "a missing version", err, store.ErrNotFound)
	expect(t, "all", numbers(layerVersions(t, s, "")), []string{"a:1", "b:2", "b:1"})
	expect(t, "of b", numbers(layerVersions(t, s, "b")), []string{"b:2", "b:1"})
	expect(t, "of c", numbers(layerVersions(t, s, "c")), nil)
	expect(t, "size", layerSize(t, s), 111)
	expect(t, "changes of functions", lastChange(t, s), 0)

	for range 2 { // the second time there is nothing to delete
		for n := range int64(3) {
			if err := s.DeleteLayerVersion(ctx, "b", n); err != nil {
				t.Error(err)
			}
		}
	}
	expect(t, "after the deletion", numbers(layerVersions(t, s, "")), []string{"a:1"})
	expect(t, "size after the deletion", layerSize(t, s), 1)
	s = reopen(t, s, t.cfg)
	expect(t, "the number after all versions were deleted", publishLayer(t, s, "b", 1).Number, 3)
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
}

func testAbortedLayerPublish(t suite) {
	s := open(t, t.cfg)
	refusal := serin.Errorf(serin.KindInvalid, "no")
	_, err := s.PublishLayerVersion(t.Context(), "a", func(int64) (*serin.LayerVersion, error) { return nil, refusal })
	if e, ok := errors.AsType[*serin.Error](err); !ok || e != refusal {
		t.Errorf("error %v, want %v", err, refusal)
	}
	if _, err := s.PublishLayerVersion(t.Context(), "a", layer("b", 1)); err == nil {
		t.Error("a layer version was saved under a name that is not its own")
	}
	expect(t, "the number after publishes that failed", publishLayer(t, s, "a", 1).Number, 1)
}

func testLayerPublishRace(t suite) {
	s := open(t, t.cfg)
	var mu sync.Mutex
	var given []int64
	if err := together(func(int) error {
		v, err := s.PublishLayerVersion(t.Context(), "a", layer("a", 1))
		if err == nil {
			mu.Lock()
			given = append(given, v.Number)
			mu.Unlock()
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(given)
	for i, n := range given {
		if n != int64(i)+1 {
			t.Fatalf("numbers %v", given)
		}
	}
	expect(t, "versions", len(layerVersions(t, s, "a")), len(given))
}

func testLayerPolicy(t suite) {
	s, ctx := open(t, t.cfg), t.Context()
	allow := func(sid string) func(*serin.LayerVersion) (*serin.LayerVersion, error) {
		return func(v *serin.LayerVersion) (*serin.LayerVersion, error) {
			next, _, err := v.AddPermission(byTester(""), "arn", "", serin.Statement{SID: sid, Principal: "*", Action: "lambda:GetLayerVersion"})
			return next, err
		}
	}
	expectErr(t, "a policy of a missing version", s.UpdateLayerVersion(ctx, "a", 1, allow("x")), store.ErrNotFound)
	publishLayer(t, s, "a", 5)
	for _, sid := range []string{"x", "y"} {
		if err := s.UpdateLayerVersion(ctx, "a", 1, allow(sid)); err != nil {
			t.Fatal(err)
		}
	}
	err := s.UpdateLayerVersion(ctx, "a", 1, allow("x"))
	if e, ok := errors.AsType[*serin.Error](err); !ok || e.Kind != serin.KindConflict {
		t.Errorf("the same statement again: error %v", err)
	}
	s = reopen(t, s, t.cfg)
	v, err := s.LayerVersion(ctx, "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	var sids []string
	for _, st := range v.Policy.Statements {
		sids = append(sids, st.SID)
	}
	expect(t, "statements", sids, []string{"x", "y"})
	expect(t, "size", layerSize(t, s), 5)
}

func testLayerText(t suite) {
	s, ctx := open(t, t.cfg), t.Context()
	for _, name := range []string{"a'b", `a"b`, "a;--", "ä", "%", "_"} {
		expect(t, "the number of a new layer", publishLayer(t, s, name, 1).Number, 1)
		expect(t, name, len(layerVersions(t, s, name)), 1)
	}
	for _, name := range []string{"a\x00", "\xff"} {
		if _, err := s.PublishLayerVersion(ctx, name, layer(name, 1)); err == nil {
			t.Errorf("layer %q was published", name)
		}
		_, err := s.LayerVersion(ctx, name, 1)
		expectErr(t, name, err, store.ErrNotFound)
		expectErr(t, name, s.UpdateLayerVersion(ctx, name, 1, nil), store.ErrNotFound)
		expect(t, name, layerVersions(t, s, name), nil)
		if err := s.DeleteLayerVersion(ctx, name, 1); err != nil {
			t.Error(err)
		}
	}
}

func testCheckFindsLayerDamage(t suite) {
	s := open(t, t.cfg)
	for _, statement := range []string{
		`UPDATE layer_versions SET document = '{'`,
		`UPDATE layer_versions SET document = '{"layer":"a","number":2}'`,
		`UPDATE layers SET last_version = 0`,
	} {
		publishLayer(t, s, "a", 1)
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.tamper(t, t.cfg, statement)
		expectErr(t, statement, s.Check(t.Context()), store.ErrCorrupt)
		t.tamper(t, t.cfg, `DELETE FROM layer_versions`)
		t.tamper(t, t.cfg, `DELETE FROM layers`)
	}
}

// testMigration opens a database that was written before there were layers.
func testMigration(t suite) {
	s := open(t, t.cfg)
	f := create(t, s, "f")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, table := range newerTables(t) {
		t.tamper(t, t.cfg, `DROP TABLE `+table)
	}
	t.tamper(t, t.cfg, map[string]string{
		"sqlite": `PRAGMA user_version = 1`, "pgx": `DELETE FROM schema_version; INSERT INTO schema_version (version) VALUES (1)`,
	}[t.driver])
	s = open(t, t.cfg)
	expect(t, "functions", everything(t, s), map[string]*serin.Function{"f": f})
	if got := strings.Join(numbers([]*serin.LayerVersion{publishLayer(t, s, "a", 1)}), ""); got != "a:1" {
		t.Errorf("published %s", got)
	}
}

// newerTables returns the tables that schema version 1 does not have, those that refer to others first.
func newerTables(t suite) []string {
	t.Helper()
	name, query := t.cfg.Database, `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`
	if t.driver == "sqlite" {
		name, query = filepath.Join(t.cfg.Dir, "serin.db"), `SELECT name FROM sqlite_master WHERE type = 'table'`
	}
	db, err := sql.Open(t.driver, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var newer []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains([]string{"functions", "versions", "aliases", "moves", "changes", "feed", "releases", "schema_version"}, table) {
			newer = append(newer, table)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(newer, func(a, b string) int { return len(b) - len(a) }) // layer_versions before layers
	return newer
}
