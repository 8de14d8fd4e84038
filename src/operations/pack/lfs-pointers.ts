import { closeSync, openSync, readSync } from 'node:fs';
import type { WalkEntry } from '../../blobs/walk.ts';
import type { CallOptions } from '../../events.ts';
import type { LayerPlan } from './plan-layers.ts';

const MAGIC = 'version https://git-lfs.github.com/spec/v1\n';
/** A pointer without extensions has 122 to 140 bytes (git-lfs, docs/spec.md). */
const [MIN_BYTES, MAX_BYTES] = [120, 200];
/** More files of that size than anyone has pointers: they are something else. */
const MAX_LOOKED_AT = 1000;

/** A clone without `git lfs pull` has pointers where its large files should be; packing those is seldom meant. */
export function warnOfPointers(plans: readonly LayerPlan[], { onEvent }: CallOptions): void {
  const files = plans
    .flatMap(({ inputs }) => inputs.entries)
    .filter(({ type, size }) => type === 'file' && size >= MIN_BYTES && size <= MAX_BYTES);
  const pointers = files.slice(0, MAX_LOOKED_AT).filter(isPointer);
  const [first, ...others] = pointers;
  if (first === undefined) return;
  const names = others.length === 0 ? first.path : `${first.path} and ${others.length} more files`;
  onEvent?.({
    type: 'warning',
    code: 'LFS_POINTER',
    message: `${names}: only pointers of git LFS are here, not the content; \`git lfs pull\` brings it, \`remotePath: git+https://...#PATH\` leaves it where it is`,
  });
}

function isPointer({ source }: WalkEntry): boolean {
  const head = Buffer.alloc(MAGIC.length);
  try {
    const fd = openSync(source, 'r');
    try {
      return readSync(fd, head, 0, head.byteLength, 0) === head.byteLength && head.toString() === MAGIC;
    } finally {
      closeSync(fd);
    }
  } catch {
    // whoever packs it will tell
    return false;
  }
}
