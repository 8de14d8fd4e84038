import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type BlobSource, bytesSource } from '../../src/blob-source.ts';
import { readVerified } from '../../src/blobs/verified.ts';
import { describe as descriptorOf } from '../../src/oci/descriptor.ts';
import { createRegistryClient } from '../../src/registry/client.ts';
import type { NetworkOptions } from '../../src/registry/options.ts';
import { type RemoteRepository, remoteRepository } from '../../src/targets/remote.ts';
import { type Authority, createAuthority, hasOpenssl } from '../support/certificates.ts';
import { type DockerRegistry, hasDockerRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { type KitRun, type Sandbox, sandbox } from '../support/kit.ts';
import { ISSUER, SERVICE, startTokenServer, type TokenServer, type TokenServerOptions } from '../support/token-server.ts';

const MIB = 1024 * 1024;

/** Which of several blobs fails first is chance. */
function anyBlob(run: KitRun): KitRun {
  return { ...run, stderr: run.stderr.replaceAll(/sha256:[0-9a-f]{64}/g, 'DIGEST') };
}

const ALL = ['pull', 'push', 'delete'];
const USERS: TokenServerOptions['users'] = {
  alice: { password: 'secret', rights: { 'team/model': ALL, 'public/model': ALL } },
  bob: { password: 'secret', rights: { 'team/model': ['pull'] } },
};

async function packed(): Promise<Sandbox> {
  const box = await sandbox();
  await box.write({ 'src/Kitfile': 'manifestVersion: 1.0.0\nmodel:\n  path: model.bin\n', 'src/model.bin': randomBytes(100_000) });
  await box.ok('pack src -t model:v1');
  return box;
}
describe.skipIf(!hasDockerRegistry || !hasOpenssl)('docker-registry with tokens', () => {
  let authority: Authority;
  let registry: DockerRegistry;
  let tokens: TokenServer;

  async function start(algorithm: 'ec' | 'rsa'): Promise<void> {
    authority = await createAuthority(algorithm);
    tokens = await startTokenServer({ signer: authority.own, users: USERS, anonymous: { 'public/model': ['pull'] } });
    registry = await startDockerRegistry({
      token: { realm: tokens.url, service: SERVICE, issuer: ISSUER, certificates: authority.own.cert },
    });
  }
  async function stop(): Promise<void> {
    await registry.close();
    await tokens.close();
    await authority.close();
  }

  describe.each(['ec', 'rsa'] as const)('signed with a key of type %s', (algorithm) => {
    beforeAll(async () => await start(algorithm), 60_000);
    afterAll(stop);

    test('a blob is sent and read', async () => {
      const target = connect({ credentials: { [registry.host]: { username: 'alice', password: 'secret' } } });
      const content = randomBytes(100_000);
      const blob = descriptorOf('application/octet-stream', content);
      await target.push(blob, bytesSource(content));
      expect((await readVerified(await target.fetch(blob), blob, MIB)).equals(content)).toBe(true);
    });
  });

  function connect(options: NetworkOptions, repository = 'team/model'): RemoteRepository {
    const client = createRegistryClient({ env: { HOME: '/nonexistent' }, ...options });
    onTestFinished(async () => await client.close());
    return remoteRepository(client, registry.host, repository);
  }

  const login = async (box: Sandbox, user: string, password = 'secret') =>
    await box.kit(['login', registry.host, '-u', user, '--password-stdin'], { stdin: password });

  describe('on the command line', () => {
    beforeAll(async () => await start('ec'), 60_000);
    afterAll(stop);

    test('kit logs in, pushes, lists, pulls, unpacks and removes', async () => {
      const box = await packed();
      const name = `${registry.host}/team/model`;
      expect(anyBlob(await box.kit(`push model:v1 ${name}:v1`))).toMatchInlineSnapshot(`
        exit 4
        --- stderr
        error: 127.0.0.1:55555/team/model@DIGEST: the registry wants credentials (HEAD http://127.0.0.1:55555/v2/team/model/blobs/DIGEST: 401) (destination)

        hint: log in with \`kit login 127.0.0.1:55555\`
      `);
      expect(anyBlob(await login(box, 'alice', 'wrong'))).toMatchInlineSnapshot(`
        exit 4
        --- stderr
        error: 127.0.0.1:55555: the token service refuses the credentials (GET http://127.0.0.1:55555/token: 401)

        hint: log in with \`kit login 127.0.0.1:55555\`
      `);
      expect(anyBlob(await login(box, 'alice'))).toMatchInlineSnapshot(`
        exit 0
        --- stdout
        Log in successful
      `);
      await box.ok(`push model:v1 ${name}:v1`);
      expect(await box.ok(`list ${name}`)).toContain('v1');
      await box.ok(`pull ${name}:v1`);
      await box.ok(`unpack ${name}:v1 -d out`);
      expect(await box.tree('out')).toEqual(['Kitfile', 'model.bin']);
      await box.ok(`remove --remote ${name}:v1`);
      expect((await box.kit(`pull ${name}:v1`)).status).toBe(3);
    });

    test('an account that may only read is told so', async () => {
      const alice = await packed();
      const name = `${registry.host}/team/model`;
      await login(alice, 'alice');
      await alice.ok(`push model:v1 ${name}:shared`);
      const bob = await packed();
      await login(bob, 'bob');
      await bob.ok(`unpack ${name}:shared -d out`);
      expect(anyBlob(await bob.kit(`push model:v1 ${name}:his`))).toMatchInlineSnapshot(`
        exit 4
        --- stderr
        error: 127.0.0.1:55555/team/model@DIGEST: access denied (POST http://127.0.0.1:55555/v2/team/model/blobs/uploads/: 401 UNAUTHORIZED: authentication required) (destination)

        hint: check that the account may do this, or log in with another one: \`kit login 127.0.0.1:55555\`
      `);
      expect((await bob.kit(`remove --remote ${name}:shared`)).status).toBe(4);
      expect((await bob.kit(`pull ${registry.host}/public/model:v1`)).status).toBe(4);
    });

    test('anyone reads what is public, and is told to log in to write', async () => {
      const alice = await packed();
      const name = `${registry.host}/public/model`;
      await login(alice, 'alice');
      await alice.ok(`push model:v1 ${name}:v1`);
      const box = await packed();
      await box.ok(`unpack ${name}:v1 -d out`);
      expect(anyBlob(await box.kit(`push model:v1 ${name}:v2`))).toMatchInlineSnapshot(`
        exit 4
        --- stderr
        error: 127.0.0.1:55555/public/model@DIGEST: the registry wants credentials (POST http://127.0.0.1:55555/v2/public/model/blobs/uploads/: 401 UNAUTHORIZED: authentication required) (destination)

        hint: log in with \`kit login 127.0.0.1:55555\`
      `);
    });

    test('an identity token is used by POST', async () => {
      const box = await packed();
      const identitytoken = tokens.service.issueRefreshToken('alice');
      await box.write({ '.docker/config.json': JSON.stringify({ auths: { [registry.host]: { auth: '', identitytoken } } }) });
      tokens.service.requests.length = 0;
      await box.ok(`push model:v1 ${registry.host}/team/model:token`);
      expect(new Set(tokens.service.requests.map(({ method, grant, user }) => `${method} ${grant} ${user}`))).toEqual(
        new Set(['POST refresh_token alice']),
      );
      await box.write({ '.docker/config.json': JSON.stringify({ auths: { [registry.host]: { auth: '', identitytoken: 'expired' } } }) });
      expect((await box.kit(`pull ${registry.host}/team/model:token`)).status).toBe(4);
    });
  });

  describe('tokens that expire in mid-transfer', () => {
    beforeAll(async () => await start('ec'), 60_000);
    afterAll(stop);

    // distribution takes a token for a minute after its end
    const LEEWAY_SECONDS = 60;
    const SECONDS = 2;

    /** Content that pauses after `size` bytes of it were read, until every token given so far has run out. */
    function slowSource(content: Uint8Array, size: number, isSized: boolean): BlobSource {
      let isPaused = false;
      return {
        size: isSized ? content.byteLength : undefined,
        async *open(range) {
          const { start: from, end } = range ?? { start: 0, end: content.byteLength };
          for (let at = from; at < end; at += size) {
            if (at >= size && !isPaused) {
              isPaused = true;
              await wait((SECONDS + 1) * 1000);
            }
            yield content.slice(at, Math.min(at + size, end));
          }
        },
      };
    }

    test.each([
      { way: 'in chunks', chunkSize: MIB },
      { way: 'in one pass', chunkSize: undefined },
    ])('an upload $way goes on with a new one', async ({ chunkSize }) => {
      // what the answer says is longer than what the registry takes: only its 401 tells
      tokens.service.seconds = SECONDS - LEEWAY_SECONDS;
      const target = connect({
        credentials: { [registry.host]: { username: 'alice', password: 'secret' } },
        ...(chunkSize !== undefined && { chunkSizes: { [registry.host]: chunkSize } }),
      });
      const content = randomBytes(9 * MIB);
      const blob = descriptorOf('application/octet-stream', content);
      tokens.service.requests.length = 0;
      if (chunkSize === undefined) await target.can.pushUnhashed('application/octet-stream', slowSource(content, MIB, false));
      else await target.push(blob, slowSource(content, MIB, true));
      expect(tokens.service.requests.length).toBeGreaterThan(1);
      tokens.service.seconds = 300;
      expect((await readVerified(await target.fetch(blob), blob, 16 * MIB)).equals(content)).toBe(true);
    });
  });
});
