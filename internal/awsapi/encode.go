package awsapi

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/lambda/schemas"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/restjson1"
)

// alwaysWritten lists members that AWS writes even if they are zero or empty, which an output's own
// Serialize cannot tell from absent and leaves out. Clients that index the reply (boto3) rely on them.
var alwaysWritten = map[smithy.ShapeID][]*smithy.Schema{
	schemas.AccountUsage.ID():                              {schemas.AccountUsage_TotalCodeSize, schemas.AccountUsage_FunctionCount},
	schemas.ListAliasesResponse.ID():                       {schemas.ListAliasesResponse_Aliases},
	schemas.ListFunctionEventInvokeConfigsResponse.ID():    {schemas.ListFunctionEventInvokeConfigsResponse_FunctionEventInvokeConfigs},
	schemas.ListFunctionUrlConfigsResponse.ID():            {schemas.ListFunctionUrlConfigsResponse_FunctionUrlConfigs},
	schemas.ListFunctionsResponse.ID():                     {schemas.ListFunctionsResponse_Functions},
	schemas.ListLayerVersionsResponse.ID():                 {schemas.ListLayerVersionsResponse_LayerVersions},
	schemas.ListLayersResponse.ID():                        {schemas.ListLayersResponse_Layers},
	schemas.ListProvisionedConcurrencyConfigsResponse.ID(): {schemas.ListProvisionedConcurrencyConfigsResponse_ProvisionedConcurrencyConfigs},
	schemas.ListTagsResponse.ID():                          {schemas.ListTagsResponse_Tags},
	schemas.ListVersionsByFunctionResponse.ID():            {schemas.ListVersionsByFunctionResponse_Versions},
}

// encoder writes the output of one operation. The SDK has a serializer for requests only; an output is
// passed through it as if it were the input of an operation without a path.
type encoder struct {
	protocol *restjson1.Protocol
	schema   *smithy.OperationSchema
}

func newEncoder(output *smithy.Schema) encoder {
	reply := smithy.NewSchema(smithy.ShapeID{Namespace: "serin", Name: "Reply"}, smithy.ShapeTypeOperation, 0,
		&traits.HTTP{Method: http.MethodPost, URI: "/", Code: http.StatusOK})
	return encoder{protocol: restjson1.New(nil), schema: smithy.NewOperationSchema(reply, output, nil)}
}

// write answers with the output and the status, unless the output carries a status of its own.
func (e encoder) write(ctx context.Context, w http.ResponseWriter, status int, out smithy.Serializable) error {
	carrier := &smithyhttp.Request{Request: &http.Request{URL: &url.URL{}, Header: http.Header{}}}
	captured := &statusCapture{output: out, status: status}
	if err := e.protocol.SerializeRequest(ctx, e.schema, captured, carrier); err != nil {
		return fmt.Errorf("encode the output: %w", err)
	}
	maps.Copy(w.Header(), carrier.Header)
	if captured.status == http.StatusNoContent {
		w.Header().Del("Content-Type")
		w.WriteHeader(captured.status)
		return nil
	}
	var body []byte
	if stream := carrier.GetStream(); stream != nil {
		var err error
		if body, err = io.ReadAll(stream); err != nil {
			return fmt.Errorf("encode the output: %w", err)
		}
	}
	writeBody(w, captured.status, "application/json", body)
	return nil
}

// statusCapture serializes an output as AWS writes it.
type statusCapture struct {
	output smithy.Serializable
	status int
}

// Serialize implements [smithy.Serializable].
func (c *statusCapture) Serialize(s smithy.ShapeSerializer) {
	c.output.Serialize(&outputSerializer{ShapeSerializer: s, status: &c.status})
}

// outputSerializer corrects the places where an output differs from an input: the member that is the status of the
// reply, and the members that are always written. It sorts the entries of maps.
type outputSerializer struct {
	smithy.ShapeSerializer

	status *int
	due    [][]*smithy.Schema // for each open structure, the members that are still to be written

	entries []mapEntry // of the innermost open map
}

// WriteInt32 implements [smithy.ShapeSerializer].
func (s *outputSerializer) WriteInt32(schema *smithy.Schema, v int32) {
	if _, ok := smithy.SchemaTrait[*traits.HTTPResponseCode](schema); ok {
		*s.status = int(v)
		return
	}
	s.ShapeSerializer.WriteInt32(schema, v)
}

// WriteInt64 implements [smithy.ShapeSerializer].
func (s *outputSerializer) WriteInt64(schema *smithy.Schema, v int64) {
	s.written(schema)
	s.ShapeSerializer.WriteInt64(schema, v)
}

// WriteList implements [smithy.ShapeSerializer].
func (s *outputSerializer) WriteList(schema *smithy.Schema) {
	s.written(schema)
	s.flush()
	s.ShapeSerializer.WriteList(schema)
}

// WriteMap implements [smithy.ShapeSerializer].
func (s *outputSerializer) WriteMap(schema *smithy.Schema) {
	s.written(schema)
	s.flush()
	s.ShapeSerializer.WriteMap(schema)
}

// WriteStruct implements [smithy.ShapeSerializer].
func (s *outputSerializer) WriteStruct(schema *smithy.Schema) {
	id := schema.TargetID()
	if id == (smithy.ShapeID{}) {
		id = schema.ID()
	}
	s.due = append(s.due, slices.Clone(alwaysWritten[id]))
	s.flush()
	s.ShapeSerializer.WriteStruct(schema)
}

// CloseStruct implements [smithy.ShapeSerializer].
func (s *outputSerializer) CloseStruct() {
	last := len(s.due) - 1
	for _, member := range s.due[last] {
		switch member.Type() {
		case smithy.ShapeTypeLong:
			s.ShapeSerializer.WriteInt64(member, 0)
		case smithy.ShapeTypeList:
			s.ShapeSerializer.WriteList(member)
			s.CloseList()
		case smithy.ShapeTypeMap:
			s.ShapeSerializer.WriteMap(member)
			s.CloseMap()
		default:
			panic("awsapi: no zero value for member " + member.MemberName())
		}
	}
	s.due = s.due[:last]
	s.ShapeSerializer.CloseStruct()
}

func (s *outputSerializer) written(schema *smithy.Schema) {
	if last := len(s.due) - 1; last >= 0 && len(s.due[last]) > 0 {
		s.due[last] = slices.DeleteFunc(s.due[last], func(m *smithy.Schema) bool { return m == schema })
	}
}
