import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { bytesSource } from '../../src/blob-source.ts';
import { describe as descriptorOf } from '../../src/oci/descriptor.ts';
import { createRegistryClient } from '../../src/registry/client.ts';
import type { NetworkOptions } from '../../src/registry/options.ts';
import { type RemoteRepository, remoteRepository } from '../../src/targets/remote.ts';
import { type Authority, createAuthority, hasOpenssl } from '../support/certificates.ts';
import { type DockerRegistry, hasDockerRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { type KitRun, type Sandbox, sandbox } from '../support/kit.ts';
import { hasNginx, type NginxOptions, startNginx } from '../support/nginx.ts';

const MIB = 1024 * 1024;

/** Which of several blobs fails first is chance. */
function anyBlob(run: KitRun): KitRun {
  return { ...run, stderr: run.stderr.replaceAll(/sha256:[0-9a-f]{64}/g, 'DIGEST').replaceAll(/(uploads\/)[\w-]+/g, '$1ID') };
}

const ALICE = { username: 'alice', password: 'secret' };

async function packed(size: number): Promise<Sandbox> {
  const box = await sandbox();
  await box.write({ 'src/Kitfile': 'manifestVersion: 1.0.0\nmodel:\n  path: model.bin\n', 'src/model.bin': randomBytes(size) });
  await box.ok('pack src -t model:v1');
  return box;
}

describe.skipIf(!hasDockerRegistry || !hasNginx || !hasOpenssl)('docker-registry behind nginx', () => {
  let registry: DockerRegistry;
  let authority: Authority;
  beforeAll(async () => {
    [registry, authority] = await Promise.all([startDockerRegistry(), createAuthority()]);
  }, 60_000);
  afterAll(async () => {
    await registry.close();
    await authority.close();
  });

  async function start(options: Partial<NginxOptions> = {}): Promise<string> {
    const nginx = await startNginx({ upstream: registry.host, certificate: authority.server, ...options });
    onTestFinished(async () => await nginx.close());
    return nginx.host;
  }

  function connect(host: string, options: NetworkOptions = {}): RemoteRepository {
    const client = createRegistryClient({ plainHttp: false, caFiles: [authority.own.certFile], ...options });
    onTestFinished(async () => await client.close());
    return remoteRepository(client, host, 'team/model');
  }

  const pushThrough = async (maxBody: string) => {
    const host = await start({ maxBody });
    const box = await packed(4 * MIB);
    return await box.kit(['push', 'model:v1', `${host}/team/large:v1`, '--tls-cert', authority.own.certFile]);
  };

  test('with TLS of a private authority and basic auth, kit does all its work', async () => {
    const host = await start({ basicAuth: ALICE });
    const box = await packed(100_000);
    const tls = ['--tls-cert', authority.own.certFile];
    const name = `${host}/team/nginx`;
    const login = (password: string) => box.kit(['login', host, '-u', 'alice', '--password-stdin', ...tls], { stdin: password });

    // the authority is not known
    const untrusted = await box.kit(['push', 'model:v1', `${name}:v1`, '--no-plain-http']);
    expect(untrusted.status).toBe(5);
    expect(untrusted.stderr).toMatch(/^error: .*certificate/m);
    expect(untrusted.stderr).toContain('--tls-cert');
    // no credentials, wrong ones, right ones
    expect(anyBlob(await box.kit(['push', 'model:v1', `${name}:v1`, ...tls]))).toMatchInlineSnapshot(`
      exit 4
      --- stderr
      error: 127.0.0.1:55555/team/nginx@DIGEST: the registry wants credentials (HEAD https://127.0.0.1:55555/v2/team/nginx/blobs/DIGEST: 401) (destination)

      hint: log in with \`kit login 127.0.0.1:55555\`
    `);
    expect(anyBlob(await login('wrong'))).toMatchInlineSnapshot(`
      exit 4
      --- stderr
      error: 127.0.0.1:55555: the registry refuses the credentials (GET https://127.0.0.1:55555/v2/: 401 401 Authorization Required)

      hint: log in again, or as another user, with \`kit login 127.0.0.1:55555\`
    `);
    expect(anyBlob(await login('secret'))).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      Log in successful
    `);
    await box.ok(['push', 'model:v1', `${name}:v1`, ...tls]);
    expect(await box.ok(['list', name, ...tls])).toContain('v1');
    await box.ok(['pull', `${name}:v1`, ...tls]);
    await box.ok(['unpack', `${name}:v1`, '-d', 'out', ...tls]);
    expect(await box.tree('out')).toEqual(['Kitfile', 'model.bin']);
    await box.ok(['remove', '--remote', `${name}:v1`, ...tls]);
    expect((await box.kit(['pull', `${name}:v1`, ...tls])).status).toBe(3);
    await box.ok(['logout', host]);
    expect((await box.kit(['push', 'model:v1', `${name}:v2`, ...tls])).status).toBe(4);
  });

  test('a limit on bodies is got through, or told with the remedy', async () => {
    expect((await pushThrough('1m')).status).toBe(0);
    expect(anyBlob(await pushThrough('1k'))).toMatchInlineSnapshot(`
      exit 5
      --- stderr
      error: 127.0.0.1:55555/team/large@DIGEST: too large for the registry, or for a proxy before it (PATCH https://127.0.0.1:55555/v2/team/large/blobs/uploads/ID?_state=...: 413 413 Request Entity Too Large) (destination)

      hint: raise the limit of the body size at 127.0.0.1:55555 or its proxy (nginx: \`client_max_body_size 0\`)
    `);
  });

  test('chunks get through a limit on bodies', async () => {
    const host = await start({ maxBody: '1m' });
    const target = connect(host, { chunkSizes: { [host]: MIB } });
    const content = randomBytes(5 * MIB);
    const blob = descriptorOf('application/octet-stream', content);
    await target.push(blob, bytesSource(content));
    expect(await connect(host).has(blob)).toBe(true);
  });

  test('a proxy that calls itself http is not followed out of TLS', async () => {
    const host = await start({ forwardedProto: 'http' });
    const content = randomBytes(10);
    await expect(connect(host).push(descriptorOf('application/octet-stream', content), bytesSource(content))).rejects.toMatchObject({
      code: 'REGISTRY_ERROR',
      message: expect.stringContaining('names an upload location without TLS (http://') as unknown,
      hint: expect.stringContaining('external URL') as unknown,
    });
  });
});
