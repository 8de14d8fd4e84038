// pushes COUNT manifests that refer to the manifest REGISTRY/REPOSITORY:v1, and prints their digests:
// node referrers-process.ts REGISTRY REPOSITORY NAME COUNT
import { bytesSource } from '../../src/blob-source.ts';
import { createRegistryClient } from '../../src/registry/client.ts';
import { remoteRepository } from '../../src/targets/remote.ts';
import { referrerManifest } from './referrer-manifest.ts';

const [registry = '', repository = '', name = '', count = '0'] = process.argv.slice(2);
const client = createRegistryClient({});
const target = remoteRepository(client, registry, repository);
const subject = await target.resolve('v1');
const pushed = await Promise.all(
  Array.from({ length: Number(count) }, async (_, number) => {
    const { bytes, blob } = referrerManifest(subject, `${name}-${number}`);
    await target.push(blob, bytesSource(bytes));
    return blob.digest;
  }),
);
await client.close();
process.stdout.write(`${pushed.join('\n')}\n`);
