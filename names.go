package serin

import (
	"fmt"
	"strconv"
	"strings"
)

// Place is where resources live: every ARN that a server hands out carries its region and account.
type Place struct {
	Region  string
	Account string
}

// FunctionARN returns the ARN of a function, qualified if the qualifier is not empty.
func (p Place) FunctionARN(name, qualifier string) string {
	arn := "arn:aws:lambda:" + p.Region + ":" + p.Account + ":function:" + name
	if qualifier != "" {
		arn += ":" + qualifier
	}
	return arn
}

// Ref names a function and, optionally, one of its versions or aliases.
type Ref struct {
	Function  string
	Qualifier string
}

// ParseRef reads the spellings that AWS accepts for a function name: NAME, NAME:q, function:NAME,
// ACCOUNT:function:NAME[:q] and the full ARN, together with a separate qualifier, which may be empty.
// The caller has checked the pattern of the name already.
//
// It returns a KindInvalid error if both qualifiers are given and differ, a KindNotFound error for an ARN
// of another region and a KindDenied error for another account, with the texts of AWS
// (recorded November 2025).
func (p Place) ParseRef(name, qualifier string) (Ref, error) {
	rest := name
	if arn, ok := strings.CutPrefix(rest, "arn:"); ok {
		parts := strings.SplitN(arn, ":", 4) // partition, service, region, rest
		if len(parts) != 4 {
			return Ref{}, Errorf(KindInvalid, "The ARN %s is not the ARN of a function.", name)
		}
		if parts[2] != p.Region {
			return Ref{}, Errorf(KindNotFound, "Functions from '%s' are not reachable in this region ('%s')", parts[2], p.Region)
		}
		rest = parts[3]
	}
	if account, tail, ok := strings.Cut(rest, ":function:"); ok {
		if account != p.Account {
			return Ref{}, Errorf(KindDenied, "User is not authorized to access functions of account %s", account)
		}
		rest = tail
	} else {
		rest = strings.TrimPrefix(rest, "function:")
	}
	function, derived, _ := strings.Cut(rest, ":")
	if derived != "" && qualifier != "" && derived != qualifier {
		return Ref{}, Errorf(KindInvalid, "The derived qualifier from the function name does not match the specified qualifier.")
	}
	if derived != "" {
		qualifier = derived
	}
	return Ref{Function: function, Qualifier: qualifier}, nil
}

// VersionNumber is the number of a published version, counted from 1, or [Latest].
type VersionNumber int

// Latest is $LATEST, the one version that can change.
const Latest VersionNumber = 0

const latestName = "$LATEST"

// String returns "$LATEST" or the decimal number.
func (v VersionNumber) String() string {
	if v == Latest {
		return latestName
	}
	return strconv.Itoa(int(v))
}

// ParseVersion reads "$LATEST" or a decimal number from 1 up. It reports false for anything else,
// including numbers too large ever to have been given.
func ParseVersion(s string) (VersionNumber, bool) {
	if s == latestName {
		return Latest, true
	}
	if s == "" || s[0] < '1' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return VersionNumber(n), err == nil
}

// MarshalText makes version numbers readable in documents and map keys.
func (v VersionNumber) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (v *VersionNumber) UnmarshalText(text []byte) error {
	n, ok := ParseVersion(string(text))
	if !ok {
		return fmt.Errorf("%q is not a version number", text)
	}
	*v = n
	return nil
}
