package server

import (
	"net"
	"strings"
	"time"

	"github.com/google/uuid"

	"serin"
	"serin/internal/awsapi"
	"serin/internal/functionurl"
)

// functionURL returns the address of a function URL. Names below localhost lead to this machine wherever they
// are resolved as RFC 6761 asks for.
func (s *server) functionURL(id string) string {
	_, port, err := net.SplitHostPort(s.Listen)
	if err != nil { // has been checked at the start
		port = "80"
	}
	return "http://" + id + ".lambda-url." + s.Region + ".localhost:" + port + "/"
}

// functionURLs serves what functionURL gives addresses to.
func (s *server) functionURLs() *functionurl.Handler {
	return functionurl.New(functionurl.Config{
		Place: serin.Place{Region: s.Region, Account: s.Account}, Find: s.table.URL, Invoke: s.invoker.Invoke,
		Authenticate: s.auth.Authenticate, Unauthenticated: awsapi.WriteError, Anonymous: awsapi.Anonymous,
		Now: time.Now, NewID: uuid.NewString, Log: s.Log, APIs: s.supporting.apis, Function: s.table.Function,
	})
}

// apiEndpoint returns the address of an HTTP API.
func (s *server) apiEndpoint(id string) string {
	return strings.Replace(s.functionURL(id), ".lambda-url.", ".execute-api.", 1)
}
