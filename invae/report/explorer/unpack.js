// Data of the page: text to numbers. Nothing here touches the document.

const UNKNOWN_COLUMN = 65535;
const UNKNOWN_PIXEL = 255;

/** Base64 of zlib to bytes, by what every browser has. */
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Pictures in 8 bit; rows are stored as differences to the pixel on the left. */
async function unpackStack(stack) {
  const pixels = await unpack(stack.data);
  for (let row = 0; row < pixels.length; row += stack.w) {
    for (let x = 1; x < stack.w; x++) pixels[row + x] += pixels[row + x - 1];
  }
  return { ...stack, pixels };
}

/** One number per site; NaN where it is unknown. */
async function unpackColumn(column) {
  const codes = new Uint16Array((await unpack(column.data)).buffer);
  const values = new Float32Array(codes.length);
  const step = (column.hi - column.lo) / (UNKNOWN_COLUMN - 1);
  for (let i = 0; i < codes.length; i++) {
    values[i] = codes[i] === UNKNOWN_COLUMN ? NaN : column.lo + codes[i] * step;
  }
  return { ...column, values };
}

/** Pictures and weights whose sums are the upright reconstructions. */
async function unpackParts(parts, n) {
  if (!parts) return null;
  const codes = await unpack(parts.weights.data);
  const pictures = new Float32Array((await unpack(parts.pictures.data)).buffer);
  return { ...parts.weights, codes, pictures, n };
}

/** A picture of a stack as numbers. */
function numbersOf(stack, index) {
  const size = stack.w * stack.h;
  const answer = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    const code = stack.pixels[index * size + i];
    answer[i] = code === UNKNOWN_PIXEL ? NaN : stack.lo + code * stack.step;
  }
  return answer;
}

/** Value between pixels; NaN outside. */
function sampled(picture, w, h, x, y) {
  const i = Math.floor(x);
  const j = Math.floor(y);
  if (i < 0 || j < 0 || x > w - 1 || y > h - 1) return NaN;
  const a = x - i;
  const b = y - j;
  const right = Math.min(i + 1, w - 1);
  const below = Math.min(j + 1, h - 1);
  const upper = (1 - a) * picture[j * w + i] + a * picture[j * w + right];
  const lower = (1 - a) * picture[below * w + i] + a * picture[below * w + right];
  return (1 - b) * upper + b * lower;
}

/** Whether a place lies inside a closed path. */
function isInside(path, x, y) {
  let inside = false;
  for (let i = 0, j = path.length - 1; i < path.length; j = i++) {
    const [ax, ay] = path[i];
    const [bx, by] = path[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

const packedColour = (r, g, b) => (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
const colourOf = (hex) => packedColour(...[1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
const cssColour = (colour) => `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`;

/** A number with three digits, a true minus, and its unit. */
function shown(value, unit = "") {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const digits = size >= 1000 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
  return `${digits.replace("-", "−")}${unit && unit !== "1" ? ` ${unit}` : ""}`;
}

/** The largest of 1, 2, 5 × a power of ten that is at most `most`. */
function roundLength(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((step) => step * power).find((length) => length <= most * (1 + 1e-9));
}
