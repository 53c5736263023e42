package control

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
)

// The patterns of the API model, as AWS prints them (recorded November 2025), beside the expressions that
// check them where Go's syntax differs.
const (
	namePattern       = `(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?`
	namespacedPattern = `(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?`
	aliasPattern      = `(?!^[0-9]+$)([a-zA-Z0-9-_]+)`
	versionPattern    = `(\$LATEST(\.PUBLISHED)?|[0-9]+)`
	qualifierPattern  = `\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+`
	rolePattern       = `arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`
	handlerPattern    = `[^\s]+`
	envNamePattern    = `[a-zA-Z]([a-zA-Z0-9_])+`
	arnPattern        = `(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()`
	logGroupPattern   = `[\.\-_/#A-Za-z0-9]+`
	taggablePattern   = `arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9-_]+)`
)

// Bounds of what the model leaves open, far above what is in use.
const (
	maxARN  = 2048 // characters
	maxID   = 256  // characters of an element of a list
	clipped = 512  // bytes of a value that an answer repeats
)

// violations collects what a request breaks of the API model. AWS reports all of them at once, before any
// rule of the service is looked at.
type violations struct {
	found []string
}

func (v *violations) add(path string, value any, constraint string) {
	v.found = append(v.found, fmt.Sprintf("Value '%v' at '%s' failed to satisfy constraint: %s", value, path, constraint))
}

// err returns the KindValidation error, or nil.
func (v *violations) err() error {
	switch n := len(v.found); n {
	case 0:
		return nil
	case 1:
		return serin.Errorf(serin.KindValidation, "1 validation error detected: %s", v.found[0])
	default:
		return serin.Errorf(serin.KindValidation, "%d validation errors detected: %s", n, strings.Join(v.found, "; "))
	}
}

// refOr returns the violations as an error, or else what the function name refers to.
func (v *violations) refOr(c *Control, name *string) (serin.Ref, error) {
	if err := v.err(); err != nil {
		return serin.Ref{}, err
	}
	return c.ref(name, nil)
}

func (v *violations) required(path string, value *string) {
	if value == nil {
		v.missing(path)
	}
}

func (v *violations) missing(path string) {
	v.found = append(v.found, fmt.Sprintf("Value null at '%s' failed to satisfy constraint: Member must not be null", path))
}

// text checks the length, in characters, and the pattern of an optional member. shown is the pattern as AWS
// prints it.
func (v *violations) text(path string, value *string, longest int, match *regexp.Regexp, shown string) {
	if value == nil {
		return
	}
	if match != nil && !match.MatchString(*value) {
		v.add(path, clip(*value), "Member must satisfy regular expression pattern: "+shown)
	}
	if utf8.RuneCountInString(*value) > longest {
		v.add(path, clip(*value), atMost(longest))
	}
}

func atMost(longest int) string {
	return "Member must have length less than or equal to " + strconv.Itoa(longest)
}

func atLeast(shortest int) string {
	return "Member must have length greater than or equal to " + strconv.Itoa(shortest)
}

// clip keeps a hostile value from filling the answer.
func clip(s string) string {
	if len(s) > clipped {
		return strings.ToValidUTF8(s[:clipped], "") + "..."
	}
	return s
}

// list checks a list of identifiers.
func (v *violations) list(path string, ids []string, longest int) {
	switch {
	case len(ids) > longest:
		v.add(path, clip("["+strings.Join(ids, ", ")+"]"), atMost(longest))
	case slices.ContainsFunc(ids, func(id string) bool { return utf8.RuneCountInString(id) > maxID }):
		v.add(path, clip("["+strings.Join(ids, ", ")+"]"), "Member must satisfy constraint: ["+atMost(maxID)+"]")
	}
}

// architectures checks the list that has one element; AWS prints it the way Java prints a list.
func (v *violations) architectures(list []types.Architecture) {
	const path = "architectures"
	var names []string
	bad := false
	for _, a := range list {
		names = append(names, string(a))
		bad = bad || !slices.Contains(types.Architecture("").Values(), a)
	}
	shown := clip("[" + strings.Join(names, ", ") + "]")
	if len(list) > 1 {
		v.add(path, shown, atMost(1))
	}
	if bad {
		v.add(path, shown, "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]")
	}
}

// environment checks the names of variables. The model calls all of them sensitive, so AWS does not print them.
func (v *violations) environment(variables map[string]string) {
	for name := range variables {
		if !patterns.envName.MatchString(name) {
			v.found = append(v.found, "Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: "+envNamePattern+"]")
			return
		}
	}
}

// tags checks the lengths that AWS allows for keys and values of tags on any resource; Lambda's model is silent.
func (v *violations) tags(tags map[string]string) {
	const longestKey, longestValue = 128, 256
	for key, value := range tags {
		if n := utf8.RuneCountInString(key); n < 1 || n > longestKey || utf8.RuneCountInString(value) > longestValue {
			v.found = append(v.found, "Value at 'tags' failed to satisfy constraint: Map keys must have 1 to "+strconv.Itoa(longestKey)+" characters and map values at most "+strconv.Itoa(longestValue))
			return
		}
	}
}

func (v *violations) between(path string, value *int32, least, most int32) {
	switch {
	case value == nil:
	case *value < least:
		v.add(path, *value, fmt.Sprintf("Member must have value greater than or equal to %d", least))
	case *value > most:
		v.add(path, *value, fmt.Sprintf("Member must have value less than or equal to %d", most))
	}
}

func (v *violations) oneOf(path, value string, allowed ...string) {
	if value != "" && !slices.Contains(allowed, value) {
		v.add(path, clip(value), fmt.Sprintf("Member must satisfy enum value set: [%s]", strings.Join(allowed, ", ")))
	}
}

func (v *violations) functionName(name *string) {
	v.required("functionName", name)
	v.text("functionName", name, 140, patterns.name, namePattern)
}

// namespacedName is for operations that accept $LATEST.PUBLISHED and longer names.
func (v *violations) namespacedName(name *string) {
	v.required("functionName", name)
	v.text("functionName", name, 256, patterns.namespaced, namespacedPattern)
}

func (v *violations) qualifier(q *string) {
	v.text("qualifier", q, 128, patterns.qualifier, qualifierPattern)
}

// CheckInvoked checks how the caller of an invocation spells the function and a qualifier, which may be empty. The
// usual spellings cost no regular expression.
//
// Errors: KindValidation.
func CheckInvoked(functionName, qualifier string) error {
	if isWord(functionName) && (qualifier == "" || isWord(qualifier)) {
		return nil
	}
	var v violations
	v.namespacedName(&functionName)
	if qualifier != "" {
		v.qualifier(&qualifier)
	}
	return v.err()
}

// isWord reports whether s is made of letters, digits, - and _, and short enough for every pattern.
func isWord(s string) bool {
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

func (v *violations) aliasName(name *string) {
	v.required("name", name)
	if name != nil && patterns.digits.MatchString(*name) {
		v.add("name", clip(*name), "Member must satisfy regular expression pattern: "+aliasPattern)
		return
	}
	v.text("name", name, 128, patterns.word, aliasPattern)
}

func (v *violations) version(path string, version *string) {
	v.text(path, version, 1024, patterns.version, versionPattern)
}

func (v *violations) description(d *string) { v.text("description", d, 256, nil, "") }

// weights checks the map of AdditionalVersionWeights; AWS prints it the way Java prints a map.
func (v *violations) weights(r *types.AliasRoutingConfiguration) {
	if r == nil {
		return
	}
	const path = "routingConfig.additionalVersionWeights"
	var shown []string
	badKey, badValue := false, false
	for _, key := range slices.Sorted(maps.Keys(r.AdditionalVersionWeights)) {
		w := r.AdditionalVersionWeights[key]
		shown = append(shown, clip(key)+"="+javaDouble(w))
		badKey = badKey || !patterns.digits.MatchString(key) || len(key) > 1024
		badValue = badValue || !(w >= 0 && w <= 1)
	}
	printed := "{" + strings.Join(shown, ", ") + "}"
	if badKey {
		v.add(path, printed, "Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]")
	}
	if badValue {
		v.add(path, printed, "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be null]")
	}
}

func javaDouble(w float64) string {
	s := strconv.FormatFloat(w, 'f', -1, 64)
	if !strings.Contains(s, ".") && !strings.ContainsAny(s, "IN") {
		s += ".0"
	}
	return s
}

func (v *violations) maxItems(n *int32) { v.between("maxItems", n, 1, 10_000) }

// patterns are compiled once; they never change.
var patterns = struct {
	name, namespaced, qualifier, word, digits, version, role, handler, envName, arn, logGroup, taggable, runtime *regexp.Regexp
}{
	name:       whole(namePattern),
	namespaced: whole(namespacedPattern),
	qualifier:  whole(qualifierPattern),
	word:       whole(`[a-zA-Z0-9-_]+`),
	digits:     whole(`[0-9]+`),
	version:    whole(versionPattern),
	role:       whole(rolePattern),
	handler:    whole(handlerPattern),
	envName:    whole(envNamePattern),
	arn:        whole(arnPattern),
	logGroup:   whole(logGroupPattern),
	taggable:   whole(taggablePattern),
	runtime:    whole(`provided\.al2(023)?|nodejs\d+(\.x|\.\d+)?|python3\.\d+`),
}

func whole(pattern string) *regexp.Regexp { return regexp.MustCompile(`^(?:` + pattern + `)$`) }
