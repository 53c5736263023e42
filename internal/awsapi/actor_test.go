package awsapi

import (
	"net/http"
	"strings"
	"testing"
)

func TestNameOf(t *testing.T) {
	a := NewAuthenticator(AuthConfig{Name: func(key string) string { return map[string]string{"AKIA1": "deploys"}[key] }})
	for _, tt := range []struct{ key, claimed, want string }{
		{"AKIA1", "", "deploys"},
		{"AKIA2", "", "AKIA2"},
		{"AKIA1", "ana (https://ci.example/7)", "ana (https://ci.example/7) with key deploys"},
		{"AKIA1", "deploys", "deploys"},
		{"AKIA2", "  ", "AKIA2"},
		{"AKIA1", strings.Repeat("x", 5000), strings.Repeat("x", 300) + " with key deploys"},
	} {
		r := &http.Request{Header: http.Header{}}
		r.Header.Set(HeaderActor, tt.claimed)
		if got := a.nameOf(r, tt.key); got != tt.want {
			t.Errorf("%s, %.20q: %q", tt.key, tt.claimed, got)
		}
	}
}
