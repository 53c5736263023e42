package serin_test

import (
	"testing"

	"serin"
)

func TestOpensURL(t *testing.T) {
	url := serin.Statement{Principal: "*", Action: "lambda:InvokeFunctionUrl", URLAuthType: "NONE"}
	function := serin.Statement{Principal: "*", Action: "lambda:InvokeFunction", ViaURL: true}
	change := func(s serin.Statement, change func(*serin.Statement)) serin.Statement { change(&s); return s }
	for name, tt := range map[string]struct {
		statements []serin.Statement
		want       bool
	}{
		"nothing":                 {nil, false},
		"both":                    {[]serin.Statement{url, function}, true},
		"only the URL":            {[]serin.Statement{url}, false},
		"only the function":       {[]serin.Statement{function}, false},
		"without conditions":      {[]serin.Statement{{Principal: "*", Action: "lambda:InvokeFunctionUrl"}, {Principal: "*", Action: "lambda:InvokeFunction"}}, true},
		"every action of Lambda":  {[]serin.Statement{{Principal: "*", Action: "lambda:*"}}, true},
		"every action":            {[]serin.Statement{{Principal: "*", Action: "*"}}, true},
		"in other letters":        {[]serin.Statement{change(url, func(s *serin.Statement) { s.Action = "lambda:invokefunctionurl" }), function}, true},
		"another action":          {[]serin.Statement{change(url, func(s *serin.Statement) { s.Action = "lambda:GetFunction" }), function}, false},
		"an account":              {[]serin.Statement{change(url, func(s *serin.Statement) { s.Principal = "123456789012" }), function}, false},
		"a service":               {[]serin.Statement{url, change(function, func(s *serin.Statement) { s.Principal = "s3.amazonaws.com" })}, false},
		"only with a signature":   {[]serin.Statement{change(url, func(s *serin.Statement) { s.URLAuthType = "AWS_IAM" }), function}, false},
		"from a source":           {[]serin.Statement{change(url, func(s *serin.Statement) { s.SourceARN = "arn:aws:s3:::b" }), function}, false},
		"from an account":         {[]serin.Statement{url, change(function, func(s *serin.Statement) { s.SourceAccount = "123456789012" })}, false},
		"from an organization":    {[]serin.Statement{change(url, func(s *serin.Statement) { s.OrganizationID = "o-1234567890" }), function}, false},
		"with a token":            {[]serin.Statement{url, change(function, func(s *serin.Statement) { s.EventSourceToken = "t" })}, false},
		"one of several for each": {[]serin.Statement{{Principal: "*", Action: "lambda:GetFunction"}, function, url}, true},
	} {
		if got := (&serin.ResourcePolicy{Statements: tt.statements}).OpensURL(); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	if (*serin.ResourcePolicy)(nil).OpensURL() {
		t.Error("no policy opens the URL")
	}
}
