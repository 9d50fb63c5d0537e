// Sends a form with its files, with progress in bytes. A broken connection or a busy server is tried
// again with the same key, so that nothing is made twice.
const RETRY_PAUSES_MS = [1000, 3000, 8000];
const BUSY = new Set([429, 503]);

function sendOnce(address, form, key, { onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch() tells nothing of what is on its way
    signal.addEventListener("abort", () => request.abort());
    request.open("POST", address);
    request.setRequestHeader("X-CSRF-Token", document.body.dataset.csrf);
    request.setRequestHeader("Idempotency-Key", key);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onProgress(event.loaded, event.total);
    });
    request.addEventListener("load", () => {
      if (request.status < 300) resolve(request.response);
      else reject(Object.assign(new Error("refused"), { problem: request.response, status: request.status }));
    });
    request.addEventListener("error", () => reject(new Error("network")));
    request.addEventListener("abort", () => reject(new Error("aborted")));
    request.send(form);
  });
}

export function newKey() {
  return `page-${Date.now()}-${Math.random().toString(36).slice(2)}`;
}

/** Send the form; returns the document of what was made. `options`: signal, onProgress, onWait. */
export async function sendForm(address, form, key, options) {
  for (const pause of [...RETRY_PAUSES_MS, null]) {
    try {
      return await sendOnce(address, form, key, options);
    } catch (error) {
      const isTemporary = error.message === "network" || BUSY.has(error.status);
      if (!isTemporary || pause === null) throw error;
      options.onWait(pause);
      await new Promise((resolve) => {
        setTimeout(resolve, pause);
      });
      if (options.signal.aborted) throw new Error("aborted");
    }
  }
  return null;
}

/** Send one job; the bar and the status line tell how far it is. `what` names the file in words. */
export function sendJob(body, bar, status, what) {
  return sendForm("/api/v1/jobs", body, newKey(), {
    signal: new AbortController().signal,
    onProgress: (loaded, total) => {
      bar.value = loaded / total;
      status.textContent = loaded < total ? `${Math.round((100 * loaded) / total)} % sent` : `The server reads the ${what}…`;
    },
    onWait: (pause) => { status.textContent = `The server is busy; trying again in ${pause / 1000} s`; },
  });
}
