import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Conflict, Staging } from '../../blobs/staging.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { ArtifactLayer } from '../../formats/types.ts';
import { cleanLayerPath } from '../../kitfile/layer-path.ts';
import { SKILL_FILE } from '../../kitfile/skill-header.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Location } from '../../oci/reference.ts';
import { type Admit, admitted } from '../artifact/admission.ts';
import { describeChoices, type Filter, wantsLayer } from '../artifact/filter.ts';
import { loadArtifact } from '../artifact/load-artifact.ts';
import { openSource, type Source } from '../artifact/open-location.ts';
import type { Kit } from '../kit.ts';
import { admission } from '../policy/configured.ts';
import { type UnpackJob, unpackLayer } from '../unpack/layer.ts';
import { type InstalledSkill, installSkills, type Skill } from './install.ts';
import { findSkills } from './find-skills.ts';

export interface UnpackSkillsArguments {
  readonly source: Location;
  /** Names of the table of agents. */
  readonly agents: readonly string[];
  /** Directory of the project; default: the user's home. */
  readonly project?: string | undefined;
  /** OR-ed; none takes every prompt. */
  readonly filters?: readonly Filter[];
  /** What to do when there is a skill of the name. Default `fail`. */
  readonly conflict?: Conflict;
  /** Most bytes that the prompts may have in all, uncompressed. Default 64 MiB: skills are read by models. */
  readonly maxBytes?: number | undefined;
  /** Asked before anything is read. */
  readonly admit?: Admit | undefined;
}

export interface UnpackSkillsResult {
  readonly digest: Digest;
  readonly skills: readonly InstalledSkill[];
  /** Paths of prompts that hold no SKILL.md. */
  readonly others: readonly string[];
}

const MAX_BYTES = 64 * 1024 * 1024;

/**
 * Installs the prompts of an artifact that hold a SKILL.md as skills of agents, and nothing else of it: every digest is verified before
 * anything gets its final name, and all of them are installed or none.
 * @throws KitError FILTER_UNMATCHED | PATH_EXISTS | DIGEST_MISMATCH | UNSAFE_PATH | UNSAFE_ENTRY | LAYER_INVALID | LIMIT_EXCEEDED ...
 */
export async function unpackSkills(kit: Kit, args: UnpackSkillsArguments, call: CallOptions = {}): Promise<UnpackSkillsResult> {
  const { filters = [], agents, project, conflict = 'fail' } = args;
  const source = await openSource(kit, args.source, 'local-first', call);
  const admit = await admission(kit, args.admit);
  const reference = admit === undefined ? source.reference : await admitted(source, admit, call);
  const artifact = await loadArtifact(source.target, reference, source.name, call);
  const prompts = artifact.layers.filter(({ role }) => role === 'prompt');
  const wanted = prompts.filter((layer) => wantsLayer(filters, layer));
  if (wanted.length === 0) throw noPrompts(source.name, filters, prompts);
  const scratch = await mkdtemp(join(tmpdir(), 'kit-skill-'));
  try {
    const read = new PromptReader(source, scratch, args.maxBytes ?? MAX_BYTES);
    // one entry of a Kitfile may be a layer for each of its files
    const entries = Map.groupBy(wanted, ({ path, within }) => cleanLayerPath(within ?? path));
    const found: { readonly path: string; readonly skills: readonly Skill[] }[] = [];
    for (const [path, layers] of entries) found.push({ path, skills: await read.skills(layers, call) });
    const skills = found.flatMap((one) => one.skills);
    if (skills.length === 0) {
      throw new KitError('FILTER_UNMATCHED', `no prompt of ${source.name} holds a ${SKILL_FILE}, which makes it a skill`, {
        hint: `\`kit unpack ${source.name} --filter prompts\` unpacks them as files`,
      });
    }
    refuseTwins(skills);
    const installed = await installSkills(skills, { agents, project, conflict, env: kit.env });
    const others = found.flatMap((one) => (one.skills.length === 0 ? [one.path] : []));
    return { digest: artifact.descriptor.digest, skills: installed, others };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Brings prompts to a directory of their own each, and finds the skills in them. */
class PromptReader {
  readonly #source: Source;
  readonly #scratch: string;
  #bytesLeft: number;
  #count = 0;

  constructor(source: Source, scratch: string, maxBytes: number) {
    this.#source = source;
    this.#scratch = scratch;
    this.#bytesLeft = maxBytes;
  }

  async skills(layers: readonly ArtifactLayer[], call: CallOptions): Promise<Skill[]> {
    const directory = join(this.#scratch, String(this.#count++));
    const staging = new Staging(directory, 'fail');
    const job: UnpackJob = {
      staging,
      link: false,
      bytesLeft: this.#bytesLeft,
      linked: [],
      parts: () => 'never',
      seen: () => {},
      unverified: [],
    };
    try {
      for (const layer of layers) await unpackLayer({ source: this.#source, layer }, job, call);
      staging.commit();
    } finally {
      await staging.discard();
    }
    this.#bytesLeft = job.bytesLeft;
    return await findSkills(directory, { prompt: layers[0]?.name, artifact: this.#source.name });
  }
}

function noPrompts(name: string, filters: readonly Filter[], prompts: readonly ArtifactLayer[]): KitError {
  if (prompts.length === 0) return new KitError('FILTER_UNMATCHED', `${name} holds no prompts, and so no skills`);
  const texts = filters.map(({ text }) => `\`${text}\``).join(', ');
  return new KitError('FILTER_UNMATCHED', `${texts} matches no prompt; there is:${describeChoices(prompts)}`);
}

/** @throws KitError UNSUPPORTED */
function refuseTwins(skills: readonly Skill[]): void {
  const twin = skills.find(({ name }, index) => skills.findIndex((other) => other.name === name) !== index);
  if (twin === undefined) return;
  throw new KitError('UNSUPPORTED', `two prompts are skills of the name ${twin.name}`, {
    hint: 'choose one with `--filter prompts:PATH`; nothing was written',
  });
}
