package server

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"serin"
	"serin/internal/exposition"
)

// Who may read /metrics.
const (
	MetricsToken = "token" // whoever has the token of the data directory, or signs the request
	MetricsOpen  = "open"  // everybody who reaches the port
	MetricsOff   = "off"   // nobody
)

const (
	metricsPath = "/metrics"
	tokenFile   = "metrics-token"
)

func checkMetrics(who string) error {
	switch who {
	case "", MetricsToken, MetricsOpen, MetricsOff:
		return nil
	default:
		return serin.Errorf(serin.KindInvalid, "--metrics %s: want %s, %s or %s", who, MetricsToken, MetricsOpen, MetricsOff)
	}
}

// expose shows what was counted to those who scrape it and to a collector.
func (s *server) expose(ctx context.Context) (err error) {
	shown := exposition.New(exposition.Config{
		Table: s.table, Recorder: s.recorder, Executor: s.executor, Releases: s.releases, Events: s.events, Commits: s.commits,
		Concurrency: s.Concurrency, Now: time.Now, Log: s.Log,
	})
	if s.scrape, err = s.scrapes(shown.Handler()); err != nil {
		return err
	}
	return s.tracer.Export(ctx, shown)
}

// releaseOf returns the id of the release that watches an alias, "" for none.
func (s *server) releaseOf(function, alias string) string {
	if r := s.releases.Active(function, alias); r != nil {
		return r.ID
	}
	return ""
}

// scrapes answers /metrics, nil if nobody may read it.
func (s *server) scrapes(page http.Handler) (http.Handler, error) {
	if s.Metrics == MetricsOff {
		return nil, nil
	}
	if s.Metrics == MetricsOpen {
		return page, nil
	}
	token, err := loadToken(filepath.Join(s.Data, tokenFile))
	if err != nil {
		return nil, err
	}
	signed := s.auth.Wrap(page, 0)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case bearer && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1:
			page.ServeHTTP(w, r)
		case bearer, r.Header.Get("Authorization") == "" && r.URL.RawQuery == "" && s.Auth == AuthSigV4:
			w.Header().Set("WWW-Authenticate", `Bearer realm="serin metrics"`)
			http.Error(w, "Send the token that is in the file "+tokenFile+" of the server's data directory: Authorization: Bearer TOKEN. serve --metrics open lets everybody read.", http.StatusUnauthorized)
		default:
			signed.ServeHTTP(w, r)
		}
	}), nil
}

// loadToken reads the token of scrapers, or makes one that only the owner can read. Whoever replaces the file
// replaces the token at the next start.
func loadToken(name string) (string, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte(rand.Text())
		err = writeFile(name, append(text, '\n'))
	}
	token := strings.TrimSpace(string(text))
	if err != nil {
		return "", fmt.Errorf("token of /metrics: %w", err)
	}
	if len(token) < 16 {
		return "", fmt.Errorf("token of /metrics: %s is damaged; remove it to get a new one", name)
	}
	return token, nil
}
