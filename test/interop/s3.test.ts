import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { sandbox } from '../support/kit.ts';

/** Servers that speak S3, and how they are started. Either will do. */
const SERVERS = {
  versitygw: (port: number, folder: string) => ['--port', `127.0.0.1:${port}`, 'posix', folder],
  moto_server: (port: number) => ['-H', '127.0.0.1', '-p', String(port)],
} as const;
const KEYS = { accessKeyId: 'test', secretAccessKey: 'testsecret' };
const BIG = Buffer.alloc(40 * 1024 * 1024, 'abcdefghijk');

function isThere(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** The server with a bucket, when it answers. */
async function start(
  program: keyof typeof SERVERS,
): Promise<{ readonly client: S3Client; readonly env: Readonly<Record<string, string>> }> {
  const root = await mkdtemp(join(tmpdir(), 'kit-s3-'));
  await mkdir(join(root, 'data'));
  const port = await freePort();
  const child = spawn(program, SERVERS[program](port, join(root, 'data')), {
    cwd: root,
    env: { PATH: process.env['PATH'], HOME: root, ROOT_ACCESS_KEY: KEYS.accessKeyId, ROOT_SECRET_KEY: KEYS.secretAccessKey },
    stdio: 'ignore',
  });
  const ended = once(child, 'exit');
  onTestFinished(async () => {
    child.kill();
    await ended;
    await rm(root, { recursive: true, force: true });
  });
  const endpoint = `http://127.0.0.1:${port}`;
  // waits for the server by asking again
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: KEYS, maxAttempts: 60 });
  onTestFinished(() => client.destroy());
  await client.send(new CreateBucketCommand({ Bucket: 'reviews' }));
  const env = {
    AWS_ENDPOINT_URL: endpoint,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
  };
  return { client, env };
}

describe.each(Object.keys(SERVERS) as (keyof typeof SERVERS)[])('%s', (program) => {
  test.skipIf(!isThere(program))('content by reference and import', async () => {
    const { client, env } = await start(program);
    const put = async (Key: string, Body: string | Buffer, options = {}): Promise<string> =>
      (await client.send(new PutObjectCommand({ Bucket: 'reviews', Key, Body, ...options }))).ETag?.replaceAll('"', '') ?? '';
    const etag = await put('train.csv', 'a,b\n');
    await put('summed.csv', 'c,d\n', { ChecksumAlgorithm: 'SHA256' });
    await put('raw/big.bin', BIG);
    await put('raw/deep/two words+%.txt', 'two');
    await put('raw/empty', '', { ContentLength: 0 });
    const box = await sandbox();
    await box.write({
      'ctx/Kitfile': `manifestVersion: 1.0.0
datasets:
  - {name: train, path: data/train.csv, remotePath: "s3://reviews/train.csv", remoteHash: "${etag}"}
  - {name: summed, path: data/summed.csv, remotePath: "s3://reviews/summed.csv"}
  - {name: raw, path: raw, remotePath: "s3://reviews/raw/"}
`,
    });
    await box.ok('pack ctx -t mine:v1', { env });
    await box.ok('unpack mine:v1 -d out --include-remote', { env });
    expect((await box.tree('out')).filter((path) => !path.endsWith('/'))).toEqual([
      'Kitfile',
      'data/summed.csv',
      'data/train.csv',
      'raw/big.bin',
      'raw/deep/two words+%.txt',
      'raw/empty',
    ]);
    expect((await readFile(box.path('out/raw/big.bin'))).equals(BIG)).toBe(true);
    await put('train.csv', 'x,y\n');
    const changed = await box.kit('unpack mine:v1 -d again --include-remote -f datasets:train', { env });
    expect(changed.status).toBe(6);
    const missing = await box.kit('import s3://reviews/nothing.csv -t x:v1', { env });
    expect(missing.status).toBe(3);
    await box.ok('import s3://reviews/raw/ -t raw:v1', { env });
    await box.ok('unpack raw:v1 -d imported');
    expect((await readFile(box.path('imported/big.bin'))).equals(BIG)).toBe(true);
  });
});
