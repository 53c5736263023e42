package serin

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// MaxPolicy is the largest resource policy in bytes of its document (AWS documentation, 2025).
const MaxPolicy = 20480

// ResourcePolicy says who else may use a function, one of its qualifiers, or a layer version. It
// has a RevisionID of its own. There is none without statements. It is replaced, never changed.
type ResourcePolicy struct {
	RevisionID string      `json:"revisionId"`
	Statements []Statement `json:"statements"`
}

// Statement allows a principal an action on the resource that its policy belongs to. The members after
// Action are conditions, all of which must hold; empty ones are none.
type Statement struct {
	SID              string `json:"sid"`
	Principal        string `json:"principal"` // "*", twelve digits, a service (s3.amazonaws.com) or an ARN
	Action           string `json:"action"`
	SourceARN        string `json:"sourceArn,omitempty"` // may hold the wildcards of ArnLike
	SourceAccount    string `json:"sourceAccount,omitempty"`
	OrganizationID   string `json:"organizationId,omitempty"`
	URLAuthType      string `json:"urlAuthType,omitempty"`
	EventSourceToken string `json:"eventSourceToken,omitempty"`
	ViaURL           bool   `json:"viaUrl,omitempty"` // only through a function URL
}

// policyDocument is a policy as AWS shows it.
type policyDocument struct {
	Version   string
	ID        string `json:"Id"`
	Statement []statementDocument
}

type statementDocument struct {
	SID       string `json:"Sid"`
	Effect    string
	Principal any
	Action    string
	Resource  string
	Condition *conditionDocument `json:",omitempty"`
}

// conditionDocument has the operators in the order of AWS.
type conditionDocument struct {
	StringEquals *stringConditions `json:",omitempty"`
	Bool         *viaURLCondition  `json:",omitempty"`
	ArnLike      *sourceCondition  `json:",omitempty"`
}

type stringConditions struct {
	URLAuthType      string `json:"lambda:FunctionUrlAuthType,omitempty"`
	OrganizationID   string `json:"aws:PrincipalOrgID,omitempty"`
	SourceAccount    string `json:"AWS:SourceAccount,omitempty"`
	EventSourceToken string `json:"lambda:EventSourceToken,omitempty"`
}

type viaURLCondition struct {
	ViaURL bool `json:"lambda:InvokedViaFunctionUrl,string"`
}

type sourceCondition struct {
	SourceARN string `json:"AWS:SourceArn"`
}

// Document returns the policy as the JSON text that AWS shows for a resource.
func (p *ResourcePolicy) Document(resource string) string {
	doc := policyDocument{Version: "2012-10-17", ID: "default", Statement: []statementDocument{}}
	for _, s := range p.Statements {
		doc.Statement = append(doc.Statement, s.document(resource))
	}
	return jsonText(doc)
}

// Document returns the statement as the JSON text that AWS shows for a resource.
func (s Statement) Document(resource string) string { return jsonText(s.document(resource)) }

func (s Statement) document(resource string) statementDocument {
	doc := statementDocument{SID: s.SID, Effect: "Allow", Principal: s.principal(), Action: s.Action, Resource: resource}
	var c conditionDocument
	if eq := (stringConditions{s.URLAuthType, s.OrganizationID, s.SourceAccount, s.EventSourceToken}); eq != (stringConditions{}) {
		c.StringEquals = &eq
	}
	if s.ViaURL {
		c.Bool = &viaURLCondition{true}
	}
	if s.SourceARN != "" {
		c.ArnLike = &sourceCondition{s.SourceARN}
	}
	if c != (conditionDocument{}) {
		doc.Condition = &c
	}
	return doc
}

// principal is what the document says for the principal.
func (s Statement) principal() any {
	switch {
	case s.Principal == "*":
		return "*"
	case isAccount(s.Principal):
		return map[string]string{"AWS": "arn:aws:iam::" + s.Principal + ":root"}
	case strings.HasPrefix(s.Principal, "arn:"):
		return map[string]string{"AWS": s.Principal}
	default:
		return map[string]string{"Service": s.Principal}
	}
}

// principals matches a service or the ARN of an identity. Whether a service or an identity exists is not known
// here.
var principals = regexp.MustCompile(`^(?:[a-z0-9.-]+\.(?:amazonaws\.com|amazonaws\.com\.cn|amazon\.com)|arn:aws[a-z-]*:(?:iam|sts)::\d{12}:\S+)$`)

func (s Statement) check() error {
	if s.Principal != "*" && !isAccount(s.Principal) && !principals.MatchString(s.Principal) {
		return Errorf(KindInvalid, "The provided principal was invalid. Please check the principal and try again.")
	}
	if s.URLAuthType != "" && s.Action != actionInvokeURL {
		return Errorf(KindInvalid, "FunctionUrlAuthType is only supported for %s action", actionInvokeURL)
	}
	if s.ViaURL && s.Action != actionInvoke {
		return Errorf(KindInvalid, "InvokedViaFunctionUrl is only supported for %s action", actionInvoke)
	}
	return nil
}

// The actions that have conditions of their own.
const (
	actionInvoke    = "lambda:InvokeFunction"
	actionInvokeURL = "lambda:InvokeFunctionUrl"
)

func isAccount(s string) bool { return len(s) == 12 && strings.Trim(s, "0123456789") == "" }

// policyOf names a kind of policy in errors: the operation that shows its RevisionId.
type policyOf string

const (
	functionPolicy policyOf = "GetPolicy"
	layerPolicy    policyOf = "GetLayerPolicy" // sic, recorded on AWS, November 2023
)

// with returns the policy with one more statement. The receiver may be nil.
//
// Errors: KindPrecondition, KindConflict for a Sid in use, KindInvalid for a principal that is none,
// KindPolicyLength.
func (p *ResourcePolicy) with(c Change, kind policyOf, resource, revisionID string, s Statement) (*ResourcePolicy, error) {
	if err := p.checkRevision(kind, revisionID); err != nil {
		return nil, err
	}
	next := &ResourcePolicy{RevisionID: c.NewRevision()}
	if p != nil {
		next.Statements = slices.Clone(p.Statements)
	}
	if slices.ContainsFunc(next.Statements, func(old Statement) bool { return old.SID == s.SID }) {
		return nil, Errorf(KindConflict, "The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", s.SID)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	next.Statements = append(next.Statements, s)
	if size := len(next.Document(resource)); size > MaxPolicy {
		return nil, Errorf(KindPolicyLength, "The final policy size (%d) is bigger than the limit (%d).", size, MaxPolicy)
	}
	return next, nil
}

// without returns the policy without a statement, nil if that was the last one.
//
// Errors: KindNotFound, KindPrecondition.
func (p *ResourcePolicy) without(c Change, kind policyOf, sid, revisionID string) (*ResourcePolicy, error) {
	if p == nil {
		return nil, errNoPolicy()
	}
	if err := p.checkRevision(kind, revisionID); err != nil {
		return nil, err
	}
	left := slices.DeleteFunc(slices.Clone(p.Statements), func(s Statement) bool { return s.SID == sid })
	switch len(left) {
	case len(p.Statements):
		return nil, Errorf(KindNotFound, "Statement %s is not found in resource policy.", sid)
	case 0:
		return nil, nil
	default:
		return &ResourcePolicy{RevisionID: c.NewRevision(), Statements: left}, nil
	}
}

func (p *ResourcePolicy) checkRevision(kind policyOf, id string) error {
	if id == "" || p != nil && p.RevisionID == id {
		return nil
	}
	return Errorf(KindPrecondition, "The Revision Id provided does not match the latest Revision Id. Call the %s API to retrieve the latest Revision Id", kind)
}

// errNoPolicy is the error for a resource that has no policy to change.
func errNoPolicy() error {
	return Errorf(KindNotFound, "No policy is associated with the given resource.")
}

// AddPermission adds a statement to the policy of a qualifier and returns it as AWS shows it. revisionID may
// be empty; the policy does not share it with the function.
//
// Errors: KindInvalid for $LATEST by name and for a principal that is none, KindNotFound for a missing version
// or alias, KindPrecondition for another RevisionID, KindConflict for a Sid in use, KindPolicyLength.
func (f *Function) AddPermission(c Change, qualifier, revisionID string, s Statement) (string, error) {
	if qualifier == latestName {
		return "", Errorf(KindInvalid, "We currently do not support adding policies for $LATEST.")
	}
	if err := f.checkQualifier(qualifier); err != nil {
		return "", err
	}
	resource := f.resource(qualifier)
	p, err := f.At(qualifier).Policy.with(c, functionPolicy, resource, revisionID, s)
	if err != nil {
		return "", err
	}
	f.attach(qualifier, func(a *Attachments) { a.Policy = p })
	return s.Document(resource), nil
}

// RemovePermission removes a statement from the policy of a qualifier. revisionID may be empty.
//
// Errors: KindNotFound for a missing version, alias, policy or statement, KindPrecondition.
func (f *Function) RemovePermission(c Change, qualifier, sid, revisionID string) error {
	if qualifier == latestName {
		return errNoPolicy() // only the unqualified function has one
	}
	if err := f.checkQualifier(qualifier); err != nil {
		return err
	}
	p, err := f.At(qualifier).Policy.without(c, functionPolicy, sid, revisionID)
	if err != nil {
		return err
	}
	f.attach(qualifier, func(a *Attachments) { a.Policy = p })
	return nil
}

// PolicyDocument returns the policy of a qualifier as AWS shows it, and its RevisionID.
//
// Errors: KindNotFound.
func (f *Function) PolicyDocument(qualifier string) (document, revisionID string, err error) {
	p := f.At(qualifier).Policy
	if p == nil || qualifier == latestName {
		return "", "", ErrNoResource()
	}
	return p.Document(f.resource(qualifier)), p.RevisionID, nil
}

// resource is the ARN that a policy of the qualifier names.
func (f *Function) resource(qualifier string) string {
	if qualifier == "" {
		return f.ARN
	}
	return f.QualifiedARN(qualifier)
}

// jsonText writes a document without the escapes that are for HTML.
func jsonText(document any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	// Strings and structs of strings always encode, and a buffer takes every write.
	_ = e.Encode(document)
	return strings.TrimSuffix(b.String(), "\n")
}

// AllowsService reports whether the policy, which may be nil, lets a service of AWS invoke the function for a resource of
// an account. Statements with conditions that a service cannot meet do not allow it.
func (p *ResourcePolicy) AllowsService(service, sourceARN, sourceAccount string) bool {
	return p != nil && slices.ContainsFunc(p.Statements, func(s Statement) bool {
		return (s.Action == "*" || s.Action == "lambda:*" || strings.EqualFold(s.Action, actionInvoke)) &&
			(s.Principal == "*" || s.Principal == service) && (s.SourceAccount == "" || s.SourceAccount == sourceAccount) &&
			(s.SourceARN == "" || arnLike(s.SourceARN, sourceARN)) &&
			s.OrganizationID == "" && s.URLAuthType == "" && s.EventSourceToken == "" && !s.ViaURL
	})
}

// arnLike reports whether a pattern with the wildcards * and ? means an ARN.
func arnLike(pattern, arn string) bool {
	// Where to go on if what follows the last * turns out not to fit.
	star, from := -1, 0
	p, a := 0, 0
	for a < len(arn) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, a
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == arn[a]):
			p, a = p+1, a+1
		case star >= 0:
			from++
			p, a = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
