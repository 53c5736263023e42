package cli

import (
	"cmp"
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
	job := ciJobOf(getenv)
	if job.person != "" && job.run != "" {
		return headerText(job.person + " (" + withoutUser(job.run) + ")")
	}
	if actor := cmp.Or(job.person, withoutUser(job.run)); actor != "" {
		return headerText(actor)
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
