package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/spf13/cobra"

	"serin/internal/api"
	"serin/internal/recording"
)

const replayHelp = `Replay sends recorded events to a version and compares what it answers, and how fast, with what another version answers:
by default the one that the alias routes most to, or with --against recorded what was recorded (serin record --answers).
Answers are equal if they are equal as JSON but for the paths that --ignore names.

The functions really run: whatever an event makes them write, mail or charge happens again, twice if two versions are
compared. The requests are marked as synthetic and do not go through the alias.

FILE is a recording or a file with an event per line; RECORDING is the id of one that the server has. Exit code 14 if the
version fails where the other does not, or with --strict if any answer differs.`

// replayOptions are the flags of replay.
type replayOptions struct {
	place
	subject
	version, against string
	ignore           []string
	rate             float64
	strict, json     bool
}

const (
	againstRecorded = "recorded"
	maxExamples     = 5 // differences that are shown
)

func (a *app) replayCommand() *cobra.Command {
	var opt replayOptions
	cmd := &cobra.Command{
		Use:     "replay FILE|RECORDING",
		Short:   "Send recorded events to a version and compare its answers",
		Long:    replayHelp,
		Example: "  serin replay events.jsonl --version 7 --ignore '$.requestId'",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opt.required(); err != nil {
				return err
			}
			if opt.version == "" {
				return usagef("which version? Say --version N, a commit, a CI run or a message")
			}
			ignore, err := recording.ParsePaths(opt.ignore)
			if err != nil {
				return usagef("ignore: %w", err)
			}
			conn, err := a.connect(opt.place)
			if err != nil {
				return err
			}
			r, err := a.replay(cmd.Context(), conn, &opt, args[0], ignore)
			if err != nil {
				return err
			}
			if opt.json {
				return joined(r.outcome(opt.strict), a.printDocument(r))
			}
			return joined(r.outcome(opt.strict), a.printLines(r.lines()))
		},
	}
	opt.place.flags(cmd)
	opt.subject.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&opt.version, "version", "", "`VERSION` to send the events to")
	f.StringVar(&opt.against, "against", "", "`VERSION` to compare with, or recorded (default what the alias routes most to)")
	f.StringArrayVar(&opt.ignore, "ignore", nil, "JSON `PATH` that may differ; may be repeated")
	f.Var((*rateValue)(&opt.rate), "traffic-rate", "events per second (default as fast as they are answered)")
	f.BoolVar(&opt.strict, "strict", false, "exit with 14 if any answer differs")
	f.BoolVar(&opt.json, "json", false, "print a document")
	return cmd
}

// replayReport is what replay found.
type replayReport struct {
	Function  string `json:"function"`
	Version   string `json:"version"`
	Against   string `json:"against"`
	Events    int    `json:"events"`
	Equal     int    `json:"equal"`
	Different int    `json:"different"`
	Refused   int    `json:"refused"` // not answered by the server, so not compared
	// Errors counts events that the one fails and the other does not, and that both fail.
	Errors struct {
		OnlyVersion int `json:"onlyVersion"`
		OnlyAgainst int `json:"onlyAgainst"`
		Both        int `json:"both"`
	} `json:"errors"`
	Latency  latencyPair        `json:"latency"`
	Examples []replayDifference `json:"examples"`
}

type latencyPair struct {
	Version api.Milliseconds `json:"version"`
	Against api.Milliseconds `json:"against"`
}

// replayDifference is an event that was answered otherwise, and where.
type replayDifference struct {
	Event  int      `json:"event"` // from 1
	Places []string `json:"places"`
	Error  string   `json:"error,omitempty"` // of the version, if it alone has failed
}

// answered is what one version made of an event.
type answered struct {
	payload []byte
	failed  bool
	took    time.Duration
	err     error
}

// replay sends every event to both versions.
func (a *app) replay(ctx context.Context, conn *connection, opt *replayOptions, from string, ignore []recording.Path) (*replayReport, error) {
	tape, err := conn.tape(ctx, from)
	if err != nil {
		return nil, err
	}
	status, err := conn.api.Status(ctx, opt.function)
	if err != nil {
		return nil, err
	}
	v, err := selector(opt.version).find(status, opt.alias)
	if err != nil {
		return nil, err
	}
	r := &replayReport{Function: opt.function, Version: v.Version.String(), Against: againstRecorded, Events: len(tape.Entries), Examples: []replayDifference{}}
	if opt.against != againstRecorded {
		if r.Against, err = baselineOf(status, opt); err != nil {
			return nil, err
		}
	} else if !slices.ContainsFunc(tape.Entries, func(e recording.Entry) bool { return len(e.Answer) > 0 || e.Error != "" }) {
		return nil, usagef("%s has no answers to compare with: record with --answers, or compare with a version (--against)", from)
	}
	a.say("%s of %s to v%s, compared with %s; the function really runs", counted(r.Events, "event"), from, r.Version, r.Against)
	pairs := make([][2]answered, len(tape.Entries))
	p := &player{conn: conn, tape: tape, rate: opt.rate}
	if err := p.play(ctx, r, pairs); err != nil {
		return nil, ended(ctx, err)
	}
	r.compare(pairs, ignore)
	return r, nil
}

// baselineOf returns the version to compare with.
func baselineOf(status *api.StatusDocument, opt *replayOptions) (string, error) {
	if opt.against != "" {
		v, err := selector(opt.against).find(status, opt.alias)
		return v.Version.String(), err
	}
	alias := aliasOf(status, opt.alias)
	if alias == nil {
		return "", exitf(exitNotFound, "function %s has no alias %s; say --against VERSION", opt.function, opt.alias)
	}
	return byShare(alias.Set)[0].String(), nil
}

// tape reads a file or, if there is none of that name, a recording of the server.
func (c *connection) tape(ctx context.Context, from string) (*recording.Tape, error) {
	tape, err := readTape(from)
	if !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return nil, usagef("%w", err)
		}
		return tape, nil
	}
	text, err := c.api.RecordingFile(ctx, from)
	if err != nil {
		return nil, err
	}
	return recording.Read(bytes.NewReader(text))
}

// player sends events to two versions.
type player struct {
	conn *connection
	tape *recording.Tape
	rate float64 // events per second, 0 for as fast as they are answered
}

const replayInFlight = 4

func (p *player) play(ctx context.Context, r *replayReport, pairs [][2]answered) error {
	var requests sync.WaitGroup
	defer requests.Wait()
	slots := make(chan struct{}, replayInFlight)
	began := time.Now()
	for n := range p.tape.Entries {
		if p.rate > 0 {
			pause(ctx, time.Until(began.Add(time.Duration(float64(n)/p.rate*float64(time.Second)))))
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		requests.Go(func() {
			defer func() { <-slots }()
			pairs[n][0] = p.send(ctx, r.Function, r.Version, n)
			if r.Against == againstRecorded {
				pairs[n][1] = recordedAnswer(&p.tape.Entries[n])
				return
			}
			pairs[n][1] = p.send(ctx, r.Function, r.Against, n)
		})
	}
	return nil
}

func recordedAnswer(e *recording.Entry) answered {
	return answered{payload: e.Answer, failed: e.Error != "", took: time.Duration(e.MS * float64(time.Millisecond))}
}

// send invokes one version by its number.
func (p *player) send(ctx context.Context, function, version string, n int) answered {
	ctx, cancel := context.WithTimeout(ctx, requestDeadline)
	defer cancel()
	began := time.Now()
	out, err := p.conn.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Qualifier: &version, Payload: p.tape.Entries[n].Event}, once, synthetic("replay"))
	if err != nil {
		return answered{err: err}
	}
	return answered{payload: out.Payload, failed: out.FunctionError != nil, took: time.Since(began)}
}

// compare counts what the pairs say.
func (r *replayReport) compare(pairs [][2]answered, ignore []recording.Path) {
	var took [2][]time.Duration
	for n, pair := range pairs {
		version, against := pair[0], pair[1]
		if version.err != nil || against.err != nil {
			r.Refused++
			continue
		}
		took[0], took[1] = append(took[0], version.took), append(took[1], against.took)
		example := replayDifference{Event: n + 1}
		switch {
		case version.failed && against.failed:
			r.Errors.Both++
			continue
		case version.failed:
			r.Errors.OnlyVersion++
			example.Error = clean(brief(string(version.payload)))
		case against.failed:
			r.Errors.OnlyAgainst++
		default:
			if example.Places = recording.Compare(against.payload, version.payload, ignore); len(example.Places) == 0 {
				r.Equal++
				continue
			}
			r.Different++
		}
		if len(r.Examples) < maxExamples {
			r.Examples = append(r.Examples, example)
		}
	}
	r.Latency = latencyPair{summarise(took[0]), summarise(took[1])}
}

func summarise(took []time.Duration) api.Milliseconds {
	if len(took) == 0 {
		return api.Milliseconds{}
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	at := func(q float64) float64 { return ms(took[min(int(q*float64(len(took))), len(took)-1)]) }
	var sum time.Duration
	for _, d := range took {
		sum += d
	}
	return api.Milliseconds{Count: len(took), Mean: ms(sum / time.Duration(len(took))), P50: at(0.5), P95: at(0.95), P99: at(0.99), Max: ms(took[len(took)-1])}
}

// outcome is the exit code in the form of an error.
func (r *replayReport) outcome(strict bool) error {
	if r.Errors.OnlyVersion > 0 {
		return exitf(exitPreflight, "v%s fails %s that %s does not", r.Version, counted(r.Errors.OnlyVersion, "event"), r.Against)
	}
	if strict && r.Different > 0 {
		return exitf(exitPreflight, "v%s answers %s otherwise than %s", r.Version, counted(r.Different, "event"), r.Against)
	}
	if r.Refused == r.Events {
		return fmt.Errorf("none of %s was answered", counted(r.Events, "event"))
	}
	return nil
}

func (r *replayReport) lines() []string {
	lines := []string{
		fmt.Sprintf("%s: v%s against %s: %s equal, %s different, of %s", r.Function, r.Version, r.Against, count(r.Equal), count(r.Different), counted(r.Events, "event")),
		fmt.Sprintf("  errors: %s only of v%s, %s only of %s, %s of both", count(r.Errors.OnlyVersion), r.Version, count(r.Errors.OnlyAgainst), r.Against, count(r.Errors.Both)),
		fmt.Sprintf("  latency: p50 %s against %s, p95 %s against %s", milliseconds(r.Latency.Version.P50), milliseconds(r.Latency.Against.P50), milliseconds(r.Latency.Version.P95), milliseconds(r.Latency.Against.P95)),
	}
	if r.Refused > 0 {
		lines = append(lines, fmt.Sprintf("  %s not answered by the server", counted(r.Refused, "event")))
	}
	for _, e := range r.Examples {
		switch {
		case e.Error != "":
			lines = append(lines, fmt.Sprintf("  event %d fails: %s", e.Event, e.Error))
		case len(e.Places) == 0:
			lines = append(lines, fmt.Sprintf("  event %d fails with %s only", e.Event, r.Against))
		default:
			lines = append(lines, fmt.Sprintf("  event %d differs at %s", e.Event, clean(brief(fmt.Sprint(e.Places)))))
		}
	}
	return lines
}
