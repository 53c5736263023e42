package cloudwatch

import (
	"fmt"
	"strings"

	"serin"
)

// Reasons of errors: the names of the SDK's exceptions, which say how the wire shows them. An error without one is
// a ValidationError.
const (
	ReasonInvalidValue       = "InvalidParameterValueException"
	ReasonInvalidCombination = "InvalidParameterCombinationException"
	ReasonMissing            = "MissingRequiredParameterException"
	ReasonNextToken          = "InvalidNextToken"
)

func refuse(reason, format string, args ...any) error {
	return &serin.Error{Kind: serin.KindInvalid, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func invalidValue(format string, args ...any) error {
	return refuse(ReasonInvalidValue, format, args...)
}

func invalidCombination(format string, args ...any) error {
	return refuse(ReasonInvalidCombination, format, args...)
}

func missing(parameter string) error {
	return refuse(ReasonMissing, "The parameter %s is required.", parameter)
}

// validation is the error for what breaks a constraint of the model.
func validation(format string, args ...any) error {
	return serin.Errorf(serin.KindValidation, format, args...)
}

// quoted repeats a part of the request in an error text, bounded.
func quoted(s string) string {
	const most = 128
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
