package awsapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"

	"serin"
)

// operation is one operation of the service: how a request is recognised and how it is served.
type operation struct {
	name      string
	method    string
	path      string     // as in the model, without its query: /2015-03-31/functions/{FunctionName}
	selectors url.Values // query parameters that tell operations of one path apart
	labels    []string   // member names in the order of the path
	status    int        // on success
	limit     bodyLimit
	serve     func(w http.ResponseWriter, r *http.Request, c *call) error
}

// call is one request to an operation, authenticated and read.
type call struct {
	labels    labels
	query     url.Values
	body      []byte
	requestID string
}

// newOperation reads what the schema of an operation says about HTTP.
func newOperation(schema *smithy.Schema) *operation {
	http, ok := smithy.SchemaTrait[*traits.HTTP](schema)
	if !ok {
		panic("awsapi: no HTTP binding in the schema of " + schema.ID().Name)
	}
	path, rawQuery, _ := strings.Cut(http.URI, "?")
	selectors, err := url.ParseQuery(rawQuery)
	if err != nil {
		panic(fmt.Sprintf("awsapi: the path of %s: %v", schema.ID().Name, err))
	}
	op := &operation{
		name: schema.ID().Name, method: http.Method, path: path,
		selectors: selectors, status: http.Code, limit: limitOf(schema.ID().Name),
	}
	for segment := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			op.labels = append(op.labels, strings.TrimSuffix(name, "}"))
		}
	}
	if len(op.labels) > maxLabels {
		panic("awsapi: too many labels in the path of " + op.name)
	}
	return op
}

// selectedBy reports whether the query holds every constant that the operation's path asks for.
func (op *operation) selectedBy(query url.Values) bool {
	for name := range op.selectors {
		if query.Get(name) != op.selectors.Get(name) {
			return false
		}
	}
	return true
}

// served makes an operation that a method with the signature of the SDK client serves.
func served[In, Out any, Output interface {
	*Out
	smithy.Serializable
}](schema, input, output *smithy.Schema, method func(context.Context, *In, ...func(*lambda.Options)) (*Out, error),
) *operation {
	op := newOperation(schema)
	decode := newDecoder[In](input, op.labels)
	encode := newEncoder(output)
	op.serve = func(w http.ResponseWriter, r *http.Request, c *call) error {
		in := new(In)
		if err := decode.decode(in, r.Header, c); err != nil {
			return err
		}
		out, err := method(r.Context(), in)
		if err != nil {
			return err
		}
		return encode.write(r.Context(), w, op.status, Output(out))
	}
	return op
}

// withStatus overrides the success code of the model where the service answers with another one.
func (op *operation) withStatus(status int) *operation {
	op.status = status
	return op
}

// notImplemented makes an operation that is known and refused.
func notImplemented(schema *smithy.Schema) *operation {
	op := newOperation(schema)
	op.serve = func(http.ResponseWriter, *http.Request, *call) error {
		return serin.Errorf(serin.KindNotImplemented, "Serin does not have the operation %s of AWS Lambda.", op.name)
	}
	return op
}
