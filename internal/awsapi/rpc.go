package awsapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
	"github.com/aws/smithy-go/transport/http/protocol/restxml"
	"github.com/aws/smithy-go/transport/http/protocol/rpcv2"

	"serin"
)

// service is an AWS service whose requests name their operation rather than a method and a path. It speaks three
// protocols: awsQuery, awsJson and rpc-v2-cbor.
type service struct {
	shape      string // what requests name it by: GraniteServiceVersion20100801
	signing    string // in the scope of signatures: monitoring
	version    string // of its query protocol: 2010-08-01
	namespace  string // of its XML
	json       string // the content type of its answers in awsJson
	operations map[string]*rpcOperation
	// wireError returns an error of the service as its callers read it.
	wireError func(err error, requestID string) *wireError
	encoders  map[protocol]func(context.Context, *rpcOperation, smithy.Serializable) ([]byte, error)
}

// rpcOperation is an operation of a service.
type rpcOperation struct {
	name   string
	output *smithy.OperationSchema
	serve  func(context.Context, any) (smithy.Serializable, error)
}

// newService makes a service of the schema of one.
func newService(schema *smithy.ServiceSchema, signing, version, namespace string) *service {
	s := &service{
		shape: schema.Schema.ID().Name, signing: signing, version: version, namespace: namespace, operations: map[string]*rpcOperation{},
		json: "application/x-amz-json-1.0",
	}
	// The SDK has serializers for requests only; an output passes through them as if it were an input.
	s.encoders = map[protocol]func(context.Context, *rpcOperation, smithy.Serializable) ([]byte, error){
		awsJSON10: encodeBy(awsjson.New10(schema), []byte("{}")),
		rpcCBOR:   encodeBy(rpcv2.NewCBOR(schema), []byte{0xa0}),
		awsQuery:  encodeBy(restxml.New(schema), nil),
	}
	return s
}

// rpc adds an operation that a method with the signature of the SDK client serves.
func rpc[In, Out, Options any, Output interface {
	*Out
	smithy.Serializable
}](s *service, operation, output *smithy.Schema, method func(context.Context, *In, ...func(*Options)) (*Out, error),
) {
	reply := smithy.NewSchema(smithy.ShapeID{Namespace: "serin", Name: operation.ID().Name}, smithy.ShapeTypeOperation, 0,
		&traits.HTTP{Method: http.MethodPost, URI: "/", Code: http.StatusOK})
	s.operations[operation.ID().Name] = &rpcOperation{
		name: operation.ID().Name, output: smithy.NewOperationSchema(reply, output, nil),
		serve: func(ctx context.Context, document any) (smithy.Serializable, error) {
			in := new(In)
			if err := bind(reflect.ValueOf(in).Elem(), document, ""); err != nil {
				return nil, err
			}
			out, err := method(ctx, in)
			if err != nil {
				return nil, err
			}
			return Output(out), nil
		},
	}
}

// encodeBy makes an encoder of one of the SDK's protocols. empty is the body of an output without members.
func encodeBy(p interface {
	SerializeRequest(context.Context, *smithy.OperationSchema, smithy.Serializable, *smithyhttp.Request) error
}, empty []byte,
) func(context.Context, *rpcOperation, smithy.Serializable) ([]byte, error) {
	return func(ctx context.Context, op *rpcOperation, out smithy.Serializable) ([]byte, error) {
		if op.output.Input == nil {
			return empty, nil
		}
		carrier := &smithyhttp.Request{Request: &http.Request{URL: &url.URL{}, Header: http.Header{}}}
		if err := p.SerializeRequest(ctx, op.output, out, carrier); err != nil {
			return nil, fmt.Errorf("encode the output: %w", err)
		}
		stream := carrier.GetStream()
		if stream == nil {
			return empty, nil
		}
		return io.ReadAll(stream)
	}
}

// serviceOf returns the service that a request names in its header or path, or by the scope of its signature, and nil
// if there is none. A form may name one by its version, which [API.serviceOfForm] knows.
func (a *API) serviceOf(r *http.Request, p protocol, query url.Values) *service {
	for _, s := range a.services {
		if s.shape == "" && p != awsQuery {
			continue // speaks no other protocol
		}
		switch p {
		case awsJSON10, awsJSON11:
			if name, _, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); name == s.shape {
				return s
			}
		case rpcCBOR:
			if strings.HasPrefix(r.URL.Path, "/service/"+s.shape+"/operation/") {
				return s
			}
		case awsQuery:
			if signedService(r, query) == s.signing {
				return s
			}
		case restJSON:
		}
	}
	return nil
}

// serviceOfForm returns the service of a form without a signature, by the version that it names.
func (a *API) serviceOfForm(form url.Values) *service {
	for _, s := range a.services {
		if form.Get("Version") == s.version {
			return s
		}
	}
	return nil
}

// serveRPC serves a request of any protocol that is not Lambda's. Its body has been authenticated.
func (a *API) serveRPC(w http.ResponseWriter, r *http.Request, proto protocol, c *call) error {
	s := a.serviceOf(r, proto, c.query)
	if s == nil && proto == awsQuery {
		form, err := url.ParseQuery(string(c.body))
		if err != nil {
			return malformed("the form is malformed")
		}
		s = a.serviceOfForm(form)
	}
	if s == nil {
		return proto.notImplemented(r, c.query, c.body)
	}
	if proto == awsJSON11 {
		proto = awsJSON10 // told apart by the type of the body, which some clients get wrong
	}
	if s.encoders[proto] == nil {
		return proto.notImplemented(r, c.query, c.body)
	}
	out, op, err := s.serve(r, proto, c)
	if err != nil {
		return s.wireError(err, c.requestID)
	}
	body, err := s.encoders[proto](r.Context(), op, out)
	if err != nil {
		return s.wireError(err, c.requestID)
	}
	s.reply(w, proto, op, body, c.requestID)
	return nil
}

func (s *service) serve(r *http.Request, proto protocol, c *call) (smithy.Serializable, *rpcOperation, error) {
	body, err := unpacked(r, c.body)
	if err != nil {
		return nil, nil, err
	}
	name, document, err := readRPC(r, proto, c.query, body)
	if err != nil {
		return nil, nil, err
	}
	op, ok := s.operations[name]
	if !ok {
		return nil, nil, serin.Errorf(serin.KindNotImplemented, "Serin does not have the operation %s of the service %s.", orDefault(word(name), "(unnamed)"), s.signing)
	}
	out, err := op.serve(r.Context(), document)
	return out, op, err
}

// unpacked returns a body without its compression. What it unpacks to is bounded like a body.
func unpacked(r *http.Request, body []byte) ([]byte, error) {
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
		return body, nil
	case "gzip":
	default:
		return nil, malformed("the content encoding is not gzip")
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, malformed("the body is not in gzip format")
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxOtherBody+1))
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, malformed("the body is not in gzip format")
	case len(plain) > maxOtherBody:
		return nil, bodyLimit{bytes: maxOtherBody}.exceeded()
	default:
		return plain, nil
	}
}

// readRPC returns the operation that a request names and its input as a document of maps, lists and plain values.
func readRPC(r *http.Request, proto protocol, query url.Values, body []byte) (name string, document any, err error) {
	switch proto {
	case rpcCBOR:
		_, name, _ = strings.Cut(r.URL.Path, "/operation/")
		document, err = readCBOR(body)
	case awsQuery:
		form, bad := url.ParseQuery(string(body))
		if bad != nil {
			return "", nil, malformed("the form is malformed")
		}
		if len(body) == 0 {
			form = query
		}
		name = form.Get("Action")
		document, err = readForm(form)
	default:
		_, name, _ = strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		document, err = readJSON(body)
	}
	return name, document, err
}

// reply answers with an output.
func (s *service) reply(w http.ResponseWriter, proto protocol, op *rpcOperation, body []byte, requestID string) {
	switch proto {
	case rpcCBOR:
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
		writeBody(w, http.StatusOK, "application/cbor", body)
	case awsQuery:
		writeBody(w, http.StatusOK, "text/xml", s.envelope(op.name, body, requestID))
	default:
		writeBody(w, http.StatusOK, s.json, body)
	}
}

// envelope puts the XML of an output, whose root is named after its shape, into that of a query reply.
func (s *service) envelope(operation string, output []byte, requestID string) []byte {
	var b bytes.Buffer
	b.WriteString("<" + operation + `Response xmlns="` + s.namespace + `">`)
	if start, end := bytes.IndexByte(output, '>'), bytes.LastIndexByte(output, '<'); start >= 0 && end > start {
		b.WriteString("<" + operation + "Result>")
		b.Write(output[start+1 : end])
		b.WriteString("</" + operation + "Result>")
	}
	b.WriteString("<ResponseMetadata><RequestId>" + requestID + "</RequestId></ResponseMetadata></" + operation + "Response>")
	return b.Bytes()
}

// malformed is the error for a body that cannot be read.
func malformed(why string) error {
	e := frontEndError("SerializationException", http.StatusBadRequest, "The request cannot be read: "+why+".")
	e.queryCode = "MalformedInput"
	return e
}
