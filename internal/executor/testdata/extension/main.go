// Command extension is an external extension that the tests run. The variable EXTENSION says what it does; it prints
// what it sees.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var api = "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2020-01-01/extension/"

type event struct {
	Type      string `json:"eventType"`
	RequestID string `json:"requestId"`
	ARN       string `json:"invokedFunctionArn"`
	Reason    string `json:"shutdownReason"`
	Deadline  int64  `json:"deadlineMs"`
}

// call sends a request and returns the reply.
func call(method, url string, header map[string]string, body string) (*http.Response, []byte) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	data, err := io.ReadAll(reply.Body)
	if err != nil {
		panic(err)
	}
	_ = reply.Body.Close()
	return reply, data
}

func main() {
	mode := os.Getenv("EXTENSION")
	name := filepath.Base(os.Args[0])
	signal.Ignore(syscall.SIGTERM)
	switch mode {
	case "unregistered":
		time.Sleep(time.Hour)
	case "crash":
		os.Exit(3)
	}
	events := os.Getenv("EXTENSION_EVENTS")
	if events == "" {
		events = `"INVOKE","SHUTDOWN"`
	}
	reply, data := call("POST", api+"register", map[string]string{"Lambda-Extension-Name": name}, `{"events":[`+events+`]}`)
	fmt.Printf("%s: register %d %s\n", name, reply.StatusCode, data)
	me := map[string]string{"Lambda-Extension-Identifier": reply.Header.Get("Lambda-Extension-Identifier")}
	if url := os.Getenv("EXTENSION_SUBSCRIBE"); url != "" {
		subscribe(name, url, me)
	}
	if mode == "init error" {
		me["Lambda-Extension-Function-Error-Type"] = "Extension.NoConfig"
		reply, _ := call("POST", api+"init/error", me, `{"errorMessage":"there is no configuration"}`)
		fmt.Printf("%s: init error %d\n", name, reply.StatusCode)
		os.Exit(1)
	}
	for {
		_, data := call("GET", api+"event/next", me, "")
		var e event
		if err := json.Unmarshal(data, &e); err != nil {
			panic(err)
		}
		fmt.Printf("%s: %s %s%s %s %t\n", name, e.Type, e.RequestID, e.Reason, e.ARN, time.UnixMilli(e.Deadline).After(time.Now()))
		switch {
		case mode == "crash on invoke":
			os.Exit(4)
		case mode == "slow":
			time.Sleep(300 * time.Millisecond)
			fmt.Printf("%s: done\n", name)
		case e.Type == "SHUTDOWN" && mode != "deaf":
			if os.Getenv("EXTENSION_SUBSCRIBE") != "" {
				time.Sleep(200 * time.Millisecond) // for what is on its way
			}
			os.Exit(0)
		}
	}
}

// subscribe receives telemetry over HTTP and prints it. What it prints of itself is not printed again.
func subscribe(name, url string, me map[string]string) {
	receiver := &http.Server{Addr: ":4243", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var batch []json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
			fmt.Printf("%s: bad batch: %v\n", name, err)
		}
		for _, event := range batch {
			var line bytes.Buffer
			_ = json.Compact(&line, event)
			fmt.Printf("%s: got %s\n", name, line.Bytes())
		}
	})}
	go func() { panic(receiver.ListenAndServe()) }()
	for {
		reply, err := http.Get("http://127.0.0.1:4243/") // until it listens
		if err == nil {
			_ = reply.Body.Close()
			break
		}
		time.Sleep(time.Millisecond)
	}
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API")
	reply, data := call("PUT", base+url, me, os.Getenv("EXTENSION_SUBSCRIPTION"))
	fmt.Printf("%s: subscribe %d %s\n", name, reply.StatusCode, data)
}
