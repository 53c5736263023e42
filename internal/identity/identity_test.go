package identity

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"serin"
)

func service(key string, now func() time.Time) *Service {
	return New(Config{Place: serin.Place{Region: "us-east-1", Account: "000000000000"}, Key: []byte(key), Now: now})
}

// A session outlives the server that gave it, and nobody can make one or change what it says.
func TestSessionTokens(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	s := service("key", func() time.Time { return now })
	out, err := s.AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::000000000000:role/path/deploy"), RoleSessionName: aws.String("ci"), DurationSeconds: aws.Int32(900),
	})
	if err != nil {
		t.Fatal(err)
	}
	token := *out.Credentials.SessionToken
	got, ok := service("key", nil).Session(token)
	if !ok || got.SecretAccessKey != *out.Credentials.SecretAccessKey || got.AccessKeyID != *out.Credentials.AccessKeyId ||
		got.ARN("000000000000") != "arn:aws:sts::000000000000:assumed-role/deploy/ci" || !got.Expires.Equal(time.Date(2026, 1, 2, 3, 19, 5, 0, time.UTC)) {
		t.Errorf("%v %+v", ok, got)
	}
	if _, ok := service("another key", nil).Session(token); ok {
		t.Error("a session of another server was accepted")
	}
	for i := range token {
		changed := token[:i] + string(rune(token[i]^1)) + token[i+1:]
		if other, ok := s.Session(changed); ok && other != got {
			t.Errorf("a token with another byte %d was accepted", i)
		}
	}
	for _, forged := range []string{"", ".", "a.b", token + token, strings.Repeat("a", maxToken+1), token[:len(token)-10]} {
		if _, ok := s.Session(forged); ok {
			t.Errorf("%.40q was accepted", forged)
		}
	}
}

func FuzzSession(f *testing.F) {
	s := service("key", time.Now)
	_, token := s.begin(Session{Role: "r", Name: "n"}, time.Hour)
	good, _ := s.Session(token)
	f.Add(token)
	f.Add("e30.")
	f.Fuzz(func(t *testing.T, text string) {
		if got, ok := s.Session(text); ok && got != good {
			t.Errorf("%q is a session of %+v", text, got)
		}
	})
}
