import { onTestFinished } from 'vitest';
import { importModel, type ImportArguments, type ImportResult } from '../../../src/operations/import/import.ts';
import { createKit, type Kit } from '../../../src/operations/kit.ts';
import { type HubRepository, startHub, type TestHub } from '../../support/hub-server.ts';
import { type Workspace, workspace } from '../operations/sandbox.ts';

const noise = (size: number, seed: number): Buffer => {
  const bytes = Buffer.alloc(size);
  for (let i = 0, x = seed; i < size; i++) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    bytes[i] = x >>> 16;
  }
  return bytes;
};

export const MODEL: HubRepository = {
  id: 'Acme/Tiny-7B',
  files: {
    '.gitattributes': '*.safetensors filter=lfs\n',
    'README.md': '---\nlicense: apache-2.0\n---\n# Tiny\n',
    'config.json': JSON.stringify({ model_type: 'llama', architectures: ['LlamaForCausalLM'] }),
    'model-00001-of-00002.safetensors': noise(600_000, 1),
    'model-00002-of-00002.safetensors': noise(300_000, 2),
    'tokenizer.model': noise(700, 3),
    'sub/dir/vocab.txt': 'a\nb\n',
    'sub/empty.txt': '',
  },
  info: { cardData: { license: 'apache-2.0' }, library_name: 'transformers' },
};

export const DATA: HubRepository = {
  type: 'dataset',
  id: 'acme/questions',
  files: { 'README.md': '# Data', 'data/train-0.parquet': noise(5000, 4), 'data/test.jsonl': '{}\n', 'load.py': 'pass\n' },
  info: { cardData: { license: 'cc-by-4.0', pretty_name: 'Questions' } },
};

interface Setup {
  readonly hub: TestHub;
  readonly space: Workspace;
  readonly kit: Kit;
  readonly run: (args: Partial<ImportArguments>) => Promise<ImportResult>;
}

export async function setup(
  repositories: readonly HubRepository[] = [MODEL, DATA],
  env: Readonly<Record<string, string>> = {},
): Promise<Setup> {
  const hub = await startHub(repositories);
  onTestFinished(() => hub.close());
  const space = workspace();
  const kit = createKit({
    home: space.home,
    env: { HF_ENDPOINT: hub.url, HF_HOME: space.path('hf'), ...env },
    network: { plainHttp: true, sleep: async () => {} },
  });
  onTestFinished(() => kit.close());
  return { hub, space, kit, run: (args) => importModel(kit, { source: 'Acme/Tiny-7B', ...args }, space.call) };
}
