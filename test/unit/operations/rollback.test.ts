import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { admitSigned, parseLocation, sign, verifyAttestation } from '../../../src/index.ts';
import { describe as descriptorOf } from '../../../src/oci/descriptor.ts';
import { parseManifest } from '../../../src/oci/manifest.ts';
import { journaled, readJournal } from '../../../src/operations/history/journal.ts';
import { openTag } from '../../../src/operations/history/place.ts';
import { PROMOTION_TYPE } from '../../../src/operations/history/record.ts';
import { promote } from '../../../src/operations/promote/promote.ts';
import { rollback } from '../../../src/operations/promote/rollback.ts';
import { fetchMetadata } from '../../../src/targets/manifest-bytes.ts';
import { makeKey } from '../signing/operations-setup.ts';
import { pushBlob, pushManifest } from '../signing/sample-signatures.ts';
import { pushRelease, releaseSetting, type ReleaseSetting } from './history-setting.ts';

async function promoted(...versions: ('1.0.0' | '1.1.0' | '1.2.0')[]): Promise<ReleaseSetting> {
  const setting = await releaseSetting();
  for (const version of versions) await setting.promote(version, 'prod');
  return setting;
}

const writes = ({ registry }: ReleaseSetting): string[] => registry.log().filter((line) => !/^(GET|HEAD) /.test(line));

describe('promote', () => {
  test('moves the tag, and records from, to, when and by beside the manifest', async () => {
    const { kit, target, name, releases, at, promote: move } = await releaseSetting();
    const { digest } = releases['1.1.0'].manifest;
    await move('1.0.0', 'prod');
    const before = Date.now();
    const result = await move('1.1.0', 'prod');
    expect(result).toMatchObject({ from: releases['1.0.0'].manifest.digest, to: digest, changed: true, by: 'ci', source: `${name}:1.1.0` });
    expect(at('prod')).toBe(digest);
    const record = parseManifest(await fetchMetadata(target, await target.resolve(result.record ?? '')), 'record');
    expect(record).toMatchObject({
      artifactType: 'application/vnd.in-toto+json',
      subject: { digest },
      annotations: { 'in-toto.io/predicate-type': PROMOTION_TYPE },
    });
    const statement: unknown = JSON.parse(String(await fetchMetadata(target, record.layers[0] ?? record.config)));
    expect(statement).toEqual({
      _type: 'https://in-toto.io/Statement/v0.1',
      subject: [{ name, digest: { sha256: digest.slice(7) } }],
      predicateType: PROMOTION_TYPE,
      predicate: {
        kind: 'promotion',
        from: { reference: `${name}:1.1.0` },
        to: { repository: name, tag: 'prod' },
        previous: releases['1.0.0'].manifest.digest,
        when: result.when,
        by: 'ci',
      },
    });
    expect(Date.parse(result.when ?? '')).toBeGreaterThanOrEqual(before);
    // a statement is no signature
    const { verifier } = makeKey();
    await expect(
      admitSigned(kit, { verifier, annotations: {} })({ target, reference: digest, name, isLocal: false }, releases['1.1.0'].manifest, {}),
    ).rejects.toThrow('no signatures found');
  });

  test('again it does nothing', async () => {
    const setting = await promoted('1.0.0');
    setting.registry.clear();
    expect(await setting.promote('1.0.0', 'prod')).toMatchObject({ changed: false });
    expect(writes(setting)).toEqual([]);
  });

  test('signed where there is a key', async () => {
    const { kit, name, promote: move } = await releaseSetting();
    const { signer, verifier } = makeKey();
    await move('1.0.0', 'prod', { signer });
    const { attestations } = await verifyAttestation(kit, { location: parseLocation(`${name}:prod`), verifier, type: PROMOTION_TYPE });
    expect(attestations).toMatchObject([{ accepted: true, statement: { predicate: { to: { tag: 'prod' }, by: 'ci' } } }]);
    await expect(
      verifyAttestation(kit, { location: parseLocation(`${name}:prod`), verifier: makeKey().verifier, type: PROMOTION_TYPE }),
    ).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  });

  test('from another repository: with what refers to it, and without its tag; refused unless signed', async () => {
    const { kit, name, registry, releases, call } = await releaseSetting();
    const { signer, verifier } = makeKey();
    const args = {
      source: parseLocation(`${name}:1.0.0`),
      destination: parseLocation(`${registry.host}/prod/model:live`),
      admit: admitSigned(kit, { verifier, annotations: {} }),
    };
    await expect(promote(kit, args, call)).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    expect(registry.storage.find('prod/model')).toBeUndefined();
    await sign(kit, { location: args.source, signer });
    await promote(kit, args, call);
    const { digest } = releases['1.0.0'].manifest;
    expect([...(registry.storage.find('prod/model')?.tags ?? [])]).toEqual(
      expect.arrayContaining([
        [`${digest.replace(':', '-')}.sig`, expect.any(String)],
        ['live', digest],
      ]) as unknown,
    );
    expect(registry.storage.find('prod/model')?.tags.size).toBe(2);
    // what was recorded of another repository's tag tells nothing of this one
    await expect(rollback(kit, { location: args.destination }, call)).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  });

  test('a run that was killed before the tag moved goes on with its record', async () => {
    const setting = await promoted('1.0.0');
    const { registry, releases, name, promote: move, at } = setting;
    registry.behaviour.faults.push({ match: /^PUT .*\/manifests\/prod$/, status: 403 });
    await expect(move('1.1.0', 'prod')).rejects.toMatchObject({ code: 'DENIED' });
    expect(at('prod')).toBe(releases['1.0.0'].manifest.digest);
    const count = registry.storage.find('team/model')?.manifests.size;
    expect(await move('1.1.0', 'prod')).toMatchObject({ changed: true, reference: `${name}:prod` });
    expect(registry.storage.find('team/model')?.manifests.size).toBe(count);
  });

  test('--expect', async () => {
    const { releases, promote: move } = await promoted('1.0.0');
    await expect(move('1.1.0', 'prod', { expect: releases['1.2.0'].manifest.digest })).rejects.toMatchObject({ code: 'TAG_MOVED' });
    await expect(move('1.1.0', 'prod', { expect: null })).rejects.toMatchObject({ code: 'TAG_MOVED' });
    expect(await move('1.1.0', 'new', { expect: null })).toMatchObject({ changed: true, from: undefined });
    expect(await move('1.1.0', 'prod', { expect: releases['1.0.0'].manifest.digest })).toMatchObject({ changed: true });
  });

  test('a tag that is moved meanwhile stays where somebody else put it', async () => {
    const setting = await promoted('1.0.0');
    const { registry, releases, promote: move, at } = setting;
    const tags = registry.storage.find('team/model')?.tags;
    // when the record arrives
    registry.behaviour.onRequest = () => {
      if (registry.requests.at(-1)?.method === 'PUT') tags?.set('prod', releases['1.2.0'].manifest.digest);
    };
    await expect(move('1.1.0', 'prod')).rejects.toMatchObject({ code: 'TAG_MOVED' });
    expect(at('prod')).toBe(releases['1.2.0'].manifest.digest);
  });
});

describe('rollback', () => {
  test.each([
    ['with the referrers API', true],
    ['without it', false],
  ])('goes one step back, then another, %s', async (_, referrers) => {
    const { releases, promote: move, rollback: back, at, warnings, registry } = await releaseSetting({ behaviour: { referrers } });
    for (const version of ['1.0.0', '1.1.0', '1.2.0'] as const) await move(version, 'prod');
    // nothing of it is needed on this machine
    registry.clear();
    expect(await back('prod')).toMatchObject({
      from: releases['1.2.0'].manifest.digest,
      to: releases['1.1.0'].manifest.digest,
      changed: true,
      because: expect.stringContaining('by ci (recorded beside it)') as string,
    });
    expect(await back('prod')).toMatchObject({ to: releases['1.0.0'].manifest.digest });
    expect(at('prod')).toBe(releases['1.0.0'].manifest.digest);
    await expect(back('prod')).rejects.toThrow('was new when it was put where it is: there is nothing before that');
    expect(registry.requests.filter(({ method, path }) => method === 'GET' && path.endsWith(releases['1.0.0'].layer.digest))).toEqual([]);
    expect(warnings).toEqual([]);
  });

  test('several steps at once; more than are known are refused', async () => {
    const { releases, rollback: back, at } = await promoted('1.0.0', '1.1.0', '1.2.0');
    await expect(back('prod', { steps: 3 })).rejects.toThrow('was new 2 steps ago: it cannot go back 3');
    expect(at('prod')).toBe(releases['1.2.0'].manifest.digest);
    await back('prod', { steps: 2 });
    expect(at('prod')).toBe(releases['1.0.0'].manifest.digest);
  });

  test('from another machine', async () => {
    const { home, releases, rollback: back } = await promoted('1.0.0', '1.1.0');
    rmSync(join(home, 'history'), { recursive: true });
    expect(await back('prod')).toMatchObject({ to: releases['1.0.0'].manifest.digest });
  });

  test('a dry run says where to, and writes nothing', async () => {
    const setting = await promoted('1.0.0', '1.1.0');
    const { home, releases, rollback: back, at, registry } = setting;
    registry.clear();
    const noted = readdirSync(join(home, 'history')).map((file) => readFileSync(join(home, 'history', file), 'utf8'));
    expect(await back('prod', { dryRun: true })).toMatchObject({ to: releases['1.0.0'].manifest.digest, changed: false, dryRun: true });
    expect(at('prod')).toBe(releases['1.1.0'].manifest.digest);
    expect(writes(setting)).toEqual([]);
    expect(readdirSync(join(home, 'history')).map((file) => readFileSync(join(home, 'history', file), 'utf8'))).toEqual(noted);
  });

  test('--expect: a second run of a script does nothing, and another value is refused', async () => {
    const { releases, rollback: back, at } = await promoted('1.0.0', '1.1.0', '1.2.0');
    const expected = releases['1.2.0'].manifest.digest;
    expect(await back('prod', { expect: expected })).toMatchObject({ changed: true });
    expect(await back('prod', { expect: expected })).toMatchObject({ changed: false, to: releases['1.1.0'].manifest.digest });
    expect(at('prod')).toBe(releases['1.1.0'].manifest.digest);
    await expect(back('prod', { expect: releases['1.0.0'].manifest.digest })).rejects.toMatchObject({ code: 'TAG_MOVED' });
    // with --to the goal is reached, whoever did it
    expect(await back('prod', { to: '1.1.0', expect: expected })).toMatchObject({ changed: false });
  });

  test('--to: a tag, a digest, a reference to the same repository', async () => {
    const { name, releases, rollback: back, at } = await promoted('1.2.0');
    await back('prod', { to: '1.1.0' });
    expect(at('prod')).toBe(releases['1.1.0'].manifest.digest);
    await back('prod', { to: releases['1.0.0'].manifest.digest });
    expect(at('prod')).toBe(releases['1.0.0'].manifest.digest);
    await back('prod', { to: `${name}:1.2.0` });
    expect(at('prod')).toBe(releases['1.2.0'].manifest.digest);
    await expect(back('prod', { to: 'other/model:1.0.0' })).rejects.toMatchObject({ code: 'REFERENCE_INVALID' });
    await expect(back('prod', { to: 'nada' })).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    // where it went never was its place before: nothing is guessed
    await back('prod', { to: '1.0.0' });
    await expect(back('prod')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  });

  test('only to what is signed, where that is asked for', async () => {
    const { kit, name, releases, rollback: back, at } = await promoted('1.0.0', '1.1.0');
    const { signer, verifier } = makeKey();
    const admit = admitSigned(kit, { verifier, annotations: {} });
    await expect(back('prod', { admit })).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    expect(at('prod')).toBe(releases['1.1.0'].manifest.digest);
    await sign(kit, { location: parseLocation(`${name}:1.0.0`), signer });
    expect(await back('prod', { admit })).toMatchObject({ changed: true });
  });

  test('not to what has lost a layer, or is gone', async () => {
    const { registry, releases, rollback: back, at } = await promoted('1.0.0', '1.1.0');
    const repository = registry.storage.find('team/model');
    repository?.blobs.delete(releases['1.0.0'].layer.digest);
    await expect(back('prod')).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND', exitCode: 6 });
    repository?.manifests.delete(releases['1.0.0'].manifest.digest);
    await expect(back('prod')).rejects.toThrow(`was ${releases['1.0.0'].manifest.digest}, which is not in`);
    expect(at('prod')).toBe(releases['1.1.0'].manifest.digest);
  });

  test('away from a manifest that is damaged', async () => {
    const { registry, releases, rollback: back, at } = await promoted('1.0.0', '1.1.0');
    const { digest } = releases['1.1.0'].manifest;
    registry.storage
      .find('team/model')
      ?.manifests.set(digest, { mediaType: 'application/vnd.oci.image.manifest.v1+json', bytes: Buffer.from('{}') });
    await back('prod', { to: '1.0.0' });
    expect(at('prod')).toBe(releases['1.0.0'].manifest.digest);
  });

  test('where nothing is known it is refused with the candidate, and done with byVersion', async () => {
    const { target, releases, rollback: back, at } = await releaseSetting();
    await target.tag(releases['1.2.0'].manifest, 'stable');
    const refusal = await back('stable').catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
      message: expect.stringMatching(/^it is not known what .*:stable was before$/) as string,
      hint: expect.stringMatching(/^by version it would be 1\.1\.0: `kit rollback .*:stable --to 1\.1\.0`/) as string,
    });
    expect(at('stable')).toBe(releases['1.2.0'].manifest.digest);
    expect(await back('stable', { byVersion: true, steps: 2 })).toMatchObject({ because: '1.0.0 is 2 releases before 1.2.0' });
    expect(at('stable')).toBe(releases['1.0.0'].manifest.digest);
  });

  test('a record that cannot be written does not stop it', async () => {
    const { registry, releases, rollback: back, at, warnings } = await promoted('1.0.0', '1.1.0');
    registry.behaviour.faults.push({ match: /^PUT .*\/manifests\/sha256/, status: 403 });
    expect(await back('prod')).toMatchObject({ changed: true });
    expect(at('prod')).toBe(releases['1.0.0'].manifest.digest);
    expect(warnings).toEqual([expect.stringContaining('the rollback could not be recorded')]);
  });

  test('records of others are not believed: damaged ones, those of other tags and repositories, and about other manifests', async () => {
    const { target, name, releases, rollback: back, warnings } = await releaseSetting();
    const { manifest } = releases['1.2.0'];
    await target.tag(manifest, 'prod');
    const type = 'application/vnd.in-toto+json';
    const attach = async (change: Readonly<Record<string, unknown>>, about = manifest.digest): Promise<void> => {
      const predicate = {
        kind: 'promotion',
        from: { reference: 'x' },
        to: { repository: name, tag: 'prod' },
        previous: releases['1.0.0'].manifest.digest,
        when: '2026-01-01T00:00:00.000Z',
        by: 'x',
        ...change,
      };
      const subject = [{ name, digest: { sha256: about.slice(7) } }];
      const statement = { _type: 'https://in-toto.io/Statement/v0.1', subject, predicateType: PROMOTION_TYPE, predicate };
      const layer = await pushBlob(target, type, Buffer.from(JSON.stringify(statement)));
      await pushManifest(target, { artifactType: type, layers: [layer], subject: manifest });
    };
    await attach({ to: { repository: name, tag: 'other' } });
    await attach({ to: { repository: 'elsewhere/model', tag: 'prod' } });
    await attach({ previous: 'sha256:short' });
    await attach({ when: 'yesterday' });
    await attach({}, releases['1.1.0'].manifest.digest);
    await expect(back('prod')).rejects.toThrow('it is not known what');
    expect(warnings).toEqual([
      expect.stringContaining('is left out: its predicate'),
      expect.stringContaining('is left out: its predicate'),
    ]);
    await attach({});
    expect(await back('prod')).toMatchObject({ to: releases['1.0.0'].manifest.digest });
  });

  test('records that name each other end', async () => {
    const { rollback: back } = await promoted('1.0.0', '1.1.0', '1.0.0', '1.1.0');
    await expect(back('prod', { steps: 4 })).rejects.toThrow('was new 3 steps ago');
  });

  test('in local storage', async () => {
    const { kit, call } = await releaseSetting();
    const store = (await kit.store()).repository('m');
    const [one, two] = [await pushRelease(store, '1'), await pushRelease(store, '2')];
    await store.tag(one.manifest, 'a');
    await store.tag(two.manifest, 'b');
    for (const tag of ['a', 'b']) await promote(kit, { source: parseLocation(`m:${tag}`), destination: parseLocation('m:prod') }, call);
    expect(await rollback(kit, { location: parseLocation('m:prod') }, call)).toMatchObject({
      from: two.manifest.digest,
      to: one.manifest.digest,
    });
    expect((await store.resolve('prod')).digest).toBe(one.manifest.digest);
  });
});

describe('what this machine noted', () => {
  test('moves by whatever way lead back; a torn line does not', async () => {
    const { kit, name, target, releases, rollback: back, call, home, warnings } = await releaseSetting();
    const place = await openTag(kit, parseLocation(`${name}:prod`), { local: false, verb: 'push' });
    const noting = journaled(kit, place.target, 'registry', call);
    await noting.tag(releases['1.0.0'].manifest, 'prod');
    await noting.tag(releases['1.1.0'].manifest, 'prod');
    await noting.tag(releases['1.1.0'].manifest, 'prod');
    // signatures are no releases
    await noting.tag(releases['1.1.0'].manifest, `${releases['1.1.0'].manifest.digest.replace(':', '-')}.sig`);
    const [file = '', ...others] = readdirSync(join(home, 'history'));
    expect(others).toEqual([]);
    expect(await readJournal(kit, place, call)).toMatchObject([
      // a tag that is new has no past
      { kind: 'move', digest: releases['1.1.0'].manifest.digest, previous: releases['1.0.0'].manifest.digest, evidence: 'journal' },
    ]);
    const path = join(home, 'history', file);
    writeFileSync(path, `${readFileSync(path, 'utf8')}{"place":"torn`);
    expect(await back('prod', { dryRun: true })).toMatchObject({
      to: releases['1.0.0'].manifest.digest,
      because: expect.stringContaining('(noted on this machine)') as string,
    });
    expect(warnings[0]).toContain('a line that is damaged is left out');
    // moved by somebody else since: what was noted tells nothing of where it is now
    await target.tag(releases['1.2.0'].manifest, 'prod');
    await expect(back('prod')).rejects.toThrow('it is not known what');
  });

  test('the rest of a target is as it was', async () => {
    const { kit, name, target } = await releaseSetting();
    const noting = journaled(kit, (await openTag(kit, parseLocation(`${name}:prod`), { local: false, verb: 'push' })).target, 'store');
    const bytes = Buffer.from('blob');
    const blob = descriptorOf('text/plain', bytes);
    expect(await noting.has(blob)).toBe(false);
    await noting.push(blob, bytesSource(bytes));
    expect(Buffer.concat(await Array.fromAsync(await noting.fetch(blob)))).toEqual(bytes);
    expect(await noting.resolve('1.0.0')).toEqual(await target.resolve('1.0.0'));
  });
});
