package cli

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"serin/internal/api"
)

// actorOf says on whose behalf a command runs: $SERIN_ACTOR, else the person and the run of a CI job, else the user of
// this machine. It is "" if nothing says.
func actorOf(getenv func(string) string) string {
	if actor := getenv("SERIN_ACTOR"); actor != "" {
		return headerText(actor)
	}
	for _, ci := range []struct {
		person string
		run    func() string
	}{
		{"GITHUB_ACTOR", func() string {
			if id := getenv("GITHUB_RUN_ID"); id != "" {
				return getenv("GITHUB_SERVER_URL") + "/" + getenv("GITHUB_REPOSITORY") + "/actions/runs/" + id
			}
			return ""
		}},
		{"GITLAB_USER_LOGIN", func() string { return getenv("CI_JOB_URL") }},
		{"CIRCLE_USERNAME", func() string { return getenv("CIRCLE_BUILD_URL") }},
		{"BUILDKITE_BUILD_CREATOR", func() string { return getenv("BUILDKITE_BUILD_URL") }},
		{"BUILD_USER_ID", func() string { return getenv("BUILD_URL") }}, // Jenkins
	} {
		person := getenv(ci.person)
		if person == "" {
			continue
		}
		if run := ci.run(); run != "" {
			person += " (" + run + ")"
		}
		return headerText(person)
	}
	return headerText(getenv("USER"))
}

// headerText makes a text one that a header can hold.
func headerText(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s))
}

// actFor makes all requests of the connection name an actor.
func (c *connection) actFor(actor string) {
	c.api.Actor = actor
	if actor == "" {
		return
	}
	options := c.lambda.Options()
	options.APIOptions = append(options.APIOptions, smithyhttp.SetHeaderValue(api.HeaderActor, actor))
	c.lambda = lambda.New(options)
}
