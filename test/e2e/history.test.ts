import { expect, onTestFinished, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';

async function pushed(): Promise<{ box: Sandbox; name: string }> {
  const box = await sandbox();
  const registry = await startRegistry();
  onTestFinished(async () => {
    await registry.close();
  });
  const name = `${registry.host}/team/m`;
  for (const [version, docs] of [
    ['1.9.0', ''],
    ['1.10.0', 'docs: [{path: README.md}]\n'],
  ] as const) {
    await box.write({
      'm/Kitfile': `manifestVersion: 1.0.0\npackage: {name: m, version: ${version}}\nmodel: {path: w.bin}\n${docs}`,
      'm/w.bin': `weights of ${version}`,
      'm/README.md': '# m',
    });
    await box.ok(`pack m -t ${name}:${version} --push`);
  }
  return { box, name };
}

test('the versions of a repository, and what changed', async () => {
  const { box, name } = await pushed();
  await box.ok(`copy ${name}:1.10.0 ${name}:latest`);
  expect(await box.kit(`history ${name}`)).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    127.0.0.1:55555/team/m (by version, newest first)

    1.10.0, latest
      sha256:aefedd08f6be…
      ModelKit, 4.0 KiB
      no signatures
      layers: +2 (4.0 KiB) -1 (2.0 KiB), 0 the same
      ~ package.version: "1.9.0" -> "1.10.0"
      ~ docs[0].path: (none) -> "README.md"

    1.9.0
      sha256:309708799ea4…
      ModelKit, 2.0 KiB
      no signatures
  `);
  const { entries } = JSON.parse(await box.ok(`history ${name} --format json`)) as { entries: Record<string, unknown>[] };
  expect(entries).toMatchObject([
    { version: '1.10.0', tags: ['1.10.0', 'latest'], changes: { added: [{}, {}], removed: [{}], kept: 0 } },
    { version: '1.9.0', tags: ['1.9.0'] },
  ]);
  expect(await box.ok(`history ${name}:1.9.0`)).not.toContain('1.10.0');
  expect((await box.ok(`history ${name} -n 1`)).match(/sha256:/g)).toHaveLength(1);
});

test('in local storage too', async () => {
  const { box, name } = await pushed();
  await box.ok(`pull ${name}:1.9.0`);
  await box.ok(`tag ${name}:1.9.0 m:1.9.0`);
  expect(await box.ok('history m')).toContain('1.9.0');
  expect(await box.ok(`history --local ${name}`)).toContain('1.9.0');
});

test('the command line is checked before anything is asked', async () => {
  const box = await sandbox();
  expect(await box.kit('history m --order size')).toMatchObject({ status: 2 });
  expect(await box.kit('history m -n 0')).toMatchObject({ status: 2 });
  expect(await box.kit('history')).toMatchObject({ status: 2 });
  expect(await box.kit('history oci-archive:x.tar')).toMatchObject({ status: 1 });
  expect(await box.kit('history nada')).toMatchObject({ status: 3 });
});
