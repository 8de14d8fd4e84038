import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';
import { hasZot, startZot } from '../support/zot.ts';

const KEYS = join(GOLDEN, 'cosign-keys');
const PASSWORD = { COSIGN_PASSWORD: 'golden-test-only' };

interface Releases {
  readonly box: Sandbox;
  /** Of 1.0.0, 1.1.0 and 1.2.0. */
  readonly digests: readonly string[];
}

/** Three releases in a repository. */
async function releases(repository: string): Promise<Releases> {
  const box = await sandbox();
  const digests: string[] = [];
  for (const version of ['1.0.0', '1.1.0', '1.2.0']) {
    await box.write({
      'm/Kitfile': `manifestVersion: 1.0.0\npackage: {name: m, version: ${version}}\nmodel: {path: w.bin}\n`,
      'm/w.bin': `weights ${version}`,
    });
    await box.ok(`pack m -t ${repository}:${version} --push`);
    const { digest } = JSON.parse(await box.ok(`inspect --remote ${repository}:${version}`)) as { digest: string };
    digests.push(digest);
  }
  return { box, digests };
}

async function inRegistry(): Promise<Releases & { readonly name: string }> {
  const registry = await startRegistry();
  onTestFinished(async () => {
    await registry.close();
  });
  return { ...(await releases(`${registry.host}/team/m`)), name: `${registry.host}/team/m` };
}

/** Records carry the time: so do their digests. */
const withoutTimes = (text: string): string =>
  text.replaceAll(/recorded as sha256:\w+/g, 'recorded as DIGEST').replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME');

test('promote, find it bad, go back', async () => {
  const { box, name } = await inRegistry();
  await box.ok(`promote ${name}:1.0.0 ${name}:prod --by ci`);
  await box.ok(`promote ${name}:1.1.0 ${name}:prod --by ci`);
  expect(withoutTimes(await box.ok(`promote ${name}:1.2.0 ${name}:prod --by ci`))).toMatchInlineSnapshot(`
    "Promoted 127.0.0.1:55555/team/m:1.2.0 to 127.0.0.1:55555/team/m:prod
      from sha256:35649583b979c69c6982a743635164652ad2c7b945e0bc24650ddcc3f27578ec
      to   sha256:72d2072b4bfdfeab7a3bd5330965730a6f5e1108407bc7d5d4b66a7f64b1e462
      recorded as DIGEST
    "
  `);
  expect(withoutTimes(await box.ok(`promote ${name}:1.2.0 ${name}:prod --by ci`))).toMatchInlineSnapshot(`
    "127.0.0.1:55555/team/m:prod is there already
      sha256:72d2072b4bfdfeab7a3bd5330965730a6f5e1108407bc7d5d4b66a7f64b1e462
    "
  `);
  // on another machine
  const env = { KIT_HOME: box.path('elsewhere') };
  expect(withoutTimes(await box.ok(`rollback ${name}:prod --dry-run`, { env }))).toMatchInlineSnapshot(`
    "Would roll back 127.0.0.1:55555/team/m:prod
      from sha256:72d2072b4bfdfeab7a3bd5330965730a6f5e1108407bc7d5d4b66a7f64b1e462
      to   sha256:35649583b979c69c6982a743635164652ad2c7b945e0bc24650ddcc3f27578ec
      because the tag was moved from there to sha256:72d2072b4bfdfeab7a3bd5330965730a6f5e1108407bc7d5d4b66a7f64b1e462 at TIME by ci (recorded beside it)
    "
  `);
  expect(withoutTimes(await box.ok(`rollback ${name}:prod --by me`, { env }))).toMatchInlineSnapshot(`
    "Rolled back 127.0.0.1:55555/team/m:prod
      from sha256:72d2072b4bfdfeab7a3bd5330965730a6f5e1108407bc7d5d4b66a7f64b1e462
      to   sha256:35649583b979c69c6982a743635164652ad2c7b945e0bc24650ddcc3f27578ec
      recorded as DIGEST
      because the tag was moved from there to sha256:72d2072b4bfdfeab7a3bd5330965730a6f5e1108407bc7d5d4b66a7f64b1e462 at TIME by ci (recorded beside it)
    "
  `);
  expect(await box.ok(`info --remote ${name}:prod`)).toContain('version: 1.1.0');
  expect(await box.kit(`rollback ${name}:prod --steps 2`)).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: 127.0.0.1:55555/team/m:prod was new 1 step ago: it cannot go back 2

    hint: \`kit history 127.0.0.1:55555/team/m\` shows what there is, \`--to TAG\` chooses
  `);
});

test('in a script: exit status and JSON tell what happened', async () => {
  const { box, name, digests } = await inRegistry();
  const [old, middle, bad] = digests;
  for (const version of ['1.0.0', '1.1.0', '1.2.0']) await box.ok(`promote ${name}:${version} ${name}:prod`);
  const script = `rollback ${name}:prod --expect ${bad} --format json`;
  expect(JSON.parse(await box.ok(script))).toMatchObject({ from: bad, to: middle, changed: true, dryRun: false });
  expect(JSON.parse(await box.ok(script))).toMatchObject({ from: middle, to: middle, changed: false });
  expect(await box.kit(`rollback ${name}:prod --expect ${old}`)).toMatchObject({ status: 1, stdout: '' });
  expect(await box.kit(`rollback ${name}:prod --expect v1`)).toMatchObject({ status: 2 });
  expect(await box.kit(`rollback ${name}:prod --to 1.0.0 --steps 1`)).toMatchObject({ status: 2 });
  expect(await box.kit(`rollback ${name}:prod --steps none`)).toMatchObject({ status: 2 });
  expect(await box.kit(`rollback ${name}`)).toMatchObject({ status: 2 });
  expect(await box.kit(`rollback ${name}:nada`)).toMatchObject({ status: 3 });
});

test('only to what is signed; the record is signed too where a key is given', async () => {
  const { box, name } = await inRegistry();
  const key = join(KEYS, 'cosign.key');
  const pub = join(KEYS, 'cosign.pub');
  await box.ok(`sign ${name}:1.1.0 --key ${key}`, { env: PASSWORD });
  expect(await box.kit(`promote ${name}:1.0.0 ${name}:prod --verify --key ${pub}`)).toMatchObject({ status: 6 });
  await box.ok(`promote ${name}:1.1.0 ${name}:prod --verify --key ${pub} --record-key ${key}`, { env: PASSWORD });
  await box.ok(`verify-attestation --remote ${name}:prod --key ${pub} --type https://ocikit.dev/promotion/v1`);
  await box.ok(`promote ${name}:1.2.0 ${name}:prod`);
  expect(await box.kit(`rollback ${name}:prod --to 1.0.0 --verify --key ${pub}`)).toMatchObject({ status: 6 });
  await box.ok(`rollback ${name}:prod --verify --key ${pub}`);
  expect(await box.ok(`info --remote ${name}:prod`)).toContain('version: 1.1.0');
});

test('where nothing is known it is refused, and the hint says what to type', async () => {
  const { box, name } = await inRegistry();
  await box.ok(`copy ${name}:1.2.0 ${name}:stable`);
  expect(await box.kit(`rollback ${name}:stable`)).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: it is not known what 127.0.0.1:55555/team/m:stable was before

    hint: by version it would be 1.1.0: \`kit rollback 127.0.0.1:55555/team/m:stable --to 1.1.0\` (or \`--by-version\`); \`kit history 127.0.0.1:55555/team/m\` shows what there is, \`--to TAG\` chooses
  `);
  expect(await box.ok(`rollback ${name}:stable --by-version --dry-run`)).toContain('because 1.1.0 is the release before 1.2.0');
  expect(await box.kit(`rollback ${name}:new --by-version`)).toMatchObject({ status: 3 });
});

test('an image layout, and local storage', async () => {
  const { box, name } = await inRegistry();
  for (const place of ['oci:layout', 'local']) {
    await box.ok(`promote ${name}:1.0.0 ${place}:prod`);
    await box.ok(`promote ${name}:1.1.0 ${place}:prod`);
    await box.ok(`rollback ${place}:prod`);
    expect(await box.ok(`info ${place}:prod`)).toContain('version: 1.0.0');
  }
  await box.ok('store check');
});

// it drops a manifest when its last tag leaves it
describe.skipIf(!hasZot)('zot', () => {
  test('what a tag leaves is kept under a tag of its own', async () => {
    const zot = await startZot();
    onTestFinished(async () => await zot.close());
    const { box } = await releases(`${zot.host}/team/m`);
    const [from, to] = [`${zot.host}/team/m`, `${zot.host}/prod/m`];
    await box.ok(`promote ${from}:1.0.0 ${to}:live`);
    expect(await box.kit(`promote ${from}:1.1.0 ${to}:live`)).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/it is kept as .*\/prod\/m:live-[0-9a-f]{12}, so that a rollback finds it/) as string,
    });
    await box.ok(`rollback ${to}:live`);
    await box.ok(`unpack ${to}:live -d out`, { env: { KIT_HOME: box.path('elsewhere') } });
    expect(await box.tree('out')).toContain('w.bin');
    expect(await box.ok(`history ${to}:live`)).toContain('rolled back');
  });
});
