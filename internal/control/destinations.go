package control

import (
	"context"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
)

const destinationPattern = `$|kafka://([^.]([a-zA-Z0-9\-_.]{0,248}))|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)`

var destinationExpression = whole(destinationPattern)

// destination checks where records of invocations go against the API model, which knows no URLs.
func (v *violations) destination(path string, target *string) {
	if isURL(deref(target)) {
		v.text(path, target, 350, nil, "")
		return
	}
	v.text(path, target, 350, destinationExpression, destinationPattern)
}

// deadLetter checks the target of a dead-letter configuration in the same way.
func (v *violations) deadLetter(target *string) {
	const path = "deadLetterConfig.targetArn"
	if isURL(deref(target)) {
		v.text(path, target, 350, nil, "")
		return
	}
	v.text(path, target, maxARN, patterns.arn, arnPattern)
}

// checkDestination refuses what Serin cannot send records of failed or successful invocations of a function to. It
// can send them to another function that exists here, and, beyond AWS, to an HTTP server. "" is no destination.
func (c *Control) checkDestination(function, target string) error {
	switch {
	case target == "":
		return nil
	case isURL(target):
		u, err := url.Parse(target)
		if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			return invalidDestination(target)
		}
		return nil
	}
	ref, err := c.Place.ParseRef(target, "")
	if !strings.HasPrefix(target, "arn:aws:lambda:") || !strings.Contains(target, ":function:") || err != nil {
		return invalidDestination(target)
	}
	if ref.Function == function {
		return serin.Errorf(serin.KindInvalid, "You can't specify the function as a destination for itself.")
	}
	f, ok := c.Table.Function(ref.Function)
	if !ok {
		return invalidDestination(target)
	}
	if _, _, err := f.Resolve(ref.Qualifier); err != nil {
		return invalidDestination(target)
	}
	return nil
}

// checkDeadLetter holds dead-letter targets to the rules for destinations. Queues and topics of AWS are accepted,
// because people's templates name them, with a warning: there is nothing here to deliver to.
func (c *Control) checkDeadLetter(ctx context.Context, function string, in *types.DeadLetterConfig) error {
	if in == nil {
		return nil
	}
	target := deref(in.TargetArn)
	if strings.HasPrefix(target, "arn:aws:sqs:") || strings.HasPrefix(target, "arn:aws:sns:") {
		serin.Warn(ctx, "Dead letters cannot be delivered to "+target+" from here: they will be logged and counted as lost. Use a function or an HTTP URL.")
		return nil
	}
	return c.checkDestination(function, target)
}

func isURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }

func invalidDestination(target string) error {
	return serin.Errorf(serin.KindInvalid, "The destination ARN %s is invalid.", clip(target))
}
