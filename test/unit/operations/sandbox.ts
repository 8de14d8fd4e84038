import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished, type TestContext, vi } from 'vitest';
import type { KitEvent } from '../../../src/events.ts';
import { createKit, type Kit } from '../../../src/operations/kit.ts';
import { isSettled } from '../../../src/blobs/settled.ts';

export interface Workspace {
  readonly root: string;
  readonly home: string;
  readonly kit: Kit;
  readonly events: KitEvent[];
  readonly call: { readonly onEvent: (event: KitEvent) => void };
  path(...parts: string[]): string;
  write(files: Readonly<Record<string, string | Uint8Array>>): void;
}

/** A folder with a kit home in it, both gone when the test ends. */
export function workspace(parent = tmpdir()): Workspace {
  const root = mkdtempSync(join(parent, 'ocikit-operations-'));
  const home = join(root, 'home');
  const kit = createKit({ home, env: {}, network: { plainHttp: true } });
  onTestFinished(async () => {
    await kit.close();
    rmSync(root, { recursive: true, force: true });
  });
  const events: KitEvent[] = [];
  const path = (...parts: string[]): string => join(root, ...parts);
  return {
    root,
    home,
    kit,
    events,
    call: { onEvent: (event) => void events.push(event) },
    path,
    write(files) {
      for (const [name, content] of Object.entries(files)) {
        mkdirSync(dirname(path(name)), { recursive: true });
        writeFileSync(path(name), content);
      }
    },
  };
}

/** Sets the clock ahead, so that files written just now count as old; skips where stamps prove nothing. */
export function settle(context: TestContext, directory: string): void {
  const old = { device: 0n, inode: 0n, size: 0, mtimeNs: 1n, ctimeNs: 1n };
  const now = Date.now();
  if (!isSettled(old, now, statfsSync(directory).type >>> 0))
    context.skip('temporary files are on a file system without stamps to rely on');
  vi.spyOn(Date, 'now').mockReturnValue(now + 60_000);
  onTestFinished(() => void vi.restoreAllMocks());
}
