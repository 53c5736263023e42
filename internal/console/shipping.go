package console

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"serin"
	"serin/internal/overview"
	"serin/internal/release"
)

// shipInput is the form of a release.
type shipInput struct {
	Function, Alias, Version, Message string
	Steps, MaxWait, Bake              string
	Pace                              string // evidence, time, hand, or the name of a preset
	Aliases, Versions                 []string
	Presets                           []serin.Preset
}

func (c *Console) showShip(w http.ResponseWriter, v *visit) error {
	f, err := c.findFunction(v)
	if err != nil {
		return err
	}
	q := v.URL.Query()
	policy := serin.DefaultPolicy()
	in := newShipInput(f)
	in.Version, in.Alias = q.Get("version"), cmp.Or(q.Get("alias"), in.Aliases[0])
	if in.Version == "" && len(in.Versions) > 0 {
		in.Version = in.Versions[0]
	}
	in.Steps, in.MaxWait, in.Pace, in.Bake = stepsText(policy.Steps), shortDuration(policy.MaxWait), string(serin.PaceEvidence), "5m"
	return c.ask(w, v, f.Name, shipForm(in))
}

func newShipInput(f *serin.Function) shipInput {
	in := shipInput{Function: f.Name, Versions: offered(f), Aliases: slices.SortedFunc(maps.Keys(f.Aliases), aliasOrder), Presets: serin.Presets()}
	if len(in.Aliases) == 0 {
		in.Aliases = []string{mainAlias}
	}
	return in
}

func shipForm(in shipInput) confirmation {
	q := confirmation{
		Heading: "Release a version of " + in.Function, Form: "ship", Input: in, Button: "Review…",
		Lead: "A share of the traffic first, judged request by request against the version that is there; then all of it, or back.",
	}
	if len(in.Versions) == 0 {
		q.Warn = []string{"No version is published yet. Publish one first."}
	}
	return q
}

func stepsText(steps []float64) string {
	var texts []string
	for _, s := range steps {
		texts = append(texts, number(s))
	}
	return strings.Join(texts, ", ")
}

// shortDuration prints 30m rather than 30m0s.
func shortDuration(d serin.Duration) string {
	text := d.String()
	if before, ok := strings.CutSuffix(text, "m0s"); ok {
		text = before + "m"
	}
	if before, ok := strings.CutSuffix(text, "h0m"); ok {
		text = before + "h"
	}
	return text
}

// policy is what the form says of how to release.
func (in *shipInput) policy() (serin.Policy, error) {
	p := serin.DefaultPolicy()
	if preset, err := serin.FindPreset(in.Pace); err == nil {
		preset.Apply(&p)
		return p, p.Check()
	}
	p.Pace, p.Steps = serin.Pace(in.Pace), nil
	for text := range strings.FieldsFuncSeq(in.Steps, func(r rune) bool { return r == ',' || r == ' ' || r == '%' }) {
		s, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return p, serin.Errorf(serin.KindInvalid, "Steps: %q is not a percentage.", text)
		}
		p.Steps = append(p.Steps, s)
	}
	var err error
	if p.MaxWait, err = parseDuration("The longest wait", in.MaxWait, p.MaxWait); err != nil {
		return p, err
	}
	if p.Pace == serin.PaceTime {
		if p.Bake, err = parseDuration("The time of a step", in.Bake, 0); err != nil {
			return p, err
		}
	}
	return p, p.Check()
}

func parseDuration(what, text string, missing serin.Duration) (serin.Duration, error) {
	if text = strings.TrimSpace(text); text == "" {
		return missing, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, serin.Errorf(serin.KindInvalid, "%s: %q is not a duration like 30m.", what, text)
	}
	return serin.Duration(d), nil
}

func (c *Console) ship(w http.ResponseWriter, v *visit) error {
	f, err := c.findFunction(v)
	if err == nil {
		err = v.form(w)
	}
	if err != nil {
		return err
	}
	in := newShipInput(f)
	in.Alias, in.Version, in.Message = v.PostForm.Get("alias"), v.PostForm.Get("version"), v.PostForm.Get("message")
	in.Steps, in.MaxWait, in.Pace, in.Bake = v.PostForm.Get("steps"), v.PostForm.Get("maxwait"), v.PostForm.Get("pace"), v.PostForm.Get("bake")
	policy, err := in.policy()
	version, ok := serin.ParseVersion(in.Version)
	if err == nil && (!ok || version == serin.Latest) {
		err = serin.Errorf(serin.KindInvalid, "Choose a published version.")
	}
	if err != nil {
		return c.again(w, v, shipForm(in), err)
	}
	if !confirmed(v) {
		return c.ask(w, v, f.Name, c.reviewShip(f, in, version, policy, carry(v.PostForm, "alias", "version", "message", "steps", "maxwait", "pace", "bake")))
	}
	started, err := c.Overview.Releases.Start(v.Context(), release.Request{Function: f.Name, Alias: in.Alias, Version: version, Policy: policy, Message: in.Message})
	if err != nil {
		return c.again(w, v, shipForm(in), err)
	}
	if started.Version == 0 { // it had nothing to do, so it was not kept
		return done(w, v, functionPath(f.Name))
	}
	return done(w, v, Prefix+"releases/"+started.ID)
}

func (c *Console) reviewShip(f *serin.Function, in shipInput, version serin.VersionNumber, p serin.Policy, fields []hidden) confirmation {
	q := confirmation{
		Heading: "Release " + versionText(version) + " to " + in.Alias + " of " + f.Name, Button: "Release " + versionText(version), Not: notUndone, Hidden: fields,
		CLI: []string{command(shipWords(f.Name, in, version, p)...)},
	}
	a := f.Aliases[in.Alias]
	if a == nil {
		q.Will = []string{"Alias " + in.Alias + " is created and sends everything to " + versionText(version) + ": there is nothing to compare with."}
		q.Not = nil
		return q
	}
	q.Lead = in.Alias + " sends " + sharesText(a.Routing) + " now."
	q.Will = []string{fmt.Sprintf("%s gets %s of the traffic at once, then %s %%.", versionText(version), percent(p.Steps[0]), stepsText(p.Steps[1:]))}
	if len(p.Steps) == 1 {
		q.Will = []string{versionText(version) + " gets all of the traffic at once."}
	}
	switch p.Pace {
	case serin.PaceTime:
		q.Will = append(q.Will, fmt.Sprintf("Each step lasts %s.", shortDuration(p.Bake)))
	case serin.PaceHand:
		q.Will = append(q.Will, "Each step waits for somebody to approve it.")
	default:
		q.Will = append(q.Will, fmt.Sprintf("Each step lasts until the evidence says that %s is no worse, %s in all; then it is held for you.", versionText(version), shortDuration(p.MaxWait)))
	}
	q.Will = append(q.Will, fmt.Sprintf("If it is worse, %s comes back by itself, at any step. A version that is no worse is rolled back with a probability of %s at most.",
		versionText(a.Routing.Version), fraction(p.Alpha)))
	return q
}

func shipWords(function string, in shipInput, version serin.VersionNumber, p serin.Policy) []string {
	words := []string{"serin", "ship", "--function", function, "--alias", in.Alias, "--version", version.String()}
	if p.Preset != "" {
		words = append(words, "--preset", p.Preset)
	} else {
		words = append(words, "--steps", strings.ReplaceAll(stepsText(p.Steps), " ", ""), "--pace", string(p.Pace), "--max-wait", shortDuration(p.MaxWait))
		if p.Bake > 0 {
			words = append(words, "--bake", shortDuration(p.Bake))
		}
	}
	if in.Message != "" {
		words = append(words, "-m", in.Message)
	}
	return words
}

// verbs say what commands to a release do.
var verbs = map[serin.Command]struct {
	heading, button string
	will            []string
	danger          bool
}{
	serin.CommandHold:    {"Hold", "Hold", []string{"No further step is taken until somebody resumes, promotes or aborts the release.", "The new version keeps its share and is still judged: if it is worse, the old one comes back."}, false},
	serin.CommandResume:  {"Resume", "Resume", []string{"Steps are taken again as the evidence allows.", "The time to wait for evidence begins anew."}, false},
	serin.CommandPromote: {"Promote", "Promote now", []string{"The new version gets all of the traffic at once.", "Without enough evidence the release says so for ever: nobody has judged the rest."}, false},
	serin.CommandAbort:   {"Abort", "Abort and put the old version back", []string{"The old version gets all of the traffic at once.", "The release ends."}, true},
	serin.CommandApprove: {"Approve", "Approve this step", []string{"The release goes on to its next step."}, false},
	serin.CommandSkip:    {"Skip", "Skip this step", []string{"The release leaves its step now, whatever it waits for."}, false},
}

func (c *Console) showCommand(w http.ResponseWriter, v *visit) error {
	d, verb, err := c.commanded(v)
	if err != nil {
		return err
	}
	return c.ask(w, v, d.Function, commandForm(d, verb))
}

func (c *Console) commanded(v *visit) (*overview.ReleaseDocument, serin.Command, error) {
	verb := serin.Command(v.PathValue("command"))
	if _, ok := verbs[verb]; !ok {
		return nil, "", serin.Errorf(serin.KindNotFound, "The console has no page here.")
	}
	d, err := c.Overview.Release(v.Context(), v.PathValue("release"))
	return d, verb, err
}

func commandForm(d *overview.ReleaseDocument, verb serin.Command) confirmation {
	about := verbs[verb]
	q := confirmation{
		Heading: fmt.Sprintf("%s the release of %s", about.heading, d.Function), Will: about.will, Button: about.button, Danger: about.danger, Reason: true,
		Lead:   fmt.Sprintf("%s %s ▸ %s, step %d of %d, verdict so far: %s.", d.Alias, versionText(d.From.Version), versionText(d.To.Version), d.Step+1, len(d.Policy.Steps), d.Verdict),
		CLI:    []string{command("serin", string(verb), "--function", d.Function, "--alias", d.Alias)},
		Action: Prefix + "releases/" + d.ReleaseID + "/" + string(verb),
		Hidden: []hidden{{"step", strconv.Itoa(d.Step)}},
	}
	if verb == serin.CommandAbort {
		q.Not = notUndone
	}
	if d.Phase == serin.PhaseEnded {
		q.Problem = "This release has ended: " + cmp.Or(d.Reason.Text, string(d.Outcome))
		q.Button = ""
	}
	return q
}

func (c *Console) command(w http.ResponseWriter, v *visit) error {
	if err := v.form(w); err != nil {
		return err
	}
	d, verb, err := c.commanded(v)
	if err != nil {
		return err
	}
	in := serin.Instruction{Command: verb, Reason: v.PostForm.Get("reason")}
	if step, err := strconv.Atoi(v.PostForm.Get("step")); err == nil && verb != serin.CommandAbort && verb != serin.CommandHold {
		in.Step = &step // what was shown; to stop is right at any step
	}
	if _, err := c.Overview.Releases.Command(v.Context(), d.ReleaseID, in); err != nil {
		return c.again(w, v, commandForm(d, verb), err)
	}
	return done(w, v, Prefix+"releases/"+d.ReleaseID)
}

// showRollback shows where a rollback goes.
func (c *Console) showRollback(w http.ResponseWriter, v *visit) error {
	q, err := c.rollbackForm(v, v.PathValue("function"), v.PathValue("alias"))
	if err != nil {
		return err
	}
	return c.ask(w, v, v.PathValue("function"), q)
}

func (c *Console) rollbackForm(v *visit, function, alias string) (confirmation, error) {
	in := overview.RollbackRequest{Function: function, Alias: alias, DryRun: true}
	if n, ok := serin.ParseVersion(v.URL.Query().Get("to")); ok {
		in.Version = &n
	}
	plan, err := c.Overview.RollBack(v.Context(), in)
	if err != nil {
		return confirmation{}, err
	}
	f, a, err := c.Overview.Control.Alias(function, alias)
	if err != nil {
		return confirmation{}, err
	}
	to := versionText(plan.To.Version)
	q := confirmation{
		Heading: fmt.Sprintf("Roll %s of %s back to %s", alias, function, to), Button: "Roll back to " + to, Danger: true, Reason: true, Not: notUndone,
		Lead:   alias + " sends " + sharesText(a.Routing) + " now.",
		Will:   []string{to + " gets all of the traffic at once, without a canary."},
		CLI:    []string{command("serin", "rollback", "--function", function, "--alias", alias, "--to", plan.To.Version.String(), "-y")},
		Hidden: []hidden{{"to", plan.To.Version.String()}, {"release", plan.ReleaseID}, {"revision", a.RevisionID}},
		Action: functionPath(function, "aliases", alias, "rollback"),
	}
	if target, ok := f.Version(plan.To.Version); ok && target.Config.Description != "" {
		q.Will[0] = fmt.Sprintf("%s (%s) gets all of the traffic at once, without a canary.", to, target.Config.Description)
	}
	if plan.ReleaseID != "" {
		q.Will = append(q.Will, "The running release is aborted.")
	}
	return q, nil
}

func (c *Console) rollBack(w http.ResponseWriter, v *visit) error {
	if err := v.form(w); err != nil {
		return err
	}
	function, alias := v.PathValue("function"), v.PathValue("alias")
	_, a, err := c.Overview.Control.Alias(function, alias)
	if err != nil {
		return err
	}
	to, ok := serin.ParseVersion(v.PostForm.Get("to"))
	if !ok {
		return serin.Errorf(serin.KindInvalid, "Say which version to go back to.")
	}
	if a.RevisionID != v.PostForm.Get("revision") {
		moves, err := c.Overview.Control.History(v.Context(), function, alias, 1)
		// The release that the rollback aborts may have taken a step meanwhile.
		if err != nil || len(moves) == 0 || moves[0].Release == "" || moves[0].Release != v.PostForm.Get("release") {
			return c.conflict(w, v, function, aliasInput{Function: function, Name: alias, Version: to.String()})
		}
	}
	in := overview.RollbackRequest{Function: function, Alias: alias, Version: &to, Reason: v.PostForm.Get("reason")}
	if _, err := c.Overview.RollBack(v.Context(), in); err != nil {
		return err
	}
	return done(w, v, functionPath(function))
}
