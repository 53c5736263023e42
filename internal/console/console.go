package console

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"serin/internal/alarm"
	"serin/internal/cloudwatch"
	"serin/internal/cloudwatchlogs"
	"serin/internal/invoke"
	"serin/internal/overview"
	"serin/internal/sandbox"
)

// Prefix is the path under which the console lives.
const Prefix = "/console/"

// Config is what a [Console] works with.
type Config struct {
	Overview *overview.Reader
	Metrics  *cloudwatch.Service
	Logs     *cloudwatchlogs.Service
	Alarms   *alarm.Service
	Invoke   func(context.Context, *invoke.Request) (*invoke.Response, error)
	// Secret returns the secret of an access key, and Name what histories call its holder, "" for the key itself.
	Secret func(accessKeyID string) (secret string, ok bool)
	Name   func(accessKeyID string) string
	// NoAuth, if set, says that nobody has to log in, and which requests are refused even so. Anonymous is then the actor.
	NoAuth    func(*http.Request) error
	Anonymous string
	// Endpoint is where the server is reached, and Region what its ARNs carry.
	Endpoint, Region, Account string
	// Protections lists what isolates functions, NoNetwork says why they cannot reach the network.
	Protections func() []sandbox.Protection
	NoNetwork   func() error
	// KeepWarm is how long a version that a release has replaced stays warm.
	KeepWarm time.Duration
	Now      func() time.Time
	// Stopping ends when the server begins to shut down: no stream outlasts it.
	Stopping context.Context
	Log      *slog.Logger
}

// Console serves the pages.
type Console struct {
	Config
	assets   *assets
	views    views
	sessions *sessions
	logins   *loginLimit
	hub      *hub
	series   seriesCache
	handler  http.Handler
}

// New returns a console. Its pages are live while [Console.Run] runs.
func New(cfg Config) (*Console, error) {
	c := &Console{Config: cfg, sessions: newSessions(cfg.Now), logins: newLoginLimit(cfg.Now)}
	var err error
	if c.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if c.views, err = parseViews(c.assets); err != nil {
		return nil, err
	}
	c.hub = newHub(cfg.Log)
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, &visit{Request: r}, errForeign)
	}))
	c.handler = secured(origin.Handler(c.routes()))
	return c, nil
}

// Run keeps pages live until the context ends.
func (c *Console) Run(ctx context.Context) error { return c.hub.run(ctx) }

// ServeHTTP implements [http.Handler] for everything below [Prefix].
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// page answers a request of somebody who is logged in.
type page = func(http.ResponseWriter, *visit) error

func (c *Console) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+assetsPath, c.assets)
	mux.HandleFunc("GET "+Prefix+"login", c.showLogin)
	mux.HandleFunc("POST "+Prefix+"login", c.login)
	for pattern, show := range map[string]page{
		"{$}":                            c.showFunctions,
		"functions/{function}":           c.showFunction,
		"functions/{function}/series":    c.serveSeries,
		"functions/{function}/compare":   c.showCompare,
		"releases/{release}":             c.showRelease,
		"releases/{release}/certificate": c.serveCertificate,
		"live":                           c.serveLive,
		"settings":                       c.showSettings,
		"alarms":                         c.showAlarms,
		"functions/{function}/logs":      c.showLogs,
		"{rest...}":                      c.showNothing,
	} {
		mux.Handle("GET "+Prefix+pattern, c.visited(show, false))
	}
	// What can be done: the page that shows it, and what does it.
	for pattern, a := range map[string]struct{ show, do page }{
		"new":                                  {c.showNew, c.create},
		"functions/{function}/aliases":         {c.showAlias, c.saveAlias},
		"functions/{function}/aliases/{alias}": {c.showAlias, c.saveAlias},
		"functions/{function}/aliases/{alias}/rollback": {c.showRollback, c.rollBack},
		"functions/{function}/ship":                     {c.showShip, c.ship},
		"functions/{function}/publish":                  {c.showPublish, c.publish},
		"functions/{function}/configuration":            {c.showConfiguration, c.saveConfiguration},
		"functions/{function}/code":                     {c.showConfiguration, c.saveCode},
		"functions/{function}/test":                     {c.showTest, c.test},
		"releases/{release}/{command}":                  {c.showCommand, c.command},
	} {
		mux.Handle("GET "+Prefix+pattern, c.visited(a.show, false))
		mux.Handle("POST "+Prefix+pattern, c.visited(a.do, true))
	}
	mux.Handle("POST "+Prefix+"logout", c.visited(c.logout, false))
	return mux
}

// secured sets the headers that every answer has.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
			"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
