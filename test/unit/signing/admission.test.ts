import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Admit, admitSigned, copy, pack, parseLocation, pull, sign, unpack } from '../../../src/index.ts';
import { makeKey, setUpSigning, type SigningSetup } from './operations-setup.ts';

/** Packs `content` as a model into the registry. */
async function publish({ kit, home, registry }: SigningSetup, name: string, kitfile: string, content = 'data') {
  const directory = join(home, 'src', name.replace(/\W/g, '-'));
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'w.bin'), content);
  await writeFile(join(directory, 'code.py'), 'code');
  await writeFile(join(directory, 'Kitfile'), `manifestVersion: 1.0.0\npackage: {name: m}\n${kitfile}\n`);
  const destination = parseLocation(`${registry.host}/team/${name}`);
  const { digest } = await pack(kit, { directory, destination, push: true });
  return { destination, digest };
}

const MODEL = 'model: {path: w.bin}';

async function stored({ kit }: SigningSetup): Promise<number> {
  return (await (await kit.store()).list()).length;
}

describe('nothing is written unless it is signed', () => {
  test('pull', async () => {
    const setup = await setUpSigning();
    const { kit, registry, signer, verifier } = setup;
    const { destination, digest } = await publish(setup, 'm:v1', MODEL);
    const admit = admitSigned(kit, { verifier, annotations: {} });
    registry.clear();
    await expect(pull(kit, destination, { admit })).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    expect(registry.log().filter((line) => line.includes('/blobs/'))).toEqual([]);
    expect(await stored(setup)).toBe(0);
    await sign(kit, { location: destination, signer: makeKey().signer, format: 'bundle' });
    await expect(pull(kit, destination, { admit })).rejects.toThrowError(/not by the key/);
    expect(await stored(setup)).toBe(0);
    await sign(kit, { location: destination, signer, format: 'bundle' });
    expect(await pull(kit, destination, { admit })).toMatchObject([{ digest }]);
    expect(await stored(setup)).toBe(1);
  });

  test('copy', async () => {
    const setup = await setUpSigning();
    const { kit, registry, signer, verifier } = setup;
    const { destination: source, digest } = await publish(setup, 'm:v1', MODEL);
    const destination = parseLocation(`${registry.host}/prod/m:v1`);
    const admit = admitSigned(kit, { verifier, annotations: {} });
    registry.clear();
    await expect(copy(kit, { source, destination, admit })).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    expect(registry.log().filter((line) => line.includes('/v2/prod/'))).toEqual([]);
    await sign(kit, { location: source, signer, format: 'bundle' });
    expect(await copy(kit, { source, destination, admit })).toMatchObject([{ digest }]);
  });

  test('unpack, from the registry and from the store', async () => {
    const setup = await setUpSigning();
    const { kit, home, registry, signer, verifier } = setup;
    const { destination: source } = await publish(setup, 'm:v1', MODEL);
    const admit = admitSigned(kit, { verifier, annotations: { stage: 'prod' } });
    const directory = join(home, 'out');
    registry.clear();
    await expect(unpack(kit, { source, directory, admit })).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    expect(registry.log().filter((line) => line.includes('/blobs/'))).toEqual([]);
    await expect(readdir(directory)).rejects.toThrowError(/ENOENT/);
    await pull(kit, source);
    await expect(unpack(kit, { source, directory, admit })).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    await sign(kit, { location: source, signer, format: 'bundle' });
    await expect(unpack(kit, { source, directory, admit })).rejects.toThrowError(/no annotation stage/);
    await sign(kit, { location: source, signer, annotations: { stage: 'prod' }, format: 'bundle' });
    // the store has the artifact, the registry the signature
    await unpack(kit, { source, directory, admit });
    expect((await readdir(directory)).toSorted()).toEqual(['Kitfile', 'w.bin']);
  });

  test('a base ModelKit must be signed as well', async () => {
    const setup = await setUpSigning();
    const { kit, home, registry, signer, verifier } = setup;
    const base = await publish(setup, 'base:v1', MODEL);
    const top = await publish(setup, 'top:v1', `model: {path: "${registry.host}/team/base:v1"}\ncode: [{path: code.py}]`);
    const admit = admitSigned(kit, { verifier, annotations: {} });
    const directory = join(home, 'out');
    await sign(kit, { location: top.destination, signer, format: 'bundle' });
    await expect(pull(kit, top.destination, { admit })).rejects.toThrowError(/team\/base:v1@sha256:\w+: no signatures found/);
    await expect(unpack(kit, { source: top.destination, directory, admit })).rejects.toThrowError(
      /team\/base:v1@sha256:\w+: no signatures/,
    );
    expect(await stored(setup)).toBe(0);
    await expect(readdir(directory)).rejects.toThrowError(/ENOENT/);
    await sign(kit, { location: base.destination, signer, format: 'bundle' });
    expect(await pull(kit, top.destination, { admit })).toHaveLength(2);
    await unpack(kit, { source: top.destination, directory, admit });
  });
});

/** Admits what is signed, and then puts something else under the tag. */
async function movingTag(setup: SigningSetup): Promise<{ admit: Admit; good: string; source: ReturnType<typeof parseLocation> }> {
  const { kit, signer, verifier } = setup;
  const { destination: source, digest: good } = await publish(setup, 'm:v1', MODEL);
  await sign(kit, { location: source, signer, format: 'bundle' });
  const signed = admitSigned(kit, { verifier, annotations: {} });
  let moves = 0;
  const admit: Admit = async (from, manifest, call) => {
    await signed(from, manifest, call);
    moves += 1;
    // pull asks twice: before all, and for what it then fetches
    if (moves === 2 || call.signal === undefined) await publish(setup, 'm:v1', MODEL, 'evil');
  };
  return { admit, good, source };
}

describe('a tag that is moved after it was verified', () => {
  test('unpack takes what was verified', async () => {
    const setup = await setUpSigning();
    const { admit, good, source } = await movingTag(setup);
    const directory = join(setup.home, 'out');
    expect(await unpack(setup.kit, { source, directory, admit })).toMatchObject({ digest: good });
  });

  test('pull takes what was verified, or refuses', async () => {
    const setup = await setUpSigning();
    const { admit, good, source } = await movingTag(setup);
    const { signal } = new AbortController();
    expect(await pull(setup.kit, source, { admit, signal })).toMatchObject([{ digest: good }]);
    const again = await setUpSigning();
    const moved = await movingTag(again);
    // moved between the two questions: the second one is asked about the other
    await expect(pull(again.kit, moved.source, { admit: moved.admit })).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    expect(await stored(again)).toBe(0);
  });
});
