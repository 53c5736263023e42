package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"serin"
	"serin/internal/api"
	"serin/internal/awsapi"
	"serin/internal/console"
)

// newConsole makes the console, when it is known where the server listens. stopping ends when it begins to shut down.
func (s *server) newConsole(stopping context.Context) error {
	cfg := console.Config{
		Overview: s.overview, Metrics: s.cloudwatch, Logs: s.logsAPI, Alarms: s.alarms, Invoke: s.invoker.Invoke, Secret: s.secret, Name: s.nameOf, Anonymous: awsapi.Anonymous,
		Endpoint: s.endpoint(), Region: s.Region, Account: s.Account, Protections: s.executor.Protections, NoNetwork: s.executor.NoNetwork,
		KeepWarm: s.KeepWarm, Now: time.Now, Stopping: stopping, Log: s.Log,
	}
	if s.Auth == AuthNone {
		cfg.NoAuth = awsapi.RefuseForeignPages
	}
	var err error
	if s.console, err = console.New(cfg); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	return nil
}

// serveConsoleLink answers who asks for a link into the console with their key.
func (s *server) serveConsoleLink(w http.ResponseWriter, r *http.Request) {
	key, actor, body, err := s.auth.Identify(r, maxAPIBody)
	if err != nil {
		awsapi.WriteError(w, err)
		return
	}
	r = r.WithContext(serin.WithActor(r.Context(), actor))
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.console.ServeLink(w, r, key)
}

const consoleLinkPath = api.Prefix + "console/links"

// showsConsole says whether a request is one of a browser for the console, or for where somebody would look for it.
func showsConsole(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, console.Prefix) || wantsConsole(r)
}

// wantsConsole says whether somebody has typed the address of the server into a browser.
func wantsConsole(r *http.Request) bool {
	atRoot := r.URL.Path == "/" || r.URL.Path == strings.TrimSuffix(console.Prefix, "/")
	return r.Method == http.MethodGet && atRoot && r.Header.Get("Authorization") == "" && r.URL.RawQuery == "" &&
		strings.Contains(r.Header.Get("Accept"), "text/html")
}

func (s *server) serveConsole(w http.ResponseWriter, r *http.Request) {
	if wantsConsole(r) {
		http.Redirect(w, r, console.Prefix, http.StatusSeeOther)
		return
	}
	s.console.ServeHTTP(w, r)
}
