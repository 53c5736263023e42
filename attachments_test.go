package serin_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"serin"
)

// attachEverything gives every kind of attachment that it can have to a qualifier.
func attachEverything(t *testing.T, f *serin.Function, c serin.Change, qualifier string) {
	t.Helper()
	_, err := f.AddPermission(c, qualifier, "", serin.Statement{SID: "s", Principal: "*", Action: "lambda:InvokeFunction"})
	ok(t, err)
	_, err = f.PutEventInvoke(c, qualifier, serin.EventInvokeChange{Retries: new(1)})
	ok(t, err)
	if _, isVersion := serin.ParseVersion(qualifier); !isVersion {
		_, err = f.CreateURL(c, qualifier, "id-"+qualifier, serin.FunctionURLChange{AuthType: serin.AuthTypeNone})
		ok(t, err)
		_, err = f.UpdateRouteSettings(c, qualifier, serin.RouteSettingsUpdate{Pins: new(serin.PinsOff)})
		ok(t, err)
	} else {
		ok(t, f.PutRuntimeManagement(qualifier, serin.RuntimeManagement{UpdateOn: "FunctionUpdate"}, ""))
	}
	if qualifier != "" {
		_, err = f.ProvisionConcurrency(c, qualifier, 1, 1000)
		ok(t, err)
	}
}

// What belongs to a version or an alias goes with it, and nothing of it comes back with the name.
func TestAttachmentsGoWithTheirQualifier(t *testing.T) {
	c := stamper()
	f := shop(t, c, 2)
	alias(t, f, c, "live", serin.Routing{Version: 2})
	for _, q := range []string{"", "1", "live"} {
		attachEverything(t, f, c, q)
	}
	all := f.AttachedTo(func(serin.Attachments) bool { return true })
	if d := cmp.Diff([]string{"$LATEST", "1", "live"}, all); d != "" {
		t.Fatal(d)
	}
	if f.At("2") != (serin.Attachments{}) {
		t.Error("a version has the attachments of its alias")
	}
	if v := publish(t, f, c, serin.Publication{}); f.At(v.Number.String()) != (serin.Attachments{}) {
		t.Error("a publish copied the attachments of $LATEST")
	}

	f.DeleteAlias(c, "live")
	ok(t, f.DeleteVersion(1))
	if d := cmp.Diff([]string{"$LATEST"}, f.AttachedTo(func(serin.Attachments) bool { return true })); d != "" {
		t.Error(d)
	}
	alias(t, f, c, "live", serin.Routing{Version: 2})
	if f.At("live") != (serin.Attachments{}) {
		t.Error("a new alias has the attachments of the old one")
	}

	ok(t, f.RemovePermission(c, "", "s", ""))
	ok(t, f.DeleteEventInvoke("$LATEST"))
	ok(t, f.DeleteURL(""))
	_, err := f.UpdateRouteSettings(c, "", serin.RouteSettingsUpdate{Pins: new(serin.PinPolicy(""))})
	ok(t, err)
	if len(f.Attached) != 0 {
		t.Errorf("nothing is left, but %v", f.Attached)
	}
}

// Changes to a clone do not reach the function that others hold, and everything survives its JSON document.
func TestAttachmentsAreCloneSafe(t *testing.T) {
	c := stamper()
	f := shop(t, c, 1)
	alias(t, f, c, "live", serin.Routing{Version: 1})
	attachEverything(t, f, c, "")
	attachEverything(t, f, c, "live")
	ok(t, f.ReserveConcurrency(5, 1000))
	f.RecursiveLoop = serin.RecursiveLoopAllow
	text, err := json.Marshal(f)
	ok(t, err)
	var read serin.Function
	ok(t, json.Unmarshal(text, &read))
	same := cmpopts.IgnoreUnexported(serin.Function{})
	if d := cmp.Diff(f, &read, same, cmpopts.IgnoreFields(serin.Function{}, "Versions", "Aliases")); d != "" {
		t.Errorf("document (-saved +read):\n%s", d)
	}

	changed := f.Clone()
	_, err = changed.AddPermission(c, "", "", serin.Statement{SID: "more", Principal: "*", Action: "lambda:InvokeFunction"})
	ok(t, err)
	_, err = changed.UpdateEventInvoke(c, "live", serin.EventInvokeChange{EventAge: new(60)})
	ok(t, err)
	_, err = changed.UpdateURL(c, "", serin.FunctionURLChange{AuthType: serin.AuthTypeIAM})
	ok(t, err)
	ok(t, changed.ReserveConcurrency(6, 1000))
	changed.DeleteAlias(c, "live")
	if now, err := json.Marshal(f); err != nil || string(now) != string(text) {
		t.Errorf("a change to a clone changed the function: %s\nwant %s", now, text)
	}
}

func TestPolicyDocuments(t *testing.T) {
	const resource = "arn:aws:lambda:us-east-1:123456789012:function:shop:live"
	for _, c := range []struct {
		statement serin.Statement
		want      string
	}{
		{
			serin.Statement{SID: "s", Principal: "*", Action: "lambda:InvokeFunction"},
			`"Principal":"*","Action":"lambda:InvokeFunction","Resource":"` + resource + `"}`,
		},
		{
			serin.Statement{SID: "s", Principal: "123456789012", Action: "*"},
			`"Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"*","Resource":"` + resource + `"}`,
		},
		{
			serin.Statement{SID: "s", Principal: "arn:aws:sts::123456789012:assumed-role/<a>&b", Action: "*"},
			`"Principal":{"AWS":"arn:aws:sts::123456789012:assumed-role/<a>&b"},"Action":"*","Resource":"` + resource + `"}`,
		},
		{
			serin.Statement{
				SID: "s", Principal: "events.amazonaws.com", Action: "*", SourceARN: "arn:aws:events:*", SourceAccount: "123456789012",
				OrganizationID: "o-1234567890", EventSourceToken: "t", ViaURL: true, URLAuthType: "NONE",
			},
			`"Principal":{"Service":"events.amazonaws.com"},"Action":"*","Resource":"` + resource + `","Condition":{` +
				`"StringEquals":{"lambda:FunctionUrlAuthType":"NONE","aws:PrincipalOrgID":"o-1234567890","AWS:SourceAccount":"123456789012","lambda:EventSourceToken":"t"},` +
				`"Bool":{"lambda:InvokedViaFunctionUrl":"true"},"ArnLike":{"AWS:SourceArn":"arn:aws:events:*"}}}`,
		},
	} {
		if got, want := c.statement.Document(resource), `{"Sid":"s","Effect":"Allow",`+c.want; got != want {
			t.Errorf("statement\n%s\nwant\n%s", got, want)
		}
		p := serin.ResourcePolicy{Statements: []serin.Statement{c.statement}}
		if got, want := p.Document(resource), `{"Version":"2012-10-17","Id":"default","Statement":[`+c.statement.Document(resource)+`]}`; got != want {
			t.Errorf("policy\n%s\nwant\n%s", got, want)
		}
	}
}

// The texts of most refusals are held by the golden files of the server; here are the rules that need more
// than one step.
func TestPolicyRevisions(t *testing.T) {
	c := stamper()
	f := shop(t, c, 1)
	latest := f.Latest.RevisionID
	allow := func(qualifier, revision, sid string) func(*serin.Function) error {
		return func(f *serin.Function) error {
			_, err := f.AddPermission(c, qualifier, revision, serin.Statement{SID: sid, Principal: "*", Action: "lambda:InvokeFunction"})
			return err
		}
	}
	const mismatch = "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id"
	refused(t, f, serin.KindPrecondition, mismatch, allow("", latest, "a"))
	ok(t, allow("", "", "a")(f))
	_, first, err := f.PolicyDocument("")
	ok(t, err)
	ok(t, allow("", first, "b")(f))
	_, second, err := f.PolicyDocument("")
	ok(t, err)
	if first == second || f.Latest.RevisionID != latest {
		t.Errorf("revisions %s and %s, that of $LATEST %s and then %s", first, second, latest, f.Latest.RevisionID)
	}
	refused(t, f, serin.KindPrecondition, mismatch, allow("", first, "c"))
	ok(t, allow("1", "", "a")(f)) // another policy
	refused(t, f, serin.KindPrecondition, mismatch, func(f *serin.Function) error { return f.RemovePermission(c, "", "a", first) })
	ok(t, f.RemovePermission(c, "", "a", second))
}

// FuzzStatement looks for principals and conditions that pass the rules and break the document.
func FuzzStatement(f *testing.F) {
	for _, principal := range []string{"*", "123456789012", "s3.amazonaws.com", "arn:aws:iam::123456789012:user/x", "alexa-appkit.amazon.com", "x", "\xff.amazonaws.com", "a\nb.amazonaws.com"} {
		f.Add(principal, "arn:aws:s3:::b", "\u2028\"", "t<>")
	}
	f.Fuzz(func(t *testing.T, principal, source, account, token string) {
		fn := serin.NewFunction(stamper(), place, "shop", serin.Configuration{}, serin.Code{}, nil, 0)
		s := serin.Statement{SID: "s", Principal: principal, Action: "*", SourceARN: source, SourceAccount: account, EventSourceToken: token}
		text, err := fn.AddPermission(stamper(), "", "", s)
		if _, isDomain := errors.AsType[*serin.Error](err); isDomain {
			return
		}
		ok(t, err)
		document, _, err := fn.PolicyDocument("")
		ok(t, err)
		for _, text := range []string{text, document} {
			if !json.Valid([]byte(text)) || strings.Contains(text, "\n") || len(text) > serin.MaxPolicy {
				t.Errorf("document %q", text)
			}
		}
	})
}

func TestConcurrency(t *testing.T) {
	c := stamper()
	f := shop(t, c, 3)
	alias(t, f, c, "live", serin.Routing{Version: 1})
	alias(t, f, c, "next", serin.Routing{Version: 1})
	alias(t, f, c, "dev", serin.Routing{Version: serin.Latest})
	alias(t, f, c, "canary", serin.Routing{Version: 1, Additional: 2, Weight: 0.1})
	provision := func(qualifier string, n int) func(*serin.Function) error {
		return func(f *serin.Function) error {
			_, err := f.ProvisionConcurrency(c, qualifier, n, 1000)
			return err
		}
	}
	reserve := func(n int) func(*serin.Function) error {
		return func(f *serin.Function) error { return f.ReserveConcurrency(n, 1000) }
	}
	for _, q := range []string{"", "$LATEST", "dev"} {
		refused(t, f, serin.KindInvalid, "Provisioned Concurrency Configs cannot be applied to unpublished function versions.", provision(q, 1))
	}
	refused(t, f, serin.KindInvalid, "Alias with weights can not be used with Provisioned Concurrency", provision("canary", 1))
	refused(t, f, serin.KindNotFound, "Cannot find alias arn: "+arn+":none", provision("none", 1))
	refused(t, f, serin.KindNotFound, "Function not found: "+arn+":10", provision("10", 1))
	refused(t, f, serin.KindInvalid, "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [1000].", provision("1", 1001))
	refused(t, f, serin.KindInvalid, "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].", provision("1", 901))

	// A version has provisioned concurrency by one name.
	ok(t, provision("1", 2)(f))
	refused(t, f, serin.KindConflict, "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version", provision("live", 1))
	ok(t, provision("1", 900)(f)) // replaces
	ok(t, f.UnprovisionConcurrency("1"))
	ok(t, f.UnprovisionConcurrency("1"))
	ok(t, provision("live", 2)(f))
	refused(t, f, serin.KindConflict, "Version is pointed by a Provisioned Concurrency alias", provision("1", 1))
	refused(t, f, serin.KindConflict, "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version", provision("next", 1))
	ok(t, provision("2", 3)(f))
	if got := f.ConcurrencyClaim(); got != 5 {
		t.Errorf("the function claims %d, not what it provisions", got)
	}
	refused(t, f, serin.KindInvalid, "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [997].", provision("live", 998))

	// Reserved and provisioned concurrency.
	refused(t, f, serin.KindInvalid, " ReservedConcurrentExecutions  4 should not be lower than function's total provisioned concurrency [5].", reserve(4))
	refused(t, f, serin.KindInvalid, "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].", reserve(901))
	ok(t, reserve(6)(f))
	if got := f.ConcurrencyClaim(); got != 6 {
		t.Errorf("the function claims %d, not what is reserved", got)
	}
	refused(t, f, serin.KindInvalid, "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function", provision("live", 4))
	ok(t, provision("live", 3)(f))
	f.ReleaseConcurrency()
	if got := f.ConcurrencyClaim(); f.Reserved != nil || got != 6 {
		t.Errorf("after the release the function claims %d", got)
	}
	ok(t, f.UnprovisionConcurrency("live"))
	ok(t, f.UnprovisionConcurrency("2"))
	ok(t, reserve(0)(f))
	if f.Reserved == nil || *f.Reserved != 0 {
		t.Error("a reservation of 0 is not none")
	}
	_, err := f.ProvisionedAt("live")
	if e, isDomain := errors.AsType[*serin.Error](err); !isDomain || e.Kind != serin.KindNotProvisioned {
		t.Errorf("provisioned concurrency that is gone: %v", err)
	}
}

// An alias that carries provisioned concurrency can always be moved: a rollback must not depend on it.
func TestProvisionedAliasMoves(t *testing.T) {
	c := stamper()
	f := shop(t, c, 2)
	alias(t, f, c, "live", serin.Routing{Version: 1})
	for _, q := range []string{"live", "2"} {
		_, err := f.ProvisionConcurrency(c, q, 1, 1000)
		ok(t, err)
	}
	two := serin.VersionNumber(2)
	_, err := f.UpdateAlias(c, "live", serin.AliasUpdate{Version: &two})
	ok(t, err)
	if p, err := f.ProvisionedAt("live"); err != nil || p.Requested != 1 {
		t.Errorf("after the move: %v, %v", p, err)
	}
}

func TestEventInvokeDefaults(t *testing.T) {
	var none *serin.EventInvoke
	for _, e := range []*serin.EventInvoke{none, {}} {
		if e.MaxRetries() != 2 || e.MaxEventAge() != 6*time.Hour {
			t.Errorf("defaults %d, %s", e.MaxRetries(), e.MaxEventAge())
		}
	}
	set := &serin.EventInvoke{Retries: new(0), EventAge: new(60)}
	if set.MaxRetries() != 0 || set.MaxEventAge() != time.Minute {
		t.Errorf("set to %d, %s", set.MaxRetries(), set.MaxEventAge())
	}
}

func TestCompareQualifiers(t *testing.T) {
	ordered := []string{"$LATEST", "1", "2", "10", "a", "b"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := serin.CompareQualifiers(a, b); got != 0 && got > 0 != (i > j) || got == 0 != (i == j) {
				t.Errorf("CompareQualifiers(%s, %s) = %d", a, b, got)
			}
		}
	}
}
