package cloudwatchlogs

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"serin/internal/logs"
)

// Limits of PutLogEvents, and of the pages of FilterLogEvents and GetLogEvents (AWS documentation).
const (
	maxBatch      = 1 << 20 // bytes
	maxEvents     = 10_000
	maxSpan       = 24 * time.Hour
	maxPast       = 14 * 24 * time.Hour
	maxFuture     = 2 * time.Hour
	eventOverhead = 26 // bytes that an event counts beside its text
	maxPage       = 1 << 20
)

// pageBudget is how long a page of FilterLogEvents is looked for before the caller is told to ask for the next.
const pageBudget = time.Second

// sequenceToken is what clients that still send one get and send back.
const sequenceToken = "00000000000000000000000000000000000000000000000000000000"

// PutLogEvents adds events to a stream. When it returns they can be read, and survive the end of the process.
func (s *Service) PutLogEvents(ctx context.Context, in *cloudwatchlogs.PutLogEventsInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.PutLogEventsOutput, error) {
	group, stream := aws.ToString(in.LogGroupName), aws.ToString(in.LogStreamName)
	if err := cmp.Or(checkGroup(group), checkStream(stream), checkBatch(in.LogEvents)); err != nil {
		return nil, err
	}
	g, err := s.Store.Group(ctx, group)
	if err != nil {
		return nil, told(err, "log group")
	}
	if err := s.Store.HasStream(ctx, group, stream); err != nil {
		return nil, told(err, "log group")
	}
	rejected, first, end := accept(in.LogEvents, g.RetentionDays, s.Now())
	lines := make([]logs.Line, 0, len(in.LogEvents))
	for _, e := range in.LogEvents[first:max(first, end)] {
		lines = append(lines, logs.Line{At: *e.Timestamp, Message: []byte(*e.Message)})
	}
	if len(lines) > 0 {
		if err := s.Store.AppendAll(ctx, group, stream, lines); err != nil {
			return nil, err
		}
	}
	return &cloudwatchlogs.PutLogEventsOutput{NextSequenceToken: aws.String(sequenceToken), RejectedLogEventsInfo: rejected}, nil
}

// checkBatch refuses events that CloudWatch Logs would not look at one by one.
func checkBatch(events []types.InputLogEvent) error {
	switch {
	case len(events) == 0:
		return constraint("[]", "logEvents", "Member must have length greater than or equal to 1")
	case len(events) > maxEvents:
		return constraint(fmt.Sprintf("%d events", len(events)), "logEvents", "Member must have length less than or equal to %d", maxEvents)
	}
	size := 0
	for i, e := range events {
		at := fmt.Sprintf("logEvents.%d.member", i+1)
		switch {
		case e.Timestamp == nil:
			return constraint("null", at+".timestamp", "Member must not be null")
		case *e.Timestamp < 0:
			return constraint(fmt.Sprint(*e.Timestamp), at+".timestamp", "Member must have value greater than or equal to 0")
		case aws.ToString(e.Message) == "":
			return constraint("", at+".message", "Member must have length greater than or equal to 1")
		case i > 0 && *e.Timestamp < *events[i-1].Timestamp:
			return invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
		size += len(*e.Message) + eventOverhead
	}
	if size > maxBatch {
		return invalid("Upload too large: %d bytes exceeds limit of %d", size, maxBatch)
	}
	if *events[len(events)-1].Timestamp-*events[0].Timestamp > maxSpan.Milliseconds() {
		return invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return nil
}

// accept says which events are neither too old nor too new: events[first:end]. They are in order of time.
func accept(events []types.InputLogEvent, retentionDays int, now time.Time) (rejected *types.RejectedLogEventsInfo, first, end int) {
	var info types.RejectedLogEventsInfo
	tooOld, tooNew := now.Add(-maxPast).UnixMilli(), now.Add(maxFuture).UnixMilli()
	expired := int64(-1)
	if retentionDays > 0 {
		expired = now.Add(-time.Duration(retentionDays) * 24 * time.Hour).UnixMilli()
	}
	end = len(events)
	for i, e := range events {
		switch at := *e.Timestamp; {
		case at < tooOld:
			info.TooOldLogEventEndIndex = aws.Int32(int32(i + 1))
			first = i + 1
		case at < expired:
			info.ExpiredLogEventEndIndex = aws.Int32(int32(i + 1))
			first = i + 1
		case at > tooNew && i < end:
			info.TooNewLogEventStartIndex = aws.Int32(int32(i))
			end = i
		}
	}
	if info.TooOldLogEventEndIndex == nil && info.ExpiredLogEventEndIndex == nil && info.TooNewLogEventStartIndex == nil {
		return nil, first, end
	}
	return &info, first, end
}

// GetLogEvents returns events of a stream: the last ones, or the first, or those that a token leads to.
func (s *Service) GetLogEvents(ctx context.Context, in *cloudwatchlogs.GetLogEventsInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.GetLogEventsOutput, error) {
	group, err := groupOf(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	stream := aws.ToString(in.LogStreamName)
	limit, err := limitOf(in.Limit, maxEvents)
	if err = cmp.Or(err, checkStream(stream)); err != nil {
		return nil, err
	}
	q := logs.PageQuery{
		Query: logs.Query{Group: group, Streams: []string{stream}, From: aws.ToInt64(in.StartTime), To: aws.ToInt64(in.EndTime)},
		Limit: limit, MaxBytes: maxPage, Backward: !aws.ToBool(in.StartFromHead),
	}
	if in.NextToken != nil {
		if q.After, q.Backward, err = readToken(*in.NextToken); err != nil {
			return nil, err
		}
	}
	page, err := s.Store.Page(ctx, q)
	if err != nil {
		return nil, told(err, "log group")
	}
	out := &cloudwatchlogs.GetLogEventsOutput{Events: []types.OutputLogEvent{}}
	for _, e := range page.Events {
		out.Events = append(out.Events, types.OutputLogEvent{Timestamp: aws.Int64(e.ID.At), IngestionTime: aws.Int64(e.Ingested), Message: text(e.Message)})
	}
	before, after := around(&q, page.Events)
	out.NextBackwardToken, out.NextForwardToken = aws.String("b/"+before.String()+"/s"), aws.String("f/"+after.String()+"/s")
	if in.NextToken != nil && len(page.Events) == 0 { // the end: as on AWS the token that was sent
		if q.Backward {
			out.NextBackwardToken = in.NextToken
		} else {
			out.NextForwardToken = in.NextToken
		}
	}
	return out, nil
}

// around returns the places before and after the events of a page: what comes before the one, and what follows the other.
func around(q *logs.PageQuery, events []logs.Event) (before, after logs.ID) {
	switch {
	case len(events) > 0:
		return events[0].ID, events[len(events)-1].ID
	case q.After == nil:
		return logs.ID{At: q.From}, logs.ID{At: q.From}
	case q.Backward:
		return *q.After, q.After.Before()
	default:
		return q.After.After(), *q.After
	}
}

func readToken(token string) (after *logs.ID, backward bool, err error) {
	direction, rest, _ := strings.Cut(token, "/")
	id, ok := logs.ParseID(strings.TrimSuffix(rest, "/s"))
	if !ok || direction != "f" && direction != "b" {
		return nil, false, invalid("The specified nextToken is invalid.")
	}
	return &id, direction == "b", nil
}

// text returns what an event says. A function may write bytes that are no text.
func text(message []byte) *string { return aws.String(strings.ToValidUTF8(string(message), "\uFFFD")) }

const maxStreamNames = 100

// FilterLogEvents returns events of a group that match, in order of time. A page may be empty and still have a next.
func (s *Service) FilterLogEvents(ctx context.Context, in *cloudwatchlogs.FilterLogEventsInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	q, err := filterQuery(in)
	if err != nil {
		return nil, err
	}
	page, err := s.Store.Page(ctx, q)
	if err != nil {
		return nil, told(err, "log group")
	}
	out := &cloudwatchlogs.FilterLogEventsOutput{Events: make([]types.FilteredLogEvent, 0, len(page.Events)), SearchedLogStreams: []types.SearchedLogStream{}}
	for i := range page.Events {
		e := &page.Events[i]
		out.Events = append(out.Events, types.FilteredLogEvent{
			EventId: aws.String(e.ID.String()), Timestamp: &e.ID.At, IngestionTime: &e.Ingested, LogStreamName: &e.Stream, Message: text(e.Message),
		})
	}
	if page.More {
		out.NextToken = aws.String(page.Next.String())
	}
	return out, nil
}

func filterQuery(in *cloudwatchlogs.FilterLogEventsInput) (logs.PageQuery, error) {
	var q logs.PageQuery
	group, err := groupOf(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return q, err
	}
	limit, err := limitOf(in.Limit, maxEvents)
	if err != nil {
		return q, err
	}
	pattern, err := patternOf(in.FilterPattern)
	if err != nil {
		return q, err
	}
	q = logs.PageQuery{
		Query: logs.Query{Group: group, Streams: in.LogStreamNames, StreamPrefix: aws.ToString(in.LogStreamNamePrefix), From: aws.ToInt64(in.StartTime)},
		Limit: limit, MaxBytes: maxPage, Budget: pageBudget,
	}
	if in.EndTime != nil {
		if *in.EndTime < q.From {
			return q, invalid("startTime must be less than or equal to endTime.")
		}
		q.To = *in.EndTime + 1 // this operation has the end in it
	}
	switch {
	case len(in.LogStreamNames) > 0 && q.StreamPrefix != "":
		return q, invalid("LogStreamNames and LogStreamNamePrefix cannot both be specified.")
	case len(in.LogStreamNames) > maxStreamNames:
		return q, constraint(fmt.Sprintf("%d names", len(in.LogStreamNames)), "logStreamNames", "Member must have length less than or equal to %d", maxStreamNames)
	case len(in.LogStreamNames) == 0:
		q.Streams = nil
	}
	if in.NextToken != nil {
		id, ok := logs.ParseID(*in.NextToken)
		if !ok {
			return q, invalid("The specified nextToken is invalid.")
		}
		q.After = &id
	}
	if pattern.String() != "" {
		q.Match = func(e *logs.Event) bool { return pattern.Match(e.Message) }
	}
	return q, nil
}
