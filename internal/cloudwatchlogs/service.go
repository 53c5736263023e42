// Package cloudwatchlogs holds the use cases on logs. Its methods carry the names and the signatures of the operations of
// CloudWatch Logs; package logs keeps the events, package logpattern says which of them match.
//
// [Service.Sink] is what the execution environments write to: their groups and streams come into being with the first
// line, as on AWS. [Service.Written] sees what has been written, off the way of invocations, and makes metrics of it: of
// lines in the embedded metric format, and of those that metric filters match.
package cloudwatchlogs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"

	"serin"
	"serin/internal/executor"
	"serin/internal/logpattern"
	"serin/internal/logs"
)

// Config is what a [Service] works with.
type Config struct {
	Place serin.Place
	Store *logs.Store
	Now   func() time.Time
	Log   *slog.Logger
	// PutMetricData takes the points that metric filters and lines in the embedded metric format make.
	PutMetricData func(context.Context, *cloudwatch.PutMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.PutMetricDataOutput, error)
}

// Service serves the operations on logs. It is safe for concurrent use.
type Service struct {
	Config

	filters filterCache
}

// New returns a Service.
func New(cfg Config) *Service { return &Service{Config: cfg} }

// Sink takes the log of execution environments. It is an [executor.LogSink].
func (s *Service) Sink(stream *executor.LogStream, at time.Time, requestID string, line []byte) {
	if len(line) == 0 {
		return // CloudWatch Logs has no events without text
	}
	s.Store.Append(stream.Group, stream.Name, logs.Line{At: at.UnixMilli(), RequestID: requestID, Message: line})
}

// Reasons of errors: the names of the SDK's exceptions.
const (
	ReasonInvalid  = "InvalidParameterException"
	ReasonNotFound = "ResourceNotFoundException"
	ReasonExists   = "ResourceAlreadyExistsException"
	ReasonLimit    = "LimitExceededException"
	ReasonQuery    = "MalformedQueryException"
)

func refuse(kind serin.Kind, reason, format string, args ...any) error {
	return &serin.Error{Kind: kind, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error {
	return refuse(serin.KindInvalid, ReasonInvalid, format, args...)
}

// constraint is the error for what breaks a constraint of the model.
func constraint(value, member, format string, args ...any) error {
	const most = 128
	if len(value) > most {
		value = strings.ToValidUTF8(value[:most], "") + "…"
	}
	return invalid("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: %s", value, member, fmt.Sprintf(format, args...))
}

// told returns an error of the store as the caller reads it. what is "log group" or "log stream": what would be there already.
func told(err error, what string) error {
	switch {
	case errors.Is(err, logs.ErrNotFound):
		what = "log group"
		if strings.HasPrefix(err.Error(), "log stream") {
			what = "log stream"
		}
		return fmt.Errorf("%w: %w", err, refuse(serin.KindNotFound, ReasonNotFound, "The specified %s does not exist.", what))
	case errors.Is(err, logs.ErrExists):
		return fmt.Errorf("%w: %w", err, refuse(serin.KindConflict, ReasonExists, "The specified %s already exists", what))
	default:
		return err
	}
}

const maxName = 512

var (
	groupPattern  = regexp.MustCompile(`^[\.\-_/#A-Za-z0-9]+$`)
	streamPattern = regexp.MustCompile(`^[^:*]*$`)
)

func checkGroup(name string) error {
	return checkName(name, "logGroupName", groupPattern, `[\.\-_/#A-Za-z0-9]+`)
}

func checkStream(name string) error {
	return checkName(name, "logStreamName", streamPattern, `[^:*]*`)
}

func checkName(name, member string, pattern *regexp.Regexp, text string) error {
	switch {
	case name == "":
		return constraint(name, member, "Member must have length greater than or equal to 1")
	case utf8.RuneCountInString(name) > maxName:
		return constraint(name, member, "Member must have length less than or equal to %d", maxName)
	case !utf8.ValidString(name) || !pattern.MatchString(name):
		return constraint(name, member, "Member must satisfy regular expression pattern: %s", text)
	default:
		return nil
	}
}

// groupOf returns the group that a request names, by its name or by a name or an ARN.
func groupOf(name, identifier *string) (string, error) {
	if name != nil && identifier != nil {
		return "", invalid("LogGroupName and LogGroupIdentifier cannot both be specified.")
	}
	group := ""
	if name != nil {
		group = *name
	} else if identifier != nil {
		group = groupOfARN(*identifier)
	}
	return group, checkGroup(group)
}

// groupOfARN returns the name of the group that an ARN, or a name, stands for.
func groupOfARN(identifier string) string {
	if strings.HasPrefix(identifier, "arn:") {
		if _, name, ok := strings.Cut(identifier, ":log-group:"); ok {
			return strings.TrimSuffix(name, ":*")
		}
	}
	return identifier
}

func (s *Service) groupARN(group string) string {
	return fmt.Sprintf("arn:aws:logs:%s:%s:log-group:%s", s.Place.Region, s.Place.Account, group)
}

// limitOf returns the limit of a page. The default is also the largest.
func limitOf(limit *int32, most int) (int, error) {
	if limit == nil {
		return most, nil
	}
	if *limit < 1 || int(*limit) > most {
		bound := fmt.Sprintf("less than or equal to %d", most)
		if *limit < 1 {
			bound = "greater than or equal to 1"
		}
		return 0, constraint(fmt.Sprint(*limit), "limit", "Member must have value %s", bound)
	}
	return int(*limit), nil
}

// patternOf reads a filter pattern; none matches everything.
func patternOf(text *string) (*logpattern.Pattern, error) {
	if text == nil {
		text = new(string)
	}
	p, err := logpattern.Parse(*text)
	if err != nil {
		return nil, invalid("Invalid filter pattern: %s", err)
	}
	return p, nil
}
