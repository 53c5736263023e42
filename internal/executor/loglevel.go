package executor

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"
)

// logLevel is how much a log event matters. The names are those of a function's LoggingConfig.
type logLevel int

const (
	levelTrace logLevel = iota
	levelDebug
	levelInfo
	levelWarn
	levelError
	levelFatal
)

var levelNames = [...]string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}

// parseLevel returns the level with a name, in upper or lower case. What is no name is INFO, as on AWS.
func parseLevel(name string) logLevel {
	switch strings.ToUpper(name) {
	case "WARNING": // as python calls it
		return levelWarn
	case "CRITICAL":
		return levelFatal
	}
	for l, n := range levelNames {
		if strings.EqualFold(n, name) {
			return logLevel(l)
		}
	}
	return levelInfo
}

// lineLevel returns the level of a line of a function: what the member "level" of a JSON object says, else
// INFO, as AWS counts it. A line that is not a JSON object has none; AWS filters only what it can parse.
func lineLevel(line []byte) (level logLevel, ok bool) {
	if !isObject(line) {
		return levelInfo, false
	}
	var fields struct {
		Level    string `json:"level"`
		LogLevel string `json:"log_level"` // as python's runtime calls it
	}
	// Another type of level leaves it empty, which is INFO.
	_ = json.Unmarshal(line, &fields)
	return parseLevel(cmp.Or(fields.Level, fields.LogLevel)), true
}

// isObject reports whether a line is a JSON object.
func isObject(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) > 1 && line[0] == '{' && json.Valid(line)
}
