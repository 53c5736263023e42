package cli

import (
	"context"
	"fmt"

	"serin"
	"serin/internal/api"
)

// shipment is one run of ship.
type shipment struct {
	*app
	*shipOptions
	source
	conn    *connection
	status  *api.StatusDocument // before anything is changed; nil for a new function
	screen  *screen             // nil without a terminal
	sinks   []func(event)
	traffic *traffic
}

func (a *app) ship(ctx context.Context, opt *shipOptions, src source) error {
	s := &shipment{app: a, shipOptions: opt, source: src}
	s.open()
	var err error
	if opt.traffic != "" {
		if s.traffic, err = newTraffic(opt.traffic, opt.rate); err != nil {
			return err
		}
	}
	if s.conn, err = a.connect(opt.place); err != nil {
		return err
	}
	d, code, err := s.run(ctx)
	if code == exitDone && d != nil && opt.keep > 0 && !opt.detach {
		s.pruneAfter(ctx)
	}
	if d != nil {
		return s.close(d, code, err)
	}
	return err
}

// run publishes, releases and follows. It returns no document if no release was started.
func (s *shipment) run(ctx context.Context) (*api.ReleaseDocument, int, error) {
	if err := s.look(ctx); err != nil {
		return nil, exitCode(err), ended(ctx, err)
	}
	version, changed, err := s.prepare(ctx)
	if err != nil || s.dryRun {
		return nil, exitCode(err), ended(ctx, err)
	}
	d, code, err := s.release(ctx, version)
	if d != nil {
		d.Changed = changed
	}
	return d, code, err
}

// open decides who is told what happens.
func (s *shipment) open() {
	if s.events {
		s.sinks = append(s.sinks, func(e event) { _ = s.printLine(e) }) // a reader that is gone stops no release
	}
	if s.Terminal == nil {
		s.sinks = append(s.sinks, (&lineSink{to: s.Stderr}).emit)
		return
	}
	s.screen = &screen{to: s.Stderr, width: s.Terminal.Width, color: s.color()}
	s.sinks = append(s.sinks, func(e event) {
		if e.Type != eventSample {
			s.screen.print(eventLines(e))
		}
	})
}

func (s *shipment) emit(e event) {
	if e.Time.IsZero() {
		e.Time = now()
	}
	for _, sink := range s.sinks {
		sink(e)
	}
}

// look asks for the state of the function, and refuses to begin while another release is active.
func (s *shipment) look(ctx context.Context) error {
	status, err := s.conn.api.Status(ctx, s.function)
	if err != nil && !isKind(err, serin.KindNotFound) {
		return err
	}
	s.status = status
	if status == nil && s.version != "" {
		return err
	}
	if a := aliasOf(status, s.alias); a != nil && a.Release != nil && a.Release.Phase != serin.PhaseWatching {
		d := a.Release
		return exitf(exitConflict, "release %s of %s to %s is %s, started by %s at %s; wait for it, or end it: serin abort --function %s --alias %s",
			d.ReleaseID, s.String(), versionText(d.To.Version), d.Phase, d.Actor, clock(d.StartedAt), s.function, s.alias)
	}
	return nil
}

// prepare makes sure that the version to ship exists, or prints the plan for --dry-run.
func (s *shipment) prepare(ctx context.Context) (api.VersionRef, []string, error) {
	if s.version != "" {
		return s.existing()
	}
	zip, err := s.pack(ctx, s.source, s.build, s.pkg)
	if err != nil {
		return api.VersionRef{}, nil, err
	}
	p := &publisher{lambda: s.conn.lambda, function: s.function, account: s.conn.account}
	c, err := p.compare(ctx, s.status, s.config, zip)
	if err != nil {
		return api.VersionRef{}, nil, err
	}
	if s.dryRun {
		return api.VersionRef{}, nil, s.show(s.plan(c, 0))
	}
	version, err := p.publish(ctx, c, s.config, zip, provenanceOf(ctx, s.Getenv, s.dir, s.message))
	if err != nil {
		return version, nil, err
	}
	for _, note := range c.notes {
		s.say("%s", note)
	}
	e := event{Type: eventPublished, Version: &version, Changed: []string{}, existed: true}
	if c.publishes() {
		e.Changed, e.Fields, e.Files, e.existed = c.changed(), c.fields, c.files, false
	}
	if c.publishes() || !s.routesAll(version.Version) {
		s.emit(e)
	}
	return version, e.Changed, nil
}

// existing is prepare for --version.
func (s *shipment) existing() (api.VersionRef, []string, error) {
	v, err := s.version.find(s.status, s.alias)
	if err != nil {
		return api.VersionRef{}, nil, err
	}
	ref := api.VersionRef{Version: v.Version, CodeSHA256: v.CodeSHA256}
	if s.dryRun {
		return ref, nil, s.show(s.plan(nil, v.Version))
	}
	if !s.routesAll(v.Version) {
		s.emit(event{Type: eventPublished, Version: &ref, existed: true})
	}
	return ref, []string{}, nil
}

// routesAll reports whether the alias sends everything to a version.
func (s *shipment) routesAll(v serin.VersionNumber) bool {
	a := aliasOf(s.status, s.alias)
	return a != nil && len(a.Set) == 1 && a.Set[v] == 100
}

func (s *shipment) plan(c *comparison, version serin.VersionNumber) plan {
	p := newPlan(s.subject, s.policy, c, version, s.status)
	p.Settings = s.routing.changes(aliasOf(s.status, s.alias))
	return p
}

func (s *shipment) show(p plan) error {
	if s.json || s.events {
		return s.printDocument(p)
	}
	for _, line := range p.lines() {
		fmt.Fprintln(s.Stdout, clean(line))
	}
	return nil
}

// release checks the version, starts the release and follows it to its end.
func (s *shipment) release(ctx context.Context, version api.VersionRef) (*api.ReleaseDocument, int, error) {
	if !s.routesAll(version.Version) {
		s.warnAgain(ctx, version)
		if err := s.check(ctx, version); err != nil {
			return nil, exitPreflight, err
		}
	}
	s.forewarn(version)
	if ctx.Err() != nil {
		return nil, exitAborted, ended(ctx, ctx.Err())
	}
	before := aliasOf(s.status, s.alias)
	if before != nil {
		if err := s.routing.apply(ctx, s.conn, s.subject, before); err != nil {
			return nil, exitCode(err), err
		}
	}
	// Whether an interrupted request has begun a release would be unknown; so it is not interrupted.
	asked, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	d, err := s.conn.api.Start(asked, api.StartRequest{
		Function: s.function, Alias: s.alias, Version: version.Version, Policy: s.policy, Message: s.message,
	})
	if err == nil && before == nil { // the release has made the alias
		err = s.routing.apply(asked, s.conn, s.subject, nil)
	}
	if err != nil {
		return nil, exitCode(err), err
	}
	f := &follower{app: s.app, conn: s.conn, sink: s.emit, quiet: s.yes, within: rollbackWithin}
	if s.detach {
		f.see(d)
		return d, exitDone, nil
	}
	f.screen = s.screen
	if s.traffic != nil && d.Phase != serin.PhaseEnded {
		stop := s.traffic.start(ctx, s.conn.lambda, s.function, s.alias)
		defer func() { s.say("%s", stop()) }()
	}
	return f.follow(ctx, d)
}

// forewarn says before the start that the evidence will not come in time, unless ship sends traffic itself.
func (s *shipment) forewarn(version api.VersionRef) {
	p := newPlan(s.subject, s.policy, nil, version.Version, s.status)
	if s.traffic != nil || p.idle() || p.Forecast == nil || !p.Forecast.Late {
		return
	}
	for _, line := range p.Forecast.lines(&p) {
		s.say("%s", line)
	}
}

// warnAgain says that a version is one that a release has put back before.
func (s *shipment) warnAgain(ctx context.Context, version api.VersionRef) {
	if s.status == nil {
		return
	}
	history, err := s.conn.api.History(ctx, s.function, s.alias, 100)
	if err != nil {
		return // it is only a hint
	}
	for _, d := range history.Releases {
		if d.To.Version == version.Version && d.Outcome == serin.EndingRolledBack {
			s.say("note: %s was rolled back at %s: %s", versionText(version.Version), clock(d.StartedAt), clean(d.Reason.Text))
			return
		}
	}
}

// check runs the smoke test.
func (s *shipment) check(ctx context.Context, version api.VersionRef) error {
	if s.smoke == "" {
		return nil
	}
	arn := serin.Place{Region: s.conn.region, Account: s.conn.account}.FunctionARN(s.function, version.Version.String())
	if s.status != nil {
		arn = s.status.ARN + ":" + version.Version.String()
	}
	result, err := s.runSmoke(ctx, s.conn, s.smoke, s.dir, arn, s.function, version.Version.String())
	if err != nil {
		return err
	}
	s.emit(event{Type: eventSmoke, Version: &version, Smoke: result})
	if result.ExitStatus != 0 {
		return exitf(exitPreflight, "the smoke test failed; no traffic was moved and %s stays published", versionText(version.Version))
	}
	return nil
}

// close tells how it ended. err is what went wrong while the release was followed.
func (s *shipment) close(d *api.ReleaseDocument, code int, err error) error {
	if err != nil {
		err = &exitError{code: code, err: err}
	} else {
		err = outcome(code)
	}
	s.emit(event{Type: eventDone, ReleaseID: d.ReleaseID, Release: d, ExitCode: &code, document: d})
	switch {
	case s.events:
		s.answered = true
	case s.json:
		return joined(err, s.printDocument(finalDocument{ReleaseDocument: d, ExitCode: code}))
	case s.detach:
		fmt.Fprintln(s.Stdout, d.ReleaseID)
	}
	return err
}

// finalDocument is what ship --json prints.
type finalDocument struct {
	*api.ReleaseDocument
	ExitCode int `json:"exitCode"`
}

// joined prefers the error that says more.
func joined(err, written error) error {
	if err != nil {
		return err
	}
	return written
}
