import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { BlobSource } from '../../../src/blob-source.ts';
import { allocateChunk, CHUNK_BYTES } from '../../../src/chunk.ts';
import { describe as descriptorOf } from '../../../src/oci/descriptor.ts';
import { connect } from '../../support/registry-client.ts';
import type { TestRegistry } from '../../support/registry.ts';

const OCTETS = 'application/octet-stream';

/** Memory of the pool, filled when it is asked for: what is given back too early changes under way. */
function pooled(count: number, length: number, first: number) {
  const memory = new Set<ArrayBufferLike>();
  const state = { memory, produced: 0 };
  const source: BlobSource = {
    size: count * length,
    async *open() {
      for (let index = 0; index < count; index++) {
        const chunk = allocateChunk().subarray(0, length);
        chunk.fill(first + index);
        memory.add(chunk.buffer);
        state.produced += 1;
        yield chunk;
      }
    },
  };
  const all = Buffer.concat(Array.from({ length: count }, (_, index) => Buffer.alloc(length, first + index)));
  return { source, state, blob: descriptorOf(OCTETS, all) };
}

/** Lets the registry read only when the clients cannot send any more. */
async function sendStuck(registry: TestRegistry, states: readonly { produced: number }[], send: () => Promise<void>): Promise<void> {
  const gate = Promise.withResolvers<void>();
  registry.behaviour.uploadGate = gate.promise;
  const work = send();
  const produced = (): number => states.reduce((sum, state) => sum + state.produced, 0);
  let quiet = 0;
  for (let before = 0; quiet < 200; before = produced()) {
    await turn();
    quiet = states.every((state) => state.produced > 0) && produced() === before ? quiet + 1 : 0;
  }
  gate.resolve();
  await work;
}

describe('the memory of an upload', () => {
  test.each(['hashed before', 'streamed'])('is used again, but not before it was sent: %s', async (way) => {
    const { target, client, registry } = await connect();
    const repository = client.repository(registry.host, 'team/model');
    // side by side: what one gives back the other takes
    const blobs = [pooled(24, CHUNK_BYTES, 1), pooled(24, CHUNK_BYTES, 101)];
    await sendStuck(
      registry,
      blobs.map(({ state }) => state),
      async () => {
        await Promise.all(
          blobs.map(({ blob, source }) => (way === 'streamed' ? repository.uploadUnhashed(OCTETS, source) : target.push(blob, source))),
        );
      },
    );
    // the registry has checked them
    for (const { blob } of blobs) expect(await target.has(blob)).toBe(true);
    expect(new Set(blobs.flatMap(({ state }) => [...state.memory])).size).toBeLessThan(40);
  });

  test('that waits in the buffer of the socket is left alone', async () => {
    const { target, registry } = await connect();
    const { blob, source, state } = pooled(250, 60_000, 0);
    await sendStuck(registry, [state], async () => {
      await target.push(blob, source);
    });
    expect(await target.has(blob)).toBe(true);
  });
});
