import { readdir } from 'node:fs/promises';
import { hash } from 'bcryptjs';
import { describe, expect, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { type ServingKit, startKitServe } from '../support/kit-serve.ts';
import { hasOpenssl, selfSigned } from '../support/self-signed.ts';

async function withModel(): Promise<Sandbox> {
  const box = await sandbox();
  await box.write({ 'src/Kitfile': 'manifestVersion: 1.0.0\nmodel:\n  path: model.bin\n', 'src/model.bin': 'weights\n' });
  return box;
}

async function stopped(server: ServingKit, signal?: NodeJS.Signals): Promise<number | null> {
  return (await server.stop(signal)).status;
}

describe('kit serve', () => {
  test('what is in local storage is pulled elsewhere, and what is pushed is in local storage', async () => {
    const box = await withModel();
    const elsewhere = { env: { KIT_HOME: box.path('elsewhere') } };
    const server = await startKitServe(box);
    const name = `${server.address}/team/model`;
    await box.ok(`pack src -t ${name}:v1`);
    await box.ok(`pull ${name}:v1`, elsewhere);
    await box.ok(`unpack ${name}:v1 -d out`, elsewhere);
    expect(await box.tree('out')).toEqual(['Kitfile', 'model.bin']);
    await box.ok(`tag ${name}:v1 ${name}:v2`, elsewhere);
    await box.ok(`push ${name}:v2`, elsewhere);
    expect(await box.ok(['list', '--format', '{{ .Repo }}:{{ .Tags }}'])).toBe(`127.0.0.1:55555/team/model:[v1]\nteam/model:[v2]\n`);
    expect(await box.ok(`list ${name} --format {{.Tags}}`, elsewhere)).toBe('[v1]\n[v2]\n');
    await box.ok('unpack team/model:v2 -d out2');
    expect(await box.tree('out2')).toEqual(['Kitfile', 'model.bin']);
    expect(await stopped(server)).toBe(0);
    expect(await readdir(box.path('home', 'storage', 'ingest')).catch(() => [])).toEqual([]);
  });

  test('says where it is, on stderr and as one line of JSON, and ends well on both signals', async () => {
    const box = await sandbox();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const server = await startKitServe(box);
      expect(await server.stop(signal)).toEqual({
        status: 0,
        stdout: '{"target":"local storage","address":"127.0.0.1:55555","url":"http://127.0.0.1:55555"}\n',
        stderr: 'serving local storage on http://127.0.0.1:55555\n',
      });
    }
  });

  test('an image layout, read-only', async () => {
    const box = await withModel();
    await box.ok('pack src -t oci:layout:v1');
    const server = await startKitServe(box, 'oci:layout --read-only');
    await box.ok(`pull ${server.address}/layout:v1`);
    expect(await box.kit(`push ${server.address}/layout:v1`)).toMatchObject({ status: 0 });
    await box.ok(`tag ${server.address}/layout:v1 ${server.address}/layout:v2`);
    const refused = await box.kit(`push ${server.address}/layout:v2`);
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toContain('read-only');
    expect(await stopped(server)).toBe(0);
  });

  test.skipIf(!hasOpenssl)('https with users from a file and from the command line', async () => {
    const box = await withModel();
    const { certFile, keyFile } = await selfSigned();
    await box.write({ htpasswd: `alice:${await hash('secret', 4)}\n` });
    const server = await startKitServe(
      box,
      `--tls-cert ${certFile} --tls-key ${keyFile} --auth-file htpasswd --username ci --password-stdin`,
      { stdin: 'token\n' },
    );
    expect(server.url).toMatch(/^https:/);
    const trust = `--no-plain-http --tls-cert ${certFile}`;
    await box.ok('pack src -t m:v1');
    const refused = await box.kit(`push m:v1 ${server.address}/team/model:v1 ${trust}`);
    expect([refused.status, refused.stdout]).toEqual([4, '']);
    for (const [user, password] of [
      ['alice', 'secret'],
      ['ci', 'token'],
    ] as const) {
      await box.ok(`login ${server.address} -u ${user} --password-stdin ${trust}`, { stdin: password });
      await box.ok(`push m:v1 ${server.address}/team/model:${user} ${trust}`);
    }
    const { status, stderr } = await server.stop();
    expect(status).toBe(0);
    expect(stderr).not.toMatch(/secret|token/);
  });

  test.each([
    ['oci-archive:a.tar', /oci-archive:a\.tar cannot be served/, 2],
    ['team/model:v1', /team\/model:v1 cannot be served/, 2],
    ['oci:missing --read-only', /no image layout at missing/, 3],
    ['--addr nonsense', /invalid address `nonsense`/, 2],
    ['--addr 127.0.0.1:99999', /invalid address/, 2],
    ['--addr 192.0.2.1:5000', /cannot listen on 192\.0\.2\.1:5000/, 2],
    ['--tls-cert x', /both --tls-cert and --tls-key/, 2],
    ['--username x', /--username and --password-stdin/, 2],
    ['--auth-file missing', /missing does not exist/, 3],
  ])('%s is refused', async (args, message, status) => {
    const box = await sandbox();
    const run = await box.kit(`serve ${args}`);
    expect(run.stderr).toMatch(message);
    expect([run.status, run.stdout]).toEqual([status, '']);
  });

  test('a port that is taken is named', async () => {
    const box = await sandbox();
    const server = await startKitServe(box);
    const second = await box.kit(`serve --addr ${server.address}`);
    expect([second.status, second.stderr]).toEqual([
      1,
      'error: 127.0.0.1:55555 is in use by another program\n\nhint: choose another port with --addr, or `--addr :0` for any that is free\n',
    ]);
    await server.stop();
  });

  test('warns when others can reach it', async () => {
    const box = await sandbox();
    const run = box.start('serve --addr 0.0.0.0:0');
    await new Promise<void>((resolve) => {
      let text = '';
      run.child.stderr.on('data', (chunk: string) => {
        text += chunk;
        if (text.includes('serving')) resolve();
      });
    });
    run.child.kill('SIGTERM');
    const { stderr } = await run.finished;
    expect(stderr.replaceAll(/:\d{4,5}/g, ':PORT')).toBe(
      'warning: whoever reaches http://0.0.0.0:PORT may use it: --auth-file asks for a password\nserving local storage on http://0.0.0.0:PORT\n',
    );
  });
});
