package cli

import "testing"

func TestSecretNames(t *testing.T) {
	for _, name := range []string{
		"SECRET", "API_KEY", "apiKey", "stripe-key", "DB_PASSWORD", "dbPassword", "PGPASS_WORD_PASS", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY",
		"SENTRY_DSN", "BasicAuth", "PRIVATE_KEY_PEM", "SLACK_WEBHOOK_URL", "MYAPIKEY", "client_secret",
	} {
		if !secretName(name) {
			t.Errorf("%s is shown", name)
		}
	}
	for _, name := range []string{"TABLE_NAME", "AUTHOR", "KEYBOARD", "MONKEY", "LOG_LEVEL", "PINECONE_INDEX", "PASSENGERS", "REGION", "BUCKET", ""} {
		if secretName(name) {
			t.Errorf("%s is hidden", name)
		}
	}
}

func TestSecretValues(t *testing.T) {
	for _, value := range []string{
		"postgres://app:hunter2@db/shop", "-----BEGIN PRIVATE KEY-----\nMII", "AKIAIOSFODNN7EXAMPLE", "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
		"eyJhbGciOiJIUzI1NiJ9.e30.x", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1", "5f4dcc3b5aa765d61d8327deb882cf99",
	} {
		if !secretValue(value) {
			t.Errorf("%s is shown", value)
		}
	}
	for _, value := range []string{
		"", "debug", "https://example.com/path?x=1", "orders-table", "arn:aws:sqs:us-east-1:000000000000:orders-dead-letters", "8080",
		"a sentence that is long enough, with 1 digit", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", "/var/task/lib/python3.12/site-packages",
	} {
		if secretValue(value) {
			t.Errorf("%s is hidden", value)
		}
	}
}
