import { rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isKitError, KitError } from '../errors.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { Index } from '../oci/manifest.ts';
import { writeFileAtomic } from './atomic-file.ts';
import { BlobDirectory } from './blob-directory.ts';
import type { Checkable, Lists } from './checkable.ts';
import { brokenList, exists, holdsBlobs, lockedIfWritable, missingList, missingMarker } from './checkable-store.ts';
import type { Finding } from './finding.ts';
import { EMPTY_INDEX, LAYOUT_MARKER, readIndexFile, refNameOf, withManifest, writeIndexFile } from './layout-index.ts';
import { withLock } from './lock.ts';
import type { LostManifest } from './lost-manifests.ts';

/** An image layout in a directory. @throws KitError PATH_NOT_FOUND | STORE_INVALID when there is none */
export async function checkableLayout(directory: string): Promise<Checkable> {
  const marker = join(directory, 'oci-layout');
  const file = join(directory, 'index.json');
  const name = `oci:${directory}`;
  if (!(await isDirectory(directory))) {
    throw new KitError('PATH_NOT_FOUND', `there is no image layout at ${directory}`, { hint: 'check the path after `oci:`' });
  }
  if (!(await exists(marker)) && !(await holdsBlobs(directory))) {
    throw new KitError('STORE_INVALID', `${directory} is not an OCI image layout: it has neither oci-layout nor blobs`, {
      hint: 'check the path after `oci:`',
    });
  }
  return {
    name,
    directory,
    blobs: new BlobDirectory(directory),
    async lists(): Promise<Lists> {
      const { index, finding } = await salvage(file);
      const findings = finding === undefined ? [] : [finding];
      if (!(await exists(marker))) findings.push(missingMarker(marker));
      const roots = index.manifests.map((descriptor) => ({ name: refNameOf(descriptor) ?? descriptor.digest, descriptor }));
      return { roots, findings, isIncomplete: finding !== undefined };
    },
    locked: async (work, { signal }) =>
      await lockedIfWritable(async (inside) => await withLock(join(directory, 'index.lock'), inside, { signal }), work),
    async rewrite(gone: ReadonlySet<Digest>, lost: readonly LostManifest[]): Promise<void> {
      const { index, finding } = await salvage(file);
      if (finding?.code === 'index-broken') await rename(file, `${file}.broken`);
      let manifests: readonly Descriptor[] = index.manifests.filter(({ digest }) => !gone.has(digest));
      for (const { descriptor } of lost) manifests = withManifest(manifests, descriptor);
      await writeIndexFile(file, { ...index, manifests });
      if (!(await exists(marker))) await writeFileAtomic(marker, LAYOUT_MARKER);
    },
  };
}

async function salvage(file: string): Promise<{ readonly index: Index; readonly finding?: Finding }> {
  try {
    const index = await readIndexFile(file);
    return index === undefined ? { index: EMPTY_INDEX, finding: missingList(file, 'damage') } : { index };
  } catch (error) {
    if (!isKitError(error, 'STORE_INVALID')) throw error;
    return { index: EMPTY_INDEX, finding: brokenList(file, error.message) };
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}
