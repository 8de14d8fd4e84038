import { createRegistryClient } from '../../src/registry/client.ts';
import { remoteRepository } from '../../src/targets/remote.ts';
import { serveLayout, serveStore } from '../support/kit-serve.ts';
import { startRegistry } from '../support/registry.ts';
import { describeTarget } from './target-contract.ts';

for (const bodyReader of ['socket', 'parser'] as const) {
  describeTarget(`a repository of a registry, with bodies read by ${bodyReader}`, async () => {
    const registry = await startRegistry();
    const client = createRegistryClient({ env: { HOME: '/nonexistent' }, bodyReader });
    return {
      target: remoteRepository(client, registry.host, 'team/model'),
      cleanup: async () => {
        await client.close();
        await registry.close();
      },
    };
  });
}

for (const [name, serve] of [
  ['the store', serveStore],
  ['an image layout', serveLayout],
] as const) {
  describeTarget(`a repository of kit serve over ${name}`, async () => {
    const server = await serve();
    const client = createRegistryClient({ env: { HOME: '/nonexistent' } });
    return {
      target: remoteRepository(client, server.host, 'team/model'),
      cleanup: async () => {
        await client.close();
        await server.close();
      },
    };
  });
}
