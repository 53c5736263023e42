package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"serin"
	"serin/internal/store"
	"serin/internal/store/storetest"
)

func testDirectoryInUse(t suite) {
	s := open(t, t.cfg)
	_, err := store.Open(t.Context(), t.cfg)
	if err == nil || !strings.Contains(err.Error(), t.cfg.Dir) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("a second server in one directory: error %v, want one that names the directory and the process", err)
	}
	create(t, s, "f") // the first one goes on
	s = reopen(t, s, t.cfg)
	expect(t, "functions", names(everything(t, s)), []string{"f"})
}

func testCheckFindsDamage(t suite) {
	d := t.database
	for what, statement := range map[string]string{
		"a lost change":                   `DELETE FROM changes WHERE seq = 1`,
		"a lost version":                  `DELETE FROM versions WHERE number = 1`,
		"a version of a deleted function": `UPDATE functions SET document = NULL`,
		"a broken document":               `UPDATE versions SET document = '{'`,
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			cfg := d.config(t)
			s := open(t, cfg)
			create(t, s, "f")
			update(t, s, "f", both(publish, route("live", 1, serin.CauseManual)))
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			d.tamper(t, cfg, statement)
			expectErr(t, what, s.Check(t.Context()), store.ErrCorrupt)
		})
	}
}

func testNewerSchema(t suite) {
	cfg := t.cfg
	if err := open(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	statement := `INSERT INTO schema_version (version) VALUES (1000)`
	if t.driver == "sqlite" {
		statement = `PRAGMA user_version = 1000`
	}
	t.tamper(t, cfg, statement)
	if _, err := store.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "run a newer server") {
		t.Errorf("a database of a newer server: error %v", err)
	}
}

func testCorruptDocument(t suite) {
	d := t.database
	for what, statement := range map[string]string{
		"not JSON":         `UPDATE versions SET document = '{'`,
		"another version":  `UPDATE versions SET document = '{"number":"7"}'`,
		"another function": `UPDATE functions SET document = '{"name":"g"}'`,
		"no $LATEST":       `UPDATE functions SET document = '{"name":"f"}'`,
		"not an alias":     `UPDATE aliases SET document = '[]'`,
		"a gap in feed":    `UPDATE changes SET seq = 5 WHERE seq = 2`,
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			cfg := d.config(t)
			s := open(t, cfg)
			create(t, s, "f")
			update(t, s, "f", both(publish, route("live", 1, serin.CauseManual)))
			s.Close()
			d.tamper(t, cfg, statement)
			s = open(t, cfg)
			_, err := s.Function(t.Context(), "f")
			for _, all := range s.Functions(t.Context()) {
				err = errors.Join(err, all)
			}
			for c, feed := range s.Changes(t.Context(), 0) {
				if err = errors.Join(err, feed); c.Seq == 2 {
					break
				}
			}
			expectErr(t, what, err, store.ErrCorrupt)
		})
	}
}

// TestOpenRefuses covers configurations that cannot work. Their errors must help, and keep secrets.
func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, cfg := range map[string]store.Config{
		"another database":         {Dir: t.TempDir(), Database: "mysql://root:secret@localhost/serin"},
		"a URL without a server":   {Dir: t.TempDir(), Database: "postgres://serin:secret@127.0.0.1:1/serin?connect_timeout=2"},
		"a URL that is none":       {Dir: t.TempDir(), Database: "postgres://serin:secret@host:port/serin"},
		"a directory under a file": {Dir: filepath.Join(file, "dir")},
		"a file":                   {Dir: file},
	} {
		s, err := store.Open(t.Context(), cfg)
		if err == nil {
			s.Close()
			t.Errorf("%s: no error", what)
			continue
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error gives the password away: %v", what, err)
		}
	}
}

// TestOpenAgain opens one directory again after an open that failed half-way.
func TestOpenAgain(t *testing.T) {
	dir := t.TempDir()
	if _, err := store.Open(t.Context(), store.Config{Dir: dir, Database: "mysql://"}); err == nil {
		t.Fatal("no error")
	}
	open(t, store.Config{Dir: dir})
}

func TestDirectoryNames(t *testing.T) {
	for _, name := range []string{"with space", "a?b=c", "100%", "%20", "a#b", "é", `quote'"`, "semi;colon&and=?_pragma=synchronous(0)"} {
		cfg := store.Config{Dir: filepath.Join(t.TempDir(), name, "deeper")}
		s := open(t, cfg)
		f := create(t, s, "f")
		for file, mode := range map[string]os.FileMode{"": 0o700, "serin.db": 0o600, "serin.db-wal": 0o600, "lock": 0o600} {
			info, err := os.Stat(filepath.Join(cfg.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			expect(t, name+" "+file, info.Mode().Perm(), mode)
		}
		s = reopen(t, s, cfg)
		expect(t, name, everything(t, s), map[string]*serin.Function{"f": f})
	}
}

// TestDamagedFile overwrites the last quarter of a SQLite file.
func TestDamagedFile(t *testing.T) {
	cfg := store.Config{Dir: t.TempDir()}
	s := open(t, cfg)
	for i := range 300 {
		create(t, s, fmt.Sprint("f", i))
	}
	s.Close()
	if left, err := filepath.Glob(filepath.Join(cfg.Dir, "serin.db-*")); err != nil || left != nil {
		t.Errorf("Close left %v behind, so SQLite has not closed its files", left)
	}
	path := filepath.Join(cfg.Dir, "serin.db")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	from := len(data) / 4 * 3 / 4096 * 4096
	copy(data[from:], bytes.Repeat([]byte{0xa5}, len(data)-from))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	if err := s.Check(t.Context()); err == nil {
		t.Error("the damage was not found")
	}
}

// TestUnsafeCommit asks PostgreSQL for acknowledgements before the sync.
func TestUnsafeCommit(t *testing.T) {
	p := storetest.StartPostgres(t)
	cfg := postgresDatabase(p).config(t)
	safe := cfg.Database
	cfg.Database = safe + "&synchronous_commit=off"
	if _, err := store.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "synchronous_commit=off") {
		t.Errorf("error %v, want one that names the setting", err)
	}
	cfg.AllowUnsafeCommit = true
	s := open(t, cfg)
	create(t, s, "f")

	// A setting that changes later is noticed by the next connection.
	cfg = store.Config{Dir: t.TempDir(), Database: safe}
	s = open(t, cfg)
	p.Exec(t, `ALTER ROLE CURRENT_USER SET synchronous_commit = off`)
	t.Cleanup(func() { p.Exec(t, `ALTER ROLE CURRENT_USER RESET synchronous_commit`) })
	s.Close()
	if _, err := store.Open(t.Context(), cfg); err == nil {
		t.Error("the changed setting of the server was not noticed")
	}
}
