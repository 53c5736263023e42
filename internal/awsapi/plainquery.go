package awsapi

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/aws/smithy-go"
)

// Some services of the query protocol have no schemas in the SDK. Their outputs are written by the names of their fields, which are
// those of the wire, as inputs are read.

// newPlainService makes a service of the query protocol without schemas.
func newPlainService(signing, version, namespace string) *service {
	s := &service{signing: signing, version: version, namespace: namespace, operations: map[string]*rpcOperation{}}
	s.encoders = map[protocol]func(context.Context, *rpcOperation, smithy.Serializable) ([]byte, error){awsQuery: encodePlain}
	return s
}

// plainRPC adds an operation that a method with the signature of the SDK client serves.
func plainRPC[In, Out, Options any](s *service, name string, method func(context.Context, *In, ...func(*Options)) (*Out, error)) {
	s.operations[name] = &rpcOperation{name: name, serve: func(ctx context.Context, document any) (smithy.Serializable, error) {
		in := new(In)
		if err := bind(reflect.ValueOf(in).Elem(), document, ""); err != nil {
			return nil, err
		}
		out, err := method(ctx, in)
		return plainOutput{out}, err
	}}
}

// plainOutput is an output without a schema.
type plainOutput struct{ document any }

// Serialize implements [smithy.Serializable]; the encoder looks inside instead.
func (plainOutput) Serialize(smithy.ShapeSerializer) {}

func encodePlain(_ context.Context, op *rpcOperation, out smithy.Serializable) ([]byte, error) {
	plain, ok := out.(plainOutput)
	if !ok {
		return nil, fmt.Errorf("the output of %s has a schema", op.name)
	}
	var b bytes.Buffer
	v := reflect.ValueOf(plain.document)
	if err := writePlain(&b, op.name+"Output", v); err != nil {
		return nil, fmt.Errorf("encode the output: %w", err)
	}
	return b.Bytes(), nil // also an empty one: some clients look for the element of the result
}

// writePlain writes a value as an element; what is absent is left out.
func writePlain(b *bytes.Buffer, name string, v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.IsNil() || v.Kind() == reflect.String && v.Type().Name() != "string" && v.Len() == 0 {
		return nil // an enumeration has no empty value
	}
	b.WriteString("<" + name + ">")
	if err := writePlainContent(b, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b.WriteString("</" + name + ">")
	return nil
}

func writePlainContent(b *bytes.Buffer, v reflect.Value) error {
	if t, ok := reflect.TypeAssert[time.Time](v); ok {
		b.WriteString(t.UTC().Format("2006-01-02T15:04:05.999Z"))
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() || field.Name == "ResultMetadata" {
				continue
			}
			if err := writePlain(b, field.Name, v.Field(i)); err != nil {
				return err
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if err := writePlain(b, "member", v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		for _, key := range slices.SortedFunc(slices.Values(v.MapKeys()), func(x, y reflect.Value) int { return bytes.Compare([]byte(x.String()), []byte(y.String())) }) {
			b.WriteString("<entry><key>")
			_ = xml.EscapeText(b, []byte(key.String())) // a buffer takes every write
			b.WriteString("</key>")
			if err := writePlain(b, "value", v.MapIndex(key)); err != nil {
				return err
			}
			b.WriteString("</entry>")
		}
	case reflect.String:
		return xml.EscapeText(b, []byte(v.String()))
	case reflect.Bool:
		b.WriteString(strconv.FormatBool(v.Bool()))
	case reflect.Int32, reflect.Int64:
		b.WriteString(strconv.FormatInt(v.Int(), 10))
	case reflect.Float64:
		b.WriteString(strconv.FormatFloat(v.Float(), 'g', -1, 64))
	default:
		return fmt.Errorf("no way to write a %s", v.Type())
	}
	return nil
}
