// Package storetest gives tests a real PostgreSQL server, and each of them a schema of its own. The server is
// started for the test as a throw-away cluster, unless the environment names one. Only tests import it.
package storetest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing" //nolint:depguard // this package is for tests only

	"github.com/jackc/pgx/v5"
)

// Variable names the environment variable with the URL of a PostgreSQL server to use instead of starting one.
// Its user must be allowed to create schemas.
const Variable = "SERIN_TEST_POSTGRES"

// Postgres is a PostgreSQL server for tests.
type Postgres struct{ url string }

// StartPostgres returns the server that the environment names, or starts one that ends with the test, or
// skips the test and says why.
func StartPostgres(tb testing.TB) *Postgres {
	tb.Helper()
	if given := os.Getenv(Variable); given != "" { //nolint:forbidigo // how CI names its server
		return &Postgres{url: given}
	}
	bin, err := binaries()
	if err != nil {
		if os.Getenv("SERIN_TEST_STRICT") != "" { //nolint:forbidigo // how CI says that nothing may be missing
			tb.Fatalf("PostgreSQL cannot be tested: %v", err)
		}
		tb.Skipf("PostgreSQL is not tested: %v; install it, or set %s to the URL of a server", err, Variable)
	}
	p, stop, err := start(tb.Context(), bin)
	if err != nil {
		tb.Fatalf("start PostgreSQL from %s: %v", bin, err)
	}
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Errorf("stop PostgreSQL: %v", err)
		}
	})
	return p
}

// URL returns the URL of a new, empty schema that is dropped at the end of the test.
func (p *Postgres) URL(tb testing.TB) string {
	tb.Helper()
	schema := "test_" + strings.ToLower(rand.Text())
	p.Exec(tb, "CREATE SCHEMA "+schema)
	tb.Cleanup(func() { p.Exec(tb, "DROP SCHEMA "+schema+" CASCADE") })
	u, err := url.Parse(p.url)
	if err != nil {
		tb.Fatalf("%s is not a URL", Variable)
	}
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	return u.String()
}

// Exec runs a statement as the administrator of the server.
func (p *Postgres) Exec(tb testing.TB, statement string) {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	conn, err := pgx.Connect(ctx, p.url)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		tb.Fatalf("%s: %v", statement, err)
	}
}

// binaries returns the directory of the newest server that is installed. Debian has one per version, and
// none of them in the PATH.
func binaries() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errors.New("there is no postgres in the PATH or under /usr/lib/postgresql")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// start makes a new cluster that listens on a Unix socket in its own directory, so that no two of them can
// meet. It returns how to stop the server and remove everything.
func start(ctx context.Context, bin string) (_ *Postgres, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "serin-postgres-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	account, err := unprivileged(dir)
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata="+data, "--username=postgres",
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = dir, account
	if output, err := initdb.CombinedOutput(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("initdb: %w\n%s", err, output), remove())
	}
	end, err := serve(dir, account, filepath.Join(bin, "postgres"), "-D", data, "-k", dir,
		"-c", "listen_addresses=", "-c", "max_connections=200", "-c", "fsync=on")
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: url.Values{"host": {dir}}.Encode()}
	return &Postgres{url: u.String()}, func() error { return errors.Join(end(), remove()) }, nil
}

// serve starts the server and waits until it says that it is ready. The shell in between stops it when its
// standard input ends, and so even when the test is killed.
func serve(dir string, account *syscall.SysProcAttr, command ...string) (stop func() error, err error) {
	shell := exec.Command("/bin/sh", //nolint:noctx // it ends with stop
		append([]string{"-c", `"$@" & server=$!; read -r _; kill -INT $server; wait $server`, "sh"}, command...)...)
	shell.Dir, shell.SysProcAttr = dir, account
	hold, err := shell.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := shell.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := shell.Start(); err != nil {
		return nil, err
	}
	var said bytes.Buffer
	lines := bufio.NewReader(io.TeeReader(output, &said))
	for {
		line, err := lines.ReadString('\n')
		if strings.Contains(line, "ready to accept connections") {
			break
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("the server ended: %s", said.Bytes()), hold.Close(), shell.Wait())
		}
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		io.Copy(io.Discard, output)
	}()
	return func() error {
		err := hold.Close()
		<-drained
		return errors.Join(err, shell.Wait())
	}, nil
}

// unprivileged gives a directory to an account that may run a server, which root may not, and returns the
// attributes of its processes.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		if account, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}
