// Reads a long answer of the server while telling how much of it has come.

/** The bytes of an answer; `onShare` is called with 0 to 1 where the server tells the length. */
export async function readWhole(answer, onShare) {
  const total = Number(answer.headers.get("Content-Length"));
  if (!total || !answer.body || answer.headers.has("Content-Encoding")) return answer.arrayBuffer();
  const whole = new Uint8Array(total);
  const reader = answer.body.getReader();
  let come = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return whole.buffer; // a body that ends early makes read() fail
    whole.set(value, come);
    come += value.length;
    onShare(come / total);
  }
}
