package recording

import (
	"strconv"
	"strings"

	"serin"
)

// Path names values within JSON documents: $.user.email, $.items[0].id, $.items[*].email, $.headers.*, and $..email for
// members of that name at any depth.
type Path struct {
	text  string
	steps []string // names, indexes as text, "*" for any, ".." for any number
}

// Bounds of paths.
const (
	MaxPaths   = 100
	maxPathLen = 256
)

// String returns the text that [ParsePath] reads.
func (p Path) String() string { return p.text }

// ParsePath reads a path. A leading $ may be left out.
//
// Errors: KindInvalid.
func ParsePath(text string) (Path, error) {
	bad := func(why string) (Path, error) {
		return Path{}, serin.Errorf(serin.KindInvalid, "%.100q is no JSON path: %s; want one like $.user.email, $.items[*].id or $..email", text, why)
	}
	rest := strings.TrimPrefix(text, "$")
	if len(text) > maxPathLen {
		return bad("it is too long")
	}
	if rest != "" && rest[0] != '.' && rest[0] != '[' {
		rest = "." + rest
	}
	p := Path{text: text}
	for rest != "" {
		switch {
		case strings.HasPrefix(rest, ".."):
			p.steps = append(p.steps, "..")
			if rest = rest[1:]; rest == "." {
				return bad("nothing follows the dots")
			}
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			if end == 1 {
				return bad("a name is missing")
			}
			p.steps = append(p.steps, rest[1:end])
			rest = rest[end:]
		default:
			inner, after, closed := strings.Cut(rest[1:], "]")
			quoted := strings.Trim(inner, `'"`)
			if _, err := strconv.ParseUint(inner, 10, 31); !closed || err != nil && inner != "*" && quoted == inner {
				return bad("want [0], [*] or ['name']")
			}
			p.steps = append(p.steps, quoted)
			if rest = after; rest != "" && rest[0] != '.' && rest[0] != '[' {
				return bad("want . or [ after ]")
			}
		}
	}
	if len(p.steps) == 0 {
		return bad("it names the whole document")
	}
	return p, nil
}

// ParsePaths reads several paths.
//
// Errors: KindInvalid.
func ParsePaths(texts []string) ([]Path, error) {
	if len(texts) > MaxPaths {
		return nil, serin.Errorf(serin.KindInvalid, "%d JSON paths are more than %d", len(texts), MaxPaths)
	}
	var all []Path
	for _, text := range texts {
		p, err := ParsePath(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// matches reports whether the path names a place.
func (p Path) matches(place []string) bool { return match(p.steps, place) }

func match(steps, place []string) bool {
	for i, step := range steps {
		if step == ".." {
			for from := range place {
				if match(steps[i+1:], place[from:]) {
					return true
				}
			}
			return false
		}
		if len(place) == 0 || step != "*" && step != place[0] {
			return false
		}
		place = place[1:]
	}
	return len(place) == 0
}

func anyMatches(paths []Path, place []string) bool {
	for _, p := range paths {
		if p.matches(place) {
			return true
		}
	}
	return false
}
