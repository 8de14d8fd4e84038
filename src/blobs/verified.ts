import { KitError } from '../errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestAlgorithm } from '../oci/digest.ts';
import { StreamDigester } from '../oci/stream-digester.ts';
import type { Bytes } from '../blob-source.ts';

/**
 * Passes `bytes` on and checks them against `expected` on the way.
 * The last chunk is handed out before the digest is known: what it feeds must stay revocable until the iteration ends.
 * @throws KitError SIZE_MISMATCH as soon as too many bytes arrive or when too few did; DIGEST_MISMATCH at the end
 */
export async function* verified(bytes: Bytes, expected: Descriptor): AsyncGenerator<Uint8Array, void, undefined> {
  const digester = new StreamDigester(digestAlgorithm(expected.digest), expected.size);
  let received = 0;
  try {
    for await (const chunk of bytes) {
      received += chunk.byteLength;
      if (received > expected.size) throw sizeMismatch(expected, `more than ${expected.size}`);
      await digester.update(chunk);
      yield chunk;
    }
    if (received !== expected.size) throw sizeMismatch(expected, String(received));
    const actual = await digester.digest();
    if (actual !== expected.digest) {
      throw new KitError('DIGEST_MISMATCH', `${expected.digest}: the content has digest ${actual}`, {
        hint: 'the content was changed or damaged; fetch it again from a source that you trust',
      });
    }
  } finally {
    digester.abandon();
  }
}

function sizeMismatch(expected: Descriptor, received: string): KitError {
  return new KitError('SIZE_MISMATCH', `${expected.digest}: ${received} bytes arrived where its descriptor says ${expected.size}`, {
    hint: 'the content was cut off or its manifest is wrong; fetch it again from a source that you trust',
  });
}

/** Collects verified bytes of a small blob. `limit` bytes guard memory before anything is read. */
export async function readVerified(bytes: Bytes, expected: Descriptor, limit: number): Promise<Buffer> {
  if (expected.size > limit) {
    throw new KitError('LIMIT_EXCEEDED', `${expected.digest}: ${expected.size} bytes of metadata, the limit is ${limit}`);
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of verified(bytes, expected)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
