import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { hasDockerRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { type RegistryOptions, startRegistry, type TestRegistry } from '../support/registry.ts';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
// alice / secret, bcrypt of cost 4
const HTPASSWD = 'alice:$2b$04$TTzApxSQvHVo1Ah31Xn5LuiEtY6qEOi2cxQVOnxe3rhh3soHyXnvK\n';

async function packed(): Promise<Sandbox> {
  const box = await sandbox();
  await box.write({ 'in/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m}\n', 'in/m': 'weights\n' });
  await box.ok('pack in -t mine:v1');
  return box;
}

async function serve(options: RegistryOptions = {}): Promise<TestRegistry> {
  const registry = await startRegistry(options);
  onTestFinished(() => registry.close());
  return registry;
}

async function certificate(box: Sandbox): Promise<{ cert: string; key: string }> {
  const files = ['-keyout', box.path('key.pem'), '-out', box.path('cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  spawnSync('openssl', ['req', '-x509', '-nodes', '-days', '2', '-newkey', 'rsa:2048', ...subject, ...files]);
  return { cert: await readFile(box.path('cert.pem'), 'utf8'), key: await readFile(box.path('key.pem'), 'utf8') };
}

/** A port where nothing listens. */
async function deadHost(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `127.0.0.1:${port}`;
}

test('what is not in the registry: a repository, a tag', async () => {
  const box = await packed();
  const { host } = await serve();
  expect(await box.kit(`pull ${host}/team/mine:v1`)).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: 127.0.0.1:55555/team/mine:v1: the repository does not exist in the registry (GET http://127.0.0.1:55555/v2/team/mine/manifests/v1: 404 NAME_UNKNOWN: repository name not known to registry) (source)

    hint: check the spelling; a private repository also looks like this without the right credentials
  `);
  await box.ok(`push mine:v1 ${host}/team/mine:v1`);
  expect(await box.kit(`pull ${host}/team/mine:v2`)).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: 127.0.0.1:55555/team/mine:v2: not found in the registry (GET http://127.0.0.1:55555/v2/team/mine/manifests/v2: 404 MANIFEST_UNKNOWN: manifest unknown) (source)

    hint: check the spelling; a private repository also looks like this without the right credentials
  `);
  expect(await box.kit(`unpack ${host}/team/mine:v2 -d out`)).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: 127.0.0.1:55555/team/mine:v2: not found in the registry (GET http://127.0.0.1:55555/v2/team/mine/manifests/v2: 404 MANIFEST_UNKNOWN: manifest unknown)

    hint: check the spelling; a private repository also looks like this without the right credentials
  `);
  expect(await box.kit(`list ${host}/team/other`)).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: 127.0.0.1:55555/team/other: the repository does not exist in the registry (GET http://127.0.0.1:55555/v2/team/other/tags/list: 404 NAME_UNKNOWN: repository name not known to registry)

    hint: check the spelling; a private repository also looks like this without the right credentials
  `);
  expect(await box.kit(`remove --remote ${host}/team/mine:v2`)).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: 127.0.0.1:55555/team/mine:v2: not found in the registry (GET http://127.0.0.1:55555/v2/team/mine/manifests/v2: 404 MANIFEST_UNKNOWN: manifest unknown)

    hint: check the spelling; a private repository also looks like this without the right credentials
  `);
  expect(await box.kit(`info ${host}/team/mine:v1`)).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: 127.0.0.1:55555/team/mine:v1 is not in local storage

    hint: \`kit pull 127.0.0.1:55555/team/mine:v1\` fetches it; \`--remote\` looks in the registry
  `);
  await box.ok(`info --remote ${host}/team/mine:v1`);
});

test('a registry that is down', async () => {
  const box = await packed();
  const host = await deadHost();
  // no line of a retry
  expect(await box.kit(`push mine:v1 ${host}/team/mine:v1 --progress plain --concurrency 1`)).toMatchInlineSnapshot(`
    exit 5
    --- stderr
    error: HEAD http://127.0.0.1:55555/v2/team/mine/blobs/sha256:1c1a19d09eb5…: 127.0.0.1:55555 cannot be reached (ECONNREFUSED) (destination)

    hint: check the name and port of 127.0.0.1:55555, the network, and the proxy settings
  `);
});

test('a registry that breaks, and one that answers nonsense', async () => {
  const box = await packed();
  const registry = await serve();
  // one failure is repeated
  registry.behaviour.faults.push({ status: 503, headers: { 'Retry-After': '0' } });
  await box.ok(`push mine:v1 ${registry.host}/team/mine:v1`);
  for (let count = 0; count < 4; count++)
    registry.behaviour.faults.push({ match: /manifests/, status: 503, headers: { 'Retry-After': '0' } });
  expect(await box.kit(`pull ${registry.host}/team/mine:v1`)).toMatchInlineSnapshot(`
    exit 5
    --- stderr
    error: 127.0.0.1:55555/team/mine:v1: the registry failed (HEAD http://127.0.0.1:55555/v2/team/mine/manifests/v1: 503) (source)

    hint: try again; if it stays, whoever runs the registry finds why in its log
  `);
  registry.behaviour.faults.length = 0;
  for (const match of [/HEAD .*manifests/, /GET .*manifests/])
    registry.behaviour.faults.push({ match, status: 200, body: '<html>a captive portal</html>' });
  expect(await box.kit(`pull ${registry.host}/team/mine:v1`)).toMatchInlineSnapshot(`
    exit 6
    --- stderr
    error: 127.0.0.1:55555/team/mine:v1: the manifest is not JSON (source)

    hint: ask whoever made the artifact to make it again; \`kit inspect\` shows what can be read of it
  `);
});

test('basic authentication: no, a wrong and the right password, and logout', async () => {
  const box = await packed();
  const registry = await serve({ auth: { type: 'basic', username: 'alice', password: 'secret' } });
  const { host } = registry;
  expect(await box.kit(`push mine:v1 ${host}/mine:v1 --concurrency 1`)).toMatchInlineSnapshot(`
    exit 4
    --- stderr
    error: 127.0.0.1:55555/mine@sha256:1c1a19d09eb5…: the registry wants credentials (HEAD http://127.0.0.1:55555/v2/mine/blobs/sha256:1c1a19d09eb5…: 401) (destination)

    hint: log in with \`kit login 127.0.0.1:55555\`
  `);
  expect(await box.kit(`login ${host} -u alice --password-stdin`, { stdin: 'wrong\n' })).toMatchInlineSnapshot(`
    exit 4
    --- stderr
    error: 127.0.0.1:55555: the registry refuses the credentials (GET http://127.0.0.1:55555/v2/: 401 UNAUTHORIZED: authentication required)

    hint: log in again, or as another user, with \`kit login 127.0.0.1:55555\`
  `);
  expect(existsSync(box.path('home/credentials.json'))).toBe(false);
  expect(await box.kit(`login ${host} -u alice --password-stdin`, { stdin: 'secret\n' })).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Log in successful
  `);
  await box.ok(`push mine:v1 ${host}/mine:v1`);
  expect(await box.kit(`logout ${host}`)).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Successfully logged out from 127.0.0.1:55555
  `);
  expect(await box.kit(`logout ${host}`)).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Successfully logged out from 127.0.0.1:55555
    --- stderr
    warning: kit had no credentials for 127.0.0.1:55555; those of docker are removed with \`docker logout\`
  `);
  expect((await box.kit(`pull ${host}/mine:v1`)).status).toBe(4);
  expect(await box.kit(`login ${host} -u alice`)).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: cannot ask for the password: standard input is not a terminal

    hint: give it by options; \`--help\` lists them
  `);
  expect(await box.kit(`login ${host} -u alice -p x --password-stdin`)).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    warning: --password is insecure: other users can see it; use --password-stdin instead
    error: cannot use both --password and --password-stdin

    hint: \`kit login --help\` shows its arguments and options
  `);
});

test('token authentication: anonymous pull, push with a login, credentials of docker', async () => {
  const box = await packed();
  const { host } = await serve({ auth: { type: 'bearer', username: 'alice', password: 'secret', anonymousPull: true } });
  expect(await box.kit(`push mine:v1 ${host}/team/mine:v1 --concurrency 1`)).toMatchInlineSnapshot(`
    exit 4
    --- stderr
    error: 127.0.0.1:55555/team/mine@sha256:1c1a19d09eb5…: the registry wants credentials (POST http://127.0.0.1:55555/v2/team/mine/blobs/uploads/: 401 UNAUTHORIZED: authentication required) (destination)

    hint: log in with \`kit login 127.0.0.1:55555\`
  `);
  const auth = Buffer.from('alice:secret').toString('base64');
  await box.write({ 'docker/config.json': JSON.stringify({ auths: { [host]: { auth } } }) });
  await box.ok(`push mine:v1 ${host}/team/mine:v1`, { env: { DOCKER_CONFIG: box.path('docker') } });
  await box.ok(`pull ${host}/team/mine:v1`);
});

test.skipIf(!hasDockerRegistry)('a wrong password at docker-registry', async () => {
  const box = await packed();
  const registry = await startDockerRegistry({ htpasswd: HTPASSWD });
  onTestFinished(() => registry.close());
  expect((await box.kit(`login ${registry.host} -u alice --password-stdin`, { stdin: 'wrong' })).status).toBe(4);
  await box.ok(`login ${registry.host} -u alice --password-stdin`, { stdin: 'secret' });
  await box.ok(`push mine:v1 ${registry.host}/mine:v1`);
});

describe.skipIf(!hasOpenssl)('TLS', () => {
  test('a certificate that nobody signed', async () => {
    const box = await packed();
    const { host } = await serve({ tls: await certificate(box) });
    const push = `push mine:v1 ${host}/mine:v1 --plain-http=false --concurrency 1`;
    expect(await box.kit(push)).toMatchInlineSnapshot(`
      exit 5
      --- stderr
      error: HEAD https://127.0.0.1:55555/v2/mine/blobs/sha256:1c1a19d09eb5…: the certificate or TLS handshake of 127.0.0.1:55555 failed (DEPTH_ZERO_SELF_SIGNED_CERT) (destination)

      hint: trust its authority with \`--tls-cert FILE\`, skip the check with \`--tls-verify=false\`, or use \`--plain-http\` for a registry without TLS
    `);
    // a TLS option says that localhost is meant to speak https
    await box.ok(`push mine:v1 ${host}/mine:v1 --tls-cert cert.pem`);
    await box.ok(`push mine:v1 ${host}/mine:v1 --tls-verify=false`);
    await box.ok(`pull ${host}/mine:v1 --no-tls-verify`);
    expect(await box.kit(`${push} --tls-cert missing.pem`)).toMatchInlineSnapshot(`
      exit 2
      --- stderr
      error: missing.pem: the certificate or key cannot be read (destination)

      hint: correct it: docs/configuration.md describes every setting
    `);
  });

  test('https to a server that speaks http', async () => {
    const box = await packed();
    const { host } = await serve();
    expect(await box.kit(`push mine:v1 ${host}/mine:v1 --plain-http=false --concurrency 1`)).toMatchInlineSnapshot(`
      exit 5
      --- stderr
      error: HEAD https://127.0.0.1:55555/v2/mine/blobs/sha256:1c1a19d09eb5…: 127.0.0.1:55555 does not speak TLS (destination)

      hint: if the registry is served over plain http, add \`--plain-http\`
    `);
  });

  test('http to a server that speaks https', async () => {
    const box = await packed();
    const { host } = await serve({ tls: await certificate(box) });
    expect(await box.kit(`push mine:v1 ${host}/mine:v1 --concurrency 1`)).toMatchInlineSnapshot(`
      exit 5
      --- stderr
      error: HEAD http://127.0.0.1:55555/v2/mine/blobs/sha256:1c1a19d09eb5…: the connection to 127.0.0.1:55555 failed (ECONNRESET) (destination)

      hint: check the network and try again; if the registry is served over https, add \`--plain-http=false\`
    `);
  });
});
