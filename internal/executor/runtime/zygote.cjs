// Makes an interpreter wait, with what most functions need already loaded, until it is told which function it is for:
// on descriptor 3, as the length of a JSON text in four bytes and the text, with all environment variables and the
// working directory, and the code that was compiled ahead. What follows there is the Runtime API.
'use strict';

const fs = require('fs');

const socket = 3;

function read(length) {
  const data = Buffer.allocUnsafe(length);
  for (let have = 0; have < length;) {
    const count = fs.readSync(socket, data, have, length - have);
    if (count === 0) {
      process.exit(0); // nobody needs it
    }
    have += count;
  }
  return data;
}

module.exports = () => {
  // None of them may touch process.stdout or process.stderr, as assert and http2 do: the pipe behind them would no longer block.
  for (const name of [
    'async_hooks', 'child_process', 'crypto', 'dns', 'fs/promises', 'http', 'https', 'module', 'os', 'perf_hooks',
    'querystring', 'stream', 'string_decoder', 'timers', 'tls', 'url', 'worker_threads', 'zlib',
  ]) {
    require(name);
  }
  const told = JSON.parse(read(read(4).readUInt32LE(0)).toString());
  for (const name of Object.keys(process.env)) {
    if (!(name in told.env)) {
      delete process.env[name];
    }
  }
  for (const [name, value] of Object.entries(told.env)) {
    if (process.env[name] !== value) { // setting TZ takes milliseconds
      process.env[name] = value;
    }
  }
  if (told.code) {
    require('./code.cjs')(told.code, read(told.code.reduce((sum, { length }) => sum + length, 0)));
  }
  process.chdir(told.dir);
  require('module')._initPaths(); // NODE_PATH
};
