// A response that a Node.js handler writes to a stream: awslambda.streamifyResponse. Only functions that do so load
// this file.
//
// The stream is a request of the bootstrap's connection to the Runtime API in the chunked coding. What goes wrong
// before its first byte is an error like any other; afterwards it is told in the trailers.
'use strict';

const { Writable } = require('stream');

// The trailers have to fit into what the Runtime API accepts, which is 1 MiB.
const maxErrorBody = 512 * 1024;

module.exports = ({ Turn, describe, logError, runtimeError }) => {
  class ResponseStream extends Writable {
    constructor(client, id, highWaterMark) {
      super({ highWaterMark });
      this.client = client;
      this.id = id;
      this.contentType = 'application/octet-stream';
      this.prelude = null; // what HttpResponseStream.from puts in front
      this.failure = null; // what the trailers tell of
      this.begun = false;
      this.over = false; // nothing more may be sent
    }

    setContentType(type) {
      if (this.begun) {
        throw runtimeError('InvalidStreamingOperation', 'Cannot set content-type, too late.');
      }
      if (!/^[\x20-\x7e]+$/.test(type)) {
        throw runtimeError('InvalidStreamingOperation', `${JSON.stringify(type)} is not a content-type.`);
      }
      this.contentType = type;
    }

    write(chunk, encoding, callback) {
      if (this.over || this.failure !== null) {
        return true; // the handler has failed already
      }
      const raw = typeof chunk === 'string' || chunk instanceof Uint8Array;
      return super.write(raw ? chunk : JSON.stringify(chunk), encoding, callback);
    }

    _write(chunk, _, callback) {
      this.send([chunk], callback);
    }

    _writev(chunks, callback) {
      this.send(chunks.map(({ chunk }) => chunk), callback);
    }

    _final(callback) {
      if (this.over) {
        callback();
        return;
      }
      const parts = [...this.head(), this.ending()];
      this.over = true;
      this.client.write(parts, callback);
    }

    send(chunks, callback) {
      if (this.over) {
        callback();
        return;
      }
      const parts = this.head();
      const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      if (size > 0) { // an empty chunk would be the end
        parts.push(`${size.toString(16)}\r\n`, ...chunks, '\r\n');
      }
      if (parts.length > 0) {
        this.client.write(parts, callback);
      } else {
        callback();
      }
    }

    // head returns what the response begins with, once.
    head() {
      if (this.begun) {
        return [];
      }
      this.begun = true;
      this.client.afterReply = undefined;
      const parts = [`POST /2018-06-01/runtime/invocation/${this.id}/response HTTP/1.1\r\nHost: ${process.env.AWS_LAMBDA_RUNTIME_API}\r\n` +
        `Content-Type: ${this.contentType}\r\nLambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n` +
        'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n'];
      if (this.prelude) {
        parts.push(`${this.prelude.length.toString(16)}\r\n`, this.prelude, '\r\n');
      }
      return parts;
    }

    ending() {
      if (this.failure === null) {
        return '0\r\n\r\n';
      }
      const described = describe(this.failure);
      const type = /^[\x20-\x7e]+$/.test(described.errorType) ? described.errorType : 'Error';
      let body = JSON.stringify(described);
      if (body.length > maxErrorBody) {
        body = JSON.stringify({ errorType: type, errorMessage: described.errorMessage.slice(0, maxErrorBody / 8), trace: [] });
      }
      return `0\r\nLambda-Runtime-Function-Error-Type: ${type}\r\n` +
        `Lambda-Runtime-Function-Error-Body: ${Buffer.from(body).toString('base64')}\r\n\r\n`;
    }

    // abort ends the response at once, without what is still buffered.
    abort(error, afterReply) {
      if (this.over) {
        this.client.write([''], afterReply);
        return;
      }
      this.failure = error;
      this.over = true;
      this.client.afterReply = afterReply;
      this.client.socket.ref();
      this.client.write([this.ending()]);
    }
  }

  // StreamTurn is one invocation of a handler that writes its response to a stream.
  class StreamTurn extends Turn {
    constructor(runtime, id, highWaterMark) {
      super(runtime, id);
      this.stream = new ResponseStream(runtime.client, id, highWaterMark);
      this.returned = false;
      this.succeed = this.done = this.callback = () => {}; // the stream says when the response is complete
      this.fail = this.once((error) => this.failed(error ?? 'handled'));
      this.next = this.once(() => this.ask());
    }

    run(handler, event, context) {
      this.stream.on('finish', () => this.proceed());
      this.stream.on('error', this.fail);
      const result = handler(event, this.stream, context);
      if (!result || typeof result.then !== 'function') {
        throw new Error('Streaming does not support non-async handlers.');
      }
      result.then((value) => {
        if (value !== undefined) {
          console.warn('Streaming handlers ignore return values.');
        }
        this.returned = true;
        this.proceed();
      }, this.fail);
    }

    // proceed asks for the next invocation when the handler has returned and the response is complete.
    proceed() {
      if (this.returned && this.stream.writableFinished) {
        this.next();
      }
    }

    abandoned() {
      if (this.stream.writableFinished) {
        this.next();
      } else {
        this.fail(new Error('Response stream is not finished.'));
      }
    }

    failed(error) {
      const { stream } = this;
      if (!stream.begun) {
        stream.over = true;
        this.postError(error);
        return;
      }
      logError('Invoke Error', error);
      if (stream.writableFinished) {
        this.ask();
        return;
      }
      if (stream.destroyed) {
        stream.abort(error);
        this.ask();
        return;
      }
      stream.failure = error;
      stream.end(() => this.ask());
    }

    ask() {
      this.runtime.errorPath = null;
      this.runtime.client.next();
    }
  }

  return StreamTurn;
};
