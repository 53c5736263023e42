package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin/internal/server"
)

// streamer is a function that writes as many bytes as the path of the request says, or, for a rest, a byte and
// then the rest after a while.
const streamer = `
import time
def handler(event, context):
    n = int(event["rawPath"][1:])
    if n < 2:
        yield b"x"
        time.sleep(0.02)
        yield b"x"
        return
    block = b"x" * (1 << 16)
    for _ in range(n >> 16):
        yield block
`

// benchStream returns the function URL of a streamer.
func benchStream(b *testing.B) string {
	b.Helper()
	r := start(b, func(c *server.Config) { c.Auth = server.AuthNone })
	r.create(b, "bench", streamer, 0)
	_, err := r.UpdateFunctionConfiguration(b.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("bench"), Timeout: aws.Int32(60), MemorySize: aws.Int32(1769)})
	must(b, err)
	url := r.url(b, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("bench"), AuthType: types.FunctionUrlAuthTypeNone, InvokeMode: types.InvokeModeResponseStream})
	r.open(b, "bench", nil)
	return byPath(r, url)
}

func benchGet(b *testing.B, url string) *http.Response {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, http.NoBody)
	must(b, err)
	resp, err := http.DefaultClient.Do(req)
	must(b, err)
	return resp
}

// BenchmarkStreamFirstByte is the time from a request to a function URL to the first byte of a response that takes
// 20 ms more to be complete. The function is warm.
func BenchmarkStreamFirstByte(b *testing.B) {
	url := benchStream(b)
	var first, last []float64
	for b.Loop() {
		began := time.Now()
		resp := benchGet(b, url+"1")
		_, err := io.ReadFull(resp.Body, make([]byte, 1))
		must(b, err)
		first = append(first, float64(time.Since(began).Microseconds()))
		_, err = io.Copy(io.Discard, resp.Body)
		must(b, err)
		resp.Body.Close()
		last = append(last, float64(time.Since(began).Microseconds()))
	}
	slices.Sort(first)
	slices.Sort(last)
	b.ReportMetric(first[len(first)/2], "first-byte-p50-µs")
	b.ReportMetric(first[(len(first)-1)*99/100], "first-byte-p99-µs")
	b.ReportMetric(last[len(last)/2], "last-byte-p50-µs")
	b.ReportMetric(0, "ns/op") // mostly the function's sleep
}

// BenchmarkStream100MB is the throughput of a response of 100 MiB through a function URL, beside the floor: the same
// bytes in the same pieces from one loopback connection to another, without HTTP.
func BenchmarkStream100MB(b *testing.B) {
	const size = 100 << 20
	b.Run("serin", func(b *testing.B) {
		url := benchStream(b)
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			resp := benchGet(b, url+"104857600")
			if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size {
				b.Fatalf("%d bytes, %v", n, err)
			}
			resp.Body.Close()
		}
	})
	b.Run("floor", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			copyThroughLoopback(b, size)
		}
	})
}

func copyThroughLoopback(b *testing.B, size int64) {
	b.Helper()
	listener, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	must(b, err)
	defer listener.Close()
	dial := func() (near, far net.Conn) {
		near, err := new(net.Dialer).DialContext(b.Context(), "tcp", listener.Addr().String())
		must(b, err)
		far, err = listener.Accept()
		must(b, err)
		return near, far
	}
	function, in := dial()
	out, caller := dial()
	go func() {
		block := make([]byte, 1<<16)
		for range size >> 16 {
			if _, err := function.Write(block); err != nil {
				b.Error(err)
			}
		}
		function.Close()
	}()
	go func() {
		piece := make([]byte, 32<<10)
		for {
			n, err := in.Read(piece)
			if err != nil {
				out.Close()
				return
			}
			if _, err := out.Write(piece[:n]); err != nil {
				b.Error(err)
			}
		}
	}()
	if n, err := io.Copy(io.Discard, bufio.NewReader(caller)); err != nil || n != size {
		b.Fatalf("%d bytes, %v", n, err)
	}
}
