import * as fc from 'fast-check';
import type { Catalog, Candidate, TargetContent } from '../../../src/catalog/catalog.ts';
import { documentText } from '../../../src/catalog/document.ts';
import { openQuestion } from '../../../src/catalog/question.ts';
import { sqlFilter } from '../../../src/catalog/sql-filter.ts';
import { digestOf } from '../../../src/oci/digest.ts';

export function digestOfNumber(number: number): string {
  return digestOf(Buffer.from(String(number)));
}

const scalar = fc.oneof(
  fc.constantFrom(0, 1, -1, 0.1, 0.95, 0.30000000000000004, 1e300, 5e-324, 9_007_199_254_740_993n, 2n ** 70n, true, false, null),
  fc.constantFrom('', '0.95', '1', 'MIT', 'a"b', 'a\\b', 'é', '\0', '\uD800', "it's", '$1', '%'),
  fc.double({ noNaN: true }),
  fc.integer(),
);
const KEYS = ['accuracy', 'a b', 'x.y', 'a"b', 'é', '0', '__proto__', 'nested'] as const;
const parameters = fc.dictionary(
  fc.constantFrom(...KEYS),
  fc.oneof(scalar, fc.array(scalar, { maxLength: 2 }), fc.dictionary(fc.constantFrom('accuracy', 'y'), scalar, { maxKeys: 2 })),
);

/** What models may say of themselves: all that JSON has, and what databases do not like. */
export const aModel = fc.record({ name: scalar, parameters, tags: fc.array(fc.constantFrom('v1', 'v2', 'prod'), { maxLength: 2 }) });

export type Model = typeof aModel extends fc.Arbitrary<infer T> ? T : never;

const field = fc.oneof(
  fc.constantFrom(
    'model.name',
    'model',
    'digest',
    'model.parameters',
    'model.parameters.nested.y',
    'model.parameters[*]',
    'tags',
    'repository',
  ),
  fc.constantFrom(...KEYS).map((key) => `model.parameters[${JSON.stringify(key)}]`),
);
const literal = fc.oneof(
  fc.constantFrom('0', '1', '0.1', '0.95', '1e300', '9007199254740993', '1180591620717411303424', 'true', 'false', 'null', '5e-324'),
  fc.constantFrom('""', '"0.95"', '"1"', '"MIT"', "'a\"b'", '"é"', `"it's"`, '"%"', '"v1"', '"$1"', '"\0"', '"\uD800"'),
);
const comparison = fc.oneof(
  fc.tuple(field, fc.constantFrom('==', '!=', '<', '<=', '>', '>='), literal).map((parts) => parts.join(' ')),
  fc.tuple(literal, fc.constantFrom('==', '<', '>='), field).map((parts) => parts.join(' ')),
  fc.tuple(field, fc.array(literal, { maxLength: 3 })).map(([name, list]) => `${name} in [${list.join(', ')}]`),
  fc.tuple(literal, field).map(([value, name]) => `${value} in ${name}`),
  fc.tuple(field, fc.constantFrom('^M', '1', '.', '^$')).map(([name, pattern]) => `${name} =~ "${pattern}"`),
  field,
);

/** Expressions over what `aModel` makes. */
export const anExpression = fc.letrec<{ whole: string }>((tie) => ({
  whole: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    comparison,
    fc.tuple(tie('whole'), fc.constantFrom('&&', '||'), tie('whole')).map(([left, operator, right]) => `(${left} ${operator} ${right})`),
    tie('whole').map((inner) => `!(${inner})`),
  ),
})).whole;

export const REPOSITORY = 'reg.example/team/m';

/** The content of each, and its tags. */
export function contentsOf(models: readonly Model[]): { readonly contents: TargetContent[]; readonly tags: Map<string, string> } {
  const tags = new Map<string, string>();
  const contents = models.map(({ name, parameters: values }, number) => {
    const target = digestOfNumber(number);
    tags.set(`t${number}`, target);
    const document = documentText({ digest: target, format: 'modelkit', model: { name, parameters: values } }, target);
    return { target, members: [{ digest: target, detail: null, document, tensors: null }] };
  });
  return { contents, tags };
}

/** Digests of what fulfils the expression, as a catalog finds it with its own filter; and without. */
export async function answers(catalog: Catalog, text: string): Promise<{ readonly filtered: string[]; readonly plain: string[] }> {
  const question = await openQuestion(text);
  const { expression } = question;
  const select = async (filter: Parameters<Catalog['candidates']>[0]): Promise<string[]> => {
    const found: Candidate[] = [];
    for await (const page of catalog.candidates(filter)) {
      const documents = page.map(
        ({ repository, tags, document }) =>
          `{"repository":${JSON.stringify(repository)},"tags":${JSON.stringify(tags)},${document.slice(1)}`,
      );
      found.push(...question.select(documents).map((index) => page[index] as Candidate));
    }
    return found.map(({ digest }) => digest).toSorted();
  };
  const filtered = await select((first) => (expression === undefined ? undefined : sqlFilter(expression, catalog.dialect, first)));
  return { filtered, plain: await select(() => undefined) };
}
