package store_test

import (
	"errors"
	"strings"
	"testing"

	"serin"
	"serin/internal/store"
)

// hostile are strings that break careless code and are legal all the same.
var hostile = []string{
	`'; DROP TABLE functions; --`, `"quoted"`, `$1`, `%`, `_`, `\`, `\\ufffd`, `\ufffd`, "\ufffd", "\u202egnp.exe", "\U0001f426",
	"line\nbreak\r\t", "e\u0301", "\ue000", "<script>&amp;", "NULL", "{postgres}", strings.Repeat("x", 1000), " ", "é",
}

func testHostileText(t suite) {
	s := open(t, t.cfg)
	for _, name := range hostile {
		create(t, s, name)
		update(t, s, name, both(publish, route(name, 1, serin.CauseManual)))
		update(t, s, name, func(f *serin.Function) error {
			return f.UpdateConfiguration(byTester(serin.CauseManual), func(c *serin.Configuration) {
				c.Environment = map[string]string{name: name + "\x00"} // a zero byte is fine inside of JSON
			}, "")
		})
		r := release(name, name, name)
		if err := s.CreateRelease(t.Context(), r); err != nil {
			t.Error(err)
		}
	}
	before := everything(t, s)
	expect(t, "number of functions", len(before), len(hostile))
	s = reopen(t, s, t.cfg)
	expect(t, "functions", everything(t, s), before)
	for _, name := range hostile {
		f, err := s.Function(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "environment", f.Latest.Config.Environment, map[string]string{name: name + "\x00"})
		expect(t, "moves", len(history(t, s, name, name, 10)), 1)
		if _, err := s.Release(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	expect(t, "a wildcard is no wildcard", history(t, s, "%", "_", 10), nil)
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func testRefusedText(t suite) {
	s := open(t, t.cfg)
	create(t, s, "f")
	before := update(t, s, "f", publish)
	environment := func(value string) func(*serin.Function) error {
		return func(f *serin.Function) error {
			return f.UpdateConfiguration(byTester(serin.CauseManual), func(c *serin.Configuration) {
				c.Environment = map[string]string{"KEY": value}
			}, "")
		}
	}
	for _, bad := range []string{"zero\x00", "bad\xff", "\xed\xa0\x80"} {
		_, _, err := s.CreateFunction(t.Context(), bad, build(bad))
		expectInvalid(t, bad, err)
		_, _, err = s.UpdateFunction(t.Context(), bad, publish)
		expectErr(t, "update", err, store.ErrNotFound)
		_, err = s.DeleteFunction(t.Context(), bad, publish)
		expectErr(t, "delete", err, store.ErrNotFound)
		_, err = s.Function(t.Context(), bad)
		expectErr(t, "read", err, store.ErrNotFound)
		_, _, err = s.UpdateFunction(t.Context(), "f", route(bad, 1, serin.CauseManual))
		expectInvalid(t, "alias", err)
		expectInvalid(t, "release", s.CreateRelease(t.Context(), release(bad, "f", "live")))
		expectInvalid(t, "release", s.CreateRelease(t.Context(), release("r", bad, "live")))
		_, err = s.Release(t.Context(), bad)
		expectErr(t, "release", err, store.ErrNotFound)
	}
	for _, bad := range []string{"bad\xff", `\` + "\xff", `\\` + "\xff", "\\ufffd\xff"} {
		_, _, err := s.UpdateFunction(t.Context(), "f", environment(bad))
		expectInvalid(t, bad, err)
	}
	expect(t, "functions", everything(t, s), map[string]*serin.Function{"f": before})
	expect(t, "changes", lastChange(t, s), 2)
}

func expectInvalid(tb testing.TB, what string, err error) {
	tb.Helper()
	if e, ok := errors.AsType[*serin.Error](err); !ok || e.Kind != serin.KindInvalid {
		tb.Errorf("%q: error %v, want KindInvalid", what, err)
	}
}
