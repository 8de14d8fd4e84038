// The main job on a small real model: pack, push, pull by tag, unpack the model alone, roll back.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const work = mkdtempSync(join(tmpdir(), 'kit-demo-'));
const env = { ...process.env, KIT_HOME: join(work, 'laptop') };
const production = { ...process.env, KIT_HOME: join(work, 'production') };

function run(command, { environment = env, mayFail = false } = {}) {
  console.log(`\n$ ${command}`);
  const [program, ...args] = command.split(' ');
  const argv = program === 'kit' ? [join(root, 'bin', 'kit.js'), ...args] : args;
  const { status, error } = spawnSync(process.execPath, argv, { cwd: root, env: environment, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0 && !mayFail) throw new Error(`\`${command}\` ended with ${status}`);
  return status;
}

function section(title) {
  console.log(`\n== ${title}`);
}

/** Debian's docker-registry where it is installed; else a folder takes the place of the registry. */
async function startRegistry() {
  if (process.env.REGISTRY) return { name: `${process.env.REGISTRY}/demo/xor`, stop() {} };
  if (spawnSync('docker-registry', ['--version']).error) {
    console.log('docker-registry is not installed: a folder (an OCI image layout) takes the place of the registry');
    return { name: `oci:${join(work, 'layout')}`, stop() {} };
  }
  const port = await new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
  const config = join(work, 'registry.yml');
  writeFileSync(
    config,
    `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${join(work, 'registry')}}, delete: {enabled: true}}\nhttp: {addr: "127.0.0.1:${port}"}\n`,
  );
  const registry = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  const isUp = () =>
    fetch(`http://127.0.0.1:${port}/v2/`).then(
      (response) => response.ok,
      () => false,
    );
  for (let tries = 0; !(await isUp()); tries++) {
    if (tries > 200) throw new Error('docker-registry does not start');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { name: `localhost:${port}/demo/xor`, stop: () => registry.kill() };
}

const registry = await startRegistry();
const { name } = registry;
const model = join(work, 'live', 'model.safetensors');

/** Pull by tag, then unpack the model alone. An image layout is read where it is. */
function deploy() {
  if (!name.startsWith('oci:')) run(`kit pull ${name}:prod`, { environment: production });
  run(`kit unpack ${name}:prod --model --overwrite -d ${join(work, 'live')}`, { environment: production });
}

try {
  section('On the laptop: pack two versions of the model and push them');
  run('kit pack examples/xor/v1 -t xor:v1');
  run('kit pack examples/xor/v2 -t xor:v2');
  run(`kit push xor:v1 ${name}:v1`);
  run(`kit push xor:v2 ${name}:v2`);
  run('kit list');

  section('In production: version 2 goes live, as the tag `prod`');
  run(`kit push xor:v2 ${name}:prod`);
  deploy();
  run(`node examples/xor/v2/predict.js ${model}`, { mayFail: true });

  section('Version 2 is wrong: roll back to version 1');
  run('kit tag xor:v1 xor:prod');
  run(`kit push xor:prod ${name}:prod`);
  deploy();
  run(`node examples/xor/v1/predict.js ${model}`);
  console.log(`\nDone. Everything is in ${work}; delete it when you have looked at it.`);
} finally {
  registry.stop();
}
