package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"serin"
	"serin/internal/api"
	"serin/internal/server"
)

const (
	demoRate     = 400.0 // requests per second
	demoInFlight = 4     // few, for small machines: each may start a process
	demoWithin   = 55 * time.Second
	demoFailures = 0.2 // of the requests to the bad version
)

// demoVersion is a version of the demo's function.
type demoVersion struct {
	message  string
	settings demoSettings
	want     int // exit code of shipping it
}

// demoSettings are a file in the package, so that every version has other code.
type demoSettings struct {
	Greeting string  `json:"greeting"`
	Failures float64 `json:"failures"`
}

// demoReport is what demo --json prints.
type demoReport struct {
	Runtime  string                 `json:"runtime"`
	Releases []*api.ReleaseDocument `json:"releases"`
	Requests int                    `json:"requests"`
	Failed   int                    `json:"failed"`
}

func (a *app) demoCommand() *cobra.Command {
	var verbose, asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch a good version being promoted and a bad one rolled back",
		Long: `Demo starts a throw-away server on this machine, ships a first version of a function, a good second one and
a bad third one, with real traffic through the alias, and tells what happens. It leaves nothing behind.`,
		Example: "  serin demo",
		Args:    arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			story := a.Stdout
			if asJSON {
				story = a.Stderr
			}
			report, err := a.demo(cmd.Context(), story, verbose)
			if err == nil && asJSON {
				return a.printDocument(report)
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the log of the server, too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the releases; the story goes to standard error")
	return cmd
}

// demo runs the demonstration in a directory that it removes.
func (a *app) demo(ctx context.Context, story io.Writer, verbose bool) (report *demoReport, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, demoWithin, fmt.Errorf("the demo took longer than %s; is this machine very busy?", demoWithin))
	defer cancel()
	dir, err := os.MkdirTemp("", "serin-demo-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l, err := demoLanguage()
	if err != nil {
		return nil, err
	}
	project := filepath.Join(dir, "hello")
	if err := writeDemo(ctx, project, l); err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	if verbose {
		log = slog.New(slog.NewTextHandler(a.Stderr, nil))
	}
	conn, stop, err := startServer(ctx, filepath.Join(dir, "data"), log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	fmt.Fprintf(story, "A throw-away server answers at %s. Its function hello runs on this machine's %s.\n", conn.endpoint, l.interpreter)
	report, err = a.tell(ctx, conn, story, project, l)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return report, err
}

// demoLanguage returns the first language that can run here.
func demoLanguage() (language, error) {
	for _, l := range languages() {
		if _, err := exec.LookPath(l.interpreter); err == nil {
			return l, nil
		}
	}
	return language{}, errors.New("the demo needs python3, node or go on this machine")
}

// writeDemo writes the function without its settings. Go has to be compiled first, once for all versions.
func writeDemo(ctx context.Context, project string, l language) error {
	files, err := rendered("templates/demo/"+l.name, nil)
	if err != nil {
		return err
	}
	if l.name != "go" {
		return writeFiles(project, files, false)
	}
	source := project + "-source"
	if err := errors.Join(writeFiles(source, files, false), os.MkdirAll(project, 0o755)); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(project, "bootstrap"), ".")
	cmd.Dir, cmd.Env = source, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile the demo's function: %w\n%s", err, out)
	}
	return nil
}

// startServer runs a server in this process. stop ends it and waits until it has ended.
func startServer(ctx context.Context, data string, log *slog.Logger) (conn *connection, stop func() error, err error) {
	// An interruption ends the demo first, and the server when the demo has put its traffic back.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ready, ended := make(chan server.Ready, 1), make(chan error, 1)
	go func() {
		ended <- server.Run(running, server.Config{
			Listen: "127.0.0.1:0", Data: data, Region: defaultRegion, Account: defaultAccount, Auth: server.AuthSigV4, Log: log,
		}, func(r server.Ready) { ready <- r })
	}()
	select {
	case r := <-ready:
		keys := aws.Credentials{AccessKeyID: r.AccessKeyID, SecretAccessKey: r.SecretAccessKey}
		return newConnection(r.Endpoint, r.Region, r.Account, keys), func() error { cancel(); return <-ended }, nil
	case err := <-ended:
		cancel()
		return nil, nil, errors.Join(err, errors.New("the server did not start"))
	case <-ctx.Done():
		cancel()
		return nil, nil, errors.Join(context.Cause(ctx), <-ended)
	}
}

// tell ships three versions and tells the story.
func (a *app) tell(ctx context.Context, conn *connection, story io.Writer, project string, l language) (*demoReport, error) {
	report := &demoReport{Runtime: l.runtime}
	requests := &traffic{rate: demoRate, inFlight: demoInFlight}
	var stop func() string
	began := time.Now()
	for i, v := range []demoVersion{
		{"first", demoSettings{"Hi", 0}, exitDone},
		{"a warmer greeting", demoSettings{"Hello", 0}, exitDone},
		{"fails for one request in five", demoSettings{"Hello!", demoFailures}, exitWorse},
	} {
		fmt.Fprintf(story, "\nv%d  %s\n", i+1, v.message)
		d, err := a.shipDemo(ctx, conn, story, project, l, v)
		if err != nil {
			if stop != nil {
				stop()
			}
			return nil, err
		}
		report.Releases = append(report.Releases, d)
		if stop == nil {
			stop = requests.start(ctx, conn.lambda, "hello", defaultAlias)
			fmt.Fprintf(story, "    from now on hello:live gets %.0f requests per second\n", demoRate)
		}
	}
	fmt.Fprintf(story, "\n%s\n", stop())
	report.Requests, report.Failed = int(requests.sent.Load()), int(requests.failed.Load())
	last := report.Releases[2]
	fmt.Fprintf(story, "hello live is on %s: the good version was promoted, the bad one was put back after %s of its requests. %s in all.\n",
		shares(last.TrafficNow), count(last.Evidence.CanaryRequests), seconds(time.Since(began).Seconds()))
	return report, nil
}

// shipDemo ships one version as serin ship does, and fails unless it ends as it must.
func (a *app) shipDemo(ctx context.Context, conn *connection, story io.Writer, project string, l language, v demoVersion) (*api.ReleaseDocument, error) {
	text, err := json.Marshal(v.settings)
	if err != nil {
		return nil, err
	}
	if err := writeFiles(project, map[string][]byte{"settings.json": text}, true); err != nil {
		return nil, err
	}
	policy := serin.DefaultPolicy()
	policy.Steps, policy.MaxWait = []float64{10, 50, 100}, serin.Duration(demoWithin)
	s := &shipment{
		app: a, conn: conn, source: source{dir: project},
		shipOptions: &shipOptions{
			subject: subject{function: "hello", alias: defaultAlias}, policy: policy, message: v.message,
			config: wanted{runtime: l.runtime, handler: l.handler},
		},
		sinks: []func(event){func(e event) {
			if e.Type == eventSample || e.Type == eventStarted {
				return
			}
			for _, line := range eventLines(e) {
				fmt.Fprintf(story, "    %s\n", line)
			}
		}},
	}
	d, code, err := s.run(ctx)
	if err != nil {
		return nil, err
	}
	for _, line := range endLines(d) {
		fmt.Fprintf(story, "    %s\n", line)
	}
	if code != v.want {
		return nil, fmt.Errorf("this version should have ended with exit code %d, not %d: %s", v.want, code, d.Reason.Text)
	}
	return d, nil
}
