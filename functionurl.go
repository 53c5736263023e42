package serin

import (
	"strings"
	"time"
)

// AuthType says who may call a function URL.
type AuthType string

// Auth types, as AWS names them.
const (
	AuthTypeNone AuthType = "NONE"    // everybody, as far as the policy allows
	AuthTypeIAM  AuthType = "AWS_IAM" // who signs with a known key
)

// InvokeMode says how a function URL answers.
type InvokeMode string

// Invoke modes, as AWS names them.
const (
	InvokeModeBuffered InvokeMode = "BUFFERED"
	InvokeModeStream   InvokeMode = "RESPONSE_STREAM"
)

// FunctionURL is an HTTP endpoint of a function or of one of its aliases.
type FunctionURL struct {
	// ID names the endpoint: 32 small letters and digits, the first label of its host name. It stays the
	// same until the URL is deleted and is never used again.
	ID           string     `json:"id"`
	AuthType     AuthType   `json:"authType"`
	InvokeMode   InvokeMode `json:"invokeMode"`
	CORS         *CORS      `json:"cors,omitempty"`
	CreatedAt    time.Time  `json:"createdAt"`
	LastModified time.Time  `json:"lastModified"`
}

// CORS is what browsers are told about a function URL. An absent member is nil.
type CORS struct {
	AllowCredentials *bool    `json:"allowCredentials,omitempty"`
	AllowHeaders     []string `json:"allowHeaders,omitempty"`
	AllowMethods     []string `json:"allowMethods,omitempty"`
	AllowOrigins     []string `json:"allowOrigins,omitempty"`
	ExposeHeaders    []string `json:"exposeHeaders,omitempty"`
	MaxAge           *int     `json:"maxAge,omitempty"` // seconds, 0 to 86400
}

func (c *CORS) empty() bool {
	return c.AllowCredentials == nil && c.MaxAge == nil &&
		len(c.AllowHeaders)+len(c.AllowMethods)+len(c.AllowOrigins)+len(c.ExposeHeaders) == 0
}

// FunctionURLChange is what a request says about a function URL; empty members are absent. A CORS without
// members removes what is there.
type FunctionURLChange struct {
	AuthType   AuthType
	InvokeMode InvokeMode
	CORS       *CORS
}

func (ch FunctionURLChange) apply(c Change, u *FunctionURL) {
	u.LastModified = c.At
	if ch.AuthType != "" {
		u.AuthType = ch.AuthType
	}
	if ch.InvokeMode != "" {
		u.InvokeMode = ch.InvokeMode
	}
	if ch.CORS != nil {
		u.CORS = ch.CORS
		if ch.CORS.empty() {
			u.CORS = nil
		}
	}
}

// CreateURL gives the function or an alias its URL. id is fresh.
//
// Errors: KindNotFound for a missing alias, KindConflict if there is one already.
func (f *Function) CreateURL(c Change, qualifier, id string, ch FunctionURLChange) (*FunctionURL, error) {
	if err := f.checkURL(qualifier); err != nil {
		return nil, err
	}
	if f.At(qualifier).URL != nil {
		return nil, Errorf(KindConflict, "Failed to create function url config for [functionArn = %s]. Error message:  FunctionUrlConfig exists for this Lambda function", f.resource(qualifier))
	}
	u := &FunctionURL{ID: id, InvokeMode: InvokeModeBuffered, CreatedAt: c.At}
	ch.apply(c, u)
	f.attach(qualifier, func(a *Attachments) { a.URL = u })
	return u, nil
}

// UpdateURL changes a URL; absent members keep what is there.
//
// Errors: KindNotFound for a missing alias or URL.
func (f *Function) UpdateURL(c Change, qualifier string, ch FunctionURLChange) (*FunctionURL, error) {
	if err := f.checkURL(qualifier); err != nil {
		return nil, err
	}
	old, err := f.URLAt(qualifier)
	if err != nil {
		return nil, err
	}
	u := *old
	ch.apply(c, &u)
	f.attach(qualifier, func(a *Attachments) { a.URL = &u })
	return &u, nil
}

// URLAt returns the URL of the function or of an alias.
//
// Errors: KindNotFound.
func (f *Function) URLAt(qualifier string) (*FunctionURL, error) {
	u := f.At(qualifier).URL
	if u == nil {
		return nil, ErrNoResource()
	}
	return u, nil
}

// DeleteURL removes the URL of the function or of an alias.
//
// Errors: KindNotFound.
func (f *Function) DeleteURL(qualifier string) error {
	if _, err := f.URLAt(qualifier); err != nil {
		return err
	}
	f.attach(qualifier, func(a *Attachments) { a.URL = nil })
	return nil
}

// checkURL refuses what cannot have a URL. Versions have none; the API model keeps their numbers out.
func (f *Function) checkURL(qualifier string) error {
	if qualifier != "" && f.Aliases[qualifier] == nil {
		return ErrNoURLFunction()
	}
	return nil
}

// ErrNoURLFunction is the error of the operations on function URLs for a missing function or alias.
func ErrNoURLFunction() error { return Errorf(KindNotFound, "Function does not exist") }

// OpensURL reports whether the policy, which may be nil, lets everybody call the function URL of its qualifier
// without a signature. That takes two permissions for the principal "*", one for lambda:InvokeFunctionUrl and one
// for lambda:InvokeFunction, as for function URLs that have been made on AWS since October 2025. A statement on
// where a request comes from does not allow a request that comes from nobody.
func (p *ResourcePolicy) OpensURL() bool {
	if p == nil {
		return false
	}
	var url, function bool
	for _, s := range p.Statements {
		url = url || s.allowsAnybody(actionInvokeURL)
		function = function || s.allowsAnybody(actionInvoke)
	}
	return url && function
}

// allowsAnybody reports whether the statement lets an unsigned request through a function URL do the action.
func (s Statement) allowsAnybody(action string) bool {
	named := s.Action == "*" || s.Action == "lambda:*" || strings.EqualFold(s.Action, action)
	return named && s.Principal == "*" && (s.URLAuthType == "" || s.URLAuthType == string(AuthTypeNone)) &&
		s.SourceARN == "" && s.SourceAccount == "" && s.OrganizationID == "" && s.EventSourceToken == ""
}
