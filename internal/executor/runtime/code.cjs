// Loads modules from code that was compiled ahead: see codecache.go.
'use strict';

const Module = require('module');
const path = require('path');
const vm = require('vm');

function requireOf(module) {
  const require = (id) => module.require(id);
  require.resolve = (request, options) => Module._resolveFilename(request, module, false, options);
  require.resolve.paths = (request) => Module._resolveLookupPaths(request, module);
  require.main = process.mainModule;
  require.extensions = Module._extensions;
  require.cache = Module._cache;
  return require;
}

module.exports = (files, all) => {
  const codes = new Map();
  let at = 0;
  for (const { name, length } of files) {
    codes.set(name, all.subarray(at, at + length));
    at += length;
  }
  const compile = Module.prototype._compile;
  Module.prototype._compile = function (content, filename, ...rest) {
    const cachedData = codes.get(filename);
    if (!cachedData || rest[0] === 'module') {
      return compile.call(this, content, filename, ...rest);
    }
    codes.delete(filename);
    if (codes.size === 0) {
      Module.prototype._compile = compile;
    }
    const script = new vm.Script(Module.wrap(content), { filename, cachedData, columnOffset: -Module.wrapper[0].length });
    if (script.cachedDataRejected) {
      return compile.call(this, content, filename, ...rest);
    }
    const run = script.runInThisContext();
    return run.call(this.exports, this.exports, requireOf(this), this, filename, path.dirname(filename));
  };
};
