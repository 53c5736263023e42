package awsapi

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"serin"
)

// decoder fills the input of one operation from a request. All that is known about the type is
// worked out when it is made.
type decoder struct {
	hasBody  bool
	bindings []binding
}

// binding is a member of an input that travels outside the body.
type binding struct {
	field  int
	member string // as error texts name it: with a small first letter
	values func(http.Header, *call) []string
	set    func(field reflect.Value, values []string) error
}

// newDecoder prepares decoding an In as its schema says. It panics if In does not fit the schema.
func newDecoder[In any](schema *smithy.Schema, labelNames []string) decoder {
	typ := reflect.TypeFor[In]()
	var d decoder
	for name, member := range schema.Members() {
		field, ok := typ.FieldByName(strings.ToUpper(name[:1]) + name[1:])
		if !ok {
			panic(fmt.Sprintf("awsapi: %s has no field for member %s", typ, name))
		}
		values := valuesOf(member, slices.Index(labelNames, name))
		if values == nil {
			d.hasBody = true
			continue
		}
		d.bindings = append(d.bindings, binding{
			field: field.Index[0], member: strings.ToLower(name[:1]) + name[1:],
			values: values, set: setterOf(field.Type),
		})
	}
	return d
}

// valuesOf returns how to get a member's values from a request, or nil if it travels in the body.
func valuesOf(member *smithy.Schema, label int) func(http.Header, *call) []string {
	if _, ok := smithy.SchemaTrait[*traits.HTTPLabel](member); ok {
		return func(_ http.Header, c *call) []string { return c.labels[label : label+1] }
	}
	if t, ok := smithy.SchemaTrait[*traits.HTTPQuery](member); ok {
		return func(_ http.Header, c *call) []string { return c.query[t.Name] }
	}
	if t, ok := smithy.SchemaTrait[*traits.HTTPHeader](member); ok {
		return func(h http.Header, _ *call) []string { return h.Values(t.Name) }
	}
	if _, ok := smithy.SchemaTrait[*traits.HTTPPayload](member); ok {
		panic("awsapi: no support for a payload member: " + member.MemberName())
	}
	return nil
}

// setterOf returns how to set a field of the type from the values (one or more) of a path, query or
// header. The first value counts, except for lists.
func setterOf(typ reflect.Type) func(reflect.Value, []string) error {
	switch {
	case typ == reflect.TypeFor[[]string]():
		return func(v reflect.Value, values []string) error {
			v.Set(reflect.ValueOf(slices.Clone(values)))
			return nil
		}
	case typ.Kind() == reflect.Pointer:
		set := setterOf(typ.Elem())
		return func(v reflect.Value, values []string) error {
			v.Set(reflect.New(typ.Elem()))
			return set(v.Elem(), values)
		}
	case typ.Kind() == reflect.String:
		return func(v reflect.Value, values []string) error {
			v.SetString(values[0])
			return nil
		}
	case typ.Kind() == reflect.Int32, typ.Kind() == reflect.Int64:
		return func(v reflect.Value, values []string) error {
			n, err := strconv.ParseInt(values[0], 10, typ.Bits())
			v.SetInt(n)
			return err
		}
	default:
		panic("awsapi: no support for a path, query or header member of type " + typ.String())
	}
}

// decode fills in, a pointer to the decoder's input type. Bound members are set last and always, so that
// a body cannot stand in for a path or a query.
func (d *decoder) decode(in any, h http.Header, c *call) error {
	if d.hasBody && len(c.body) > 0 {
		if err := json.Unmarshal(c.body, in); err != nil {
			return contentError(err)
		}
	}
	v := reflect.ValueOf(in).Elem()
	for _, b := range d.bindings {
		field, values := v.Field(b.field), b.values(h, c)
		if len(values) == 0 {
			field.SetZero()
			continue
		}
		if err := b.set(field, values); err != nil {
			return serin.Errorf(serin.KindValidation,
				"1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must be an integer",
				clip(values[0]), b.member)
		}
	}
	return nil
}

// contentError says what is wrong with a request body and where, in the caller's terms: the decoder's
// own text names Go types.
func contentError(err error) error {
	detail := "it is not a JSON object"
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		detail = fmt.Sprintf("malformed JSON at byte %d", e.ByteOffset)
		if errors.Is(err, jsontext.ErrDuplicateName) {
			detail = fmt.Sprintf("member %s is given twice", clip(string(e.JSONPointer)))
		}
	} else if e, ok := errors.AsType[*json.SemanticError](err); ok && e.JSONPointer != "" {
		member := clip(string(e.JSONPointer))
		detail = fmt.Sprintf("member %s does not take this %s", member, kindName(e.JSONKind))
		if e.JSONKind == jsontext.KindString && e.GoType == reflect.TypeFor[[]byte]() {
			detail = fmt.Sprintf("member %s is not valid base64", member)
		}
	}
	return serin.Errorf(serin.KindContent, "Could not parse request body into json: %s", detail)
}

// kindName names a kind of JSON value in words.
func kindName(k jsontext.Kind) string {
	switch k {
	case jsontext.KindBeginObject:
		return "object"
	case jsontext.KindBeginArray:
		return "array"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "boolean"
	default:
		return k.String()
	}
}

// clip bounds what an error text repeats of a request.
func clip(s string) string {
	const most = 128
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
