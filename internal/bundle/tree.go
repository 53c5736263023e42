package bundle

import (
	"archive/zip"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"

	"serin"
)

// tree is the content of a package by clean relative name. Every directory above an entry is in it;
// the root is not.
type tree map[string]*node

// node is a directory, a regular file or a symbolic link.
type node struct {
	mode    fs.FileMode // the type, and for a file 0644 or 0755
	size    int64       // bytes of a file or of the target of a link
	target  string      // of a link
	file    *zip.File   // where a tree that was read from a zip has the content
	implied bool        // a directory that has no entry of its own
}

// sorted yields the entries by name, so every directory comes before what is in it.
func (t tree) sorted() iter.Seq2[string, *node] {
	return func(yield func(string, *node) bool) {
		for _, name := range slices.Sorted(maps.Keys(t)) {
			if !yield(name, t[name]) {
				return
			}
		}
	}
}

// add puts an entry and the directories above it into the tree.
func (t tree) add(name string, n *node) error {
	old := t[name]
	switch {
	case old == nil && len(t) >= maxEntries:
		return errEntries()
	case old == nil || (old.implied && n.mode.IsDir()):
	case old.mode.Type() != n.mode.Type() && (old.mode.IsDir() || n.mode.IsDir()):
		return errEntry(name, "is a directory and also a file")
	default:
		return errEntry(name, "is there more than once")
	}
	t[name] = n
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if above := t[dir]; above != nil {
			if !above.mode.IsDir() {
				return errEntry(name, "lies below %.200q, which is not a directory", dir)
			}
			return nil
		}
		if len(t) >= maxEntries {
			return errEntries()
		}
		t[dir] = &node{mode: fs.ModeDir | 0o755, implied: true}
	}
	return nil
}

// info says what the tree holds.
func (t tree) info() Info {
	var info Info
	for _, n := range t {
		info.UnzippedSize += n.size
		if n.mode.IsRegular() {
			info.Files++
		}
	}
	// The links were checked when the tree was complete: what is left is the node, or none.
	r := resolver{tree: t}
	if n, err := r.resolve(bootstrap); err == nil && n != nil {
		info.Bootstrap = n.mode.IsRegular() && n.mode&0o111 != 0
	}
	return info
}

// checkLinks refuses links whose target, with every link on the way followed as the system would,
// lies outside the tree. A link to a name that the package does not have is harmless: nothing can be
// created there later.
func (t tree) checkLinks() error {
	r := resolver{tree: t}
	for name, n := range t.sorted() {
		if n.mode.Type() != fs.ModeSymlink {
			continue
		}
		if err := checkTarget(name, n.target); err != nil {
			return err
		}
		if _, err := r.resolve(name); err != nil {
			return err
		}
	}
	return nil
}

// resolver follows links. Its budget is for all links of a package together, since links through
// links multiply.
type resolver struct {
	tree  tree
	steps int
}

// resolve returns what the name stands for after every link: nil if there is no such thing. A name that
// does not exist ends the walk, as it does for the system, but must not be followed by "..".
func (r *resolver) resolve(name string) (*node, error) {
	at, hops := ".", 0
	var found *node
	for rest := strings.Split(name, "/"); len(rest) > 0; {
		element := rest[0]
		rest = rest[1:]
		if r.steps++; r.steps > maxLinkSteps {
			return nil, serin.Errorf(serin.KindInvalid, "The symbolic links in the package are too many or too long to follow")
		}
		switch element {
		case "", ".":
			continue
		case "..":
			if at == "." {
				return nil, errEntry(name, "is a symbolic link to %.200q, which leaves the package", r.tree[name].target)
			}
			at = path.Dir(at)
			found = r.tree[at]
			continue
		}
		next := path.Join(at, element)
		found = r.tree[next]
		switch {
		case found != nil && found.mode.IsDir():
			at = next
		case found != nil && found.mode.Type() == fs.ModeSymlink:
			if hops++; hops > maxLinkHops {
				return nil, errEntry(name, "is a symbolic link that leads through too many others")
			}
			rest = append(strings.Split(found.target, "/"), rest...)
			r.steps += len(rest)
		case slices.Contains(rest, ".."):
			return nil, errEntry(name, "is a symbolic link to %.200q, which leads upwards from what is no directory of the package",
				r.tree[name].target)
		case len(rest) > 0:
			return nil, nil
		default:
			return found, nil
		}
	}
	return found, nil
}

// cleanName returns the name of an entry without a leading "./" and a trailing slash, or an error if
// the name is not one for a file below the root on every system. The root itself is ".".
func cleanName(raw string) (string, error) {
	switch {
	case raw == "":
		return "", errEntry(raw, "has no name")
	case len(raw) > maxName:
		return "", errEntry(raw, "has a name of more than %d bytes", maxName)
	case strings.ContainsAny(raw, "\x00\\"):
		return "", errEntry(raw, "has a backslash or a NUL in its name")
	case raw[0] == '/':
		return "", errEntry(raw, "has an absolute name")
	}
	for element := range strings.SplitSeq(raw, "/") {
		switch {
		case element == "..":
			return "", errEntry(raw, `has ".." in its name`)
		case len(element) > maxElement:
			return "", errEntry(raw, "has an element of more than %d bytes in its name", maxElement)
		}
	}
	name := path.Clean(raw)
	switch {
	case strings.Count(name, "/") >= maxDepth:
		return "", errEntry(raw, "has a name of more than %d elements", maxDepth)
	case hasDriveLetter(name):
		return "", errEntry(raw, "has an absolute name")
	}
	return name, nil
}

func checkTarget(name, target string) error {
	switch {
	case target == "" || len(target) > maxName || strings.ContainsAny(target, "\x00\\"):
		return errEntry(name, "is a symbolic link without a usable target")
	case target[0] == '/' || hasDriveLetter(target):
		return errEntry(name, "is a symbolic link to the absolute path %.200q", target)
	}
	return nil
}

func hasDriveLetter(name string) bool {
	return len(name) >= 2 && name[1] == ':' && (name[0]|0x20) >= 'a' && (name[0]|0x20) <= 'z'
}
