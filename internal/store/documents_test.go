package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"serin/internal/store"
	"serin/internal/store/storetest"
)

// TestDocuments holds the two engines to one behaviour.
func TestDocuments(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { conformDocuments(t, sqliteDatabase()) })
	t.Run("postgres", func(t *testing.T) { conformDocuments(t, postgresDatabase(storetest.StartPostgres(t))) })
}

func conformDocuments(t *testing.T, d database) {
	t.Helper()
	for name, run := range map[string]func(suite){
		"Life": testDocumentLife, "AllOrNone": testDocumentsAllOrNone, "Order": testDocumentOrder,
		"Counter": testDocumentCounter, "HostileText": testDocumentText,
	} {
		t.Run(name, func(t *testing.T) { run(suite{T: t, database: d, cfg: d.config(t)}) })
	}
}

func readDocument(tb testing.TB, s *store.Store, kind, name string) store.Document {
	tb.Helper()
	d, err := s.Document(tb.Context(), kind, name)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func saveDocuments(tb testing.TB, s *store.Store, want error, documents ...store.Document) {
	tb.Helper()
	if err := s.SaveDocuments(tb.Context(), documents...); !errors.Is(err, want) {
		tb.Fatalf("got %v, want %v", err, want)
	}
}

func testDocumentLife(t suite) {
	s := open(t, t.cfg)
	if _, err := s.Document(t.Context(), "alarm", "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a document that does not exist: %v", err)
	}
	body := json.RawMessage(`{"text": "a\u0000\ufffd <é>"}`)
	saveDocuments(t, s, nil, store.Document{Kind: "alarm", Name: "a", Body: body})
	saveDocuments(t, s, store.ErrExists, store.Document{Kind: "alarm", Name: "a", Body: body})
	saveDocuments(t, s, nil, store.Document{Kind: "stack", Name: "a", Body: json.RawMessage(`1`)})

	s = reopen(t, s, t.cfg)
	first := readDocument(t, s, "alarm", "a")
	expect(t, "body", string(first.Body), string(body))
	second := first
	second.Body = json.RawMessage(`2`)
	saveDocuments(t, s, nil, second)
	saveDocuments(t, s, store.ErrStale, second)
	removed := readDocument(t, s, "alarm", "a")
	expect(t, "body", string(removed.Body), `2`)
	removed.Body = nil
	saveDocuments(t, s, nil, removed)
	saveDocuments(t, s, store.ErrStale, removed)

	// What replaces a deleted document is not what somebody has read before.
	saveDocuments(t, s, nil, store.Document{Kind: "alarm", Name: "a", Body: body})
	saveDocuments(t, s, store.ErrStale, second)
	expect(t, "another kind", string(readDocument(t, s, "stack", "a").Body), `1`)
}

func testDocumentsAllOrNone(t suite) {
	s := open(t, t.cfg)
	one := json.RawMessage(`1`)
	saveDocuments(t, s, nil, store.Document{Kind: "k", Name: "there", Body: one})
	saveDocuments(t, s, store.ErrExists,
		store.Document{Kind: "k", Name: "new", Body: one}, store.Document{Kind: "k", Name: "there", Body: one})
	if _, err := s.Document(t.Context(), "k", "new"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("one of two documents was saved: %v", err)
	}
}

func testDocumentOrder(t suite) {
	s := open(t, t.cfg)
	var want []string
	var all []store.Document
	for i := range 1200 { // more than two pages
		name := fmt.Sprintf("é/%04d", i)
		want = append(want, name)
		all = append(all, store.Document{Kind: "k", Name: name, Body: json.RawMessage(`0`)})
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, name := range []string{"Z", "a", "é", "ê/", "\U0010FFFF"} {
		all = append(all, store.Document{Kind: "k", Name: name, Body: json.RawMessage(`0`)})
	}
	saveDocuments(t, s, nil, append(all, store.Document{Kind: "l", Name: "é/0000", Body: json.RawMessage(`0`)})...)
	names := func(prefix string) (got []string) {
		for d, err := range s.Documents(t.Context(), "k", prefix) {
			if err != nil {
				t.Fatal(err)
			}
			readDocument(t, s, "k", d.Name) // the loop may use the store
			got = append(got, d.Name)
		}
		return got
	}
	expect(t, "names", names("é/"), want)
	expect(t, "all names", names(""), slices.Concat([]string{"Z", "a", "é"}, want, []string{"ê/", "\U0010FFFF"}))
	expect(t, "no names", names("é/1200"), nil)
}

// testDocumentCounter counts up in one document from many writers.
func testDocumentCounter(t suite) {
	const each = 10
	s := open(t, t.cfg)
	saveDocuments(t, s, nil, store.Document{Kind: "k", Name: "n", Body: json.RawMessage(`0`)})
	if err := together(func(int) error {
		for range each {
			if err := countUp(t.Context(), s); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	expect(t, "counter", string(readDocument(t, s, "k", "n").Body), fmt.Sprint(writers*each))
}

func countUp(ctx context.Context, s *store.Store) error {
	for {
		d, err := s.Document(ctx, "k", "n")
		if err != nil {
			return err
		}
		var n int
		if err := json.Unmarshal(d.Body, &n); err != nil {
			return err
		}
		d.Body = json.RawMessage(fmt.Sprint(n + 1))
		if err := s.SaveDocuments(ctx, d); !errors.Is(err, store.ErrStale) {
			return err
		}
	}
}

func testDocumentText(t suite) {
	s := open(t, t.cfg)
	for what, d := range map[string]store.Document{
		"name":       {Kind: "k", Name: "a\x00", Body: json.RawMessage(`1`)},
		"kind":       {Kind: "\xff", Name: "a", Body: json.RawMessage(`1`)},
		"not JSON":   {Kind: "k", Name: "a", Body: json.RawMessage(`{`)},
		"not UTF-8":  {Kind: "k", Name: "a", Body: json.RawMessage("\"\xff\"")},
		"two values": {Kind: "k", Name: "a", Body: json.RawMessage(`1 2`)},
	} {
		if err := s.SaveDocuments(t.Context(), d); err == nil {
			t.Errorf("%s: was saved", what)
		}
	}
	if _, err := s.Document(t.Context(), "k", "a\x00"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a name that is no text: %v", err)
	}
	name := strings.Repeat("'\"%_$1;--", 20)
	saveDocuments(t, s, nil, store.Document{Kind: "k", Name: name, Body: json.RawMessage(`"x"`)})
	expect(t, "hostile name", readDocument(t, s, "k", name).Name, name)
}
