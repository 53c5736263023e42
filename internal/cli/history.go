package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"serin"
	"serin/internal/api"
)

func (a *app) historyCommand() *cobra.Command {
	var p place
	var s subject
	var newest int
	var asJSON bool
	var otherwise string
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Show the releases of an alias and every move of its traffic",
		Long: `History shows the releases of an alias and every move of its traffic, newest first.

With --what-if it judges the recorded releases by another policy: what was counted stays what it was, and what is
shown is how each would have ended. POLICY is the name of a preset, a file like serin.yaml, or settings like
'{maxHarm: 0.005, alpha: 0.001}'.`,
		Example: "  serin history --function hello --json\n  serin history --what-if '{maxHarm: 0.005}'",
		Args:    arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if newest < 1 {
				return usagef("newest: %d is not at least 1", newest)
			}
			if err := s.required(); err != nil {
				return err
			}
			var policy serin.Policy
			if otherwise != "" {
				var err error
				if policy, err = policyOf(otherwise); err != nil {
					return err
				}
			}
			conn, err := a.connect(p)
			if err != nil {
				return err
			}
			d, err := conn.api.History(cmd.Context(), s.function, s.alias, newest)
			if err != nil {
				return err
			}
			if otherwise != "" {
				return a.whatIf(cmd.Context(), conn, d, policy, asJSON)
			}
			if asJSON {
				return a.printDocument(d)
			}
			return a.printLines(historyLines(d))
		},
	}
	p.flags(cmd)
	s.flags(cmd)
	cmd.Flags().StringVar(&otherwise, "what-if", "", "judge the recorded releases by another `POLICY`")
	cmd.Flags().IntVarP(&newest, "newest", "n", 20, "how many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a document")
	return cmd
}

func historyLines(d *api.HistoryDocument) []string {
	var lines []string
	if len(d.Releases) > 0 {
		rows := make([][]string, len(d.Releases))
		for i := range d.Releases {
			rows[i] = releaseRow(&d.Releases[i])
		}
		lines = append(lines, table([]string{"RELEASE", "STARTED", "FROM", "TO", "OUTCOME", "VERDICT", ">TOOK", ">CANARY", ">ERRORS", "WHY"}, rows)...)
		for i := range d.Releases {
			lines = append(lines, untoldLines(&d.Releases[i])...)
		}
		lines = append(lines, "")
	}
	if len(d.Moves) == 0 {
		return append(lines, "no moves")
	}
	rows := make([][]string, len(d.Moves))
	for i, m := range d.Moves {
		if m.Settings != nil {
			m.Reason = settingsText(m.Settings)
		}
		rows[i] = []string{clock(m.At), m.Alias, routingText(m.From), routingText(m.To), string(m.Cause), clean(m.Actor), clean(m.Reason)}
	}
	return append(lines, table([]string{"MOVED", "ALIAS", "FROM", "TO", "CAUSE", "BY", "WHY"}, rows)...)
}

func releaseRow(d *api.ReleaseDocument) []string {
	_, canary := totals(d)
	from, how := versionText(d.From.Version), string(d.Outcome)
	if d.From.Version == serin.Latest {
		from = "-"
	}
	switch {
	case d.Conflict:
		how = "conflict"
	case d.Phase != serin.PhaseEnded:
		how = string(d.Phase)
	}
	errors := "-"
	if canary.Requests > 0 {
		errors = rate(canary.Rate())
	}
	return []string{
		shortID(d.ReleaseID), clock(d.StartedAt), from, versionText(d.To.Version), how, string(d.Verdict),
		seconds(d.DurationSeconds), count(canary.Requests), errors, clean(d.Reason.Text),
	}
}

// untoldLines names whom the server cannot tell about a release.
func untoldLines(d *api.ReleaseDocument) []string {
	var lines []string
	for _, u := range d.Untold {
		lines = append(lines, fmt.Sprintf("  %s: %s for %s after %s: %s", shortID(d.ReleaseID), counted(u.Waiting, "notice"),
			clean(u.Target), counted(u.Failures, "attempt"), clean(u.Error)))
	}
	return lines
}

// shortID is enough of an id for people.
func shortID(id string) string {
	short, _, _ := strings.Cut(id, "-")
	return short
}

func routingText(r *serin.Routing) string {
	if r == nil {
		return "-"
	}
	if !r.Weighted() {
		return versionText(r.Version)
	}
	return fmt.Sprintf("%s, %s %s %%", versionText(r.Version), versionText(r.Additional), number(100*r.Weight))
}

// printLines writes data for people to standard output.
func (a *app) printLines(lines []string) error {
	_, err := fmt.Fprintln(a.Stdout, strings.Join(lines, "\n"))
	return err
}
