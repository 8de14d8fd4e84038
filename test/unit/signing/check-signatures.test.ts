import { describe, expect, test } from 'vitest';
import { isKitError, KitError } from '../../../src/errors.ts';
import type { Descriptor } from '../../../src/oci/descriptor.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import type { SignatureSource } from '../../../src/signing/candidates.ts';
import { checkSignatures, type SignatureReport } from '../../../src/signing/check-signatures.ts';
import { readUnverified } from '../../../src/signing/unverified.ts';
import { fetchMetadata } from '../../../src/targets/manifest-bytes.ts';
import { MemoryTarget } from '../../../src/targets/memory.ts';
import {
  attachBundle,
  attachLegacy,
  bundle,
  BUNDLE_TYPE,
  makeSigner,
  pushBlob,
  pushManifest,
  SIGNATURE,
  simplePayload,
  statement,
} from './sample-signatures.ts';

const signer = makeSigner();

function sourceOf(target: MemoryTarget, changes: Partial<SignatureSource> = {}): SignatureSource {
  return {
    referrers: (subject) => target.can.referrers?.(subject) ?? none(),
    resolve: async (tag) =>
      await target.resolve(tag).catch((error: unknown) => {
        if (isKitError(error, 'REFERENCE_NOT_FOUND')) return undefined;
        throw error;
      }),
    read: async (blob) => await fetchMetadata(target, blob),
    ...changes,
  };
}

async function* none(): AsyncGenerator<Descriptor> {}

async function* listed(...descriptors: Descriptor[]): AsyncGenerator<Descriptor> {
  yield* await Promise.resolve(descriptors);
}

async function check(source: SignatureSource, subject: Descriptor): Promise<SignatureReport[]> {
  return await Array.fromAsync(checkSignatures(source, subject, { verifier: signer.verifier, digest: subject.digest, annotations: {} }));
}

async function model(): Promise<{ target: MemoryTarget; subject: Descriptor }> {
  const target = new MemoryTarget();
  return { target, subject: await pushManifest(target, { annotations: { name: 'model' } }) };
}

describe('the signatures of a manifest', () => {
  test('bundles first, then the older tag; each is reported', async () => {
    const { target, subject } = await model();
    const payload = simplePayload(subject.digest);
    const other = makeSigner();
    await attachLegacy(target, subject, [
      { payload, annotations: { [SIGNATURE]: other.sign(payload) } },
      { payload, annotations: { [SIGNATURE]: signer.sign(payload) } },
    ]);
    const attestation = await attachBundle(
      target,
      subject,
      bundle(signer, statement(subject.digest, { predicateType: 'https://slsa.dev/provenance/v1' })),
    );
    const foreign = await attachBundle(target, subject, bundle(other, statement(subject.digest)));
    const own = await attachBundle(target, subject, bundle(signer, statement(subject.digest)));
    const reports = await check(sourceOf(target), subject);
    expect(reports.map(({ kind, digest, accepted }) => [kind, digest, accepted])).toEqual([
      ['bundle', attestation.digest, false],
      ['bundle', foreign.digest, false],
      ['bundle', own.digest, true],
      ['legacy', digestOf(payload), false],
      ['legacy', digestOf(payload), true],
    ]);
    expect(reports.every(({ accepted, reason }) => accepted === (reason === undefined))).toBe(true);
  });

  test('none', async () => {
    const { target, subject } = await model();
    expect(await check(sourceOf(target), subject)).toEqual([]);
  });

  test('a referrer that is no signature is passed over', async () => {
    const { target, subject } = await model();
    const sbom = await pushBlob(target, 'application/spdx+json', Buffer.from('{"spdx":1}'));
    await pushManifest(target, { artifactType: 'application/spdx+json', layers: [sbom], subject });
    await pushManifest(target, { layers: [sbom], subject });
    expect(await check(sourceOf(target), subject)).toEqual([]);
  });

  test.each([
    ['the type of the empty config', MEDIA_TYPE.emptyJson],
    ['no type', undefined],
  ])('a bundle is found where the list gives %s', async (_, artifactType) => {
    const { target, subject } = await model();
    const { artifactType: _known, ...referrer } = await attachBundle(target, subject, bundle(signer, statement(subject.digest)));
    const entry = { ...referrer, ...(artifactType !== undefined && { artifactType }) };
    const reports = await check(sourceOf(target, { referrers: () => listed(entry) }), subject);
    expect(reports).toMatchObject([{ kind: 'bundle', digest: referrer.digest, accepted: true }]);
  });

  test('a genuine bundle of another manifest is not accepted, whatever its subject field says', async () => {
    const { target, subject } = await model();
    await attachBundle(target, subject, bundle(signer, statement(digestOf(Buffer.from('another')))));
    const [report] = await check(sourceOf(target), subject);
    expect(report).toMatchObject({ accepted: false, reason: expect.stringContaining(`not ${subject.digest}`) as string });
  });
});

describe('damage and malice', () => {
  test('a damaged bundle does not hide a good one', async () => {
    const { target, subject } = await model();
    const missing: Descriptor = { mediaType: MEDIA_TYPE.imageManifest, digest: digestOf(Buffer.from('gone')), size: 4 };
    const noManifest = await pushBlob(target, MEDIA_TYPE.imageManifest, Buffer.from('{"schemaVersion":2}'));
    const noLayer = await pushManifest(target, { artifactType: BUNDLE_TYPE, subject });
    const lostLayer = await pushManifest(target, {
      artifactType: BUNDLE_TYPE,
      layers: [{ mediaType: BUNDLE_TYPE, digest: missing.digest, size: 4 }],
      subject,
    });
    const hugeLayer = await pushManifest(target, {
      artifactType: BUNDLE_TYPE,
      layers: [{ mediaType: BUNDLE_TYPE, digest: missing.digest, size: 2 ** 40 }],
      subject,
    });
    const good = await attachBundle(target, subject, bundle(signer, statement(subject.digest)));
    const all = [missing, noManifest, noLayer, lostLayer, hugeLayer, good];
    const reports = await check(sourceOf(target, { referrers: () => listed(...all) }), subject);
    expect(reports.map(({ digest, reason }) => [digest, reason?.replaceAll(/sha256:\w+/g, 'D')])).toEqual([
      [missing.digest, 'memory has no D'],
      [noManifest.digest, expect.stringContaining('manifest field `config`')],
      [noLayer.digest, 'its manifest does not hold exactly one sigstore bundle'],
      [lostLayer.digest, 'memory has no D'],
      [hugeLayer.digest, 'D: 1099511627776 bytes of metadata, the limit is 4194304'],
      [good.digest, undefined],
    ]);
  });

  test('what is shown is one line, however deep it is nested', async () => {
    const { target, subject } = await model();
    const made = bundle(signer, statement(subject.digest), (content) => ({ ...content, more: 'DEEP' }));
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    const pretty = JSON.stringify(JSON.parse(made.toString()), undefined, 2).replace('"DEEP"', deep);
    await attachBundle(target, subject, Buffer.from(pretty));
    const [found] = await Array.fromAsync(readUnverified(sourceOf(target), subject, 'sig'));
    expect(found).toHaveProperty('text', expect.stringMatching(/^\{"mediaType": .*\[\[.*\]\]\}$/));
  });

  test('other content than the digest says is not accepted', async () => {
    const { target, subject } = await model();
    const genuine = bundle(signer, statement(subject.digest));
    const referrer = await attachBundle(target, subject, bundle(makeSigner(), statement(subject.digest)));
    const fetch = (blob: Descriptor) => (blob.mediaType === BUNDLE_TYPE ? Promise.resolve(bytesOf(genuine)) : target.fetch(blob));
    const [report] = await check(sourceOf(target, { read: async (blob) => await fetchMetadata({ fetch }, blob) }), subject);
    expect(report).toMatchObject({
      digest: referrer.digest,
      accepted: false,
      reason: expect.stringContaining('content has digest') as string,
    });
  });

  test('something else under the older tag', async () => {
    const { target, subject } = await model();
    const index = await pushBlob(
      target,
      MEDIA_TYPE.imageIndex,
      Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: [] })),
    );
    await target.tag(index, `${subject.digest.replace(':', '-')}.sig`);
    expect(await check(sourceOf(target), subject)).toMatchObject([{ kind: 'legacy', digest: index.digest, accepted: false }]);
  });

  test('a connection that breaks is no verdict', async () => {
    const { target, subject } = await model();
    await attachBundle(target, subject, bundle(signer, statement(subject.digest)));
    const broken = sourceOf(target, { read: () => Promise.reject(new KitError('NETWORK', 'gone')) });
    await expect(check(broken, subject)).rejects.toMatchObject({ code: 'NETWORK' });
  });

  test('a list of signatures without end is given up', async () => {
    const { target, subject } = await model();
    const referrer = await attachBundle(target, subject, bundle(makeSigner(), statement(subject.digest)));
    let served = 0;
    async function* endless(): AsyncGenerator<Descriptor> {
      for (;;) {
        served += 1;
        yield await Promise.resolve(referrer);
      }
    }
    await expect(check(sourceOf(target, { referrers: endless }), subject)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(served).toBe(1001);
  });

  test('a list of other things without end is given up', async () => {
    const { target, subject } = await model();
    async function* endless(): AsyncGenerator<Descriptor> {
      for (;;) yield await Promise.resolve({ ...subject, artifactType: 'application/spdx+json' });
    }
    await expect(check(sourceOf(target, { referrers: endless }), subject)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  });

  test('bytes are limited too', async () => {
    const { target, subject } = await model();
    const referrer = await attachBundle(target, subject, bundle(makeSigner(), statement(subject.digest)));
    const large = Buffer.concat([await fetchMetadata(target, referrer), Buffer.alloc(4_000_000, ' ')]);
    let read = 0;
    const source = sourceOf(target, {
      referrers: () => listed(...Array.from({ length: 100 }, () => referrer)),
      read: (blob) => {
        read += large.byteLength;
        return blob.mediaType === BUNDLE_TYPE ? fetchMetadata(target, blob) : Promise.resolve(large);
      },
    });
    await expect(check(source, subject)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    expect(read).toBeLessThan(200 * 1024 * 1024);
  });
});

async function* bytesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
