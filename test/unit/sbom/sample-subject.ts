import { digestOf } from '../../../src/oci/digest.ts';
import type { SbomFile, SbomSubject } from '../../../src/sbom/subject.ts';

export function sampleFile(path: string, role: SbomFile['role'], entry = path): SbomFile {
  const digest = digestOf(Buffer.from(path));
  return { path, size: 3, digest, role, layer: digest, entry };
}

/** A model about which everything is known. */
export function fullSubject(): SbomSubject {
  return {
    name: 'llama',
    version: '1.2.0',
    description: 'A model',
    license: 'apache-2.0',
    authors: ['Ann', 'Bob'],
    purl: 'pkg:oci/llama@sha256%3Aabc?repository_url=ghcr.io/team/llama&tag=v1',
    url: `oci://ghcr.io/team/llama:v1@${digestOf(Buffer.from('manifest'))}`,
    digest: digestOf(Buffer.from('manifest')),
    created: '2026-11-20T10:00:00Z',
    kitfile: {
      manifestVersion: '1.0.0',
      package: { name: 'llama' },
      model: { path: 'model.gguf', framework: 'llama.cpp', format: 'gguf', parts: [{ path: './lora.bin', license: 'llama3.1' }] },
      code: [{ path: 'src/', license: 'MIT OR Apache-2.0' }],
      datasets: [
        { name: 'train', path: './data', license: 'cc-by-4.0', description: 'rows' },
        { name: 'eval-set', path: 'eval.csv' },
        { name: 'far', remotePath: 's3://bucket/a b', remoteHash: 'x' },
      ],
    },
    files: [
      sampleFile('data/a.csv', 'dataset', 'data'),
      sampleFile('eval.csv', 'dataset'),
      sampleFile('lora.bin', 'modelpart'),
      sampleFile('model.gguf', 'model'),
      sampleFile('src/run.py', 'code', 'src'),
    ],
    card: {
      license: 'mit',
      task: 'text-generation',
      library: 'transformers',
      languages: ['en', 'de'],
      tags: ['chat'],
      datasets: ['squad', 'no such name!'],
      baseModels: ['org/base'],
      metrics: [
        { type: 'acc', value: '0.71', dataset: 'MMLU' },
        { type: 'f1', value: '3', dataset: undefined },
      ],
    },
    facts: { formats: ['gguf'], architecture: 'llama', parameters: 8_030_261_248, quantization: 'MOSTLY_Q4_K_M', contextLength: 8192 },
    base: 'ghcr.io/team/base:v1',
    tool: { name: 'ocikit', version: '1.0.0' },
  };
}

/** An artifact that says nothing of itself. */
export function bareSubject(): SbomSubject {
  return {
    ...fullSubject(),
    version: undefined,
    description: undefined,
    license: undefined,
    authors: [],
    purl: undefined,
    url: undefined,
    created: undefined,
    kitfile: undefined,
    files: [sampleFile('a', 'file')],
    card: undefined,
    facts: {},
    base: undefined,
  };
}
