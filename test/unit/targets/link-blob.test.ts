import { chmodSync, mkdtempSync, readdirSync, renameSync, rmSync, statfsSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, type TestContext, vi } from 'vitest';
import { isSettled } from '../../../src/blobs/settled.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { linkBlob } from '../../../src/targets/link-blob.ts';
import { VerifiedBlobs } from '../../../src/targets/verified-blobs.ts';

const CONTENT = Buffer.from('weights');
const DIGEST = digestOf(CONTENT);

function stats(path: string) {
  return statSync(path, { bigint: true });
}

/** A blob that was hashed, and a name for a link beside it. */
async function blob(): Promise<{ root: string; path: string; to: string; stamps: VerifiedBlobs }> {
  const root = mkdtempSync(join(tmpdir(), 'ocikit-link-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const path = join(root, 'blob');
  writeFileSync(path, CONTENT);
  const stamps = new VerifiedBlobs(join(root, 'verified'));
  await stamps.add(DIGEST, stats(path));
  return { root, path, to: join(root, 'link'), stamps };
}

function setClock(ms: number): void {
  vi.spyOn(Date, 'now').mockReturnValue(ms);
  onTestFinished(() => void vi.restoreAllMocks());
}

function needStamps(context: TestContext): void {
  const old = { device: 0n, inode: 0n, size: 0, mtimeNs: 1n, ctimeNs: 1n };
  if (!isSettled(old, Date.now(), statfsSync(tmpdir()).type >>> 0))
    context.skip('temporary files are on a file system without stamps to rely on');
}

test('a link is read-only under both names, and the blob counts as verified when its names are final', async (context) => {
  needStamps(context);
  const { path, to, stamps } = await blob();
  setClock(Date.now() + 60_000);
  const confirm = await linkBlob(path, to, DIGEST, stamps);
  expect(stats(to).ino).toBe(stats(path).ino);
  expect(stats(path).mode & 0o777n).toBe(0o444n);
  renameSync(to, `${to}.final`);
  await confirm?.();
  expect(await stamps.trusts(DIGEST, stats(path))).toBe(true);
  // and is known to the next process
  expect(await new VerifiedBlobs(join(path, '../verified')).trusts(DIGEST, stats(path))).toBe(true);
});

test('a blob written a moment ago is linked, but has to be hashed again', async () => {
  const { path, to, stamps } = await blob();
  setClock(Number(stats(path).mtimeNs / 1_000_000n) + 10);
  const confirm = await linkBlob(path, to, DIGEST, stamps);
  // the link has moved the ctime, unless the kernel's clock has not ticked since
  const { ctimeNs } = stats(path);
  do chmodSync(path, 0o444);
  while (stats(path).ctimeNs === ctimeNs);
  await confirm?.();
  expect(stats(path).nlink).toBe(2n);
  expect(await stamps.trusts(DIGEST, stats(path))).toBe(false);
});

test('a blob that was not verified as it is now is not linked', async () => {
  const { root, path, to, stamps } = await blob();
  writeFileSync(path, 'WEIGHTS');
  utimesSync(path, 1000, 1000);
  expect(await linkBlob(path, to, DIGEST, stamps)).toBeUndefined();
  expect(readdirSync(root).toSorted()).toEqual(['blob', 'verified']);
});

test('a write through the link is noticed, before and after the names are final', async (context) => {
  needStamps(context);
  const { path, to, stamps } = await blob();
  setClock(Date.now() + 60_000);
  const confirm = await linkBlob(path, to, DIGEST, stamps);
  rewrite(to);
  await confirm?.();
  expect(await stamps.trusts(DIGEST, stats(path))).toBe(false);
  await stamps.add(DIGEST, stats(path));
  await (
    await linkBlob(path, `${to}.2`, DIGEST, stamps)
  )?.();
  expect(await stamps.trusts(DIGEST, stats(path))).toBe(true);
  rewrite(to);
  expect(await stamps.trusts(DIGEST, stats(path))).toBe(false);
});

/** Writes until the kernel's clock has ticked. */
function rewrite(path: string): void {
  const { mtimeNs } = stats(path);
  chmodSync(path, 0o644);
  do writeFileSync(path, 'WEIGHTS');
  while (stats(path).mtimeNs === mtimeNs);
}
