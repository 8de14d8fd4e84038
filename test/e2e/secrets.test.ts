import { expect, onTestFinished, test } from 'vitest';
import { sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';

// Each secret has this word in it, and none may be printed, however much is asked to be said.
const WORD = 'SECRET';

test('passwords, tokens and signed URLs are printed nowhere, also with -vvv and as JSON events', async () => {
  const registry = await startRegistry({ auth: { type: 'bearer', username: 'alice', password: `${WORD}-password` } });
  onTestFinished(() => registry.close());
  const box = await sandbox();
  await box.write({ 'in/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: m}\n', 'in/m': 'weights\n' });
  await box.ok('pack in -t mine:v1');
  const { host } = registry;
  const reference = `${host}/team/mine:v1`;
  const printed: string[] = [];
  const run = async (status: number, args: string, env: Record<string, string> = {}): Promise<void> => {
    for (const loud of ['-vvv', '-vvv --progress json']) {
      const { status: actual, stdout, stderr } = await box.kit(`${args} ${loud}`, { env });
      expect(`${args}: ${actual}\n${stderr}`).toContain(`${args}: ${status}`);
      printed.push(`${stdout}${stderr}`);
    }
  };

  await run(4, `login ${host} -u alice -p ${WORD}-wrong`);
  await run(0, `login ${host} -u alice -p ${WORD}-password`);
  await run(0, `push mine:v1 ${reference}`);
  // storage behind a signed URL that cannot be reached
  registry.behaviour.redirectBlobs = `http://127.0.0.1:1/?X-Amz-Signature=${WORD}&path=`;
  await run(5, `unpack ${reference} -d out`);
  registry.behaviour.redirectBlobs = undefined;
  // an upload session with a token in its URL
  registry.behaviour.location = `http://127.0.0.1:1/upload?_state=${WORD}`;
  await run(5, `push mine:v1 ${host}/team/other:v1`);
  registry.behaviour.location = 'absolute';
  // answers that are refused, and tokens that ran out
  registry.auth.revokeTokens();
  registry.behaviour.faults.push({ status: 503, headers: { 'retry-after': '0' } }, { status: 500, body: 'no' });
  await run(0, `pull ${reference}`);
  await run(5, `list ${reference} --proxy http://me:${WORD}-proxy@127.0.0.1:1`);
  await run(5, `list ghcr.io/team/mine`, { HTTPS_PROXY: `http://me:${WORD}-proxy@127.0.0.1:1` });

  const tokens = registry.requests.map(({ headers }) => headers.authorization?.replace(/^\w+ /, '') ?? '').filter((token) => token !== '');
  expect(tokens.length).toBeGreaterThan(3);
  const found = printed.filter((text) => text.includes(WORD) || tokens.some((token) => text.includes(token)));
  expect(found).toEqual([]);
});
