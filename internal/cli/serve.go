package cli

import (
	"cmp"
	"log/slog"

	"github.com/spf13/cobra"

	"serin/internal/egress"
	"serin/internal/notify"
	"serin/internal/sandbox"
	"serin/internal/server"
)

func (a *app) serveCommand() *cobra.Command {
	var cfg server.Config
	var verbose, asJSON bool
	var targets []string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a Lambda-compatible server",
		Long: `Serve runs functions on this machine and answers the Lambda API until it is interrupted (Ctrl-C, SIGTERM).
It then finishes running invocations for up to 30 seconds, and leaves no process behind.

--notify tells a URL what happens to releases, as CloudEvents that are signed with $SERIN_WEBHOOK_SECRET; a URL at
hooks.slack.com gets messages for Slack. slack:CHANNEL gets one message per release, edited in place, by the bot whose
token is in $SERIN_SLACK_TOKEN.`,
		Example: "  serin serve --listen 127.0.0.1:0 --data /tmp/serin --ready-file ready.json",
		Args:    arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Data = cmp.Or(cfg.Data, server.DefaultData(a.Getenv))
			for _, text := range targets {
				target, err := notify.ParseTarget(text, notify.Secrets{
					Webhook: a.Getenv("SERIN_WEBHOOK_SECRET"), SlackToken: a.Getenv("SERIN_SLACK_TOKEN"), SlackURL: a.Getenv("SERIN_SLACK_URL"),
				})
				if err != nil {
					return err
				}
				cfg.Notify = append(cfg.Notify, target)
			}
			cfg.WebhookSecret = a.Getenv("SERIN_WEBHOOK_SECRET")
			cfg.OTLP.Getenv = a.Getenv
			level := slog.LevelInfo
			if verbose {
				level = slog.LevelDebug
			}
			options := &slog.HandlerOptions{Level: level}
			cfg.Log = slog.New(slog.NewTextHandler(a.Stderr, options))
			if asJSON {
				cfg.Log = slog.New(slog.NewJSONHandler(a.Stderr, options))
			}
			if err := server.Run(cmd.Context(), cfg, nil); err != nil {
				return &exitError{code: exitCode(err), err: err} // also after an interruption, which alone is no error
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Listen, "listen", "127.0.0.1:4750", "address; port 0 picks a free port")
	f.StringVar(&cfg.Data, "data", "", "data directory (default $XDG_DATA_HOME/serin or ~/.local/share/serin)")
	f.StringVar(&cfg.Database, "database", "", "postgres:// URL of a shared store (default SQLite in the data directory)")
	f.BoolVar(&cfg.AllowUnsafeCommit, "allow-unsafe-commit", false, "accept a database that acknowledges before it has synced")
	f.StringVar(&cfg.Region, "region", defaultRegion, "region that ARNs carry")
	f.StringVar(&cfg.Account, "account", defaultAccount, "account that ARNs carry")
	f.StringVar(&cfg.ReadyFile, "ready-file", "", "write the endpoint and the credentials to `FILE` once requests are served")
	f.StringVar(&cfg.Auth, "auth", server.AuthSigV4, "sigv4, or none on a loopback address")
	f.TextVar(&cfg.Network, "network", egress.Policy{}, "what functions may connect to: none, public, all, and rules such as public,allow=10.0.0.0/8:5432")
	f.StringVar((*string)(&cfg.Isolation), "isolation", string(sandbox.IsolationAuto), "auto, require (refuse to start if a protection is missing), or none")
	f.StringVar(&cfg.Metrics, "metrics", server.MetricsToken, "who may read /metrics: token (in the file metrics-token of the data directory), open (everybody), or off")
	f.StringVar(&cfg.OTLP.URL, "otlp", "", "send spans and metrics to the OpenTelemetry collector at `URL`, such as http://127.0.0.1:4318 (default $OTEL_EXPORTER_OTLP_ENDPOINT, else none)")
	f.IntVar(&cfg.Concurrency, "concurrency", 0, "how many invocations may run at a time, as the limit of an AWS account (default 1000)")
	f.Int64Var(&cfg.MaxObject, "max-object", 0, "the largest object that S3 takes, in bytes (default 5 GiB)")
	f.BoolVar(&cfg.LenientTemplates, "lenient-templates", false, "accept alias weights in templates also as the map of Lambda's API, with a warning in the event; AWS refuses such templates")
	f.DurationVar(&cfg.QueueWait, "queue-wait", 0, "let an invocation beyond a concurrency limit wait for its turn this long; 0s answers 429 at once, as AWS does")
	f.DurationVar(&cfg.KeepWarm, "keep-warm", server.DefaultKeepWarm, "how long a version that a release has replaced stays warm for a rollback")
	f.IntVar(&cfg.KeepVersions, "keep-versions", 0, "every hour, remove versions but the newest `N` of each function and what a rollback needs: see serin prune (default all stay)")
	f.DurationVar(&cfg.LogRetention, "log-retention", server.DefaultLogRetention, "how long log events are kept, unless their group has a retention of its own; 0s keeps them for ever")
	f.Int64Var(&cfg.LogSize, "log-size", server.DefaultLogSize, "what all log events may take on disk, in bytes; the oldest go first; 0 for no bound")
	f.StringArrayVar(&targets, "notify", nil, "tell a `TARGET` what happens to releases: a URL, or slack:CHANNEL; may be repeated")
	f.BoolVarP(&verbose, "verbose", "v", false, "log more")
	f.BoolVar(&asJSON, "log-json", false, "log as JSON")
	return cmd
}
