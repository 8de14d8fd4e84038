import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';

const KEY = join(GOLDEN, 'cosign-keys', 'cosign.key');
const PASSWORD = { COSIGN_PASSWORD: 'golden-test-only' };

/** A tuned model on a base, both signed. */
async function tuned(): Promise<{ box: Sandbox; name: string }> {
  const box = await sandbox();
  const registry = await startRegistry();
  onTestFinished(async () => {
    await registry.close();
  });
  const name = `${registry.host}/team/m`;
  await box.write({
    'base/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: base}\nmodel: {path: w.bin}\n',
    'base/w.bin': 'weights',
    'tuned/Kitfile': `manifestVersion: 1.0.0\npackage: {name: tuned}\nmodel: {path: ${name}:base}\ndatasets: [{name: <b>, path: data.csv}]\n`,
    'tuned/data.csv': 'a,b',
  });
  for (const one of ['base', 'tuned']) {
    await box.ok(`pack ${one} -t ${name}:${one} --push`);
    await box.ok(`sign ${name}:${one} --key ${KEY} --signature-format bundle`, { env: PASSWORD });
  }
  return { box, name };
}

test('as text, JSON and a page', async () => {
  const { box, name } = await tuned();
  const text = await box.ok(`tree --remote ${name}:tuned`);
  // a signature differs every time, and the Kitfile has the registry's port in it
  expect(text.replaceAll(/sigstore signature · sha256:\w+ · .*/g, 'sigstore signature').replaceAll(/sha256:\w{64}/g, 'sha256:…'))
    .toMatchInlineSnapshot(`
    "127.0.0.1:55555/team/m:tuned
    │  ModelKit · sha256:… · 2.0 KiB
    ├─ base: 127.0.0.1:55555/team/m:base
    │  │  ModelKit · sha256:… · 2.0 KiB
    │  └─ signature
    │        sigstore signature
    ├─ dataset: <b>
    │     dataset · sha256:… · 2.0 KiB
    └─ signature
          sigstore signature
    "
  `);
  const { root, truncated } = JSON.parse(await box.ok(`tree --remote ${name}:tuned --format json`)) as {
    truncated: boolean;
    root: { children: { relation: string }[] };
  };
  expect([truncated, root.children.map(({ relation }) => relation)]).toEqual([false, ['base', 'dataset', 'signature']]);
  const page = await box.ok(`tree --remote ${name}:tuned --format html`);
  expect(page).toMatch(/^<!doctype html>\n.*<\/html>\n$/s);
  expect(page).toContain('dataset: &lt;b&gt;');
});

test('what is in local storage, and what is nowhere', async () => {
  const { box, name } = await tuned();
  await box.ok(`copy ${name}:base m:v1`);
  expect(await box.ok('tree m:v1')).toMatch(/^m:v1\n {3}ModelKit · sha256:/);
  expect(await box.kit('tree nada:v1')).toMatchObject({ status: 3, stdout: '' });
  expect(await box.kit('tree m:v1 --format svg')).toMatchObject({ status: 2 });
});
