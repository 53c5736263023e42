package server_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/google/go-cmp/cmp"
)

const talking = `
import json, os
def handler(event, context):
    print(json.dumps({"said": event["say"], "by": context.function_version}))
    return "ok"
`

// logsOf returns a client of CloudWatch Logs.
func logsOf(r *running) *cloudwatchlogs.Client {
	return cloudwatchlogs.New(cloudwatchlogs.Options{
		Region: r.Region, BaseEndpoint: &r.Endpoint, Credentials: credentials.NewStaticCredentialsProvider(r.AccessKeyID, r.SecretAccessKey, ""),
	})
}

// TestLogsOfAVersionAreInItsStreams reads what two versions said, each by the prefix of its streams.
func TestLogsOfAVersionAreInItsStreams(t *testing.T) {
	r := start(t)
	r.create(t, "f", talking, 2)
	ctx := t.Context()
	for i := range 6 {
		_, err := r.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("f"), Qualifier: aws.String(fmt.Sprint(1 + i%2)), Payload: fmt.Appendf(nil, `{"say":"word %d"}`, i)})
		must(t, err)
	}
	c, group := logsOf(r), aws.String("/aws/lambda/f")
	streams, err := c.DescribeLogStreams(ctx, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: group, OrderBy: logtypes.OrderByLastEventTime, Descending: aws.Bool(true)})
	must(t, err)
	if len(streams.LogStreams) < 2 {
		t.Fatalf("%d streams", len(streams.LogStreams))
	}
	today, _, _ := strings.Cut(*streams.LogStreams[0].LogStreamName, "[")
	for version, want := range map[string][]string{
		"1": {`{"said": "word 0", "by": "1"}`, `{"said": "word 2", "by": "1"}`, `{"said": "word 4", "by": "1"}`},
		"2": {`{"said": "word 1", "by": "2"}`, `{"said": "word 3", "by": "2"}`, `{"said": "word 5", "by": "2"}`},
	} {
		prefix := today + "[" + version + "]"
		pages := cloudwatchlogs.NewFilterLogEventsPaginator(c, &cloudwatchlogs.FilterLogEventsInput{
			LogGroupName: group, LogStreamNamePrefix: &prefix, FilterPattern: aws.String(`{ $.said = "word*" }`), Limit: aws.Int32(2),
		})
		var got, ids []string
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			must(t, err)
			for _, e := range page.Events {
				got, ids = append(got, *e.Message), append(ids, *e.EventId)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("version %s (-said +logged):\n%s", version, diff)
		}
		slices.Sort(ids)
		if len(slices.Compact(ids)) != len(got) {
			t.Errorf("event ids are not unique")
		}
	}
	t.Run("aws logs tail", func(t *testing.T) { tail(t, r, today+"[2]") })
}

// tail runs aws logs tail, of the second generation of the command line, which alone has it.
func tail(t *testing.T, r *running, prefix string) {
	t.Helper()
	program := ""
	for _, at := range []string{"aws", "/usr/bin/aws", "/usr/local/bin/aws"} {
		if out, err := exec.CommandContext(t.Context(), at, "--version").CombinedOutput(); err == nil && strings.HasPrefix(string(out), "aws-cli/2") {
			program = at
			break
		}
	}
	if program == "" {
		t.Skip("there is no aws command of version 2")
	}
	cmd := exec.CommandContext(t.Context(), program, "--endpoint-url", r.Endpoint, "--region", r.Region, "logs", "tail", "/aws/lambda/f", "--log-stream-name-prefix", prefix, "--since", "1h", "--format", "short")
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+r.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+r.SecretAccessKey, "AWS_PAGER=")
	out, err := cmd.CombinedOutput()
	must(t, err)
	if text := string(out); strings.Count(text, `"by": "2"`) != 3 || strings.Contains(text, `"by": "1"`) {
		t.Errorf("aws logs tail of version 2:\n%s", text)
	}
}

// TestLogEventsGoInAndOut puts events with the SDK and walks through them with tokens.
func TestLogEventsGoInAndOut(t *testing.T) {
	r := start(t)
	ctx, c := t.Context(), logsOf(r)
	group, stream := aws.String("app/own"), aws.String("one")
	_, err := c.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group, Tags: map[string]string{"team": "a"}})
	must(t, err)
	_, err = c.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: stream})
	must(t, err)
	now := time.Now().UnixMilli()
	var events []logtypes.InputLogEvent
	for i := range 5 {
		events = append(events, logtypes.InputLogEvent{Timestamp: aws.Int64(now + int64(i)), Message: aws.String(fmt.Sprint("event ", i))})
	}
	// Two hours and more ahead is too new; the rest counts.
	events = append(events, logtypes.InputLogEvent{Timestamp: aws.Int64(now + 3*time.Hour.Milliseconds()), Message: aws.String("ahead")})
	put, err := c.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: stream, LogEvents: events})
	must(t, err)
	if put.RejectedLogEventsInfo == nil || aws.ToInt32(put.RejectedLogEventsInfo.TooNewLogEventStartIndex) != 5 {
		t.Errorf("rejected: %+v", put.RejectedLogEventsInfo)
	}
	var got []string
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: stream, Limit: aws.Int32(2), StartFromHead: aws.Bool(true)}
	for {
		page, err := c.GetLogEvents(ctx, in)
		must(t, err)
		for _, e := range page.Events {
			got = append(got, *e.Message)
		}
		if aws.ToString(page.NextForwardToken) == aws.ToString(in.NextToken) {
			break // the same token twice is the end
		}
		in.NextToken = page.NextForwardToken
	}
	if diff := cmp.Diff([]string{"event 0", "event 1", "event 2", "event 3", "event 4"}, got); diff != "" {
		t.Errorf("GetLogEvents (-put +got):\n%s", diff)
	}
	last, err := c.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: stream, Limit: aws.Int32(2)})
	must(t, err)
	before, err := c.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: stream, Limit: aws.Int32(2), NextToken: last.NextBackwardToken})
	must(t, err)
	if len(last.Events) != 2 || *last.Events[1].Message != "event 4" || len(before.Events) != 2 || *before.Events[1].Message != "event 2" {
		t.Errorf("the last events are %v, before them %v", last.Events, before.Events)
	}
	tags, err := c.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: aws.String("arn:aws:logs:" + r.Region + ":" + r.Account + ":log-group:app/own")})
	must(t, err)
	if diff := cmp.Diff(map[string]string{"team": "a"}, tags.Tags); diff != "" {
		t.Error(diff)
	}
}

// TestLogErrorsAreThoseOfAWS asks for what cannot be had.
func TestLogErrorsAreThoseOfAWS(t *testing.T) {
	r := start(t)
	ctx, c := t.Context(), logsOf(r)
	missing, now := aws.String("missing"), aws.Int64(time.Now().UnixMilli())
	_, err := c.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: missing})
	wantLogError[*logtypes.ResourceNotFoundException](t, err, "The specified log group does not exist.")
	_, err = c.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("g")})
	must(t, err)
	_, err = c.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("g")})
	wantLogError[*logtypes.ResourceAlreadyExistsException](t, err, "The specified log group already exists")
	_, err = c.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: missing})
	wantLogError[*logtypes.ResourceNotFoundException](t, err, "The specified log stream does not exist.")
	_, err = c.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("s"), LogEvents: []logtypes.InputLogEvent{
		{Timestamp: now, Message: aws.String("x")}, {Timestamp: aws.Int64(*now - 1), Message: aws.String("y")},
	}})
	wantLogError[*logtypes.InvalidParameterException](t, err, "chronological order")
	_, err = c.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("g"), FilterPattern: aws.String("{ $.a = ")})
	wantLogError[*logtypes.InvalidParameterException](t, err, "Invalid filter pattern")
	_, err = c.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("not a name")})
	wantLogError[*logtypes.InvalidParameterException](t, err, "Member must satisfy regular expression pattern")
}

func wantLogError[E interface {
	error
	ErrorMessage() string
}](t *testing.T, err error, text string) {
	t.Helper()
	e, ok := errors.AsType[E](err)
	if !ok || !strings.Contains(e.ErrorMessage(), text) {
		t.Errorf("error %v, want %T: %s", err, e, text)
	}
}
