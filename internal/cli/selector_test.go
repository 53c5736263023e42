package cli

import (
	"strings"
	"testing"

	"serin"
	"serin/internal/api"
)

func TestSelector(t *testing.T) {
	from := func(commit, run, message string) *serin.Provenance {
		return &serin.Provenance{Commit: commit, RunURL: run, Message: message}
	}
	d := &api.StatusDocument{
		Function: "shop",
		Aliases:  []api.AliasStatus{{Name: "live", RollbackTarget: new(serin.VersionNumber(2))}, {Name: "beta"}},
		Versions: []api.VersionStatus{
			{Version: serin.Latest, CodeSHA256: "zzzzzzz="},
			{Version: 4, CodeSHA256: "ddddddd=", Provenance: from("1234567890", "https://ci.example/8", "warmer")},
			{Version: 3, CodeSHA256: "ccccccc=", Provenance: from("77ab0127777", "https://ci.example/7", "fix cart")},
			{Version: 2, CodeSHA256: "bbbbbbb=", Provenance: from("77ab0129999", "https://ci.example/7", "fix cart again")},
			{Version: 1, CodeSHA256: "aaaaaaa=", Description: "by hand"},
		},
	}
	for text, want := range map[string]serin.VersionNumber{
		"3": 3, "v3": 3, "77ab0127": 3, "77AB0129": 2, "https://ci.example/8/": 4, "last good": 2, "last-good": 2, "Fix Cart": 3,
		"by hand": 1, "aaaaaa": 1, "1234": 4, "1234567": 4,
	} {
		if v, err := selector(text).find(d, "live"); err != nil || v.Version != want {
			t.Errorf("%s: %v, %v", text, v.Version, err)
		}
	}
	for text, want := range map[string]struct {
		code int
		says string
	}{
		"77ab012":              {exitUsage, `"77ab012" names 2 versions of shop, say which: v3 (77ab012 fix cart), v2 (77ab012 fix cart again)`},
		"https://ci.example/7": {exitUsage, "names 2 versions"},
		"17":                   {exitNotFound, "v4 (1234567 warmer)"},
		"77a":                  {exitNotFound, "has no version"},
		"zzzzzz":               {exitNotFound, "has no version"},
		"$LATEST":              {exitNotFound, "has no version"},
		"last":                 {exitNotFound, "has no version"},
	} {
		if v, err := selector(text).find(d, "live"); exitCode(err) != want.code || !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s: %v, %v", text, v.Version, err)
		}
	}
	if _, err := selector("last good").find(d, "beta"); exitCode(err) != exitNotFound {
		t.Errorf("last good without one: %v", err)
	}
}
