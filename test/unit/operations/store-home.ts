import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Descriptor } from '../../../src/oci/descriptor.ts';
import type { Digest } from '../../../src/oci/digest.ts';
import { createKit, type Kit } from '../../../src/operations/kit.ts';
import type { Store } from '../../../src/targets/store.ts';
import { pushSample, type Sample } from '../targets/sample.ts';

/** A store in a temporary folder, for the tests of what looks after it. */
export interface StoreHome {
  readonly home: string;
  readonly kit: Kit;
  readonly store: Store;
  path(...parts: string[]): string;
  /** Packs a small ModelKit; `name` is `REPOSITORY:TAG`. */
  add(
    name: string,
    options?: { readonly layers?: readonly string[]; readonly subject?: Descriptor; readonly tag?: boolean },
  ): Promise<Sample>;
  blobPath(digest: Digest): string;
  /** Changes the first byte of a blob. */
  damage(digest: Digest): Promise<void>;
}

export async function storeHome(): Promise<StoreHome> {
  const home = await mkdtemp(join(tmpdir(), 'ocikit-store-home-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const kit = createKit({ home, env: {} });
  const store = await kit.store();
  const path = (...parts: string[]): string => join(home, 'storage', ...parts);
  const blobPath = (digest: Digest): string => store.blobs.pathOf(digest);
  return {
    home,
    kit,
    store,
    path,
    blobPath,
    async add(name, { tag = true, ...options } = {}) {
      const [repository = '', label = ''] = name.split(':');
      const sample = await pushSample(store.repository(repository), name, options);
      if (tag) await store.tag(repository, sample.manifest, label);
      return sample;
    },
    async damage(digest) {
      const bytes = await readFile(blobPath(digest));
      bytes[0] = (bytes[0] ?? 0) ^ 1;
      await rm(blobPath(digest));
      await writeFile(blobPath(digest), bytes);
    },
  };
}
