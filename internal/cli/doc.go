// Package cli is the serin command line: one file per command, and beside them what commands share.
//
// [Main] runs one command inside the calling process and returns its exit code, so that tests run commands
// as the shell does. Everything a command knows of the outside comes in a [System]: streams, environment and,
// if a person is there, a terminal. Data goes to standard output and nothing else does; text for people goes
// to standard error. Prompts need a terminal: without one a command acts on what its flags say.
//
// ship is a pipeline. What it does and what it sees become events; the difference between two successive
// documents of a release is a list of events, so none is lost however rarely the document is seen. Sinks turn
// events into what --events prints, into lines, or into the live view. Rendering is pure: text is a function
// of documents.
package cli
