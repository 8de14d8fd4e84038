import { cleanLayerPath } from '../kitfile/layer-path.ts';
import { type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts';
import { uuidOf } from './ids.ts';
import { readLicense } from './license.ts';
import { datasetsOf, hubUrl, type SbomDataset, type SbomFile, type SbomSubject } from './subject.ts';
import { formatsOfTask } from './task-formats.ts';

/** Fields in the order of the document; undefined ones are left out when it is printed. */
type Fields = Readonly<Record<string, unknown>>;

const MODEL = 'model';

/** A CycloneDX 1.6 ML-BOM: the model with its card, its datasets, every file with its hash. */
export function cyclonedx(subject: SbomSubject): Fields {
  const datasets = datasetsOf(subject).map((dataset, index) => ({ ref: `dataset:${index + 1}`, dataset }));
  const inDatasets = new Set(datasets.flatMap(({ dataset }) => dataset.files));
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(subject.digest, 'CycloneDX')}`,
    version: 1,
    metadata: {
      timestamp: subject.created,
      tools: { components: [{ type: 'application', name: subject.tool.name, version: subject.tool.version }] },
      component: model(
        subject,
        datasets.map(({ ref }) => ref),
      ),
    },
    components: [
      ...datasets.map(({ ref, dataset }) => datasetComponent(ref, dataset)),
      ...subject.files.filter((file) => !inDatasets.has(file)).map((file) => fileComponent(file, licenseOfEntry(subject, file))),
    ],
    dependencies: [{ ref: MODEL, dependsOn: nonEmpty(datasets.map(({ ref }) => ref)) }, ...datasets.map(({ ref }) => ({ ref }))],
  };
}

function model(subject: SbomSubject, datasets: readonly string[]): Fields {
  const { name, version, description, license, authors, purl, url, card, base } = subject;
  const ancestors = [...(base === undefined ? [] : [{ name: base, url: undefined }]), ...baseModels(card?.baseModels)];
  return {
    type: 'machine-learning-model',
    'bom-ref': MODEL,
    authors: nonEmpty(authors.map((author) => ({ name: author }))),
    name,
    version,
    description,
    licenses: licensesOf(license ?? card?.license),
    purl,
    pedigree: ancestors.length === 0 ? undefined : { ancestors: ancestors.map(ancestor) },
    externalReferences: url === undefined ? undefined : [{ url, type: 'distribution', hashes: [hash(subject.digest)] }],
    modelCard: modelCard(subject, datasets),
    properties: nonEmpty(
      properties({ 'ocikit:manifest': subject.digest, 'ocikit:language': card?.languages, 'ocikit:tag': card?.tags, ...facts(subject) }),
    ),
  };
}

function baseModels(names: readonly string[] = []): { name: string; url: string | undefined }[] {
  return names.map((name) => ({ name, url: hubUrl('', name) }));
}

function ancestor({ name, url }: { name: string; url: string | undefined }): Fields {
  return { type: 'machine-learning-model', name, externalReferences: url === undefined ? undefined : [{ url, type: 'distribution' }] };
}

function modelCard({ card, facts: { architecture }, kitfile }: SbomSubject, datasets: readonly string[]): Fields {
  const formats = formatsOfTask(card?.task);
  const metrics = (card?.metrics ?? []).map(({ type, value, dataset }) => ({ type, value, slice: dataset }));
  return {
    modelParameters: {
      task: card?.task,
      architectureFamily: kitfile?.model?.framework ?? card?.library,
      modelArchitecture: architecture,
      datasets: nonEmpty(datasets.map((ref) => ({ ref }))),
      inputs: formats?.inputs.map((format) => ({ format })),
      outputs: formats?.outputs.map((format) => ({ format })),
    },
    quantitativeAnalysis: metrics.length === 0 ? undefined : { performanceMetrics: metrics },
  };
}

function facts({ facts: { formats, parameters, quantization, contextLength }, kitfile }: SbomSubject): Record<string, Property> {
  return {
    'ocikit:format': formats?.length ? formats : kitfile?.model?.format,
    'ocikit:parameters': parameters,
    'ocikit:quantization': quantization,
    'ocikit:contextLength': contextLength,
  };
}

function datasetComponent(ref: string, { name, description, license, url, files, isNamedByCard }: SbomDataset): Fields {
  return {
    type: 'data',
    'bom-ref': ref,
    name,
    description,
    licenses: licensesOf(license),
    externalReferences: url === undefined ? undefined : [{ url: encodeURI(url.toWellFormed()), type: 'distribution' }],
    components: nonEmpty(files.map((file) => fileComponent(file, undefined))),
    data: [{ type: 'dataset', name, description, contents: url === undefined ? undefined : { url: encodeURI(url.toWellFormed()) } }],
    properties: isNamedByCard ? properties({ 'ocikit:source': 'model card' }) : undefined,
  };
}

function fileComponent(file: SbomFile, license: string | undefined): Fields {
  return {
    type: 'file',
    'bom-ref': `file:${file.path}`,
    name: file.path,
    hashes: [hash(file.digest)],
    licenses: licensesOf(license),
    properties: properties({ 'ocikit:role': file.role, 'ocikit:size': file.size, 'ocikit:layer': file.layer }),
  };
}

/** Code and parts of a model may come under licenses of their own. */
function licenseOfEntry({ kitfile }: SbomSubject, { role, entry }: SbomFile): string | undefined {
  const entries = role === 'code' ? kitfile?.code : role === 'modelpart' ? kitfile?.model?.parts : undefined;
  return entries?.find(({ path }) => cleanLayerPath(path) === entry)?.license;
}

function hash(digest: Digest): Fields {
  return { alg: digestAlgorithm(digest) === 'sha512' ? 'SHA-512' : 'SHA-256', content: digestHex(digest) };
}

function licensesOf(text: string | undefined): readonly Fields[] | undefined {
  if (text === undefined || text === '') return undefined;
  const license = readLicense(text);
  switch (license.kind) {
    case 'id':
      return [{ license: { id: license.id, acknowledgement: 'declared' } }];
    case 'expression':
      return [{ expression: license.expression, acknowledgement: 'declared' }];
    case 'name':
      return [{ license: { name: license.name, acknowledgement: 'declared' } }];
  }
}

type Property = string | number | readonly string[] | undefined;

/** A list gives a property for each of its items. */
function properties(values: Readonly<Record<string, Property>>): Fields[] {
  return Object.entries(values).flatMap(([name, value]) => {
    const list = Array.isArray(value) ? (value as readonly string[]) : value === undefined ? [] : [String(value)];
    return list.map((one) => ({ name, value: one }));
  });
}

function nonEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}
