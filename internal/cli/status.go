package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"serin"
	"serin/internal/api"
)

func (a *app) statusCommand() *cobra.Command {
	var p place
	var s subject
	var all, watch, asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show where the traffic goes",
		Long: `Status shows one function, or all functions if none is named here or in serin.yaml. With --watch it goes on
until it is interrupted: on a terminal in place, else again after every change.`,
		Example: "  serin status --function hello --watch",
		Args:    arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.complete(); err != nil {
				return err
			}
			if all {
				s.function = ""
			}
			conn, err := a.connect(p)
			if err != nil {
				return err
			}
			if watch {
				return a.watchStatus(cmd.Context(), conn, s.function, asJSON)
			}
			document, lines, err := lookAt(cmd.Context(), conn, s.function)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printDocument(document)
			}
			return a.printLines(lines)
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVarP(&s.function, "function", "f", "", "function (default from serin.yaml)")
	cmd.Flags().BoolVar(&all, "all", false, "all functions, whatever serin.yaml names")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a document; with --watch one per line and change")
	return cmd
}

// lookAt returns the status of a function, or of all if function is "", as a document and as text.
func lookAt(ctx context.Context, conn *connection, function string) (any, []string, error) {
	if function == "" {
		all, err := conn.api.Functions(ctx)
		return all, functionLines(all), err
	}
	d, err := conn.api.Status(ctx, function)
	if err != nil {
		return nil, nil, err
	}
	return d, statusLines(d), nil
}

func functionLines(all []api.FunctionSummary) []string {
	if len(all) == 0 {
		return []string{"no functions yet; begin with: serin init hello --runtime python"}
	}
	slices.SortFunc(all, func(a, b api.FunctionSummary) int { return strings.Compare(a.Function, b.Function) })
	rows := make([][]string, len(all))
	for i, f := range all {
		var aliases []string
		for _, name := range sortedKeys(f.Aliases) {
			aliases = append(aliases, name+" → "+shares(f.Aliases[name]))
		}
		rows[i] = []string{f.Function, f.Runtime, count(f.Versions), strings.Join(aliases, "; ")}
	}
	return table([]string{"FUNCTION", "RUNTIME", ">VERSIONS", "ALIASES"}, rows)
}

func statusLines(d *api.StatusDocument) []string {
	lines := functionHead(d)
	for i := range d.Aliases {
		lines = append(lines, aliasLines(d, &d.Aliases[i])...)
	}
	return lines
}

// functionHead is what the status says of a function beside its aliases.
func functionHead(d *api.StatusDocument) []string {
	head := fmt.Sprintf("%s  %s  %s  %s of code in %s", d.Function, d.Runtime, d.State,
		bytesText(d.CodeBytes), counted(len(d.Versions), "version"))
	lines := []string{head}
	if d.Storage.Limit > 0 {
		lines = append(lines, "  "+storageLine(d.Storage.Used, d.Storage.Limit))
	}
	if d.Reason != "" {
		lines = append(lines, "  "+clean(d.Reason))
	}
	if e := d.Events; e != nil {
		lines = append(lines, eventsLine(e))
	}
	if len(d.Aliases) == 0 {
		lines = append(lines, "no alias yet; make one: serin ship")
	}
	return lines
}

func eventsLine(e *api.EventMetrics) string {
	texts := []string{"  " + counted(e.Received, "event")}
	if e.Age.Count > 0 {
		texts = append(texts, fmt.Sprintf("begun after %s (p95)", milliseconds(e.Age.P95)))
	}
	for _, bad := range []struct {
		n    int
		what string
	}{{e.Dropped, "dropped"}, {e.Lost, "lost"}, {e.DestinationFailures, "not told to a destination"}, {e.DeadLetterFailures, "not dead-lettered"}} {
		if bad.n > 0 {
			texts = append(texts, count(bad.n)+" "+bad.what)
		}
	}
	return strings.Join(texts, ", ")
}

func aliasLines(d *api.StatusDocument, a *api.AliasStatus) []string {
	head := fmt.Sprintf("%s → %s", a.Name, shares(a.Set))
	if len(a.Set) > 1 && a.Requests > 0 {
		head += fmt.Sprintf("   observed %s of %s", shares(a.Observed), counted(a.Requests, "request"))
	}
	lines := []string{"", head}
	if a.RoutingKey != (serin.RoutingKey{}) {
		lines = append(lines, "  by routing key "+a.RoutingKey.String())
	}
	if r := a.Release; r != nil {
		lines = append(lines, fmt.Sprintf("  release %s  %s ▸ %s  %s  step %d/%d  verdict: %s  since %s",
			r.ReleaseID, versionText(r.From.Version), versionText(r.To.Version), r.Phase, r.Step+1, len(r.Policy.Steps), r.Verdict, clock(r.StartedAt)))
		lines = append(append(lines, sampleLine(r)), newErrors(r)...)
		lines = append(lines, untoldLines(r)...)
		if r.Reason.Text != "" {
			lines = append(lines, "  "+clean(r.Reason.Text))
		}
	}
	if m := a.LastMove; m != nil {
		lines = append(lines, strings.TrimRight(fmt.Sprintf("  last move %s: %s %s", clock(m.At), m.Cause, clean(m.Reason)), " "))
	}
	if a.RollbackTarget != nil {
		lines = append(lines, "  serin rollback would go to "+versionText(*a.RollbackTarget))
	}
	var rows [][]string
	for _, v := range d.Versions {
		if m := metricsOf(d, v.Version, a.Name); m != nil && m.Requests > 0 {
			rows = append(rows, []string{
				"  " + versionText(v.Version), count(m.Requests), rate(float64(m.Errors) / float64(m.Requests)),
				rate(float64(m.ByKind[serin.OutcomeServerError.String()]) / float64(m.Requests)),
				milliseconds(m.Duration.P50), milliseconds(m.Duration.P95), milliseconds(m.Init.P50),
			})
		}
	}
	if len(rows) > 0 {
		lines = append(lines, table([]string{"", ">requests", ">errors", ">5xx", ">p50", ">p95", ">cold start"}, rows)...)
	}
	return lines
}
