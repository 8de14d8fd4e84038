import { createRegistryClient } from '../../src/registry/client.ts';
import { remoteRepository } from '../../src/targets/remote.ts';
import { startRegistry } from '../support/registry.ts';
import { describeTarget } from './target-contract.ts';

describeTarget('a repository of a registry', async () => {
  const registry = await startRegistry();
  const client = createRegistryClient({ env: { HOME: '/nonexistent' } });
  return {
    target: remoteRepository(client, registry.host, 'team/model'),
    cleanup: async () => {
      await client.close();
      await registry.close();
    },
  };
});
