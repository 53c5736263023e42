package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"serin"
	"serin/internal/store"
	"serin/internal/store/storetest"
)

// database is an engine under test.
type database struct {
	driver string
	// config returns a new data directory and an empty database.
	config func(testing.TB) store.Config
}

func sqliteDatabase() database {
	return database{"sqlite", func(tb testing.TB) store.Config {
		tb.Helper()
		return store.Config{Dir: tb.TempDir()}
	}}
}

func postgresDatabase(p *storetest.Postgres) database {
	return database{"pgx", func(tb testing.TB) store.Config {
		tb.Helper()
		return store.Config{Dir: tb.TempDir(), Database: p.URL(tb)}
	}}
}

// tamper changes the database behind the store's back.
func (d database) tamper(tb testing.TB, cfg store.Config, statement string) {
	tb.Helper()
	name := cfg.Database
	if d.driver == "sqlite" {
		name = filepath.Join(cfg.Dir, "serin.db")
	}
	db, err := sql.Open(d.driver, name)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(tb.Context(), statement); err != nil {
		tb.Fatalf("%s: %v", statement, err)
	}
}

// suite is one test of an engine: what it has, and an empty place for a store.
type suite struct {
	*testing.T
	database
	cfg store.Config
}

// TestConformance holds the two engines to one behaviour.
func TestConformance(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { conform(t, sqliteDatabase()) })
	t.Run("postgres", func(t *testing.T) { conform(t, postgresDatabase(storetest.StartPostgres(t))) })
}

func conform(t *testing.T, d database) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(suite)
	}{
		{"Create", testCreate},
		{"Update", testUpdate},
		{"UpdateKeepsIdentity", testUpdateKeepsIdentity},
		{"AbortedChange", testAbortedChange},
		{"Panic", testPanic},
		{"NumbersAreNeverReused", testNumbersAreNeverReused},
		{"Delete", testDelete},
		{"History", testHistory},
		{"Restart", testRestart},
		{"HostileText", testHostileText},
		{"RefusedText", testRefusedText},
		{"Cancellation", testCancellation},
		{"Close", testClose},
		{"OneFunctionManyWriters", testOneFunctionManyWriters},
		{"ManyFunctionsManyWriters", testManyFunctionsManyWriters},
		{"CreateRace", testCreateRace},
		{"Releases", testReleases},
		{"ReleaseLists", testReleaseLists},
		{"ReleaseRace", testReleaseRace},
		{"Feed", testFeed},
		{"FeedLatency", testFeedLatency},
		{"FeedLongBacklog", testFeedLongBacklog},
		{"Blobs", testBlobs},
		{"DamagedBlob", testDamagedBlob},
		{"BlobLeftovers", testBlobLeftovers},
		{"DirectoryInUse", testDirectoryInUse},
		{"Crash", testCrash},
		{"CheckFindsDamage", testCheckFindsDamage},
		{"NewerSchema", testNewerSchema},
		{"CorruptDocument", testCorruptDocument},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(suite{T: t, database: d, cfg: d.config(t)}) })
	}
}

func open(tb testing.TB, cfg store.Config) *store.Store {
	tb.Helper()
	s, err := store.Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// reopen restarts the server, as far as the store is concerned.
func reopen(tb testing.TB, s *store.Store, cfg store.Config) *store.Store {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	return open(tb, cfg)
}

var place = serin.Place{Region: "eu-west-1", Account: "123456789012"}

func byTester(cause serin.Cause) serin.Change {
	return serin.Change{
		At: time.Date(2025, 11, 30, 12, 0, 0, 123456789, time.UTC), Actor: "AKIATESTER", Cause: cause,
		Reason: "a test", NewRevision: uuid.NewString,
	}
}

func configuration() serin.Configuration {
	return serin.Configuration{
		Description: "v", Runtime: "provided.al2023", Handler: "bootstrap", Role: "arn:aws:iam::123456789012:role/r",
		MemorySize: 128, Timeout: 3, EphemeralStorage: 512, Environment: map[string]string{"TABLE": "orders", "STAGE": "live"},
		Architecture: "x86_64", TracingMode: "PassThrough", SnapStart: "None",
		Logging: serin.Logging{Format: "Text", Group: "/aws/lambda/f"},
	}
}

// build returns what CreateFunction builds: a function without versions.
func build(name string) func(serin.VersionNumber) (*serin.Function, error) {
	return func(last serin.VersionNumber) (*serin.Function, error) {
		return serin.NewFunction(byTester(serin.CauseManual), place, name, configuration(),
			serin.Code{SHA256: "c2hh", Size: 7}, map[string]string{"team": "shop"}, last), nil
	}
}

func create(tb testing.TB, s *store.Store, name string) *serin.Function {
	tb.Helper()
	f, _, err := s.CreateFunction(tb.Context(), name, build(name))
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func update(tb testing.TB, s *store.Store, name string, change func(*serin.Function) error) *serin.Function {
	tb.Helper()
	f, _, err := s.UpdateFunction(tb.Context(), name, change)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// publish is a change that publishes a new version.
func publish(f *serin.Function) error {
	f.Settle(byTester(serin.CauseManual), "")
	if err := f.UpdateConfiguration(byTester(serin.CauseManual), func(c *serin.Configuration) { c.MemorySize++ }, ""); err != nil {
		return err
	}
	f.Settle(byTester(serin.CauseManual), "")
	_, err := f.PublishVersion(byTester(serin.CauseManual), serin.Publication{})
	return err
}

// route is a change that points an alias, which it creates if need be.
func route(alias string, v serin.VersionNumber, cause serin.Cause) func(*serin.Function) error {
	return func(f *serin.Function) error {
		up := serin.AliasUpdate{Version: &v}
		if f.Aliases[alias] == nil {
			_, err := f.CreateAlias(byTester(cause), alias, up)
			return err
		}
		_, err := f.UpdateAlias(byTester(cause), alias, up)
		return err
	}
}

// both is one change out of several.
func both(changes ...func(*serin.Function) error) func(*serin.Function) error {
	return func(f *serin.Function) error {
		for _, change := range changes {
			if err := change(f); err != nil {
				return err
			}
		}
		return nil
	}
}

// everything returns all functions by name.
func everything(tb testing.TB, s *store.Store) map[string]*serin.Function {
	tb.Helper()
	all := map[string]*serin.Function{}
	for f, err := range s.Functions(tb.Context()) {
		if err != nil {
			tb.Fatal(err)
		}
		if all[f.Name] != nil {
			tb.Fatalf("function %q came twice", f.Name)
		}
		all[f.Name] = f
	}
	return all
}

// ignoreMoves ignores what a function remembers for the store to write.
func ignoreMoves() cmp.Option {
	return cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".moves" }, cmp.Ignore())
}

func expect[T any](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if diff := cmp.Diff(want, got, ignoreMoves()); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func expectErr(tb testing.TB, what string, got, want error) {
	tb.Helper()
	if !errors.Is(got, want) {
		tb.Errorf("%s: error %v, want %v", what, got, want)
	}
}

func lastChange(tb testing.TB, s *store.Store) int64 {
	tb.Helper()
	seq, err := s.LastChange(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return seq
}

func history(tb testing.TB, s *store.Store, function, alias string, newest int) []serin.Move {
	tb.Helper()
	moves, err := s.History(tb.Context(), function, alias, newest)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range moves[:max(len(moves), 1)-1] {
		if moves[i].Seq >= moves[i+1].Seq {
			tb.Errorf("moves are not ascending: %d before %d", moves[i].Seq, moves[i+1].Seq)
		}
	}
	return moves
}

// targets renders where moves went to.
func targets(moves []serin.Move) []string {
	var all []string
	for _, m := range moves {
		to := "nowhere"
		if m.To != nil {
			to = m.To.Version.String()
		}
		all = append(all, fmt.Sprintf("%s→%s", m.Alias, to))
	}
	return all
}

func names(all map[string]*serin.Function) []string { return slices.Sorted(maps.Keys(all)) }
