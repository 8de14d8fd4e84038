import { existsSync } from 'node:fs';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { isHubUrl } from '../../hub/hub-reference.ts';
import type { WebHttp } from '../../hub/web-http.ts';
import type { ImportLocation, ImportSource } from './source.ts';
import type { Kit } from '../kit.ts';

type Kind = 'hub' | 'git' | 's3' | 'web' | 'local';

const REPOSITORY_ID = /^(?:datasets\/)?[\w.-]+\/[\w.-]+(?:@[^/]+)?$/;
/** Names of files, among the addresses that might as well be repositories. */
const FILE_URL =
  /\.(?:tar|tgz|tzst|gz|zst|safetensors|gguf|ggml|onnx|bin|pt|pth|pkl|joblib|h5|keras|tflite|npy|npz|ckpt|llamafile|parquet|csv|json|jsonl|txt|md|pdf|zip)$/i;

/** Looks up what `location` names. @throws KitError REFERENCE_INVALID when it could be anything, and those of the source */
export async function openImportSource(kit: Kit, http: WebHttp, location: ImportLocation, call: CallOptions): Promise<ImportSource> {
  switch (kindOf(kit, location)) {
    case 'hub':
      return await (await import('./hub.ts')).openHubSource(kit, http, location, call);
    case 'git':
      return await (await import('./git.ts')).openGitSource(kit, http, location, call);
    case 's3':
      refuseRevision(location);
      return await (await import('./s3.ts')).openS3Source(kit, http, location, call);
    case 'web':
      refuseRevision(location);
      return await (await import('./web.ts')).openWebSource(kit, http, location, call);
    case 'local':
      refuseRevision(location);
      return await (await import('./local.ts')).openLocalSource(kit, location, call);
  }
}

function kindOf(kit: Kit, { source, tool }: ImportLocation): Kind {
  if (source.trim() === '')
    throw new KitError('REFERENCE_INVALID', 'the source to import is empty', {
      hint: 'write ORG/NAME of Hugging Face, a URL, or a path: is a variable not set?',
    });
  if (tool === 'hf' || tool === 'git') return tool === 'hf' ? 'hub' : 'git';
  if (/^s3:\/\//i.test(source)) return 's3';
  if (tool === 'file') return 'web';
  if (isHubUrl(source, kit.env['HF_ENDPOINT'] || 'https://huggingface.co')) return 'hub';
  // git's own ways of writing a repository, the one of scp among them
  if (/^(?:ssh|git|file|git\+\w+):\/\//.test(source) || /^[\w.-]+@[\w.-]+:/.test(source) || /\.git\/?$/.test(source)) return 'git';
  if (/^https?:\/\//.test(source)) return FILE_URL.test(URL.parse(source)?.pathname ?? '') ? 'web' : 'git';
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(source))
    throw new KitError('REFERENCE_INVALID', `\`${source}\` cannot be imported: its scheme is not known`, {
      hint: 'schemes are hf, s3, https, http, ssh and file',
    });
  if (/^(?:\.{0,2}\/|\.{1,2}$|~)/.test(source)) return 'local';
  // as KitOps has it: org/name is on the hub, whatever lies here
  if (REPOSITORY_ID.test(source)) return 'hub';
  return existsSync(source) ? 'local' : 'hub';
}

function refuseRevision({ source, revision }: ImportLocation): void {
  if (revision !== undefined) throw new KitError('USAGE', `--ref is for repositories, and ${source} is none`);
}
