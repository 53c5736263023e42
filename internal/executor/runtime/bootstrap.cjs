// Runs a Node.js handler: asks the Runtime API for invocations and answers them.
//
// Behaves like the runtime interface client of AWS Lambda, and starts faster: the HTTP client is a socket. The
// response and the request for the next invocation are sent together, which saves a round trip.
'use strict';

const fs = require('fs');
const net = require('net');
const path = require('path');
const util = require('util');

// What this file needs is loaded and compiled first; then, if nobody knows the function yet, the interpreter waits. All
// that depends on environment variables comes after that: see begin.
let inherited, hasCallbacks, api, nextRequest, jsonLogs, place;

// ---- Errors -----------------------------------------------------------------------------------------

function runtimeError(name, message, cause) {
  const error = new Error(message);
  error.name = `Runtime.${name}`;
  if (cause && typeof cause.stack === 'string') {
    error.stack = `${error.name}: ${cause.stack}`;
  } else {
    Error.captureStackTrace(error, runtimeError);
  }
  return error;
}

function isError(value) {
  return util.types.isNativeError(value) ||
    (value && typeof value.name === 'string' && typeof value.message === 'string' && typeof value.stack === 'string');
}

// describe returns what the caller gets of an error.
function describe(error) {
  try {
    if (isError(error)) {
      return {
        errorType: error.name.replaceAll('\x7f', '%7F'),
        errorMessage: error.message.replaceAll('\x7f', '%7F'),
        trace: String(error.stack).replaceAll('\x7f', '%7F').split('\n'),
      };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage: 'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
    };
  }
}

// causeOf returns what X-Ray gets of an error, as a header line or nothing.
function causeOf(error) {
  if (!isError(error) || !error.stack) {
    return '';
  }
  const stack = String(error.stack).split('\n').slice(1).map((line) => {
    const match = /^\s*at (?:(.*) \()?(.*?):(\d+)(?::\d+)?\)?$/.exec(line);
    return match ? { path: match[2], line: parseInt(match[3], 10), label: match[1] || 'anonymous' } : null;
  }).filter(Boolean);
  const cause = JSON.stringify({
    working_directory: process.cwd(),
    exceptions: [{ type: error.name, message: error.message, stack }],
    paths: [...new Set(stack.map((frame) => frame.path))],
  }).replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return cause.length < 1024 * 1024 ? `Lambda-Runtime-Function-XRay-Error-Cause: ${cause}\r\n` : '';
}

// formatted returns an error as the log shows it, with what JSON.stringify leaves out of errors.
function formatted(error) {
  const expand = (_, value) => {
    if (!(value instanceof Error)) {
      return value;
    }
    const all = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
    if (typeof value.stack === 'string') {
      all.stack = value.stack.split('\n');
    }
    return all;
  };
  try {
    return `\t${JSON.stringify(error, expand)}`;
  } catch {
    return `\t${JSON.stringify(describe(error))}`;
  }
}

// ---- Log --------------------------------------------------------------------------------------------

let requestId;

const pause = new Int32Array(new SharedArrayBuffer(4));

// print writes all of a text to the log. The pipe may be set not to block, by process.stdout for one.
function print(text) {
  let data = Buffer.from(text);
  while (data.length > 0) {
    try {
      data = data.subarray(fs.writeSync(1, data));
    } catch (error) {
      if (error.code !== 'EAGAIN') {
        return;
      }
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

// errorFields returns what a log line in JSON format says of an error.
function errorFields(error) {
  return {
    errorType: error?.constructor?.name ?? 'UnknownError',
    errorMessage: error.message,
    stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : [],
  };
}

function jsonLine(level, args) {
  const line = { timestamp: new Date().toISOString(), level, requestId };
  if (args.length > 1) {
    const error = args.slice(1).find((arg) => arg instanceof Error);
    return JSON.stringify({ ...line, message: util.format(...args), ...(error && errorFields(error)) });
  }
  try {
    const expand = (_, value) => (value instanceof Error ? { ...errorFields(value), ...value } : value);
    return JSON.stringify({ ...line, message: args[0] }, expand);
  } catch {
    return JSON.stringify({ ...line, message: util.format(args[0]) });
  }
}

function log(level, ...args) {
  if (jsonLogs) {
    print(`${jsonLine(level, args)}\n`);
    return;
  }
  const line = `${new Date().toISOString()}\t${requestId}\t${level}\t${util.format(...args)}`;
  // A carriage return is a line break inside one log event.
  print(`${line.replace(/\n/g, '\r')}\n`);
}

function patchConsole() {
  const levels = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
  const least = Math.max(levels.indexOf((process.env.AWS_LAMBDA_LOG_LEVEL || 'TRACE').toUpperCase()), 0);
  levels.forEach((level, index) => {
    console[level.toLowerCase()] = index >= least ? (...args) => log(level, ...args) : () => {};
  });
  console.log = console.info;
}

function logError(title, error) {
  if (jsonLogs) {
    console.error(title, error instanceof Error ? error : new Error(error));
    return;
  }
  console.error(title, formatted(error instanceof Error ? error : new Error(error)));
}

// ---- Runtime API ------------------------------------------------------------------------------------

// What an invocation in the compact form has before its payload, a line each: see compact.go.
const compactFields = [
  'lambda-runtime-deadline-ms', 'lambda-runtime-aws-request-id', 'lambda-runtime-invoked-function-arn',
  'lambda-runtime-trace-id', 'lambda-runtime-client-context', 'lambda-runtime-cognito-identity',
];
const compactAsk = '\x01';
const compactAnswer = 2;

// Client is a connection to the Runtime API; what comes in goes to onReply.
class Client {
  constructor(onReply) {
    this.onReply = onReply;
    this.received = [];
    this.size = 0;
    this.wanted = 0; // how many bytes make a reply, once its head is there
  }

  take(data) {
    this.received.push(data);
    this.size += data.length;
    while (this.size > 0 && this.size >= this.wanted) {
      const all = this.received.length === 1 ? this.received[0] : Buffer.concat(this.received);
      this.received = [all];
      if (!(all[0] === compactAnswer ? this.takeCompact(all) : this.takeHTTP(all))) {
        return;
      }
    }
  }

  takeCompact(all) {
    const start = all.length < 9 ? 0 : 9 + all.readUInt32LE(1);
    this.wanted = start && start + all.readUInt32LE(5);
    if (!start || all.length < this.wanted) {
      return false;
    }
    const values = all.latin1Slice(9, start).split('\n');
    const headers = {};
    for (let n = 0; n < compactFields.length; n++) {
      if (values[n]) {
        headers[compactFields[n]] = values[n];
      }
    }
    this.reply(200, headers, start);
    return true;
  }

  takeHTTP(all) {
    const end = all.indexOf('\r\n\r\n');
    if (end < 0) {
      return false;
    }
    const [status, ...lines] = all.toString('latin1', 0, end).split('\r\n');
    const headers = {};
    for (const line of lines) {
      const colon = line.indexOf(': ');
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 2);
    }
    this.wanted = end + 4 + Number(headers['content-length'] || 0);
    if (all.length < this.wanted) {
      return false;
    }
    this.reply(Number(status.slice(9, 12)), headers, end + 4);
    return true;
  }

  // reply passes a reply on whose body starts there and ends where the reply does.
  reply(status, headers, start) {
    const [all] = this.received;
    const body = all.utf8Slice(start, this.wanted);
    this.received = all.length > this.wanted ? [all.subarray(this.wanted)] : [];
    this.size = all.length - this.wanted;
    this.wanted = 0;
    this.onReply(status, headers, body);
  }

  // post sends a response or an error, and asks for the next invocation unless afterReply says what to do instead.
  post(where, body, headers, afterReply) {
    this.afterReply = afterReply;
    this.send(`POST /2018-06-01/runtime/${where} HTTP/1.1\r\nHost: ${api}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}${afterReply ? '' : nextRequest}`);
  }

  // respond sends what a handler has returned, and asks for the next invocation.
  respond(id, body) {
    if (!inherited) {
      this.post(`invocation/${id}/response`, body, '');
      return;
    }
    this.afterReply = undefined;
    const length = Buffer.byteLength(body);
    const message = Buffer.allocUnsafe(6 + id.length + length);
    message[0] = compactAnswer;
    message[1] = id.length;
    message.writeUInt32LE(length, 2);
    message.latin1Write(id, 6);
    message.utf8Write(body, 6 + id.length);
    this.send(message);
  }

  // next asks for an invocation.
  next() {
    this.send(nextRequest);
  }
}

// SocketClient is a connection that the event loop serves.
class SocketClient extends Client {
  constructor(onReply, socket) {
    super(onReply);
    this.socket = socket;
    socket.on('data', (data) => this.take(data));
    socket.unref();
    // Without the server there is nothing to do.
    socket.on('error', () => process.exit(1));
    socket.on('close', () => process.exit(1));
  }

  // The socket keeps the process alive only while there is an invocation to wait for, so that
  // 'beforeExit' tells when a handler has nothing left to do.
  send(data) {
    this.socket.ref();
    this.socket.write(data);
  }

  // leave lets the process end, while a handler runs.
  leave() {
    this.socket.unref();
  }

  // write sends parts of a response, and tells when the socket wants more.
  write(parts, callback) {
    this.socket.cork();
    parts.slice(0, -1).forEach((part) => this.socket.write(part));
    this.socket.write(parts.at(-1), callback);
    this.socket.uncork();
  }
}

// BlockingClient is the inherited connection of a function that does not stream. It waits for an invocation without
// the event loop, which is faster, when there is nothing that the loop would do meanwhile.
class BlockingClient extends Client {
  constructor(onReply) {
    super(onReply);
    this.waiting = false;
    this.room = Buffer.allocUnsafeSlow(64 << 10);
  }

  send(data) {
    let rest = typeof data === 'string' ? Buffer.from(data) : data;
    try {
      for (;;) {
        const count = fs.writeSync(3, rest);
        if (count === rest.length) {
          break;
        }
        rest = rest.subarray(count);
      }
    } catch {
      process.exit(1);
    }
    this.waiting = true;
    setImmediate(() => this.wait());
  }

  leave() {
    this.waiting = false;
  }

  wait() {
    while (this.waiting) {
      if (process.listenerCount('SIGTERM') > 0 || process.getActiveResourcesInfo().length > 0) {
        fs.read(3, this.room, 0, this.room.length, null, (error, count) => {
          this.got(error ? 0 : count);
          this.wait();
        });
        return;
      }
      let count = 0;
      try {
        count = fs.readSync(3, this.room, 0, this.room.length, null);
      } catch {
        // as if the server had gone
      }
      this.got(count);
    }
  }

  got(count) {
    if (count === 0) {
      process.exit(1); // without the server there is nothing to do
    }
    this.take(this.room.subarray(0, count));
    if (this.received.length > 0) { // the room is needed again
      this.received = [Buffer.concat(this.received)];
    }
  }
}

// ---- Response streaming -----------------------------------------------------------------------------

// The marks of a handler that writes its response to a stream, by the names that AWS gives them.
const streamed = Symbol.for('aws.lambda.runtime.handler.streaming');
const streamBuffer = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

globalThis.awslambda = {
  streamifyResponse(handler, options) {
    handler[streamed] = 'response';
    if (typeof options?.highWaterMark === 'number') {
      handler[streamBuffer] = options.highWaterMark;
    }
    return handler;
  },
  HttpResponseStream: {
    // from makes what is written to a stream the body of an HTTP response: metadata has statusCode, headers, cookies.
    from(stream, metadata) {
      stream.setContentType('application/vnd.awslambda.http-integration-response');
      stream.prelude = Buffer.concat([Buffer.from(JSON.stringify(metadata ?? {})), Buffer.alloc(8)]);
      return stream;
    },
  },
};

// ---- Handler ----------------------------------------------------------------------------------------

function isModule(folder) {
  for (let at = folder; !at.endsWith('/node_modules'); at = path.dirname(at)) {
    const file = path.join(at, 'package.json');
    if (fs.existsSync(file)) {
      try {
        return JSON.parse(fs.readFileSync(file, 'utf8')).type === 'module';
      } catch (error) {
        console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
        return false;
      }
    }
    if (at === path.dirname(at)) {
      break;
    }
  }
  return false;
}

async function loadModule(root, folder, name) {
  const base = path.resolve(root, folder, name);
  const required = (suffix) => fs.existsSync(base + suffix) ? [require(base + suffix)] : null;
  const imported = async (suffix) => fs.existsSync(base + suffix) ? [await import(base + suffix)] : null;
  const module = isModule(path.dirname(base));
  const typed = Number(process.versions.node.split('.')[0]) >= 24;
  const loaded = required('') ||
    (module ? await imported('.js') : required('.js')) ||
    await imported('.mjs') ||
    required('.cjs') ||
    (typed && ((module ? await imported('.ts') : required('.ts')) || await imported('.mts') || required('.cts')));
  if (loaded) {
    return loaded[0];
  }
  return require(require.resolve(name, { paths: [root, folder] }));
}

async function load(root, handler) {
  if (handler.includes('..')) {
    throw runtimeError('MalformedHandlerName',
      `'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const file = path.basename(handler);
  const folder = handler.slice(0, handler.lastIndexOf(file));
  const match = /^([^.]*)\.(.*)$/.exec(file);
  if (!match) {
    throw runtimeError('MalformedHandlerName', 'Bad handler');
  }
  let module;
  try {
    module = await loadModule(root, folder, match[1]);
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw runtimeError('UserCodeSyntaxError', String(error), error);
    }
    if (error && (error.code === 'MODULE_NOT_FOUND' || error.code === 'ERR_MODULE_NOT_FOUND')) {
      throw runtimeError('ImportModuleError', String(error), error);
    }
    throw error;
  }
  const lookUp = (object) => match[2].split('.').reduce((nested, key) => nested && nested[key], object);
  const found = lookUp(module) ?? (module && module.default ? lookUp(module.default) : undefined);
  if (!found) {
    throw runtimeError('HandlerNotFound', `${handler} is undefined or not exported`);
  }
  if (typeof found !== 'function') {
    throw runtimeError('HandlerNotFound', `${handler} is not a function`);
  }
  if (!hasCallbacks && found.length >= 3 && !found[streamed]) {
    throw runtimeError('CallbackHandlerDeprecated',
      'AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use a supported handler signature to use Node.js 24 or later.');
  }
  return found;
}

// ---- Invocations ------------------------------------------------------------------------------------

class Runtime {
  constructor() {
    this.onReply = this.onReply.bind(this);
    this.client = inherited ? new BlockingClient(this.onReply) : new SocketClient(this.onReply, connect());
    this.idle = null; // what to do when the event loop is empty
    // The path of an error that nobody catches: it ends the process.
    this.errorPath = 'init/error';
    process.on('beforeExit', () => {
      const act = this.idle;
      this.idle = null;
      if (act) {
        act();
      }
    });
    process.on('uncaughtException', (error) => {
      logError('Uncaught Exception', error);
      this.abort(error, 129);
    });
    process.on('unhandledRejection', (reason) => {
      const error = runtimeError('UnhandledPromiseRejection', reason instanceof Error ? String(reason) : util.format(reason));
      error.reason = reason;
      logError('Unhandled Promise Rejection', error);
      this.abort(error, 128);
    });
  }

  abort(error, status) {
    if (!this.errorPath) {
      process.exit(status);
    }
    const to = this.errorPath;
    this.errorPath = null;
    if (this.turn?.stream?.begun) {
      this.turn.stream.abort(error, () => process.exit(status));
      return;
    }
    this.client.post(to, JSON.stringify(describe(error)), this.errorHeaders(error), () => process.exit(status));
  }

  errorHeaders(error) {
    const { errorType } = describe(error);
    return /^[\x20-\x7e]+$/.test(errorType) ? `Lambda-Runtime-Function-Error-Type: ${errorType}\r\n${causeOf(error)}` : causeOf(error);
  }

  async start(root, handler) {
    try {
      this.handler = await load(root, handler);
      this.Turn = Turn;
      if (this.handler[streamed]) {
        this.Turn = require('./streaming.cjs')({ Turn, describe, logError, runtimeError });
        if (inherited) {
          this.client = new SocketClient(this.onReply, new net.Socket({ fd: 3, readable: true, writable: true }));
        }
      }
    } catch (error) {
      logError('Uncaught Exception', error);
      this.abort(error, 129);
      return;
    }
    this.errorPath = null;
    this.client.next();
  }

  onReply(status, headers, body) {
    if ('lambda-runtime-aws-request-id' in headers) {
      this.client.leave();
      this.invoke(headers, body);
      return;
    }
    if (this.client.afterReply) {
      this.client.afterReply();
    } else if (status >= 400 && status !== 413) {
      process.stderr.write(`The Runtime API refused a response: ${status} ${body}\n`);
    }
  }

  invoke(headers, body) {
    const id = headers['lambda-runtime-aws-request-id'];
    requestId = id;
    global[Symbol.for('aws.lambda.runtime.requestId')] = id;
    this.errorPath = `invocation/${id}/error`;
    const turn = new this.Turn(this, id, this.handler[streamBuffer]);
    this.turn = turn;
    const trace = headers['lambda-runtime-trace-id'];
    if (trace) {
      process.env._X_AMZN_TRACE_ID = trace;
    } else {
      delete process.env._X_AMZN_TRACE_ID;
    }
    // A handler that neither returns a promise nor calls back has ended when nothing is left to do.
    this.idle = () => turn.abandoned(this.handler.constructor.name === 'AsyncFunction');
    try {
      turn.run(this.handler, JSON.parse(body), turn.context(headers));
    } catch (error) {
      turn.fail(error);
    }
  }
}

// Turn is one invocation: it is answered once.
class Turn {
  constructor(runtime, id) {
    this.runtime = runtime;
    this.id = id;
    this.finished = false;
    this.given = null; // the context
    this.callback = this.once((error, result) => {
      if (error !== undefined && error !== null) {
        this.postError(error);
      } else if (this.given.callbackWaitsForEmptyEventLoop) {
        this.runtime.idle = () => setImmediate(() => this.postResult(result));
      } else {
        this.postResult(result);
      }
    });
    this.done = this.once((error, result) => {
      if (error !== undefined && error !== null) {
        this.postError(error);
      } else {
        this.postResult(result);
      }
    });
    this.succeed = (result) => this.done(null, result);
    this.fail = (error) => this.done(error ?? 'handled');
  }

  run(handler, event, context) {
    const result = handler(event, context, this.callback);
    if (result && typeof result.then === 'function') {
      result.then(this.succeed, this.fail);
    }
  }

  once(f) {
    return (...args) => {
      if (!this.finished) {
        this.finished = true;
        this.runtime.idle = null;
        f(...args);
      }
    };
  }

  abandoned(isAsync) {
    if (isAsync && !hasCallbacks) {
      this.fail(runtimeError('NodeJsExit', 'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes'));
    } else {
      this.succeed(null);
    }
  }

  context(headers) {
    const parse = (name, title) => {
      if (headers[name] === undefined) {
        return undefined;
      }
      try {
        return JSON.parse(Buffer.from(headers[name], 'latin1').toString());
      } catch (error) {
        throw new Error(`Cannot parse ${title} as json: ${error}`);
      }
    };
    const deadline = Number(headers['lambda-runtime-deadline-ms']);
    this.given = {
      callbackWaitsForEmptyEventLoop: true,
      functionVersion: place.functionVersion,
      functionName: place.functionName,
      memoryLimitInMB: place.memoryLimitInMB,
      logGroupName: place.logGroupName,
      logStreamName: place.logStreamName,
      clientContext: parse('lambda-runtime-client-context', 'ClientContext'),
      identity: parse('lambda-runtime-cognito-identity', 'CognitoIdentity'),
      invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
      awsRequestId: headers['lambda-runtime-aws-request-id'],
      tenantId: headers['lambda-runtime-aws-tenant-id'],
      getRemainingTimeInMillis: () => deadline - Date.now(),
    };
    if (hasCallbacks) {
      this.given.succeed = this.succeed;
      this.given.fail = this.fail;
      this.given.done = this.done;
    }
    return this.given;
  }

  postResult(result) {
    let body;
    try {
      body = JSON.stringify(result === undefined ? null : result) ?? 'null';
    } catch {
      this.postError(runtimeError(hasCallbacks ? 'BodyStringifyError' : 'JSONStringifyError', 'Unable to stringify response body'));
      return;
    }
    this.answered();
    this.runtime.client.respond(this.id, body);
  }

  postError(error) {
    logError('Invoke Error', error);
    this.answered();
    this.runtime.client.post(`invocation/${this.id}/error`, JSON.stringify(describe(error)), this.runtime.errorHeaders(error));
  }

  answered() {
    this.runtime.idle = null;
    this.runtime.errorPath = null;
  }
}

function connect() {
  const colon = api.lastIndexOf(':');
  return net.connect({ host: api.slice(0, colon), port: Number(api.slice(colon + 1)), noDelay: true });
}

function begin() {
  // The release of the runtime that was asked for, which may not be that of the interpreter.
  const release = parseInt((process.env.AWS_EXECUTION_ENV || '').replace('AWS_Lambda_nodejs', ''), 10) || 22;
  hasCallbacks = release < 24;
  api = process.env.AWS_LAMBDA_RUNTIME_API;
  nextRequest = inherited ? compactAsk : `GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: ${api}\r\n\r\n`;
  place = { // what every context says of the function; reading a variable takes long
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
  };
  jsonLogs = process.env.AWS_LAMBDA_LOG_FORMAT === 'JSON';
  patchConsole();
  new Runtime().start(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
}

// Whether descriptor 3 is a connection to the Runtime API. Node.js has made sure that other programs do not get it.
inherited = Boolean(process.env._SERIN_SOCKET || process.env._SERIN_ZYGOTE);
if (process.env._SERIN_ZYGOTE) {
  require('./zygote.cjs')();
}
delete process.env._SERIN_SOCKET;
begin();
