package awsapi

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-json-experiment/json"
)

// A document is what a request body says, whatever its protocol: map[string]any, []any, string, bool, float64, int64,
// uint64, time.Time, []byte or nil. The elements of a list in a form are a map with the numbers as keys.

func readJSON(body []byte) (any, error) {
	if len(body) == 0 {
		return nil, nil
	}
	var document any
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, malformed("it is not valid JSON")
	}
	return document, nil
}

// Bounds of documents in CBOR. Sizes are bounded by that of the body too.
const (
	maxCBORDepth    = 32
	maxCBORElements = 131072
)

// cborDecoder takes what rpc-v2-cbor allows. Its options are constant, so making it cannot fail.
var cborDecoder = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: maxCBORDepth, MaxArrayElements: maxCBORElements, MaxMapPairs: maxCBORElements,
		DefaultMapType: reflect.TypeFor[map[string]any](),
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

func readCBOR(body []byte) (any, error) {
	if len(body) == 0 {
		return nil, nil
	}
	var document any
	rest, err := cborDecoder.UnmarshalFirst(body, &document)
	if err != nil || len(rest) > 0 {
		return nil, malformed("it is not valid CBOR")
	}
	return document, nil
}

// maxFormDepth is deeper than any member of an operation lies.
const maxFormDepth = 16

// readForm makes a document of names such as MetricData.member.1.Value.
func readForm(form url.Values) (any, error) {
	document := map[string]any{}
	for name, values := range form {
		at := document
		parts := strings.SplitN(name, ".", maxFormDepth+1)
		if len(parts) > maxFormDepth {
			return nil, malformed("a name in the form is too long")
		}
		for _, part := range parts[:len(parts)-1] {
			if at[part] == nil || at[part] == "" { // an empty list is written as its bare name
				at[part] = map[string]any{}
			}
			next, ok := at[part].(map[string]any)
			if !ok {
				return nil, malformed("a name in the form is both a value and a structure")
			}
			at = next
		}
		last := parts[len(parts)-1]
		if at[last] != nil {
			if values[0] == "" {
				continue
			}
			return nil, malformed("a name in the form is both a value and a structure")
		}
		at[last] = values[0]
	}
	return document, nil
}

// bind sets a value from a document. Members that the type does not have are ignored, as AWS ignores them. at is where
// in the request the document stands, for errors.
func bind(v reflect.Value, document any, at string) error {
	if document == nil {
		return nil
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return bind(v.Elem(), document, at)
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		t, err := timeOf(document)
		if err != nil {
			return unfit(at, "a time")
		}
		v.Set(reflect.ValueOf(t))
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return bindStruct(v, document, at)
	case reflect.Slice:
		return bindList(v, document, at)
	case reflect.Map:
		return bindMap(v, document, at)
	case reflect.String:
		s, ok := document.(string)
		if !ok {
			return unfit(at, "a string")
		}
		v.SetString(s)
	case reflect.Bool:
		b, ok := document.(bool)
		if s, text := document.(string); text {
			b, ok = s == "true", s == "true" || s == "false"
		}
		if !ok {
			return unfit(at, "true or false")
		}
		v.SetBool(b)
	case reflect.Int32, reflect.Int64:
		n, err := numberOf(document)
		if err != nil || n != math.Trunc(n) || math.Abs(n) >= math.Exp2(float64(min(v.Type().Bits()-1, 53))) {
			return unfit(at, "an integer")
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		n, err := numberOf(document)
		if err != nil {
			return unfit(at, "a number")
		}
		v.SetFloat(n)
	default:
		return fmt.Errorf("no way to read a %s at %s", v.Type(), at)
	}
	return nil
}

func bindStruct(v reflect.Value, document any, at string) error {
	members, ok := document.(map[string]any)
	if !ok {
		if document == "" {
			return nil // an empty structure in a form
		}
		return unfit(at, "a structure")
	}
	for name, member := range members {
		field, ok := fieldOf(v.Type(), name)
		if !ok {
			continue
		}
		inner := name
		if at != "" {
			inner = at + "." + name
		}
		if err := bind(v.FieldByIndex(field.Index), member, inner); err != nil {
			return err
		}
	}
	return nil
}

// fieldOf returns the field of a member. The SDK writes members with a large first letter, whatever the service does, and
// puts a line under those that would be methods.
func fieldOf(t reflect.Type, name string) (reflect.StructField, bool) {
	if name == "" {
		return reflect.StructField{}, false
	}
	large := strings.ToUpper(name[:1]) + name[1:]
	for _, spelling := range []string{large, large + "_"} {
		if field, ok := t.FieldByName(spelling); ok && field.IsExported() && len(field.Index) == 1 {
			return field, true
		}
	}
	return reflect.StructField{}, false
}

func bindMap(v reflect.Value, document any, at string) error {
	members, ok := document.(map[string]any)
	if !ok {
		return unfit(at, "a map")
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(members)))
	for key, member := range members {
		value := reflect.New(v.Type().Elem()).Elem()
		if err := bind(value, member, at+"."+key); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key), value)
	}
	return nil
}

func bindList(v reflect.Value, document any, at string) error {
	list, ok := document.([]any)
	if numbered, form := document.(map[string]any); form {
		var err error
		if list, err = formList(numbered); err != nil {
			return unfit(at, "a list")
		}
	} else if !ok && document != "" {
		return unfit(at, "a list")
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
	for i, element := range list {
		if err := bind(v.Index(i), element, at+"."+strconv.Itoa(i+1)); err != nil {
			return err
		}
	}
	return nil
}

var (
	errNoList   = errors.New("not a list")
	errNoNumber = errors.New("not a number")
)

// formList returns the elements of member.1, member.2 and so on, by number.
func formList(document map[string]any) ([]any, error) {
	numbered, ok := document["member"].(map[string]any)
	if !ok || len(document) != 1 {
		return nil, errNoList
	}
	numbers := make([]int, 0, len(numbered))
	for key := range numbered {
		n, err := strconv.Atoi(key)
		if err != nil || n < 0 || strconv.Itoa(n) != key {
			return nil, errNoList
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	list := make([]any, 0, len(numbers))
	for _, n := range numbers {
		list = append(list, numbered[strconv.Itoa(n)])
	}
	return list, nil
}

func numberOf(document any) (float64, error) {
	switch n := document.(type) {
	case float64:
		return n, nil
	case int64:
		return float64(n), nil
	case uint64:
		return float64(n), nil
	case string:
		return strconv.ParseFloat(n, 64)
	default:
		return 0, errNoNumber
	}
}

// timeOf reads a time: seconds since 1970, or text in the forms that AWS takes.
func timeOf(document any) (time.Time, error) {
	if t, ok := document.(time.Time); ok {
		return t.UTC(), nil
	}
	if s, ok := document.(string); ok {
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
			if t, err := time.Parse(layout, s); err == nil {
				return t.UTC(), nil
			}
		}
	}
	seconds, err := numberOf(document)
	if err != nil || math.IsNaN(seconds) || math.Abs(seconds) > 1<<38 {
		return time.Time{}, errNoNumber
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC(), nil
}

// unfit is the error for a member of another type than its own.
func unfit(at, want string) error {
	return malformed(fmt.Sprintf("%s must be %s", orDefault(clip(at), "the input"), want))
}
