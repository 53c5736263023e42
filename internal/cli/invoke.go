package cli

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/spf13/cobra"
)

// invocation is what invoke --json prints.
type invocation struct {
	StatusCode      int32           `json:"statusCode"`
	ExecutedVersion string          `json:"executedVersion"`
	FunctionError   string          `json:"functionError,omitempty"`
	Payload         json.RawMessage `json:"payload,omitempty"`
	LogTail         string          `json:"logTail,omitempty"`
}

func (a *app) invokeCommand() *cobra.Command {
	var p place
	var payload string
	var tail, asJSON bool
	cmd := &cobra.Command{
		Use:   "invoke [NAME[:QUALIFIER]]",
		Short: "Invoke a function",
		Long: `Invoke prints what the function answers, and on standard error which version answered. Without a name it
invokes the function and the alias of serin.yaml. The exit code is 1 if the function fails.`,
		Example: "  serin invoke hello:live --payload '{\"name\":\"you\"}'",
		Args:    arguments(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, qualifier, err := invoked(args)
			if err != nil {
				return err
			}
			event, err := a.payload(payload)
			if err != nil {
				return err
			}
			conn, err := a.connect(p)
			if err != nil {
				return err
			}
			return a.invoke(cmd.Context(), conn, name, qualifier, event, tail, asJSON)
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVarP(&payload, "payload", "p", "{}", "event: JSON, @FILE, or - for standard input")
	cmd.Flags().BoolVar(&tail, "tail", false, "print the end of the log")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a document about the invocation")
	return cmd
}

// invoked returns what to invoke. An ARN is passed on as it is.
func invoked(args []string) (name, qualifier string, err error) {
	if len(args) == 1 {
		name = args[0]
		if !strings.HasPrefix(name, "arn:") {
			name, qualifier, _ = strings.Cut(name, ":")
		}
		return name, qualifier, nil
	}
	var s subject
	if err := s.required(); err != nil {
		return "", "", err
	}
	return s.function, s.alias, nil
}

// payload reads an event.
func (a *app) payload(from string) ([]byte, error) {
	var text []byte
	var err error
	switch {
	case from == "-":
		text, err = io.ReadAll(io.LimitReader(a.Stdin, maxEvent+1))
	case strings.HasPrefix(from, "@"):
		text, err = readFile(from[1:], maxEvent)
	default:
		text = []byte(from)
	}
	switch {
	case err != nil:
		return nil, usagef("payload: %w", err)
	case len(text) > maxEvent:
		return nil, usagef("payload: larger than %d bytes", maxEvent)
	case !json.Valid(text):
		return nil, usagef("payload: not JSON: %.80q", text)
	}
	return text, nil
}

// readFile reads a file, and of a larger one no more than it takes to see that.
func readFile(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most+1))
}

func (a *app) invoke(ctx context.Context, conn *connection, name, qualifier string, event []byte, tail, asJSON bool) error {
	in := &lambda.InvokeInput{FunctionName: &name, Payload: event}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}
	if tail || asJSON {
		in.LogType = types.LogTypeTail
	}
	out, err := conn.lambda.Invoke(ctx, in, once)
	if err != nil {
		return remote(err)
	}
	text, _ := base64.StdEncoding.DecodeString(deref(out.LogResult)) // what is damaged is only a log
	if tail {
		fmt.Fprint(a.Stderr, string(text))
	}
	a.say("%s answered", cmp.Or(versionLabel(deref(out.ExecutedVersion)), "the function"))
	if asJSON {
		d := invocation{
			StatusCode: out.StatusCode, ExecutedVersion: deref(out.ExecutedVersion),
			FunctionError: deref(out.FunctionError), LogTail: string(text),
		}
		if json.Valid(out.Payload) {
			d.Payload = out.Payload
		}
		err = a.printDocument(d)
	} else {
		_, err = fmt.Fprintf(a.Stdout, "%s\n", out.Payload)
	}
	if out.FunctionError != nil {
		return exitf(exitInternal, "the function failed: %s", *out.FunctionError)
	}
	return err
}

// versionLabel prints 3 as v3.
func versionLabel(executed string) string {
	if executed == "" || executed[0] == '$' {
		return executed
	}
	return "v" + executed
}
