package cli

import (
	"context"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"time"

	"serin"
)

// ciJob is what a CI system says about the job that a command runs in. Each member is "" if it says nothing.
type ciJob struct{ person, run, commit string }

// ciJobOf returns the job of the first system that names a person or a run.
func ciJobOf(getenv func(string) string) ciJob {
	joined := func(parts ...string) string {
		if slices.Contains(parts, "") {
			return ""
		}
		return strings.Join(parts, "")
	}
	for _, job := range []ciJob{
		{
			person: getenv("GITHUB_ACTOR"), commit: getenv("GITHUB_SHA"),
			run: joined(getenv("GITHUB_SERVER_URL"), "/", getenv("GITHUB_REPOSITORY"), "/actions/runs/", getenv("GITHUB_RUN_ID")),
		},
		{person: getenv("GITLAB_USER_LOGIN"), run: getenv("CI_JOB_URL"), commit: getenv("CI_COMMIT_SHA")},
		{person: getenv("CIRCLE_USERNAME"), run: getenv("CIRCLE_BUILD_URL"), commit: getenv("CIRCLE_SHA1")},
		{person: getenv("BUILDKITE_BUILD_CREATOR"), run: getenv("BUILDKITE_BUILD_URL"), commit: getenv("BUILDKITE_COMMIT")},
		{
			person: getenv("BUILD_REQUESTEDFOR"), commit: getenv("BUILD_SOURCEVERSION"), // Azure Pipelines
			run: joined(getenv("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI"), getenv("SYSTEM_TEAMPROJECT"), "/_build/results?buildId=", getenv("BUILD_BUILDID")),
		},
		{
			commit: getenv("BITBUCKET_COMMIT"),
			run:    joined(getenv("BITBUCKET_GIT_HTTP_ORIGIN"), "/pipelines/results/", getenv("BITBUCKET_BUILD_NUMBER")),
		},
		{run: getenv("TRAVIS_BUILD_WEB_URL"), commit: getenv("TRAVIS_COMMIT")},
		{person: getenv("CODEBUILD_INITIATOR"), run: getenv("CODEBUILD_PUBLIC_BUILD_URL"), commit: getenv("CODEBUILD_RESOLVED_SOURCE_VERSION")},
		{person: getenv("DRONE_COMMIT_AUTHOR"), run: getenv("DRONE_BUILD_LINK"), commit: getenv("DRONE_COMMIT_SHA")},
		{person: getenv("BUILD_USER_ID"), run: getenv("BUILD_URL"), commit: getenv("GIT_COMMIT")}, // Jenkins
	} {
		if job.person != "" || job.run != "" {
			return job
		}
	}
	return ciJob{}
}

// provenanceOf says where a version that is packaged from a directory comes from. Git is asked about the directory;
// the CI system, which may build outside of a checkout, comes second. SERIN_RUN_URL and SERIN_COMMIT come first.
func provenanceOf(ctx context.Context, getenv func(string) string, dir, message string) serin.Provenance {
	job := ciJobOf(getenv)
	p := serin.Provenance{Message: message, RunURL: withoutUser(job.run), Commit: job.commit}
	if commit, author, dirty := gitState(ctx, dir); commit != "" {
		p.Commit, p.Author, p.Dirty = commit, author, dirty
	}
	if run := getenv("SERIN_RUN_URL"); run != "" {
		p.RunURL = withoutUser(run)
	}
	if commit := getenv("SERIN_COMMIT"); commit != "" {
		p.Commit, p.Dirty = commit, false
	}
	return p
}

// withoutUser removes what may be a password from a URL.
func withoutUser(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return text
	}
	u.User = nil
	return u.String()
}

// gitState names the commit that is checked out in a directory, its author, and whether files of the directory differ
// from it. It is empty if there is no commit to name.
func gitState(ctx context.Context, dir string) (commit, author string, dirty bool) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	head, err := git("log", "-1", "--format=%H%n%an <%ae>")
	if err != nil {
		return "", "", false
	}
	commit, author, _ = strings.Cut(head, "\n")
	changes, err := git("status", "--porcelain", "--", ".")
	return commit, author, err == nil && changes != ""
}

const (
	shortCommitLen = 7
	maxDescription = 256 // characters of a version's Description (AWS); counting bytes is on the safe side
)

// shortCommit prints the first characters of a commit, and that its files were changed.
func shortCommit(p *serin.Provenance) string {
	if p == nil || p.Commit == "" {
		return ""
	}
	text := p.Commit[:min(len(p.Commit), shortCommitLen)]
	if p.Dirty {
		text += "-dirty"
	}
	return text
}

// describeVersion is the Description of a new version, which every AWS client shows: the first line of the message.
func describeVersion(message string) string {
	line, _, _ := strings.Cut(message, "\n")
	if len(line) <= maxDescription {
		return line
	}
	return strings.ToValidUTF8(line[:maxDescription], "")
}
