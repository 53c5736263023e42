package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"testing"
	"time"

	"serin"
	"serin/internal/store"
	"serin/internal/store/storetest"
)

// TestCollect holds the two engines to one behaviour.
func TestCollect(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { conformCollect(t, sqliteDatabase()) })
	t.Run("postgres", func(t *testing.T) { conformCollect(t, postgresDatabase(storetest.StartPostgres(t))) })
}

func conformCollect(t *testing.T, d database) {
	t.Helper()
	for name, run := range map[string]func(suite){
		"Named": testCollectNamed, "Put": testCollectWhilePutting, "InUse": testUpdateInUse,
	} {
		t.Run(name, func(t *testing.T) { run(suite{T: t, database: d, cfg: d.config(t)}) })
	}
}

func codeOf(data []byte) serin.Code {
	sum := sha256.Sum256(data)
	return serin.Code{SHA256: base64.StdEncoding.EncodeToString(sum[:]), Size: int64(len(data))}
}

func testCollectNamed(t suite) {
	s := open(t, t.cfg)
	contents := map[string][]byte{}
	for _, what := range []string{"latest", "version", "layer", "layer of a function", "document", "document in base64", "garbage", "young"} {
		contents[what] = []byte(what + " of the collection")
		put(t, s, contents[what])
	}
	create(t, s, "shop")
	update(t, s, "shop", func(f *serin.Function) error {
		c := byTester(serin.CauseManual)
		if err := f.UpdateCode(c, codeOf(contents["version"]), "", ""); err != nil {
			return err
		}
		f.Settle(c, "")
		if _, err := f.PublishVersion(c, serin.Publication{}); err != nil {
			return err
		}
		latest := *f.Latest
		latest.Config.Layers = []serin.LayerRef{{ARN: "arn", Code: codeOf(contents["layer of a function"])}}
		latest.Code = codeOf(contents["latest"])
		f.Latest = &latest
		return nil
	})
	if _, err := s.PublishLayerVersion(t.Context(), "base", func(n int64) (*serin.LayerVersion, error) {
		return &serin.LayerVersion{Layer: "base", Number: n, Code: codeOf(contents["layer"])}, nil
	}); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"object": codeOf(contents["document in base64"]), "n": 1})
	if err != nil {
		t.Fatal(err)
	}
	raw := sha256.Sum256(contents["document"])
	documents := []store.Document{
		{Kind: "object", Name: "a", Body: body},
		{Kind: "thing", Name: "b", Body: json.RawMessage(`{"blob":"` + hex.EncodeToString(raw[:]) + `"}`)},
	}
	for i := range 1100 { // more than a page
		documents = append(documents, store.Document{Kind: "noise", Name: fmt.Sprint(i), Body: json.RawMessage(`1`)})
	}
	saveDocuments(t, s, nil, documents...)
	for what, data := range contents {
		if what != "young" {
			age(t, t.cfg, data)
		}
	}
	got, err := s.CollectBlobs(t.Context(), time.Now().Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "collected", got, store.Collected{Blobs: 1, Bytes: int64(len(contents["garbage"]))})
	for what, data := range contents {
		sum := sha256.Sum256(data)
		b, err := s.OpenBlob(t.Context(), hex.EncodeToString(sum[:]))
		switch {
		case what == "garbage":
			expectErr(t, what, err, store.ErrNotFound)
		case err != nil:
			t.Errorf("%s: %v", what, err)
		default:
			_ = b.Close()
		}
	}
	expectErr(t, "renew garbage", s.RenewBlob(t.Context(), "x"), store.ErrNotFound)
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// age makes a blob look as if it had been put an hour ago.
func age(tb testing.TB, cfg store.Config, data []byte) {
	tb.Helper()
	sum := sha256.Sum256(data)
	then := time.Now().Add(-time.Hour)
	if err := os.Chtimes(blobFile(cfg, hex.EncodeToString(sum[:])), then, then); err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Error(err)
	}
}

// What has been put is there, also if it was old and nobody named it, and is being collected at that moment.
func testCollectWhilePutting(t suite) {
	s := open(t, t.cfg)
	data := []byte("put again and again")
	name := put(t, s, data)
	ctx, stop := context.WithCancel(t.Context())
	collected := 0
	var collector sync.WaitGroup
	collector.Go(func() {
		for ctx.Err() == nil {
			got, err := s.CollectBlobs(t.Context(), time.Now().Add(-time.Minute))
			if err != nil {
				t.Error(err)
				return
			}
			collected += got.Blobs
		}
	})
	for range 300 {
		age(t, t.cfg, data)
		put(t, s, data)
		b, err := s.OpenBlob(t.Context(), name)
		if err != nil {
			t.Error(err)
			break
		}
		_ = b.Close()
	}
	stop()
	collector.Wait()
	t.Logf("collected %d times", collected)
}

func testUpdateInUse(t suite) {
	s := open(t, t.cfg)
	create(t, s, "shop")
	create(t, s, "bakery")
	for _, r := range []*serin.Release{
		{ID: "r1", Function: "shop", Alias: "live", Phase: serin.PhaseHeld},
		{ID: "r2", Function: "shop", Alias: "beta", Phase: serin.PhaseEnded},
		{ID: "r3", Function: "bakery", Alias: "live", Phase: serin.PhaseHeld},
		{ID: "r4", Function: "nosuch", Alias: "live", Phase: serin.PhaseHeld},
	} {
		if err := s.CreateRelease(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	update(t, s, "shop", func(f *serin.Function) error {
		c := byTester(serin.CauseManual)
		f.Settle(c, "")
		if _, err := f.PublishVersion(c, serin.Publication{}); err != nil {
			return err
		}
		_, err := f.CreateAlias(c, "live", serin.AliasUpdate{Version: new(serin.VersionNumber(1))})
		return err
	})
	var in serin.InUse
	refused := errors.New("refused")
	before := lastChange(t, s)
	_, _, err := s.UpdateFunctionInUse(t.Context(), "shop", func(f *serin.Function, use serin.InUse) error {
		in = use
		f.Versions = nil
		return refused
	})
	expectErr(t, "a change that refuses", err, refused)
	expect(t, "last change", lastChange(t, s), before)
	if len(in.Releases) != 1 || in.Releases[0].ID != "r1" || len(in.Moves) != 1 || in.Moves[0].Alias != "live" {
		t.Errorf("in use: %+v", in)
	}
	_, _, err = s.UpdateFunctionInUse(t.Context(), "nosuch", func(*serin.Function, serin.InUse) error { return nil })
	expectErr(t, "a function that does not exist", err, store.ErrNotFound)
}
