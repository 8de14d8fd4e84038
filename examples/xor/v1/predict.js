// Loads model.safetensors (https://github.com/huggingface/safetensors#format) and computes the exclusive or of two bits.
import { readFileSync } from 'node:fs';

const file = readFileSync(process.argv[2] ?? 'model.safetensors');
const headerLength = Number(file.readBigUInt64LE(0));
const header = JSON.parse(file.toString('utf8', 8, 8 + headerLength));

function tensor(name) {
  const [start, end] = header[name].data_offsets.map((offset) => 8 + headerLength + offset);
  return Array.from({ length: (end - start) / 4 }, (_, index) => file.readFloatLE(start + 4 * index));
}

const [hiddenWeight, hiddenBias, outputWeight, outputBias] = ['hidden.weight', 'hidden.bias', 'output.weight', 'output.bias'].map(tensor);

function predict(a, b) {
  const hidden = hiddenBias.map((bias, unit) => Math.max(0, hiddenWeight[2 * unit] * a + hiddenWeight[2 * unit + 1] * b + bias));
  return hidden.reduce((sum, value, unit) => sum + value * outputWeight[unit], outputBias[0]);
}

const rows = [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
].map(([a, b]) => ({ a, b, predicted: Math.round(predict(a, b)), right: Math.round(predict(a, b)) === (a ^ b) }));
for (const { a, b, predicted, right } of rows) console.log(`${a} xor ${b} = ${predicted}${right ? '' : '   wrong'}`);
process.exitCode = rows.every(({ right }) => right) ? 0 : 1;
