package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"serin"
)

func TestProvenanceOfCI(t *testing.T) {
	dir := t.TempDir() // no checkout
	for name, c := range map[string]struct {
		env  map[string]string
		want serin.Provenance
	}{
		"nothing": {nil, serin.Provenance{Message: "m"}},
		"GitHub Actions": {
			map[string]string{"GITHUB_ACTOR": "ana", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "8812", "GITHUB_SHA": "3fa2c1d"},
			serin.Provenance{Message: "m", Commit: "3fa2c1d", RunURL: "https://github.com/o/r/actions/runs/8812"},
		},
		"GitHub without a run": {map[string]string{"GITHUB_ACTOR": "ana", "GITHUB_SERVER_URL": "https://github.com"}, serin.Provenance{Message: "m"}},
		"GitLab":               {map[string]string{"CI_JOB_URL": "https://gitlab.example/j/1", "CI_COMMIT_SHA": "aa"}, serin.Provenance{Message: "m", Commit: "aa", RunURL: "https://gitlab.example/j/1"}},
		"CircleCI":             {map[string]string{"CIRCLE_BUILD_URL": "https://circleci.com/1"}, serin.Provenance{Message: "m", RunURL: "https://circleci.com/1"}},
		"Buildkite with a password": {
			map[string]string{"BUILDKITE_BUILD_URL": "https://x:y@buildkite.com/1", "BUILDKITE_COMMIT": "bb"},
			serin.Provenance{Message: "m", Commit: "bb", RunURL: "https://buildkite.com/1"},
		},
		"said": {
			map[string]string{"CI_JOB_URL": "https://gitlab.example/j/1", "SERIN_RUN_URL": "https://ci/9", "SERIN_COMMIT": "cc"},
			serin.Provenance{Message: "m", Commit: "cc", RunURL: "https://ci/9"},
		},
	} {
		got := provenanceOf(t.Context(), func(name string) string { return c.env[name] }, dir, "m")
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestProvenanceOfGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git")
	}
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=Ana", "-c", "user.email=ana@example.com"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	env := func(name string) string {
		return map[string]string{"GITHUB_SHA": "elsewhere", "GITHUB_ACTOR": "x"}[name]
	}
	git("init", "-q")
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	git("add", ".")
	git("commit", "-q", "-m", "first")
	clean := provenanceOf(t.Context(), env, dir, "")
	if len(clean.Commit) != 40 || clean.Dirty || clean.Author != "Ana <ana@example.com>" {
		t.Errorf("%+v", clean)
	}
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte("2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if dirty := provenanceOf(t.Context(), env, dir, ""); !dirty.Dirty || shortCommit(&dirty) != clean.Commit[:7]+"-dirty" {
		t.Errorf("%+v", dirty)
	}
}
