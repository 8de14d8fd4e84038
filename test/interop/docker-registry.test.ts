import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRegistryClient, type RegistryClient } from '../../src/registry/client.ts';
import { remoteRepository } from '../../src/targets/remote.ts';
import { type DockerRegistry, hasDockerRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { pushModel, registrySuite } from './registry-suite.ts';

// alice / secret, bcrypt of cost 4
const HTPASSWD = 'alice:$2b$04$TTzApxSQvHVo1Ah31Xn5LuiEtY6qEOi2cxQVOnxe3rhh3soHyXnvK\n';

describe.skipIf(!hasDockerRegistry)('against docker-registry (CNCF Distribution)', () => {
  registrySuite(startDockerRegistry, { untags: false, sharesBlobs: false, missingLayer: 'BLOB_NOT_FOUND' });
});

describe.skipIf(!hasDockerRegistry)('against docker-registry with basic auth', () => {
  let registry: DockerRegistry;
  beforeAll(async () => {
    registry = await startDockerRegistry({ htpasswd: HTPASSWD });
  });
  afterAll(() => registry.close());

  async function use<T>(password: string | undefined, run: (client: RegistryClient) => Promise<T>): Promise<T> {
    const client = createRegistryClient(
      password === undefined ? {} : { credentials: { [registry.host]: { username: 'alice', password } } },
    );
    try {
      return await run(client);
    } finally {
      await client.close();
    }
  }

  test('the right password opens, a wrong one and none do not', async () => {
    await use('secret', (client) => client.ping(registry.host));
    await expect(use('wrong', (client) => client.ping(registry.host))).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await expect(use(undefined, (client) => client.ping(registry.host))).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      hint: expect.stringContaining(`kit login ${registry.host}`) as unknown,
    });
  });

  test('a model is pushed and read with credentials', async () => {
    await use('secret', async (client) => {
      const target = remoteRepository(client, registry.host, 'private/model');
      const { manifest } = await pushModel(target, randomBytes(200_000));
      await target.tag(manifest, 'latest');
      expect((await target.resolve('latest')).digest).toBe(manifest.digest);
    });
  });
});
