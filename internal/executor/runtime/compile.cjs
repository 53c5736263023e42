// Compiles the JavaScript files that it is given, without running them, and writes what V8 keeps of each to descriptor
// 3: its length in four bytes, and the code; nothing for a file that does not compile, or that may import modules while
// it runs, as V8 does not keep how.
'use strict';

const fs = require('fs');
const Module = require('module');
const v8 = require('v8');
const vm = require('vm');

function write(data) {
  for (let rest = data; rest.length > 0;) {
    rest = rest.subarray(fs.writeSync(3, rest));
  }
}

for (const filename of process.argv.slice(2)) {
  let code = Buffer.alloc(0);
  try {
    const source = fs.readFileSync(filename, 'utf8');
    if (/\bimport\s*\(/.test(source) || source.startsWith('#!')) {
      throw new Error('not one of these');
    }
    // Functions are otherwise compiled when they are called first. The flag goes into the mark of the code, so it is set back.
    v8.setFlagsFromString('--no-lazy');
    const script = new vm.Script(Module.wrap(source), { filename, columnOffset: -Module.wrapper[0].length });
    v8.setFlagsFromString('--lazy');
    code = script.createCachedData();
  } catch {
    v8.setFlagsFromString('--lazy');
  }
  const length = Buffer.alloc(4);
  length.writeUInt32LE(code.length);
  write(length);
  write(code);
}
