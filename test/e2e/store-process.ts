import { bytesSource } from '../../src/blob-source.ts';
import { describe } from '../../src/oci/descriptor.ts';
import { openStore } from '../../src/targets/store.ts';
import { pushSample } from '../unit/targets/sample.ts';

// Child of store-processes.test.ts. `write HOME NAME N` packs N artifacts; `lease HOME` starts one and never ends.
const [mode = '', home = '', name = '', count = '0'] = process.argv.slice(2);
const store = await openStore(home);

if (mode === 'write') {
  for (let number = 0; number < Number(count); number += 1) {
    const repository = store.repository(number % 2 === 0 ? 'shared' : `own-${name}`);
    // a layer that all processes bring at the same time, and one of their own
    const { manifest } = await pushSample(repository, `${name}-${number}`, {
      layers: [`common ${number}`.repeat(5000), `${name}-${number}`],
    });
    await repository.tag(manifest, `${name}-${number}`);
  }
} else {
  const bytes = Buffer.from('a blob that no manifest reaches yet');
  await store.repository('busy').push(describe('application/octet-stream', bytes), bytesSource(bytes));
  process.send?.('leased');
  setInterval(() => undefined, 1000);
}
