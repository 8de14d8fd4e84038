import type { LineageNode } from '../../operations/tree/tree.ts';
import { singleLine } from './plain-text.ts';
import { formatBytes } from './text.ts';

/** What a node is, in words. */
export const RELATIONS: Readonly<Record<LineageNode['relation'], string>> = {
  root: '',
  base: 'base',
  member: 'member',
  dataset: 'dataset',
  origin: 'origin',
  image: 'image',
  signature: 'signature',
  attestation: 'attestation',
  sbom: 'SBOM',
  promotion: 'promotion record',
  referrer: 'refers to it',
};

/** The facts of a node as one line of harmless text; `title` says how it is known. */
export function labelOf({ relation, name, description, digest, size, problem }: LineageNode): {
  readonly title: string;
  readonly facts: string;
} {
  const kind = RELATIONS[relation];
  const title = [kind, name ?? (kind === '' ? description : undefined)].filter((text) => text !== undefined && text !== '').join(': ');
  const facts = [
    description,
    digest,
    size === undefined ? undefined : formatBytes(size),
    problem === undefined ? undefined : `! ${problem}`,
  ];
  return { title: singleLine(title), facts: singleLine(facts.filter((fact) => fact !== undefined).join(' · ')) };
}

/** The tree as lines, the way `tree` draws folders. */
export function treeLines(root: LineageNode): string[] {
  const lines: string[] = [];
  const add = (node: LineageNode, head: string, below: string): void => {
    const { title, facts } = labelOf(node);
    lines.push(`${head}${title}`, `${below}${node.children.length > 0 ? '│  ' : '   '}${facts}`);
    for (const [index, child] of node.children.entries()) {
      const isLast = index === node.children.length - 1;
      add(child, `${below}${isLast ? '└─ ' : '├─ '}`, `${below}${isLast ? '   ' : '│  '}`);
    }
  };
  add(root, '', '');
  return lines;
}
