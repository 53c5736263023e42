// Package alarm holds CloudWatch's alarms: what they are, when they change their state, and what is done then. Its
// methods carry the names and the signatures of the CloudWatch operations.
//
// Three parts know nothing of each other's means. [Rule.Decide] is pure: points of a metric and the state before give
// the state after, by the rules of AWS for M out of N, for missing data and for its range of evaluation. An expression
// of a composite alarm is parsed once and asked with a function that knows the states. [Service] keeps the alarms,
// evaluates them in passes at times that it is told, and carries out actions.
//
// Alarms are documents in the store. All of them are in memory too, as values that are replaced and never changed, so
// a pass over thousands of them locks nothing. What changes the state of an alarm writes the alarm, its history and
// the actions that are due in one transaction: an action is carried out at least once, whenever the server is killed.
// A change that another server made to a shared database is seen with the next minute.
//
// An alarm looks at whole periods that end at a whole minute, or at a multiple of ten seconds if its periods are
// shorter; what was measured has three seconds to arrive. The window slides: an alarm on periods of an hour is
// evaluated every minute, over the hours that end then.
package alarm
