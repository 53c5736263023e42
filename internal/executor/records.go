package executor

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"time"
)

// record is something that the platform says about an environment: a line of a log in text format, an object in one
// in JSON format and in telemetry. Members and levels are those of AWS's "Telemetry API Event schema reference"
// and "System log level event mapping".
type record struct {
	kind  string
	level logLevel
	text  []byte // "" for what has no line
	value any
	// legacy says that only the text format and the Logs API know the kind.
	legacy bool
}

// timeFormat is how times are written in telemetry and in logs in JSON format.
const timeFormat = "2006-01-02T15:04:05.000Z"

// object returns the record as a line of a log in JSON format.
func (r record) object(at time.Time) []byte {
	return object(at, r.kind, r.value)
}

// object returns a telemetry event.
func object(at time.Time, kind string, value any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(struct { // nothing in a record can fail to encode
		Time   string `json:"time"`
		Type   string `json:"type"`
		Record any    `json:"record"`
	}{at.UTC().Format(timeFormat), kind, value})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// milliseconds is a duration as records have it.
type milliseconds float64

func inMillis(d time.Duration) milliseconds {
	return milliseconds(math.Round(float64(d)/float64(time.Microsecond)) / 1000)
}

const initializationType = "on-demand"

type initStartValue struct {
	InitializationType string `json:"initializationType"`
	Phase              string `json:"phase"`
	RuntimeVersion     string `json:"runtimeVersion"`
	RuntimeVersionARN  string `json:"runtimeVersionArn"`
	FunctionName       string `json:"functionName"`
	FunctionVersion    string `json:"functionVersion"`
}

func initStartRecord(s *Spec, phase, runtimeVersion, runtimeARN string) record {
	r := record{
		kind: "platform.initStart", level: levelInfo,
		value: initStartValue{initializationType, phase, runtimeVersion, runtimeARN, s.Function, s.Version},
	}
	if phase == "init" {
		r.text = initStartLine(nil, runtimeVersion, runtimeARN)
	}
	return r
}

type initValue struct {
	InitializationType string       `json:"initializationType"`
	Phase              string       `json:"phase"`
	Status             string       `json:"status"`
	ErrorType          string       `json:"errorType,omitempty"`
	Metrics            *initMetrics `json:"metrics,omitempty"`
}

type initMetrics struct {
	Duration milliseconds `json:"durationMs"`
}

// initRecords say how an initialisation ended. status is empty if it succeeded.
func initRecords(took time.Duration, phase, status, errorType string) (done, report record) {
	level := levelDebug
	if status != "" {
		level = levelWarn
		report.text = initReportLine(nil, took, phase, status, errorType)
	} else {
		status = "success"
	}
	value := initValue{InitializationType: initializationType, Phase: phase, Status: status, ErrorType: errorType}
	done = record{kind: "platform.initRuntimeDone", level: level, value: value}
	value.Metrics = &initMetrics{inMillis(took)}
	report.kind, report.level, report.value = "platform.initReport", level, value
	return done, report
}

// tracing is the X-Ray trace of an invocation.
type tracing struct {
	SpanID string `json:"spanId,omitempty"`
	Type   string `json:"type"`
	Value  string `json:"value"`
}

// tracingOf returns what records say about the trace, or nil.
func tracingOf(traceID string) *tracing {
	if traceID == "" {
		return nil
	}
	return &tracing{SpanID: traceField(traceID, "Parent"), Type: "X-Amzn-Trace-Id", Value: traceID}
}

// traceField returns a field of a tracing header such as "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1".
func traceField(header, name string) string {
	for field := range strings.SplitSeq(header, ";") {
		if key, value, _ := strings.Cut(strings.TrimSpace(field), "="); key == name {
			return value
		}
	}
	return ""
}

type startValue struct {
	RequestID string   `json:"requestId"`
	Version   string   `json:"version"`
	Tracing   *tracing `json:"tracing,omitempty"`
}

func startRecord(in *Invocation, version string) record {
	return record{
		kind: "platform.start", level: levelInfo, text: startLine(nil, in.RequestID, version),
		value: startValue{in.RequestID, version, tracingOf(in.TraceID)},
	}
}

type endValue struct {
	RequestID string `json:"requestId"`
}

func endRecord(requestID string) record {
	return record{kind: "platform.end", legacy: true, text: endLine(nil, requestID), value: endValue{requestID}}
}

// faultRecord says why the platform has ended an invocation.
func faultRecord(text []byte) record {
	return record{kind: "platform.fault", legacy: true, text: text, value: string(text)}
}

type runtimeDoneValue struct {
	RequestID string             `json:"requestId"`
	Status    string             `json:"status"`
	ErrorType string             `json:"errorType,omitempty"`
	Tracing   *tracing           `json:"tracing,omitempty"`
	Metrics   runtimeDoneMetrics `json:"metrics"`
}

type runtimeDoneMetrics struct {
	Duration milliseconds `json:"durationMs"`
	Produced int          `json:"producedBytes"`
}

type reportValue struct {
	RequestID string        `json:"requestId"`
	Status    string        `json:"status"`
	ErrorType string        `json:"errorType,omitempty"`
	Metrics   reportMetrics `json:"metrics"`
	Tracing   *tracing      `json:"tracing,omitempty"`
}

type reportMetrics struct {
	Duration      milliseconds `json:"durationMs"`
	Billed        int64        `json:"billedDurationMs"`
	MemorySize    int          `json:"memorySizeMB"`
	MaxMemoryUsed int          `json:"maxMemoryUsedMB"`
	Init          milliseconds `json:"initDurationMs,omitempty"`
}

// endRecords say how an invocation ended. status and errorType are empty unless the platform ended it.
func endRecords(in *Invocation, s *Spec, r *Result, status, errorType string) (done, end, report record) {
	line := reportLine(make([]byte, 0, 256), in.RequestID, s.MemoryMB, r, status, errorType)
	line = xrayFields(line, in.TraceID)
	level := levelInfo
	switch {
	case status != "":
		level = levelWarn
	case r.FunctionError != "":
		status = "error"
		level = levelWarn
	default:
		status = "success"
	}
	trace := tracingOf(in.TraceID)
	done = record{kind: "platform.runtimeDone", level: level, value: runtimeDoneValue{
		RequestID: in.RequestID, Status: status, ErrorType: errorType, Tracing: trace,
		Metrics: runtimeDoneMetrics{inMillis(r.Duration), len(r.Payload)},
	}}
	if level == levelInfo {
		done.level = levelDebug
	}
	report = record{kind: "platform.report", level: level, text: line, value: reportValue{
		RequestID: in.RequestID, Status: status, ErrorType: errorType, Tracing: trace,
		Metrics: reportMetrics{inMillis(r.Duration), r.BilledMillis, s.MemoryMB, r.MaxMemoryMB, inMillis(r.InitDuration)},
	}}
	return done, endRecord(in.RequestID), report
}

type lossValue struct {
	Records int    `json:"droppedRecords"`
	Bytes   int    `json:"droppedBytes"`
	Reason  string `json:"reason"`
}

// lossRecord says that log events were dropped.
func lossRecord(lost logLoss, reason string) record {
	return record{
		kind: "platform.logsDropped", level: levelWarn, text: lossLine(lost, reason),
		value: lossValue{lost.records, lost.bytes, reason},
	}
}
