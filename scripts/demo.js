// The main job on a small real model: pack, push, pull by tag, unpack the model alone, roll back.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
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

/** `kit serve` with a storage of its own, unless REGISTRY names another one. */
async function startRegistry() {
  if (process.env.REGISTRY) return { name: `${process.env.REGISTRY}/demo/xor`, stop() {} };
  console.log('\n$ kit serve --addr 127.0.0.1:0');
  const argv = [join(root, 'bin', 'kit.js'), 'serve', '--addr', '127.0.0.1:0', '--format', 'json'];
  const server = spawn(process.execPath, argv, {
    env: { ...process.env, KIT_HOME: join(work, 'registry') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await Promise.race([once(server.stdout, 'data'), once(server, 'exit').then(() => [])]);
  if (line === undefined) throw new Error('kit serve does not start');
  return { name: `${JSON.parse(line).address}/demo/xor`, stop: () => server.kill() };
}

const registry = await startRegistry();
const { name } = registry;
const model = join(work, 'live', 'model.safetensors');

/** Pull by tag, then unpack the model alone. */
function deploy() {
  run(`kit pull ${name}:prod`, { environment: production });
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
