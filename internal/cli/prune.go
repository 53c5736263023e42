package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"serin"
	"serin/internal/api"
)

const pruneHelp = `Prune removes the published versions that nothing needs, and then the code packages that no version needs. It
keeps the newest --keep versions; those that an alias routes to, also with weight 0, or routed to within --window;
those of active releases; where a rollback of each alias goes; and those with provisioned concurrency or permissions
of their own. With --all it goes through every function, and removes versions of layers that no function uses by the
same rules.

Without --yes it only says what it would do, and why it keeps the rest.`

func (a *app) pruneCommand() *cobra.Command {
	var p place
	retention := serin.DefaultRetention()
	var all, yes, asJSON bool
	cmd := &cobra.Command{
		Use:     "prune [FUNCTION]",
		Short:   "Remove versions that nothing needs",
		Long:    pruneHelp,
		Example: "  serin prune hello --keep 5\n  serin prune --all --yes",
		Args:    arguments(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s := subject{}
			switch {
			case all && len(args) > 0:
				return usagef("a function or --all, not both")
			case len(args) > 0:
				s.function = args[0]
			case !all:
				if err := s.required(); err != nil {
					return err
				}
			}
			if err := retention.Check(); err != nil {
				return usagef("%w", err)
			}
			conn, err := a.connect(p)
			if err != nil {
				return err
			}
			d, err := conn.api.Prune(cmd.Context(), api.PruneRequest{Function: s.function, Retention: retention, DryRun: !yes})
			if err != nil {
				return err
			}
			if asJSON {
				return a.printDocument(d)
			}
			return a.printLines(pruneLines(d))
		},
	}
	p.flags(cmd)
	f := cmd.Flags()
	f.IntVar(&retention.Keep, "keep", retention.Keep, "how many of the newest versions to keep")
	f.Var((*durationValue)(&retention.Window), "window", "keep what an alias routed to within this time")
	f.BoolVar(&all, "all", false, "every function, and layers")
	f.BoolVarP(&yes, "yes", "y", false, "do it")
	f.BoolVar(&asJSON, "json", false, "print a document")
	return cmd
}

// pruneLines says what a prune removes and why it keeps the rest.
func pruneLines(d *api.PruneDocument) []string {
	does := "would remove"
	if d.Pruned {
		does = "removed"
	}
	var lines []string
	for _, f := range d.Functions {
		var rows [][]string
		removed := int64(0)
		for _, v := range f.Removed {
			removed += v.CodeBytes
			rows = append(rows, []string{"  " + versionText(v.Version), clock(v.PublishedAt), bytesText(v.CodeBytes), does})
		}
		for _, v := range f.Kept {
			rows = append(rows, []string{"  " + versionText(v.Version), clock(v.PublishedAt), bytesText(v.CodeBytes), "keeps: " + clean(strings.Join(v.Why, "; "))})
		}
		lines = append(lines, fmt.Sprintf("%s: %s %s (%s), keeps %s", f.Function, does, counted(len(f.Removed), "version"), bytesText(removed), count(len(f.Kept))))
		if len(rows) > 0 {
			lines = append(lines, table([]string{"  VERSION", "WHEN", ">SIZE", ""}, rows)...)
		}
	}
	if l := d.Layers; l != nil {
		for _, v := range l.Removed {
			lines = append(lines, fmt.Sprintf("layer %s:%d: %s %s", v.Layer, v.Version, does, bytesText(v.CodeBytes)))
		}
		for _, v := range l.Kept {
			lines = append(lines, fmt.Sprintf("layer %s:%d: keeps: %s", v.Layer, v.Version, clean(strings.Join(v.Why, "; "))))
		}
	}
	if d.Freed.Blobs > 0 {
		lines = append(lines, fmt.Sprintf("freed %s of the disk (%s)", bytesText(d.Freed.Bytes), counted(d.Freed.Blobs, "package")))
	}
	lines = append(lines, storageLine(d.Storage.Used, d.Storage.Limit))
	if !d.Pruned {
		lines = append(lines, "nothing was removed; do it with --yes")
	}
	return lines
}

// storageLine says how much of the code storage is in use, and what to do before it is full.
func storageLine(used, limit int64) string {
	share := 100 * float64(used) / float64(max(limit, 1))
	percent := "under 0.1"
	if share >= 0.1 {
		percent = significant(share)
	}
	line := fmt.Sprintf("storage %s of %s (%s %%)", bytesText(used), bytesText(limit), percent)
	if share >= 80 {
		line += "; make room before nothing can be published any more: serin prune --all"
	}
	return line
}

// pruneAfter removes old versions after a release, as --keep asks. A failure of it is no failure of the release.
func (s *shipment) pruneAfter(ctx context.Context) {
	retention := serin.DefaultRetention()
	retention.Keep = s.keep
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	d, err := s.conn.api.Prune(ctx, api.PruneRequest{Function: s.function, Retention: retention})
	if err != nil {
		s.say("old versions could not be removed: %s", explain(err))
		return
	}
	for _, f := range d.Functions {
		if len(f.Removed) > 0 {
			s.say("removed %s that nothing needs any more", counted(len(f.Removed), "old version"))
		}
	}
}
