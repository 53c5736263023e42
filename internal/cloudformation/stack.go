package cloudformation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"serin/internal/store"
	"serin/internal/template"
)

// Kinds of documents in the store.
const (
	kindStack    = "cloudformation.stack"    // by name
	kindDeleted  = "cloudformation.deleted"  // by stack id
	kindResource = "cloudformation.resource" // by stack id and logical id
	kindEvent    = "cloudformation.event"    // by stack id and time
	kindTemplate = "cloudformation.template" // by hash
	kindSet      = "cloudformation.changeset"
)

// Statuses of stacks that the code names.
const (
	statusReview           = "REVIEW_IN_PROGRESS"
	statusCreating         = "CREATE_IN_PROGRESS"
	statusCreated          = "CREATE_COMPLETE"
	statusCreateFailed     = "CREATE_FAILED"
	statusRollingBack      = "ROLLBACK_IN_PROGRESS"
	statusRolledBack       = "ROLLBACK_COMPLETE"
	statusRollbackFailed   = "ROLLBACK_FAILED"
	statusUpdating         = "UPDATE_IN_PROGRESS"
	statusCleaning         = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
	statusUpdated          = "UPDATE_COMPLETE"
	statusUpdateFailed     = "UPDATE_FAILED"
	statusReverting        = "UPDATE_ROLLBACK_IN_PROGRESS"
	statusRevertCleaning   = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
	statusReverted         = "UPDATE_ROLLBACK_COMPLETE"
	statusRevertFailed     = "UPDATE_ROLLBACK_FAILED"
	statusDeleting         = "DELETE_IN_PROGRESS"
	statusDeleted          = "DELETE_COMPLETE"
	statusDeleteFailed     = "DELETE_FAILED"
	statusDeleteSkipped    = "DELETE_SKIPPED"
	reasonUserInitiated    = "User Initiated"
	reasonCreationStarted  = "Resource creation Initiated"
	reasonReplacing        = "Requested update requires the creation of a new physical resource; hence creating one."
	typeStack              = "AWS::CloudFormation::Stack"
	reasonResourceCanceled = "Resource update cancelled"
)

// revision is what a stack is made from.
type revision struct {
	Template     string              `json:"template"` // names the document
	Parameters   template.Parameters `json:"parameters,omitempty"`
	Tags         map[string]string   `json:"tags,omitempty"`
	Capabilities []string            `json:"capabilities,omitempty"`
	Description  string              `json:"description,omitempty"`
}

// stack is a stack as it is stored.
type stack struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Status    string    `json:"status"`
	Reason    string    `json:"reason,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
	DeletedAt time.Time `json:"deletedAt,omitzero"`
	// Current is what is deployed, Next what the operation is about to deploy.
	Current *revision `json:"current,omitempty"`
	Next    *revision `json:"next,omitempty"`
	// Operation names the operation that is, or was last, under way.
	Operation   string   `json:"operation,omitempty"`
	Cancelled   bool     `json:"cancelled,omitempty"`
	Skip        []string `json:"skip,omitempty"`   // resources that ContinueUpdateRollback leaves as they are
	Retain      []string `json:"retain,omitempty"` // resources that DeleteStack leaves
	ClientToken string   `json:"clientToken,omitempty"`

	DisableRollback bool     `json:"disableRollback,omitempty"`
	OnFailure       string   `json:"onFailure,omitempty"`
	Protected       bool     `json:"protected,omitempty"`
	Policy          string   `json:"policy,omitempty"`
	RoleARN         string   `json:"roleArn,omitempty"`
	Notify          []string `json:"notify,omitempty"`
	ChangeSetID     string   `json:"changeSetId,omitempty"`

	Outputs []output `json:"outputs,omitempty"`
	Imports []string `json:"imports,omitempty"` // names of exports that the stack uses
}

type output struct {
	Key         string `json:"key"`
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
	Export      string `json:"export,omitempty"`
}

// state is how a resource is, or was.
type state struct {
	PhysicalID          string         `json:"physicalId,omitempty"`
	Properties          map[string]any `json:"properties,omitempty"`
	Attributes          map[string]any `json:"attributes,omitempty"`
	Needs               []string       `json:"needs,omitempty"` // resources that must be there as long as this one
	DeletionPolicy      string         `json:"deletionPolicy,omitempty"`
	UpdateReplacePolicy string         `json:"updateReplacePolicy,omitempty"`
	UpdatePolicy        map[string]any `json:"updatePolicy,omitempty"`
	Metadata            any            `json:"metadata,omitempty"`
}

// record is a resource of a stack as it is stored.
type record struct {
	StackID   string    `json:"stackId"`
	LogicalID string    `json:"logicalId"`
	Type      string    `json:"type"`
	Status    string    `json:"status"`
	Reason    string    `json:"reason,omitempty"`
	At        time.Time `json:"at"`

	state

	// Exists says that there is something to delete under PhysicalID.
	Exists bool `json:"exists,omitempty"`
	// Operation is the one that touched the resource last; Done says that it has finished with it.
	Operation string `json:"operation,omitempty"`
	Done      bool   `json:"done,omitempty"`
	// Before is how the resource was before that operation; nil if the operation made it.
	Before *state `json:"before,omitempty"`
	// Old is another physical resource that the clean-up deletes.
	Old *state `json:"old,omitempty"`
	// Saved is what the handler of a change that takes long has kept.
	Saved string `json:"saved,omitempty"`
}

// source is a template as it is stored.
type source struct {
	Original  string         `json:"original"`
	Processed map[string]any `json:"processed,omitempty"` // after the transforms; nil if there were none
}

func decode(body []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	return d.Decode(to)
}

// document makes a document of a value, nil for one that is to be deleted.
func (s *Service) document(ctx context.Context, kind, name string, v any) (store.Document, error) {
	d, err := s.Store.Document(ctx, kind, name)
	if errors.Is(err, store.ErrNotFound) {
		d, err = store.Document{Kind: kind, Name: name}, nil
	}
	d.Body = nil
	if err == nil && v != nil {
		d.Body, err = json.Marshal(v)
	}
	return d, err
}

// stacks returns all stacks that are not deleted.
func (s *Service) stacks(ctx context.Context) iter.Seq2[*stack, error] {
	return func(yield func(*stack, error) bool) {
		for d, err := range s.Store.Documents(ctx, kindStack, "") {
			st := &stack{}
			if err == nil {
				err = decode(d.Body, st)
			}
			if !yield(st, err) || err != nil {
				return
			}
		}
	}
}

// find returns a stack by its name or id, a deleted one by its id alone. It returns nil if there is none.
func (s *Service) find(ctx context.Context, nameOrID string) (*stack, error) {
	name, id := nameOrID, ""
	if strings.HasPrefix(nameOrID, "arn:") {
		id = nameOrID
		parts := strings.Split(nameOrID, "/")
		if len(parts) != 3 {
			return nil, nil
		}
		name = parts[1]
	}
	for _, at := range []store.Document{{Kind: kindStack, Name: name}, {Kind: kindDeleted, Name: id}} {
		d, err := s.Store.Document(ctx, at.Kind, at.Name)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		st := &stack{}
		if err := decode(d.Body, st); err != nil {
			return nil, fmt.Errorf("stack %s: %w", name, err)
		}
		if id == "" || st.ID == id {
			return st, nil
		}
	}
	return nil, nil
}

// modify changes a stack in one transaction with other documents. Rules see the stack as it is now.
func (s *Service) modify(ctx context.Context, name string, rules func(*stack) ([]store.Document, error)) (*stack, error) {
	for {
		d, err := s.Store.Document(ctx, kindStack, name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		st := &stack{Name: name}
		if err == nil {
			if err := decode(d.Body, st); err != nil {
				return nil, fmt.Errorf("stack %s: %w", name, err)
			}
		}
		more, err := rules(st)
		if err != nil {
			return nil, err
		}
		if d.Body, err = json.Marshal(st); err != nil {
			return nil, fmt.Errorf("stack %s: %w", name, err)
		}
		d.Kind, d.Name = kindStack, name
		if st.Status == statusDeleted {
			gone := store.Document{Kind: kindDeleted, Name: st.ID, Body: d.Body}
			d.Body = nil
			more = append(more, gone)
		}
		err = s.Store.SaveDocuments(ctx, append(more, d)...)
		if errors.Is(err, store.ErrStale) || errors.Is(err, store.ErrExists) {
			continue // somebody else was faster; the rules decide again
		}
		return st, err
	}
}

// records returns the resources of a stack by logical id.
func (s *Service) records(ctx context.Context, stackID string) (map[string]*record, error) {
	all := map[string]*record{}
	for d, err := range s.Store.Documents(ctx, kindResource, stackID+"/") {
		if err != nil {
			return nil, err
		}
		r := &record{}
		if err := decode(d.Body, r); err != nil {
			return nil, fmt.Errorf("resource %s: %w", d.Name, err)
		}
		all[r.LogicalID] = r
	}
	return all, nil
}

// keepTemplate stores a template and returns its name.
func (s *Service) keepTemplate(ctx context.Context, src source) (string, error) {
	body, err := json.Marshal(src)
	if err != nil {
		return "", fmt.Errorf("template: %w", err)
	}
	sum := sha256.Sum256(body)
	name := hex.EncodeToString(sum[:])
	err = s.Store.SaveDocuments(ctx, store.Document{Kind: kindTemplate, Name: name, Body: body})
	if errors.Is(err, store.ErrExists) {
		err = nil
	}
	return name, err
}

func (s *Service) source(ctx context.Context, name string) (*source, error) {
	d, err := s.Store.Document(ctx, kindTemplate, name)
	if err != nil {
		return nil, err
	}
	src := &source{}
	return src, decode(d.Body, src)
}

// tree returns the template as it is deployed.
func (s *source) tree() (map[string]any, error) {
	if s.Processed != nil {
		return s.Processed, nil
	}
	return template.Decode(s.Original)
}

// storedTemplate returns a template by the name of its document.
func (s *Service) storedTemplate(ctx context.Context, name string) (*template.Template, error) {
	src, err := s.source(ctx, name)
	if err != nil {
		return nil, err
	}
	tree, err := src.tree()
	if err != nil {
		return nil, err
	}
	return template.New(tree)
}

// pseudo are the pseudo parameters of a stack.
func (s *Service) pseudo(st *stack) map[string]any {
	notify := []any{}
	for _, arn := range st.Notify {
		notify = append(notify, arn)
	}
	return map[string]any{
		"AWS::Region": s.Place.Region, "AWS::AccountId": s.Place.Account, "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com",
		"AWS::StackName": st.Name, "AWS::StackId": st.ID, "AWS::NotificationARNs": notify,
	}
}

// scope returns what templates look up, but for resources.
func (s *Service) scope(ctx context.Context, st *stack, parameters template.Parameters, imported func(string)) *template.Scope {
	return &template.Scope{
		Parameters: parameters, Pseudo: s.pseudo(st),
		Import: func(name string) (any, error) {
			imported(name)
			return s.export(ctx, name)
		},
		Dynamic: func(service, reference string) (string, error) {
			if (service == "ssm" || service == "ssm-secure") && s.Parameter != nil {
				return s.Parameter(ctx, reference)
			}
			return "", validation("Serin cannot resolve {{resolve:%s:%s}}", service, reference)
		},
	}
}

// export returns what some stack exports under a name.
func (s *Service) export(ctx context.Context, name string) (any, error) {
	for st, err := range s.stacks(ctx) {
		if err != nil {
			return nil, err
		}
		for _, o := range st.Outputs {
			if o.Export == name {
				return o.Value, nil
			}
		}
	}
	return nil, validation("No export named %s found.", name)
}

// importers returns the names of the stacks that use an export.
func (s *Service) importers(ctx context.Context, name string) ([]string, error) {
	found := map[string]bool{}
	for st, err := range s.stacks(ctx) {
		if err != nil {
			return nil, err
		}
		if slices.Contains(st.Imports, name) {
			found[st.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}
