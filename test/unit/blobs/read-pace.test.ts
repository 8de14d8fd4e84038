import { describe, expect, test, vi } from 'vitest';
import { ReadPace } from '../../../src/blobs/read-pace.ts';

const MIB = 1024 * 1024;

/** Reads `count` times 4 MiB in `ms` each, with as many reads of the disk. */
function read(pace: ReadPace, count: number, { ms, diskReads = 0 }: { ms: number; diskReads?: number }): void {
  using usage = vi.spyOn(process, 'resourceUsage');
  let fsRead = process.resourceUsage().fsRead;
  usage.mockImplementation(() => ({ fsRead }) as NodeJS.ResourceUsage);
  for (let done = 0; done < 4 * count; done++) {
    fsRead += diskReads;
    pace.readNow(MIB, ms / 4);
  }
}

describe('reading is slow', () => {
  test.each([
    ['out of the page cache', { ms: 1 }, false],
    ['while other programs have the processor', { ms: 12 }, false],
    ['a disk that is as fast as memory', { ms: 2, diskReads: 2048 }, false],
    ['a disk', { ms: 6, diskReads: 2048 }, true],
    ['a network', { ms: 20 }, true],
  ])('%s', (_name, reads, isSlow) => {
    const pace = new ReadPace();
    read(pace, 3, reads);
    expect(pace.isSlow).toBe(isSlow);
  });

  test('not for one time', () => {
    const pace = new ReadPace();
    for (let round = 0; round < 3; round++) {
      read(pace, 1, { ms: 6, diskReads: 2048 });
      read(pace, 1, { ms: 1 });
    }
    expect(pace.isSlow).toBe(false);
  });

  test('for 128 chunks, then for twice as many', () => {
    const pace = new ReadPace();
    for (const chunks of [128, 256]) {
      read(pace, 2, { ms: 20 });
      for (let chunk = 0; chunk < chunks; chunk++) {
        expect(pace.isSlow).toBe(true);
        pace.readChunk();
      }
      expect(pace.isSlow).toBe(false);
    }
  });
});
