package overview

import (
	"context"
	"slices"

	"serin"
	"serin/internal/control"
	"serin/internal/store"
)

// PruneRequest asks what a prune would remove, or for it to be removed.
type PruneRequest struct {
	Function  string          `json:"function,omitempty"` // empty for all functions and all layers
	Retention serin.Retention `json:"retention"`
	DryRun    bool            `json:"dryRun,omitempty"`
}

// PruneDocument says what a prune removes, or has removed, and why it keeps the rest.
type PruneDocument struct {
	Retention serin.Retention       `json:"retention"`
	Pruned    bool                  `json:"pruned"` // it was no dry run
	Functions []FunctionPruning     `json:"functions"`
	Layers    *control.LayerPruning `json:"layers,omitempty"` // absent for a single function
	// Freed is what was removed of the disk; packages of the last hour go with the next prune.
	Freed   store.Collected `json:"freed"`
	Storage Storage         `json:"storage"`
}

// FunctionPruning is what a prune does to a function.
type FunctionPruning struct {
	Function string `json:"function"`
	serin.Pruning
}

// Storage is the code storage that all versions of functions and layers use, in bytes. As on AWS, versions with the same
// code count each.
type Storage struct {
	Used  int64 `json:"used"`
	Limit int64 `json:"limit"`
}

func (o *Reader) storage() Storage {
	used, limit := o.Control.Storage()
	return Storage{Used: used, Limit: limit}
}

// Prune removes the versions that nothing needs, one function after the other, or says which they are.
//
// Errors: KindNotFound for a missing function, KindInvalid for a retention that is none.
func (o *Reader) Prune(ctx context.Context, in PruneRequest) (*PruneDocument, error) {
	d := &PruneDocument{Retention: in.Retention, Pruned: !in.DryRun, Functions: []FunctionPruning{}}
	names := []string{in.Function}
	if in.Function == "" {
		names = nil
		for f := range o.Control.Table.Functions() {
			names = append(names, f.Name)
		}
		slices.Sort(names)
	}
	for _, name := range names {
		p, err := o.Control.Prune(ctx, name, in.Retention, in.DryRun)
		if in.Function == "" && serin.KindOf(err) == serin.KindNotFound { // deleted meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		d.Functions = append(d.Functions, FunctionPruning{Function: name, Pruning: p})
	}
	if in.Function == "" {
		layers, err := o.Control.PruneLayers(ctx, in.Retention, in.DryRun)
		if err != nil {
			return nil, err
		}
		d.Layers = &layers
	}
	if !in.DryRun {
		var err error
		if d.Freed, err = o.Control.CollectCode(ctx); err != nil {
			return nil, err
		}
	}
	d.Storage = o.storage()
	return d, nil
}
