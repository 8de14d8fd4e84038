import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openArchive } from '../../src/targets/archive.ts';
import { openLayout } from '../../src/targets/layout.ts';
import { MemoryTarget } from '../../src/targets/memory.ts';
import { openStore } from '../../src/targets/store.ts';
import type { Target } from '../../src/targets/types.ts';
import { describeTarget, type TargetUnderTest } from './target-contract.ts';

async function inDirectory(open: (directory: string) => Promise<Target>): Promise<TargetUnderTest> {
  const directory = await mkdtemp(join(tmpdir(), 'ocikit-contract-'));
  const target = await open(directory);
  return {
    target,
    cleanup: async () => {
      await rm(directory, { recursive: true });
    },
  };
}

describeTarget('memory', async () => await Promise.resolve({ target: new MemoryTarget(), cleanup: async () => await Promise.resolve() }));
describeTarget('an image layout', async () => await inDirectory(async (directory) => await openLayout(directory, { create: true })));
describeTarget(
  'a local repository of the store',
  async () => await inDirectory(async (home) => (await openStore(home)).repository('tiny')),
);
describeTarget(
  'a repository of the store that mirrors a registry',
  async () => await inDirectory(async (home) => (await openStore(home)).repository('localhost:5000/team/model')),
);
describeTarget(
  'an archive',
  async () => await inDirectory(async (directory) => await openArchive(join(directory, 'new.tar'), { create: true })),
);
