#!/usr/bin/env node
// Syntax here is as old as can be: on an old Node it must still get as far as its one line.
var version = process.versions.node.split('.').map(Number);
if (version[0] < 24 || (version[0] === 24 && version[1] < 15)) {
  process.stderr.write('error: kit needs Node.js 24.15 or newer, this is ' + process.version + ' (' + process.execPath + ')\n');
  process.exit(1);
}

var fs = require('node:fs');
var os = require('node:os');
var path = require('node:path');

// Undefined for a user without one, and for one that is not there: it is not ours to make.
function homeFolder() {
  try {
    return fs.existsSync(os.homedir()) ? os.homedir() : undefined;
  } catch {
    return undefined;
  }
}

// Not Node's default below the temporary folder, where another user may have been first.
function cacheFolder(home) {
  var local = process.env.LOCALAPPDATA;
  var caches = process.env.XDG_CACHE_HOME;
  if (process.platform === 'win32') return local || path.join(home, 'AppData', 'Local');
  if (process.platform === 'darwin') return path.join(home, 'Library', 'Caches');
  return caches && path.isAbsolute(caches) ? caches : path.join(home, '.cache');
}

// compiled code is kept for the next start; a folder that cannot be written to is no error
var home = homeFolder();
if (home !== undefined) require('node:module').enableCompileCache(path.join(cacheFolder(home), 'ocikit', 'compile-cache'));

var main = path.join(__dirname, '..', 'dist', 'cli', 'main.cjs');
if (fs.existsSync(main)) {
  require(main).main(process.argv.slice(2));
} else {
  process.stderr.write('error: kit is not built\n\nhint: run `npm run build`\n');
  process.exitCode = 1;
}
