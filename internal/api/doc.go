// Package api is Serin's own HTTP interface, under /serin/v1/: what the AWS APIs have no words for, which
// is releases, rollbacks, the alias history and what each version is doing. It holds the documents, the
// handlers and the client that the command line uses. Requests are signed like those to AWS; errors have
// the form of Lambda's.
package api

// Service is the service name in the credential scope of signed requests.
const Service = "serin"

// Prefix is the path under which the API lives.
const Prefix = "/serin/v1/"
