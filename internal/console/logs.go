package console

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"serin"
)

const (
	linesShown  = 200
	linesRead   = 10_000 // most that are looked at for them
	maxPattern  = 1024
	logsRefresh = 2 * time.Second
)

// logStretches are how far back the page of logs looks.
var logStretches = []stretch{{Name: "5m", Over: 5 * time.Minute}, {Name: "1h", Over: time.Hour}, {Name: "24h", Over: 24 * time.Hour}, {Name: "7d", Over: 7 * 24 * time.Hour}}

// logsView is the page of a function's logs.
type logsView struct {
	Function, Group, Pattern, Over string
	Stretches                      []stretch
	Lines                          []logLine
	CLI, Problem                   string
}

type logLine struct {
	At            time.Time
	Version, Text string
	Bad           bool
}

// Word says what the line is, for its colour.
func (l logLine) Word() string {
	if l.Bad {
		return "bad"
	}
	return ""
}

// versionOf finds the version in the name of a log stream, as Lambda names them.
var versionOf = regexp.MustCompile(`\[([^\]]+)\]`)

func (c *Console) showLogs(w http.ResponseWriter, v *visit) error {
	f, err := c.findFunction(v)
	if err != nil {
		return err
	}
	d, err := c.logsView(v.Context(), f, v.URL.Query())
	if err != nil {
		return err
	}
	topic := url.Values{"function": {f.Name}, "pattern": {d.Pattern}, "over": {d.Over}}
	return c.show(w, v, "logs", view{Title: "Logs of " + f.Name, Function: f.Name, Tab: "logs", Live: "logs?" + topic.Encode(), Data: d})
}

// logsView reads the newest lines that match. What a pattern lacks is said on the page.
func (c *Console) logsView(ctx context.Context, f *serin.Function, q url.Values) (logsView, error) {
	i := max(0, slices.IndexFunc(logStretches, func(s stretch) bool { return s.Name == q.Get("over") }))
	d := logsView{Function: f.Name, Group: f.Latest.Config.Logging.Group, Pattern: q.Get("pattern"), Over: logStretches[i].Name, Stretches: logStretches}
	d.Pattern = d.Pattern[:min(len(d.Pattern), maxPattern)]
	words := []string{"aws", "logs", "tail", d.Group, "--follow", "--since", d.Over}
	if d.Pattern != "" {
		words = append(words, "--filter-pattern", d.Pattern)
	}
	d.CLI = command(words...)
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &d.Group, StartTime: aws.Int64(c.Now().Add(-logStretches[i].Over).UnixMilli())}
	if d.Pattern != "" {
		in.FilterPattern = &d.Pattern
	}
	for read := 0; read < linesRead; {
		out, err := c.Logs.FilterLogEvents(ctx, in)
		switch {
		case serin.KindOf(err) == serin.KindNotFound:
			return d, nil // nothing was written yet
		case serin.KindOf(err) != 0:
			d.Problem = err.Error()
			return d, nil
		case err != nil:
			return d, err
		}
		read += max(len(out.Events), 1)
		for _, e := range out.Events {
			d.Lines = append(d.Lines, lineOf(e))
		}
		d.Lines = d.Lines[max(0, len(d.Lines)-linesShown):]
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	return d, nil
}

func lineOf(e types.FilteredLogEvent) logLine {
	l := logLine{At: time.UnixMilli(aws.ToInt64(e.Timestamp)), Text: strings.TrimRight(aws.ToString(e.Message), "\n")}
	if m := versionOf.FindStringSubmatch(aws.ToString(e.LogStreamName)); m != nil {
		l.Version = versionName(m[1])
	}
	l.Bad = strings.Contains(l.Text, "ERROR") || strings.Contains(l.Text, "Traceback") || strings.Contains(l.Text, "Task timed out")
	return l
}

// logsTopic follows the newest lines.
func (c *Console) logsTopic(q url.Values) render {
	return func(ctx context.Context) ([]fragment, error) {
		f, ok := c.Overview.Control.Table.Function(q.Get("function"))
		if !ok {
			return nil, nil
		}
		d, err := c.logsView(ctx, f, q)
		if err != nil {
			return nil, err
		}
		html, err := c.views.fragment("log-lines", d)
		return []fragment{{"log-lines", html}}, err
	}
}
