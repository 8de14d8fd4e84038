import { once } from 'node:events';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

let registry: TestRegistry;
beforeAll(async () => {
  registry = await startRegistry();
});
afterAll(() => registry.close());

async function packed(): Promise<Sandbox> {
  const box = await sandbox();
  await box.write({ 'in/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m}\n', 'in/m': 'weights\n' });
  await box.ok('pack in -t mine:v1');
  return box;
}

/** Changes a byte of the only layer; returns its digest. */
async function damageLayer(box: Sandbox): Promise<string> {
  const { manifest } = JSON.parse(await box.ok('inspect mine:v1')) as { manifest: { layers: { digest: string }[] } };
  const digest = manifest.layers[0]?.digest ?? '';
  const path = box.path('home/storage/blobs/sha256', digest.slice('sha256:'.length));
  const bytes = await readFile(path);
  bytes.write('W', bytes.indexOf('weights'));
  await rm(path);
  await writeFile(path, bytes);
  return digest;
}

test('check: well, damaged, repaired, brought anew by a pull', async () => {
  const box = await packed();
  await box.ok('tag mine:v1 copy:v2');
  expect(await box.kit('store check')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    checked local storage: 2 references, 1 manifest, 3 blobs (2.7 KiB): all artifacts are well
  `);
  await box.ok(`push mine:v1 ${registry.host}/mine:v1`);
  await damageLayer(box);
  expect(await box.kit('store check --quick')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    checked local storage: 2 references, 1 manifest, 3 blobs (2.7 KiB, 521 B of them read): all artifacts are well
  `);
  expect(await box.kit('store check')).toMatchInlineSnapshot(`
    exit 6
    --- stdout
    damage: sha256:e12c5223d1f6… (copy:v2, mine:v1): the content has digest sha256:0b9c7401804e…; pull or pack it again, which repairs what is damaged
    checked local storage: 2 references, 1 manifest, 3 blobs (2.7 KiB): 1 damage
    --- stderr
    error: local storage is damaged: copy:v2, mine:v1 cannot be used

    hint: pull or pack it again, which repairs what is damaged
  `);
  expect(await box.kit('store check --repair')).toMatchInlineSnapshot(`
    exit 6
    --- stdout
    damage: sha256:e12c5223d1f6… (copy:v2, mine:v1): the content has digest sha256:0b9c7401804e…; moved to <TMP>/home/storage/ingest/sha256-e12c5223d1f6195c9c5b5390fcaf568e4927ff75fb56ca66118e6e852deacf43.damaged; pull or pack it again, which repairs what is damaged
    checked local storage: 2 references, 1 manifest, 3 blobs (2.7 KiB): 1 damage
    --- stderr
    error: local storage is damaged: copy:v2, mine:v1 cannot be used

    hint: pull or pack it again, which repairs what is damaged
  `);
  expect((await box.kit('store check --quick')).status).toBe(6);
  await box.ok(`pull ${registry.host}/mine:v1`);
  expect((await box.kit('store check')).status).toBe(0);
  await box.ok('unpack copy:v2 -d out');
});

test('check: a broken index stops every command, and says how it is mended', async () => {
  const box = await packed();
  await writeFile(box.path('home/storage/index.json'), '{"schemaVersion":2,');
  expect(await box.kit('list')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: <TMP>/home/storage/index.json: the index is not JSON

    hint: \`kit store check --repair\` rebuilds it from what is stored (of a layout: \`kit store check oci:DIR --repair\`)
  `);
  expect(await box.kit('store check')).toMatchInlineSnapshot(`
    exit 6
    --- stdout
    damage: <TMP>/home/storage/index.json: the index is not JSON; \`--repair\` rebuilds it
    checked local storage: 1 reference, 1 manifest, 3 blobs (2.7 KiB): 1 damage
    --- stderr
    error: local storage is damaged

    hint: \`kit store check --repair\` rebuilds it
  `);
  expect((await box.kit('store check --repair')).status).toBe(0);
  expect(await box.ok('list')).toContain('mine');
  await box.ok('unpack mine:v1 -d out');
});

test('check: as JSON, and of a layout', async () => {
  const box = await packed();
  await box.ok('push mine:v1 oci:layout:v1');
  const result = JSON.parse(await box.ok('store check oci:layout --format json')) as Record<string, unknown>;
  expect(result).toMatchObject({ name: 'oci:layout', references: 1, manifests: 1, blobs: 3, findings: [], ok: true });
  expect(await box.kit('store check oci:nowhere')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: there is no image layout at nowhere

    hint: check the path after \`oci:\`
  `);
  expect((await box.kit('store check mine:v1')).status).toBe(2);
});

test('prune: shows, then removes what a moved tag left', async () => {
  const box = await packed();
  await box.write({ 'in/m': 'new weights\n' });
  await box.ok('pack in -t mine:v1');
  expect(await box.kit('store prune --dry-run')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Would remove mine@sha256:71fbdb99a34e…
    Would remove blob sha256:1c1a19d09eb5… (227 B)
    Would remove blob sha256:71fbdb99a34e… (521 B)
    Would remove blob sha256:e12c5223d1f6… (2.0 KiB)
    Would free 2.7 KiB: 1 untagged ModelKit, 3 blobs, 0 leftovers, 2 cache entries
  `);
  expect((await box.kit('store prune --older-than 1d')).stdout).toContain('Freed 0 B');
  expect(await box.kit('store prune')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Removed mine@sha256:71fbdb99a34e…
    Removed blob sha256:1c1a19d09eb5… (227 B)
    Removed blob sha256:71fbdb99a34e… (521 B)
    Removed blob sha256:e12c5223d1f6… (2.0 KiB)
    Freed 2.7 KiB: 1 untagged ModelKit, 3 blobs, 0 leftovers, 2 cache entries
  `);
  expect(await box.kit('store prune')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Freed 0 B: 0 untagged ModelKits, 0 blobs, 0 leftovers, 0 cache entries
  `);
  expect(await box.kit('store prune --older-than 1month')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: invalid value \`1month\` for --older-than

    hint: write a number and a unit: 30m, 12h, 7d, 2w
  `);
  await box.ok('unpack mine:v1 -d out');
});

test('info', async () => {
  const box = await packed();
  const lines = (await box.ok('store info')).split('\n');
  expect(lines.map((line) => line.slice(0, 20).trimEnd())).toMatchInlineSnapshot(`
    [
      "storage",
      "file system",
      "ModelKits",
      "tags",
      "blobs",
      "reclaimable",
      "partial downloads",
      "leftovers",
      "layer cache",
      "Kitfile texts",
      "git commits",
      "at work",
      "",
    ]
  `);
  expect(JSON.parse(await box.ok('store info --format json'))).toMatchObject({
    exists: true,
    manifests: 1,
    tags: 1,
    blobs: 3,
    holders: [],
  });
});

test('store alone explains itself; what it does not know is an error', async () => {
  const box = await sandbox();
  expect(await box.ok('store')).toContain('prune');
  expect(await box.kit('store gc')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: unknown command \`store gc\`

    hint: write \`kit store check\`, \`prune\` or \`info\`
  `);
  expect(await readdir(box.root)).not.toContain('home');
});

test(
  'prunes and checks beside packs, pulls and removes of other processes find nothing wrong and take nothing away',
  { timeout: 240_000 },
  async () => {
    const box = await sandbox();
    const kitfile = 'manifestVersion: 1.0.0\nmodel: {path: m}\ndocs: [{path: README.md}]\n';
    const numbers = [1, 2, 3];
    for (const number of numbers)
      await box.write({
        [`in${number}/Kitfile`]: kitfile,
        [`in${number}/m`]: `weights ${number}\n`.repeat(200_000),
        [`in${number}/README.md`]: 'shared\n',
      });
    const elsewhere = { env: { KIT_HOME: box.path('elsewhere') } };
    await box.ok(`pack in1 -t ${registry.host}/pulled:v1 --push`, elsewhere);

    const workers = [
      ...numbers.map(async (number) => {
        for (let round = 0; round < 3; round += 1) {
          await box.ok(`pack in${number} -t packed${number}:v1 --no-cache`);
          // what was packed is reached again, by another name, while prune looks at what the tag left
          await box.ok(`tag packed${number}:v1 kept:${number}`);
          await box.ok(`remove packed${number}:v1 --force`);
        }
      }),
      (async () => {
        for (let round = 0; round < 3; round += 1) {
          await box.ok(`pull ${registry.host}/pulled:v1`);
          await box.ok(`unpack ${registry.host}/pulled:v1 -d pulled${round}`);
        }
      })(),
    ];
    let ended = 0;
    const settled = workers.map(async (worker) => await worker.finally(() => (ended += 1)));
    const sound: unknown[] = [];
    for (; ended < workers.length;) {
      const [pruned, checked] = await Promise.all([box.kit('store prune --partials'), box.kit('store check')]);
      // somebody may be adding
      expect(pruned.status === 0 || pruned.stderr.includes('nothing was pruned'), pruned.stderr).toBe(true);
      expect(checked.status, checked.stdout + checked.stderr).toBe(0);
      sound.push(checked.status);
    }
    await Promise.all(settled);
    expect(sound.length).toBeGreaterThan(0);
    expect((await box.kit('store prune')).status).toBe(0);
    const { findings } = JSON.parse(await box.ok('store check --format json')) as { findings: unknown[] };
    expect(findings).toEqual([]);
  },
);

test('a prune leaves what a living process is writing, and takes it when that was killed', async () => {
  const box = await packed();
  const gate = Promise.withResolvers<void>();
  await box.write({ 'big/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m}\n', 'big/m': Buffer.alloc(8_000_000, 'x') });
  await box.ok(`pack big -t ${registry.host}/big:v1 --push`, { env: { KIT_HOME: box.path('elsewhere') } });
  registry.behaviour.pauseWhole = { bytes: 5_000_000, until: gate.promise };
  const pull = box.start(`pull ${registry.host}/big:v1 --progress json`);
  await pull.event(({ type, delta }) => type === 'bytes' && Number(delta) > 1000);
  const held = await box.kit('store prune --partials');
  expect(held.status).toBe(1);
  expect(held.stderr).toContain(`nothing was pruned: process ${pull.child.pid} on `);
  expect(await box.ok('store info')).toContain(`process ${pull.child.pid} on `);
  const exit = once(pull.child, 'exit');
  pull.child.kill('SIGKILL');
  await exit;
  gate.resolve();
  registry.behaviour.pauseWhole = undefined;
  await box.ok('store prune --partials');
  expect(await readdir(box.path('home/storage/leases'))).toEqual([]);
  await box.ok(`pull ${registry.host}/big:v1`);
});

test('a home of KitOps is checked and pruned as it is', async () => {
  const box = await sandbox();
  await mkdir(box.home);
  await cp(join(import.meta.dirname, '../../fixtures/golden/kit-home'), box.home, { recursive: true });
  const { ok, findings } = JSON.parse(await box.ok('store check --format json')) as { ok: boolean; findings: { severity: string }[] };
  expect(ok).toBe(true);
  expect(findings.filter(({ severity }) => severity === 'damage')).toEqual([]);
});
