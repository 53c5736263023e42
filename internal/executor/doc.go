// Package executor runs function versions in execution environments: real child processes that speak the Lambda
// Runtime API. It is the only package that starts processes.
//
// An [Executor] has a pool of environments for each version. [Executor.Invoke] takes the idle environment of the
// version that was used last, or makes one, and runs one invocation on it on the calling goroutine:
//
//	Executor     admits, pools, expires and ends environments         executor.go, admission.go, pool.go
//	provision    environments that are initialised ahead             ahead.go
//	environment  one version, one process, one invocation at a time   environment.go, env.go, memory.go
//	session      the Runtime API of one process                       runtimeapi.go, runtimeroutes.go
//	relay        a response that is passed on while it arrives        stream.go
//	extensions   the programs beside the runtime                       extensions.go, extensionroutes.go, extensionlife.go, shutdown.go
//	subscription telemetry for extensions                              telemetry.go, telemetryroutes.go
//	zygote       an interpreter that waits for its function           zygote.go, runtime/zygote.cjs
//	conn         one HTTP/1.1 connection of a runtime                 conn.go, httpwire.go
//	journal      the log of an environment                            logs.go, logqueue.go, loglevel.go
//	record       what the platform says in it, as text and as JSON    records.go, report.go
//	Interpreter  what runs a runtime identifier                       runtimes.go, runtime/
//
// # Ownership
//
// An environment has one owner at a time: the goroutine that initialises it or invokes it, or one that waits
// until its runtime has settled. An idle environment belongs to the executor. Only the owner talks to the
// runtime; the executor's lock is held for bookkeeping, never while something is waited for.
//
// # Admission
//
// One critical section checks the limits, takes an environment and counts; what gives the environment back counts
// down and lets in who waits. Provisioned environments are part of a function's reservation, or else of what
// the functions without one share, and only invocations of their version can use them.
//
// # Speed
//
// Handing an invocation from goroutine to goroutine costs more than everything else that the server does for
// it. So the goroutine that invokes writes the invocation to the connection on which the runtime waits and
// reads the response from it (see session), the stack of idle environments keeps what is warm in use, and the
// bootstraps of the package send a response together with the request for the next invocation.
// They speak it on a socket that they have inherited; everybody else finds it at AWS_LAMBDA_RUNTIME_API.
//
// An interpreter takes longer to start than most functions take to load. So the next one of a kind that has been used is
// started ahead, in a sandbox of its own (see zygote): the code is mounted late, and the environment variables replaced.
//
// # Streaming
//
// A response that a function writes piece by piece goes from its connection to the caller on the goroutine that
// invokes (see relay). It reads the next piece when the caller has taken the last: a slow caller slows the function
// down, until its time is over, and nothing but a piece is kept. A caller that goes away changes nothing for the function.
//
// # Extensions
//
// External extensions are started before the runtime, which is started when all have registered. An initialisation ends
// when the runtime and every extension have asked for the next event; so does an invocation, though the caller has the
// answer before. An extension that ends is the end of its environment. Their connections are not the runtime's: see
// setAside. What they subscribe to is copied from the journal, and never waited for.
//
// # Life
//
// The runtime is started with the first invocation and has 10 s to ask for it. If it fails to, or reports an
// error, the invocation repeats the initialisation within its own time limit, as on AWS. A runtime that answers
// is used again. One that runs into the time limit, or ends, is killed with everything that it has started, and
// so is its environment; if it has extensions, they are told first and have up to 2 s. An invocation that has begun runs to its end, whoever has lost interest in it.
//
// No process outlives its environment, or the server, however the server ends: see package sandbox. On a kernel that
// grants no pid namespaces this is weaker, and New says so in the log.
package executor
