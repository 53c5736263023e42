package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"serin"
	"serin/internal/api"
)

func (a *app) versionsCommand() *cobra.Command {
	var p place
	var s subject
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "versions",
		Short:   "List the versions of a function and what they are doing",
		Example: "  serin versions --function hello",
		Args:    arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.required(); err != nil {
				return err
			}
			conn, err := a.connect(p)
			if err != nil {
				return err
			}
			d, err := conn.api.Status(cmd.Context(), s.function)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printDocument(d.Versions)
			}
			return a.printLines(versionLines(d))
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVarP(&s.function, "function", "f", "", "function (default from serin.yaml)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a document")
	return cmd
}

func versionLines(d *api.StatusDocument) []string {
	rows := make([][]string, len(d.Versions))
	for i, v := range d.Versions {
		requests, errors := "-", "-"
		if all := versionCounts(v); all.Requests > 0 {
			requests, errors = count(all.Requests), rate(all.Rate())
		}
		about := clip(clean(messageOf(v)), mostMessage)
		if v.State != serin.StateActive {
			about = strings.TrimSpace("[" + string(v.State) + "] " + about)
		}
		when := v.PublishedAt
		if when.IsZero() {
			when = v.LastModified
		}
		rows[i] = []string{
			versionText(v.Version), clock(when), bytesText(v.CodeBytes), shortSHA(v.CodeSHA256), clean(shortCommit(v.Provenance)),
			trafficOf(d, v.Version), requests, errors, clip(clean(publisherOf(v)), mostPublisher), about,
		}
	}
	return table([]string{"VERSION", "WHEN", ">SIZE", "CODE", "COMMIT", "TRAFFIC", ">REQUESTS", ">ERRORS", "BY", "MESSAGE"}, rows)
}

// Columns of the table are at most so wide; --json has the whole.
const (
	mostMessage   = 60
	mostPublisher = 50
)

// publisherOf says who made a version: the author of its commit, or who published it; and the CI run.
func publisherOf(v api.VersionStatus) string {
	by := v.PublishedBy
	if v.Provenance != nil && v.Provenance.Author != "" {
		by = strings.TrimSpace(strings.SplitN(v.Provenance.Author, "<", 2)[0])
	}
	if v.Provenance != nil && v.Provenance.RunURL != "" {
		by = strings.TrimSpace(by + " " + v.Provenance.RunURL)
	}
	return by
}

// aboutVersion says where a version comes from, "" if nobody has said.
func aboutVersion(v api.VersionStatus) string {
	var parts []string
	for _, part := range []string{messageOf(v), shortCommit(v.Provenance), publisherOf(v)} {
		if part != "" {
			parts = append(parts, clean(part))
		}
	}
	return strings.Join(parts, "  ")
}

// versionCounts adds up what a version did for all its callers.
func versionCounts(v api.VersionStatus) serin.Counts {
	var all serin.Counts
	for _, m := range v.Metrics {
		all.Requests += m.Requests
		all.Errors += m.Errors
	}
	return all
}

// trafficOf says which aliases route to a version: live 25 %, beta.
func trafficOf(d *api.StatusDocument, v serin.VersionNumber) string {
	var texts []string
	for _, a := range d.Aliases {
		share, routed := a.Set[v]
		switch {
		case !routed:
		case share == 100:
			texts = append(texts, a.Name)
		default:
			texts = append(texts, fmt.Sprintf("%s %s %%", a.Name, number(share)))
		}
		if a.RollbackTarget != nil && *a.RollbackTarget == v && !routed {
			texts = append(texts, "("+a.Name+" rolls back here)")
		}
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}
