// Command gomin is a function that the benchmarks run: a bootstrap that does the least that the Runtime API asks for,
// and returns its event.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
)

func main() {
	c, err := net.Dial("tcp", os.Getenv("AWS_LAMBDA_RUNTIME_API"))
	if err != nil {
		panic(err)
	}
	r := bufio.NewReader(c)
	for {
		if _, err := io.WriteString(c, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			panic(err)
		}
		id, body := read(r)
		var out bytes.Buffer
		fmt.Fprintf(&out, "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", id, len(body))
		out.Write(body)
		if _, err := c.Write(out.Bytes()); err != nil {
			panic(err)
		}
		read(r)
	}
}

// read reads a reply and returns the request id and the body.
func read(r *bufio.Reader) (id string, body []byte) {
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			os.Exit(0)
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ": ")
		switch strings.ToLower(name) {
		case "content-length":
			length, _ = strconv.Atoi(value)
		case "lambda-runtime-aws-request-id":
			id = value
		}
	}
	body = make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		os.Exit(0)
	}
	return id, body
}
