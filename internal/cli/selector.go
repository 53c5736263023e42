package cli

import (
	"fmt"
	"slices"
	"strings"

	"serin"
	"serin/internal/api"
)

// selector names a version: its number, a prefix of its commit or of the digest of its code, the URL of the CI run
// that published it, its message, or "last good". "" stands for none.
type selector string

// A prefix must be this long to be one of a commit or a digest.
const (
	leastCommit = 4
	leastDigest = 6
)

const lastGood = "last good"

func (s selector) number() (serin.VersionNumber, bool) {
	n, ok := serin.ParseVersion(strings.TrimPrefix(string(s), "v"))
	return n, ok && n != serin.Latest
}

// find returns the version that the selector names for an alias. A number that exists is never taken for a commit.
//
// It fails with exitNotFound for a selector that names nothing, and with exitUsage for one that names several; both
// list what could have been meant.
func (s selector) find(d *api.StatusDocument, alias string) (api.VersionStatus, error) {
	published := slices.DeleteFunc(slices.Clone(d.Versions), func(v api.VersionStatus) bool { return v.Version == serin.Latest })
	if n, ok := s.number(); ok {
		if i := slices.IndexFunc(published, func(v api.VersionStatus) bool { return v.Version == n }); i >= 0 {
			return published[i], nil
		}
	}
	if strings.EqualFold(strings.ReplaceAll(string(s), "-", " "), lastGood) {
		return s.lastGood(d, alias, published)
	}
	var found []api.VersionStatus
	for _, matches := range []func(api.VersionStatus) bool{s.isRun, s.isCommit, s.isDigest, s.isMessage} {
		for _, v := range published {
			if matches(v) {
				found = append(found, v)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return api.VersionStatus{}, exitf(exitNotFound, "function %s has no version %q; say a number, a commit, a CI run, a message or %q: %s",
			d.Function, string(s), lastGood, candidates(published))
	default:
		return api.VersionStatus{}, exitf(exitUsage, "%q names %d versions of %s, say which: %s", string(s), len(found), d.Function, candidates(found))
	}
}

func (s selector) lastGood(d *api.StatusDocument, alias string, published []api.VersionStatus) (api.VersionStatus, error) {
	if a := aliasOf(d, alias); a != nil && a.RollbackTarget != nil {
		for _, v := range published {
			if v.Version == *a.RollbackTarget {
				return v, nil
			}
		}
	}
	return api.VersionStatus{}, exitf(exitNotFound, "no version of %s held all traffic of alias %s before and ended healthy; there are %s",
		d.Function, alias, candidates(published))
}

func (s selector) isRun(v api.VersionStatus) bool {
	return v.Provenance != nil && v.Provenance.RunURL != "" && strings.TrimSuffix(v.Provenance.RunURL, "/") == strings.TrimSuffix(string(s), "/")
}

func (s selector) isCommit(v api.VersionStatus) bool {
	return v.Provenance != nil && len(s) >= leastCommit && strings.HasPrefix(strings.ToLower(v.Provenance.Commit), strings.ToLower(string(s)))
}

func (s selector) isDigest(v api.VersionStatus) bool {
	return len(s) >= leastDigest && strings.HasPrefix(v.CodeSHA256, string(s))
}

func (s selector) isMessage(v api.VersionStatus) bool {
	if v.Provenance != nil && strings.EqualFold(v.Provenance.Message, string(s)) {
		return true
	}
	return v.Description != "" && strings.EqualFold(v.Description, string(s))
}

// candidates lists versions, as many as a line can hold.
func candidates(all []api.VersionStatus) string {
	const most = 8
	if len(all) == 0 {
		return "there are none"
	}
	var texts []string
	for _, v := range all[:min(len(all), most)] {
		text := versionText(v.Version)
		if about := strings.TrimSpace(shortCommit(v.Provenance) + " " + messageOf(v)); about != "" {
			text += " (" + clip(clean(about), 40) + ")"
		}
		texts = append(texts, text)
	}
	if rest := len(all) - most; rest > 0 {
		texts = append(texts, fmt.Sprintf("%d more", rest))
	}
	return strings.Join(texts, ", ")
}

// messageOf is what a version is about.
func messageOf(v api.VersionStatus) string {
	if v.Provenance != nil && v.Provenance.Message != "" {
		first, _, _ := strings.Cut(v.Provenance.Message, "\n")
		return first
	}
	return v.Description
}
