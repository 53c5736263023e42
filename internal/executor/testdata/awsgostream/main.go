// Command awsgostream is a function that the tests run: it streams the response to a request to its function URL.
package main

import (
	"io"
	"net/http"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func handle(*events.LambdaFunctionURLRequest) (*events.LambdaFunctionURLStreamingResponse, error) {
	body, w := io.Pipe()
	go func() {
		for _, piece := range []string{"first ", "last"} {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
		}
		_ = w.Close() // never fails
	}()
	return &events.LambdaFunctionURLStreamingResponse{
		StatusCode: http.StatusCreated, Headers: map[string]string{"Content-Type": "text/plain"}, Cookies: []string{"a=b"}, Body: body,
	}, nil
}

func main() { lambda.Start(handle) }
