package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// System is what commands know of the world outside.
type System struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// Terminal is nil unless a person sits at standard input and standard error.
	Terminal *Terminal
}

// Terminal is where a person sees standard error and types.
type Terminal struct {
	// Raw makes keys arrive at once and unechoed, until restore is called.
	Raw func() (restore func(), err error)
	// Width returns the columns of the screen.
	Width func() int
}

// Stdio returns the System of this process.
func Stdio() System {
	sys := System{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
	in, screen := int(os.Stdin.Fd()), int(os.Stderr.Fd())
	if term.IsTerminal(in) && term.IsTerminal(screen) && os.Getenv("TERM") != "dumb" {
		sys.Terminal = &Terminal{
			Raw: func() (func(), error) {
				state, err := term.MakeRaw(in)
				return func() { _ = term.Restore(in, state) }, err
			},
			Width: func() int {
				width, _, err := term.GetSize(screen)
				if err != nil || width <= 0 {
					return 80
				}
				return width
			},
		}
	}
	return sys
}

// app is one run of the command line.
type app struct {
	System
	answered bool // standard output has got its last document
}

// Main runs the command that args name (without the name of the program) and returns its exit code. When ctx
// ends the command stops in order, as its help says.
func Main(ctx context.Context, args []string, sys System) int {
	a := &app{System: sys}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(sys.Stdin)
	root.SetOut(sys.Stdout)
	root.SetErr(sys.Stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if _, told := errors.AsType[*exitError](err); ctx.Err() != nil && !told && exitCode(err) == exitInternal {
		err = exitf(exitAborted, "interrupted: %s", explain(err))
	}
	return a.finish(cmd, err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "serin",
		Short: "Ship new versions of serverless functions safely",
		Long: "Serin ships new versions of serverless functions: a share of the traffic first, compared with the\n" +
			"version that is there, then all of it, or back.",
		Example:       "  serin serve &\n  serin init hello --runtime python && cd hello\n  serin ship -m \"first\"",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := ""
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
			}
			return usagef("there is no command %q%s", args[0], hint)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usagef("%w", err) })
	root.SuggestionsMinimumDistance = 2
	root.AddCommand(
		a.initCommand(), a.serveCommand(), a.envCommand(), a.doctorCommand(), a.demoCommand(),
		a.shipCommand(), a.applyCommand(), a.statusCommand(), a.rollbackCommand(), a.historyCommand(), a.versionsCommand(), a.routingCommand(),
		a.promoteCommand(), a.holdCommand(), a.resumeCommand(), a.approveCommand(), a.skipCommand(), a.abortCommand(),
		a.drillCommand(), a.verifyCommand(), a.pruneCommand(), a.recordCommand(), a.replayCommand(),
		a.consoleCommand(), a.invokeCommand(), a.logsCommand(), a.versionCommand(),
	)
	return root
}

// arguments refuses more arguments than a command takes.
func arguments(most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > most {
			return usagef("usage: %s", cmd.UseLine())
		}
		return nil
	}
}

// finish says what went wrong and returns the exit code. A program that reads documents gets one for the
// error, too, unless it has got its document already.
func (a *app) finish(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitDone
	}
	code := exitCode(err)
	text := explain(err)
	if text != "" {
		fmt.Fprintf(a.Stderr, "serin: %s\n", text)
		if code == exitUsage {
			fmt.Fprintf(a.Stderr, "try: %s --help\n", cmd.CommandPath())
		}
	}
	if text != "" && !a.answered {
		switch {
		case flagSet(cmd, "events"):
			_ = a.printLine(event{Type: eventDone, Time: now(), Error: newErrorDocument(code, text), ExitCode: &code})
		case flagSet(cmd, "json"):
			_ = a.printDocument(errorReply{Error: *newErrorDocument(code, text), ExitCode: code})
		}
	}
	return code
}

func flagSet(cmd *cobra.Command, name string) bool {
	set, err := cmd.Flags().GetBool(name)
	return err == nil && set
}

// errorReply is what --json prints when there is no other document.
type errorReply struct {
	Error    errorDocument `json:"error"`
	ExitCode int           `json:"exitCode"`
}

// errorDocument is an error for programs. Kind is the meaning of the exit code.
type errorDocument struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

func newErrorDocument(code int, text string) *errorDocument {
	return &errorDocument{Kind: exitMeaning(code), Message: text}
}

// explain returns the text of an error for people, "" if everything has been said.
func explain(err error) string {
	if outcome, ok := errors.AsType[*exitError](err); ok && outcome.err == nil {
		return ""
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return fmt.Sprintf("no server answers at %s (%v); start one: serin serve", dial.Addr, dial.Err)
	}
	return err.Error()
}

// printDocument writes the one document of a command to standard output.
func (a *app) printDocument(document any) error {
	a.answered = true
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return fmt.Errorf("write document: %w", err)
	}
	_, err = fmt.Fprintf(a.Stdout, "%s\n", text)
	return err
}

// printLine writes one document of a stream.
func (a *app) printLine(document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("write document: %w", err)
	}
	_, err = fmt.Fprintf(a.Stdout, "%s\n", text)
	return err
}

// say writes a line for people.
func (a *app) say(format string, args ...any) { fmt.Fprintf(a.Stderr, format+"\n", args...) }

// color says whether text for people may have colours: on a terminal, unless NO_COLOR is set
// (https://no-color.org).
func (a *app) color() bool { return a.Terminal != nil && a.Getenv("NO_COLOR") == "" }

// confirm asks a yes-or-no question on the terminal. The answer is no unless it is yes.
func (a *app) confirm(ctx context.Context, question string) (bool, error) {
	fmt.Fprintf(a.Stderr, "%s [y/N] ", question)
	answers := make(chan string, 1)
	go func() { // a read cannot be interrupted; the process ends soon
		line, _ := readLine(a.Stdin)
		answers <- line
	}()
	select {
	case answer := <-answers:
		answer = strings.ToLower(strings.TrimSpace(answer))
		return answer == "y" || answer == "yes", nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// readLine reads to the end of a line and not a byte more.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < 1024; {
		n, err := r.Read(b)
		if n > 0 && b[0] == '\n' {
			break
		}
		line = append(line, b[:n]...)
		if err != nil {
			return string(line), err
		}
	}
	return string(line), nil
}
