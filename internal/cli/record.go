package cli

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"serin"
	"serin/internal/recording"
)

const recordHelp = `Record keeps a sample of the events that ALIAS gets, on the server, until --for is over, --max-size is reached or it is
interrupted; with -o it then writes them to a file. serin ship --traffic FILE sends them through the alias while a
release runs, serin replay to a version.

Values of members whose names say that they are secret (authorization, cookie, token, password, apiKey …) are never
kept, unless --keep-secrets; --redact names more, like $.user.email, $.items[*].id or $..email. Recording never slows
down an invocation: what cannot be taken at once is counted as missed.`

// recordOptions are the flags of record.
type recordOptions struct {
	place
	subject
	in     recording.Request
	sample shareValue
	size   int64 // MB
	out    string
	detach bool
	json   bool
}

func (a *app) recordCommand() *cobra.Command {
	opt := recordOptions{sample: 1, size: recording.MaxFile >> 20, in: recording.Request{For: serin.Duration(10 * time.Minute)}}
	cmd := &cobra.Command{
		Use:     "record [ALIAS]",
		Short:   "Record events of an alias, to send them again",
		Long:    recordHelp,
		Example: "  serin record live --for 10m --sample 5% --redact '$.user.email' -o events.jsonl\n  serin record list",
		Args:    arguments(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				opt.alias = args[0]
			}
			if err := opt.required(); err != nil {
				return err
			}
			if _, err := recording.ParsePaths(opt.in.Redact); err != nil {
				return usagef("redact: %w", err)
			}
			opt.in.Function, opt.in.Alias, opt.in.Sample, opt.in.MaxBytes = opt.function, opt.alias, float64(opt.sample), opt.size<<20
			return a.record(cmd.Context(), &opt)
		},
	}
	opt.place.flags(cmd)
	opt.subject.flags(cmd)
	f := cmd.Flags()
	f.Var((*durationValue)(&opt.in.For), "for", "how long, at most 24h")
	f.Var(&opt.sample, "sample", "the share of the events that is kept")
	f.StringArrayVar(&opt.in.Redact, "redact", nil, "JSON `PATH` whose values are not kept; may be repeated")
	f.BoolVar(&opt.in.KeepSecrets, "keep-secrets", false, "keep also what looks like a secret by its name")
	f.BoolVar(&opt.in.Answers, "answers", false, "keep what the function answers, too")
	f.Int64Var(&opt.size, "max-size", opt.size, "stop at so many `MB`")
	f.StringVarP(&opt.out, "output", "o", "", "write the recording to `FILE` when it has ended")
	f.BoolVar(&opt.detach, "detach", false, "return when it has begun")
	f.BoolVar(&opt.json, "json", false, "print a document")
	cmd.AddCommand(
		a.recordingsCommand(),
		a.recordingCommand("stop", "End a recording before its time", (*connection).stopRecording),
		a.recordingCommand("delete", "Delete a recording", (*connection).deleteRecording),
		a.getRecordingCommand(),
	)
	return cmd
}

// record begins a recording and, unless it is detached, waits for its end. An interruption ends the recording; what it
// has stays.
func (a *app) record(ctx context.Context, opt *recordOptions) error {
	conn, err := a.connect(opt.place)
	if err != nil {
		return err
	}
	status, err := conn.api.Record(ctx, opt.in)
	if err != nil {
		return err
	}
	a.say("recording %s of %s until %s as %s", opt.sample.String(), opt.String(), clock(status.Until), status.ID)
	if !opt.detach {
		if status, err = conn.recorded(ctx, status); err != nil {
			return err
		}
		a.say("%s", recordingText(status))
		if opt.out != "" {
			if err := a.saveRecording(context.WithoutCancel(ctx), conn, status.ID, opt.out); err != nil {
				return err
			}
		}
	}
	if opt.json {
		return a.printDocument(status)
	}
	if opt.out != "-" {
		return a.printLines([]string{status.ID})
	}
	return nil
}

// recorded waits for the end of a recording, or ends it if the context does.
func (c *connection) recorded(ctx context.Context, status *recording.Status) (*recording.Status, error) {
	for status.Active {
		pause(ctx, 250*time.Millisecond)
		if ctx.Err() != nil {
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
			defer cancel()
			return c.api.StopRecording(bounded, status.ID)
		}
		next, err := patiently(ctx, func() (*recording.Status, error) { return c.api.Recording(ctx, status.ID) })
		switch {
		case err == nil:
			status = next
		case ctx.Err() == nil:
			return nil, err
		}
	}
	return status, nil
}

func recordingText(s *recording.Status) string {
	text := fmt.Sprintf("%s in %s, %s", counted(s.Entries, "event"), s.ID, bytesText(s.Bytes))
	if s.Missed > 0 {
		text += fmt.Sprintf(", %s missed", count(s.Missed))
	}
	if s.Why != "" {
		text += "; " + clean(s.Why)
	}
	return text
}

// saveRecording writes a recording to a file that only its owner reads, or to standard output.
func (a *app) saveRecording(ctx context.Context, conn *connection, id, name string) error {
	text, err := conn.api.RecordingFile(ctx, id)
	if err != nil {
		return err
	}
	if name == "-" {
		_, err = a.Stdout.Write(text)
		return err
	}
	return os.WriteFile(name, text, 0o600)
}

func (a *app) recordingsCommand() *cobra.Command {
	var p place
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List recordings", Args: arguments(0), Example: "  serin record list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := a.connect(p)
			if err != nil {
				return err
			}
			all, err := conn.api.Recordings(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return a.printDocument(all)
			}
			rows := make([][]string, len(all))
			for i, s := range all {
				state := s.Why
				if s.Active {
					state = "until " + clock(s.Until)
				}
				rows[i] = []string{s.ID, s.Function + " " + s.Alias, count(s.Entries), bytesText(s.Bytes), clean(state), clean(s.By)}
			}
			return a.printLines(table([]string{"RECORDING", "OF", ">EVENTS", ">SIZE", "STATE", "BY"}, rows))
		},
	}
	p.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a document")
	return cmd
}

// recordingCommand is a command about one recording.
func (a *app) recordingCommand(verb, short string, do func(*connection, context.Context, string) (string, error)) *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use: verb + " RECORDING", Short: short, Args: exactly(1), Example: "  serin record " + verb + " 20260314-150926-4k0q8z1x",
		RunE: func(cmd *cobra.Command, args []string) error {
			conn, err := a.connect(p)
			if err != nil {
				return err
			}
			text, err := do(conn, cmd.Context(), args[0])
			if err == nil {
				a.say("%s", text)
			}
			return err
		},
	}
	p.flags(cmd)
	return cmd
}

func (c *connection) stopRecording(ctx context.Context, id string) (string, error) {
	s, err := c.api.StopRecording(ctx, id)
	if err != nil {
		return "", err
	}
	return recordingText(s), nil
}

func (c *connection) deleteRecording(ctx context.Context, id string) (string, error) {
	return "deleted " + clean(id), c.api.DeleteRecording(ctx, id)
}

func (a *app) getRecordingCommand() *cobra.Command {
	var p place
	out := "-"
	cmd := &cobra.Command{
		Use: "get RECORDING", Short: "Write a recording to a file", Args: exactly(1), Example: "  serin record get 20260314-150926-4k0q8z1x -o events.jsonl",
		RunE: func(cmd *cobra.Command, args []string) error {
			conn, err := a.connect(p)
			if err != nil {
				return err
			}
			return a.saveRecording(cmd.Context(), conn, args[0], out)
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", out, "`FILE`, or - for standard output")
	return cmd
}

// exactly refuses fewer or more arguments than a command takes.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("usage: %s", cmd.UseLine())
		}
		return nil
	}
}

// shareValue is a flag like 5%: a fraction above 0 and at most 1.
type shareValue float64

func (s *shareValue) Type() string { return "percent" }

func (s *shareValue) String() string { return number(100*float64(*s)) + "%" }

func (s *shareValue) Set(text string) error {
	percent, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(text, "%")), 64)
	if err != nil || !(percent > 0 && percent <= 100) {
		return fmt.Errorf("%.100q is not a percentage above 0 and at most 100", text)
	}
	*s = shareValue(percent / 100)
	return nil
}
