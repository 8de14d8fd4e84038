import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type HubRepository, startHub } from '../support/hub-server.ts';
import { sandbox } from '../support/kit.ts';

/** A Python that has huggingface_hub. */
const PYTHON = process.env['HF_PYTHON'] ?? 'python3';

function hasClient(): boolean {
  try {
    execFileSync(PYTHON, ['-c', 'import huggingface_hub'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const MODEL: HubRepository = {
  id: 'acme/tiny',
  files: {
    '.gitattributes': '*.safetensors filter=lfs\n',
    'README.md': '# Tiny\n',
    'config.json': '{"model_type":"llama"}',
    'model.safetensors': Buffer.alloc(300_000, 7),
    'nested/dir/vocab.txt': 'a\n',
  },
  revisions: ['v1'],
};
const DATA: HubRepository = { type: 'dataset', id: 'acme/data', files: { 'data/a.parquet': Buffer.alloc(5000, 3), 'README.md': '#\n' } };

/** Runs `huggingface_hub` as its users do. Asynchronously: the hub is in this process. */
async function python(script: string, env: Readonly<Record<string, string>>): Promise<string> {
  const child = spawn(PYTHON, ['-c', script], {
    env: { PATH: process.env['PATH'], HF_HUB_DISABLE_XET: '1', HF_HUB_DISABLE_TELEMETRY: '1', HF_HUB_DISABLE_PROGRESS_BARS: '1', ...env },
  });
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  if (child.exitCode !== 0) throw new Error(err);
  return out.trim();
}

describe.skipIf(!hasClient())('huggingface_hub', { timeout: 120_000 }, () => {
  test('takes the hub of these tests for one: info, trees in pages, snapshots, errors', async () => {
    const hub = await startHub([
      MODEL,
      DATA,
      { ...MODEL, id: 'acme/gated', isGated: true },
      { ...MODEL, id: 'acme/private', isPrivate: true },
    ]);
    onTestFinished(() => hub.close());
    hub.behaviour.pageSize = 3;
    const box = await sandbox();
    const env = { HF_ENDPOINT: hub.url, HF_HOME: box.path('hf') };
    const snapshot = await python("from huggingface_hub import *; print(snapshot_download('acme/tiny', revision='v1'))", env);
    expect(snapshot).toContain(`models--acme--tiny/snapshots/${hub.sha('acme/tiny')}`);
    for (const [path, content] of Object.entries(MODEL.files))
      expect(readFileSync(`${snapshot}/${path}`).equals(Buffer.from(content)), path).toBe(true);
    const data = await python("from huggingface_hub import *; print(snapshot_download('acme/data', repo_type='dataset'))", env);
    expect(readFileSync(`${data}/data/a.parquet`)).toHaveLength(5000);
    const fails = async (call: string): Promise<string> =>
      await python(`from huggingface_hub import *\ntry:\n  ${call}\nexcept Exception as e:\n  print(type(e).__name__)`, env);
    expect(await fails("snapshot_download('acme/tiny', revision='v9')")).toBe('RevisionNotFoundError');
    expect(await fails("snapshot_download('acme/nothing')")).toBe('RepositoryNotFoundError');
    expect(await fails("snapshot_download('acme/private')")).toBe('RepositoryNotFoundError');
    expect(await fails("hf_hub_download('acme/gated', 'config.json')")).toBe('GatedRepoError');
    expect(await fails("hf_hub_download('acme/tiny', 'nothing.json')")).toMatch(/EntryNotFoundError$/);
  });

  test('leaves a cache that import reads, and import packs what it downloads', async () => {
    const hub = await startHub([MODEL]);
    onTestFinished(() => hub.close());
    const box = await sandbox();
    const env = { HF_ENDPOINT: hub.url, HF_HOME: box.path('hf') };
    const snapshot = await python("from huggingface_hub import *; print(snapshot_download('acme/tiny'))", env);
    hub.clear();
    await box.ok('import acme/tiny --layer-format raw', { env });
    expect(hub.log().filter((line) => line.includes('/resolve/') || !line.includes('/api/'))).toEqual([]);
    await box.ok('unpack acme/tiny -d out');
    for (const path of ['config.json', 'model.safetensors', 'nested/dir/vocab.txt'])
      expect(readFileSync(box.path('out', path)).equals(readFileSync(`${snapshot}/${path}`)), path).toBe(true);
  });
});
