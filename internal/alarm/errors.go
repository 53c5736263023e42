package alarm

import (
	"fmt"
	"strings"

	"serin"
	"serin/internal/cloudwatch"
)

// Reasons of errors beyond those of internal/cloudwatch: the names of the SDK's exceptions.
const (
	reasonLimit       = "LimitExceededFault"
	reasonFormat      = "InvalidFormatFault"
	reasonNoResource  = "ResourceNotFoundException"
	reasonConcurrency = "ConcurrentModificationException"
)

func refuse(reason, format string, args ...any) error {
	return &serin.Error{Kind: serin.KindInvalid, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func validation(format string, args ...any) error {
	return serin.Errorf(serin.KindValidation, format, args...)
}

func missing(parameter string) error {
	return refuse(cloudwatch.ReasonMissing, "The parameter %s is required.", parameter)
}

func exclusive(a, b string) error {
	return refuse(cloudwatch.ReasonInvalidCombination, "The parameters %s and %s are mutually exclusive and you have specified both.", a, b)
}

func lacks(what string) error {
	return serin.Errorf(serin.KindNotImplemented, "Serin does not have %s of the service monitoring.", what)
}

// quoted repeats a part of the request in an error text, bounded.
func quoted(s string) string {
	const most = 128
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
