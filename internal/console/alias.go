package console

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
)

// aliasInput is the form of an alias.
type aliasInput struct {
	Function, Name, Description string
	New                         bool
	Version, Additional         string
	Percent                     string // of Additional
	Versions                    []string
	Resource                    string // the same as a CloudFormation resource
	Revision                    string
}

const versionsOffered = 200 // in a list to choose from, the newest first

func offered(f *serin.Function) []string {
	var all []string
	for _, v := range slices.Backward(f.Versions) {
		if all = append(all, v.Number.String()); len(all) == versionsOffered {
			break
		}
	}
	return all
}

func (c *Console) findFunction(v *visit) (*serin.Function, error) {
	f, ok := c.Overview.Control.Table.Function(v.PathValue("function"))
	if !ok {
		return nil, serin.Errorf(serin.KindNotFound, "Function not found: %s", v.PathValue("function"))
	}
	return f, nil
}

// showAlias shows the form of an alias, or of a new one.
func (c *Console) showAlias(w http.ResponseWriter, v *visit) error {
	f, err := c.findFunction(v)
	if err != nil {
		return err
	}
	in := aliasInput{Function: f.Name, New: true, Version: serin.Latest.String(), Versions: offered(f)}
	if len(in.Versions) > 0 {
		in.Version = in.Versions[0]
	}
	if name := v.PathValue("alias"); name != "" {
		_, a, err := c.Overview.Control.Alias(f.Name, name)
		if err != nil {
			return err
		}
		in.fill(a)
	} else if len(f.Aliases) == 0 {
		in.Name = mainAlias
	}
	return c.ask(w, v, f.Name, aliasForm(in))
}

// fill shows an alias as it is.
func (in *aliasInput) fill(a *serin.Alias) {
	in.New, in.Name, in.Description, in.Revision = false, a.Name, a.Description, a.RevisionID
	in.Version, in.Percent = a.Routing.Version.String(), "0"
	if a.Routing.Weighted() {
		in.Additional, in.Percent = a.Routing.Additional.String(), number(100*a.Routing.Weight)
	}
	in.Resource = aliasResource(in.Function, in)
}

func aliasForm(in aliasInput) confirmation {
	q := confirmation{Heading: "Alias " + in.Name + " of " + in.Function, Form: "alias", Input: in, Button: "Review…", Hidden: []hidden{{"revision", in.Revision}}}
	if in.New {
		q.Heading = "New alias of " + in.Function
		q.Lead = "An alias names the version that its callers get. Releases move it; nobody calls it before you tell them its name."
	}
	return q
}

// saveAlias shows what a form would do to an alias, and then does it.
func (c *Console) saveAlias(w http.ResponseWriter, v *visit) error {
	f, err := c.findFunction(v)
	if err == nil {
		err = v.form(w)
	}
	if err != nil {
		return err
	}
	in := aliasInput{
		Function: f.Name, Name: v.PathValue("alias"), New: v.PathValue("alias") == "", Versions: offered(f), Description: v.PostForm.Get("description"),
		Version: v.PostForm.Get("version"), Additional: v.PostForm.Get("additional"), Percent: strings.TrimSpace(v.PostForm.Get("percent")),
		Resource: v.PostForm.Get("resource"), Revision: v.PostForm.Get("revision"),
	}
	if in.New {
		in.Name = v.PostForm.Get("name")
	}
	var warn []string
	if v.PostForm.Get("use") == "resource" {
		if warn, err = in.readResource(); err != nil {
			return c.again(w, v, aliasForm(in), err)
		}
	}
	update, err := in.update()
	if err != nil {
		return c.again(w, v, aliasForm(in), err)
	}
	if !confirmed(v) {
		q, err := c.reviewAlias(f, in, update)
		if err != nil {
			return c.again(w, v, aliasForm(in), err)
		}
		q.Warn = append(warn, q.Warn...)
		return c.ask(w, v, f.Name, q)
	}
	if in.New {
		_, err = c.Overview.Control.CreateAlias(v.Context(), &lambda.CreateAliasInput{
			FunctionName: &f.Name, Name: &in.Name, Description: update.Description, FunctionVersion: update.FunctionVersion, RoutingConfig: update.RoutingConfig,
		})
	} else {
		_, err = c.Overview.Control.UpdateAlias(v.Context(), update)
	}
	if serin.KindOf(err) == serin.KindPrecondition {
		return c.conflict(w, v, f.Name, in)
	}
	if err != nil {
		return c.again(w, v, aliasForm(in), err)
	}
	return done(w, v, functionPath(f.Name))
}

// again shows a form with what is wrong with it.
func (c *Console) again(w http.ResponseWriter, v *visit, q confirmation, err error) error {
	if serin.KindOf(err) == 0 || serin.KindOf(err) == serin.KindInternal {
		return err
	}
	status, _ := statusOf(serin.KindOf(err))
	q.Problem = err.Error()
	c.write(w, v, status, "confirm", view{Title: q.Heading, Function: v.PathValue("function"), Data: q})
	return nil
}

// conflict says what an alias is now, when it is not what a form was filled in for.
func (c *Console) conflict(w http.ResponseWriter, v *visit, function string, wanted aliasInput) error {
	q := confirmation{
		Heading: "Alias " + wanted.Name + " was changed by somebody else", Button: "Start again from what it is now", Form: "conflict",
		Problem: "Nothing was changed. While this form was open, the alias was changed.",
	}
	now := aliasInput{Function: function}
	if f, a, err := c.Overview.Control.Alias(function, wanted.Name); err == nil {
		now.fill(a)
		q.Lead = "It is now " + sharesText(a.Routing)
		if moves, err := c.Overview.Control.History(v.Context(), f.Name, a.Name, 1); err == nil && len(moves) > 0 {
			q.Lead += fmt.Sprintf(", since %s (%s", moves[0].At.UTC().Format("15:04:05 UTC"), moves[0].Cause)
			if moves[0].Actor != "" {
				q.Lead += " by " + moves[0].Actor
			}
			q.Lead += ")"
		}
		q.Lead += "."
	}
	q.Will = []string{"You wanted: " + wanted.text()}
	q.Input = functionPath(function, "aliases", wanted.Name)
	c.write(w, v, http.StatusPreconditionFailed, "confirm", view{Title: q.Heading, Function: function, Data: q})
	return nil
}

// text is where the form sends traffic.
func (in *aliasInput) text() string {
	if in.Additional == "" {
		return versionName(in.Version) + " 100 %"
	}
	p, _ := strconv.ParseFloat(in.Percent, 64)
	return versionName(in.Version) + " " + percent(100-p) + ", " + versionName(in.Additional) + " " + percent(p)
}

func versionName(text string) string {
	if n, ok := serin.ParseVersion(text); ok {
		return versionText(n)
	}
	return text
}

func sharesText(r serin.Routing) string {
	var texts []string
	for _, s := range shares(r) {
		texts = append(texts, versionText(s.Version)+" "+percent(s.Percent))
	}
	return strings.Join(texts, ", ")
}

// update is what the form asks of UpdateAlias.
func (in *aliasInput) update() (*lambda.UpdateAliasInput, error) {
	weights := map[string]float64{}
	if in.Additional != "" {
		p, err := strconv.ParseFloat(in.Percent, 64)
		if err != nil || !(p >= 0 && p <= 100) {
			return nil, serin.Errorf(serin.KindInvalid, "The share of version %s must be a number from 0 to 100.", in.Additional)
		}
		weights[in.Additional] = p / 100
	}
	up := &lambda.UpdateAliasInput{
		FunctionName: &in.Function, Name: &in.Name, Description: &in.Description, FunctionVersion: &in.Version,
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: weights},
	}
	if in.Revision != "" {
		up.RevisionId = &in.Revision
	}
	return up, nil
}

// reviewAlias says what a form does. It tries it on a copy of the function first.
func (c *Console) reviewAlias(f *serin.Function, in aliasInput, update *lambda.UpdateAliasInput) (confirmation, error) {
	q := confirmation{
		Heading: "Change where alias " + in.Name + " sends its callers", Button: "Change " + in.Name, Not: notUndone,
		Will: []string{"From the next request on, callers of " + in.Name + " get " + in.text() + "."},
	}
	words := []string{"aws", "lambda", "update-alias", "--function-name", f.Name, "--name", in.Name, "--function-version", in.Version, "--routing-config", weightsText(update)}
	if in.New {
		q.Heading, q.Button, q.Not = "Create alias "+in.Name, "Create "+in.Name, nil
		q.Will = []string{"Callers of " + f.Name + ":" + in.Name + " get " + in.text() + "."}
		words[2] = "create-alias"
	} else {
		words = append(words, "--revision-id", in.Revision)
		if a := f.Aliases[in.Name]; a != nil {
			q.Lead = "It is now " + sharesText(a.Routing) + "."
		}
		if active := c.Overview.Releases.Active(f.Name, in.Name); active != nil {
			q.Warn = append(q.Warn, "Release "+versionText(active.Baseline)+" ▸ "+versionText(active.Canary)+" is active. It ends, and touches nothing more. To end it and go back, abort it instead.")
		}
	}
	if in.Description != "" {
		words = append(words, "--description", in.Description)
	}
	q.CLI = []string{command(words...)}
	if in.Additional != "" && !in.New {
		q.Warn = append(q.Warn, "Nobody judges the versions while they share the traffic by hand. A release does, and puts the old one back by itself.")
	}
	q.Hidden = []hidden{
		{"confirm", "yes"},
		{"description", in.Description},
		{"version", in.Version},
		{"additional", in.Additional},
		{"percent", in.Percent},
		{"revision", in.Revision},
		{"name", in.Name},
	}
	return q, c.tryAlias(f, in)
}

// tryAlias refuses what the rules would refuse, before anybody has confirmed it.
func (c *Console) tryAlias(f *serin.Function, in aliasInput) error {
	version, ok := serin.ParseVersion(in.Version)
	if !ok {
		return serin.Errorf(serin.KindInvalid, "%q is no version of %s.", in.Version, f.Name)
	}
	weights := map[serin.VersionNumber]float64{}
	if in.Additional != "" {
		n, ok := serin.ParseVersion(in.Additional)
		if !ok {
			return serin.Errorf(serin.KindInvalid, "%q is no version of %s.", in.Additional, f.Name)
		}
		weights[n] = 0
	}
	dry := serin.Change{NewRevision: func() string { return "" }}
	up := serin.AliasUpdate{Version: &version, Weights: &weights}
	var err error
	if in.New {
		_, err = f.Clone().CreateAlias(dry, in.Name, up)
	} else {
		_, err = f.Clone().UpdateAlias(dry, in.Name, up)
	}
	return err
}
