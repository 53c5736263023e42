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
let inherited, hasCallbacks, api, nextRequest, jsonLogs;

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

// Client keeps one connection to the Runtime API.
class Client {
  constructor(address, onReply) {
    this.onReply = onReply;
    this.received = [];
    this.size = 0;
    this.wanted = 0; // how many bytes make a reply, once its head is there
    if (inherited) {
      this.socket = new net.Socket({ fd: 3, readable: true, writable: true });
    } else {
      const colon = address.lastIndexOf(':');
      this.socket = net.connect({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)), noDelay: true });
    }
    this.socket.on('data', (data) => this.take(data));
    this.socket.unref();
    // Without the server there is nothing to do.
    this.socket.on('error', () => process.exit(1));
    this.socket.on('close', () => process.exit(1));
  }

  take(data) {
    this.received.push(data);
    this.size += data.length;
    while (this.size > 0 && this.size >= this.wanted) {
      let all = this.received.length === 1 ? this.received[0] : Buffer.concat(this.received);
      const end = all.indexOf('\r\n\r\n');
      if (end < 0) {
        this.received = [all];
        return;
      }
      const [status, ...lines] = all.toString('latin1', 0, end).split('\r\n');
      const headers = {};
      for (const line of lines) {
        const colon = line.indexOf(': ');
        headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 2);
      }
      this.wanted = end + 4 + Number(headers['content-length'] || 0);
      if (this.size < this.wanted) {
        this.received = [all];
        return;
      }
      const body = all.toString('utf8', end + 4, this.wanted);
      all = all.subarray(this.wanted);
      this.received = all.length > 0 ? [all] : [];
      this.size = all.length;
      this.wanted = 0;
      this.onReply(Number(status.slice(9, 12)), headers, body);
    }
  }

  // The socket keeps the process alive only while there is an invocation to wait for, so that
  // 'beforeExit' tells when a handler has nothing left to do.
  next() {
    this.socket.ref();
    this.socket.write(nextRequest);
  }

  // write sends parts of a response, and tells when the socket wants more.
  write(parts, callback) {
    this.socket.cork();
    parts.slice(0, -1).forEach((part) => this.socket.write(part));
    this.socket.write(parts.at(-1), callback);
    this.socket.uncork();
  }

  // post sends a response or an error, and asks for the next invocation unless afterReply says what to do instead.
  post(where, body, headers, afterReply) {
    this.afterReply = afterReply;
    this.socket.ref();
    this.socket.write(`POST /2018-06-01/runtime/${where} HTTP/1.1\r\nHost: ${api}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}${afterReply ? '' : nextRequest}`);
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
    this.client = new Client(api, (status, headers, body) => this.onReply(status, headers, body));
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
      this.Turn = this.handler[streamed] ? require('./streaming.cjs')({ Turn, describe, logError, runtimeError }) : Turn;
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
      this.client.socket.unref();
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
    this.waits = true; // callbackWaitsForEmptyEventLoop
    this.callback = this.once((error, result) => {
      if (error !== undefined && error !== null) {
        this.postError(error);
      } else if (this.waits) {
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
    const turn = this;
    const deadline = Number(headers['lambda-runtime-deadline-ms']);
    const context = {
      get callbackWaitsForEmptyEventLoop() {
        return turn.waits;
      },
      set callbackWaitsForEmptyEventLoop(value) {
        turn.waits = value;
      },
    };
    if (hasCallbacks) {
      Object.assign(context, { succeed: this.succeed, fail: this.fail, done: this.done });
    }
    return Object.assign(context, {
      functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
      functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
      memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
      logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
      logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
      clientContext: parse('lambda-runtime-client-context', 'ClientContext'),
      identity: parse('lambda-runtime-cognito-identity', 'CognitoIdentity'),
      invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
      awsRequestId: headers['lambda-runtime-aws-request-id'],
      tenantId: headers['lambda-runtime-aws-tenant-id'],
      getRemainingTimeInMillis: () => deadline - Date.now(),
    });
  }

  postResult(result) {
    let body;
    try {
      body = JSON.stringify(result === undefined ? null : result) ?? 'null';
    } catch {
      this.postError(runtimeError(hasCallbacks ? 'BodyStringifyError' : 'JSONStringifyError', 'Unable to stringify response body'));
      return;
    }
    this.post('response', body, '');
  }

  postError(error) {
    logError('Invoke Error', error);
    this.post('error', JSON.stringify(describe(error)), this.runtime.errorHeaders(error));
  }

  post(kind, body, headers) {
    this.runtime.idle = null;
    this.runtime.errorPath = null;
    this.runtime.client.post(`invocation/${this.id}/${kind}`, body, headers);
  }
}

function begin() {
  // The release of the runtime that was asked for, which may not be that of the interpreter.
  const release = parseInt((process.env.AWS_EXECUTION_ENV || '').replace('AWS_Lambda_nodejs', ''), 10) || 22;
  hasCallbacks = release < 24;
  api = process.env.AWS_LAMBDA_RUNTIME_API;
  nextRequest = `GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: ${api}\r\n\r\n`;
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
