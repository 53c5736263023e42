package executor

import (
	"fmt"
	"strconv"
	"time"
)

// The lines that the platform writes to the log of a function, as AWS Lambda writes them: fields are
// separated by tabs, and one follows the last.

func startLine(b []byte, requestID, version string) []byte {
	b = append(b, "START RequestId: "...)
	b = append(b, requestID...)
	b = append(b, " Version: "...)
	return append(b, version...)
}

func endLine(b []byte, requestID string) []byte {
	b = append(b, "END RequestId: "...)
	return append(b, requestID...)
}

func initStartLine(b []byte, runtimeVersion, runtimeARN string) []byte {
	b = append(b, "INIT_START Runtime Version: "...)
	b = append(b, runtimeVersion...)
	b = append(b, "\tRuntime Version ARN: "...)
	return append(b, runtimeARN...)
}

// initReportLine reports a failed initialisation: in the Init phase, or repeated in the Invoke phase.
func initReportLine(b []byte, d time.Duration, initPhase, status, errorType string) []byte {
	b = append(b, "INIT_REPORT Init Duration: "...)
	b = append(millis(b, d), " ms\tPhase: "...)
	b = append(b, initPhase...)
	return statusFields(append(b, '\t'), status, errorType)
}

// reportLine reports an invocation. errorType is empty unless the platform ended it.
func reportLine(b []byte, requestID string, memoryMB int, r *Result, status, errorType string) []byte {
	b = append(b, "REPORT RequestId: "...)
	b = append(b, requestID...)
	b = append(b, "\tDuration: "...)
	b = millis(b, r.Duration)
	b = append(b, " ms\tBilled Duration: "...)
	b = strconv.AppendInt(b, r.BilledMillis, 10)
	b = append(b, " ms\tMemory Size: "...)
	b = strconv.AppendInt(b, int64(memoryMB), 10)
	b = append(b, " MB\tMax Memory Used: "...)
	b = strconv.AppendInt(b, int64(r.MaxMemoryMB), 10)
	b = append(b, " MB\t"...)
	if r.InitDuration > 0 {
		b = append(b, "Init Duration: "...)
		b = millis(b, r.InitDuration)
		b = append(b, " ms\t"...)
	}
	return statusFields(b, status, errorType)
}

func statusFields(b []byte, status, errorType string) []byte {
	if status != "" {
		b = append(b, "Status: "...)
		b = append(b, status...)
		b = append(b, '\t')
	}
	if errorType != "" {
		b = append(b, "Error Type: "...)
		b = append(b, errorType...)
		b = append(b, '\t')
	}
	return b
}

// xrayFields says which X-Ray trace an invocation that is sampled belongs to, as the second line of its report.
func xrayFields(b []byte, traceID string) []byte {
	root := traceField(traceID, "Root")
	if root == "" || traceField(traceID, "Sampled") != "1" {
		return b
	}
	b = append(b, "\nXRAY TraceId: "...)
	b = append(b, root...)
	if parent := traceField(traceID, "Parent"); parent != "" {
		b = append(b, "\tSegmentId: "...)
		b = append(b, parent...)
	}
	return append(b, "\tSampled: true\t"...)
}

// lossLine says that lines were dropped. AWS has no such line.
func lossLine(lost logLoss, reason string) []byte {
	return fmt.Appendf(nil, "LOGS_DROPPED Records: %d\tBytes: %d\tReason: %s", lost.records, lost.bytes, reason)
}

// timeoutText says that a function ran into its time limit.
func timeoutText(limit time.Duration) string {
	return "Task timed out after " + strconv.FormatFloat(limit.Seconds(), 'f', 2, 64) + " seconds"
}

func millis(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, float64(d)/float64(time.Millisecond), 'f', 2, 64)
}

// billed returns the whole milliseconds that a duration costs.
func billed(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
