package console

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"serin"
	"serin/internal/overview"
)

const (
	versionsShown = 25 // unless all are asked for
	historyShown  = 30
)

// functionView is the page of one function.
type functionView struct {
	*overview.StatusDocument

	Config      serin.Configuration
	Revision    string
	Aliases     []aliasView
	Releases    []releaseView
	Rows        []versionRow
	AllRows     bool
	Published   int
	Charted     string // the alias whose metrics are shown, "" for the function's
	History     []historyRow
	Callers     []caller
	Unpublished bool // $LATEST differs from the newest version
}

// Main is the alias that the heading speaks of, nil without aliases.
func (v *functionView) Main() *aliasView {
	if len(v.Aliases) == 0 {
		return nil
	}
	return &v.Aliases[0]
}

// aliasView is the card of an alias.
type aliasView struct {
	overview.AliasStatus

	Function    string
	Shares      []share
	Seen        []share // the observed split
	Callers     int     // who call the alias
	Beside      int     // who call the function past it
	Description string
	Outside     bool // the last change was made by hand while nobody released
}

// versionRow is a line of the table of versions.
type versionRow struct {
	overview.VersionStatus

	Function     string
	Traffic      []aliasShare
	Targets      []string // aliases that roll back here
	Total        serin.Counts
	ServerErrors int
	P95, Init    float64 // milliseconds, 0 for unknown
	Routed       bool
}

type aliasShare struct {
	Alias   string
	Percent float64
}

// caller is somebody or something that may call a qualifier of a function.
type caller struct {
	Who, How, Qualifier string
	Bypasses            []string // aliases whose releases it would not see
}

func (c *Console) showFunction(w http.ResponseWriter, v *visit) error {
	name := v.PathValue("function")
	f, err := c.functionView(v.Context(), name, v.URL.Query().Get("versions") == "all", v.URL.Query().Get("alias"))
	if err != nil {
		return err
	}
	return c.show(w, v, "function", view{Title: name, Tab: "overview", Function: name, Live: "function?" + name, Scripts: []string{"charts.js"}, Data: f})
}

func (c *Console) functionView(ctx context.Context, name string, all bool, charted string) (*functionView, error) {
	status, err := c.Overview.Status(ctx, name)
	if err != nil {
		return nil, err
	}
	f, ok := c.Overview.Control.Table.Function(name)
	if !ok {
		return nil, serin.Errorf(serin.KindNotFound, "Function not found: %s", name)
	}
	v := &functionView{
		StatusDocument: status, Config: f.Latest.Config, Revision: f.Latest.RevisionID, AllRows: all, Published: len(f.Versions),
		Callers: callers(f), Unpublished: f.Changed || len(f.Versions) == 0,
	}
	v.Aliases = c.aliasViews(f, status, v.Callers)
	for _, a := range v.Aliases {
		if a.Release != nil {
			v.Releases = append(v.Releases, newReleaseView(a.Release, c.Now()))
		}
	}
	v.Charted = chartedAlias(v, charted)
	for i := range status.Versions {
		row := newVersionRow(status, &status.Versions[i])
		if all || i <= versionsShown || row.Routed || len(row.Targets) > 0 {
			v.Rows = append(v.Rows, row)
		}
	}
	v.History, err = c.history(ctx, name, historyShown)
	return v, err
}

// chartedAlias picks the alias that people want to see: the one that they ask for, one with a release, the first.
func chartedAlias(v *functionView, wanted string) string {
	best := ""
	for i, a := range v.Aliases {
		if a.Name == wanted {
			return wanted
		}
		if i == 0 || a.Release != nil && v.Aliases[0].Release == nil && best == v.Aliases[0].Name {
			best = a.Name
		}
	}
	return best
}

func (c *Console) aliasViews(f *serin.Function, status *overview.StatusDocument, callers []caller) []aliasView {
	all := make([]aliasView, 0, len(status.Aliases))
	for _, a := range status.Aliases {
		known := f.Aliases[a.Name]
		if known == nil {
			continue // deleted since
		}
		view := aliasView{AliasStatus: a, Function: f.Name, Shares: shares(known.Routing), Description: known.Description}
		from := 0.0
		for _, s := range view.Shares {
			if a.Requests > 0 {
				view.Seen = append(view.Seen, share{Version: s.Version, Percent: a.Observed[s.Version], Canary: s.Canary, From: from})
				from += a.Observed[s.Version]
			}
		}
		for _, caller := range callers {
			switch caller.Qualifier {
			case a.Name:
				view.Callers++
			case "":
				view.Beside++
			}
		}
		all = append(all, view)
	}
	slices.SortFunc(all, func(a, b aliasView) int { return aliasOrder(a.Name, b.Name) })
	return all
}

// newVersionRow adds up what a version does for all its callers.
func newVersionRow(status *overview.StatusDocument, v *overview.VersionStatus) versionRow {
	row := versionRow{VersionStatus: *v, Function: status.Function}
	most := 0
	for _, m := range v.Metrics {
		row.Total.Requests += m.Requests
		row.Total.Errors += m.Errors
		row.ServerErrors += m.ByKind[serin.OutcomeServerError.String()]
		if m.Requests > most { // percentiles do not add up; those of most requests stand for all
			most, row.P95, row.Init = m.Requests, m.Duration.P95, m.Init.P50
		}
	}
	for _, a := range status.Aliases {
		if percent, ok := a.Set[v.Version]; ok {
			row.Routed = true
			row.Traffic = append(row.Traffic, aliasShare{a.Name, percent})
		}
		if a.RollbackTarget != nil && *a.RollbackTarget == v.Version {
			row.Targets = append(row.Targets, a.Name)
		}
	}
	slices.SortFunc(row.Traffic, func(a, b aliasShare) int { return aliasOrder(a.Alias, b.Alias) })
	return row
}

// ServerErrorRate is the share of answers with a statusCode of 500 or more.
func (r versionRow) ServerErrorRate() float64 {
	return serin.Counts{Requests: r.Total.Requests, Errors: r.ServerErrors}.Rate()
}

// callers lists who is known to call a function: its URLs and whom its resource policies allow to.
func callers(f *serin.Function) []caller {
	var all []caller
	for _, q := range slices.SortedFunc(maps.Keys(f.Attached), serin.CompareQualifiers) {
		at, qualifier := f.At(q), strings.TrimPrefix(q, serin.Latest.String())
		if at.URL != nil {
			who := "anybody"
			if at.URL.AuthType == serin.AuthTypeIAM {
				who = "who signs"
			}
			all = append(all, caller{Who: who, How: "function URL", Qualifier: qualifier})
		}
		if at.Policy == nil {
			continue
		}
		for _, s := range at.Policy.Statements {
			all = append(all, caller{Who: s.Principal, How: cmp.Or(s.SourceARN, s.SourceAccount, "resource policy: "+s.SID), Qualifier: qualifier})
		}
	}
	for i := range all {
		if _, isVersion := serin.ParseVersion(all[i].Qualifier); all[i].Qualifier != "" && !isVersion {
			continue
		}
		for name := range f.Aliases {
			all[i].Bypasses = append(all[i].Bypasses, name)
		}
		slices.SortFunc(all[i].Bypasses, aliasOrder)
	}
	return all
}

// revision changes with what the heading and the history show.
func (v *functionView) revision() string {
	var b strings.Builder
	b.WriteString(v.Revision)
	for _, a := range v.Aliases {
		b.WriteString(a.RevisionID)
	}
	for _, r := range v.Releases {
		fmt.Fprint(&b, r.ReleaseID, r.Saved)
	}
	return b.String()
}

// functionTopic keeps the page of a function live: everything but the rows of versions that nobody calls.
func (c *Console) functionTopic(name string) render {
	var last []fragment // of what changes with the function or its releases alone
	var seen string
	return func(ctx context.Context) ([]fragment, error) {
		v, err := c.functionView(ctx, name, true, "")
		if err != nil {
			return nil, err
		}
		var all []fragment
		add := func(to *[]fragment, id, template string, data any) {
			html, e := c.views.fragment(template, data)
			if e != nil {
				err = e
			}
			*to = append(*to, fragment{id, html})
		}
		add(&all, "aliases", "aliases", v)
		add(&all, "releases", "releases", v)
		for _, row := range v.Rows {
			if row.Routed || row.Total.Requests > 0 {
				add(&all, "version-"+row.Version.String(), "version-row", row)
			}
		}
		if now := v.revision(); now != seen {
			seen, last = now, nil
			add(&last, "function-head", "function-head", v)
			add(&last, "history", "history", v.History)
		}
		return append(all, last...), err
	}
}
