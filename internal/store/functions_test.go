package store_test

import (
	"context"
	"errors"
	"strings"
	"time"

	"serin"
	"serin/internal/store"
)

func testCreate(t suite) {
	s := open(t, t.cfg)
	expect(t, "changes of an empty store", lastChange(t, s), 0)
	if _, err := s.Function(t.Context(), "f"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a missing function: error %v", err)
	}
	f, seq, err := s.CreateFunction(t.Context(), "f", func(last serin.VersionNumber) (*serin.Function, error) {
		expect(t, "last published version of a new name", last, 0)
		return build("f")(last)
	})
	if err != nil || seq != 1 {
		t.Fatalf("create: change %d, error %v", seq, err)
	}
	read, err := s.Function(t.Context(), "f")
	if err != nil || read != f {
		t.Errorf("the function read is not the one created: %v", err)
	}
	_, _, err = s.CreateFunction(t.Context(), "f", build("f"))
	expectErr(t, "create again", err, store.ErrExists)
	_, _, err = s.CreateFunction(t.Context(), "g", build("another name"))
	if err == nil {
		t.Error("a function was saved under a name that is not its own")
	}
	expect(t, "functions", names(everything(t, s)), []string{"f"})
	expect(t, "changes", lastChange(t, s), 1)
}

func testUpdate(t suite) {
	s := open(t, t.cfg)
	_, _, err := s.UpdateFunction(t.Context(), "f", publish)
	expectErr(t, "update of a missing function", err, store.ErrNotFound)
	before := create(t, s, "f")
	_, seq, err := s.UpdateFunction(t.Context(), "f", both(publish, publish, route("live", 1, serin.CauseManual), route("beta", 2, serin.CauseManual)))
	if err != nil || seq != 2 {
		t.Fatalf("update: change %d, error %v", seq, err)
	}
	if len(before.Versions) != 0 || before.LastPublished != 0 {
		t.Error("an update changed the function that others hold")
	}
	f := update(t, s, "f", func(f *serin.Function) error {
		f.DeleteAlias(byTester(serin.CauseManual), "beta")
		return errors.Join(f.DeleteVersion(2), route("live", 1, serin.CauseManual)(f), publish(f))
	})
	s = reopen(t, s, t.cfg)
	read, err := s.Function(t.Context(), "f")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "the function after a restart", read, f)
	expect(t, "versions", []serin.VersionNumber{read.Versions[0].Number, read.Versions[1].Number}, []serin.VersionNumber{1, 3})
	// The first update after a restart has nothing in the cache.
	f = update(t, s, "f", publish)
	expect(t, "last published", f.LastPublished, 4)
}

func testUpdateKeepsIdentity(t suite) {
	s := open(t, t.cfg)
	create(t, s, "f")
	before := update(t, s, "f", both(publish, publish, route("live", 1, serin.CauseManual), route("beta", 1, serin.CauseManual)))
	after := update(t, s, "f", route("live", 2, serin.CauseManual))
	if after.Versions[0] != before.Versions[0] || after.Versions[1] != before.Versions[1] || after.Latest != before.Latest {
		t.Error("an update of an alias replaced versions")
	}
	if after.Aliases["beta"] != before.Aliases["beta"] || after.Aliases["live"] == before.Aliases["live"] {
		t.Error("an update of one alias must replace that one and no other")
	}
	for f, err := range s.Functions(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "function", f, after)
	}
	read, err := s.Function(t.Context(), "f")
	if err != nil {
		t.Fatal(err)
	}
	next := update(t, s, "f", route("live", 1, serin.CauseManual))
	if next.Versions[1] != read.Versions[1] || next.Aliases["beta"] != read.Aliases["beta"] {
		t.Error("an update replaced versions or aliases that had been loaded")
	}
}

func testAbortedChange(t suite) {
	s := open(t, t.cfg)
	create(t, s, "f")
	before := update(t, s, "f", both(publish, route("live", 1, serin.CauseManual)))
	refusal := serin.Errorf(serin.KindConflict, "no")

	_, _, err := s.UpdateFunction(t.Context(), "f", func(f *serin.Function) error {
		return errors.Join(publish(f), route("live", 2, serin.CauseManual)(f), refusal)
	})
	if !errors.Is(err, refusal) {
		t.Errorf("update: error %v", err)
	}
	if _, _, err := s.UpdateFunction(t.Context(), "f", func(*serin.Function) error { return refusal }); err != error(refusal) { //nolint:errorlint // the very error is promised
		t.Errorf("the error of a change is not returned as it is: %v", err)
	}
	if _, err := s.DeleteFunction(t.Context(), "f", func(f *serin.Function) error {
		f.DeleteAlias(byTester(serin.CauseManual), "live")
		return refusal
	}); err != error(refusal) { //nolint:errorlint // the very error is promised
		t.Errorf("delete: error %v", err)
	}
	if _, _, err := s.CreateFunction(t.Context(), "g", func(serin.VersionNumber) (*serin.Function, error) {
		return nil, refusal
	}); err != error(refusal) { //nolint:errorlint // the very error is promised
		t.Errorf("create: error %v", err)
	}
	expect(t, "changes", lastChange(t, s), 2)
	expect(t, "history", targets(history(t, s, "f", "", 10)), []string{"live→1"})
	for range 2 { // also after a restart
		expect(t, "functions", everything(t, s), map[string]*serin.Function{"f": before})
		s = reopen(t, s, t.cfg)
	}
}

func testPanic(t suite) {
	s := open(t, t.cfg)
	before := create(t, s, "f")
	_, _, err := s.UpdateFunction(t.Context(), "f", func(f *serin.Function) error {
		f.Changed = false
		panic("a bug in a rule")
	})
	if err == nil || !strings.Contains(err.Error(), "a bug in a rule") {
		t.Errorf("a change that panics: error %v", err)
	}
	_, _, err = s.CreateFunction(t.Context(), "g", func(serin.VersionNumber) (*serin.Function, error) { panic("another") })
	if err == nil {
		t.Error("a creation that panics: no error")
	}
	expect(t, "functions", everything(t, s), map[string]*serin.Function{"f": before})
	update(t, s, "f", publish)
	expect(t, "changes", lastChange(t, s), 2)
}

func testNumbersAreNeverReused(t suite) {
	s := open(t, t.cfg)
	create(t, s, "f")
	update(t, s, "f", both(publish, publish, publish))
	for generation := serin.VersionNumber(1); generation <= 3; generation++ {
		if _, err := s.DeleteFunction(t.Context(), "f", func(*serin.Function) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if generation == 2 {
			s = reopen(t, s, t.cfg)
		}
		_, _, err := s.CreateFunction(t.Context(), "f", func(serin.VersionNumber) (*serin.Function, error) { return build("f")(0) })
		if err == nil {
			t.Fatal("a function was created that would count its versions from 1 again")
		}
		_, _, err = s.CreateFunction(t.Context(), "f", func(last serin.VersionNumber) (*serin.Function, error) {
			expect(t, "last published version of the deleted function", last, 2+generation)
			return build("f")(last)
		})
		if err != nil {
			t.Fatal(err)
		}
		f := update(t, s, "f", publish)
		expect(t, "next version", f.Versions[0].Number, 3+generation)
	}
	deleted := update(t, s, "f", publish).Versions[0]
	update(t, s, "f", func(f *serin.Function) error { return f.DeleteVersion(deleted.Number) })
	for what, change := range map[string]func(*serin.Function){
		"a deleted version put back":      func(f *serin.Function) { f.Versions = append([]*serin.Version{deleted}, f.Versions...) },
		"a number from the future":        func(f *serin.Function) { f.Versions = append(f.Versions, &serin.Version{Number: f.LastPublished + 1}) },
		"two versions with one number":    func(f *serin.Function) { f.Versions = append(f.Versions, f.Versions[0]) },
		"the last number put back":        func(f *serin.Function) { f.LastPublished-- },
		"$LATEST among the published":     func(f *serin.Function) { f.Versions = append([]*serin.Version{f.Latest}, f.Versions...) },
		"the function under another name": func(f *serin.Function) { f.Name = "g" },
	} {
		before := lastChange(t, s)
		if _, _, err := s.UpdateFunction(t.Context(), "f", func(f *serin.Function) error { change(f); return nil }); err == nil {
			t.Errorf("%s was saved", what)
		}
		expect(t, what, lastChange(t, s), before)
	}
}

func testDelete(t suite) {
	s := open(t, t.cfg)
	_, err := s.DeleteFunction(t.Context(), "f", func(*serin.Function) error { return nil })
	expectErr(t, "delete a missing function", err, store.ErrNotFound)
	create(t, s, "f")
	update(t, s, "f", both(publish, route("live", 1, serin.CauseManual)))
	seq, err := s.DeleteFunction(t.Context(), "f", func(f *serin.Function) error {
		f.DeleteAlias(byTester(serin.CauseManual), "live")
		return nil
	})
	if err != nil || seq != 3 {
		t.Fatalf("delete: change %d, error %v", seq, err)
	}
	for range 2 { // also after a restart
		_, err = s.Function(t.Context(), "f")
		expectErr(t, "read a deleted function", err, store.ErrNotFound)
		_, _, err = s.UpdateFunction(t.Context(), "f", publish)
		expectErr(t, "update a deleted function", err, store.ErrNotFound)
		_, err = s.DeleteFunction(t.Context(), "f", func(*serin.Function) error { return nil })
		expectErr(t, "delete a deleted function", err, store.ErrNotFound)
		expect(t, "functions", names(everything(t, s)), nil)
		expect(t, "history", targets(history(t, s, "f", "live", 10)), []string{"live→1", "live→nowhere"})
		s = reopen(t, s, t.cfg)
	}
	f := create(t, s, "f")
	if len(f.Versions) != 0 || len(f.Aliases) != 0 {
		t.Error("a function created again has something of the old one")
	}
	read, err := s.Function(t.Context(), "f")
	if err != nil || read != f {
		t.Errorf("the function created again is not what is read: %v", err)
	}
}

func testHistory(t suite) {
	s := open(t, t.cfg)
	expect(t, "history of nothing", history(t, s, "f", "", 5), nil)
	create(t, s, "f")
	create(t, s, "other")
	update(t, s, "other", both(publish, route("live", 1, serin.CauseManual)))
	update(t, s, "f", both(publish, publish, route("live", 1, serin.CauseManual), route("beta", 2, serin.CauseManual)))
	update(t, s, "f", route("live", 2, serin.CausePromote))
	update(t, s, "f", route("live", 2, serin.CauseManual)) // moves nothing
	update(t, s, "f", route("live", 1, serin.CauseRollback))

	expect(t, "all", targets(history(t, s, "f", "", 10)), []string{"live→1", "beta→2", "live→2", "live→1"})
	expect(t, "one alias", targets(history(t, s, "f", "live", 10)), []string{"live→1", "live→2", "live→1"})
	expect(t, "the newest two", targets(history(t, s, "f", "live", 2)), []string{"live→2", "live→1"})
	expect(t, "none", history(t, s, "f", "live", 0), nil)
	expect(t, "a name that cannot be", history(t, s, "f\x00", "\xff", 10), nil)
	newest := history(t, s, "f", "live", 1)
	newest[0].Seq = 0
	want := serin.Move{
		Function: "f", Alias: "live", At: byTester("").At, Actor: "AKIATESTER", Cause: serin.CauseRollback, Reason: "a test",
		From: &serin.Routing{Version: 2}, To: &serin.Routing{Version: 1},
	}
	expect(t, "the newest move", newest[0], want)
	if v, ok := serin.LastGood(history(t, s, "f", "live", 10), func(serin.VersionNumber) bool { return true }); ok {
		t.Errorf("version %v counts as good after a rollback from it", v)
	}
}

func testRestart(t suite) {
	s := open(t, t.cfg)
	for _, name := range []string{"a", "b", "c", "B", "a-1", "a_1"} {
		create(t, s, name)
		update(t, s, name, both(publish, publish, route("live", 1, serin.CauseManual)))
		half := map[serin.VersionNumber]float64{2: 0.1}
		update(t, s, name, func(f *serin.Function) error {
			_, err := f.UpdateAlias(byTester(serin.CauseStep), "live", serin.AliasUpdate{Weights: &half})
			return err
		})
	}
	update(t, s, "c", func(f *serin.Function) error { f.Settle(byTester(serin.CauseManual), "it crashed"); return nil })
	r := release("r1", "a", "live")
	if err := errors.Join(s.CreateRelease(t.Context(), r), s.SaveRelease(t.Context(), r, "")); err != nil {
		t.Fatal(err)
	}
	before, moves, seq := everything(t, s), history(t, s, "b", "", 100), lastChange(t, s)

	s = reopen(t, s, t.cfg)
	expect(t, "functions", everything(t, s), before)
	expect(t, "history", history(t, s, "b", "", 100), moves)
	expect(t, "changes", lastChange(t, s), seq)
	saved, err := s.Release(t.Context(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "release", saved, r)
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func testCancellation(t suite) {
	s := open(t, t.cfg)
	create(t, s, "f")
	ctx, cancel := context.WithCancel(t.Context())
	f, _, err := s.UpdateFunction(ctx, "f", func(f *serin.Function) error {
		cancel() // too late: the write has begun
		return publish(f)
	})
	if err != nil {
		t.Fatalf("a write whose context ended after it began: %v", err)
	}
	_, _, err = s.UpdateFunction(ctx, "f", publish)
	expectErr(t, "update", err, context.Canceled)
	expectErr(t, "save", s.CreateRelease(ctx, release("r", "f", "live")), context.Canceled)
	_, err = s.Function(ctx, "f")
	expectErr(t, "read", err, context.Canceled)
	_, err = s.PutBlob(ctx, []byte("x"))
	expectErr(t, "blob", err, context.Canceled)
	for _, err := range s.Functions(ctx) {
		expectErr(t, "functions", err, context.Canceled)
	}
	for c, err := range s.Changes(ctx, 0) {
		t.Errorf("a change feed that has ended gave %v, %v", c, err)
	}
	expect(t, "functions", everything(t, s), map[string]*serin.Function{"f": f})
}

func testClose(t suite) {
	s := open(t, t.cfg)
	create(t, s, "f")
	began, finish := make(chan struct{}), make(chan struct{})
	written, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		_, _, err := s.UpdateFunction(t.Context(), "f", func(f *serin.Function) error {
			close(began)
			<-finish
			return publish(f)
		})
		written <- err
	}()
	go func() {
		for _, err := range s.Changes(t.Context(), 2) {
			ended <- err
		}
	}()
	<-began
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case <-closed:
		t.Error("Close did not wait for a write in progress")
		close(closed)
	case <-time.After(50 * time.Millisecond): // time enough for a Close that does not wait
	}
	close(finish)
	if err := errors.Join(<-closed, <-written); err != nil {
		t.Errorf("a write in progress at Close: %v", err)
	}
	expectErr(t, "change feed", <-ended, store.ErrClosed)
	_, _, err := s.UpdateFunction(t.Context(), "f", publish)
	expectErr(t, "update after Close", err, store.ErrClosed)
	if err := s.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	s = open(t, t.cfg)
	expect(t, "changes", lastChange(t, s), 2)
}
