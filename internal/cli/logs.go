package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

const (
	// followEvery is how often logs -f asks for more.
	followEvery = time.Second
	// lateLines is how much later than newer ones a line may come and still be shown.
	lateLines = 10 * time.Second
)

// logQuery is what is asked of logs.
type logQuery struct {
	function, version, alias string
	pattern                  string
	since                    string
	follow, asJSON           bool
}

func (a *app) logsCommand() *cobra.Command {
	var p place
	var q logQuery
	cmd := &cobra.Command{
		Use:   "logs [NAME[:QUALIFIER]]",
		Short: "Show what a function writes to its log",
		Long: `Logs shows what the versions of a function have written, oldest first. Each line begins with its time and the version
that wrote it. Without a name it shows the function of serin.yaml.

With --alias it shows the versions that the alias routes to: during a release those are the baseline and the canary. PATTERN
is a filter pattern of CloudWatch Logs, such as 'ERROR', '?ERROR ?WARN' or '{ $.level = "ERROR" && $.latency > 100 }'.`,
		Example: "  serin logs hello -f --alias live\n  serin logs hello --version 3 --since 1h --filter ERROR",
		Args:    arguments(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, qualifier, err := logged(args)
			if err != nil {
				return err
			}
			q.function = name
			switch {
			case q.version != "" && q.alias != "", qualifier != "" && q.version+q.alias != "":
				return usagef("want one of --version, --alias and a qualifier behind the name")
			case versionName.MatchString(qualifier):
				q.version = qualifier
			case qualifier != "":
				q.alias = qualifier
			}
			conn, err := a.connect(p)
			if err != nil {
				return err
			}
			return a.showLogs(cmd.Context(), conn, q)
		},
	}
	p.flags(cmd)
	f := cmd.Flags()
	f.BoolVarP(&q.follow, "follow", "f", false, "go on until interrupted")
	f.StringVar(&q.version, "version", "", "only the lines of a version")
	f.StringVar(&q.alias, "alias", "", "only the lines of the versions that an alias routes to")
	f.StringVar(&q.pattern, "filter", "", "only the lines that match a filter `PATTERN` of CloudWatch Logs")
	f.StringVar(&q.since, "since", "10m", "how far back: a duration, or a time as 2006-01-02T15:04:05Z")
	f.BoolVar(&q.asJSON, "json", false, "print a document for each line")
	return cmd
}

// logged returns whose log is asked for. Unlike an invocation, a log is of all versions unless one is named.
func logged(args []string) (name, qualifier string, err error) {
	if len(args) == 1 {
		return invoked(args)
	}
	name, _, err = invoked(nil)
	return name, "", err
}

// versionName is what a qualifier is that is no alias.
var versionName = regexp.MustCompile(`^(\$LATEST|\d+)$`)

// sinceTime reads --since.
func sinceTime(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, usagef("--since %s: want a duration such as 10m, or a time such as 2006-01-02T15:04:05Z", text)
	}
	return t, nil
}

func (c *connection) logs() *cloudwatchlogs.Client {
	return cloudwatchlogs.New(cloudwatchlogs.Options{
		Region: c.region, BaseEndpoint: &c.endpoint,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c.keys, nil }),
	})
}

// logReader reads the log of a function, and shows each line once.
type logReader struct {
	*app
	logQuery

	conn   *connection
	client *cloudwatchlogs.Client
	group  string
	from   int64            // milliseconds since 1970
	shown  map[string]int64 // ids of the newest lines, and their times
}

func (a *app) showLogs(ctx context.Context, conn *connection, q logQuery) error {
	from, err := sinceTime(q.since, time.Now())
	if err != nil {
		return err
	}
	in := &lambda.GetFunctionConfigurationInput{FunctionName: &q.function}
	if qualifier := cmp.Or(q.version, q.alias); qualifier != "" {
		in.Qualifier = &qualifier
	}
	function, err := conn.lambda.GetFunctionConfiguration(ctx, in)
	if err != nil {
		return remote(err)
	}
	r := &logReader{app: a, logQuery: q, conn: conn, client: conn.logs(), group: "/aws/lambda/" + *function.FunctionName, from: from.UnixMilli(), shown: map[string]int64{}}
	if l := function.LoggingConfig; l != nil && aws.ToString(l.LogGroup) != "" {
		r.group = *l.LogGroup
	}
	for {
		err := r.read(ctx)
		switch {
		case ctx.Err() != nil && q.follow:
			return nil // interrupted, as it is meant to end
		case err != nil || !q.follow:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

// read shows the lines that have not been shown.
func (r *logReader) read(ctx context.Context) error {
	versions, err := r.versions(ctx)
	if err != nil {
		return err
	}
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &r.group, StartTime: &r.from}
	if r.pattern != "" {
		in.FilterPattern = &r.pattern
	}
	newest := r.from
	for pages := cloudwatchlogs.NewFilterLogEventsPaginator(r.client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if _, missing := errors.AsType[*logtypes.ResourceNotFoundException](err); missing {
			return nil // the function has not written anything yet
		}
		if bad, ok := errors.AsType[*logtypes.InvalidParameterException](err); ok {
			return usagef("--filter %s: %s", r.pattern, bad.ErrorMessage())
		}
		if err != nil {
			return remote(err)
		}
		for i := range page.Events {
			e := &page.Events[i]
			id, at := aws.ToString(e.EventId), aws.ToInt64(e.Timestamp)
			if _, again := r.shown[id]; again {
				continue
			}
			newest = max(newest, at)
			version := versionOfStream(aws.ToString(e.LogStreamName))
			if versions != nil && !slices.Contains(versions, version) {
				continue
			}
			if r.follow {
				r.shown[id] = at
			}
			if err := r.print(e, version); err != nil {
				return err
			}
		}
	}
	r.from = max(r.from, newest-lateLines.Milliseconds())
	for id, at := range r.shown {
		if at < r.from {
			delete(r.shown, id)
		}
	}
	return nil
}

// versions returns whose lines are wanted, and nil if all are. What an alias routes to may change while its log is followed.
func (r *logReader) versions(ctx context.Context) ([]string, error) {
	if r.version != "" {
		return []string{r.version}, nil
	}
	if r.alias == "" {
		return nil, nil
	}
	alias, err := r.conn.lambda.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &r.function, Name: &r.alias})
	if err != nil {
		return nil, remote(err)
	}
	versions := []string{aws.ToString(alias.FunctionVersion)}
	for version := range routingOf(alias.RoutingConfig) {
		versions = append(versions, version)
	}
	return versions, nil
}

func routingOf(c *lambdatypes.AliasRoutingConfiguration) map[string]float64 {
	if c == nil {
		return nil
	}
	return c.AdditionalVersionWeights
}

// streamVersion is where the name of a log stream of Lambda has the version.
var streamVersion = regexp.MustCompile(`\[(\$LATEST|\d+)\]`)

func versionOfStream(name string) string {
	if m := streamVersion.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return ""
}

// logLine is what logs --json prints.
type logLine struct {
	Time    string `json:"timestamp"`
	Version string `json:"version,omitempty"`
	Stream  string `json:"logStream"`
	Message string `json:"message"`
}

func (r *logReader) print(e *logtypes.FilteredLogEvent, version string) error {
	at := time.UnixMilli(aws.ToInt64(e.Timestamp)).UTC().Format("2006-01-02T15:04:05.000Z")
	message := strings.TrimRight(aws.ToString(e.Message), "\r\n")
	if r.asJSON {
		return json.NewEncoder(r.Stdout).Encode(logLine{at, version, aws.ToString(e.LogStreamName), message})
	}
	prefix := at + " [" + cmp.Or(version, "-") + "]"
	if out, ok := r.Stdout.(*os.File); ok && r.Getenv("NO_COLOR") == "" && term.IsTerminal(int(out.Fd())) {
		prefix = "\x1b[2m" + at + "\x1b[0m \x1b[1m[" + cmp.Or(version, "-") + "]\x1b[0m"
	}
	for line := range strings.SplitSeq(message, "\n") {
		// What a function writes must not take over the terminal.
		if _, err := fmt.Fprintln(r.Stdout, prefix, clean(line)); err != nil {
			return err
		}
	}
	return nil
}
