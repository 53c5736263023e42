// Command gofn is a function of the tests: a bootstrap on aws-lambda-go that answers function URLs and plain events, or
// misbehaves as the environment variable MISCHIEF says.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// outOfStock is an error with a type of its own.
type outOfStock struct{ Article string }

func (e *outOfStock) Error() string { return e.Article + " is out of stock" }

func handle(ctx context.Context, event json.RawMessage) (any, error) {
	var request events.LambdaFunctionURLRequest
	if err := json.Unmarshal(event, &request); err == nil && request.Version == "2.0" {
		return page(ctx, request)
	}
	var order struct{ Article string }
	if err := json.Unmarshal(event, &order); err != nil {
		return nil, fmt.Errorf("read order: %w", err)
	}
	switch order.Article {
	case "gone":
		return nil, &outOfStock{order.Article}
	case "panic":
		panic("dropped it")
	}
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return map[string]any{
		"article": order.Article, "requestId": lc.AwsRequestID, "version": lambdacontext.FunctionVersion,
		"memory": lambdacontext.MemoryLimitInMB, "inTime": time.Until(deadline) > 0,
	}, nil
}

func page(_ context.Context, r events.LambdaFunctionURLRequest) (events.LambdaFunctionURLResponse, error) {
	body, err := json.Marshal(map[string]any{
		"method": r.RequestContext.HTTP.Method, "path": r.RawPath, "query": r.QueryStringParameters, "cookies": r.Cookies, "body": r.Body,
	})
	return events.LambdaFunctionURLResponse{
		StatusCode: 201, Headers: map[string]string{"content-type": "application/json", "x-version": os.Getenv("AWS_LAMBDA_FUNCTION_VERSION")},
		Cookies: []string{"first=1", "second=2"}, Body: string(body),
	}, err
}

// misbehave is a handler that does what functions should not do.
func misbehave(kind string) func(context.Context) (any, error) {
	return func(context.Context) (any, error) {
		switch kind {
		case "large":
			return strings.Repeat("x", 6<<20+99), nil
		case "text":
			return strings.NewReader("plain text"), nil
		case "sigterm":
			signal.Ignore(syscall.SIGTERM)
			time.Sleep(time.Hour)
		case "print":
			chunk := bytes.Repeat([]byte(strings.Repeat("p", 65535)+"\n"), 16)
			for range 64 {
				if _, err := os.Stdout.Write(chunk); err != nil {
					return nil, err
				}
			}
			return "printed", nil
		}
		return nil, fmt.Errorf("%q is no mischief", kind)
	}
}

func main() {
	switch kind := os.Getenv("MISCHIEF"); kind {
	case "":
		lambda.Start(handle)
	case "init":
		time.Sleep(time.Hour)
	default:
		lambda.Start(misbehave(kind))
	}
}
