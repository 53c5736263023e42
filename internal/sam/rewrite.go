package sam

import (
	"regexp"
	"strings"
)

var variable = regexp.MustCompile(`\$\{([^!{}][^{}]*)\}`)

// rewrite returns a value in which references to what a resource has become name the new resources: !Ref Fn.Alias, !GetAtt
// Fn.Version.Version, ${Fn.Alias}, and layers, whose logical id changes.
func (t *transform) rewrite(v any) any {
	switch v := v.(type) {
	case object:
		return t.rewriteMap(v)
	case []any:
		for i := range v {
			v[i] = t.rewrite(v[i])
		}
		return v
	default:
		return v
	}
}

func (t *transform) rewriteMap(m object) any {
	if len(m) == 1 {
		if name, ok := m["Ref"].(string); ok {
			if to, ok := t.renamed[name]; ok {
				return ref(to)
			}
			return m
		}
		switch arg := m["Fn::GetAtt"].(type) {
		case string:
			resource, attribute, _ := strings.Cut(t.dotted(arg), ".")
			return getAtt(resource, attribute)
		case []any:
			if parts, ok := texts(arg); ok {
				if dotted := strings.Join(parts, "."); t.dotted(dotted) != dotted {
					resource, attribute, _ := strings.Cut(t.dotted(dotted), ".")
					return getAtt(resource, attribute)
				}
			}
			return m
		}
		switch arg := m["Fn::Sub"].(type) {
		case string:
			return object{"Fn::Sub": t.sub(arg)}
		case []any:
			if len(arg) > 0 {
				if format, ok := arg[0].(string); ok {
					arg[0] = t.sub(format)
				}
			}
		}
	}
	for key, inner := range m {
		switch name, isName := inner.(string); {
		case key == "DependsOn" && isName:
			if to, ok := t.renamed[name]; ok {
				m[key] = to
			}
		default:
			m[key] = t.rewrite(inner)
		}
	}
	return m
}

// dotted returns a reference of the form Resource.Attribute with the name that the resource has now.
func (t *transform) dotted(s string) string {
	for at := len(s); at > 0; at = strings.LastIndexByte(s[:at], '.') {
		if to, ok := t.renamed[s[:at]]; ok {
			return to + s[at:]
		}
	}
	return s
}

func (t *transform) sub(format string) string {
	return variable.ReplaceAllStringFunc(format, func(s string) string { return "${" + t.dotted(s[2:len(s)-1]) + "}" })
}

func texts(list []any) ([]string, bool) {
	out := make([]string, len(list))
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		out[i] = s
	}
	return out, true
}
