package awsapi

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	"github.com/go-json-experiment/json/jsontext"
)

// plainJSONEncoder writes outputs without schemas as JSON whose members begin with a small letter, but for those of the
// types that it holds. What is not set is left out, and times are seconds since 1970.
type plainJSONEncoder []reflect.Type

func (p plainJSONEncoder) encode(_ context.Context, _ *rpcOperation, out smithy.Serializable) ([]byte, error) {
	output, ok := out.(plainOutput)
	if !ok {
		return nil, fmt.Errorf("no way to write a %T", out)
	}
	var b bytes.Buffer
	err := p.write(&b, reflect.ValueOf(output.document))
	return b.Bytes(), err
}

func (p plainJSONEncoder) write(b *bytes.Buffer, v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		b.WriteString(strconv.FormatFloat(float64(v.Interface().(time.Time).UnixMilli())/1000, 'f', -1, 64))
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return p.writeStruct(b, v)
	case reflect.Slice:
		b.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := p.write(b, v.Index(i)); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case reflect.String:
		text, err := jsontext.AppendQuote(nil, strings.ToValidUTF8(v.String(), "\uFFFD"))
		if err != nil {
			return err
		}
		b.Write(text)
	case reflect.Bool:
		b.WriteString(strconv.FormatBool(v.Bool()))
	case reflect.Int32, reflect.Int64:
		b.WriteString(strconv.FormatInt(v.Int(), 10))
	case reflect.Float64:
		b.WriteString(strconv.FormatFloat(v.Float(), 'f', -1, 64))
	default:
		return fmt.Errorf("no way to write a %s", v.Type())
	}
	return nil
}

func (p plainJSONEncoder) writeStruct(b *bytes.Buffer, v reflect.Value) error {
	b.WriteByte('{')
	first, large := true, slices.Contains(p, v.Type())
	for i := range v.NumField() {
		field, member := v.Type().Field(i), v.Field(i)
		enumeration := field.Type.Kind() == reflect.String && member.Len() == 0
		unset := (member.Kind() == reflect.Pointer || member.Kind() == reflect.Slice) && member.IsNil()
		if !field.IsExported() || field.Name == "ResultMetadata" || enumeration || unset {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		name := strings.TrimSuffix(field.Name, "_")
		if !large {
			name = strings.ToLower(name[:1]) + name[1:]
		}
		b.WriteString(strconv.Quote(name))
		b.WriteByte(':')
		if err := p.write(b, member); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}
