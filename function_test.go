package serin_test

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"serin"
)

var place = serin.Place{Region: "us-east-1", Account: "123456789012"}

const arn = "arn:aws:lambda:us-east-1:123456789012:function:shop"

// stamper gives out revisions "r1", "r2", … so that tests can name them.
func stamper() serin.Change {
	n := 0
	return serin.Change{
		At: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Actor: "ana", Cause: serin.CauseManual,
		NewRevision: func() string { n++; return "r" + strconv.Itoa(n) },
	}
}

// shop returns an active function with n published versions that differ in their code.
func shop(t *testing.T, c serin.Change, n int) *serin.Function {
	t.Helper()
	f := serin.NewFunction(c, place, "shop", serin.Configuration{Role: "role-a"}, serin.Code{SHA256: "c0"}, nil, 0)
	f.Settle(c, "")
	for i := range n {
		ok(t, f.UpdateCode(c, serin.Code{SHA256: "c" + strconv.Itoa(i+1)}, "", ""))
		f.Settle(c, "")
		publish(t, f, c, serin.Publication{})
	}
	return f
}

func publish(t *testing.T, f *serin.Function, c serin.Change, p serin.Publication) *serin.Version {
	t.Helper()
	v, err := f.PublishVersion(c, p)
	ok(t, err)
	return v
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks kind and text of an error, and that the rule has changed nothing.
func refused(t *testing.T, f *serin.Function, kind serin.Kind, message string, rule func(*serin.Function) error) {
	t.Helper()
	before, moves := f.Clone(), len(f.Moves())
	err := rule(f)
	e, isDomain := errors.AsType[*serin.Error](err)
	if !isDomain || e.Kind != kind || e.Message != message {
		t.Errorf("error %v (%+v)\nwant kind %d: %s", err, e, kind, message)
	}
	if d := cmp.Diff(before, f, cmpopts.IgnoreUnexported(serin.Function{})); d != "" || len(f.Moves()) != moves {
		t.Errorf("a refused change changed the function:\n%s", d)
	}
}

func TestCreateThenSettle(t *testing.T) {
	c := stamper()
	f := serin.NewFunction(c, place, "shop", serin.Configuration{}, serin.Code{}, nil, 0)
	if f.Latest.State != serin.StatePending || f.Latest.UpdateStatus != "" || f.ARN != arn {
		t.Errorf("new function: %+v", f.Latest)
	}
	created := f.Latest.RevisionID
	f.Settle(c, "")
	if f.Latest.State != serin.StateActive || f.Latest.UpdateStatus != serin.UpdateSuccessful || f.Latest.RevisionID == created {
		t.Errorf("settled function: %+v", f.Latest)
	}
	f.Settle(c, "python3 is not installed")
	if f.Latest.State != serin.StateFailed || f.Latest.StateReason == "" {
		t.Errorf("failed function: %+v", f.Latest)
	}
	refused(t, f, serin.KindConflict,
		"The operation cannot be performed at this time. The function is currently in the following state: Failed. python3 is not installed",
		func(f *serin.Function) error { _, err := f.PublishVersion(c, serin.Publication{}); return err })
}

func TestPublishVersion(t *testing.T) {
	c := stamper()
	f := shop(t, c, 0)
	before := f.Latest
	v1 := publish(t, f, c, serin.Publication{Description: new("first")})
	if v1.Number != 1 || v1.Config.Description != "first" || f.Latest.Config.Description != "" {
		t.Errorf("version 1: %+v", v1)
	}
	if v1.RevisionID == before.RevisionID || f.Latest.RevisionID == before.RevisionID || f.Latest.RevisionID == v1.RevisionID {
		t.Error("publishing must give the version and $LATEST new, different revisions")
	}
	latest := f.Latest.RevisionID
	if again := publish(t, f, c, serin.Publication{Description: new("ignored")}); again != v1 || f.Latest.RevisionID != latest {
		t.Error("an unchanged publish must return the newest version and change nothing")
	}
	// The same bytes again count as a change, as on AWS.
	ok(t, f.UpdateCode(c, f.Latest.Code, "", ""))
	v2 := publish(t, f, c, serin.Publication{})
	if v2.Number != 2 || v1.Number != 1 {
		t.Errorf("version after an update: %+v", v2)
	}
	// A description-only update counts as well, and does not reach into versions.
	ok(t, f.UpdateConfiguration(c, func(cfg *serin.Configuration) { cfg.Description = "new" }, ""))
	if v3 := publish(t, f, c, serin.Publication{}); v3.Number != 3 || v3.Config.Description != "new" || v2.Config.Description != "" {
		t.Errorf("version 3: %+v", v3)
	}
}

func TestPublishPreconditions(t *testing.T) {
	c := stamper()
	f := shop(t, c, 1)
	refused(t, f, serin.KindInvalid,
		"CodeSHA256 (x) is different from current CodeSHA256 in $LATEST (c1). Please try again with the CodeSHA256 in $LATEST.",
		func(f *serin.Function) error {
			_, err := f.PublishVersion(c, serin.Publication{CodeSHA256: "x"})
			return err
		})
	stale := "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
	refused(t, f, serin.KindPrecondition, stale, func(f *serin.Function) error {
		_, err := f.PublishVersion(c, serin.Publication{RevisionID: "old", CodeSHA256: "x"})
		return err
	})
	refused(t, f, serin.KindPrecondition, stale, func(f *serin.Function) error { return f.UpdateCode(c, serin.Code{}, "", "old") })
	refused(t, f, serin.KindPrecondition, stale, func(f *serin.Function) error {
		return f.UpdateConfiguration(c, func(*serin.Configuration) {}, "old")
	})
	publish(t, f, c, serin.Publication{RevisionID: f.Latest.RevisionID, CodeSHA256: "c1"})
}

// G1: a number is never used again, not after deleting the newest version nor after deleting the function.
func TestVersionNumbersAreNeverReused(t *testing.T) {
	c := stamper()
	f := shop(t, c, 3)
	ok(t, f.DeleteVersion(3))
	if v := publish(t, f, c, serin.Publication{}); v.Number != 4 {
		t.Errorf("published %s after deleting 3", v.Number)
	}
	again := serin.NewFunction(c, place, "shop", serin.Configuration{}, serin.Code{}, nil, f.LastPublished)
	again.Settle(c, "")
	if v := publish(t, again, c, serin.Publication{}); v.Number != 5 {
		t.Errorf("published %s after re-creation", v.Number)
	}
}

// G1: what was published stays what it was, whatever happens to $LATEST.
func TestVersionsAreImmutable(t *testing.T) {
	c := stamper()
	f := shop(t, c, 0)
	ok(t, f.UpdateConfiguration(c, func(cfg *serin.Configuration) { cfg.Environment = map[string]string{"A": "1"} }, ""))
	f.Settle(c, "")
	v1 := publish(t, f, c, serin.Publication{})
	saved := *v1
	ok(t, f.UpdateConfiguration(c, func(cfg *serin.Configuration) { cfg.Environment = map[string]string{"A": "2"} }, ""))
	ok(t, f.UpdateCode(c, serin.Code{SHA256: "other"}, "arm64", ""))
	f.Settle(c, "")
	publish(t, f, c, serin.Publication{})
	if d := cmp.Diff(saved, *v1); d != "" {
		t.Errorf("version 1 changed:\n%s", d)
	}
}

func TestDeleteVersion(t *testing.T) {
	c := stamper()
	f := shop(t, c, 3)
	alias(t, f, c, "live", serin.Routing{Version: 1, Additional: 2, Weight: 0})
	alias(t, f, c, "beta", serin.Routing{Version: 1})
	inUse := "Unable to delete version because the following aliases reference it: "
	refused(t, f, serin.KindConflict, inUse+"[beta, live]", func(f *serin.Function) error { return f.DeleteVersion(1) })
	refused(t, f, serin.KindConflict, inUse+"[live]", func(f *serin.Function) error { return f.DeleteVersion(2) })
	refused(t, f, serin.KindInvalid, "$LATEST version cannot be deleted without deleting the function.",
		func(f *serin.Function) error { return f.DeleteVersion(serin.Latest) })
	ok(t, f.DeleteVersion(3))
	ok(t, f.DeleteVersion(99))
	if _, found := f.Version(3); found || len(f.Versions) != 2 {
		t.Errorf("versions left: %d", len(f.Versions))
	}
}

func alias(t *testing.T, f *serin.Function, c serin.Change, name string, r serin.Routing) {
	t.Helper()
	up := serin.AliasUpdate{Version: &r.Version}
	if r.Weighted() {
		up.Weights = &map[serin.VersionNumber]float64{r.Additional: r.Weight}
	}
	_, err := f.CreateAlias(c, name, up)
	ok(t, err)
}

func TestAliasRules(t *testing.T) {
	c := stamper()
	f := shop(t, c, 3)
	weights := func(m map[serin.VersionNumber]float64) *map[serin.VersionNumber]float64 { return &m }
	create := func(v serin.VersionNumber, w map[serin.VersionNumber]float64) func(*serin.Function) error {
		return func(f *serin.Function) error {
			up := serin.AliasUpdate{Version: &v}
			if w != nil {
				up.Weights = weights(w)
			}
			_, err := f.CreateAlias(c, "new", up)
			return err
		}
	}
	refused(t, f, serin.KindNotFound, "Function not found: "+arn+":10", create(10, nil))
	refused(t, f, serin.KindNotFound, "Function not found: "+arn+":10", create(1, map[serin.VersionNumber]float64{10: 0.1}))
	refused(t, f, serin.KindNotFound, "Function not found: "+arn+":10", create(10, map[serin.VersionNumber]float64{1: 0.1}))
	refused(t, f, serin.KindInvalid, "Number of items in AdditionalVersionWeights cannot be greater than 1",
		create(1, map[serin.VersionNumber]float64{2: 0.1, 3: 0.1}))
	refused(t, f, serin.KindInvalid, "Invalid function version 1. Function version 1 is already included in routing configuration.",
		create(1, map[serin.VersionNumber]float64{1: 0.1}))
	refused(t, f, serin.KindInvalid, "$LATEST is not supported for an alias pointing to more than 1 version",
		create(serin.Latest, map[serin.VersionNumber]float64{1: 0.1}))
	ok(t, create(1, map[serin.VersionNumber]float64{})(f))
	refused(t, f, serin.KindConflict, "Alias already exists: "+arn+":new", create(1, nil))

	_, err := f.UpdateAlias(c, "new", serin.AliasUpdate{Weights: weights(map[serin.VersionNumber]float64{2: 0.2})})
	ok(t, err)
	// Changing the version alone keeps the weights, so it may not become the weighted one.
	refused(t, f, serin.KindInvalid, "Invalid function version 2. Function version 2 is already included in routing configuration.",
		func(f *serin.Function) error {
			_, err := f.UpdateAlias(c, "new", serin.AliasUpdate{Version: new(serin.VersionNumber(2))})
			return err
		})
	a, err := f.UpdateAlias(c, "new", serin.AliasUpdate{Version: new(serin.VersionNumber(3))})
	ok(t, err)
	if want := (serin.Routing{Version: 3, Additional: 2, Weight: 0.2}); a.Routing != want {
		t.Errorf("routing %+v, want %+v", a.Routing, want)
	}
	revision := a.RevisionID
	if a, err = f.UpdateAlias(c, "new", serin.AliasUpdate{}); err != nil || a.RevisionID == revision {
		t.Errorf("an update that changes nothing must give a new revision: %v, %v", a, err)
	}
	if a, err = f.UpdateAlias(c, "new", serin.AliasUpdate{Weights: weights(nil), RevisionID: a.RevisionID}); err != nil || a.Routing.Weighted() {
		t.Errorf("an empty map must clear the weights: %+v, %v", a, err)
	}
	refused(t, f, serin.KindPrecondition, "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
		func(f *serin.Function) error {
			_, err := f.UpdateAlias(c, "new", serin.AliasUpdate{RevisionID: revision})
			return err
		})
	refused(t, f, serin.KindNotFound, "Alias not found: "+arn+":none",
		func(f *serin.Function) error { _, err := f.UpdateAlias(c, "none", serin.AliasUpdate{}); return err })
	f.DeleteAlias(c, "none")
	f.DeleteAlias(c, "new")
	if len(f.Aliases) != 0 {
		t.Error("alias not deleted")
	}
}

// Two versions of one alias must share the execution role and the dead-letter configuration.
func TestWeightedVersionsMustAgree(t *testing.T) {
	for name, change := range map[string]func(*serin.Configuration){
		"Specified versions must be associated with the same execution role":    func(c *serin.Configuration) { c.Role = "role-b" },
		"Specified versions must have the same dead-letter queue configuration": func(c *serin.Configuration) { c.DeadLetterTarget = "q" },
	} {
		c := stamper()
		f := shop(t, c, 1)
		ok(t, f.UpdateConfiguration(c, change, ""))
		publish(t, f, c, serin.Publication{})
		refused(t, f, serin.KindInvalid, name, func(f *serin.Function) error {
			_, err := f.CreateAlias(c, "live", serin.AliasUpdate{
				Version: new(serin.VersionNumber(1)), Weights: &map[serin.VersionNumber]float64{2: 0.5},
			})
			return err
		})
	}
}

func TestMovesTellTheStory(t *testing.T) {
	c := stamper()
	f := shop(t, c, 2).Clone()
	alias(t, f, c, "live", serin.Routing{Version: 1})
	_, err := f.UpdateAlias(c, "live", serin.AliasUpdate{Description: new("no move")})
	ok(t, err)
	c.Cause, c.Reason, c.Release = serin.CauseStep, "first step", "rel"
	_, err = f.UpdateAlias(c, "live", serin.AliasUpdate{Weights: &map[serin.VersionNumber]float64{2: 0.1}})
	ok(t, err)
	f.DeleteAlias(c, "live")
	r1, r2 := serin.Routing{Version: 1}, serin.Routing{Version: 1, Additional: 2, Weight: 0.1}
	want := []serin.Move{
		{Function: "shop", Alias: "live", At: c.At, Actor: "ana", Cause: serin.CauseManual, To: &r1},
		{Function: "shop", Alias: "live", At: c.At, Actor: "ana", Cause: serin.CauseStep, Reason: "first step", Release: "rel", From: &r1, To: &r2},
		{Function: "shop", Alias: "live", At: c.At, Actor: "ana", Cause: serin.CauseStep, Reason: "first step", Release: "rel", From: &r2},
	}
	if d := cmp.Diff(want, f.Moves()); d != "" {
		t.Error(d)
	}
}

func TestResolve(t *testing.T) {
	c := stamper()
	f := shop(t, c, 2)
	alias(t, f, c, "live", serin.Routing{Version: 2})
	for qualifier, want := range map[string]serin.VersionNumber{"": 0, "$LATEST": 0, "1": 1, "2": 2, "live": 2} {
		v, a, err := f.Resolve(qualifier)
		if err != nil || v.Number != want || (a != nil) != (qualifier == "live") {
			t.Errorf("Resolve(%q) = %v, %v, %v", qualifier, v, a, err)
		}
	}
	for _, qualifier := range []string{"3", "01", "0", "-1", "99999999999999999999", "$latest", "$LATEST.PUBLISHED", "nope"} {
		refused(t, f, serin.KindNotFound, "Function not found: "+arn+":"+qualifier,
			func(f *serin.Function) error { _, _, err := f.Resolve(qualifier); return err })
	}
}

func TestTags(t *testing.T) {
	f := shop(t, stamper(), 0)
	many := map[string]string{}
	for i := range serin.MaxTags {
		many[strconv.Itoa(i)] = "x"
	}
	ok(t, f.Tag(many))
	ok(t, f.Tag(map[string]string{"1": "y"}))
	refused(t, f, serin.KindInvalid, "Number of tags exceeds resource tag limit.", func(f *serin.Function) error { return f.Tag(map[string]string{"new": ""}) })
	f.Untag([]string{"1", "none"})
	if len(slices.Collect(maps.Keys(f.Tags))) != serin.MaxTags-1 {
		t.Errorf("%d tags", len(f.Tags))
	}
}

func TestParseRef(t *testing.T) {
	for _, tt := range []struct {
		name, qualifier string
		want            serin.Ref
		kind            serin.Kind
	}{
		{"shop", "", serin.Ref{Function: "shop"}, 0},
		{"shop", "live", serin.Ref{Function: "shop", Qualifier: "live"}, 0},
		{"shop:3", "", serin.Ref{Function: "shop", Qualifier: "3"}, 0},
		{"shop:3", "3", serin.Ref{Function: "shop", Qualifier: "3"}, 0},
		{"function:shop", "", serin.Ref{Function: "shop"}, 0},
		{"123456789012:function:shop:live", "", serin.Ref{Function: "shop", Qualifier: "live"}, 0},
		{arn, "", serin.Ref{Function: "shop"}, 0},
		{arn + ":$LATEST", "", serin.Ref{Function: "shop", Qualifier: "$LATEST"}, 0},
		{arn + ":3", "3", serin.Ref{Function: "shop", Qualifier: "3"}, 0},
		{"shop:3", "4", serin.Ref{}, serin.KindInvalid},
		{"arn:aws:lambda:eu-west-1:123456789012:function:shop", "", serin.Ref{}, serin.KindNotFound},
		{"arn:aws:lambda:us-east-1:999999999999:function:shop", "", serin.Ref{}, serin.KindDenied},
		{"999999999999:function:shop", "", serin.Ref{}, serin.KindDenied},
		{"arn:aws", "", serin.Ref{}, serin.KindInvalid},
	} {
		got, err := place.ParseRef(tt.name, tt.qualifier)
		e, _ := errors.AsType[*serin.Error](err)
		if got != tt.want || (err == nil) != (tt.kind == 0) || e != nil && e.Kind != tt.kind {
			t.Errorf("ParseRef(%q, %q) = %+v, %v", tt.name, tt.qualifier, got, err)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	f.Add(arn+":live", "live")
	f.Add("arn:aws:lambda", "")
	f.Fuzz(func(t *testing.T, name, qualifier string) {
		if ref, err := place.ParseRef(name, qualifier); err != nil && ref != (serin.Ref{}) {
			t.Errorf("ParseRef(%q, %q) = %+v and %v", name, qualifier, ref, err)
		}
	})
}
