import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { hasDockerRegistry, startDockerRegistry } from './docker-registry.ts';
import { type KitRun, type Sandbox, sandbox } from './kit.ts';
import { serveStore } from './kit-serve.ts';
import { hasZot, startZot } from './zot.ts';

/** False where `cosign` is not on PATH. */
export const hasCosign = spawnSync('cosign', ['version']).status === 0;

/** Of the key files of both programs. */
export const PASSWORD = { COSIGN_PASSWORD: 'interop' };

/** Runs cosign in the sandbox; a server may be in this process. */
export async function cosign(box: Sandbox, args: readonly string[], env: Readonly<Record<string, string>> = PASSWORD): Promise<KitRun> {
  const all = { PATH: process.env['PATH'], HOME: box.root, ...env };
  const child = spawn('cosign', args, { cwd: box.root, env: all, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (text: string) => (output[stream] += text));
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, ...output };
}

/** For steps that must work: stdout, or an error with what was printed. */
export async function cosignOk(box: Sandbox, ...args: readonly string[]): Promise<string> {
  const run = await cosign(box, args);
  if (run.status !== 0) throw new Error(`cosign ${args.join(' ')} ended with ${run.status}\n${run.stderr}`);
  return run.stdout;
}

export interface StartedRegistry {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  close(): Promise<void>;
}

interface PossibleRegistry {
  readonly name: string;
  readonly isThere: boolean;
  readonly hasReferrers: boolean;
  readonly start: () => Promise<StartedRegistry>;
}

/** Where signatures go: with the referrers API, and without. */
export const REGISTRIES: readonly PossibleRegistry[] = [
  { name: 'kit serve, which has the referrers API', isThere: true, hasReferrers: true, start: serveStore },
  { name: 'zot, which has it too', isThere: hasZot, hasReferrers: true, start: startZot },
  { name: "Debian's docker-registry, without", isThere: hasDockerRegistry, hasReferrers: false, start: startDockerRegistry },
];

export interface Published {
  readonly box: Sandbox;
  readonly digest: string;
  /** With the tag `v1`, on `localhost`, which cosign takes for plain HTTP. */
  readonly name: string;
  /** By digest: cosign warns of signing a tag. */
  readonly pinned: string;
}

let count = 0;

/** A model in a repository of its own. */
export async function publish({ host }: StartedRegistry): Promise<Published> {
  const box = await sandbox();
  await box.write({ 'm/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: m}\nmodel: {path: w.bin}\n', 'm/w.bin': 'data' });
  count += 1;
  const repository = `${host.replace('127.0.0.1', 'localhost')}/team/m${count}`;
  const { digest } = JSON.parse(await box.ok(`pack m -t ${repository}:v1 --push --format json`)) as { digest: string };
  return { box, digest, name: `${repository}:v1`, pinned: `${repository}@${digest}` };
}
