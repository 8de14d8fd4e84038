import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { withLock } from '../../../src/targets/lock.ts';

// Child of lock.test.ts: `count LOCK FILE N` adds N to the number in FILE, one by one, not atomically; `hold LOCK` never lets go.
const [mode = '', lock = '', file = '', times = '0'] = process.argv.slice(2);

if (mode === 'hold') {
  await withLock(lock, async () => {
    process.send?.('held');
    await delay(60_000);
  });
} else {
  for (let left = Number(times); left > 0; left -= 1) {
    await withLock(lock, async () => {
      const value = Number(await readFile(file, 'utf8'));
      await delay(1);
      await writeFile(file, String(value + 1));
    });
  }
}
