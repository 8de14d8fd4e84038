#!/usr/bin/env node
// Syntax here is as old as can be: on an old Node it must still get as far as its one line.
var version = process.versions.node.split('.').map(Number);
if (version[0] < 24 || (version[0] === 24 && version[1] < 15)) {
  process.stderr.write('error: kit needs Node.js 24.15 or newer, this is ' + process.version + ' (' + process.execPath + ')\n');
  process.exit(1);
}
Promise.all([import('node:module'), import('node:v8')])
  .then(function (modules) {
    modules[0].enableCompileCache();
    // buffers live outside the heap and are freed when the young generation is: a small one frees them soon, which is also faster
    modules[1].setFlagsFromString('--semi-space-growth-factor=1');
    return import('../dist/cli/main.js');
  })
  .then(
    function (cli) {
      return cli.main(process.argv.slice(2));
    },
    function (error) {
      if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
      process.stderr.write('error: kit is not built\n\nhint: run `npm run build`\n');
      process.exitCode = 1;
    },
  );
