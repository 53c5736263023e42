package cli

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/spf13/cobra"

	"serin/internal/api"
	"serin/internal/server"
)

const (
	defaultRegion  = "us-east-1"
	defaultAccount = "000000000000"
)

// place is where a command finds its server.
type place struct{ endpoint, region, data string }

func (p *place) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.endpoint, "endpoint", "", "URL of the server (default $AWS_ENDPOINT_URL, then the server that runs on this machine)")
	cmd.Flags().StringVar(&p.region, "region", "", "region of the server (default $AWS_REGION)")
	cmd.Flags().StringVar(&p.data, "data", "", "data directory of the server that runs on this machine")
}

// connection is a server and the right to ask it.
type connection struct {
	api      *api.Client
	lambda   *lambda.Client
	endpoint string
	region   string
	account  string
	keys     aws.Credentials
}

// connect finds the server: --endpoint, then --data, then the AWS environment variables, then the server that
// uses the default data directory now. An endpoint without credentials in the environment takes those of the
// server on this machine, if it is that server.
func (a *app) connect(p place) (*connection, error) {
	conn, err := a.dial(p)
	if err == nil {
		conn.actFor(actorOf(a.Getenv))
	}
	return conn, err
}

func (a *app) dial(p place) (*connection, error) {
	keys := aws.Credentials{
		AccessKeyID: a.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: a.Getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken: a.Getenv("AWS_SESSION_TOKEN"),
	}
	endpoint := p.endpoint
	if endpoint == "" && p.data == "" {
		endpoint = a.Getenv("AWS_ENDPOINT_URL")
	}
	region := cmp.Or(p.region, a.Getenv("AWS_REGION"), a.Getenv("AWS_DEFAULT_REGION"))
	if endpoint != "" && keys.HasKeys() {
		return newConnection(endpoint, cmp.Or(region, defaultRegion), defaultAccount, keys), nil
	}
	data := cmp.Or(p.data, server.DefaultData(a.Getenv))
	local, err := server.Running(data)
	switch {
	case endpoint != "" && (err != nil || local.Endpoint != strings.TrimSuffix(endpoint, "/")):
		return nil, exitf(exitDenied, "no credentials for %s: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or on the server's machine: eval \"$(serin env)\"", endpoint)
	case err != nil:
		return nil, err
	}
	keys = aws.Credentials{AccessKeyID: local.AccessKeyID, SecretAccessKey: local.SecretAccessKey}
	return newConnection(local.Endpoint, cmp.Or(p.region, local.Region), local.Account, keys), nil
}

func newConnection(endpoint, region, account string, keys aws.Credentials) *connection {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = maxInFlight
	return &connection{
		api: api.NewClient(endpoint, region, keys.AccessKeyID, keys.SecretAccessKey),
		lambda: lambda.New(lambda.Options{
			Region: region, BaseEndpoint: &endpoint, HTTPClient: &http.Client{Transport: transport},
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil }),
		}),
		endpoint: endpoint, region: region, account: account, keys: keys,
	}
}

// environment returns the variables that make AWS tools use this server.
func (c *connection) environment() []string {
	return environment(server.Ready{
		Endpoint: c.endpoint, Region: c.region, AccessKeyID: c.keys.AccessKeyID, SecretAccessKey: c.keys.SecretAccessKey,
	})
}

func environment(r server.Ready) []string {
	return []string{
		"AWS_ENDPOINT_URL=" + r.Endpoint,
		"AWS_ACCESS_KEY_ID=" + r.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY=" + r.SecretAccessKey,
		"AWS_REGION=" + r.Region,
		"AWS_DEFAULT_REGION=" + r.Region,
	}
}
