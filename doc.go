// Package serin is the domain of Serin: functions, versions, aliases and releases, the rules that
// they obey, and the errors that callers see.
//
// It has no I/O and imports the standard library only. A [Function] is the unit of consistency: every
// change to it, its versions or its aliases is a method that checks the rules and returns an error
// without changing anything, or changes the function so that the store can save it in one transaction.
package serin
