package serin_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
)

func TestProvenance(t *testing.T) {
	want := serin.Provenance{Commit: "3fa2c1d", Dirty: true, Author: "Ana Ñ <ana@example.com>", Message: "fix the\ncart", RunURL: "https://ci.example/7"}
	got, err := serin.ParseProvenance(want.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	long := serin.Provenance{Message: strings.Repeat("é", 5000), Author: strings.Repeat("\"", 9000), RunURL: strings.Repeat("<\\", 3000), Commit: "\x00\x01"}
	if got, err := serin.ParseProvenance(long.Encode()); err != nil || !strings.HasPrefix(long.Message, got.Message) || got.Message == "" {
		t.Errorf("a long message: %v", err)
	}
}

// A version keeps the provenance that it was published with: publishing the same again changes nothing, and neither
// does any change of $LATEST.
func TestProvenanceIsImmutable(t *testing.T) {
	c := serin.Change{At: time.Unix(1, 0), Actor: "ana", NewRevision: func() string { return "r" }}
	f := serin.NewFunction(c, serin.Place{}, "shop", serin.Configuration{}, serin.Code{SHA256: "a"}, nil, 0)
	f.Settle(c, "")
	c.Provenance = &serin.Provenance{Commit: "3fa2c1d"}
	first, err := f.PublishVersion(c, serin.Publication{})
	if err != nil {
		t.Fatal(err)
	}
	c.Provenance = &serin.Provenance{Commit: "77ab012"}
	c.Actor = "leo"
	again, err := f.PublishVersion(c, serin.Publication{})
	if err != nil || again != first || first.Provenance.Commit != "3fa2c1d" || first.PublishedBy != "ana" {
		t.Errorf("published again: %+v, %v", again, err)
	}
	if f.Latest.Provenance != nil || f.Latest.PublishedBy != "" {
		t.Errorf("$LATEST has got %+v", f.Latest.Provenance)
	}
}

func FuzzParseProvenance(f *testing.F) {
	f.Add("")
	f.Add("e30=")
	f.Add(serin.Provenance{Commit: "3fa2c1d"}.Encode())
	f.Add(base64.StdEncoding.EncodeToString([]byte(`{"commit":7}`)))
	f.Add(strings.Repeat("e30=", 4000))
	f.Fuzz(func(t *testing.T, header string) {
		p, err := serin.ParseProvenance(header)
		if err != nil {
			if serin.KindOf(err) != serin.KindValidation {
				t.Errorf("error %v", err)
			}
			return
		}
		if _, err := serin.ParseProvenance(p.Encode()); err != nil {
			t.Errorf("%+v cannot be read again: %v", p, err)
		}
	})
}
