package resource

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
)

// violations are what is wrong with properties, in the words of the JSON schema validator that CloudFormation uses.
type violations []string

func (v *violations) add(at, format string, args ...any) {
	*v = append(*v, at+": "+fmt.Sprintf(format, args...))
}

// decode fills a value from properties. CloudFormation takes numbers and booleans as text, and text for either.
func (v *violations) decode(to reflect.Value, from any, at string) {
	if from == nil && to.Kind() != reflect.Struct {
		return
	}
	switch to.Kind() {
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		v.decode(to.Elem(), from, at)
	case reflect.Interface:
		to.Set(reflect.ValueOf(from))
	case reflect.Struct:
		v.structure(to, from, at)
	case reflect.Map:
		v.dictionary(to, from, at)
	case reflect.Slice:
		v.list(to, from, at)
	case reflect.String:
		if s, ok := scalar(from); ok {
			to.SetString(s)
		} else {
			v.mismatch(at, "String", from)
		}
	case reflect.Bool:
		if s, _ := scalar(from); s == "true" || s == "false" {
			to.SetBool(s == "true")
		} else {
			v.mismatch(at, "Boolean", from)
		}
	case reflect.Int32, reflect.Int64, reflect.Int:
		s, _ := scalar(from)
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
			v.mismatch(at, "Integer", from)
			return
		}
		to.SetInt(int64(n))
	case reflect.Float64:
		s, _ := scalar(from)
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			v.mismatch(at, "Number", from)
			return
		}
		to.SetFloat(n)
	default:
		v.add(at, "cannot be read")
	}
}

func (v *violations) mismatch(at, want string, got any) {
	found := "String"
	switch got.(type) {
	case map[string]any:
		found = "JSONObject"
	case []any:
		found = "JSONArray"
	case bool:
		found = "Boolean"
	case json.Number, float64, int:
		found = "Number"
	}
	v.add(at, "expected type: %s, found: %s", want, found)
}

func (v *violations) structure(to reflect.Value, from any, at string) {
	members, ok := from.(map[string]any)
	if !ok && from != nil {
		v.mismatch(at, "JSONObject", from)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		f, known := to.Type().FieldByName(name)
		switch {
		case !known || !f.IsExported() || len(f.Index) != 1:
			v.add(at, "extraneous key [%s] is not permitted", clip(name))
		case tagged(f, "refused"):
			v.add(at+"/"+name, "Serin does not have this property")
		default:
			v.decode(to.FieldByIndex(f.Index), members[name], at+"/"+name)
		}
	}
	for f := range to.Type().Fields() {
		if _, there := members[f.Name]; !there && tagged(f, "required") {
			v.add(at, "required key [%s] not found", f.Name)
		}
	}
}

func (v *violations) dictionary(to reflect.Value, from any, at string) {
	members, ok := from.(map[string]any)
	if !ok {
		v.mismatch(at, "JSONObject", from)
		return
	}
	to.Set(reflect.MakeMapWithSize(to.Type(), len(members)))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value := reflect.New(to.Type().Elem()).Elem()
		v.decode(value, members[name], at+"/"+clip(name))
		to.SetMapIndex(reflect.ValueOf(name), value)
	}
}

func (v *violations) list(to reflect.Value, from any, at string) {
	if to.Type().Elem().Kind() == reflect.Uint8 { // text that becomes bytes
		s, ok := scalar(from)
		if !ok {
			v.mismatch(at, "String", from)
		}
		to.SetBytes([]byte(s))
		return
	}
	elements, ok := from.([]any)
	if !ok {
		v.mismatch(at, "JSONArray", from)
		return
	}
	to.Set(reflect.MakeSlice(to.Type(), len(elements), len(elements)))
	for i, element := range elements {
		v.decode(to.Index(i), element, at+"/"+strconv.Itoa(i))
	}
}

// scalar returns text, a number or a boolean as text.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	default:
		return "", false
	}
}

// canonical makes values comparable that CloudFormation takes for the same: 5 and "5", true and "true".
func canonical(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[name] = canonical(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = canonical(element)
		}
		return out
	default:
		if s, ok := scalar(v); ok {
			return s
		}
		return v
	}
}

// copyFields sets the fields of one struct from those of another that have the same names and types.
func copyFields(to, from any) {
	dst, src := reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem()
	for f := range src.Type().Fields() {
		if d := dst.FieldByName(f.Name); f.IsExported() && d.IsValid() && d.CanSet() && d.Type() == f.Type {
			d.Set(src.FieldByIndex(f.Index))
		}
	}
}

func clip(s string) string {
	const most = 128
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
