import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { addToIndex, createIndex, pack, parseLocation, parseReference, pushIndex } from '../../../src/index.ts';
import type { SigningSetup } from '../signing/operations-setup.ts';
import { makeSigner } from '../signing/sample-signatures.ts';

export const PICKLE = Buffer.concat([Buffer.from([0x80, 4, 0x95]), Buffer.alloc(61)]);

/** Packs `files` into the registry of the setup. */
export async function publish(
  { kit, home, registry }: SigningSetup,
  name: string,
  files: Readonly<Record<string, string | Buffer>> = {},
  raw = false,
) {
  const directory = join(home, 'src', name.replace(/\W/g, '-'));
  await mkdir(join(directory, 'w'), { recursive: true });
  for (const [path, content] of Object.entries({ 'w/a.safetensors': 'data', ...files })) await writeFile(join(directory, path), content);
  await writeFile(join(directory, 'Kitfile'), 'manifestVersion: 1.0.0\npackage: {name: m, license: MIT}\nmodel: {path: w}\n');
  const destination = parseLocation(`${registry.host}/team/${name}`);
  await pack(kit, { directory, destination, push: true, ...(raw && { format: 'modelpack', layerFormat: 'raw' }) });
  return destination;
}

export async function policy({ home }: SigningSetup, rules: string, name = 'p'): Promise<string> {
  const file = join(home, `${name}.yaml`);
  await writeFile(file, `version: 1\nname: ${name}\n${rules}\n`);
  return file;
}

export async function configure({ home }: SigningSetup, text: string): Promise<void> {
  await writeFile(join(home, 'config.toml'), text);
}

/** A key of a test with its PEM in the home folder, as `NAME.pub`. */
export async function key({ home }: SigningSetup, name: string) {
  const made = makeSigner();
  await writeFile(join(home, `${name}.pub`), made.key.key.export({ type: 'spki', format: 'pem' }));
  const material = { publicKey: { hint: made.key.keyId } };
  return {
    name,
    sign: async (data: Uint8Array) =>
      await Promise.resolve({ signature: Buffer.from(made.sign(data), 'base64'), material, verifierPem: '' }),
  };
}

/** An index of two, `q=one` and `q=other`, the second with a pickle. */
export async function publishIndex(setup: SigningSetup) {
  await publish(setup, 'm:one', { 'w/1': '1' });
  await publish(setup, 'm:other', { 'w/x.dat': PICKLE });
  const index = `${setup.registry.host}/team/m:all`;
  await createIndex(setup.kit, parseReference(index));
  for (const tag of ['one', 'other']) {
    const modelkit = parseReference(`${setup.registry.host}/team/m:${tag}`);
    const labels = { set: new Map([['q', tag]]), remove: new Set<string>() };
    await addToIndex(setup.kit, { index: parseReference(index), modelkit, remote: true, labels });
  }
  await pushIndex(setup.kit, { source: parseLocation(index) });
  return parseLocation(index);
}
