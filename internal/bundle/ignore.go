package bundle

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// alwaysIgnored holds what never belongs in a package.
const alwaysIgnored = ".git .DS_Store __pycache__ *.pyc **/node_modules/.cache /.serin /.serinignore /serin.yaml"

// ignoreList decides which names stay out of a package. Its patterns are a subset of gitignore's:
//
//   - A pattern without a slash matches a file or directory of that name anywhere.
//   - A pattern with a slash at the start or in the middle matches from the root of the package.
//   - A slash at the end matches directories only.
//   - Between slashes the rules of [path.Match] hold: "*", "?", "[a-z]", and a backslash before a
//     character that stands for itself. "**" alone stands for any number of directories, also none.
//   - What is in an ignored directory is ignored.
//   - Empty lines and lines that start with "#" are skipped. "!" is refused, not misread.
type ignoreList []ignorePattern

type ignorePattern struct {
	elements      []string
	directoryOnly bool
}

func parseIgnore(lines []string) (ignoreList, error) {
	var list ignoreList
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '!' {
			return nil, fmt.Errorf("line %d: patterns that start with ! are not supported", i+1)
		}
		var p ignorePattern
		line, p.directoryOnly = strings.CutSuffix(line, "/")
		if line, rooted := strings.CutPrefix(line, "/"); rooted || strings.Contains(line, "/") {
			p.elements = strings.Split(line, "/")
		} else {
			p.elements = []string{"**", line}
		}
		for _, element := range p.elements {
			if _, err := path.Match(element, ""); err != nil || element == "" {
				return nil, fmt.Errorf("line %d: %q is not a pattern", i+1, lines[i])
			}
		}
		list = append(list, p)
	}
	return list, nil
}

func (l ignoreList) match(name string, isDir bool) bool {
	elements := strings.Split(name, "/")
	return slices.ContainsFunc(l, func(p ignorePattern) bool {
		return (isDir || !p.directoryOnly) && matchElements(p.elements, elements)
	})
}

// matchElements needs to go back to the last "**" only: what earlier ones stand for can stay as short
// as it is.
func matchElements(pattern, name []string) bool {
	star, starName := -1, 0
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == "**":
			star, starName = p, n
			p++
		case p < len(pattern) && matchElement(pattern[p], name[n]):
			p++
			n++
		case star >= 0:
			starName++
			p, n = star+1, starName
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == "**" {
		p++
	}
	return p == len(pattern)
}

func matchElement(pattern, element string) bool {
	ok, err := path.Match(pattern, element)
	return ok && err == nil
}
