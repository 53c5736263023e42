package api

import "serin/internal/overview"

// What the API answers with and what it is asked is described in package overview.

type (
	// ReleaseDocument is [overview.ReleaseDocument].
	ReleaseDocument = overview.ReleaseDocument
	// SignalsDocument is [overview.SignalsDocument].
	SignalsDocument = overview.SignalsDocument
	// Observed is [overview.Observed].
	Observed = overview.Observed
	// Untold is [overview.Untold].
	Untold = overview.Untold
	// VersionRef is [overview.VersionRef].
	VersionRef = overview.VersionRef
	// Reason is [overview.Reason].
	Reason = overview.Reason
	// Evidence is [overview.Evidence].
	Evidence = overview.Evidence
	// StartRequest is [overview.StartRequest].
	StartRequest = overview.StartRequest
	// RollbackRequest is [overview.RollbackRequest].
	RollbackRequest = overview.RollbackRequest
	// RollbackDocument is [overview.RollbackDocument].
	RollbackDocument = overview.RollbackDocument
	// PruneRequest is [overview.PruneRequest].
	PruneRequest = overview.PruneRequest
	// PruneDocument is [overview.PruneDocument].
	PruneDocument = overview.PruneDocument
	// RoutingRequest is [overview.RoutingRequest].
	RoutingRequest = overview.RoutingRequest
	// RoutingDocument is [overview.RoutingDocument].
	RoutingDocument = overview.RoutingDocument
	// StatusDocument is [overview.StatusDocument].
	StatusDocument = overview.StatusDocument
	// EventMetrics is [overview.EventMetrics].
	EventMetrics = overview.EventMetrics
	// AliasStatus is [overview.AliasStatus].
	AliasStatus = overview.AliasStatus
	// VersionStatus is [overview.VersionStatus].
	VersionStatus = overview.VersionStatus
	// VersionMetrics is [overview.VersionMetrics].
	VersionMetrics = overview.VersionMetrics
	// Milliseconds is [overview.Milliseconds].
	Milliseconds = overview.Milliseconds
	// FunctionSummary is [overview.FunctionSummary].
	FunctionSummary = overview.FunctionSummary
	// HistoryDocument is [overview.HistoryDocument].
	HistoryDocument = overview.HistoryDocument
)
