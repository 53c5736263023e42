package console

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"serin"
	"serin/internal/overview"
)

const (
	functionsPerPage = 50
	listEvery        = 5 * time.Second
	healthOver       = 5 * time.Minute // what the list's numbers are about
)

// listView is a page of the list of functions.
type listView struct {
	Query       string
	Only        string // "releasing": those with an active release
	Rows        []functionRow
	Found, All  int
	Page, Pages int
	Previous    string // addresses of the pages beside, "" if there are none
	Next        string
}

// functionRow is a function at a glance.
type functionRow struct {
	Name, Runtime, Description string
	State                      serin.State
	Reason                     string
	Versions                   int
	Aliases                    []aliasLine
	Health                     health
}

// aliasLine is where an alias points.
type aliasLine struct {
	Name    string
	Shares  []share
	Release *serin.Release // the active one
}

// share is a version's part of the traffic.
type share struct {
	Version serin.VersionNumber
	Percent float64
	Canary  bool
	From    float64 // sum of the shares before it: where its bar begins
}

// shares are the parts of a routing, the primary version's first.
func shares(r serin.Routing) []share {
	percent := overview.Percentages(r)
	all := []share{{Version: r.Version, Percent: percent[r.Version]}}
	if r.Weighted() {
		all = append(all, share{Version: r.Additional, Percent: percent[r.Additional], Canary: true, From: percent[r.Version]})
	}
	return all
}

// health is what a function did of late.
type health struct {
	Known            bool
	Requests, Errors int
}

// Word says in one word how a function does, for its colour.
func (h health) Word() string {
	switch {
	case !h.Known || h.Requests == 0:
		return "quiet"
	case h.Errors == 0:
		return "good"
	case float64(h.Errors) < 0.01*float64(h.Requests):
		return "fair"
	default:
		return "bad"
	}
}

// Rate is the error rate.
func (h health) Rate() float64 { return serin.Counts{Requests: h.Requests, Errors: h.Errors}.Rate() }

// showFunctions is where the console begins.
func (c *Console) showFunctions(w http.ResponseWriter, v *visit) error {
	q := v.URL.Query()
	list := c.list(v.Context(), q)
	topic := url.Values{"q": {list.Query}, "only": {list.Only}, "page": {strconv.Itoa(list.Page)}}
	return c.show(w, v, "functions", view{Title: "Functions", Tab: "functions", Live: "list?" + topic.Encode(), Data: list})
}

// list finds functions by a part of their name, description, runtime or tags.
func (c *Console) list(ctx context.Context, q url.Values) listView {
	l := listView{Query: strings.TrimSpace(q.Get("q")), Only: q.Get("only")}
	l.Query = l.Query[:min(len(l.Query), 200)]
	wanted := strings.ToLower(l.Query)
	var found []*serin.Function
	for f := range c.Overview.Control.Table.Functions() {
		l.All++
		if matches(f, wanted) && (l.Only != "releasing" || c.releasing(f)) {
			found = append(found, f)
		}
	}
	l.Found = len(found)
	l.Pages = max(1, (l.Found+functionsPerPage-1)/functionsPerPage)
	l.Page, _ = strconv.Atoi(q.Get("page"))
	l.Page = min(max(l.Page, 1), l.Pages)
	found = found[(l.Page-1)*functionsPerPage : min(l.Page*functionsPerPage, l.Found)]
	known := c.healthOf(ctx, found)
	for _, f := range found {
		l.Rows = append(l.Rows, c.functionRow(f, known[f.Name]))
	}
	address := func(page int) string {
		return "?" + url.Values{"q": {l.Query}, "only": {l.Only}, "page": {strconv.Itoa(page)}}.Encode()
	}
	if l.Page > 1 {
		l.Previous = address(l.Page - 1)
	}
	if l.Page < l.Pages {
		l.Next = address(l.Page + 1)
	}
	return l
}

func matches(f *serin.Function, wanted string) bool {
	has := func(text string) bool { return strings.Contains(strings.ToLower(text), wanted) }
	if wanted == "" || has(f.Name) || has(f.Latest.Config.Description) || has(f.Latest.Config.Runtime) {
		return true
	}
	for key, value := range f.Tags {
		if has(key + "=" + value) {
			return true
		}
	}
	return false
}

func (c *Console) releasing(f *serin.Function) bool {
	for name := range f.Aliases {
		if c.Overview.Releases.Active(f.Name, name) != nil {
			return true
		}
	}
	return false
}

func (c *Console) functionRow(f *serin.Function, h health) functionRow {
	row := functionRow{
		Name: f.Name, Runtime: f.Latest.Config.Runtime, Description: f.Latest.Config.Description,
		State: f.Latest.State, Reason: f.Latest.StateReason, Versions: len(f.Versions), Health: h,
	}
	for _, name := range slices.SortedFunc(maps.Keys(f.Aliases), aliasOrder) {
		row.Aliases = append(row.Aliases, aliasLine{name, shares(f.Aliases[name].Routing), c.Overview.Releases.Active(f.Name, name)})
	}
	return row
}

// mainAlias is what a release goes to unless it is told otherwise; it comes first.
const mainAlias = "live"

func aliasOrder(a, b string) int {
	if a == mainAlias || b == mainAlias {
		return cmp.Compare(boolean(b == mainAlias), boolean(a == mainAlias))
	}
	return cmp.Compare(a, b)
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// listTopic keeps a page of the list live.
func (c *Console) listTopic(q url.Values) render {
	return func(ctx context.Context) ([]fragment, error) {
		list := c.list(ctx, q)
		var all []fragment
		for _, row := range list.Rows {
			html, err := c.views.fragment("function-row", row)
			if err != nil {
				return nil, err
			}
			all = append(all, fragment{"function-" + slug(row.Name), html})
		}
		return all, nil
	}
}

// topic returns how often and how the fragments of a page are rendered.
func (c *Console) topic(name string) (every time.Duration, make1 func() render, err error) {
	kind, rest, _ := strings.Cut(name, "?")
	switch kind {
	case "list":
		q, err := url.ParseQuery(rest)
		if err == nil {
			return listEvery, func() render { return c.listTopic(q) }, nil
		}
	case "logs":
		q, err := url.ParseQuery(rest)
		if err == nil && q.Get("function") != "" {
			return logsRefresh, func() render { return c.logsTopic(q) }, nil
		}
	case "alarms":
		return alarmsRefresh, func() render { return c.alarmsTopic }, nil
	case "function":
		if f, ok := c.Overview.Control.Table.Function(rest); ok {
			return refreshEvery, func() render { return c.functionTopic(f.Name) }, nil
		}
	case "release":
		if r, err := c.Overview.Releases.Get(context.Background(), rest); err == nil {
			return refreshEvery, func() render { return c.releaseTopic(r.ID) }, nil
		}
	}
	return 0, nil, serin.Errorf(serin.KindNotFound, "There is nothing to watch.")
}
