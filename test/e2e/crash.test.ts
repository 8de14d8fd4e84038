import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKit } from '../../src/operations/kit.ts';
import { checkStore } from '../../src/operations/store/check.ts';
import { pruneStore } from '../../src/operations/store/prune.ts';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

// `kill -9` at any moment leaves a store that a check finds well, and the next run of the same command works. The moments are the calls
// that change a file or write to a socket: the process kills itself just before one of them (test/support/crash-point.ts).

const PRELOAD = new URL('../support/crash-point.ts', import.meta.url);
/** Of each command; `CRASH_MOMENTS=1000` tries all of them. */
const MOMENTS = Number(process.env['CRASH_MOMENTS'] ?? 17);
const SIDE_BY_SIDE = 2;
const WEIGHTS = Buffer.alloc(300_000, 'some weights that are longer than a page\n');

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.close());

interface Case {
  readonly title: string;
  /** What the home holds before. */
  readonly before: readonly string[];
  readonly command: (host: string, moment: number) => string;
  /** What can be unpacked after the next run. */
  readonly after: readonly string[];
  /** Exit status of the next run; 3 where the killed one had done all. */
  readonly next?: readonly number[];
  /** Only for what is done to a registry. */
  readonly proof?: (moment: number) => void;
}

const BASE = 'pack base -t base:v1';
const pushed = (moment: number): string => `pushed/${moment}`;

const CASES: readonly Case[] = [
  { title: 'the first pack', before: [], command: () => 'pack in -t mine:v1', after: ['mine:v1'] },
  { title: 'a pack that moves a tag', before: [BASE, 'pack base -t mine:v1'], command: () => 'pack in -t mine:v1', after: ['mine:v1'] },
  { title: 'a pull', before: [BASE], command: (host) => `pull ${host}/mine:v1`, after: ['HOST/mine:v1'] },
  {
    title: 'a push',
    before: [BASE, 'pack in -t mine:v1'],
    command: (host, moment) => `push mine:v1 ${host}/${pushed(moment)}:v1`,
    after: ['mine:v1'],
    proof: (moment) => expect(registry.storage.find(pushed(moment))?.tags.get('v1')).toBeDefined(),
  },
  { title: 'a tag', before: [BASE, 'pack in -t mine:v1'], command: () => 'tag mine:v1 other:v2', after: ['mine:v1', 'other:v2'] },
  { title: 'a remove', before: [BASE, 'pack in -t mine:v1'], command: () => 'remove mine:v1', after: [], next: [0, 3] },
];

/** A number from 0 to 1 for each key, the same in every run. */
function chance(key: number): number {
  const x = Math.sin(key * 12.9898) * 43_758.5453;
  return x - Math.floor(x);
}

/** Some numbers from 1 to `total`, spread over all of them. */
function momentsOf(total: number): number[] {
  if (total <= MOMENTS) return Array.from({ length: total }, (_, index) => index + 1);
  return Array.from({ length: MOMENTS }, (_, index) => 1 + Math.floor(((index + chance(index + total)) * total) / MOMENTS));
}

async function prepared(): Promise<Sandbox> {
  const box = await sandbox();
  const kitfile = 'manifestVersion: 1.0.0\nmodel: {path: m}\ndocs: [{path: README.md}]\n';
  await box.write({ 'in/Kitfile': kitfile, 'in/m': WEIGHTS, 'in/README.md': 'read me\n' });
  await box.write({ 'base/Kitfile': kitfile, 'base/m': 'other weights\n', 'base/README.md': 'read me\n' });
  return box;
}

async function problems(home: string): Promise<string[]> {
  const { findings, ok } = await checkStore(createKit({ home, env: {} }));
  return ok ? [] : findings.map(({ code, message, digest, path }) => `${code} ${digest ?? path ?? ''}: ${message}`);
}

async function unpacks(box: Sandbox, home: string, name: string): Promise<void> {
  const out = await mkdtemp(join(home, 'out-'));
  await box.ok(`unpack ${name} -d ${out}`, { env: { KIT_HOME: home } });
  expect(WEIGHTS.equals(await readFile(join(out, 'm')))).toBe(true);
}

test.each(CASES)('$title', { timeout: 600_000 }, async ({ before, command, after, next = [0], proof }) => {
  const box = await prepared();
  const template = box.path('template');
  for (const line of before) await box.ok(line, { env: { KIT_HOME: template } });
  await box.ok(`pack in -t ${registry.host}/mine:v1 --push`, { env: { KIT_HOME: box.path('elsewhere') } });

  /** A copy of the home, and a run in it that dies at the moment; without one it counts them. */
  async function run(moment?: number): Promise<{ home: string; total: number }> {
    const home = await mkdtemp(box.path('home-'));
    if (before.length > 0) await cp(template, home, { recursive: true });
    const counted = join(home, 'moments');
    const env = {
      KIT_HOME: home,
      NODE_OPTIONS: `--import=${PRELOAD.href}`,
      ...(moment === undefined ? { CRASH_COUNT: counted } : { CRASH_AT: String(moment) }),
    };
    const { child, finished } = box.start(command(registry.host, moment ?? 0), { env });
    const [exit] = await Promise.all([once(child, 'exit') as Promise<[number | null, string | null]>, finished]);
    // with several things under way the count differs a little: the last moments may not come
    const ends = moment === undefined ? [0] : ['SIGKILL', 0];
    expect(exit[1] ?? exit[0]).toBeOneOf(ends);
    return { home, total: moment === undefined ? Number(await readFile(counted, 'utf8')) : 0 };
  }

  async function dieAndGoOn(moment: number): Promise<void> {
    const { home } = await run(moment);
    const context = `killed at moment ${moment}`;
    expect(await problems(home), context).toEqual([]);
    const again = await box.kit(command(registry.host, moment), { env: { KIT_HOME: home } });
    expect(again.status, `${context}: ${again.stderr}`).toBeOneOf([...next]);
    expect(await problems(home), `${context}, after the next run`).toEqual([]);
    for (const name of after) await unpacks(box, home, name.replace('HOST', registry.host));
    proof?.(moment);
    const kit = createKit({ home, env: {} });
    await pruneStore(kit, { partials: true });
    expect((await checkStore(kit)).findings, `${context}, after prune`).toEqual([]);
    const tags = (await (await kit.store()).list()).flatMap((entry) => entry.tags.map((tag) => `${entry.repository}:${tag}`));
    const base = before.includes(BASE) ? ['base:v1'] : [];
    expect(tags.toSorted(), context).toEqual([...base, ...after.map((name) => name.replace('HOST', registry.host))].toSorted());
    await rm(home, { recursive: true });
  }

  const { total } = await run();
  expect(total).toBeGreaterThan(0);
  const moments = momentsOf(total).values();
  await Promise.all(
    Array.from({ length: SIDE_BY_SIDE }, async () => {
      for (const moment of moments) await dieAndGoOn(moment);
    }),
  );
  expect((await readdir(box.root)).filter((name) => name.startsWith('home-'))).toHaveLength(1);
});
