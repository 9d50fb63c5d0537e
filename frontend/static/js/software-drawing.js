// What is done otherwise where no graphics card draws and the processor has to.

const WIDTH = 64;
const HEIGHT = 32;
let answer = null;

/** Whether the processor draws. */
export function drawsInSoftware() {
  answer ??= asked();
  return answer;
}

function asked() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const names = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = gl?.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER) ?? "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software/i.test(name);
}

/** The light from a direction: a bright ceiling, a window on each side, a dim floor. */
function lightFrom(height, turn) {
  const ceiling = height > 0.8 ? 5 : 0;
  const window = Math.abs(height - 0.25) < 0.35 && Math.abs(Math.sin(turn)) > 0.8 ? 2.5 : 0;
  return 0.45 + 0.25 * height + ceiling + window;
}

/**
 * A small studio as the address of an HDR picture (Radiance, shared exponents).
 *
 * The viewer's own studio is 256 pixels a side, and to blur it takes a processor 7 seconds.
 */
export function smallStudio() {
  const header = new TextEncoder().encode(`#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y ${HEIGHT} +X ${WIDTH}\n`);
  const pixels = new Uint8Array(4 * WIDTH * HEIGHT);
  for (let at = 0; at < WIDTH * HEIGHT; at += 1) {
    const height = Math.cos((Math.PI * (Math.floor(at / WIDTH) + 0.5)) / HEIGHT);
    const light = lightFrom(height, (2 * Math.PI * ((at % WIDTH) + 0.5)) / WIDTH);
    const exponent = Math.ceil(Math.log2(light));
    pixels.fill(Math.round((255 * light) / 2 ** exponent), 4 * at, 4 * at + 3);
    pixels[4 * at + 3] = exponent + 128;
  }
  // the viewer tells the kind of a picture by the end of its address
  return `${URL.createObjectURL(new Blob([header, pixels]))}#.hdr`;
}
