package executor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"serin"
	"serin/internal/sandbox"
)

// environment is an execution environment: one process at a time that serves one invocation at a time of one
// version.
//
// It has one owner: the goroutine that initialises it, invokes it or waits for it to settle. An idle
// environment is owned by the executor, which hands it out and ends it under its lock. The fields of the second
// group change only under that lock.
type environment struct {
	executor    *Executor
	pool        *pool
	spec        *Spec
	id          string
	created     time.Time
	stream      LogStream
	journal     *journal
	interpreter Interpreter
	memory      memory
	deadline    time.Time // of the last invocation
	api         *session
	output      *outputPipe

	sandbox     *sandbox.Sandbox
	paths       sandbox.Paths
	process     *sandbox.Process
	zygote      *zygote // that is to be the process
	ice         ice
	state       State
	idleSince   time.Time
	invocations int
	retired     bool
	provisioned bool        // never changes
	slot        slot        // of the invocation that it runs
	spilled     bool        // it runs an invocation for which no provisioned environment was free
	reason      endReason   // why it ends, if not because nobody needs it
	unwanted    atomic.Bool // nobody waits for its initialisation any more
}

// newEnvironment makes an environment without a process.
func (e *Executor) newEnvironment(p *pool, s *Spec) *environment {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	id := hex.EncodeToString(random[:])
	now := time.Now()
	env := &environment{
		executor: e, pool: p, spec: s, id: id, created: now, state: StateStarting,
	}
	env.stream = LogStream{
		Function: s.Function, Version: s.Version, Group: s.LogGroup,
		Name: now.UTC().Format("2006/01/02/[") + s.Version + "]" + id,
	}
	env.journal = newJournal(s, &env.stream, e.cfg.Logs)
	return env
}

// isNew reports whether the environment has never been initialised. Only its owner may ask.
func (env *environment) isNew() bool { return env.process == nil }

// initialise starts the runtime and waits until it asks for an invocation. It returns how long that
// took and, if the function failed to initialise, why. An error is the server's.
func (env *environment) initialise(ctx context.Context, limit time.Duration, phase string) (*initFailure, time.Duration, error) {
	if err := env.prepare(ctx); err != nil {
		return nil, 0, err
	}
	defer env.executor.host.Refill()
	env.logInitStart(phase)
	start := time.Now()
	until := start.Add(limit)
	if err := env.start(until); err != nil {
		env.executor.log.ErrorContext(ctx, "cannot start an execution environment", "function", env.spec.Function, "version", env.spec.Version, "error", err)
		return nil, 0, fmt.Errorf("start environment: %w", errors.Join(err, &serin.Error{
			Kind: serin.KindInternal, Message: "The server could not start an execution environment. Retry the request.",
		}))
	}
	err := env.api.awaitReady(until)
	a := env.api.take()
	if err == nil && a == nil {
		err = env.api.extensions.awaitSettled(until)
	}
	took := time.Since(start)
	env.settleExtensions()
	var failure *initFailure
	switch {
	case err == nil && a == nil:
		env.executor.wantZygotes(&env.interpreter)
		env.executor.wantCode(&env.interpreter, env.spec)
		env.logInit(took, phase, "", "")
		return nil, took, nil
	case err == nil:
		failure = &initFailure{payload: a.payload, errorType: a.errorType, repeatable: true}
	case errors.Is(err, errTime):
		failure = &initFailure{timeout: true, repeatable: true}
	default:
		if failure = env.extensionFailure(); failure == nil {
			failure = env.exitFailure()
		}
	}
	if env.sandbox.Reset() != nil {
		env.sandbox.Close()
	}
	env.disconnect()
	if env.executor.killing.Load() {
		return nil, took, errShutdown
	}
	status := "error"
	if failure.timeout {
		status = "timeout"
	}
	env.logInit(took, phase, status, failure.errorType)
	return failure, took, nil
}

// logInit logs how an initialisation ended. status is empty if it succeeded.
func (env *environment) logInit(took time.Duration, phase, status, errorType string) {
	if env.journal.wanted() {
		env.output.drain()
		now := time.Now()
		done, report := initRecords(took, phase, status, errorType)
		env.journal.platform(now, done)
		env.journal.platform(now, report)
	}
}

// prepare does what only the first initialisation needs.
func (env *environment) prepare(ctx context.Context) error {
	if env.interpreter.Runtime != "" {
		return nil
	}
	in, err := env.executor.Resolve(ctx, env.spec.Runtime)
	if err != nil {
		return err
	}
	env.interpreter = in
	return nil
}

// logInitStart logs that an initialisation begins.
func (env *environment) logInitStart(phase string) {
	if !env.journal.wanted() {
		return
	}
	name := env.interpreter.family + ":" + env.interpreter.Version
	digest := sha256.Sum256([]byte(name))
	arn := "arn:aws:lambda:" + env.executor.cfg.Region + "::runtime:" + hex.EncodeToString(digest[:])
	env.journal.platform(time.Now(), initStartRecord(env.spec, phase, name, arn))
}

// start starts the extensions, and the runtime process when all of them have registered.
func (env *environment) start(until time.Time) error {
	e, s := env.executor, env.spec
	if err := env.enter(); err != nil {
		return err
	}
	listener, err := env.sandbox.Listen()
	if err != nil {
		return err
	}
	api := newSession(listener)
	p, output, err := env.begin(api, until)
	if err != nil {
		api.close()
		return err
	}
	e.mu.Lock()
	env.api, env.output, env.process = api, output, p
	env.memory = memory{limit: s.MemoryMB}
	e.mu.Unlock()
	api.extensions.guard(p)
	if env.doomed() {
		env.sandbox.Kill()
	}
	e.background.Go(func() {
		<-p.Done()
		api.exit()
		e.ended(env)
	})
	return nil
}

// begin starts the extensions and, if they have all registered, the runtime.
func (env *environment) begin(api *session, until time.Time) (*sandbox.Process, *outputPipe, error) {
	switch ready, err := env.launch(api, until); {
	case err != nil:
		return nil, nil, err
	case !ready:
		return env.runNothing()
	default:
		return env.run(api)
	}
}

// enter makes sure that there is a sandbox with the function in it.
func (env *environment) enter() error {
	e, s := env.executor, env.spec
	if env.sandbox != nil {
		select {
		case <-env.sandbox.Done(): // it was out of memory
		default:
			return nil
		}
	}
	contents := &sandbox.Contents{
		Task: s.CodeDir, Layers: s.LayersDir, Show: env.interpreter.shown, TmpMB: s.TmpMB, MemoryMB: s.MemoryMB,
	}
	var place *sandbox.Sandbox
	z := e.takeZygote(&env.interpreter, s)
	if z != nil {
		place, contents.Show = z.place, nil // it is shown already
	} else {
		var err error
		if place, err = e.host.New(); err != nil {
			return err
		}
	}
	paths, err := place.Enter(contents)
	if err != nil {
		place.Close()
		z.end()
		return err
	}
	e.connect(place, s)
	e.mu.Lock()
	defer e.mu.Unlock()
	env.sandbox, env.paths, env.zygote = place, paths, z
	return nil
}

// run starts the runtime, which is a client of api.
func (env *environment) run(api *session) (*sandbox.Process, *outputPipe, error) {
	if z := env.zygote; z != nil {
		env.zygote = nil
		p, output, err := env.adopt(z, api)
		if err == nil {
			return p, output, nil
		}
		if err := env.sandbox.Reset(); err != nil { // it has ended meanwhile
			return nil, nil, err
		}
	}
	argv := env.interpreter.command(env.spec, &env.paths)
	command := &sandbox.Command{Args: argv, Env: env.variables(env.sandbox.Address, &env.paths)}
	socket, err := env.inherit(command)
	if err != nil {
		return nil, nil, err
	}
	p, output, err := env.spawn(command, &env.journal.function)
	if socket != nil {
		_ = command.Extra.Close()
		api.admitInherited(socket)
	}
	return p, output, err
}

// spawn starts a process whose output is logged.
func (env *environment) spawn(c *sandbox.Command, source *lineSource) (*sandbox.Process, *outputPipe, error) {
	output, err := newOutputPipe(env.journal, source)
	if err != nil {
		return nil, nil, err
	}
	go output.run()
	c.Path, c.Dir, c.Output = c.Args[0], env.paths.Task, output.write
	p, err := env.sandbox.Start(c)
	_ = output.write.Close()
	if err != nil {
		output.close()
		return nil, nil, err
	}
	return p, output, nil
}

// stop ends the process and waits until it and everything that it had started are gone.
func (env *environment) stop() {
	env.sandbox.Close()
	if env.process != nil {
		env.disconnect()
	}
}

// disconnect ends what the server has to do with a runtime whose processes are gone.
func (env *environment) disconnect() {
	<-env.process.Done()
	env.output.drain()
	env.output.close()
	env.api.extensions.disconnect()
	env.journal.unsubscribe()
	env.api.close()
}

// end ends the environment.
func (env *environment) end() {
	if env.sandbox != nil {
		env.farewell()
		env.stop()
	}
}

// beginLog starts the log of an invocation. What the function has written before belongs in front of it.
func (env *environment) beginLog(in *Invocation, at time.Time) {
	env.deadline = at.Add(env.spec.Timeout)
	wanted := in.Tail || env.journal.wanted()
	if wanted {
		env.output.drain()
	}
	env.journal.begin(in.RequestID, in.Tail)
	if wanted {
		env.journal.platform(at, startRecord(in, env.spec.Version))
	}
}

// invoke runs an invocation on an environment that is ready.
func (env *environment) invoke(in *Invocation, start time.Time, r *Result) *Result {
	env.beginLog(in, start)
	return env.answerOf(in, start, r)
}

// answerOf gives an invocation, whose log has begun, to the runtime and waits for the answer.
func (env *environment) answerOf(in *Invocation, start time.Time, r *Result) *Result {
	err := errExited
	d := &delivery{Invocation: in, deadline: env.deadline}
	if env.api.deliver(d) {
		env.api.tellInvocation(d)
		err = env.api.awaitAnswer(env.deadline)
	}
	r.Streamed = d.begun
	switch {
	case err == nil:
		a := env.api.take()
		r.Payload, r.ContentType, r.ErrorType = a.payload, a.contentType, a.errorType
		if a.broken {
			env.failWith(in, start, r, serin.OutcomeCrash, a.errorType, "Runtime closed the connection in the middle of the response")
			return r
		}
		if a.failed {
			r.FunctionError, r.Outcome = "Unhandled", serin.OutcomeFunctionError
		}
		env.finish(in, start, r, "", "")
	case errors.Is(err, errTime):
		if len(env.api.extensions.list) == 0 {
			env.sandbox.Kill()
		} // else they are told, after the caller
		env.failWith(in, start, r, serin.OutcomeTimeout, "Sandbox.Timedout", timeoutText(env.spec.Timeout))
	default:
		<-env.process.Done()
		errorType, message := "Runtime.ExitError", exitMessage(env.process.End())
		if f := env.extensionFailure(); f != nil {
			errorType, message = f.errorType, f.message
		}
		env.failWith(in, start, r, serin.OutcomeCrash, errorType, message)
	}
	return r
}

// fail ends an invocation whose environment could not be initialised.
func (env *environment) fail(in *Invocation, start time.Time, r *Result, f *initFailure) {
	switch {
	case f.timeout:
		env.failWith(in, start, r, serin.OutcomeTimeout, "Sandbox.Timedout", timeoutText(env.spec.Timeout))
	case f.message != "":
		env.failWith(in, start, r, serin.OutcomeInitError, f.errorType, f.message)
	default:
		r.Payload, r.FunctionError, r.Outcome = f.payload, "Unhandled", serin.OutcomeInitError
		env.finish(in, start, r, "error", f.errorType)
	}
}

// failWith ends an invocation that the platform has ended.
func (env *environment) failWith(in *Invocation, start time.Time, r *Result, o serin.Outcome, errorType, message string) {
	text := "RequestId: " + in.RequestID + " Error: " + message
	r.Payload, r.FunctionError, r.Outcome, r.ErrorType = errorPayload(errorType, text), "Unhandled", o, errorType
	env.output.drain()
	now := time.Now()
	if o == serin.OutcomeTimeout {
		env.journal.platform(now, faultRecord(fmt.Appendf(nil, "%s %s %s", now.UTC().Format(timeFormat), in.RequestID, message)))
		env.finish(in, start, r, "timeout", "")
		return
	}
	env.journal.platform(now, faultRecord([]byte(text+"\n"+errorType)))
	env.finish(in, start, r, "error", errorType)
}

// finish measures an invocation and ends its log.
func (env *environment) finish(in *Invocation, start time.Time, r *Result, status, errorType string) {
	now := time.Now()
	r.Duration = now.Sub(start)
	if r.Outcome == serin.OutcomeTimeout {
		r.Duration = env.spec.Timeout
	}
	r.BilledMillis = billed(r.Duration + r.InitDuration)
	r.MaxMemoryMB = env.memory.megabytes(env.process, now)
	if env.journal.wanted() {
		env.output.drain()
		done, end, report := endRecords(in, env.spec, r, status, errorType)
		env.journal.platform(now, done)
		env.journal.platform(now, end)
		env.journal.platform(now, report)
	}
	r.Tail = env.journal.finish()
}
