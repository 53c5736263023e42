package cli

import (
	"context"
	"io"

	"serin"
	"serin/internal/api"
)

// action is what a person wants of a release that is being watched.
type action int

const (
	noAction action = iota
	actPromote
	actHold
	actResume
	actAbort
	actSkip
	actDetach
)

// instruction is what to tell the server. What leaves a step names it, so that it is left once.
func (a action) instruction(d *api.ReleaseDocument) serin.Instruction {
	switch a {
	case actPromote:
		return serin.Instruction{Command: serin.CommandPromote}
	case actHold:
		return serin.Instruction{Command: serin.CommandHold}
	case actResume:
		return serin.Instruction{Command: serin.CommandResume}
	case actAbort:
		return serin.Instruction{Command: serin.CommandAbort}
	case actSkip:
		return serin.Instruction{Command: serin.CommandSkip, Step: &d.Step}
	default:
		return serin.Instruction{}
	}
}

const (
	interrupt = 0x03 // Ctrl-C on a raw terminal
	endOfFile = 0x04 // Ctrl-D
)

// keyboard turns keys into actions. What loses something asks first.
type keyboard struct {
	question string // "" while keys are commands
	answers  map[byte]action
}

// press takes a key. The document says what the key can mean now.
func (k *keyboard) press(key byte, d *api.ReleaseDocument) action {
	if key >= 'A' && key <= 'Z' {
		key += 'a' - 'A'
	}
	if k.question != "" {
		if key == interrupt { // twice means it
			key = 'a'
		}
		chosen := k.answers[key]
		k.question, k.answers = "", nil
		return chosen
	}
	switch key {
	case 'p':
		if d.Verdict == serin.VerdictNoWorse {
			return actPromote
		}
		k.question = "promote without enough evidence? [y]es, any other key for no"
		k.answers = map[byte]action{'y': actPromote}
	case 'h':
		return actHold
	case 'r':
		return actResume
	case 'a':
		return actAbort
	case 's':
		return actSkip
	case 'd':
		return actDetach
	case interrupt, endOfFile:
		k.question = "leave? [h]old  [a]bort and roll back  [d]etach  any other key to stay"
		k.answers = map[byte]action{'h': actHold, 'a': actAbort, 'd': actDetach}
	}
	return noAction
}

// prompt is the line that says what keys do.
func (k *keyboard) prompt(d *api.ReleaseDocument) string {
	switch {
	case k.question != "":
		return k.question
	case d.Phase == serin.PhaseHeld:
		return "[p]romote  [s]kip the step  [r]esume  [a]bort  [d]etach"
	case d.Phase == serin.PhaseRunning:
		return "[p]romote  [s]kip the step  [h]old  [a]bort  [d]etach"
	default:
		return ""
	}
}

// readKeys sends what is typed until the context ends. The reader itself cannot be interrupted: it may take
// one more key.
func readKeys(ctx context.Context, in io.Reader) <-chan byte {
	keys := make(chan byte)
	go func() {
		for b := make([]byte, 1); ; {
			n, err := in.Read(b)
			if n > 0 {
				select {
				case keys <- b[0]:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return keys
}
