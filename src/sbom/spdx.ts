import { digestAlgorithm, digestHex } from '../oci/digest.ts';
import { uuidOf } from './ids.ts';
import { readLicense } from './license.ts';
import { datasetsOf, hubUrl, type SbomDataset, type SbomFile, type SbomSubject } from './subject.ts';

type Fields = Readonly<Record<string, unknown>>;

const CREATION = '_:creation';
const NO_ASSERTION_LICENSE = 'https://spdx.org/rdf/3.0.1/terms/ExpandedLicensing/NoAssertionLicense';
const PROFILES = ['core', 'software', 'ai', 'dataset', 'simpleLicensing'];
/** The profiles ask for a time: one that nobody takes for real where none is known. */
const UNKNOWN_TIME = '1970-01-01T00:00:00Z';

/** An SPDX 3.0.1 document (JSON-LD) that conforms to the AI and dataset profiles. */
export function spdx(subject: SbomSubject): Fields {
  return new SpdxBuilder(subject).build();
}

class SpdxBuilder {
  readonly #subject: SbomSubject;
  readonly #prefix: string;
  readonly #created: string;
  readonly #elements: (Fields & { readonly spdxId: string })[] = [];
  readonly #licenses = new Map<string, string>();
  #relationships = 0;

  constructor(subject: SbomSubject) {
    this.#subject = subject;
    this.#prefix = `urn:uuid:${uuidOf(subject.digest, 'SPDX')}`;
    this.#created = subject.created ?? UNKNOWN_TIME;
  }

  build(): Fields {
    const { tool, files } = this.#subject;
    const agent = this.#add('SoftwareAgent', 'tool', { name: `${tool.name} ${tool.version}` });
    const authors = this.#authors(agent);
    const model = this.#model(authors);
    const datasets = datasetsOf(this.#subject);
    const ids = new Map(files.map((file, index) => [file, this.#file(file, index)]));
    const inDatasets = new Set(datasets.flatMap((dataset) => dataset.files));
    this.#relate(
      model,
      'contains',
      idsOf(
        files.filter((file) => !inDatasets.has(file)),
        ids,
      ),
    );
    for (const [index, dataset] of datasets.entries()) this.#dataset(dataset, index, { model, authors, ids });
    const bom = this.#add('software_Sbom', 'bom', {
      profileConformance: PROFILES,
      rootElement: [model],
      element: this.#elements.map(({ spdxId }) => spdxId),
    });
    const document = this.#add('SpdxDocument', 'document', {
      name: this.#subject.name,
      profileConformance: PROFILES,
      rootElement: [bom],
      element: this.#elements.map(({ spdxId }) => spdxId),
    });
    const creation = { type: 'CreationInfo', '@id': CREATION, specVersion: '3.0.1', created: this.#created, createdBy: [agent] };
    const last = this.#elements.findIndex(({ spdxId }) => spdxId === document);
    return {
      '@context': 'https://spdx.org/rdf/3.0.1/spdx-context.jsonld',
      '@graph': [creation, ...this.#elements.splice(last), ...this.#elements],
    };
  }

  #add(type: string, name: string, fields: Fields): string {
    const spdxId = `${this.#prefix}#${name}`;
    this.#elements.push({ type, spdxId, creationInfo: CREATION, ...fields });
    return spdxId;
  }

  #relate(from: string, relationshipType: string, to: readonly string[]): void {
    if (to.length === 0) return;
    this.#relationships += 1;
    this.#add('Relationship', `relationship-${this.#relationships}`, { from, relationshipType, to });
  }

  /** Who supplies it: the authors, else the tool that says so, for the profile wants somebody. */
  #authors(agent: string): string[] {
    const { authors } = this.#subject;
    if (authors.length === 0) return [agent];
    return authors.map((name, index) => this.#add('Agent', `author-${index + 1}`, { name }));
  }

  #model(authors: readonly string[]): string {
    const { name, version, description, license, digest, purl, card, facts, base } = this.#subject;
    const model = this.#add('ai_AIPackage', 'model', {
      name,
      description,
      verifiedUsing: [hash(digest)],
      suppliedBy: authors[0],
      originatedBy: authors,
      releaseTime: this.#created,
      software_primaryPurpose: 'model',
      software_packageVersion: version ?? digest,
      software_downloadLocation: this.#location(),
      software_packageUrl: purl,
      ai_domain: card?.task === undefined ? undefined : [card.task],
      ai_typeOfModel: facts.architecture === undefined ? undefined : [facts.architecture],
      ai_hyperparameter: entries({
        parameters: facts.parameters,
        quantization: facts.quantization,
        contextLength: facts.contextLength,
        format: facts.formats?.join(', ') || undefined,
      }),
      ai_metric: card?.metrics.length
        ? card.metrics.map(({ type, value, dataset }) => entry(dataset === undefined ? type : `${type} (${dataset})`, value))
        : undefined,
    });
    this.#relateLicenses(model, license ?? card?.license);
    const bases = [
      ...(base === undefined ? [] : [{ name: base, url: undefined }]),
      ...(card?.baseModels ?? []).map((one) => ({ name: one, url: hubUrl('', one) })),
    ];
    const packages = bases.map((one, index) =>
      this.#add('software_Package', `base-${index + 1}`, {
        name: one.name,
        software_primaryPurpose: 'model',
        software_downloadLocation: one.url,
      }),
    );
    this.#relate(model, 'descendantOf', packages);
    return model;
  }

  /** The profiles ask for one; a name by content (RFC 6920) is all there is to say of what lies in no registry. */
  #location(): string {
    const { url, digest } = this.#subject;
    return url ?? `ni:///${digestAlgorithm(digest).replace('sha', 'sha-')};${Buffer.from(digestHex(digest), 'hex').toString('base64url')}`;
  }

  #file({ path, digest, role }: SbomFile, index: number): string {
    return this.#add('software_File', `file-${index + 1}`, {
      name: path,
      verifiedUsing: [hash(digest)],
      software_primaryPurpose: PURPOSES[role] ?? 'file',
    });
  }

  #dataset(
    { name, description, license, url, files, isNamedByCard }: SbomDataset,
    index: number,
    { model, authors, ids }: { readonly model: string; readonly authors: readonly string[]; readonly ids: ReadonlyMap<SbomFile, string> },
  ): void {
    const dataset = this.#add('dataset_DatasetPackage', `dataset-${index + 1}`, {
      name,
      description,
      builtTime: this.#created,
      originatedBy: [authors[0]],
      releaseTime: this.#created,
      software_primaryPurpose: 'data',
      software_downloadLocation: url ?? this.#location(),
      dataset_datasetType: ['noAssertion'],
    });
    this.#relateLicenses(dataset, license);
    this.#relate(dataset, 'contains', idsOf(files, ids));
    this.#relate(model, isNamedByCard ? 'trainedOn' : useOf(name), [dataset]);
  }

  /** Exactly one of each: what is declared, and that we conclude nothing from it. */
  #relateLicenses(element: string, text: string | undefined): void {
    this.#relate(element, 'hasDeclaredLicense', [text === undefined || text === '' ? NO_ASSERTION_LICENSE : this.#license(text)]);
    this.#relate(element, 'hasConcludedLicense', [NO_ASSERTION_LICENSE]);
  }

  #license(text: string): string {
    const known = this.#licenses.get(text);
    if (known !== undefined) return known;
    const name = `license-${this.#licenses.size + 1}`;
    const license = readLicense(text);
    const added = this.#add('simplelicensing_LicenseExpression', name, this.#expression(license, name));
    this.#licenses.set(text, added);
    return added;
  }

  #expression(license: ReturnType<typeof readLicense>, name: string): Fields {
    if (license.kind !== 'name') return { simplelicensing_licenseExpression: license.kind === 'id' ? license.id : license.expression };
    const reference = `LicenseRef-${license.name.replaceAll(/[^A-Za-z0-9.-]+/g, '-')}`;
    const text = this.#add('simplelicensing_SimpleLicensingText', `${name}-text`, { simplelicensing_licenseText: license.name });
    return { simplelicensing_licenseExpression: reference, simplelicensing_customIdToUri: [entry(reference, text)] };
  }
}

const PURPOSES: Readonly<Partial<Record<SbomFile['role'], string>>> = {
  model: 'model',
  modelpart: 'model',
  code: 'source',
  dataset: 'data',
  docs: 'documentation',
};

/** A Kitfile does not say what a dataset is for: only a name that does is believed. */
function useOf(name: string): string {
  const words = new Set(name.toLowerCase().split(/[^a-z]+/));
  const is = (...names: string[]): boolean => names.some((one) => words.has(one));
  if (is('train', 'training', 'finetune', 'finetuning')) return 'trainedOn';
  return is('test', 'testing', 'eval', 'evaluation', 'validation', 'valid', 'val', 'dev', 'benchmark') ? 'testedOn' : 'contains';
}

function idsOf(files: readonly SbomFile[], ids: ReadonlyMap<SbomFile, string>): string[] {
  return files.flatMap((file) => ids.get(file) ?? []);
}

function hash(digest: SbomFile['digest']): Fields {
  return { type: 'Hash', algorithm: digestAlgorithm(digest), hashValue: digestHex(digest) };
}

function entry(key: string, value: string): Fields {
  return { type: 'DictionaryEntry', key, value };
}

function entries(values: Readonly<Record<string, string | number | undefined>>): Fields[] | undefined {
  const list = Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [entry(key, String(value))]));
  return list.length === 0 ? undefined : list;
}
