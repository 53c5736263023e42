// Command awsgo is a function that the tests run: a bootstrap built with aws-lambda-go whose event says what to do.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do   string          `json:"do"`
	N    int             `json:"n"`
	Echo json.RawMessage `json:"echo"`
}

// failing is a response that breaks off.
type failing struct{ sent bool }

func (r *failing) Read(p []byte) (int, error) {
	if r.sent {
		return 0, errors.New("broke off")
	}
	r.sent = true
	return copy(p, `"part of`), nil
}

func handle(ctx context.Context, e event) (any, error) {
	switch e.Do {
	case "echo":
		return e.Echo, nil
	case "error":
		return nil, errors.New("went wrong")
	case "panic":
		panic("lost it")
	case "exit":
		os.Exit(e.N)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.Signal(e.N))
		time.Sleep(time.Minute) // it takes a moment
	case "sleep":
		time.Sleep(time.Duration(e.N) * time.Millisecond)
	case "big":
		return strings.Repeat("x", e.N), nil
	case "breakoff":
		return &failing{}, nil
	case "reader":
		return io.MultiReader(strings.NewReader("one "), strings.NewReader("two ")), nil
	case "http":
		return &events.LambdaFunctionURLStreamingResponse{
			StatusCode: e.N, Headers: map[string]string{"X-A": "b"}, Cookies: []string{"c=d"}, Body: strings.NewReader("body"),
		}, nil
	case "print":
		line := strings.Repeat("p", 99) + "\n"
		for range e.N {
			fmt.Print(line)
		}
		fmt.Fprint(os.Stderr, "no newline")
	case "context":
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		return map[string]any{
			"requestId": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "client": lc.ClientContext,
			"identity": lc.Identity, "remaining": time.Until(deadline).Milliseconds(), "trace": os.Getenv("_X_AMZN_TRACE_ID"),
			"env": os.Environ(), "pid": os.Getpid(), "files": openFiles(),
		}, nil
	}
	return nil, nil
}

// openFiles returns what the descriptors of the process refer to.
func openFiles() []string {
	links, _ := filepath.Glob("/proc/self/fd/*")
	names := []string{}
	for _, link := range links {
		if name, err := os.Readlink(link); err == nil {
			names = append(names, name)
		}
	}
	return names
}

func main() {
	if os.Getenv("SIGTERM") != "" {
		lambda.StartWithOptions(handle, lambda.WithEnableSIGTERM(func() { fmt.Println("SIGTERM") }))
		return
	}
	lambda.Start(handle)
}
