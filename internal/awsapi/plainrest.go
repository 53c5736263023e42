package awsapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"
)

// plainREST makes an operation of a service of restJson1 without schemas in the SDK: the members of the body have the names of the fields
// with a small first letter, and labels are {Field} in the path.
func plainREST[In, Out, Options any](name, method, path string, status int, serve func(context.Context, *In, ...func(*Options)) (*Out, error)) *operation {
	op := &operation{name: name, method: method, path: path, status: status, limit: bodyLimit{bytes: maxOtherBody, operation: name}}
	for segment := range strings.SplitSeq(path, "/") {
		if label, ok := strings.CutPrefix(segment, "{"); ok {
			op.labels = append(op.labels, strings.TrimSuffix(label, "}"))
		}
	}
	op.serve = func(w http.ResponseWriter, r *http.Request, c *call) error {
		document, err := readJSON(c.body)
		if err != nil {
			return err
		}
		in := new(In)
		v := reflect.ValueOf(in).Elem()
		if err := bind(v, document, ""); err != nil {
			return err
		}
		for i, label := range op.labels {
			v.FieldByName(label).Set(reflect.ValueOf(&c.labels[i]))
		}
		out, err := serve(r.Context(), in)
		if err != nil {
			return namedError(err, c.requestID)
		}
		if status == http.StatusNoContent {
			w.WriteHeader(status)
			return nil
		}
		shown, err := plainJSON(reflect.ValueOf(out).Elem())
		if err != nil {
			return fmt.Errorf("encode the output: %w", err)
		}
		body, err := json.Marshal(shown)
		if err != nil {
			return fmt.Errorf("encode the output: %w", err)
		}
		writeBody(w, status, "application/json", body)
		return nil
	}
	return op
}

// plainJSON returns a value as encoding/json writes it: what is absent is left out, times are text.
func plainJSON(v reflect.Value) (any, error) {
	if t, ok := reflect.TypeAssert[time.Time](v); ok {
		return t.UTC().Format(time.RFC3339), nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		return plainJSON(v.Elem())
	case reflect.Struct:
		members := map[string]any{}
		for i := range v.NumField() {
			field, value := v.Type().Field(i), v.Field(i)
			absent := (value.Kind() == reflect.Pointer || value.Kind() == reflect.Slice || value.Kind() == reflect.Map) && value.IsNil() ||
				value.Kind() == reflect.String && value.Len() == 0
			if !field.IsExported() || field.Name == "ResultMetadata" || absent {
				continue
			}
			member, err := plainJSON(value)
			if err != nil {
				return nil, err
			}
			members[strings.ToLower(field.Name[:1])+field.Name[1:]] = member
		}
		return members, nil
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			element, err := plainJSON(v.Index(i))
			if err != nil {
				return nil, err
			}
			list[i] = element
		}
		return list, nil
	case reflect.Map:
		members := map[string]any{}
		for key, value := range v.Seq2() {
			member, err := plainJSON(value)
			if err != nil {
				return nil, err
			}
			members[key.String()] = member
		}
		return members, nil
	case reflect.String, reflect.Bool, reflect.Int32, reflect.Int64, reflect.Float64:
		return v.Interface(), nil
	default:
		return nil, fmt.Errorf("no way to write a %s", v.Type())
	}
}
