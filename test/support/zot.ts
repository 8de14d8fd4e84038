import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, startDaemon } from './daemon.ts';

/** False where `zot` is not on PATH. */
export const hasZot = spawnSync('zot', ['--version']).status === 0;

export interface Zot {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  close(): Promise<void>;
}

/** Starts zot on a free port with an empty storage. */
export async function startZot(): Promise<Zot> {
  const port = await freePort();
  const host = `127.0.0.1:${port}`;
  const daemon = await startDaemon({
    command: 'zot',
    url: `http://${host}/v2/`,
    prepare: async (directory) => {
      const config = {
        distSpecVersion: '1.1.1',
        storage: { rootDirectory: join(directory, 'storage'), dedupe: true, gc: false },
        http: { address: '127.0.0.1', port: String(port) },
        log: { level: 'error' },
      };
      await writeFile(join(directory, 'config.json'), JSON.stringify(config));
      return ['serve', join(directory, 'config.json')];
    },
  });
  return { host, close: async () => await daemon.close() };
}
