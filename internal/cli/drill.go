package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"serin"
	"serin/internal/api"
)

const drillHelp = `Drill rehearses a rollback without touching the traffic. It looks up where a rollback of the alias would go, makes
another alias that routes as this one does, rolls that back, asks who answers it, and deletes it. With --payload it
also invokes the version that would come back, so that you know that it still runs.

Exit code 0 says that a rollback works now, 3 that there is nothing to roll back to, 1 that the drill failed.`

// drillReport is what drill --json prints.
type drillReport struct {
	Function string                          `json:"function"`
	Alias    string                          `json:"alias"`
	From     map[serin.VersionNumber]float64 `json:"from"` // percent
	To       api.VersionRef                  `json:"to"`
	// RollbackSeconds is how long the rollback of the other alias took, until its traffic was at To.
	RollbackSeconds float64 `json:"rollbackSeconds"`
	// AnswerSeconds is how long To took to answer the payload; absent without one.
	AnswerSeconds float64 `json:"answerSeconds,omitempty"`
}

func (a *app) drillCommand() *cobra.Command {
	var p place
	var s subject
	var payload string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "drill", Short: "Rehearse a rollback without touching the traffic", Long: drillHelp,
		Example: "  serin drill --function hello --payload '{}'",
		Args:    arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.required(); err != nil {
				return err
			}
			var event []byte
			if payload != "" {
				var err error
				if event, err = a.payload(payload); err != nil {
					return err
				}
			}
			conn, err := a.connect(p)
			if err != nil {
				return err
			}
			report, err := rehearse(cmd.Context(), conn, s, event)
			if err != nil {
				return err
			}
			a.say("✔ %s: a rollback goes to %s and took %s in the drill", s.String(), versionText(report.To.Version), seconds(report.RollbackSeconds))
			if event != nil {
				a.say("  %s answered in %s", versionText(report.To.Version), seconds(report.AnswerSeconds))
			}
			if asJSON {
				return a.printDocument(report)
			}
			return nil
		},
	}
	p.flags(cmd)
	s.flags(cmd)
	cmd.Flags().StringVarP(&payload, "payload", "p", "", "event for the version that would come back: JSON, @FILE, or - for standard input")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a document")
	return cmd
}

// rehearse rolls back an alias like the one of the subject.
func rehearse(ctx context.Context, conn *connection, s subject, event []byte) (*drillReport, error) {
	plan, err := conn.api.Rollback(ctx, api.RollbackRequest{Function: s.function, Alias: s.alias, DryRun: true})
	if err != nil {
		return nil, err
	}
	report := &drillReport{Function: s.function, Alias: s.alias, From: plan.From, To: plan.To}
	if event != nil {
		if report.AnswerSeconds, err = answers(ctx, conn, s.function, plan.To.Version.String(), plan.To.Version, event); err != nil {
			return nil, err
		}
	}
	name := "serin-drill-" + strings.ReplaceAll(uuid.NewString(), "-", "")
	from := byShare(plan.From)[0].String()
	if _, err := conn.lambda.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: &s.function, Name: &name, FunctionVersion: &from}); err != nil {
		return nil, remote(err)
	}
	defer func() { // also after an interruption
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
		defer cancel()
		_, _ = conn.lambda.DeleteAlias(ctx, &lambda.DeleteAliasInput{FunctionName: &s.function, Name: &name})
	}()
	began := time.Now()
	in := api.RollbackRequest{Function: s.function, Alias: name, Version: &plan.To.Version, Reason: "drill"}
	if _, err := conn.api.Rollback(ctx, in); err != nil {
		return nil, err
	}
	status, err := conn.api.Status(ctx, s.function)
	if err != nil {
		return nil, err
	}
	if drilled := aliasOf(status, name); drilled == nil || drilled.Set[plan.To.Version] != 100 {
		return nil, fmt.Errorf("the drill's alias %s is not at %s after its rollback", name, versionText(plan.To.Version))
	}
	report.RollbackSeconds = time.Since(began).Seconds()
	if event != nil {
		if _, err := answers(ctx, conn, s.function, name, plan.To.Version, event); err != nil {
			return nil, err
		}
	}
	return report, nil
}

// answers invokes a qualifier and returns how long the answer took; it must come from a version, and be no error.
func answers(ctx context.Context, conn *connection, function, qualifier string, from serin.VersionNumber, event []byte) (float64, error) {
	began := time.Now()
	out, err := conn.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Qualifier: &qualifier, Payload: event})
	switch {
	case err != nil:
		return 0, remote(err)
	case out.FunctionError != nil:
		return 0, fmt.Errorf("%s fails: %.500s", versionText(from), clean(string(out.Payload)))
	case out.ExecutedVersion != nil && *out.ExecutedVersion != from.String():
		return 0, fmt.Errorf("version %s answered for %s, not %s", *out.ExecutedVersion, qualifier, versionText(from))
	}
	return time.Since(began).Seconds(), nil
}
