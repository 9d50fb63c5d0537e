// A waveform follows the player below it, and a click into it leads there. The keyboard has the player.
function wave(audio) {
  return audio.closest(".sound")?.querySelector(".sound-wave");
}

// media events do not rise through the page, so they are caught on their way down
for (const kind of ["timeupdate", "seeked", "ended"]) {
  document.addEventListener(kind, ({ target }) => {
    if (!target.duration) return;
    const share = (100 * target.currentTime) / target.duration;
    wave(target)?.style.setProperty("--played", `${share.toFixed(2)}%`);
  }, true);
}

document.addEventListener("play", ({ target }) => {
  for (const other of document.querySelectorAll(".sound audio")) if (other !== target) other.pause();
}, true);

document.addEventListener("click", (event) => {
  const clicked = event.target.closest(".sound-wave");
  const audio = clicked?.parentElement.querySelector("audio");
  if (!audio?.duration) return;
  const box = clicked.getBoundingClientRect();
  audio.currentTime = (audio.duration * (event.clientX - box.left)) / box.width;
});
