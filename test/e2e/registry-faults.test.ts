import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Manifest } from '../../src/oci/manifest.ts';
import { type KitRun, type Sandbox, sandbox } from '../support/kit.ts';
import { collect } from '../support/registry-client.ts';
import { type RegistryOptions, startRegistry, type TestRegistry } from '../support/registry.ts';

// what the table of faults in docs/registries.md says a user sees: `kit` itself, against a registry that fails
const WEIGHTS = randomBytes(3_000_000);
/** For the config, which is smaller, and for the layer. */
const cuts = () => [1_000_000, 1_000_000];
const RETRY_NOW = { 'Retry-After': '0' };
const WRONG_BYTES = /^error: .*sha256:[0-9a-f]{64}: the content has digest sha256:/m;

interface Setting {
  readonly box: Sandbox;
  readonly registry: TestRegistry;
  readonly name: string;
  /** The layer with the weights, as the registry has it; throws before the push. */
  readonly layer: () => Manifest['layers'][number];
}

async function served(options: RegistryOptions = {}): Promise<Setting> {
  const registry = await startRegistry(options);
  onTestFinished(() => registry.close());
  const box = await sandbox();
  await box.write({ 'in/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m}\n', 'in/m': WEIGHTS });
  const name = `${registry.host}/team/mine:v1`;
  const layer = () => {
    const repository = registry.storage.find('team/mine');
    const [stored] = repository?.manifests.values() ?? [];
    const manifest = JSON.parse(Buffer.from(stored?.bytes ?? '{}').toString()) as Manifest;
    const [found] = manifest.layers;
    if (found === undefined) throw new Error('no layer');
    return found;
  };
  return { box, registry, name, layer };
}

/** The model is in the local store. */
async function packed(options?: RegistryOptions): Promise<Setting> {
  const setting = await served(options);
  await setting.box.ok(`pack in -t ${setting.name}`);
  return setting;
}

/** The model is in the registry, and not in the local store. */
async function pushed(options?: RegistryOptions): Promise<Setting> {
  const setting = await served(options);
  if (options?.auth !== undefined) await setting.box.ok(`login ${setting.registry.host} -u alice --password-stdin`, { stdin: 'secret' });
  await setting.box.ok(`pack in -t ${setting.name} --push`);
  setting.registry.clear();
  return setting;
}

/** Pulls. True when the layer that came is the one that was packed. */
async function pullsWhole({ box, name, layer, registry }: Setting): Promise<boolean> {
  const { digest, size } = layer();
  await box.ok(`pull ${name}`);
  const stored = await readFile(box.path('home/storage/blobs', ...digest.split(':')));
  return stored.equals(await collect(registry.storage.read(digest, 0, size)));
}

/** A run, and what it has left behind. */
interface Ending extends KitRun {
  readonly kept: string;
}

/** Nothing on stdout, nothing left behind, and on stderr what all of `patterns` match. */
function ending(status: number, ...patterns: RegExp[]): Ending {
  const all = new RegExp(patterns.map(({ source }) => `(?=[^]*${source})`).join(''), 'm');
  return { status, stdout: '', stderr: expect.stringMatching(all) as string, kept: '[]\n' };
}

async function pull({ box, name }: Setting): Promise<Ending> {
  const run = await box.kit(`pull ${name}`);
  return { ...run, kept: await box.ok('list --format json') };
}

/** Pushes. True when all of the layer is there, and no session is left. */
async function pushesWhole({ box, name, layer, registry }: Setting): Promise<boolean> {
  await box.ok(`push ${name}`);
  const { digest, size } = layer();
  return (await registry.storage.size(digest)) === size && registry.storage.uploads.size === 0;
}

async function push({ box, name, registry }: Setting): Promise<Ending> {
  const run = await box.kit(`push ${name}`);
  return { ...run, kept: registry.storage.find('team/mine')?.tags.size ? 'a tag' : '[]\n' };
}

describe('a pull survives', () => {
  test('a connection that is cut', async () => {
    const setting = await pushed({ behaviour: { cutDownloads: cuts() } });
    expect(await pullsWhole(setting)).toBe(true);
    expect(setting.registry.requests.map(({ headers }) => headers.range)).toContainEqual(expect.stringMatching(/^bytes=[1-9]/));
  });

  test('a cut where ranges are not known', async () => {
    const setting = await pushed({ behaviour: { cutDownloads: cuts(), ranges: false } });
    expect(await pullsWhole(setting)).toBe(true);
  });

  test('a token that ends on the way', async () => {
    const auth = { type: 'bearer', username: 'alice', password: 'secret' } as const;
    const setting = await pushed({ auth, behaviour: { cutDownloads: cuts() } });
    const { registry } = setting;
    let isRevoked = false;
    registry.behaviour.onRequest = (range) => {
      if (range !== undefined && !isRevoked) registry.auth.revokeTokens();
      isRevoked ||= range !== undefined;
    };
    expect(await pullsWhole(setting)).toBe(true);
    expect(registry.requests.filter(({ headers, status }) => headers.range !== undefined && status === 401)).toHaveLength(1);
  });

  test.each([429, 500, 502, 503, 504] as const)('an answer of %i', async (status) => {
    const setting = await pushed();
    setting.registry.behaviour.faults.push({ match: /^GET.*blobs/, status, headers: RETRY_NOW });
    expect(await pullsWhole(setting)).toBe(true);
  });

  test('a tag that is moved meanwhile: it is the one that was asked for first', async () => {
    const setting = await pushed();
    const { registry } = setting;
    const other = registry.addManifest('team/mine', Buffer.from('{"schemaVersion":2}'));
    registry.behaviour.onRequest = () => {
      if (registry.requests.some(({ path }) => path.includes('/blobs/')))
        registry.storage.repository('team/mine').tags.set('v1', other.digest);
    };
    expect(await pullsWhole(setting)).toBe(true);
    expect(registry.storage.find('team/mine')?.tags.get('v1')).toBe(other.digest);
  });

  test('a redirect to another host, which gets no credentials', async () => {
    const auth = { type: 'basic', username: 'alice', password: 'secret' } as const;
    const setting = await pushed({ auth, behaviour: { redirectBlobs: 'foreign' } });
    expect(await pullsWhole(setting)).toBe(true);
    const foreign = setting.registry.requests.filter(({ origin }) => origin === 'foreign');
    expect(foreign.length).toBeGreaterThan(0);
    expect(foreign.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });
});

describe('a pull ends', () => {
  test('at content of another digest', async () => {
    const setting = await pushed();
    const { digest, size } = setting.layer();
    await setting.registry.storage.replaceBlob(digest, randomBytes(size));
    expect(await pull(setting)).toEqual(ending(6, WRONG_BYTES));
  });

  test('at content of another length', async () => {
    const setting = await pushed();
    await setting.registry.storage.replaceBlob(setting.layer().digest, randomBytes(1000));
    expect(await pull(setting)).toEqual(ending(6, /the registry has 1000 bytes, the manifest says \d+/));
  });

  test('at a rate limit of hours', async () => {
    const setting = await pushed();
    setting.registry.behaviour.faults.push({ match: /^GET.*blobs/, status: 429, headers: { 'Retry-After': '21600' } });
    expect(await pull(setting)).toEqual(ending(5, /: 429 UNAVAILABLE: injected fault\)/, /^hint: the registry asks to wait for 6 hours/m));
  });

  test('at an error page', async () => {
    const setting = await pushed();
    const body = '<html><head><title>Access\x1b[2J blocked</title></head></html>';
    setting.registry.behaviour.faults.push({ match: /^GET.*blobs/, status: 403, body });
    expect(await pull(setting)).toEqual(
      ending(4, /^error: 127.0.0.1:55555\/team\/mine@sha256:\w+: access denied \(GET .*: 403 Access \[2J blocked\)/m),
    );
  });

  test('at a manifest without end', async () => {
    const setting = await pushed();
    const body = ' '.repeat(5 * 1024 * 1024);
    setting.registry.behaviour.faults.push({ match: /^HEAD.*manifests/, status: 405 }, { match: /^GET.*manifests/, status: 200, body });
    expect(await pull(setting)).toEqual(ending(6, /the registry sends more than 4194304 bytes/));
  });

  test('at redirects in a circle', async () => {
    const setting = await pushed({ behaviour: { redirectBlobs: 'loop' } });
    expect(await pull(setting)).toEqual(ending(5, /redirects form a loop/));
  });

  test('at a blob that is gone', async () => {
    const setting = await pushed();
    setting.registry.storage.repository('team/mine').blobs.delete(setting.layer().digest);
    expect(await pull(setting)).toEqual(ending(6, /not found in the registry \(GET .*: 404 BLOB_UNKNOWN: blob unknown to registry\)/));
  });

  test('at a name that does not resolve', async () => {
    const box = await sandbox();
    const run = await box.kit('pull no-such-registry.invalid/team/mine:v1');
    expect(run.status).toBe(5);
    expect(run.stderr).toMatch(/no-such-registry\.invalid.*\((?:ENOTFOUND|EAI_AGAIN)\)/);
    expect(run.stderr).toMatch(/^hint: check the n/m);
  });
});

describe('a push survives', () => {
  test.each([true, false])('a connection that is cut, where the registry keeps what arrived: %s', async (keepsBroken) => {
    expect(await pushesWhole(await packed({ behaviour: { cutUploads: [1_000_000], keepsBroken } }))).toBe(true);
  });

  test('a session that has expired', async () => {
    const setting = await packed();
    setting.registry.behaviour.faults.push({ match: /^PUT.*uploads/, status: 404 });
    expect(await pushesWhole(setting)).toBe(true);
  });

  test.each(['relative', 'foreign'] as const)('a Location that is %s', async (location) => {
    expect(await pushesWhole(await packed({ behaviour: { location } }))).toBe(true);
  });

  test('a limit of the body size', async () => {
    const setting = await packed({ behaviour: { maxPut: 1_000_000 } });
    expect(await pushesWhole(setting)).toBe(true);
  });

  test.each([429, 500, 503] as const)('an answer of %i', async (status) => {
    const setting = await packed();
    setting.registry.behaviour.faults.push({ match: /^PUT.*uploads/, status, headers: RETRY_NOW });
    expect(await pushesWhole(setting)).toBe(true);
  });
});

describe('a push ends', () => {
  test('where the account may not', async () => {
    const setting = await packed();
    const body = '{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}';
    for (let count = 0; count < 3; count++) setting.registry.behaviour.faults.push({ match: /^POST/, status: 403, body });
    expect(await push(setting)).toEqual(
      ending(4, /403 DENIED: requested access to the resource is denied\)/, /^hint: .*`kit login 127\.0\.0\.1:55555`/m),
    );
  });

  test('where even small requests are too large', async () => {
    const setting = await packed({ behaviour: { maxPut: 1_000_000 } });
    for (let count = 0; count < 10; count++) setting.registry.behaviour.faults.push({ match: /^PATCH/, status: 413 });
    expect(await push(setting)).toEqual(
      ending(5, /too large for the registry, or for a proxy before it \(PATCH .*: 413 /, /^hint: raise the limit of the body size/m),
    );
  });

  test('at an upload location that is no http address', async () => {
    expect(await push(await packed({ behaviour: { location: 'ftp://elsewhere.example' } }))).toEqual(
      ending(5, /names an upload location that is not an http URL/),
    );
  });
});
